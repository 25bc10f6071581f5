//! What the whole process has of one cluster.

use std::sync::Arc;

use config::model;
use observe::names::{ClusterDormantStat, ClusterStat, HostStat, Http1CodecStat, cluster_prefix};
use observe::{Registry, ScopeId, Shard};

use crate::breaker::Breaker;

/// The configuration of a cluster, its circuit breakers and its stats scope. Made once by
/// `server`; every worker makes its own [`crate::Cluster`] from it.
#[derive(Debug)]
pub struct Shared {
    config: Arc<model::Cluster>,
    connections: Arc<Breaker>,
    pending: Arc<Breaker>,
    requests: Arc<Breaker>,
    scope: ScopeId<ClusterStat>,
    registry: Registry,
    /// In the order of the configuration.
    hosts: Box<[ScopeId<HostStat>]>,
}

impl Shared {
    /// The process-wide part of `config`, with its stats in `registry`.
    #[must_use]
    pub fn new(config: Arc<model::Cluster>, registry: &Registry) -> Arc<Self> {
        let cx_open = ClusterStat::CircuitBreakersDefaultCxOpen;
        let connections = Breaker::new(config.max_connections, cx_open);
        let pending_open = ClusterStat::CircuitBreakersDefaultRqPendingOpen;
        let pending = Breaker::new(config.max_pending_requests, pending_open);
        let requests_open = ClusterStat::CircuitBreakersDefaultRqOpen;
        let requests = Breaker::new(config.max_requests, requests_open);
        let prefix = cluster_prefix(&config.stat_name);
        registry.declare::<ClusterDormantStat>(&prefix);
        let scope = registry.scope(&prefix);
        let hosts = config.endpoints.iter().map(|_| registry.unlisted()).collect();
        let registry = registry.clone();
        Arc::new(Self { config, connections, pending, requests, scope, registry, hosts })
    }

    /// Sets the membership stats of the static host list, on control's shard. To be called once.
    pub fn publish_membership(&self, control: &Shard) {
        let stats = self.scope.on(control);
        let hosts = u64::try_from(self.config.endpoints.len()).unwrap_or(u64::MAX);
        stats.gauge_set(ClusterStat::WarmingState, 0);
        // Envoy counts a change, and writes the gauges, only if the first update brought hosts.
        if hosts == 0 {
            return;
        }
        stats.inc(ClusterStat::MembershipChange);
        stats.gauge_set(ClusterStat::MembershipTotal, hosts);
        stats.gauge_set(ClusterStat::MembershipHealthy, hosts);
        stats.gauge_set(ClusterStat::MembershipDegraded, 0);
        stats.gauge_set(ClusterStat::MembershipExcluded, 0);
        stats.add(ClusterStat::DefaultTotalMatchCount, hosts);
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &model::Cluster {
        &self.config
    }

    /// The hosts, each with its stats.
    pub fn hosts(&self) -> impl Iterator<Item = (&model::Endpoint, &ScopeId<HostStat>)> {
        self.config.endpoints.iter().zip(&self.hosts)
    }

    /// The stats of the host at this place of the configuration.
    pub(crate) fn host(&self, index: usize) -> Option<&ScopeId<HostStat>> {
        self.hosts.get(index)
    }

    /// The breaker for connections, connecting or connected.
    pub(crate) fn connections(&self) -> &Arc<Breaker> {
        &self.connections
    }

    /// The breaker for those who wait for a connect.
    pub(crate) fn pending(&self) -> &Arc<Breaker> {
        &self.pending
    }

    /// The breaker for HTTP requests under way.
    pub(crate) fn requests(&self) -> &Arc<Breaker> {
        &self.requests
    }

    /// Makes the stats known that a cluster has once it is spoken to in HTTP/1.
    pub(crate) fn declare_http1(&self) {
        let prefix = format!("{}.http1", cluster_prefix(&self.config.stat_name));
        self.registry.declare::<Http1CodecStat>(&prefix);
    }

    pub(crate) fn scope(&self) -> &ScopeId<ClusterStat> {
        &self.scope
    }
}
