//! The memory behind one histogram on one shard: how often each bin was hit.
//!
//! The bins are those of circllhist, which Envoy uses: zero, and every number of two significant
//! decimal digits. `1234` falls into the bin of `1200`, which reaches up to `1300`. A decade of
//! bins is allocated when a value first falls into it, so a histogram costs what its spread
//! needs, and a record after that allocates nothing.
//!
//! Invariant: as with a [`Block`](crate::block::Block), one thread writes and all may read.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bins of the values 0 to 9, each its own.
const ONES: usize = 10;
/// Bins of a decade: leading digits 10 to 99.
const DECADE: usize = 90;
/// Decades from 10 up to the largest value.
const DECADES: usize = 18;

/// The largest value that is told apart: circllhist counts in signed numbers. Larger ones count
/// as this one.
pub(crate) const VALUE_MAX: u64 = i64::MAX.cast_unsigned();

/// Divisors that leave two digits: `10^(n)` for numbers of `n + 2` digits.
const POWERS: [u64; DECADES] = {
    let mut powers = [1; DECADES];
    let mut at = 1;
    while at < DECADES {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// One bin of the scale, ordered by value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bin(u16);

/// Where [`Bin`]s of circllhist begin and how wide they are.
impl Bin {
    /// The smallest value of the bin.
    pub(crate) fn lower(self) -> f64 {
        let (leading, power) = self.parts();
        leading / 10.0 * power
    }

    /// How far the bin reaches. The bin of zero has no width; the bin of 1 ends at 1.1, because
    /// the scale is made for fractions too.
    pub(crate) fn width(self) -> f64 {
        if self.0 == 0 { 0.0 } else { self.parts().1 / 10.0 }
    }

    /// Leading digits (10 to 99, or 0) and the power of ten that they are tenths of.
    fn parts(self) -> (f64, f64) {
        let index = usize::from(self.0);
        if index < ONES {
            return (f64::from(self.0) * 10.0, 1.0);
        }
        let (decade, leading) = ((index - ONES) / DECADE, (index - ONES) % DECADE);
        let leading = u8::try_from(leading + ONES).expect("two digits fit");
        // Exact: powers of ten up to 10^18 are doubles.
        #[expect(clippy::cast_precision_loss, reason = "exact, see above")]
        let power = POWERS[decade] as f64 * 10.0;
        (f64::from(leading), power)
    }
}

/// The bins of one histogram on one shard, all zero at birth.
#[derive(Debug, Default)]
pub(crate) struct Bins {
    ones: [AtomicU64; ONES],
    decades: [OnceLock<Box<[AtomicU64; DECADE]>>; DECADES],
}

impl Bins {
    /// Counts `value` once. For the one writer only.
    #[inline]
    pub(crate) fn record(&self, value: u64) {
        let value = value.min(VALUE_MAX);
        let cell = match usize::try_from(value) {
            Ok(value) if value < ONES => &self.ones[value],
            _ => self.of_two_digits(value),
        };
        cell.store(cell.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    #[inline]
    fn of_two_digits(&self, value: u64) -> &AtomicU64 {
        let decade = value.ilog10() as usize - 1;
        let leading = usize::try_from(value / POWERS[decade]).expect("two digits fit");
        let bins = match self.decades[decade].get() {
            Some(bins) => bins,
            None => self.first_in(decade),
        };
        &bins[leading - ONES]
    }

    /// Apart, so that what runs every time stays a few instructions.
    #[cold]
    #[inline(never)]
    fn first_in(&self, decade: usize) -> &[AtomicU64; DECADE] {
        self.decades[decade].get_or_init(|| Box::new([const { AtomicU64::new(0) }; DECADE]))
    }

    /// Every bin that was hit with its count, in order.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (Bin, u64)> {
        let decades = self.decades.iter().enumerate().filter_map(|(decade, bins)| {
            let first = ONES + decade * DECADE;
            bins.get().map(|bins| numbered(first, bins.as_slice()))
        });
        numbered(0, &self.ones).chain(decades.flatten())
    }
}

/// Bins from `first` on, those that were hit.
fn numbered(first: usize, bins: &[AtomicU64]) -> impl Iterator<Item = (Bin, u64)> {
    bins.iter().enumerate().filter_map(move |(offset, cell)| {
        let count = cell.load(Ordering::Relaxed);
        let index = u16::try_from(first + offset).expect("there are fewer bins");
        (count > 0).then_some((Bin(index), count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `11 / 10.0 * 100.0` is a little more than 110, here as in circllhist.
    fn about(seen: f64, expected: f64) -> bool {
        (seen - expected).abs() <= expected * 1e-15
    }

    fn bin_of(value: u64) -> (f64, f64) {
        let bins = Bins::default();
        bins.record(value);
        let counts: Vec<_> = bins.counts().collect();
        assert_eq!(counts.len(), 1, "{value}");
        assert_eq!(counts[0].1, 1);
        (counts[0].0.lower(), counts[0].0.width())
    }

    #[test]
    fn values_fall_into_the_bins_of_circllhist() {
        for (value, lower, width) in [
            (0, 0.0, 0.0),
            (1, 1.0, 0.1),
            (9, 9.0, 0.1),
            (10, 10.0, 1.0),
            (99, 99.0, 1.0),
            (100, 100.0, 10.0),
            (109, 100.0, 10.0),
            (1_234, 1_200.0, 100.0),
            (999_999, 990_000.0, 10_000.0),
            (1_000_000, 1_000_000.0, 100_000.0),
            (VALUE_MAX, 9.2e18, 1e17),
            (u64::MAX, 9.2e18, 1e17),
        ] {
            let (seen_lower, seen_width) = bin_of(value);
            assert!(about(seen_lower, lower) && about(seen_width, width), "{value}");
        }
    }

    /// Every border of the scale: a bin holds its lower bound and not its upper one, and bins are
    /// ordered by value.
    #[test]
    fn bins_tile_the_numbers() {
        let bins = Bins::default();
        let mut value = 0_u64;
        let mut borders = 0_u64;
        while value < VALUE_MAX {
            bins.record(value);
            let bin = bins.counts().last().unwrap().0;
            assert!(about(bin.lower(), value as f64), "{value}");
            borders += 1;
            value =
                value.saturating_add(if value < 100 { 1 } else { 10_u64.pow(value.ilog10() - 1) });
        }
        assert_eq!(bins.counts().count() as u64, borders);
        assert!(bins.counts().is_sorted());
    }
}
