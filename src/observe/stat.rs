//! What a stat is: its kind, its name, and its place in the block of its scope.
//!
//! Sets are declared with [`stats!`](crate::stats) and never change at run time, so a stat is an
//! index known to the compiler and a block is a plain array.

/// Whether a stat only grows or also falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Only grows, from zero at process start.
    Counter,
    /// A level: what is there now. Shards add up; a sum below zero reads as zero.
    Gauge,
}

/// The declaration of one stat of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatSpec {
    /// Name below the prefix of the scope, as Envoy spells it.
    pub name: &'static str,
    /// Counter or gauge, as Envoy has it.
    pub kind: Kind,
    /// Also shown once for each worker, as `<prefix>.worker_<index>.<name>`.
    pub per_worker: bool,
}

/// A set of stats that live together below one prefix. Made by [`stats!`](crate::stats) only.
pub trait Stat: Copy + 'static {
    /// Every stat of the set, in slot order.
    const SPECS: &'static [StatSpec];

    /// Index of this stat in [`Stat::SPECS`] and in the block of a scope.
    fn slot(self) -> usize;
}

/// Declares a set of stats as an enum that implements [`Stat`].
///
/// `per_worker` after the name shows the stat once more for each worker. The documentation of a
/// variant says when it moves.
///
/// ```
/// use nuncio_observe as observe; // the floors rename it so in Cargo.toml
/// observe::stats! {
///     /// Stats of a door.
///     pub enum DoorStat {
///         /// Somebody came in.
///         EnteredTotal => counter "entered_total" per_worker,
///         /// How many are inside.
///         Inside => gauge "inside",
///     }
/// }
/// let registry = observe::Registry::new(1);
/// let doors = registry.scope::<DoorStat>("door.front");
/// let shard = registry.shard(observe::ShardIndex::Worker(0)).unwrap();
/// doors.on(&shard).inc(DoorStat::EnteredTotal);
/// assert_eq!(doors.total(DoorStat::EnteredTotal), 1);
/// ```
#[macro_export]
macro_rules! stats {
    (
        $(#[$meta:meta])*
        $visibility:vis enum $set:ident {
            $(
                $(#[$doc:meta])*
                $variant:ident => $kind:ident $name:literal $($per_worker:ident)?
            ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $visibility enum $set {
            $($(#[$doc])* $variant,)+
        }

        impl $crate::Stat for $set {
            const SPECS: &'static [$crate::StatSpec] = &[
                $($crate::StatSpec {
                    name: $name,
                    kind: $crate::stats!(@kind $kind),
                    per_worker: $crate::stats!(@per_worker $($per_worker)?),
                },)+
            ];

            #[inline]
            fn slot(self) -> usize {
                self as usize
            }
        }
    };
    (@kind counter) => { $crate::Kind::Counter };
    (@kind gauge) => { $crate::Kind::Gauge };
    (@per_worker) => { false };
    (@per_worker per_worker) => { true };
}
