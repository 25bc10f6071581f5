//! Circuit breakers: each one count for the whole process, exact.
//!
//! These counts ([`base::Limit`]) are the only thing that workers share and change.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/circuit_breaking>

use std::rc::Rc;
use std::sync::Arc;

use base::Limit;
use config::model::Thresholds;
use observe::names::{BreakerStat, RemainingStat, breaker_prefix};
use observe::{Registry, Scope, ScopeId, Shard};

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    /// Connections, connecting or connected.
    Connections,
    /// Those who wait for a connection.
    Pending,
    /// HTTP requests under way.
    Requests,
    /// Requests that are tried again.
    Retries,
    /// Connection pools.
    Pools,
}

impl Resource {
    const ALL: [Self; 5] =
        [Self::Connections, Self::Pending, Self::Requests, Self::Retries, Self::Pools];

    fn limit(self, thresholds: &Thresholds) -> u64 {
        match self {
            Self::Connections => thresholds.max_connections.into(),
            Self::Pending => thresholds.max_pending_requests.into(),
            Self::Requests => thresholds.max_requests.into(),
            Self::Retries => thresholds.max_retries.into(),
            // As many as a gauge can say.
            Self::Pools => i64::MAX.unsigned_abs(),
        }
    }

    /// The gauge that is 1 while the limit is reached.
    fn open(self) -> BreakerStat {
        match self {
            Self::Connections => BreakerStat::CxOpen,
            Self::Pending => BreakerStat::RqPendingOpen,
            Self::Requests => BreakerStat::RqOpen,
            Self::Retries => BreakerStat::RqRetryOpen,
            Self::Pools => BreakerStat::CxPoolOpen,
        }
    }

    fn remaining(self) -> RemainingStat {
        match self {
            Self::Connections => RemainingStat::RemainingCx,
            Self::Pending => RemainingStat::RemainingPending,
            Self::Requests => RemainingStat::RemainingRq,
            Self::Retries => RemainingStat::RemainingRetries,
            Self::Pools => RemainingStat::RemainingCxPools,
        }
    }
}

/// The limits of one cluster at one priority, for the whole process.
#[derive(Debug)]
pub(crate) struct Limits {
    /// In the order of `Resource`.
    limits: [Limit; Resource::ALL.len()],
    open: ScopeId<BreakerStat>,
    /// With `track_remaining` only.
    remaining: Option<ScopeId<RemainingStat>>,
}

impl Limits {
    /// The limits `thresholds` of the cluster that stats call `cluster`. `priority` is what they
    /// call the priority.
    pub(crate) fn new(
        thresholds: &Thresholds,
        cluster: &str,
        priority: &str,
        registry: &Registry,
    ) -> Arc<Self> {
        let prefix = breaker_prefix(cluster, priority);
        Arc::new(Self {
            limits: Resource::ALL.map(|resource| Limit::new(resource.limit(thresholds))),
            open: registry.scope(&prefix),
            remaining: thresholds.track_remaining.then(|| registry.scope(&prefix)),
        })
    }

    /// Sets what is left at first, on control's shard. To be called once.
    pub(crate) fn publish(&self, control: &Shard) {
        let Some(remaining) = &self.remaining else { return };
        let stats = remaining.on(control);
        for resource in Resource::ALL {
            stats.gauge_set(resource.remaining(), self.limit(resource).max());
        }
    }

    fn limit(&self, resource: Resource) -> &Limit {
        &self.limits[resource as usize]
    }
}

/// The limits as one worker sees them.
#[derive(Debug)]
pub(crate) struct WorkerLimits {
    shared: Arc<Limits>,
    open: Scope<BreakerStat>,
    remaining: Option<Scope<RemainingStat>>,
}

impl WorkerLimits {
    pub(crate) fn new(shared: &Arc<Limits>, shard: &Shard) -> Rc<Self> {
        Rc::new(Self {
            shared: Arc::clone(shared),
            open: shared.open.on(shard),
            remaining: shared.remaining.as_ref().map(|remaining| remaining.on(shard)),
        })
    }

    /// Takes one out of the limit, unless it is reached. The token gives it back.
    pub(crate) fn try_acquire(self: &Rc<Self>, resource: Resource) -> Option<Token> {
        self.count_taken(resource, self.shared.limit(resource).try_take()?);
        Some(Token { limits: Rc::clone(self), resource })
    }

    /// Takes one out of the limit even where it is reached: for the only connection that a worker
    /// has to a host (row D6).
    pub(crate) fn acquire_anyway(self: &Rc<Self>, resource: Resource) -> Token {
        self.take(resource);
        Token { limits: Rc::clone(self), resource }
    }

    /// Takes one even where the limit is reached; who does it gives it back by
    /// [`WorkerLimits::give_back`].
    pub(crate) fn take(&self, resource: Resource) {
        self.count_taken(resource, self.shared.limit(resource).take());
    }

    fn count_taken(&self, resource: Resource, before: u64) {
        let limit = self.shared.limit(resource).max();
        if before + 1 == limit {
            self.open.gauge_inc(resource.open());
        }
        if before < limit
            && let Some(remaining) = &self.remaining
        {
            remaining.gauge_dec(resource.remaining());
        }
    }

    /// Gives one back.
    pub(crate) fn give_back(&self, resource: Resource) {
        let limit = self.shared.limit(resource);
        let before = limit.give_back();
        if before == limit.max() {
            self.open.gauge_dec(resource.open());
        }
        if before <= limit.max()
            && let Some(remaining) = &self.remaining
        {
            remaining.gauge_inc(resource.remaining());
        }
    }

    #[cfg(test)]
    pub(crate) fn used(&self, resource: Resource) -> u64 {
        self.shared.limit(resource).used()
    }
}

/// One share of a limit, given back on drop.
///
/// Of all workers exactly one sees each step onto the limit and each step off it, so the shards of
/// the gauge add up to 0 or 1.
#[derive(Debug)]
pub(crate) struct Token {
    limits: Rc<WorkerLimits>,
    resource: Resource,
}

impl Token {
    /// The limits that it is a share of.
    pub(crate) fn limits(&self) -> &WorkerLimits {
        &self.limits
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.limits.give_back(self.resource);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use observe::ShardIndex;

    use super::*;
    use Resource::Connections;

    fn limits(registry: &Registry, max_connections: u32) -> Arc<Limits> {
        let thresholds =
            Thresholds { max_connections, track_remaining: true, ..Thresholds::default() };
        let limits = Limits::new(&thresholds, "c", "default", registry);
        limits.publish(&registry.shard(ShardIndex::Control).unwrap());
        limits
    }

    fn gauges(limits: &Limits) -> (u64, u64) {
        let remaining = limits.remaining.as_ref().unwrap();
        (limits.open.total(BreakerStat::CxOpen), remaining.total(RemainingStat::RemainingCx))
    }

    #[test]
    fn the_limit_is_reached_and_not_passed_and_the_gauges_say_so() {
        let registry = Registry::new(1);
        let shared = limits(&registry, 2);
        let limits = WorkerLimits::new(&shared, &registry.shard(ShardIndex::Worker(0)).unwrap());
        assert_eq!(gauges(&shared), (0, 2));
        let first = limits.try_acquire(Connections).unwrap();
        assert_eq!(gauges(&shared), (0, 1));
        let second = limits.try_acquire(Connections).unwrap();
        assert_eq!(gauges(&shared), (1, 0));
        assert!(limits.try_acquire(Connections).is_none());
        let beyond = limits.acquire_anyway(Connections);
        assert_eq!((gauges(&shared), limits.used(Connections)), ((1, 0), 3));
        drop(first);
        assert_eq!((gauges(&shared), limits.used(Connections)), ((1, 0), 2));
        drop(beyond);
        assert_eq!(gauges(&shared), (0, 1));
        let third = limits.try_acquire(Connections).unwrap();
        assert_eq!(gauges(&shared), (1, 0));
        drop((second, third));
        assert_eq!((gauges(&shared), limits.used(Connections)), ((0, 2), 0));
    }

    #[test]
    fn a_limit_of_zero_lets_nothing_pass() {
        let registry = Registry::new(1);
        let shared = limits(&registry, 0);
        let limits = WorkerLimits::new(&shared, &registry.shard(ShardIndex::Worker(0)).unwrap());
        assert!(limits.try_acquire(Connections).is_none());
        assert_eq!(gauges(&shared), (0, 0));
        drop(limits.acquire_anyway(Connections));
        assert_eq!(gauges(&shared), (0, 0));
    }

    #[test]
    fn many_workers_together_never_pass_the_limit() {
        const WORKERS: usize = 4;
        const LIMIT: u32 = 3;
        const ROUNDS: usize = 20_000;
        let registry = Registry::new(WORKERS);
        let shared = limits(&registry, LIMIT);
        let start = Barrier::new(WORKERS);
        thread::scope(|threads| {
            for worker in 0..WORKERS {
                let (registry, shared, start) = (&registry, &shared, &start);
                threads.spawn(move || {
                    let shard = registry.shard(ShardIndex::Worker(worker)).unwrap();
                    let limits = WorkerLimits::new(shared, &shard);
                    start.wait();
                    for _ in 0..ROUNDS {
                        let one = limits.try_acquire(Connections);
                        let two = limits.try_acquire(Connections);
                        assert!(limits.used(Connections) <= LIMIT.into());
                        drop((one, two));
                    }
                });
            }
        });
        assert_eq!(gauges(&shared), (0, LIMIT.into()));
    }
}
