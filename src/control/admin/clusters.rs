//! `/clusters`: every cluster with its breakers, and every host with its own figures.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/admin/v3/clusters.proto>

use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;

use cluster::Shared;
use config::model::{Endpoint, Thresholds};
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
        Page::json_in_parts(list_in_parts("cluster_statuses", chosen.map(|one| as_json(&one))))
    } else {
        Page::text_in_parts(chosen.map(|one| as_text(&one)))
    }
}

/// The clusters that a request asks for, one after the other.
struct Chosen {
    view: Rc<View>,
    next: usize,
    filter: Option<Regex>,
}

impl Iterator for Chosen {
    type Item = Arc<Shared>;

    fn next(&mut self) -> Option<Arc<Shared>> {
        let rest = self.view.clusters().get(self.next..)?;
        let wanted = |one: &&Arc<Shared>| {
            self.filter.as_ref().is_none_or(|filter| filter.is_match(&one.config().name))
        };
        let (skipped, found) = rest.iter().enumerate().find(|(_, one)| wanted(one))?;
        self.next += skipped + 1;
        Some(Arc::clone(found))
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

fn as_text(cluster: &Shared) -> String {
    let config = cluster.config();
    let name = &config.name;
    let mut text = format!("{name}::observability_name::{}\n", config.stat_name);
    for (thresholds, word) in [(&config.thresholds, "default"), (&config.high_thresholds, "high")] {
        for (limit, value) in limits(thresholds) {
            let _ = writeln!(text, "{name}::{word}_priority::{limit}::{value}");
        }
    }
    let _ = writeln!(text, "{name}::added_via_api::false");
    for (host, stats) in cluster.hosts() {
        host_text(&mut text, &format!("{name}::{}", host.address), host, stats);
    }
    text
}

fn host_text(text: &mut String, prefix: &str, host: &Endpoint, stats: &ScopeId<HostStat>) {
    for (spec, stat) in HostStat::SPECS.iter().zip(HOST_STATS) {
        let _ = writeln!(text, "{prefix}::{}::{}", spec.name, stats.total(*stat));
    }
    let weight = host.weight.to_string();
    for (name, value) in [
        ("hostname", ""),
        ("health_flags", "healthy"),
        ("weight", weight.as_str()),
        ("region", ""),
        ("zone", ""),
        ("sub_zone", ""),
        ("canary", "false"),
        ("priority", "0"),
        // No outlier detection is configured: there is no rate.
        ("success_rate", "-1"),
        ("local_origin_success_rate", "-1"),
    ] {
        let _ = writeln!(text, "{prefix}::{name}::{value}");
    }
}

/// Envoy's `admin.v3.ClusterStatus`; as in every JSON rendering of protobuf, what has its default
/// is left out.
fn as_json(cluster: &Shared) -> Value {
    let config = cluster.config();
    let hosts: Vec<Value> = cluster.hosts().map(|(host, stats)| host_json(host, stats)).collect();
    let mut status = Map::new();
    status.insert("name".to_owned(), json!(config.name));
    if !hosts.is_empty() {
        status.insert("host_statuses".to_owned(), json!(hosts));
    }
    let thresholds =
        [thresholds(None, &config.thresholds), thresholds(Some("HIGH"), &config.high_thresholds)];
    status.insert("circuit_breakers".to_owned(), json!({ "thresholds": thresholds }));
    status.insert("observability_name".to_owned(), json!(config.stat_name));
    Value::Object(status)
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

fn host_json(host: &Endpoint, stats: &ScopeId<HostStat>) -> Value {
    let of_kind = |kind: Kind| {
        let specs = HostStat::SPECS.iter().zip(HOST_STATS);
        specs.filter(move |(spec, _)| spec.kind == kind)
    };
    // Counters come first, each kind in the order of the names.
    let metrics: Vec<Value> = of_kind(Kind::Counter)
        .chain(of_kind(Kind::Gauge))
        .map(|(spec, stat)| metric(spec.name, spec.kind, stats.total(*stat)))
        .collect();
    json!({
        "address": address_json(&host.address),
        "stats": metrics,
        "health_status": { "eds_health_status": "HEALTHY" },
        "weight": host.weight,
        "locality": {},
    })
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
