//! The memory behind the stats: one block per scope and shard.
//!
//! Invariant: a block is written by the thread that holds its shard and by no other; everybody may
//! read it. A gauge is stored as the two's complement of this shard's share, because a connection
//! may be opened on one shard's account and closed on another's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::stat::{Kind, StatSpec};

/// Stats in one cache line.
const LINE_SLOTS: usize = 8;

/// A cache line of its own, so that two workers never write to the same line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([AtomicU64; LINE_SLOTS]);

/// The stats of one scope on one shard, zero at birth. A handle: clones are the same block.
#[derive(Debug, Clone)]
pub(crate) struct Block(Arc<[Line]>);

impl Block {
    fn new(slots: usize) -> Self {
        Self((0..slots.div_ceil(LINE_SLOTS)).map(|_| Line::default()).collect())
    }

    #[inline]
    fn cell(&self, slot: usize) -> &AtomicU64 {
        &self.0[slot / LINE_SLOTS].0[slot % LINE_SLOTS]
    }

    #[inline]
    pub(crate) fn read(&self, slot: usize) -> u64 {
        self.cell(slot).load(Ordering::Relaxed)
    }

    /// For the one writer only.
    #[inline]
    pub(crate) fn write(&self, slot: usize, value: u64) {
        self.cell(slot).store(value, Ordering::Relaxed);
    }

    /// For the one writer only: nobody else can store between the load and the store.
    #[inline]
    pub(crate) fn add(&self, slot: usize, amount: u64) {
        let cell = self.cell(slot);
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }
}

/// One scope with its blocks, one for each shard that has touched it.
#[derive(Debug)]
pub(crate) struct Entry {
    prefix: String,
    specs: &'static [StatSpec],
    /// Workers in order, control last. Empty until the first touch.
    blocks: Box<[OnceLock<Block>]>,
}

impl Entry {
    pub(crate) fn new(prefix: String, specs: &'static [StatSpec], shards: usize) -> Self {
        Self { prefix, specs, blocks: (0..shards).map(|_| OnceLock::new()).collect() }
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn specs(&self) -> &'static [StatSpec] {
        self.specs
    }

    /// The block of `shard`, made by the first call. Shard indices come from
    /// [`Registry::shard`](crate::Registry::shard) of the same registry, which checked the range.
    pub(crate) fn block(&self, shard: usize) -> Block {
        self.blocks[shard].get_or_init(|| Block::new(self.specs.len())).clone()
    }

    /// What `slot` reads on each shard, in shard order; zero where the block is absent.
    pub(crate) fn shares(&self, slot: usize) -> impl Iterator<Item = u64> {
        self.blocks.iter().map(move |block| block.get().map_or(0, |block| block.read(slot)))
    }

    /// The stat over all shards, as a reader is to see it.
    pub(crate) fn total(&self, slot: usize) -> u64 {
        let sum = self.shares(slot).fold(0, u64::wrapping_add);
        visible(self.specs[slot].kind, sum)
    }
}

/// A gauge can sum to less than zero for a moment, when a scrape reads the shard that gave back
/// before it reads the one that took. Nobody has minus one connections.
pub(crate) fn visible(kind: Kind, sum: u64) -> u64 {
    match kind {
        Kind::Gauge if sum.cast_signed() < 0 => 0,
        Kind::Counter | Kind::Gauge => sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECS: &[StatSpec] = &[StatSpec { name: "a", kind: Kind::Gauge, per_worker: false }; 11];

    #[test]
    fn absent_block_reads_zero_and_is_not_made_by_reading() {
        let entry = Entry::new("p".to_owned(), SPECS, 3);
        assert_eq!(entry.total(10), 0);
        assert!(entry.blocks.iter().all(|block| block.get().is_none()));

        entry.block(1).add(10, 5);
        assert_eq!(entry.total(10), 5);
        assert_eq!(entry.blocks.iter().filter(|block| block.get().is_some()).count(), 1);
    }

    #[test]
    fn slots_do_not_overlap() {
        let block = Block::new(SPECS.len());
        for slot in 0..SPECS.len() {
            block.add(slot, u64::try_from(slot).unwrap() + 1);
        }
        for slot in 0..SPECS.len() {
            assert_eq!(block.read(slot), u64::try_from(slot).unwrap() + 1);
        }
    }

    #[test]
    fn blocks_never_share_a_cache_line() {
        assert_eq!(align_of::<Line>(), 64);
        assert_eq!(size_of::<Line>(), 64);
    }

    #[test]
    fn gauge_below_zero_shows_zero_and_counter_is_never_clamped() {
        assert_eq!(visible(Kind::Gauge, u64::MAX), 0);
        assert_eq!(visible(Kind::Gauge, 3), 3);
        assert_eq!(visible(Kind::Counter, u64::MAX), u64::MAX);
    }
}
