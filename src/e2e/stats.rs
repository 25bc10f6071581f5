//! The admin page `/stats`, and which of its values are compared with Envoy's.

use std::collections::BTreeMap;

/// Counters and gauges by name. Histograms and text values are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stats(BTreeMap<String, u64>);

impl Stats {
    /// Reads Envoy's text form: one `name: value` per line.
    pub(crate) fn parse(page: &str) -> Self {
        let number = |line: &str| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Self(page.lines().filter_map(number).collect())
    }

    /// The value called `name`, if the page has it.
    pub(crate) fn value(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }

    /// All names and values, sorted by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }
}

/// Compared under `listener.<stat_prefix or address>.`.
pub(crate) const LISTENER: &[&str] = &[
    "downstream_cx_active",
    "downstream_cx_destroy",
    "downstream_cx_overflow",
    "downstream_cx_total",
    "no_filter_chain_match",
];

/// Compared under `tcp.<stat_prefix>.`.
pub(crate) const TCP_PROXY: &[&str] = &[
    "downstream_cx_no_route",
    "downstream_cx_rx_bytes_buffered",
    "downstream_cx_rx_bytes_total",
    "downstream_cx_total",
    "downstream_cx_tx_bytes_buffered",
    "downstream_cx_tx_bytes_total",
    "downstream_flow_control_paused_reading_total",
    "downstream_flow_control_resumed_reading_total",
    "idle_timeout",
    "upstream_flush_active",
    "upstream_flush_total",
];

/// Compared under `cluster.<name>.`, whatever runs over its connections.
pub(crate) const CLUSTER: &[&str] = &[
    "circuit_breakers.default.cx_open",
    "membership_change",
    "membership_healthy",
    "membership_total",
    "upstream_cx_active",
    "upstream_cx_connect_attempts_exceeded",
    "upstream_cx_connect_fail",
    "upstream_cx_connect_timeout",
    "upstream_cx_destroy",
    "upstream_cx_destroy_local",
    "upstream_cx_destroy_local_with_active_rq",
    "upstream_cx_destroy_remote",
    "upstream_cx_destroy_remote_with_active_rq",
    "upstream_cx_destroy_with_active_rq",
    "upstream_cx_idle_timeout",
    "upstream_cx_none_healthy",
    "upstream_cx_overflow",
    "upstream_cx_rx_bytes_buffered",
    "upstream_cx_rx_bytes_total",
    "upstream_cx_total",
    "upstream_cx_tx_bytes_buffered",
    "upstream_cx_tx_bytes_total",
    "upstream_flow_control_backed_up_total",
    "upstream_flow_control_drained_total",
    "upstream_flow_control_paused_reading_total",
    "upstream_flow_control_resumed_reading_total",
    "upstream_rq_active",
    "upstream_rq_cancelled",
    "upstream_rq_pending_active",
    "upstream_rq_pending_failure_eject",
    "upstream_rq_pending_overflow",
    "upstream_rq_pending_total",
    "upstream_rq_total",
];

/// Compared under `http.<stat_prefix>.`.
pub(crate) const HTTP: &[&str] = &[
    "downstream_cx_active",
    "downstream_cx_destroy",
    "downstream_cx_http1_active",
    "downstream_cx_http1_total",
    "downstream_cx_protocol_error",
    "downstream_cx_rx_bytes_total",
    "downstream_cx_total",
    "downstream_cx_tx_bytes_total",
    "downstream_rq_1xx",
    "downstream_rq_2xx",
    "downstream_rq_3xx",
    "downstream_rq_4xx",
    "downstream_rq_5xx",
    "downstream_rq_active",
    "downstream_rq_completed",
    "downstream_rq_http1_total",
    "downstream_rq_rx_reset",
    "downstream_rq_total",
    "no_cluster",
    "no_route",
    "rq_direct_response",
    "rq_redirect",
    "rq_total",
];

/// Compared under `cluster.<name>.` besides if HTTP runs over its connections.
pub(crate) const CLUSTER_HTTP: &[&str] = &[
    "upstream_cx_http1_total",
    "upstream_rq_2xx",
    "upstream_rq_3xx",
    "upstream_rq_4xx",
    "upstream_rq_5xx",
    "upstream_rq_completed",
    "upstream_rq_rx_reset",
    "upstream_rq_timeout",
    "upstream_rq_tx_reset",
];
