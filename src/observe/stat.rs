//! What a stat is: its kind, its name, and its place in the block of its scope.
//!
//! Sets are declared with [`stats!`](crate::stats) and never change at run time, so a stat is an
//! index known to the compiler and a block is a plain array.

/// What a stat counts, and so what it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Only grows, from zero at process start.
    Counter,
    /// A level: what is there now. Shards add up; a sum below zero reads as zero.
    Gauge,
    /// How often each value occurred, to two significant digits.
    Histogram(Unit),
}

/// What the values of a histogram are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// A plain number.
    Unspecified,
    /// Bytes.
    Bytes,
    /// Whole milliseconds.
    Milliseconds,
    /// Whole microseconds.
    Microseconds,
}

/// The declaration of one stat of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatSpec {
    /// Name below the prefix of the scope, as Envoy spells it.
    pub name: &'static str,
    /// Counter, gauge or histogram, as Envoy has it.
    pub kind: Kind,
    /// Also shown once for each worker, as `<prefix>.worker_<index>.<name>`. Not for histograms.
    pub per_worker: bool,
    /// Also shown as `<prefix>.main_thread.<name>` with what control has of it: for the admin
    /// listener. Not for histograms.
    pub main_thread: bool,
    /// Shown only once it has been counted: for stats that Envoy makes when it first needs them,
    /// such as one for each status code.
    pub when_used: bool,
    /// Index among the numbers, or among the histograms, of its set.
    pub(crate) place: usize,
}

impl StatSpec {
    /// A counter.
    #[must_use]
    pub const fn counter(name: &'static str) -> Self {
        Self::new(name, Kind::Counter)
    }

    /// A gauge.
    #[must_use]
    pub const fn gauge(name: &'static str) -> Self {
        Self::new(name, Kind::Gauge)
    }

    /// A histogram of plain numbers.
    #[must_use]
    pub const fn histogram(name: &'static str) -> Self {
        Self::new(name, Kind::Histogram(Unit::Unspecified))
    }

    const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, per_worker: false, main_thread: false, when_used: false, place: 0 }
    }

    /// The same, shown once more for each worker.
    ///
    /// # Panics
    /// For a histogram, when the set is compiled.
    #[must_use]
    pub const fn per_worker(self) -> Self {
        assert!(!matches!(self.kind, Kind::Histogram(_)), "a histogram is not shown per worker");
        Self { per_worker: true, ..self }
    }

    /// The same, shown once more for the main thread.
    ///
    /// # Panics
    /// For a histogram, when the set is compiled.
    #[must_use]
    pub const fn main_thread(self) -> Self {
        assert!(!matches!(self.kind, Kind::Histogram(_)), "a histogram is not shown per thread");
        Self { main_thread: true, ..self }
    }

    /// The same, shown only once it has been counted.
    #[must_use]
    pub const fn when_used(self) -> Self {
        Self { when_used: true, ..self }
    }

    /// The same histogram, of bytes.
    #[must_use]
    pub const fn bytes(self) -> Self {
        self.of(Unit::Bytes)
    }

    /// The same histogram, of milliseconds.
    #[must_use]
    pub const fn ms(self) -> Self {
        self.of(Unit::Milliseconds)
    }

    /// The same histogram, of microseconds.
    #[must_use]
    pub const fn us(self) -> Self {
        self.of(Unit::Microseconds)
    }

    const fn of(self, unit: Unit) -> Self {
        assert!(matches!(self.kind, Kind::Histogram(_)), "only a histogram has a unit");
        Self { kind: Kind::Histogram(unit), ..self }
    }
}

/// Gives each stat of a set its place: numbers and histograms live in arrays of their own.
/// Called by [`stats!`](crate::stats) at compile time.
#[must_use]
pub const fn placed<const N: usize>(mut specs: [StatSpec; N]) -> [StatSpec; N] {
    let (mut slot, mut numbers, mut histograms) = (0, 0, 0);
    while slot < N {
        let next = match specs[slot].kind {
            Kind::Counter | Kind::Gauge => &mut numbers,
            Kind::Histogram(_) => &mut histograms,
        };
        specs[slot].place = *next;
        *next += 1;
        slot += 1;
    }
    specs
}

/// A set of stats that live together below one prefix. Made by [`stats!`](crate::stats) only.
pub trait Stat: Copy + 'static {
    /// Every stat of the set, in slot order.
    const SPECS: &'static [StatSpec];

    /// Index of this stat in [`Stat::SPECS`].
    fn slot(self) -> usize;
}

/// Declares a set of stats as an enum that implements [`Stat`].
///
/// A stat is a `counter`, a `gauge` or a `histogram`. After the name stand the methods of
/// [`StatSpec`](crate::StatSpec) that apply: `per_worker`, `main_thread`, `when_used`, or the unit
/// of a histogram (`ms`, `us`, `bytes`). The documentation of a variant says when it moves.
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
///         /// How long they stayed.
///         StayMs => histogram "stay_ms" ms,
///     }
/// }
/// let registry = observe::Registry::new(1);
/// let doors = registry.scope::<DoorStat>("door.front");
/// let shard = registry.shard(observe::ShardIndex::Worker(0)).unwrap();
/// doors.on(&shard).inc(DoorStat::EnteredTotal);
/// doors.on(&shard).record(DoorStat::StayMs, 1200);
/// assert_eq!(doors.total(DoorStat::EnteredTotal), 1);
/// assert_eq!(doors.distribution(DoorStat::StayMs).count(), 1);
/// ```
#[macro_export]
macro_rules! stats {
    (
        $(#[$meta:meta])*
        $visibility:vis enum $set:ident {
            $(
                $(#[$doc:meta])*
                $variant:ident => $kind:ident $name:literal $($modifier:ident)*
            ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $visibility enum $set {
            $($(#[$doc])* $variant,)+
        }

        impl $crate::Stat for $set {
            const SPECS: &'static [$crate::StatSpec] = &$crate::placed([
                $($crate::StatSpec::$kind($name)$(.$modifier())*,)+
            ]);

            #[inline]
            fn slot(self) -> usize {
                self as usize
            }
        }
    };
}
