//! `cluster.<name>.*`
//!
//! A connection that `tcp_proxy` takes from a pool counts as a request there: `upstream_rq_*`
//! moves for it as for an HTTP request.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/upstream/cluster_manager/cluster_stats>

crate::stats! {
    /// Stats of one cluster.
    pub enum ClusterStat {
        /// Connects started, also those that fail.
        UpstreamCxTotal => counter "upstream_cx_total",
        /// Connections that are connecting or connected now.
        UpstreamCxActive => gauge "upstream_cx_active",
        /// Connects that failed, by refusal, reset or timeout.
        UpstreamCxConnectFail => counter "upstream_cx_connect_fail",
        /// Connects cut by `connect_timeout`; these count as `upstream_cx_connect_fail` too.
        UpstreamCxConnectTimeout => counter "upstream_cx_connect_timeout",
        /// Connections of downstream given up after `max_connect_attempts`.
        UpstreamCxConnectAttemptsExceeded => counter "upstream_cx_connect_attempts_exceeded",
        /// Times the circuit breaker for connections said no.
        UpstreamCxOverflow => counter "upstream_cx_overflow",
        /// Times the circuit breaker for connection pools said no.
        UpstreamCxPoolOverflow => counter "upstream_cx_pool_overflow",
        /// Times there was no healthy host to connect to.
        UpstreamCxNoneHealthy => counter "upstream_cx_none_healthy",
        /// Connections gone, also those that never connected.
        UpstreamCxDestroy => counter "upstream_cx_destroy",
        /// Connections gone because we closed them.
        UpstreamCxDestroyLocal => counter "upstream_cx_destroy_local",
        /// Connections gone because the host closed or refused them.
        UpstreamCxDestroyRemote => counter "upstream_cx_destroy_remote",
        /// Connections gone while in use, by whichever side.
        UpstreamCxDestroyWithActiveRq => counter "upstream_cx_destroy_with_active_rq",
        /// Connections we closed while in use.
        UpstreamCxDestroyLocalWithActiveRq => counter "upstream_cx_destroy_local_with_active_rq",
        /// Connections the host closed while in use.
        UpstreamCxDestroyRemoteWithActiveRq
            => counter "upstream_cx_destroy_remote_with_active_rq",
        /// HTTP/1 connections that were made.
        UpstreamCxHttp1Total => counter "upstream_cx_http1_total",
        /// HTTP/2 connections that were made.
        UpstreamCxHttp2Total => counter "upstream_cx_http2_total",
        /// Connections that had their last request, by `max_requests_per_connection`.
        UpstreamCxMaxRequests => counter "upstream_cx_max_requests",
        /// Connections closed because the host did not speak its protocol.
        UpstreamCxProtocolError => counter "upstream_cx_protocol_error",
        /// Connections whose host announced that it closes them.
        UpstreamCxCloseNotify => counter "upstream_cx_close_notify",
        /// Connections closed by the pool's idle timeout.
        UpstreamCxIdleTimeout => counter "upstream_cx_idle_timeout",
        /// Connections that took no more requests, by `max_connection_duration`.
        UpstreamCxMaxDurationReached => counter "upstream_cx_max_duration_reached",
        /// From the first SYN until the connection was up, of those that came up.
        UpstreamCxConnectMs => histogram "upstream_cx_connect_ms" ms,
        /// From the first SYN to the end, also of those that never connected.
        UpstreamCxLengthMs => histogram "upstream_cx_length_ms" ms,
        /// Bytes received from hosts.
        UpstreamCxRxBytesTotal => counter "upstream_cx_rx_bytes_total",
        /// Bytes received from hosts and not passed on yet.
        UpstreamCxRxBytesBuffered => gauge "upstream_cx_rx_bytes_buffered",
        /// Bytes sent to hosts.
        UpstreamCxTxBytesTotal => counter "upstream_cx_tx_bytes_total",
        /// Bytes waiting to be sent to hosts.
        UpstreamCxTxBytesBuffered => gauge "upstream_cx_tx_bytes_buffered",
        /// Times reading from a host was paused because downstream took no more.
        UpstreamFlowControlPausedReadingTotal
            => counter "upstream_flow_control_paused_reading_total",
        /// Times reading from a host was resumed after such a pause.
        UpstreamFlowControlResumedReadingTotal
            => counter "upstream_flow_control_resumed_reading_total",
        /// Times a connection to a host had more to send than its buffer limit.
        UpstreamFlowControlBackedUpTotal => counter "upstream_flow_control_backed_up_total",
        /// Times such a connection was drained again.
        UpstreamFlowControlDrainedTotal => counter "upstream_flow_control_drained_total",
        /// Connected connections handed to a user.
        UpstreamRqTotal => counter "upstream_rq_total",
        /// Connected connections in use now.
        UpstreamRqActive => gauge "upstream_rq_active",
        /// Users turned away because as many requests were under way as may be.
        UpstreamRqActiveOverflow => counter "upstream_rq_active_overflow",
        /// Responses, and replies of ours in their place.
        UpstreamRqCompleted => counter "upstream_rq_completed",
        /// Requests without a complete response in time.
        UpstreamRqTimeout => counter "upstream_rq_timeout",
        /// Requests that an upstream had for longer than `max_stream_duration`.
        UpstreamRqMaxDurationReached => counter "upstream_rq_max_duration_reached",
        /// Requests whose stream the host has reset. HTTP/2.
        UpstreamRqRxReset => counter "upstream_rq_rx_reset",
        /// Tunnels whose stream the host has reset without an error behind its own end. HTTP/2.
        UpstreamRqRxResetNoError => counter "upstream_rq_rx_reset_no_error",
        /// Requests whose stream we have reset, or that a broken rule ended. HTTP/2.
        UpstreamRqTxReset => counter "upstream_rq_tx_reset",
        /// Requests that a connection carried, over its life.
        UpstreamRqPerCx => histogram "upstream_rq_per_cx",
        /// Users who had to wait for a connect.
        UpstreamRqPendingTotal => counter "upstream_rq_pending_total",
        /// Users waiting for a connect now.
        UpstreamRqPendingActive => gauge "upstream_rq_pending_active",
        /// Users turned away because too many waited.
        UpstreamRqPendingOverflow => counter "upstream_rq_pending_overflow",
        /// Users turned away because the connect they waited for failed.
        UpstreamRqPendingFailureEject => counter "upstream_rq_pending_failure_eject",
        /// Users who left while they waited.
        UpstreamRqCancelled => counter "upstream_rq_cancelled",
        /// Sockets whose source address could not be bound.
        BindErrors => counter "bind_errors",
        /// Times every host was used because too few were healthy.
        LbHealthyPanic => counter "lb_healthy_panic",
        /// Times the set of hosts changed, its first filling included.
        MembershipChange => counter "membership_change",
        /// Hosts of the cluster.
        MembershipTotal => gauge "membership_total",
        /// Hosts whose transport socket is the cluster's default one; there is no other yet.
        DefaultTotalMatchCount => counter "default.total_match_count",
        /// Hosts in use for load balancing; without health checks, all.
        MembershipHealthy => gauge "membership_healthy",
        /// Hosts that asked for less traffic; zero without health checks.
        MembershipDegraded => gauge "membership_degraded",
        /// Hosts kept out of load balancing; zero without health checks.
        MembershipExcluded => gauge "membership_excluded",
        /// Largest host weight, set by hashing load balancers only; zero for the others.
        MaxHostWeight => gauge "max_host_weight",
        /// 1 while the cluster waits for its first hosts; a static cluster never does.
        WarmingState => gauge "warming_state",
    }
}

/// The prefix of a cluster: `name` is `alt_stat_name` where the cluster has one.
#[must_use]
pub fn cluster_prefix(name: &str) -> String {
    format!("cluster.{name}")
}
