//! What a reader has of a histogram: the bins of all shards added up, and what follows from them.
//!
//! Quantiles, sum and buckets are computed as circllhist does for Envoy 1.40, so that they are its
//! numbers for the same values: an estimate between the bounds of a bin, not a value that occurred.

use crate::bins::{Bin, Bins};

/// The quantiles that Envoy shows, of 1.
pub const QUANTILES: [f64; 10] = [0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 1.0];

/// How often values occurred.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Distribution {
    /// By value, none with a count of zero.
    bins: Vec<(Bin, u64)>,
}

/// One bin as `histogram_buckets=detailed` shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Smallest value.
    pub lower_bound: f64,
    /// The next bin begins this much later, or further on.
    pub width: f64,
    /// How many values fell into it.
    pub count: u64,
}

impl Distribution {
    pub(crate) fn merged<'a>(shards: impl Iterator<Item = &'a Bins>) -> Self {
        let mut bins: Vec<(Bin, u64)> = shards.flat_map(Bins::counts).collect();
        bins.sort_unstable_by_key(|(bin, _)| *bin);
        bins.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 = kept.1.saturating_add(later.1);
            }
            same
        });
        Self { bins }
    }

    /// What has been added since `earlier`, which was merged from the same histogram.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let mut earlier = earlier.bins.iter().peekable();
        let added = self.bins.iter().filter_map(|&(bin, count)| {
            // A bin never loses its count, so every earlier bin is met.
            let before = earlier.next_if(|(other, _)| *other == bin).map_or(0, |(_, count)| *count);
            (count > before).then(|| (bin, count - before))
        });
        Self { bins: added.collect() }
    }

    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.bins.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// About the sum of the values: each counts as the middle of its bin, which is the value that
    /// is wrong by the same factor at both ends.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.bins.iter().fold(0.0, |sum, &(bin, count)| {
            let (lower, upper) = (bin.lower(), bin.lower() + bin.width());
            let middle = if upper == 0.0 { 0.0 } else { 2.0 * lower * upper / (lower + upper) };
            sum + middle * as_f64(count)
        })
    }

    /// How many values are at most `bound`, as far as the bins tell: a bin counts if it begins at
    /// or below `bound`.
    #[must_use]
    pub fn count_up_to(&self, bound: f64) -> u64 {
        let below = self.bins.iter().take_while(|(bin, _)| bin.lower() <= bound);
        below.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Every bin that has values.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> {
        self.bins.iter().map(|&(bin, count)| Bucket {
            lower_bound: bin.lower(),
            width: bin.width(),
            count,
        })
    }

    /// The values of [`QUANTILES`]; not a number where there are no values.
    ///
    /// The quantile of `q` is the value of rank `q` times the count, rounded up and at least 1.
    /// The `n` values of a bin are taken to divide it into `n + 1` equal parts.
    #[must_use]
    pub fn quantiles(&self) -> [f64; QUANTILES.len()] {
        let total = as_f64(self.count());
        let mut bins = self.bins.iter();
        let Some(mut bin) = bins.next() else { return [f64::NAN; QUANTILES.len()] };
        let mut below = 0.0;
        QUANTILES.map(|quantile| {
            let rank = (total * quantile).ceil().max(1.0);
            while below + as_f64(bin.1) < rank {
                let Some(next) = bins.next() else { break };
                below += as_f64(bin.1);
                bin = next;
            }
            let &(bin, count) = bin;
            bin.lower() + (rank - below) / (as_f64(count) + 1.0) * bin.width()
        })
    }
}

/// Counts beyond 2^53 lose their last digits, which no quantile shows.
#[expect(clippy::cast_precision_loss, reason = "see above")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[u64]) -> Distribution {
        let bins = Bins::default();
        for &value in values {
            bins.record(value);
        }
        Distribution::merged([&bins].into_iter())
    }

    #[test]
    fn nothing_has_no_quantiles() {
        let empty = of(&[]);
        assert!(empty.quantiles().iter().all(|value| value.is_nan()));
        assert_eq!((empty.count(), empty.sum(), empty.count_up_to(1e9)), (0, 0.0, 0));
    }

    /// What Envoy 1.40 showed for the same bins.
    #[test]
    fn numbers_are_envoys() {
        let seen = of(&[21, 21, 25, 28, 29, 29, 32, 32, 54, 100, 1000]);
        let expected = [21.333_333_333_333_332, 25.5, 29.666_666_666_666_668, 54.5, 105.0, 1050.0];
        assert_eq!(seen.quantiles()[..6], expected);
        assert_eq!(seen.quantiles()[9], 1050.0);
        assert_eq!(seen.sum(), 1_427.802_199_791_715_6);
        let counts = [10.0, 25.0, 50.0, 100.0, 999.0, 1000.0].map(|bound| seen.count_up_to(bound));
        assert_eq!(counts, [0, 3, 8, 10, 10, 11]);

        assert_eq!(of(&[0, 0, 0, 0]).quantiles(), [0.0; 10]);
        assert_eq!(of(&[0]).sum(), 0.0);
        assert_eq!(of(&[2]).quantiles(), [2.05; 10]);
        assert_eq!(of(&[2]).sum(), 2.048_780_487_804_878);
        let ones = of(&[1; 19]).quantiles();
        assert_eq!(ones[..4], [1.005, 1.025, 1.05, 1.075]);
    }

    #[test]
    fn shards_add_up_and_an_interval_is_what_came_since() {
        let (one, two) = (Bins::default(), Bins::default());
        for value in [5, 70, 5] {
            one.record(value);
        }
        two.record(5);
        two.record(123_456);
        let before = Distribution::merged([&one, &two].into_iter());
        assert_eq!(before.count(), 5);
        assert_eq!(before.count_up_to(5.0), 3);
        assert_eq!(before.count_up_to(70.0), 4);
        assert_eq!(before.count_up_to(69.9), 3);

        two.record(1);
        one.record(5);
        let after = Distribution::merged([&one, &two].into_iter());
        let buckets: Vec<_> = after.since(&before).buckets().collect();
        assert_eq!(
            buckets,
            [
                Bucket { lower_bound: 1.0, width: 0.1, count: 1 },
                Bucket { lower_bound: 5.0, width: 0.1, count: 1 },
            ]
        );
        assert_eq!(after.since(&after), Distribution::default());
    }
}
