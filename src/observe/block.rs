//! The memory behind the stats: one block per scope and shard.
//!
//! Invariant: a block is written by the thread that holds its shard and by no other; everybody may
//! read it.
//!
//! A gauge is stored as this shard's share, which may be negative, because a connection may be
//! opened on one shard's account and closed on another's. The share stands above the lowest bit;
//! that bit says that the gauge was written at all, which `usedonly` asks. A counter that was
//! written is not zero, and says so itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::bins::Bins;
use crate::stat::{Kind, StatSpec};

/// Stats in one cache line.
const LINE_SLOTS: usize = 8;

/// The lowest bit of a gauge: somebody has written it.
const WRITTEN: u64 = 1;

/// A cache line of its own, so that two workers never write to the same line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([AtomicU64; LINE_SLOTS]);

/// The stats of one scope on one shard, zero at birth. A handle: clones are the same block.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    numbers: Arc<[Line]>,
    /// Each allocated by its first record.
    histograms: Arc<[OnceLock<Box<Bins>>]>,
}

impl Block {
    pub(crate) fn new(specs: &[StatSpec]) -> Self {
        let histograms =
            specs.iter().filter(|spec| matches!(spec.kind, Kind::Histogram(_))).count();
        let lines = (specs.len() - histograms).div_ceil(LINE_SLOTS);
        Self {
            numbers: (0..lines).map(|_| Line::default()).collect(),
            histograms: (0..histograms).map(|_| OnceLock::new()).collect(),
        }
    }

    #[inline]
    fn cell(&self, place: usize) -> &AtomicU64 {
        &self.numbers[place / LINE_SLOTS].0[place % LINE_SLOTS]
    }

    /// The stored form; [`gauge_share`] and [`gauge_written`] take that of a gauge apart.
    #[inline]
    pub(crate) fn read(&self, place: usize) -> u64 {
        self.cell(place).load(Ordering::Relaxed)
    }

    /// For the one writer only: nobody else can store between the load and the store.
    #[inline]
    pub(crate) fn counter_add(&self, place: usize, amount: u64) {
        let cell = self.cell(place);
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// For the one writer only.
    #[inline]
    pub(crate) fn counter_set(&self, place: usize, total: u64) {
        self.cell(place).store(total, Ordering::Relaxed);
    }

    /// For the one writer only. A negative amount is given as its two's complement.
    #[inline]
    pub(crate) fn gauge_add(&self, place: usize, amount: u64) {
        let cell = self.cell(place);
        let sum = cell.load(Ordering::Relaxed).wrapping_add(amount << 1);
        cell.store(sum | WRITTEN, Ordering::Relaxed);
    }

    /// For the one writer only.
    #[inline]
    pub(crate) fn gauge_set(&self, place: usize, share: u64) {
        self.cell(place).store(share << 1 | WRITTEN, Ordering::Relaxed);
    }

    /// For the one writer only.
    #[inline]
    pub(crate) fn record(&self, place: usize, value: u64) {
        let bins = match self.histograms[place].get() {
            Some(bins) => bins,
            None => self.first_record(place),
        };
        bins.record(value);
    }

    /// Apart, so that what runs every time stays a few instructions.
    #[cold]
    #[inline(never)]
    fn first_record(&self, place: usize) -> &Bins {
        self.histograms[place].get_or_init(Box::default)
    }

    /// `None` as long as nothing was recorded.
    pub(crate) fn bins(&self, place: usize) -> Option<&Bins> {
        self.histograms[place].get().map(Box::as_ref)
    }
}

/// The share of a stored gauge, as two's complement.
pub(crate) fn gauge_share(stored: u64) -> u64 {
    (stored.cast_signed() >> 1).cast_unsigned()
}

/// Whether the stored gauge was ever written.
pub(crate) fn gauge_written(stored: u64) -> bool {
    stored & WRITTEN != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stat::placed;

    const SPECS: [StatSpec; 13] = {
        let mut specs = [StatSpec::gauge("a"); 13];
        specs[1] = StatSpec::histogram("h");
        specs[12] = StatSpec::histogram("i");
        placed(specs)
    };

    #[test]
    fn slots_do_not_overlap() {
        let block = Block::new(&SPECS);
        let numbers = || SPECS.iter().filter(|spec| spec.kind == Kind::Gauge);
        for (value, spec) in numbers().enumerate() {
            block.gauge_add(spec.place, value as u64 + 1);
        }
        block.record(SPECS[1].place, 5);
        block.record(SPECS[12].place, 7);
        block.record(SPECS[12].place, 7);
        for (value, spec) in numbers().enumerate() {
            assert_eq!(gauge_share(block.read(spec.place)), value as u64 + 1);
        }
        let hits = |spec: &StatSpec| block.bins(spec.place).unwrap().counts().next().unwrap().1;
        assert_eq!((hits(&SPECS[1]), hits(&SPECS[12])), (1, 2));
    }

    #[test]
    fn blocks_never_share_a_cache_line() {
        assert_eq!(align_of::<Line>(), 64);
        assert_eq!(size_of::<Line>(), 64);
    }

    #[test]
    fn gauge_remembers_that_it_was_written() {
        let block = Block::new(&SPECS);
        assert!(!gauge_written(block.read(0)));
        block.gauge_add(0, 5);
        block.gauge_add(0, 7_u64.wrapping_neg());
        assert_eq!(gauge_share(block.read(0)).cast_signed(), -2);
        block.gauge_add(0, 2);
        assert_eq!((gauge_share(block.read(0)), gauge_written(block.read(0))), (0, true));
        block.gauge_set(1, 0);
        assert_eq!((gauge_share(block.read(1)), gauge_written(block.read(1))), (0, true));
        block.gauge_set(1, u64::MAX >> 2);
        assert_eq!(gauge_share(block.read(1)), u64::MAX >> 2);
    }
}
