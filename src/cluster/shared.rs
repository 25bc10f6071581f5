//! What the whole process has of one cluster.

use std::sync::Arc;

use base::Limit;
use config::{RuntimeSnapshot, model};
use observe::names::{
    ClusterDormantStat, ClusterStat, HostStat, Http1CodecStat, Http2CodecDormantStat,
    Http2CodecStat, UpstreamProxyProtocolStat, cluster_prefix, outlier_detection_prefix,
};
use observe::{Registry, ScopeId, Shard};

use crate::balancer::PanicThreshold;
use crate::breaker::Limits;
use crate::outlier::{Detector, Watched};

/// The configuration of a cluster, its circuit breakers and its stats scope. Made once by
/// `server`; every worker makes its own [`crate::Cluster`] from it.
#[derive(Debug)]
pub struct Shared {
    config: Arc<model::Cluster>,
    /// Of priority `DEFAULT`.
    limits: Arc<Limits>,
    /// Of priority `HIGH`, at which nothing is sent: they are only shown.
    high_limits: Arc<Limits>,
    scope: ScopeId<ClusterStat>,
    registry: Registry,
    /// In the order of the configuration.
    hosts: Box<[ScopeId<HostStat>]>,
    /// How many connections each host may have, with `per_host_thresholds` only.
    host_limits: Box<[Arc<Limit>]>,
    proxy_protocol: Option<ScopeId<UpstreamProxyProtocolStat>>,
    panic: PanicThreshold,
    /// With `outlier_detection` only.
    watched: Option<Arc<Watched>>,
}

impl Shared {
    /// The process-wide part of `config`, with its stats in `registry`.
    #[must_use]
    pub fn new(config: Arc<model::Cluster>, registry: &Registry) -> Arc<Self> {
        let limits = |thresholds, priority: &str| {
            Limits::new(thresholds, &config.stat_name, priority, registry)
        };
        let high_limits = limits(&config.high_thresholds, "high");
        let limits = limits(&config.thresholds, "default");
        let prefix = cluster_prefix(&config.stat_name);
        registry.declare::<ClusterDormantStat>(&prefix);
        let proxy_protocol = config.proxy_protocol.as_ref();
        let proxy_protocol =
            proxy_protocol.map(|_| registry.scope(&format!("{prefix}.upstream.proxyprotocol")));
        let scope = registry.scope(&prefix);
        let hosts = config.endpoints.iter().map(|_| registry.unlisted()).collect();
        let host_limit = |max: u32| Arc::new(Limit::new(max.into()));
        let max = config.host_connections_max;
        let host_limits = config.endpoints.iter().filter_map(|_| max.map(host_limit)).collect();
        let watched = config.outlier_detection.as_ref();
        let watched = watched.map(|it| Watched::new(it, config.endpoints.len(), registry));
        let registry = registry.clone();
        Arc::new(Self {
            panic: PanicThreshold::new(config.panic),
            watched: watched.map(Arc::new),
            config,
            limits,
            high_limits,
            scope,
            registry,
            hosts,
            host_limits,
            proxy_protocol,
        })
    }

    /// The stats of the headers that connections begin with, if they do.
    pub(crate) fn proxy_protocol(&self) -> Option<&ScopeId<UpstreamProxyProtocolStat>> {
        self.proxy_protocol.as_ref()
    }

    /// Sets the stats of the static host list and of the limits, on control's shard. To be called
    /// once.
    pub fn publish(&self, control: &Shard) {
        self.limits.publish(control);
        self.high_limits.publish(control);
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

    /// Who decides which hosts are left out, if the cluster is configured so. To be made once, on
    /// control's shard.
    #[must_use]
    pub fn detector(&self, control: &Shard) -> Option<Detector> {
        let prefix = outlier_detection_prefix(&self.config.stat_name);
        let watched = self.watched.as_ref()?;
        let stats = (&self.registry.scope(&prefix), &self.scope);
        Some(Detector::new(&self.config, watched, stats, control))
    }

    /// Whether the host at this place of the configuration is left out.
    #[must_use]
    pub fn is_ejected(&self, host: usize) -> bool {
        self.watched.as_ref().is_some_and(|watched| watched.is_ejected(host))
    }

    /// What outlier detection sees of the hosts, if they are watched.
    pub(crate) fn watched(&self) -> Option<&Arc<Watched>> {
        self.watched.as_ref()
    }

    /// When too few hosts are healthy.
    pub(crate) fn panic(&self) -> &PanicThreshold {
        &self.panic
    }

    /// Takes the limits over that the runtime says, on control's shard.
    pub fn follow_runtime(&self, runtime: &RuntimeSnapshot, control: &Shard) {
        let model::Cluster { name, thresholds, high_thresholds, .. } = &*self.config;
        let priorities =
            [("default", &self.limits, thresholds), ("high", &self.high_limits, high_thresholds)];
        for (priority, limits, thresholds) in priorities {
            let name = format!("circuit_breakers.{name}.{priority}");
            limits.follow_runtime(runtime, &name, thresholds, control);
        }
        self.panic.follow_runtime(runtime);
        if let (Some(watched), Some(config)) = (&self.watched, &self.config.outlier_detection) {
            watched.follow_runtime(runtime, config);
        }
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

    /// How many connections the host at this place of the configuration may have.
    pub(crate) fn host_limit(&self, index: usize) -> Option<&Arc<Limit>> {
        self.host_limits.get(index)
    }

    /// The circuit breakers of priority `DEFAULT`.
    pub(crate) fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// Makes the stats known that a cluster has once it is spoken to in HTTP/1.
    pub(crate) fn declare_http1(&self) {
        let prefix = format!("{}.http1", cluster_prefix(&self.config.stat_name));
        self.registry.declare::<Http1CodecStat>(&prefix);
    }

    /// As [`Shared::declare_http1`], of HTTP/2. Returns where its codec counts.
    pub(crate) fn declare_http2(&self) -> ScopeId<Http2CodecStat> {
        let prefix = format!("{}.http2", cluster_prefix(&self.config.stat_name));
        self.registry.declare::<Http2CodecDormantStat>(&prefix);
        self.registry.scope(&prefix)
    }

    pub(crate) fn scope(&self) -> &ScopeId<ClusterStat> {
        &self.scope
    }
}
