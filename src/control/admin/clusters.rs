//! `/clusters`: every cluster with its breakers, and every host with its own figures.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/admin/v3/clusters.proto>

use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;

use cluster::{Origin, Shared};
use config::model::{Endpoint, RuntimeValue, Thresholds};
use hyper::StatusCode;
use observe::names::HostStat;
use observe::{Kind, ScopeId, Stat};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::filter;
use super::json::list_in_parts;
use super::listeners::address_json;
use super::page::{Page, Query};
use super::view::View;

/// What `/help` says about the parameters.
pub(crate) const PARAMETERS: &[(&str, &str)] =
    &[("filter", "Regular expression (Google re2) for filtering clusters by name")];

/// Every cluster whose name `filter` matches, in the order of their names.
pub(crate) fn clusters(view: &Rc<View>, query: &Query) -> Page {
    let filter = match query.first("filter").filter(|filter| !filter.is_empty()) {
        None => None,
        Some(filter) => match filter::compiled(filter) {
            Ok(filter) => Some(filter),
            Err(_) => return Page::text(StatusCode::BAD_REQUEST, "Invalid re2 regex"),
        },
    };
    let chosen = Chosen { view: Rc::clone(view), next: 0, filter };
    if query.first("format") == Some("json") {
        Page::json_in_parts(list_in_parts("cluster_statuses", chosen.map(|one| one.json())))
    } else {
        Page::text_in_parts(chosen.map(|one| one.text()))
    }
}

/// The clusters that a request asks for, one after the other.
struct Chosen {
    view: Rc<View>,
    next: usize,
    filter: Option<Regex>,
}

impl Iterator for Chosen {
    type Item = Shown;

    fn next(&mut self) -> Option<Shown> {
        let rest = self.view.clusters().get(self.next..)?;
        let wanted = |one: &&Arc<Shared>| {
            self.filter.as_ref().is_none_or(|filter| filter.is_match(&one.config().name))
        };
        let (skipped, found) = rest.iter().enumerate().find(|(_, one)| wanted(one))?;
        self.next += skipped + 1;
        Some(Shown { view: Rc::clone(&self.view), cluster: Arc::clone(found) })
    }
}

/// Names and values of the limits of one priority, in Envoy's order.
fn limits(thresholds: &Thresholds) -> [(&'static str, u32); 4] {
    [
        ("max_connections", thresholds.max_connections),
        ("max_pending_requests", thresholds.max_pending_requests),
        ("max_requests", thresholds.max_requests),
        ("max_retries", thresholds.max_retries),
    ]
}

/// A cluster that is shown.
struct Shown {
    view: Rc<View>,
    cluster: Arc<Shared>,
}

impl Shown {
    fn text(&self) -> String {
        let config = self.cluster.config();
        let name = &config.name;
        let mut text = format!("{name}::observability_name::{}\n", config.stat_name);
        if config.outlier_detection.is_some() {
            for (origin, prefix) in ORIGINS {
                let found = self.view.outliers().of(name, |detector| detector.comparison(origin));
                let found = found.flatten();
                let average = figure(found.map(|found| found.average));
                let threshold = figure(found.map(|found| found.ejection_threshold));
                let prefix = format!("{name}::outlier::{prefix}success_rate");
                let _ = writeln!(text, "{prefix}_average::{average}");
                let _ = writeln!(text, "{prefix}_ejection_threshold::{threshold}");
            }
        }
        for (thresholds, word) in
            [(&config.thresholds, "default"), (&config.high_thresholds, "high")]
        {
            for (limit, value) in limits(thresholds) {
                let _ = writeln!(text, "{name}::{word}_priority::{limit}::{value}");
            }
        }
        let _ = writeln!(text, "{name}::added_via_api::false");
        for (index, (host, stats)) in self.cluster.hosts().enumerate() {
            let prefix = format!("{name}::{}", host.address);
            host_text(&mut text, &prefix, host, stats, &self.health(index));
        }
        text
    }

    /// Envoy's `admin.v3.ClusterStatus`; as in every JSON rendering of protobuf, what has its
    /// default is left out.
    fn json(&self) -> Value {
        let config = self.cluster.config();
        let mut status = Map::new();
        status.insert("name".to_owned(), json!(config.name));
        let threshold = |origin| {
            let outliers = self.view.outliers();
            let found = outliers.of(&config.name, |detector| detector.comparison(origin)).flatten();
            // As in Envoy, not if it is zero.
            let threshold = found.map(|found| found.ejection_threshold).filter(|it| *it > 0.0);
            threshold.map(percent_json)
        };
        if let Some(threshold) = threshold(Origin::External) {
            status.insert("success_rate_ejection_threshold".to_owned(), threshold);
        }
        let hosts = self.cluster.hosts().enumerate();
        let hosts: Vec<Value> = hosts
            .map(|(index, (host, stats))| host_json(host, stats, &self.health(index)))
            .collect();
        if !hosts.is_empty() {
            status.insert("host_statuses".to_owned(), json!(hosts));
        }
        if let Some(threshold) = threshold(Origin::Local) {
            status.insert("local_origin_success_rate_ejection_threshold".to_owned(), threshold);
        }
        let thresholds = [
            thresholds(None, &config.thresholds),
            thresholds(Some("HIGH"), &config.high_thresholds),
        ];
        status.insert("circuit_breakers".to_owned(), json!({ "thresholds": thresholds }));
        status.insert("observability_name".to_owned(), json!(config.stat_name));
        Value::Object(status)
    }

    fn health(&self, index: usize) -> Health {
        let name = &self.cluster.config().name;
        let rates = self
            .view
            .outliers()
            .of(name, |detector| ORIGINS.map(|(origin, _)| detector.success_rate(index, origin)));
        let [success_rate, local_origin_success_rate] = rates.unwrap_or_default();
        let is_ejected = self.cluster.is_ejected(index);
        Health { is_ejected, success_rate, local_origin_success_rate }
    }
}

const ORIGINS: [(Origin, &str); 2] = [(Origin::External, ""), (Origin::Local, "local_origin_")];

/// What outlier detection says of a host.
struct Health {
    is_ejected: bool,
    success_rate: Option<f64>,
    local_origin_success_rate: Option<f64>,
}

/// A percentage as text, which is -1 if there is none.
fn figure(percent: Option<f64>) -> String {
    RuntimeValue::Number(percent.unwrap_or(-1.0)).to_string()
}

/// Envoy's `type.v3.Percent`.
fn percent_json(percent: f64) -> Value {
    match percent {
        0.0 => json!({}),
        // Without a point where there is nothing behind it.
        _ if percent.fract() == 0.0 => json!({ "value": whole(percent) }),
        _ => json!({ "value": percent }),
    }
}

fn whole(percent: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "it is whole, and at most a hundred")]
    let whole = percent as i64;
    whole
}

fn host_text(
    text: &mut String,
    prefix: &str,
    host: &Endpoint,
    stats: &ScopeId<HostStat>,
    health: &Health,
) {
    for (spec, stat) in HostStat::SPECS.iter().zip(HOST_STATS) {
        let _ = writeln!(text, "{prefix}::{}::{}", spec.name, stats.total(*stat));
    }
    let weight = host.weight.to_string();
    let success_rate = figure(health.success_rate);
    let local_origin_success_rate = figure(health.local_origin_success_rate);
    for (name, value) in [
        ("hostname", ""),
        ("health_flags", if health.is_ejected { "/failed_outlier_check" } else { "healthy" }),
        ("weight", weight.as_str()),
        ("region", ""),
        ("zone", ""),
        ("sub_zone", ""),
        ("canary", "false"),
        ("priority", "0"),
        ("success_rate", success_rate.as_str()),
        ("local_origin_success_rate", local_origin_success_rate.as_str()),
    ] {
        let _ = writeln!(text, "{prefix}::{name}::{value}");
    }
}

fn thresholds(priority: Option<&str>, thresholds: &Thresholds) -> Value {
    let mut shown = Map::new();
    if let Some(priority) = priority {
        shown.insert("priority".to_owned(), json!(priority));
    }
    for (limit, value) in limits(thresholds) {
        shown.insert(limit.to_owned(), json!(value));
    }
    Value::Object(shown)
}

fn host_json(host: &Endpoint, stats: &ScopeId<HostStat>, health: &Health) -> Value {
    let of_kind = |kind: Kind| {
        let specs = HostStat::SPECS.iter().zip(HOST_STATS);
        specs.filter(move |(spec, _)| spec.kind == kind)
    };
    // Counters come first, each kind in the order of the names.
    let metrics: Vec<Value> = of_kind(Kind::Counter)
        .chain(of_kind(Kind::Gauge))
        .map(|(spec, stat)| metric(spec.name, spec.kind, stats.total(*stat)))
        .collect();
    let mut status = Map::new();
    status.insert("address".to_owned(), address_json(&host.address));
    status.insert("stats".to_owned(), json!(metrics));
    let health_status = match health.is_ejected {
        true => json!({ "failed_outlier_check": true, "eds_health_status": "HEALTHY" }),
        false => json!({ "eds_health_status": "HEALTHY" }),
    };
    status.insert("health_status".to_owned(), health_status);
    if let Some(rate) = health.success_rate {
        status.insert("success_rate".to_owned(), percent_json(rate));
    }
    status.insert("weight".to_owned(), json!(host.weight));
    if let Some(rate) = health.local_origin_success_rate {
        status.insert("local_origin_success_rate".to_owned(), percent_json(rate));
    }
    status.insert("locality".to_owned(), json!({}));
    Value::Object(status)
}

/// Envoy's `admin.v3.SimpleMetric`.
fn metric(name: &str, kind: Kind, value: u64) -> Value {
    let mut metric = Map::new();
    if kind == Kind::Gauge {
        metric.insert("type".to_owned(), json!("GAUGE"));
    }
    if value != 0 {
        // A 64-bit number, which JSON renderings of protobuf write as a string.
        metric.insert("value".to_owned(), json!(value.to_string()));
    }
    metric.insert("name".to_owned(), json!(name));
    Value::Object(metric)
}

/// Every stat of a host, in slot order.
const HOST_STATS: &[HostStat] = &[
    HostStat::CxActive,
    HostStat::CxConnectFail,
    HostStat::CxTotal,
    HostStat::RqActive,
    HostStat::RqError,
    HostStat::RqPendingActive,
    HostStat::RqSuccess,
    HostStat::RqTimeout,
    HostStat::RqTotal,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_host_stats_is_whole_and_sorted_by_name() {
        assert_eq!(HOST_STATS.len(), HostStat::SPECS.len());
        assert!(HOST_STATS.iter().enumerate().all(|(slot, stat)| stat.slot() == slot));
        assert!(HostStat::SPECS.is_sorted_by_key(|spec| spec.name));
    }

    #[test]
    fn metrics_leave_out_what_has_its_default() {
        let text = |kind, value| metric("cx", kind, value).to_string();
        assert_eq!(text(Kind::Counter, 0), r#"{"name":"cx"}"#);
        assert_eq!(text(Kind::Gauge, 3), r#"{"type":"GAUGE","value":"3","name":"cx"}"#);
    }
}
