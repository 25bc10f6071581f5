//! `envoy.filters.network.tcp_proxy`.

use std::time::Duration;

use super::{AccessLog, TcpAccessLogOptions};

/// Envoy's `extensions.filters.network.tcp_proxy.v3.TcpProxy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpProxy {
    /// `stat_prefix`: stats are `tcp.<stat_prefix>.*`.
    pub stat_prefix: String,
    /// `cluster`: may name a cluster that does not exist; such connections are closed (row C6).
    pub cluster: String,
    /// `idle_timeout`: 1 hour unless set; `None` when the file switches it off with `0s`.
    pub idle_timeout: Option<Duration>,
    /// `max_connect_attempts`, 1 unless set, never 0.
    pub max_connect_attempts: u32,
    /// `access_log`.
    pub access_logs: Vec<AccessLog>,
    /// `access_log_options`.
    pub access_log_options: TcpAccessLogOptions,
}
