//! Stats as plain text: one line each, `detailed` histograms in four.

use std::fmt::Write as _;

use observe::{Distribution, HistogramSample, Sample};

use super::histograms::{self, BucketCounts};
use super::number::{general, plain};
use super::selection::Buckets;

/// `cluster.backend.upstream_cx_total: 7`
pub(super) fn number(text: &mut String, sample: &Sample) {
    let _ = writeln!(text, "{}: {}", sample.name, sample.value);
}

/// `cluster.backend.upstream_cx_length_ms: P0(1.05,1.05) ...`: the last interval, and all.
pub(super) fn histogram(
    text: &mut String,
    sample: &HistogramSample,
    buckets: Buckets,
    bounds: &[f64],
) {
    let name = &sample.name;
    if !histograms::used(sample) {
        let _ = writeln!(text, "{name}: No recorded values");
        return;
    }
    let _ = match buckets {
        Buckets::Unset | Buckets::Summary | Buckets::Native => {
            writeln!(text, "{name}: {}", summary(sample))
        }
        Buckets::Cumulative => {
            writeln!(text, "{name}: {}", counts(histograms::cumulative(sample, bounds)))
        }
        Buckets::Disjoint => {
            writeln!(text, "{name}: {}", counts(histograms::disjoint(sample, bounds)))
        }
        Buckets::Detailed => writeln!(
            text,
            "{name}:\n  totals={}\n  intervals={}\n  summary={}",
            detail(&sample.cumulative),
            detail(&sample.interval),
            summary(sample)
        ),
    };
}

fn summary(sample: &HistogramSample) -> String {
    let values = histograms::percentiles().into_iter().zip(histograms::quantiles(sample));
    joined(values, " ", |(percentile, (interval, cumulative))| {
        format!("P{}({},{})", general(percentile, 6), plain(interval), plain(cumulative))
    })
}

fn counts(buckets: impl Iterator<Item = BucketCounts>) -> String {
    joined(buckets, " ", |BucketCounts { bound, interval, cumulative }| {
        format!("B{}({interval},{cumulative})", general(bound, 6))
    })
}

fn detail(distribution: &Distribution) -> String {
    joined(distribution.buckets(), ", ", |bucket| {
        let (lower, width) = (general(bucket.lower_bound, 6), general(bucket.width, 6));
        format!("{lower},{width}:{}", bucket.count)
    })
}

fn joined<T>(
    items: impl Iterator<Item = T>,
    separator: &str,
    shown: impl Fn(T) -> String,
) -> String {
    let items: Vec<String> = items.map(shown).collect();
    items.join(separator)
}
