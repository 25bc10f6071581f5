//! Prometheus' text format, with the metric names and labels that Envoy gives the same stats, so
//! that dashboards made for Envoy work unchanged.
//!
//! All lines of a metric must stand together, so one kind of stats is collected after the other:
//! counters, gauges, histograms.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/operations/admin#get--stats-prometheus>

use std::collections::BTreeMap;
use std::fmt::Write as _;

use observe::{HistogramSample, QUANTILES, Sample};

use super::histograms;
use super::number::{general, plain};
use super::selection::Buckets;
use super::tags::{Tagged, Tagger};

/// Digits that Envoy writes of a number: enough for any of them to be exact.
const DIGITS: usize = 32;

/// Stats of one kind by metric, each with its labels.
#[derive(Debug)]
pub(super) struct Metrics<T> {
    by_name: BTreeMap<String, Vec<(String, T)>>,
}

impl<T> Default for Metrics<T> {
    fn default() -> Self {
        Self { by_name: BTreeMap::new() }
    }
}

impl<T> Metrics<T> {
    /// Sorts a stat under its metric.
    pub(super) fn add(&mut self, tagger: &Tagger, stat: &str, value: T) {
        let Tagged { name, tags } = tagger.tagged(stat);
        // Part by part, as Envoy sorts: `cluster.x` before `cluster-y.x`.
        let key = name.replace('.', "\u{1}");
        self.by_name.entry(key).or_default().push((labels(&tags), value));
    }
}

/// The text of each metric, one after the other.
pub(super) fn numbers(
    metrics: Metrics<Sample>,
    kind: &'static str,
) -> impl Iterator<Item = String> {
    metrics.by_name.into_iter().map(move |(name, stats)| {
        let (name, mut text) = head(&name, kind);
        for (labels, sample) in stats {
            let _ = writeln!(text, "{name}{{{labels}}} {}", sample.value);
        }
        text
    })
}

/// The text of each metric. `bounds` are those of the buckets of the histogram of this name.
pub(super) fn histograms<'a, B: AsRef<[f64]>>(
    metrics: Metrics<HistogramSample>,
    buckets: Buckets,
    bounds: impl Fn(&str) -> B + 'a,
) -> impl Iterator<Item = String> + 'a {
    metrics.by_name.into_iter().map(move |(name, stats)| {
        let summary = buckets == Buckets::Summary;
        let (name, mut text) = head(&name, if summary { "summary" } else { "histogram" });
        for (labels, sample) in stats {
            if summary {
                quantiles(&mut text, &name, &labels, &sample);
            } else {
                counts(&mut text, &name, &labels, &sample, bounds(&sample.name).as_ref());
            }
            let (sum, count) = (sample.cumulative.sum(), sample.cumulative.count());
            let _ = writeln!(text, "{name}_sum{{{labels}}} {}", general(sum, DIGITS));
            let _ = writeln!(text, "{name}_count{{{labels}}} {count}");
        }
        text
    })
}

fn counts(text: &mut String, name: &str, labels: &str, sample: &HistogramSample, bounds: &[f64]) {
    let comma = if labels.is_empty() { "" } else { "," };
    for bucket in histograms::cumulative(sample, bounds) {
        let (bound, count) = (general(bucket.bound, DIGITS), bucket.cumulative);
        let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}");
    }
    let count = sample.cumulative.count();
    let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}");
}

fn quantiles(text: &mut String, name: &str, labels: &str, sample: &HistogramSample) {
    let comma = if labels.is_empty() { "" } else { "," };
    for (quantile, value) in QUANTILES.into_iter().zip(sample.cumulative.quantiles()) {
        let (quantile, value) = (plain(quantile), general(value, DIGITS));
        let _ = writeln!(text, "{name}{{{labels}{comma}quantile=\"{quantile}\"}} {value}");
    }
}

/// The metric's full name, and the line that says what it is.
fn head(name: &str, kind: &str) -> (String, String) {
    let name = format!("envoy_{}", sanitized(name));
    let text = format!("# TYPE {name} {kind}\n");
    (name, text)
}

fn labels(tags: &[(&str, &str)]) -> String {
    let labels: Vec<String> = tags
        .iter()
        .map(|(tag, value)| format!("{}=\"{}\"", sanitized(tag), escaped(value)))
        .collect();
    labels.join(",")
}

/// What is neither letter, digit nor underscore becomes an underscore.
fn sanitized(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use config::model::StatsConfig;
    use observe::Kind;

    use super::*;

    #[test]
    fn lines_of_a_metric_stand_together_below_its_type() {
        let tagger = Tagger::new(&StatsConfig::default(), &[]);
        let mut metrics = Metrics::default();
        for name in [
            "cluster.a.upstream_cx_total",
            "cluster.a.bind_errors",
            "cluster.b|\"\\.upstream_cx_total",
            "cluster_manager.x",
        ] {
            let kind = Kind::Counter;
            let sample = Sample { name: name.to_owned(), kind, value: 1, used: true };
            metrics.add(&tagger, name, sample);
        }
        let text: String = numbers(metrics, "counter").collect();
        assert_eq!(
            text,
            "# TYPE envoy_cluster_bind_errors counter\n\
             envoy_cluster_bind_errors{envoy_cluster_name=\"a\"} 1\n\
             # TYPE envoy_cluster_upstream_cx_total counter\n\
             envoy_cluster_upstream_cx_total{envoy_cluster_name=\"a\"} 1\n\
             envoy_cluster_upstream_cx_total{envoy_cluster_name=\"b|\\\"\\\\\"} 1\n\
             # TYPE envoy_cluster_manager_x counter\n\
             envoy_cluster_manager_x{} 1\n"
        );
    }
}
