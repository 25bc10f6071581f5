//! Who may come in: the limits of connections, one count each for the whole process, exact.
//!
//! Envoy looks, then counts: workers that do so together may pass its limits. Here the look and the
//! count are one compare-and-swap.
//!
//! **Invariant:** no more connections hold a place than there are, whatever the workers do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use config::model;
use filter::{BucketsByKey, SharedFilters};
use observe::Scope;
use observe::names::ListenerStat;

use crate::balance::{Balance, Seat};
use crate::http::Prepared;

/// A limit of connections.
#[derive(Debug)]
pub struct ConnectionLimit {
    count: AtomicU64,
    max: u64,
}

impl ConnectionLimit {
    /// At most `max` at a time.
    #[must_use]
    pub fn new(max: u64) -> Arc<Self> {
        Arc::new(Self { count: AtomicU64::new(0), max })
    }

    fn take(self: &Arc<Self>) -> Option<Place> {
        // Relaxed: the count guards no other memory, and each of its changes is atomic.
        let take = |count: u64| (count < self.max).then(|| count + 1);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        Some(Place(Arc::clone(self)))
    }
}

/// One of a limit's places, given back on drop.
#[derive(Debug)]
struct Place(Arc<ConnectionLimit>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What all workers share of one listener.
#[derive(Debug)]
pub struct ListenerShared {
    global: Option<Arc<ConnectionLimit>>,
    own: Option<Arc<ConnectionLimit>>,
    pub(crate) filters: SharedFilters,
    /// By filter chain: what every worker reads of its connection manager, if it has one.
    pub(crate) managers: Box<[Option<Arc<Prepared>>]>,
    /// One for each address, if the listener balances exactly.
    pub(crate) balances: Box<[Arc<Balance>]>,
}

impl ListenerShared {
    /// For a listener on `workers` workers; `global` limits all listeners together, and `buckets`
    /// are what their rate limits share.
    #[must_use]
    pub fn new(
        config: &model::Listener,
        global: Option<&Arc<ConnectionLimit>>,
        buckets: &mut BucketsByKey,
        workers: usize,
    ) -> Arc<Self> {
        let addresses = match config.sockets.balance {
            model::ConnectionBalance::Exact => config.sockets.addresses().count(),
            model::ConnectionBalance::Kernel | model::ConnectionBalance::CpuLocality => 0,
        };
        Arc::new(Self {
            global: global.filter(|_| !config.ignore_global_connection_limit).cloned(),
            own: config.connection_limit.map(ConnectionLimit::new),
            filters: SharedFilters::new(config, buckets),
            managers: config.chains().map(Prepared::of_chain).collect(),
            balances: (0..addresses).map(|_| Balance::new(workers)).collect(),
        })
    }

    /// Admits one more connection, or counts why not.
    pub(crate) fn admit(&self, stats: &Scope<ListenerStat>) -> Result<Admission, Refused> {
        let take = |limit: &Option<Arc<ConnectionLimit>>, overflow| match limit {
            None => Ok(None),
            Some(limit) => limit.take().map(Some).ok_or_else(|| {
                stats.inc(overflow);
                Refused
            }),
        };
        // In Envoy's order.
        let global = take(&self.global, ListenerStat::DownstreamGlobalCxOverflow)?;
        let own = take(&self.own, ListenerStat::DownstreamCxOverflow)?;
        if global.is_none() && own.is_none() {
            return Ok(Admission(None));
        }
        Ok(Admission(Some(Box::new(Held { _global: global, _own: own, seat: None }))))
    }
}

/// There is no room for another connection. It has been counted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused;

/// What a connection holds as long as it is there; nothing, as a rule.
#[derive(Debug)]
pub(crate) struct Admission(Option<Box<Held>>);

#[derive(Debug, Default)]
struct Held {
    _global: Option<Place>,
    _own: Option<Place>,
    seat: Option<Seat>,
}

impl Admission {
    /// The connection belongs to the worker that `seat` counts it for.
    pub(crate) fn seated(mut self, seat: Seat) -> Self {
        self.0.get_or_insert_default().seat = Some(seat);
        self
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use observe::{Registry, ShardIndex};

    use super::*;
    use crate::tests::listener_config;

    fn shared(global: Option<&Arc<ConnectionLimit>>, own: Option<u64>) -> Arc<ListenerShared> {
        let mut config = (*listener_config(model::TerminalFilter::Echo)).clone();
        config.connection_limit = own;
        ListenerShared::new(&config, global, &mut BucketsByKey::default(), 1)
    }

    #[test]
    fn a_connection_over_a_limit_is_refused_and_counted_by_the_limit_it_met() {
        let registry = Registry::new(1);
        let scope = registry.scope::<ListenerStat>("listener.l");
        let stats = scope.on(&registry.shard(ShardIndex::Worker(0)).unwrap());
        let global = ConnectionLimit::new(2);
        let (one, other) = (shared(Some(&global), Some(1)), shared(Some(&global), None));
        let first = one.admit(&stats).unwrap();
        assert!(one.admit(&stats).is_err());
        // The place that the refused one had of the global limit is free again.
        let second = other.admit(&stats).unwrap();
        assert!(other.admit(&stats).is_err() && one.admit(&stats).is_err());
        assert_eq!(scope.total(ListenerStat::DownstreamCxOverflow), 1);
        assert_eq!(scope.total(ListenerStat::DownstreamGlobalCxOverflow), 2);
        drop(first);
        drop((one.admit(&stats).unwrap(), second));
        assert_eq!(global.count.load(Ordering::Relaxed), 0);
        assert!(shared(None, None).admit(&stats).unwrap().0.is_none(), "nothing is allocated");
        assert!(shared(None, Some(0)).admit(&stats).is_err());
    }

    #[test]
    fn many_workers_together_never_pass_a_limit() {
        let limit = ConnectionLimit::new(3);
        thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for _ in 0..20_000 {
                        let places = [limit.take(), limit.take()];
                        assert!(limit.count.load(Ordering::Relaxed) <= 3);
                        drop(places);
                    }
                });
            }
        });
        assert_eq!(limit.count.load(Ordering::Relaxed), 0);
    }
}
