//! `envoy.filters.network.connection_limit`: at most so many connections at a time, of all workers
//! together and exact (rows B1 to B4).
//!
//! A connection too many counts as long as it is held, as in Envoy.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/network_filters/connection_limit_filter>

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use config::model;
use observe::names::{ConnectionLimitStat, connection_limit_prefix};
use observe::{GaugeGuard, Registry, Scope, Shard};

use super::{Close, Verdict};

/// How many connections a filter has now, on all workers.
#[derive(Debug)]
pub(crate) struct ConnectionCount {
    count: AtomicU64,
    max: u64,
}

impl ConnectionCount {
    pub(super) fn new(max: u64) -> Arc<Self> {
        Arc::new(Self { count: AtomicU64::new(0), max })
    }

    /// Counts one more connection, in any case. Whether it is within the limit.
    fn count(&self) -> bool {
        // Relaxed: the count guards no other memory, and each of its changes is atomic.
        let within = |count: u64| (count < self.max).then(|| count + 1);
        if self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).is_ok() {
            return true;
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        false
    }
}

/// That a connection is counted, until it is dropped.
#[derive(Debug)]
pub struct ConnectionToken {
    count: Arc<ConnectionCount>,
    _active: GaugeGuard<ConnectionLimitStat>,
}

impl Drop for ConnectionToken {
    fn drop(&mut self) {
        self.count.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The filter on one worker.
#[derive(Debug)]
pub(super) struct ConnectionLimit {
    enabled: bool,
    delay: Option<Duration>,
    count: Arc<ConnectionCount>,
    stats: Scope<ConnectionLimitStat>,
}

impl ConnectionLimit {
    pub(super) fn new(
        config: &model::ConnectionLimit,
        count: &Arc<ConnectionCount>,
        registry: &Registry,
        shard: &Shard,
    ) -> Self {
        Self {
            enabled: config.enabled,
            delay: config.delay,
            count: Arc::clone(count),
            stats: registry.scope(&connection_limit_prefix(&config.stat_prefix)).on(shard),
        }
    }

    pub(super) fn on_new_connection(&self, held: &mut Vec<ConnectionToken>) -> Verdict {
        if !self.enabled {
            return Verdict::Continue;
        }
        let is_within = self.count.count();
        let active = self.stats.guard(ConnectionLimitStat::ActiveConnections);
        held.push(ConnectionToken { count: Arc::clone(&self.count), _active: active });
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
    use std::sync::Barrier;
    use std::thread;

    use observe::ShardIndex;

    use super::*;

    fn filter(registry: &Registry, count: &Arc<ConnectionCount>) -> ConnectionLimit {
        let config = model::ConnectionLimit {
            stat_prefix: "c".to_owned(),
            max_connections: 2,
            delay: Some(Duration::from_secs(1)),
            enabled: true,
        };
        let shard = registry.shard(ShardIndex::Worker(0)).unwrap();
        ConnectionLimit::new(&config, count, registry, &shard)
    }

    // Rows: B1, B3
    #[test]
    fn a_connection_too_many_is_held_and_counts_until_it_is_gone() {
        let registry = Registry::new(1);
        let count = ConnectionCount::new(2);
        let filter = filter(&registry, &count);
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
        let count = ConnectionCount::new(0);
        let filter = ConnectionLimit { enabled: false, ..filter(&registry, &count) };
        let mut held = Vec::new();
        assert_eq!(filter.on_new_connection(&mut held), Verdict::Continue);
        assert!(held.is_empty());
    }

    // Rows: B1
    #[test]
    fn workers_that_come_together_never_pass_the_limit() {
        const WORKERS: usize = 4;
        const ROUNDS: usize = 500;
        let count = ConnectionCount::new(2);
        let (barrier, let_in) = (Barrier::new(WORKERS), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        barrier.wait();
                        let_in.fetch_add(count.count().into(), Ordering::Relaxed);
                        barrier.wait();
                        count.count.fetch_sub(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(let_in.into_inner(), 2 * ROUNDS as u64);
        assert_eq!(count.count.load(Ordering::Relaxed), 0);
    }
}
