//! The writing side: a scope as one worker sees it.
//!
//! Counting is an index and an add on memory that no other thread writes. The first touch of a
//! scope allocates its block, so a cluster that a worker never uses costs that worker nothing.
//!
//! Invariant: [`Scope`] and [`GaugeGuard`] stay on the thread of their [`Shard`](crate::Shard).

use std::cell::OnceCell;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::block::{Block, gauge_share};
use crate::entry::Entry;
use crate::stat::{Kind, Stat, StatSpec, Unit};

/// The stats of one scope on one shard. Cheap to clone; clones count into the same block.
pub struct Scope<S: Stat> {
    local: Rc<Local>,
    set: PhantomData<S>,
}

#[derive(Debug)]
struct Local {
    entry: Arc<Entry>,
    shard: usize,
    /// Empty until the first write.
    block: OnceCell<Block>,
}

impl<S: Stat> Scope<S> {
    pub(crate) fn new(entry: Arc<Entry>, shard: usize) -> Self {
        Self { local: Rc::new(Local { entry, shard, block: OnceCell::new() }), set: PhantomData }
    }

    /// Adds one to a counter.
    #[inline]
    pub fn inc(&self, stat: S) {
        self.add(stat, 1);
    }

    /// Adds `amount` to a counter.
    #[inline]
    pub fn add(&self, stat: S, amount: u64) {
        self.block().counter_add(place(stat, Kind::Counter), amount);
    }

    /// Publishes a running total that is counted elsewhere (a reactor keeps plain numbers), as
    /// this shard's share of a counter. The total must never go back.
    #[inline]
    pub fn publish(&self, stat: S, total: u64) {
        debug_assert!(self.value(stat) <= total, "a counter went back");
        self.block().counter_set(place(stat, Kind::Counter), total);
    }

    /// Raises a gauge by one. Where something is held for a while, [`Scope::guard`] is safer.
    #[inline]
    pub fn gauge_inc(&self, stat: S) {
        self.gauge_add(stat, 1);
    }

    /// Lowers a gauge by one.
    #[inline]
    pub fn gauge_dec(&self, stat: S) {
        self.gauge_sub(stat, 1);
    }

    /// Raises a gauge by `amount`.
    #[inline]
    pub fn gauge_add(&self, stat: S, amount: u64) {
        self.block().gauge_add(place(stat, Kind::Gauge), amount);
    }

    /// Lowers a gauge by `amount`. This shard's share may fall below zero when another shard
    /// raised the gauge; the sum over all shards is what a reader sees.
    #[inline]
    pub fn gauge_sub(&self, stat: S, amount: u64) {
        self.block().gauge_add(place(stat, Kind::Gauge), amount.wrapping_neg());
    }

    /// Sets this shard's share of a gauge, which is below 2^62.
    #[inline]
    pub fn gauge_set(&self, stat: S, value: u64) {
        self.block().gauge_set(place(stat, Kind::Gauge), value);
    }

    /// Counts one value in a histogram. Values above `i64::MAX` count as that.
    #[inline]
    pub fn record(&self, stat: S, value: u64) {
        let spec = spec(stat);
        debug_assert!(matches!(spec.kind, Kind::Histogram(_)), "{} is no histogram", spec.name);
        self.block().record(spec.place, value);
    }

    /// Counts one duration in a histogram, in whole units of that: microseconds where the set
    /// says `us`, milliseconds otherwise.
    #[inline]
    pub fn record_duration(&self, stat: S, duration: Duration) {
        let units = match spec(stat).kind {
            Kind::Histogram(Unit::Microseconds) => duration.as_micros(),
            _ => duration.as_millis(),
        };
        self.record(stat, u64::try_from(units).unwrap_or(u64::MAX));
    }

    /// Raises a gauge by one until the guard is dropped, also by a panic.
    #[inline]
    #[must_use = "the gauge falls again when the guard is dropped"]
    pub fn guard(&self, stat: S) -> GaugeGuard<S> {
        self.guard_of(stat, 1)
    }

    /// Raises a gauge by `amount` until the guard is dropped. With 0 to start from and
    /// [`GaugeGuard::set`] it follows a level, such as the bytes one connection buffers.
    #[inline]
    #[must_use = "the gauge falls again when the guard is dropped"]
    pub fn guard_of(&self, stat: S, amount: u64) -> GaugeGuard<S> {
        self.gauge_add(stat, amount);
        GaugeGuard { scope: self.clone(), stat, amount }
    }

    /// This shard's share of a counter or gauge. For tests and for the writer itself; a reader uses
    /// [`ScopeId::total`](crate::ScopeId::total).
    #[must_use]
    pub fn value(&self, stat: S) -> u64 {
        let spec = spec(stat);
        let stored = self.local.block.get().map_or(0, |block| block.read(spec.place));
        if spec.kind == Kind::Gauge { gauge_share(stored) } else { stored }
    }

    #[inline]
    fn block(&self) -> &Block {
        match self.local.block.get() {
            Some(block) => block,
            None => self.local.first_touch(),
        }
    }
}

impl Local {
    /// Apart, so that what runs every time stays a few instructions.
    #[cold]
    #[inline(never)]
    fn first_touch(&self) -> &Block {
        self.block.get_or_init(|| self.entry.block(self.shard))
    }
}

impl<S: Stat> Clone for Scope<S> {
    #[inline]
    fn clone(&self) -> Self {
        Self { local: Rc::clone(&self.local), set: PhantomData }
    }
}

impl<S: Stat> fmt::Debug for Scope<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("prefix", &self.local.entry.prefix())
            .field("shard", &self.local.shard)
            .finish()
    }
}

/// A share of a gauge that is given back on drop, so that no path, not even a panic, can leave
/// the gauge too high.
pub struct GaugeGuard<S: Stat> {
    scope: Scope<S>,
    stat: S,
    /// What the drop takes away again.
    amount: u64,
}

impl<S: Stat> GaugeGuard<S> {
    /// Changes how much this guard holds.
    #[inline]
    pub fn set(&mut self, amount: u64) {
        self.scope.gauge_add(self.stat, amount.wrapping_sub(self.amount));
        self.amount = amount;
    }

    /// The scope of the gauge.
    #[inline]
    #[must_use]
    pub fn scope(&self) -> &Scope<S> {
        &self.scope
    }

    /// How much this guard holds.
    #[inline]
    #[must_use]
    pub fn amount(&self) -> u64 {
        self.amount
    }
}

impl<S: Stat> Drop for GaugeGuard<S> {
    #[inline]
    fn drop(&mut self) {
        self.scope.gauge_sub(self.stat, self.amount);
    }
}

impl<S: Stat> fmt::Debug for GaugeGuard<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GaugeGuard")
            .field("stat", &S::SPECS[self.stat.slot()].name)
            .field("amount", &self.amount)
            .finish()
    }
}

/// The place of a counter or gauge in its block. A mix-up of kinds is a mistake in our own code,
/// always the same at the same line.
#[inline]
fn place<S: Stat>(stat: S, kind: Kind) -> usize {
    let spec = spec(stat);
    debug_assert_eq!(spec.kind, kind, "{} is of another kind", spec.name);
    spec.place
}

#[inline]
fn spec<S: Stat>(stat: S) -> &'static StatSpec {
    &S::SPECS[stat.slot()]
}
