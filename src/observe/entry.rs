//! One scope with its blocks, and what only readers know of it: from where counters count since
//! they were reset, and how histograms stood at the last flush.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::block::{Block, gauge_share, gauge_written};
use crate::distribution::Distribution;
use crate::stat::{Kind, StatSpec};

/// One scope with its blocks, one for each shard that has touched it.
#[derive(Debug)]
pub(crate) struct Entry {
    prefix: String,
    specs: &'static [StatSpec],
    /// Workers in order, control last. Empty until the first touch.
    blocks: Box<[OnceLock<Block>]>,
    /// Only readers take the lock.
    kept: Mutex<Kept>,
}

/// What a reader leaves for the next one. No writer ever sees it.
#[derive(Debug, Default)]
struct Kept {
    /// What each counter stood at when it was reset: all places of a shard, shard after shard.
    /// Empty before the first reset.
    resets: Vec<u64>,
    /// By place. Empty until a flush finds a value.
    histograms: Vec<Flushed>,
}

/// A histogram as of the last flush.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flushed {
    pub(crate) cumulative: Distribution,
    /// What came between the last flush and the one before.
    pub(crate) interval: Distribution,
}

/// A counter or gauge as a reader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) value: u64,
    /// Written at least once.
    pub(crate) used: bool,
}

impl Entry {
    pub(crate) fn new(prefix: String, specs: &'static [StatSpec], shards: usize) -> Self {
        let blocks = (0..shards).map(|_| OnceLock::new()).collect();
        Self { prefix, specs, blocks, kept: Mutex::default() }
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The full name of the stat `name` of this scope.
    pub(crate) fn name_of(&self, name: &str) -> String {
        match self.prefix.as_str() {
            "" => name.to_owned(),
            prefix => format!("{prefix}.{name}"),
        }
    }

    pub(crate) fn specs(&self) -> &'static [StatSpec] {
        self.specs
    }

    /// The block of `shard`, made by the first call. Shard indices come from
    /// [`Registry::shard`](crate::Registry::shard) of the same registry, which checked the range.
    pub(crate) fn block(&self, shard: usize) -> Block {
        self.blocks[shard].get_or_init(|| Block::new(self.specs)).clone()
    }

    /// The counters and gauges for one reader; the lock is taken once for all of them.
    pub(crate) fn read(&self) -> EntryReader<'_> {
        EntryReader { entry: self, kept: self.kept() }
    }

    /// Every value of a histogram up to now, flushed or not.
    pub(crate) fn distribution(&self, slot: usize) -> Distribution {
        let place = self.specs[slot].place;
        Distribution::merged(self.touched().filter_map(|block| block.bins(place)))
    }

    /// Ends the interval of every histogram.
    pub(crate) fn flush(&self) {
        let histograms = self.specs.iter().filter(|spec| matches!(spec.kind, Kind::Histogram(_)));
        for spec in histograms {
            let mut bins = self.touched().filter_map(|block| block.bins(spec.place)).peekable();
            if bins.peek().is_none() {
                continue;
            }
            let cumulative = Distribution::merged(bins);
            let kept = &mut self.kept().histograms;
            if kept.len() <= spec.place {
                kept.resize_with(spec.place + 1, Flushed::default);
            }
            let interval = cumulative.since(&kept[spec.place].cumulative);
            kept[spec.place] = Flushed { cumulative, interval };
        }
    }

    /// Lets every counter begin at zero again, for readers: the writers count on.
    pub(crate) fn reset_counters(&self) {
        let numbers = self.numbers();
        let mut kept = self.kept();
        kept.resets.resize(numbers * self.blocks.len(), 0);
        for (shard, block) in self.blocks.iter().enumerate() {
            let Some(block) = block.get() else { continue };
            for spec in self.specs.iter().filter(|spec| spec.kind == Kind::Counter) {
                kept.resets[shard * numbers + spec.place] = block.read(spec.place);
            }
        }
    }

    /// How many counters and gauges there are.
    fn numbers(&self) -> usize {
        self.specs.iter().filter(|spec| !matches!(spec.kind, Kind::Histogram(_))).count()
    }

    fn touched(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().filter_map(OnceLock::get)
    }

    /// A panic under the lock leaves old numbers at worst, so poison means nothing.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The counters and gauges of one scope while somebody reads them.
pub(crate) struct EntryReader<'a> {
    entry: &'a Entry,
    kept: MutexGuard<'a, Kept>,
}

impl EntryReader<'_> {
    /// A counter or gauge over all shards.
    pub(crate) fn total(&self, slot: usize) -> Number {
        self.sum(slot, 0..self.entry.blocks.len())
    }

    /// What one shard has of a counter or gauge.
    pub(crate) fn share(&self, slot: usize, shard: usize) -> Number {
        self.sum(slot, shard..shard + 1)
    }

    /// A histogram as of the last flush; `None` if that found no value.
    pub(crate) fn histogram(&self, slot: usize) -> Option<&Flushed> {
        let flushed = self.kept.histograms.get(self.entry.specs[slot].place)?;
        (flushed.cumulative.count() > 0).then_some(flushed)
    }

    fn sum(&self, slot: usize, shards: Range<usize>) -> Number {
        let spec = &self.entry.specs[slot];
        let mut sum = Number { value: 0, used: false };
        for shard in shards {
            let Some(block) = self.entry.blocks[shard].get() else { continue };
            let (share, used) = match spec.kind {
                Kind::Counter => {
                    let counted = block.read(spec.place);
                    (counted.wrapping_sub(self.reset(shard, spec.place)), counted != 0)
                }
                Kind::Gauge => {
                    let stored = block.read(spec.place);
                    (gauge_share(stored), gauge_written(stored))
                }
                Kind::Histogram(_) => continue,
            };
            sum.value = sum.value.wrapping_add(share);
            sum.used |= used;
        }
        // A gauge can sum to less than zero for a moment, when a reader meets the shard that gave
        // back before the one that took. Nobody has minus one connections.
        if spec.kind == Kind::Gauge && sum.value.cast_signed() < 0 {
            sum.value = 0;
        }
        sum
    }

    fn reset(&self, shard: usize, place: usize) -> u64 {
        if self.kept.resets.is_empty() {
            return 0;
        }
        self.kept.resets[shard * self.entry.numbers() + place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stat::placed;

    const SPECS: &[StatSpec] = &placed([
        StatSpec::histogram("h"),
        StatSpec::gauge("g"),
        StatSpec::counter("c"),
        StatSpec::histogram("i"),
    ]);

    #[test]
    fn absent_block_reads_zero_and_is_not_made_by_reading() {
        let entry = Entry::new("p".to_owned(), SPECS, 3);
        assert_eq!(entry.read().total(2), Number { value: 0, used: false });
        entry.flush();
        entry.reset_counters();
        assert!(entry.blocks.iter().all(|block| block.get().is_none()));

        entry.block(1).counter_add(SPECS[2].place, 5);
        assert_eq!(entry.read().total(2), Number { value: 5, used: true });
        assert_eq!(entry.touched().count(), 1);
    }

    #[test]
    fn gauge_below_zero_shows_zero_and_counter_is_never_clamped() {
        let entry = Entry::new("p".to_owned(), SPECS, 1);
        entry.block(0).gauge_add(SPECS[1].place, 1_u64.wrapping_neg());
        entry.block(0).counter_set(SPECS[2].place, u64::MAX);
        assert_eq!(entry.read().total(1), Number { value: 0, used: true });
        assert_eq!(entry.read().total(2).value, u64::MAX);
    }

    #[test]
    fn reset_counters_begin_at_zero_on_every_shard_and_gauges_stay() {
        let entry = Entry::new("p".to_owned(), SPECS, 3);
        let counter = SPECS[2].place;
        entry.block(0).counter_add(counter, 5);
        entry.block(2).counter_add(counter, 7);
        entry.block(2).gauge_set(SPECS[1].place, 9);
        entry.reset_counters();
        assert_eq!(entry.read().total(2), Number { value: 0, used: true });
        assert_eq!(entry.read().total(1).value, 9);

        entry.block(1).counter_add(counter, 1);
        entry.block(2).counter_add(counter, 2);
        assert_eq!(entry.read().total(2).value, 3);
        assert_eq!(entry.read().share(2, 2).value, 2);
        entry.reset_counters();
        assert_eq!(entry.read().total(2), Number { value: 0, used: true });
    }

    #[test]
    fn histogram_shows_what_was_flushed() {
        let entry = Entry::new("p".to_owned(), SPECS, 2);
        let second = SPECS[3].place;
        entry.block(0).record(second, 5);
        assert!(entry.read().histogram(3).is_none());
        assert_eq!(entry.distribution(3).count(), 1);

        entry.flush();
        entry.block(1).record(second, 70);
        let counts = || {
            let reader = entry.read();
            let flushed = reader.histogram(3).unwrap();
            (flushed.interval.count(), flushed.cumulative.count())
        };
        assert_eq!(counts(), (1, 1));
        entry.flush();
        assert_eq!(counts(), (1, 2));
        entry.flush();
        assert_eq!(counts(), (0, 2));
        assert!(entry.read().histogram(0).is_none(), "the other histogram has nothing");
    }
}
