//! From Envoy's typed messages to [`crate::model`]: the only place that knows both.
//!
//! Judges what neither schema, rules nor support table can: addresses, names used twice, the shape
//! of filter chains. What it reports as invalid the real Envoy refuses as well, in these words
//! where that helps a search engine.
//!
//! **Invariant:** a model value is returned only if nothing fatal was reported for it.

mod access_log;
mod address;
mod cluster;
mod filter_chain;
mod filter_state;
mod http;
mod http2;
mod listener;
mod listener_filter;
mod log_format;
mod network_filter;
mod outlier_detection;
mod overload;
mod protocol_options;
mod route;
mod runtime;
mod socket;
mod stats;
mod tcp_proxy;
mod tunneling;
mod upgrade;
mod upstream_socket;

pub(crate) use runtime::runtime_value;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use base::Address;

use crate::mapper::Incomplete;
use crate::model;
use crate::place::Places;
use crate::problem::{ProblemKind, Problems};
use crate::typed::envoy::config::bootstrap::v3 as pb;
use crate::typed::envoy::config::bootstrap::v3::bootstrap::StatsFlush;
use crate::typed::envoy::config::core::v3 as core;

/// Lowers a whole bootstrap. Parts that cannot be lowered are left out and reported.
pub(crate) fn bootstrap<'a>(
    message: &'a pb::Bootstrap,
    places: &'a Places,
    incomplete: &'a Incomplete,
    problems: &'a mut Problems,
) -> model::Bootstrap {
    let clusters = message.static_resources.iter().flat_map(|resources| &resources.clusters);
    let cluster_names = clusters.map(|cluster| cluster.name.as_str()).collect();
    let mut lower = Lower { places, incomplete, problems, cluster_names };
    let runtime = lower.runtime(message.layered_runtime.as_ref());
    let node = message.node.as_ref().map_or_else(model::Node::default, |node| model::Node {
        id: node.id.clone(),
        cluster: node.cluster.clone(),
        locality: node.locality.as_ref().map_or_else(model::Locality::default, |locality| {
            model::Locality {
                region: locality.region.clone(),
                zone: locality.zone.clone(),
                sub_zone: locality.sub_zone.clone(),
            }
        }),
    });
    // Without an address Envoy opens no admin listener.
    let admin_address = message.admin.as_ref().and_then(|admin| admin.address.as_ref());
    let admin = admin_address.and_then(|address| lower.admin(address));
    let (listeners, clusters) = match &message.static_resources {
        Some(resources) => {
            let manager = message.cluster_manager.as_ref();
            let bind = manager.and_then(|manager| manager.upstream_bind_config.as_ref());
            let listeners = lower.listeners(&resources.listeners);
            let clusters = lower.clusters(&resources.clusters, bind);
            (listeners, clusters)
        }
        None => (Vec::new(), Vec::new()),
    };
    let connection_limit = lower.connection_limit(message.overload_manager.as_ref());
    let stats = lower.stats_config(message.stats_config.as_ref());
    let stats_flush_interval = message.stats_flush_interval.as_ref();
    let stats_flush_interval =
        stats_flush_interval.map(|d| lower.milliseconds(d, "stats_flush_interval"));
    let StatsFlush::StatsFlushOnAdmin(stats_flush_on_admin) =
        message.stats_flush.unwrap_or(StatsFlush::StatsFlushOnAdmin(false));
    let manager = message.cluster_manager.as_ref();
    let outlier_events = manager.and_then(|manager| manager.outlier_detection.as_ref());
    // Envoy writes no events where the path is empty.
    let outlier_event_log = outlier_events.map(|events| events.event_log_path.clone());
    let log_format = lower.log_format(message.application_log_config.as_ref());
    model::Bootstrap {
        node,
        admin,
        runtime,
        connection_limit,
        stats,
        stats_flush_interval,
        stats_flush_on_admin,
        log_format,
        outlier_event_log: outlier_event_log.filter(|path| !path.is_empty()),
        listeners,
        clusters,
    }
}

struct Lower<'a> {
    places: &'a Places,
    incomplete: &'a Incomplete,
    problems: &'a mut Problems,
    /// The clusters of the file, which routes must name.
    cluster_names: HashSet<&'a str>,
}

impl Lower<'_> {
    /// Reports unless the mapper or a rule has already said something about that field.
    fn report(
        &mut self,
        kind: ProblemKind,
        path: &str,
        message: impl Into<String>,
        hint: Option<&str>,
    ) {
        if self.problems.is_reported(path) {
            return;
        }
        let place = self.places.find(path);
        self.problems.push_at_value(kind, &place, path, message, hint.map(str::to_owned));
    }

    fn invalid(&mut self, path: &str, message: impl Into<String>, hint: Option<&str>) {
        self.report(ProblemKind::Invalid, path, message, hint);
    }

    /// Reports that `field` of the message at `path` is absent, unless it was there and unreadable.
    fn absent(&mut self, path: &str, field: &str, message: &str) {
        if !self.incomplete.contains(path) {
            self.invalid(&format!("{path}.{field}"), message, None);
        }
    }

    /// Nothing is said of what stands in something that is refused as a whole.
    fn not_yet(&mut self, path: &str, message: impl Into<String>, hint: Option<&str>) {
        if self.problems.is_inside_reported(path) {
            return;
        }
        self.report(ProblemKind::NotSupportedYet, path, message, hint);
    }

    /// Envoy counts timeouts in whole milliseconds and drops the rest.
    fn milliseconds(&mut self, duration: &prost_types::Duration, path: &str) -> Duration {
        let (Ok(seconds), Ok(nanos)) =
            (u64::try_from(duration.seconds), u32::try_from(duration.nanos))
        else {
            self.invalid(path, "Expected positive duration", None);
            return Duration::ZERO;
        };
        if seconds > DURATION_SECONDS_MAX {
            let hint = format!("the most Envoy takes is {DURATION_SECONDS_MAX}s");
            self.invalid(path, "Duration out-of-range", Some(&hint));
            return Duration::ZERO;
        }
        Duration::new(seconds, nanos - nanos % 1_000_000)
    }

    fn admin(&mut self, message: &core::Address) -> Option<model::Admin> {
        let path = "admin.address";
        let address = self.address(message, path, address::Use::Bind)?;
        let ip = match &address {
            Address::Ip(ip) => *ip,
            Address::Pipe(_) => {
                let hint = Some("give a socket_address, such as 127.0.0.1 and a port");
                self.not_yet(&format!("{path}.pipe"), "admin pages on a Unix-domain socket", hint);
                return None;
            }
        };
        let is_set = |message: &core::address::Address| match message {
            core::address::Address::SocketAddress(message) => message.ipv4_compat,
            core::address::Address::Pipe(_) => false,
        };
        if ip.is_ipv4() && message.address.as_ref().is_some_and(is_set) {
            // Envoy takes it here, and not on a listener.
            let path = format!("{path}.socket_address.ipv4_compat");
            self.report(ProblemKind::Ignored, &path, "it is about IPv6 addresses", None);
            return Some(model::Admin { address: ip, ipv4_compat: false });
        }
        let ipv4_compat = self.ipv4_compat(message, &address, path);
        Some(model::Admin { address: ip, ipv4_compat })
    }

    fn listeners(
        &mut self,
        messages: &[crate::typed::envoy::config::listener::v3::Listener],
    ) -> Vec<Arc<model::Listener>> {
        let mut listeners = Vec::with_capacity(messages.len());
        let mut by_name: HashMap<&str, String> = HashMap::new();
        let mut by_address = HashMap::new();
        for (index, message) in messages.iter().enumerate() {
            let path = format!("static_resources.listeners[{index}]");
            let Some(listener) = self.listener(message, &path) else {
                continue;
            };
            if !message.name.is_empty() {
                if let Some(first) = by_name.get(message.name.as_str()) {
                    let text = format!("a second listener named '{}'", message.name);
                    let hint = format!("only {first} runs, as in Envoy");
                    self.report(ProblemKind::Ignored, &format!("{path}.name"), text, Some(&hint));
                    continue;
                }
                by_name.insert(&message.name, path.clone());
            }
            for (at, one) in listener.sockets.addresses().enumerate() {
                let path = match at {
                    0 => format!("{path}.address"),
                    _ => format!("{path}.additional_addresses[{}].address", at - 1),
                };
                // The kernel gives each socket on port 0 a port of its own.
                if one.address.ip().is_none_or(|ip| ip.port() != 0)
                    && let Some(first) = by_address.insert(one.address.clone(), path.clone())
                {
                    let text = format!("duplicate address {} as in {first}", one.address);
                    self.invalid(&path, text, None);
                }
            }
            listeners.push(Arc::new(listener));
        }
        listeners
    }

    fn clusters(
        &mut self,
        messages: &[crate::typed::envoy::config::cluster::v3::Cluster],
        bind: Option<&core::BindConfig>,
    ) -> Vec<Arc<model::Cluster>> {
        let mut clusters = Vec::with_capacity(messages.len());
        let mut by_name = HashMap::new();
        for (index, message) in messages.iter().enumerate() {
            let path = format!("static_resources.clusters[{index}]");
            if let Some(first) = by_name.insert(message.name.as_str(), path.clone()) {
                let text = format!("duplicate cluster '{}', as in {first}", message.name);
                self.invalid(&format!("{path}.name"), text, None);
            }
            clusters.push(Arc::new(self.cluster(message, bind, &path)));
        }
        clusters
    }
}

/// Longest timeout Envoy takes, from the 64-bit nanoseconds of its clock.
const DURATION_SECONDS_MAX: u64 = 9_223_372_035;

/// Lowering without asking what is supported, for parts that no data path carries out yet.
#[cfg(test)]
pub(crate) fn lower_yaml(yaml: &str) -> (model::Bootstrap, crate::Report) {
    let (message, places, incomplete, mut problems) = read_yaml(yaml, crate::schema::BOOTSTRAP);
    let typed = message.transcode_to().unwrap();
    let bootstrap = bootstrap(&typed, &places, &incomplete, &mut problems);
    (bootstrap, problems.into_report())
}

/// What the mapper makes of a message of the type `name`.
#[cfg(test)]
fn read_yaml(
    yaml: &str,
    name: &str,
) -> (prost_reflect::DynamicMessage, Places, Incomplete, Problems) {
    use crate::document::Format;
    use crate::mapper::{self, UnknownFields};

    let mut problems = Problems::default();
    let root = crate::document::read(yaml.as_bytes(), Format::Yaml, &mut problems).unwrap();
    let descriptor = crate::schema::message(name).unwrap();
    let (mut places, mut incomplete) = (Places::default(), Incomplete::default());
    let unknown = UnknownFields::Refused;
    let message = mapper::map(&root, &descriptor, &places, unknown, &mut incomplete, &mut problems);
    places.add(&Arc::from("test"), root);
    (message, places, incomplete, problems)
}
