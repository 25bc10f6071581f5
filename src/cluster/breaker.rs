//! Circuit breakers: each one count for the whole process, exact.
//!
//! These counts ([`base::Limit`]) are the only thing that workers share and change.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/circuit_breaking>

use std::rc::Rc;
use std::sync::Arc;

use base::{Level, Limit};
use config::RuntimeSnapshot;
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
    /// Connection pools for HTTP.
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
            Self::Pools => thresholds.max_connection_pools.map_or(Limit::HIGHEST, u64::from),
        }
    }

    /// What the runtime calls the limit.
    fn runtime_key(self) -> &'static str {
        match self {
            Self::Connections => "max_connections",
            Self::Pending => "max_pending_requests",
            Self::Requests => "max_requests",
            Self::Retries => "max_retries",
            Self::Pools => "max_connection_pools",
        }
    }

    /// What the gauge of what is left says.
    fn left(self, level: Level) -> u64 {
        match self {
            // Without a limit, as many as a gauge can say.
            Self::Pools if level.max == Limit::HIGHEST => i64::MAX.unsigned_abs() - level.used,
            _ => level.remaining(),
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

/// Whether a breaker is said to be open; one that never lets anything pass is not.
fn is_open(level: Level) -> bool {
    level.max > 0 && level.is_reached()
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
            let remaining = resource.left(self.limit(resource).level());
            stats.gauge_set(resource.remaining(), remaining);
        }
    }

    /// Takes what the runtime says over, on control's shard. `name` is the beginning of the names
    /// of the values, and `thresholds` are what counts without them.
    pub(crate) fn follow_runtime(
        &self,
        runtime: &RuntimeSnapshot,
        name: &str,
        thresholds: &Thresholds,
        control: &Shard,
    ) {
        let (open, remaining) = (self.open.on(control), &self.remaining);
        let remaining = remaining.as_ref().map(|remaining| remaining.on(control));
        for resource in Resource::ALL {
            let key = resource.runtime_key();
            let max = runtime.integer(&format!("{name}.{key}"), resource.limit(thresholds));
            let before = self.limit(resource).set_max(max);
            let after = Level { max: max.min(Limit::HIGHEST), ..before };
            // The workers count the steps that they make; this is the one that the limit makes. A
            // gauge is a sum, and wraps.
            let step = |after: u64, before: u64| after.wrapping_sub(before);
            let change = step(is_open(after).into(), is_open(before).into());
            open.gauge_add(resource.open(), change);
            if let Some(remaining) = &remaining {
                let change = step(resource.left(after), resource.left(before));
                remaining.gauge_add(resource.remaining(), change);
            }
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

    /// Takes a connection out of the limit, unless it is reached, and out of no host's yet.
    pub(crate) fn try_connection(self: &Rc<Self>) -> Option<ConnectionToken> {
        let before = self.shared.limit(Resource::Connections).try_take()?;
        self.count_taken(Resource::Connections, before);
        Some(ConnectionToken { limits: Rc::clone(self), at_host: None })
    }

    /// Takes a connection even where the limit is reached: for the only one that a worker has to a
    /// host (row D6).
    pub(crate) fn connection_anyway(self: &Rc<Self>) -> ConnectionToken {
        self.take(Resource::Connections);
        ConnectionToken { limits: Rc::clone(self), at_host: None }
    }

    /// Takes one even where the limit is reached; who does it gives it back by
    /// [`WorkerLimits::give_back`].
    pub(crate) fn take(&self, resource: Resource) {
        self.count_taken(resource, self.shared.limit(resource).take());
    }

    fn count_taken(&self, resource: Resource, before: Level) {
        let after = before.with_one_more();
        if is_open(after) && !is_open(before) {
            self.open.gauge_inc(resource.open());
        }
        if after.remaining() < before.remaining()
            && let Some(remaining) = &self.remaining
        {
            remaining.gauge_dec(resource.remaining());
        }
    }

    /// Gives one back.
    pub(crate) fn give_back(&self, resource: Resource) {
        let before = self.shared.limit(resource).give_back();
        let after = before.with_one_less();
        if is_open(before) && !is_open(after) {
            self.open.gauge_dec(resource.open());
        }
        if before.remaining() < after.remaining()
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

impl Drop for Token {
    fn drop(&mut self) {
        self.limits.give_back(self.resource);
    }
}

/// The place of a connection in the limit of its cluster, and in that of its host if it has one.
#[derive(Debug)]
pub(crate) struct ConnectionToken {
    limits: Rc<WorkerLimits>,
    at_host: Option<HostToken>,
}

impl ConnectionToken {
    /// Takes a place at the host, too; comes back as it is if its limit is reached.
    pub(crate) fn at_host(mut self, limit: Option<&Arc<Limit>>) -> Result<Self, Self> {
        if let Some(limit) = limit {
            let Some(at_host) = HostToken::try_take(limit) else { return Err(self) };
            self.at_host = Some(at_host);
        }
        Ok(self)
    }

    /// Takes a place at the host, too, even where its limit is reached (row D6).
    pub(crate) fn at_host_anyway(mut self, limit: Option<&Arc<Limit>>) -> Self {
        self.at_host = limit.map(HostToken::take);
        self
    }

    /// The limits of the cluster.
    pub(crate) fn limits(&self) -> &WorkerLimits {
        &self.limits
    }
}

impl Drop for ConnectionToken {
    fn drop(&mut self) {
        self.limits.give_back(Resource::Connections);
    }
}

/// A place in the limit of a host, given back on drop.
#[derive(Debug)]
struct HostToken(Arc<Limit>);

impl HostToken {
    fn try_take(limit: &Arc<Limit>) -> Option<Self> {
        limit.try_take().map(|_| Self(Arc::clone(limit)))
    }

    fn take(limit: &Arc<Limit>) -> Self {
        limit.take();
        Self(Arc::clone(limit))
    }
}

impl Drop for HostToken {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use config::{RuntimeEntry, RuntimeValues};
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
        let first = limits.try_connection().unwrap();
        assert_eq!(gauges(&shared), (0, 1));
        let second = limits.try_connection().unwrap();
        assert_eq!(gauges(&shared), (1, 0));
        assert!(limits.try_connection().is_none());
        let beyond = limits.connection_anyway();
        assert_eq!((gauges(&shared), limits.used(Connections)), ((1, 0), 3));
        drop(first);
        assert_eq!((gauges(&shared), limits.used(Connections)), ((1, 0), 2));
        drop(beyond);
        assert_eq!(gauges(&shared), (0, 1));
        let third = limits.try_connection().unwrap();
        assert_eq!(gauges(&shared), (1, 0));
        drop((second, third));
        assert_eq!((gauges(&shared), limits.used(Connections)), ((0, 2), 0));
    }

    #[test]
    fn a_limit_of_zero_lets_nothing_pass() {
        let registry = Registry::new(1);
        let shared = limits(&registry, 0);
        let limits = WorkerLimits::new(&shared, &registry.shard(ShardIndex::Worker(0)).unwrap());
        assert!(limits.try_connection().is_none());
        assert_eq!(gauges(&shared), (0, 0));
        drop(limits.connection_anyway());
        assert_eq!(gauges(&shared), (0, 0));
    }

    #[test]
    fn a_limit_that_the_runtime_changes_keeps_its_gauges_true() {
        let registry = Registry::new(1);
        let thresholds =
            Thresholds { max_connections: 2, track_remaining: true, ..Thresholds::default() };
        let shared = Limits::new(&thresholds, "c", "default", &registry);
        let control = registry.shard(ShardIndex::Control).unwrap();
        shared.publish(&control);
        let limits = WorkerLimits::new(&shared, &registry.shard(ShardIndex::Worker(0)).unwrap());
        let held = [limits.try_acquire(Connections), limits.try_acquire(Connections)];
        assert_eq!(gauges(&shared), (1, 0));
        let set = |value: Option<&str>| {
            let entry = |text| ("c.max_connections".to_owned(), RuntimeEntry::parse(text));
            let values = value.map(entry).into_iter().collect();
            let values = RuntimeValues { name: String::new(), values };
            let runtime = RuntimeSnapshot::new(vec![values]);
            shared.follow_runtime(&runtime, "c", &thresholds, &control);
        };
        set(Some("5"));
        assert_eq!(gauges(&shared), (0, 3));
        let third = limits.try_acquire(Connections);
        assert!(third.is_some());
        set(Some("1"));
        assert_eq!(gauges(&shared), (1, 0));
        drop(third);
        assert_eq!(gauges(&shared), (1, 0));
        set(Some("0"));
        assert_eq!(gauges(&shared), (0, 0));
        set(None);
        assert_eq!(gauges(&shared), (1, 0));
        drop(held);
        assert_eq!((gauges(&shared), limits.used(Connections)), ((0, 2), 0));
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
                        let one = limits.try_connection();
                        let two = limits.try_connection();
                        assert!(limits.used(Connections) <= LIMIT.into());
                        drop((one, two));
                    }
                });
            }
        });
        assert_eq!(gauges(&shared), (0, LIMIT.into()));
    }
}
