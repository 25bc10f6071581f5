//! `envoy.filters.network.connection_limit`: at most so many connections at a time, of all workers
//! together and exact (rows B1 to B4).
//!
//! A connection too many counts as long as it is held, as in Envoy.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/network_filters/connection_limit_filter>

use std::sync::Arc;
use std::time::Duration;

use base::Limit;
use config::model;
use observe::names::{ConnectionLimitStat, connection_limit_prefix};
use observe::{GaugeGuard, Registry, Scope, Shard};

use super::switch::Switch;
use super::{Close, Verdict};

/// That a connection is counted, until it is dropped.
#[derive(Debug)]
pub struct ConnectionToken {
    limit: Arc<Limit>,
    _active: GaugeGuard<ConnectionLimitStat>,
}

impl Drop for ConnectionToken {
    fn drop(&mut self) {
        self.limit.give_back();
    }
}

/// The filter on one worker.
#[derive(Debug)]
pub(super) struct ConnectionLimit {
    switch: Arc<Switch>,
    delay: Option<Duration>,
    limit: Arc<Limit>,
    stats: Scope<ConnectionLimitStat>,
}

impl ConnectionLimit {
    pub(super) fn new(
        config: &model::ConnectionLimit,
        (switch, limit): (&Arc<Switch>, &Arc<Limit>),
        registry: &Registry,
        shard: &Shard,
    ) -> Self {
        Self {
            switch: Arc::clone(switch),
            delay: config.delay,
            limit: Arc::clone(limit),
            stats: registry.scope(&connection_limit_prefix(&config.stat_prefix)).on(shard),
        }
    }

    pub(super) fn on_new_connection(&self, held: &mut Vec<ConnectionToken>) -> Verdict {
        if !self.switch.is_on() {
            return Verdict::Continue;
        }
        let is_within = self.limit.try_take().is_some();
        if !is_within {
            self.limit.take();
        }
        let active = self.stats.guard(ConnectionLimitStat::ActiveConnections);
        held.push(ConnectionToken { limit: Arc::clone(&self.limit), _active: active });
        if is_within {
            return Verdict::Continue;
        }
        self.stats.inc(ConnectionLimitStat::LimitedConnections);
        let close = Close { flag: None, reason: "over_connection_limit", details: None };
        Verdict::Close(self.delay, close)
    }
}

#[cfg(test)]
mod tests {
    use observe::ShardIndex;

    use super::*;

    fn always(default: bool) -> model::RuntimeFlag {
        model::RuntimeFlag { key: String::new(), default }
    }

    fn filter(registry: &Registry, limit: &Arc<Limit>) -> ConnectionLimit {
        let config = model::ConnectionLimit {
            stat_prefix: "c".to_owned(),
            max_connections: 2,
            delay: Some(Duration::from_secs(1)),
            enabled: always(true),
        };
        let shard = registry.shard(ShardIndex::Worker(0)).unwrap();
        let switch = Arc::new(Switch::new(config.enabled.clone()));
        ConnectionLimit::new(&config, (&switch, limit), registry, &shard)
    }

    // Rows: B1, B3
    #[test]
    fn a_connection_too_many_is_held_and_counts_until_it_is_gone() {
        let registry = Registry::new(1);
        let limit = Arc::new(Limit::new(2));
        let filter = filter(&registry, &limit);
        let active = || filter.stats.value(ConnectionLimitStat::ActiveConnections);
        let (mut first, mut second, mut third) = (Vec::new(), Vec::new(), Vec::new());
        assert_eq!(filter.on_new_connection(&mut first), Verdict::Continue);
        assert_eq!(filter.on_new_connection(&mut second), Verdict::Continue);
        let Verdict::Close(delay, close) = filter.on_new_connection(&mut third) else {
            panic!("a third one is let in")
        };
        assert_eq!(delay, Some(Duration::from_secs(1)));
        assert_eq!(close.reason, "over_connection_limit");
        assert_eq!(active(), 3);
        drop(first);
        let mut next = Vec::new();
        assert_ne!(filter.on_new_connection(&mut next), Verdict::Continue, "one is still held");
        drop((next, third));
        assert_eq!(filter.on_new_connection(&mut Vec::new()), Verdict::Continue);
        drop(second);
        assert_eq!(active(), 0);
        assert_eq!(filter.stats.value(ConnectionLimitStat::LimitedConnections), 2);
    }

    // Rows: B4
    #[test]
    fn a_filter_that_is_off_counts_nothing() {
        let registry = Registry::new(1);
        let limit = Arc::new(Limit::new(0));
        let filter = ConnectionLimit {
            switch: Arc::new(Switch::new(always(false))),
            ..filter(&registry, &limit)
        };
        let mut held = Vec::new();
        assert_eq!(filter.on_new_connection(&mut held), Verdict::Continue);
        assert!(held.is_empty());
    }
}
