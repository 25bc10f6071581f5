//! Envoy's log components: which one an event belongs to, and the level each has now.
//!
//! Code that wants a component other than the one of its module names it as the target of the
//! event, `tracing::debug!(target: "pool", ..)`.
//!
//! Invariant: every event belongs to exactly one component, so one table of levels decides all.

use std::sync::atomic::{AtomicU8, Ordering};

use control::LogLevel;
use tracing_core::{Level, LevelFilter, Metadata};

/// Envoy's names, in the order in which its `/logging` page lists them. Those of parts that Nuncio
/// does not have are kept: a script that sets their level moves over unchanged.
#[rustfmt::skip]
const NAMES: [&str; 73] = [
    "a2a", "admin", "ai_protocol_manager", "alternate_protocols_cache", "aws", "assert",
    "backtrace", "basic_auth", "cache_filter", "client", "config", "connection", "conn_handler",
    "compression", "credential_injector", "decompression", "dns", "dubbo", "envoy_bug", "ext_authz",
    "ext_proc", "rocketmq", "file", "filter", "forward_proxy", "geolocation", "grpc",
    "happy_eyeballs", "hc", "health_checker", "http", "http2", "hystrix", "init", "io", "jwt",
    "json_rpc", "kafka", "key_value_store", "lua", "local_rate_limit", "main", "matcher", "mcp",
    "misc", "mongo", "multi_connection", "notification", "oauth2", "quic", "quic_stream", "pool",
    "rate_limit_quota", "rbac", "rds", "redis", "router", "runtime", "stats", "secret", "sse",
    "tap", "testing", "thrift", "tracing", "upstream", "udp", "wasm", "websocket", "golang",
    "stats_sinks", "dynamic_modules", "ip_tagging",
];

/// Which component the events of a module belong to; the first prefix that fits counts.
const MODULES: [(&str, &str); 8] = [
    ("nuncio_config", "config"),
    ("nuncio_reactor", "io"),
    ("nuncio_net", "connection"),
    ("nuncio_cluster", "upstream"),
    ("nuncio_proxy", "filter"),
    ("nuncio_control::admin", "admin"),
    ("nuncio_control", "main"),
    ("nuncio_server", "main"),
];

/// Where events go that nobody claims: those of libraries.
const OTHERS: &str = "misc";

/// A component by its place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Component(usize);

impl Component {
    /// The component called `name`.
    pub(super) fn named(name: &str) -> Option<Self> {
        NAMES.iter().position(|known| *known == name).map(Self)
    }

    /// The component that events with this target belong to.
    pub(super) fn of(target: &str) -> Self {
        let of_module = |target: &str| {
            let (_, name) = MODULES.iter().find(|(prefix, _)| target.starts_with(prefix))?;
            Self::named(name)
        };
        let others = || Self::named(OTHERS).expect("the name is in the list");
        Self::named(target).or_else(|| of_module(target)).unwrap_or_else(others)
    }

    pub(super) fn name(self) -> &'static str {
        NAMES[self.0]
    }
}

/// The level of each component.
#[derive(Debug)]
pub(super) struct Levels([AtomicU8; NAMES.len()]);

impl Levels {
    pub(super) fn new(level: LogLevel) -> Self {
        Self(std::array::from_fn(|_| AtomicU8::new(number(level))))
    }

    pub(super) fn set(&self, component: Component, level: LogLevel) {
        self.0[component.0].store(number(level), Ordering::Relaxed);
    }

    pub(super) fn set_all(&self, level: LogLevel) {
        for one in &self.0 {
            one.store(number(level), Ordering::Relaxed);
        }
    }

    pub(super) fn all(&self) -> Vec<(&'static str, LogLevel)> {
        NAMES.iter().zip(&self.0).map(|(name, level)| (*name, stored(level))).collect()
    }

    /// Whether an event of this kind is wanted now.
    pub(super) fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let level = stored(&self.0[Component::of(metadata.target()).0]);
        level_of(metadata.level()) >= level
    }

    /// The most that any component says.
    pub(super) fn most(&self) -> LevelFilter {
        match self.0.iter().map(stored).min().unwrap_or(LogLevel::Off) {
            LogLevel::Trace => LevelFilter::TRACE,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Warning => LevelFilter::WARN,
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Critical | LogLevel::Off => LevelFilter::OFF,
        }
    }
}

/// Envoy's level of an event. What ends the process is not an event but its last words, so no
/// event is critical.
pub(super) fn level_of(level: &Level) -> LogLevel {
    match *level {
        Level::TRACE => LogLevel::Trace,
        Level::DEBUG => LogLevel::Debug,
        Level::INFO => LogLevel::Info,
        Level::WARN => LogLevel::Warning,
        Level::ERROR => LogLevel::Error,
    }
}

fn number(level: LogLevel) -> u8 {
    LogLevel::ALL.iter().zip(0..).find(|(one, _)| **one == level).map_or(0, |(_, number)| number)
}

fn stored(level: &AtomicU8) -> LogLevel {
    let number = usize::from(level.load(Ordering::Relaxed));
    LogLevel::ALL.get(number).copied().unwrap_or(LogLevel::Info)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_of_ours_has_a_component_and_libraries_share_one() {
        for (target, component) in [
            ("conn_handler", "conn_handler"),
            ("nuncio_proxy::tcp_proxy", "filter"),
            ("nuncio_cluster::connect", "upstream"),
            ("nuncio_control::admin::server", "admin"),
            ("nuncio_control::event_loop", "main"),
            ("nuncio_server::process", "main"),
            ("hyper::proto", "misc"),
            ("pool", "pool"),
        ] {
            assert_eq!(Component::of(target).name(), component, "{target}");
        }
        for (_, component) in MODULES {
            assert!(Component::named(component).is_some(), "{component}");
        }
    }

    #[test]
    fn levels_are_kept_for_each_component() {
        let levels = Levels::new(LogLevel::Warning);
        assert_eq!(levels.most(), LevelFilter::WARN);
        levels.set(Component::of("upstream"), LogLevel::Trace);
        assert_eq!(levels.most(), LevelFilter::TRACE);
        let all = levels.all();
        assert_eq!(all.len(), NAMES.len());
        assert!(all.contains(&("upstream", LogLevel::Trace)));
        assert!(all.contains(&("admin", LogLevel::Warning)));
        levels.set_all(LogLevel::Off);
        assert_eq!(levels.most(), LevelFilter::OFF);
        assert!(levels.all().iter().all(|(_, level)| *level == LogLevel::Off));
    }
}
