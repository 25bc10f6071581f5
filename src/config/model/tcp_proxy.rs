//! `envoy.filters.network.tcp_proxy`.

use std::time::Duration;

use super::{AccessLog, TcpAccessLogOptions, Tunneling};

/// Envoy's `extensions.filters.network.tcp_proxy.v3.TcpProxy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpProxy {
    /// `stat_prefix`: stats are `tcp.<stat_prefix>.*`.
    pub stat_prefix: String,
    /// `cluster` or `weighted_clusters`.
    pub route: TcpRoute,
    /// `idle_timeout`: 1 hour unless set; `None` when the file switches it off with `0s`.
    pub idle_timeout: Option<Duration>,
    /// `max_connect_attempts`, 1 unless set, never 0.
    pub max_connect_attempts: u32,
    /// `backoff_options`: attempts follow each other at once unless set.
    pub backoff: Option<Backoff>,
    /// `max_early_data_bytes` and `upstream_connect_mode`.
    pub early_data: Option<EarlyDataOptions>,
    /// `max_downstream_connection_duration`, from the accept.
    pub max_duration: Option<MaxDuration>,
    /// `tunneling_config`.
    pub tunneling: Option<Box<Tunneling>>,
    /// `access_log`.
    pub access_logs: Vec<AccessLog>,
    /// `access_log_options`.
    pub access_log_options: TcpAccessLogOptions,
}

/// Where a connection goes. A cluster that does not exist may be named: connections that are sent
/// there are closed (row C6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TcpRoute {
    /// `cluster`.
    Cluster(String),
    /// `weighted_clusters`: each attempt draws one of them.
    Weighted(Vec<ClusterWeight>),
}

/// Envoy's `TcpProxy.WeightedCluster.ClusterWeight`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterWeight {
    /// `name`.
    pub name: String,
    /// `weight`, at least 1.
    pub weight: u32,
}

/// Envoy's `config.core.v3.BackoffStrategy`: waits of random length, the longest possible of which
/// doubles each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// `base_interval`: the longest that the first wait may be, at least 1 ms.
    pub base_interval: Duration,
    /// `max_interval`, ten times the base unless set: the longest that any wait may be.
    pub max_interval: Duration,
}

/// What is read of a client before its upstream connection is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EarlyDataOptions {
    /// `max_early_data_bytes`: the most of it, 1 MiB at most. Of 0 one byte is read all the same,
    /// if the mode is to wait for it.
    pub bytes_max: u32,
    /// `upstream_connect_mode: ON_DOWNSTREAM_DATA`: upstream is connected only when there is some.
    pub awaits_first: bool,
}

/// How long a connection may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxDuration {
    /// `max_downstream_connection_duration`, at least 1 ms.
    pub base: Duration,
    /// `max_downstream_connection_duration_jitter_percentage` of it, rounded up to milliseconds: a
    /// random time below this is added for each connection.
    pub jitter: Duration,
}
