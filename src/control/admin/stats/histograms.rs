//! What the pages show of a histogram, whatever they are written in.

use observe::{Distribution, HistogramSample, QUANTILES};

/// A bucket with how many values it has: in the last interval, and since the start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BucketCounts {
    pub(super) bound: f64,
    pub(super) interval: u64,
    pub(super) cumulative: u64,
}

/// The quantiles in percent: `99.5`.
pub(super) fn percentiles() -> [f64; QUANTILES.len()] {
    QUANTILES.map(|quantile| quantile * 100.0)
}

/// Each quantile: of the last interval, and since the start.
pub(super) fn quantiles(sample: &HistogramSample) -> impl Iterator<Item = (f64, f64)> {
    sample.interval.quantiles().into_iter().zip(sample.cumulative.quantiles())
}

/// Every bucket with all values up to its bound.
pub(super) fn cumulative(
    sample: &HistogramSample,
    bounds: &[f64],
) -> impl Iterator<Item = BucketCounts> {
    bounds.iter().map(|&bound| BucketCounts {
        bound,
        interval: sample.interval.count_up_to(bound),
        cumulative: sample.cumulative.count_up_to(bound),
    })
}

/// Every bucket with the values that are in no earlier one.
pub(super) fn disjoint(
    sample: &HistogramSample,
    bounds: &[f64],
) -> impl Iterator<Item = BucketCounts> {
    let mut below = BucketCounts { bound: 0.0, interval: 0, cumulative: 0 };
    cumulative(sample, bounds).map(move |bucket| {
        let own = BucketCounts {
            bound: bucket.bound,
            interval: bucket.interval - below.interval,
            cumulative: bucket.cumulative - below.cumulative,
        };
        below = bucket;
        own
    })
}

/// Whether there ever was a value.
pub(super) fn used(sample: &HistogramSample) -> bool {
    sample.cumulative != Distribution::default()
}
