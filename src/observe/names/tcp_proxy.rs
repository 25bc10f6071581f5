//! `tcp.<stat_prefix>.*`
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/network_filters/tcp_proxy_filter>

crate::stats! {
    /// Stats of one `tcp_proxy` filter; filters with the same `stat_prefix` share them.
    pub enum TcpProxyStat {
        /// Connections the filter was given, also those it then could not route or connect.
        DownstreamCxTotal => counter "downstream_cx_total",
        /// Connections closed because there was no route or no such cluster.
        DownstreamCxNoRoute => counter "downstream_cx_no_route",
        /// Bytes sent to downstream.
        DownstreamCxTxBytesTotal => counter "downstream_cx_tx_bytes_total",
        /// Bytes waiting to be sent to downstream.
        DownstreamCxTxBytesBuffered => gauge "downstream_cx_tx_bytes_buffered",
        /// Bytes received from downstream. Without `max_early_data_bytes` nothing is read before an
        /// upstream connection is up.
        DownstreamCxRxBytesTotal => counter "downstream_cx_rx_bytes_total",
        /// Bytes received from downstream and not passed on yet. Envoy's figure stays at the size
        /// of the last read until the next one; ours is what is really held.
        DownstreamCxRxBytesBuffered => gauge "downstream_cx_rx_bytes_buffered",
        /// Times that bytes, or the end, were read before an upstream connection was up.
        EarlyDataReceivedCountTotal => counter "early_data_received_count_total",
        /// Times reading from downstream was paused because upstream took no more.
        DownstreamFlowControlPausedReadingTotal
            => counter "downstream_flow_control_paused_reading_total",
        /// Times reading from downstream was resumed after such a pause.
        DownstreamFlowControlResumedReadingTotal
            => counter "downstream_flow_control_resumed_reading_total",
        /// Connections closed by the idle timeout.
        IdleTimeout => counter "idle_timeout",
        /// Connections closed by `max_downstream_connection_duration`.
        MaxDownstreamConnectionDuration => counter "max_downstream_connection_duration",
        /// Upstream connections that outlived their downstream to send what was left.
        UpstreamFlushTotal => counter "upstream_flush_total",
        /// Upstream connections doing that now.
        UpstreamFlushActive => gauge "upstream_flush_active",
        /// Connections closed because the process drains.
        DownstreamCxDrainClose => counter "downstream_cx_drain_close",
        /// Connections closed by an overload action; zero as long as there is none.
        DownstreamCxOverloadClose => counter "downstream_cx_overload_close",
    }
}

/// The prefix of a `tcp_proxy` with this `stat_prefix`.
#[must_use]
pub fn tcp_proxy_prefix(stat_prefix: &str) -> String {
    format!("tcp.{stat_prefix}")
}
