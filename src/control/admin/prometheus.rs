//! Prometheus' text format, with the metric names and labels that Envoy gives the same stats, so
//! that dashboards made for Envoy work unchanged.
//!
//! The variable parts of a stat name become labels: `cluster.backend.upstream_cx_total` is
//! `envoy_cluster_upstream_cx_total{envoy_cluster_name="backend"}`. The rules are those of Envoy's
//! default tag extraction, as far as we have such stats; a cluster name with a dot in it is cut at
//! the dot, as there.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/operations/admin#get--stats-prometheus>

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use observe::{Kind, Sample};
use regex::Regex;

/// A listener's address at the start of a name, with the dot behind it.
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\A(?:(?:\d{1,3}\.){3}\d{1,3}|\[[a-fA-F_\d]+\])_\d+\.").expect("a valid pattern")
});

/// All samples of one kind after the other, one `# TYPE` line before each metric.
pub(super) fn exposition<'a>(samples: impl Iterator<Item = &'a Sample>) -> String {
    let (mut counters, mut gauges) = (BTreeMap::new(), BTreeMap::new());
    for sample in samples {
        let metric = Metric::of(&sample.name);
        let metrics = match sample.kind {
            Kind::Counter => &mut counters,
            Kind::Gauge => &mut gauges,
            Kind::Histogram(_) => continue,
        };
        let lines: &mut Vec<_> = metrics.entry(metric.name).or_default();
        lines.push((metric.labels, sample.value));
    }
    let mut text = String::new();
    for (metrics, kind) in [(counters, "counter"), (gauges, "gauge")] {
        for (name, lines) in metrics {
            let name = format!("envoy_{}", sanitized(&name));
            let _ = writeln!(text, "# TYPE {name} {kind}");
            for (labels, value) in lines {
                let labels: Vec<String> = labels
                    .iter()
                    .map(|(label, value)| format!("envoy_{label}=\"{}\"", escaped(value)))
                    .collect();
                let _ = writeln!(text, "{name}{{{}}} {value}", labels.join(","));
            }
        }
    }
    text
}

/// A stat name taken apart: what is constant, and what is a label.
#[derive(Debug, PartialEq, Eq)]
struct Metric<'a> {
    /// Dotted, without the values of the labels.
    name: String,
    labels: Vec<(&'static str, &'a str)>,
}

impl<'a> Metric<'a> {
    fn of(stat: &'a str) -> Self {
        let mut labels = Vec::new();
        let name = Self::without_class(stat, &mut labels);
        let constant = |kind: &str, rest: &str| format!("{kind}.{rest}");
        let name = match name.split_once('.') {
            Some(("tcp", rest)) => constant("tcp", cut(rest, "tcp_prefix", &mut labels)),
            Some(("cluster", rest)) => constant("cluster", cut(rest, "cluster_name", &mut labels)),
            Some(("http", rest)) => {
                constant("http", cut(rest, "http_conn_manager_prefix", &mut labels))
            }
            Some(("listener", rest)) => Self::of_listener(rest, &mut labels),
            Some(("nuncio", rest)) => match rest.strip_prefix("worker.") {
                Some(rest) => {
                    let (worker, rest) = cut_worker(rest, &mut labels);
                    format!("nuncio.worker.{worker}{rest}")
                }
                None => constant("nuncio", rest),
            },
            _ => name.to_owned(),
        };
        let suffix =
            if labels.first().is_some_and(|(label, _)| *label == CLASS) { "_xx" } else { "" };
        Self { name: name + suffix, labels }
    }

    /// `listener.` is cut off already. The admin listener is named, not labelled.
    fn of_listener(rest: &'a str, labels: &mut Vec<(&'static str, &'a str)>) -> String {
        let dot = ADDRESS.find(rest).map(|address| address.end() - 1).or_else(|| rest.find('.'));
        let Some((address, rest)) = dot.map(|dot| (&rest[..dot], &rest[dot + 1..])) else {
            return format!("listener.{rest}");
        };
        let (worker, rest) = cut_worker(rest, labels);
        if address == "admin" {
            return format!("listener.admin.{worker}{rest}");
        }
        labels.push(("listener_address", address));
        format!("listener.{worker}{rest}")
    }

    /// Cuts the class off `..._rq_2xx`, down to `..._rq`.
    fn without_class(stat: &'a str, labels: &mut Vec<(&'static str, &'a str)>) -> &'a str {
        let cut = stat.strip_suffix("xx").and_then(|stat| stat.rsplit_once('_'));
        match cut {
            Some((stem, class))
                if stem.ends_with("_rq")
                    && class.len() == 1
                    && class.as_bytes()[0].is_ascii_digit() =>
            {
                labels.push((CLASS, class));
                stem
            }
            _ => stat,
        }
    }
}

/// Label of the first digit of a status.
const CLASS: &str = "response_code_class";

/// Takes the first part of `rest` as the value of `label`.
fn cut<'a>(
    rest: &'a str,
    label: &'static str,
    labels: &mut Vec<(&'static str, &'a str)>,
) -> &'a str {
    match rest.split_once('.') {
        Some((value, rest)) => {
            labels.push((label, value));
            rest
        }
        None => rest,
    }
}

/// Takes `worker_3.` off: the number is the label, the word stays, as in Envoy.
fn cut_worker<'a>(
    rest: &'a str,
    labels: &mut Vec<(&'static str, &'a str)>,
) -> (&'static str, &'a str) {
    let worker = rest.strip_prefix("worker_").and_then(|rest| rest.split_once('.'));
    match worker {
        Some((index, rest)) if index.bytes().all(|byte| byte.is_ascii_digit()) => {
            labels.push(("worker_id", index));
            ("worker_", rest)
        }
        _ => ("", rest),
    }
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
    use super::*;

    /// Left as Envoy 1.40 names it on `/stats`, right on `/stats/prometheus`.
    const ENVOY: &[(&str, &str)] = &[
        (
            "cluster.up.upstream_cx_total",
            r#"envoy_cluster_upstream_cx_total{envoy_cluster_name="up"}"#,
        ),
        (
            "cluster.up.circuit_breakers.default.cx_open",
            r#"envoy_cluster_circuit_breakers_default_cx_open{envoy_cluster_name="up"}"#,
        ),
        ("cluster_manager.cluster_added", "envoy_cluster_manager_cluster_added{}"),
        (
            "http.admin.downstream_rq_2xx",
            concat!(
                r#"envoy_http_downstream_rq_xx{envoy_response_code_class="2","#,
                r#"envoy_http_conn_manager_prefix="admin"}"#
            ),
        ),
        ("listener.admin.downstream_cx_total", "envoy_listener_admin_downstream_cx_total{}"),
        (
            "listener.127.0.0.1_19100.downstream_cx_destroy",
            r#"envoy_listener_downstream_cx_destroy{envoy_listener_address="127.0.0.1_19100"}"#,
        ),
        (
            "listener.[__1]_19103.worker_0.downstream_cx_active",
            concat!(
                r#"envoy_listener_worker_downstream_cx_active{envoy_worker_id="0","#,
                r#"envoy_listener_address="[__1]_19103"}"#
            ),
        ),
        (
            "listener.my_prefix.no_filter_chain_match",
            r#"envoy_listener_no_filter_chain_match{envoy_listener_address="my_prefix"}"#,
        ),
        ("listener_manager.workers_started", "envoy_listener_manager_workers_started{}"),
        ("server.uptime", "envoy_server_uptime{}"),
        (
            "tcp.ingress_tcp.idle_timeout",
            r#"envoy_tcp_idle_timeout{envoy_tcp_prefix="ingress_tcp"}"#,
        ),
        // Ours.
        ("nuncio.worker.accepted", "envoy_nuncio_worker_accepted{}"),
        (
            "nuncio.worker.worker_12.accepted",
            r#"envoy_nuncio_worker_worker_accepted{envoy_worker_id="12"}"#,
        ),
        // Not what they look like.
        ("cluster.only", "envoy_cluster_only{}"),
        ("listener.only", "envoy_listener_only{}"),
        ("server.worker_x.rq_2xx", "envoy_server_worker_x_rq_2xx{}"),
    ];

    #[test]
    fn names_and_labels_are_envoys() {
        for (stat, expected) in ENVOY {
            let sample =
                Sample { name: (*stat).to_owned(), kind: Kind::Counter, value: 3, used: true };
            let text = exposition([sample].iter());
            assert_eq!(text.lines().nth(1), Some(format!("{expected} 3").as_str()), "{stat}");
        }
    }

    #[test]
    fn metrics_are_grouped_below_one_type_line_counters_first() {
        let sample =
            |name: &str, kind| Sample { name: name.to_owned(), kind, value: 1, used: true };
        let samples = [
            sample("cluster.a.membership_total", Kind::Gauge),
            sample("cluster.a.upstream_cx_total", Kind::Counter),
            sample("cluster.b|\"\\.upstream_cx_total", Kind::Counter),
        ];
        assert_eq!(
            exposition(samples.iter()),
            "# TYPE envoy_cluster_upstream_cx_total counter\n\
             envoy_cluster_upstream_cx_total{envoy_cluster_name=\"a\"} 1\n\
             envoy_cluster_upstream_cx_total{envoy_cluster_name=\"b|\\\"\\\\\"} 1\n\
             # TYPE envoy_cluster_membership_total gauge\n\
             envoy_cluster_membership_total{envoy_cluster_name=\"a\"} 1\n"
        );
    }
}
