//! Stats as JSON: a list of names and values, and at its end one object with all histograms.

use std::fmt::Write as _;

use observe::{Distribution, HistogramSample, Sample};
use serde_json::Value;

use super::histograms::{self, BucketCounts};
use super::number::shortest;
use super::selection::Buckets;

/// How the object of the histograms begins and ends.
pub(super) fn histogram_frame(buckets: Buckets) -> (String, &'static str) {
    let percentiles: Vec<String> = histograms::percentiles().into_iter().map(shortest).collect();
    let percentiles = percentiles.join(",");
    match buckets {
        Buckets::Unset | Buckets::Summary | Buckets::Native => (
            format!(
                r#"{{"histograms":{{"supported_quantiles":[{percentiles}],"computed_quantiles":["#
            ),
            "]}}",
        ),
        Buckets::Detailed => (
            format!(r#"{{"histograms":{{"supported_percentiles":[{percentiles}],"details":["#),
            "]}}",
        ),
        Buckets::Cumulative | Buckets::Disjoint => (r#"{"histograms":["#.to_owned(), "]}"),
    }
}

/// `{"name":"cluster.backend.upstream_cx_total","value":7}`
pub(super) fn number(json: &mut String, sample: &Sample) {
    let name = quoted(&sample.name);
    let _ = write!(json, r#"{{"name":{name},"value":{}}}"#, sample.value);
}

/// One entry of the object of the histograms.
pub(super) fn histogram(
    json: &mut String,
    sample: &HistogramSample,
    buckets: Buckets,
    bounds: &[f64],
) {
    let _ = write!(json, r#"{{"name":{},"#, quoted(&sample.name));
    let _ = match buckets {
        Buckets::Unset | Buckets::Summary | Buckets::Native => {
            write!(json, r#""values":{}"#, quantiles(sample))
        }
        Buckets::Cumulative => {
            write!(json, r#""buckets":{}"#, counts(histograms::cumulative(sample, bounds)))
        }
        Buckets::Disjoint => {
            write!(json, r#""buckets":{}"#, counts(histograms::disjoint(sample, bounds)))
        }
        Buckets::Detailed => write!(
            json,
            r#""totals":{},"intervals":{},"percentiles":{}"#,
            detail(&sample.cumulative),
            detail(&sample.interval),
            quantiles(sample)
        ),
    };
    json.push('}');
}

fn quantiles(sample: &HistogramSample) -> String {
    list(histograms::quantiles(sample), |(interval, cumulative)| {
        format!(r#"{{"cumulative":{},"interval":{}}}"#, or_null(cumulative), or_null(interval))
    })
}

fn counts(buckets: impl Iterator<Item = BucketCounts>) -> String {
    list(buckets, |BucketCounts { bound, interval, cumulative }| {
        let bound = shortest(bound);
        format!(r#"{{"upper_bound":{bound},"interval":{interval},"cumulative":{cumulative}}}"#)
    })
}

fn detail(distribution: &Distribution) -> String {
    list(distribution.buckets(), |bucket| {
        let (lower, width) = (shortest(bucket.lower_bound), shortest(bucket.width));
        let count = bucket.count;
        format!(r#"{{"lower_bound":{lower},"width":{width},"count":{count}}}"#)
    })
}

fn list<T>(items: impl Iterator<Item = T>, shown: impl Fn(T) -> String) -> String {
    let items: Vec<String> = items.map(shown).collect();
    format!("[{}]", items.join(","))
}

/// JSON has no word for what is not a number.
fn or_null(value: f64) -> String {
    if value.is_finite() { shortest(value) } else { "null".to_owned() }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
