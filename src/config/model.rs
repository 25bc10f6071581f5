//! The checked configuration: plain values only, immutable once built.
//!
//! Everything below `server` reads this and never the file. Each value has been checked against
//! Envoy's rules and against what Nuncio supports, so no later code validates it again.

mod access_log;
mod filter_chain;
mod filter_state;
mod http;
mod http2;
mod listener_filter;
mod network_filter;
mod outlier_detection;
mod route;
mod runtime;
mod socket;
mod stats;
mod tcp_proxy;
mod tunneling;
mod upgrade;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::Address;

pub use access_log::{
    AccessLog, AccessLogComparison, AccessLogFilter, AccessLogFormat, AccessLogOperator,
    AccessLogSink, TcpAccessLogOptions,
};
pub use filter_chain::{FilterChain, FilterChainMatch, SourceType, TerminalFilter};
pub use filter_state::{FilterStateValue, ObjectFactory, SetFilterState};
pub use http::{
    HeadersWithUnderscores, Http1Options, HttpCodec, HttpConnectionManager, HttpOptions,
    ServerHeader, UpstreamHttp, UpstreamProtocol,
};
pub use http2::{Http2Keepalive, Http2Options, HttpRuntimeKeys};
pub use listener_filter::{
    ConnectionPredicate, ListenerFilter, ListenerFilterKind, ListenerFilters, PassThroughTlvs,
    ProxyProtocol, TlvLocation, TlvRule,
};
pub use network_filter::{
    ConnectionLimit, LocalRateLimit, NetworkFilter, Permission, Principal, Rbac, RbacAction,
    RbacPolicy, RbacRules, TokenBucket,
};
pub use outlier_detection::{Enforcing, OutlierDetection};
pub use route::{
    DirectResponse, Domain, ForwardAction, GrpcTimeout, PathMatch, RedirectAction, RedirectPath,
    RedirectScheme, Route, RouteAction, RouteConfiguration, StreamDuration, VirtualHost,
};
pub use runtime::{DiskLayer, Runtime, RuntimeFlag, RuntimeLayer, RuntimeSource, RuntimeValue};
pub use socket::{
    ConnectionBalance, IpVersion, ListenAddress, ListenerSockets, ProxyProtocolVersion,
    SocketOption, SocketState, SourceAddress, TcpKeepalive, UpstreamProxyProtocol, UpstreamSockets,
};
pub use stats::{
    HistogramBuckets, StatsConfig, StatsMatcher, StatsTag, StatsTagValue, StringMatcher,
    StringPattern,
};
pub use tcp_proxy::{Backoff, ClusterWeight, EarlyDataOptions, MaxDuration, TcpProxy, TcpRoute};
pub use tunneling::{HeaderAppendAction, HeaderToAdd, TunnelMethod, Tunneling};
pub use upgrade::{ConnectConfig, Upgrade};

/// A whole bootstrap: what one Envoy `Bootstrap` message asks for, as far as Nuncio supports it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bootstrap {
    /// `node`: who this process says it is, shown on the admin pages.
    pub node: Node,
    /// `admin`: absent means no admin listener, as in Envoy.
    pub admin: Option<Admin>,
    /// `layered_runtime`: without it there are no layers.
    pub runtime: Runtime,
    /// `stats_config`.
    pub stats: StatsConfig,
    /// `stats_flush_interval`: not set means 5 seconds.
    pub stats_flush_interval: Option<Duration>,
    /// `stats_flush_on_admin`: there is no interval then, stats are flushed when somebody asks.
    pub stats_flush_on_admin: bool,
    /// `application_log_config.log_format`: absent means what the command line says.
    pub log_format: Option<LogFormat>,
    /// How many connections all listeners together may have at a time, from the overload manager;
    /// absent means that the runtime's value [`Bootstrap::CONNECTIONS_KEY`] says it.
    pub connection_limit: Option<u64>,
    /// `cluster_manager.outlier_detection.event_log_path`: a line for each ejection and each end
    /// of one.
    pub outlier_event_log: Option<String>,
    /// `static_resources.listeners`, in file order.
    pub listeners: Vec<Arc<Listener>>,
    /// `static_resources.clusters`, in file order; names are unique.
    pub clusters: Vec<Arc<Cluster>>,
}

/// Envoy's `ApplicationLogConfig.LogFormat`, in spdlog's pattern language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogFormat {
    /// `text_format`.
    Text(String),
    /// `json_format`, as the text of one JSON object whose strings hold flags.
    Json(String),
}

/// Envoy's `config.core.v3.Node`, the part that is more than shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// `node.id`.
    pub id: String,
    /// `node.cluster`.
    pub cluster: String,
    /// `node.locality`.
    pub locality: Locality,
}

/// Envoy's `config.core.v3.Locality`; what is not set is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Locality {
    /// `region`.
    pub region: String,
    /// `zone`.
    pub zone: String,
    /// `sub_zone`.
    pub sub_zone: String,
}

/// Envoy's `config.bootstrap.v3.Admin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where the admin server listens.
    pub address: SocketAddr,
    /// `socket_address.ipv4_compat`: an IPv6 socket takes IPv4 connections too.
    pub ipv4_compat: bool,
}

/// Envoy's `config.listener.v3.Listener`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// `name`; empty when the file gives none, as Envoy allows.
    pub name: String,
    /// Scope of the listener's stats: `stat_prefix`, or the address with `:` as `_`.
    pub stat_prefix: Option<String>,
    /// `address` and all that is said of the sockets.
    pub sockets: ListenerSockets,
    /// `traffic_direction` is `INBOUND`: which listeners `/drain_listeners?inboundonly` is about.
    pub inbound: bool,
    /// `per_connection_buffer_limit_bytes`, 1 MiB unless set.
    pub per_connection_buffer_limit_bytes: u32,
    /// `ignore_global_conn_limit`: connections are accepted beyond the limit of all listeners
    /// together, and do not count towards it.
    pub ignore_global_connection_limit: bool,
    /// `access_log`: a line for each connection, at its end.
    pub access_logs: Vec<AccessLog>,
    /// What connections pass before they get a filter chain.
    pub listener_filters: ListenerFilters,
    /// `filter_chains`, in file order. No two of them match the same connections equally well.
    pub filter_chains: Vec<FilterChain>,
    /// `default_filter_chain`: for connections that no other chain matches; without one they are
    /// closed. Its own match does not matter.
    pub default_filter_chain: Option<FilterChain>,
}

impl Bootstrap {
    /// What the runtime calls the limit of connections of all listeners together.
    pub const CONNECTIONS_KEY: &str = "overload.global_downstream_max_connections";
}

impl Listener {
    /// What the runtime calls the limit of connections of the listener called `name`.
    #[must_use]
    pub fn connections_key(name: &str) -> String {
        format!("{}{name}{}", Self::CONNECTIONS_KEY_PREFIX, Self::CONNECTIONS_KEY_SUFFIX)
    }

    pub(crate) const CONNECTIONS_KEY_PREFIX: &str = "envoy.resource_limits.listener.";
    pub(crate) const CONNECTIONS_KEY_SUFFIX: &str = ".connection_limit";

    /// Every filter chain, the default one last.
    pub fn chains(&self) -> impl Iterator<Item = &FilterChain> {
        self.filter_chains.iter().chain(&self.default_filter_chain)
    }
}

/// Envoy's `config.cluster.v3.Cluster`, type `STATIC`, policy `ROUND_ROBIN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// `name`, unique in the bootstrap.
    pub name: String,
    /// Scope of the cluster's stats: `alt_stat_name`, or `name`, with `:` as `_`.
    pub stat_name: String,
    /// `connect_timeout`, 5 seconds unless set.
    pub connect_timeout: Duration,
    /// `per_connection_buffer_limit_bytes`, 1 MiB unless set.
    pub per_connection_buffer_limit_bytes: u32,
    /// `circuit_breakers.thresholds` of priority `DEFAULT`.
    pub thresholds: Thresholds,
    /// The same of priority `HIGH`.
    pub high_thresholds: Thresholds,
    /// `circuit_breakers.per_host_thresholds.max_connections` of priority `DEFAULT`: connections
    /// to each host, any number unless set.
    pub host_connections_max: Option<u32>,
    /// `preconnect_policy.per_upstream_preconnect_ratio` in thousandths, 1000 unless set: how many
    /// connections to a host there are to be for each that is used or waited for.
    pub preconnect_per_mille: u32,
    /// `typed_extension_protocol_options` for HTTP; the defaults when there are none.
    pub http: UpstreamHttp,
    /// The same for TCP.
    pub tcp: UpstreamTcp,
    /// What its connections are bound and set to.
    pub sockets: UpstreamSockets,
    /// `transport_socket`, if it is `envoy.transport_sockets.upstream_proxy_protocol`.
    pub proxy_protocol: Option<UpstreamProxyProtocol>,
    /// `outlier_detection`: absent means that every host is always used.
    pub outlier_detection: Option<OutlierDetection>,
    /// When hosts that should be left out are used all the same.
    pub panic: Panic,
    /// Endpoints of `load_assignment`, in file order, priority 0.
    pub endpoints: Vec<Endpoint>,
}

/// Envoy's `config.cluster.v3.CircuitBreakers.Thresholds`: the most of each there may be at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// `max_connections`, 1024 unless set.
    pub max_connections: u32,
    /// `max_pending_requests`, 1024 unless set: how many may wait for a connection.
    pub max_pending_requests: u32,
    /// `max_requests`, 1024 unless set: HTTP requests under way.
    pub max_requests: u32,
    /// `max_retries`, 3 unless set: requests that are tried again.
    pub max_retries: u32,
    /// `max_connection_pools`, any number unless set: pools of connections for HTTP.
    pub max_connection_pools: Option<u32>,
    /// `track_remaining`: stats say what is left of each.
    pub track_remaining: bool,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_pending_requests: 1024,
            max_requests: 1024,
            max_retries: 3,
            max_connection_pools: None,
            track_remaining: false,
        }
    }
}

/// Envoy's `extensions.upstreams.tcp.v3.TcpProtocolOptions`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UpstreamTcp {
    /// `idle_timeout`: how long a connection is kept that nobody has used yet; 10 minutes unless
    /// set, `None` when the file switches it off with `0s`.
    pub idle_timeout: Option<Duration>,
}

/// When a cluster has too few healthy hosts to do without the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panic {
    /// `common_lb_config.healthy_panic_threshold`, in percent of all hosts: with fewer healthy
    /// ones all are used; 50 unless set, and never with 0. The runtime may say otherwise, as
    /// [`Panic::RUNTIME_KEY`].
    pub threshold: u32,
    /// `load_assignment.policy.overprovisioning_factor`, in percent: the healthy part times this
    /// is the part of the traffic that the healthy hosts bear, and if that is all of it there is no
    /// panic; 140 unless set.
    pub overprovisioning_factor: u32,
    /// `load_assignment.policy.weighted_priority_health`: that part is one of the weights.
    pub weighted_health: bool,
}

impl Panic {
    /// What the runtime calls the threshold.
    pub const RUNTIME_KEY: &str = "upstream.healthy_panic_threshold";
}

impl Default for Panic {
    fn default() -> Self {
        Self { threshold: 50, overprovisioning_factor: 140, weighted_health: false }
    }
}

/// Envoy's `config.endpoint.v3.LbEndpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where the host listens.
    pub address: Address,
    /// `load_balancing_weight`, 1 unless set.
    pub weight: u32,
}
