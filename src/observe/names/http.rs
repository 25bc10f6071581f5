//! `http.<stat_prefix>.*`, of an HTTP connection manager.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/stats>

crate::stats! {
    /// Stats of one HTTP connection manager.
    pub enum HttpStat {
        /// Connections accepted.
        DownstreamCxTotal => counter "downstream_cx_total",
        /// Connections there now.
        DownstreamCxActive => gauge "downstream_cx_active",
        /// Connections that spoke HTTP/1, from their first byte.
        DownstreamCxHttp1Total => counter "downstream_cx_http1_total",
        /// Such connections there now.
        DownstreamCxHttp1Active => gauge "downstream_cx_http1_active",
        /// Connections that spoke HTTP/2.
        DownstreamCxHttp2Total => counter "downstream_cx_http2_total",
        /// Such connections there now.
        DownstreamCxHttp2Active => gauge "downstream_cx_http2_active",
        /// Connections gone.
        DownstreamCxDestroy => counter "downstream_cx_destroy",
        /// Connections gone because we closed them.
        DownstreamCxDestroyLocal => counter "downstream_cx_destroy_local",
        /// Connections gone because the client closed them.
        DownstreamCxDestroyRemote => counter "downstream_cx_destroy_remote",
        /// Connections gone in the middle of a request.
        DownstreamCxDestroyActiveRq => counter "downstream_cx_destroy_active_rq",
        /// Such that we closed.
        DownstreamCxDestroyLocalActiveRq => counter "downstream_cx_destroy_local_active_rq",
        /// Such that the client closed.
        DownstreamCxDestroyRemoteActiveRq => counter "downstream_cx_destroy_remote_active_rq",
        /// Requests that were let switch to another protocol, or to a tunnel.
        DownstreamCxUpgradesTotal => counter "downstream_cx_upgrades_total",
        /// Such there now.
        DownstreamCxUpgradesActive => gauge "downstream_cx_upgrades_active",
        /// Bytes received.
        DownstreamCxRxBytesTotal => counter "downstream_cx_rx_bytes_total",
        /// Bytes sent.
        DownstreamCxTxBytesTotal => counter "downstream_cx_tx_bytes_total",
        /// Bytes waiting to be sent.
        DownstreamCxTxBytesBuffered => gauge "downstream_cx_tx_bytes_buffered",
        /// Connections closed because of drain.
        DownstreamCxDrainClose => counter "downstream_cx_drain_close",
        /// Connections closed by the idle timeout.
        DownstreamCxIdleTimeout => counter "downstream_cx_idle_timeout",
        /// Connections closed by `max_connection_duration`.
        DownstreamCxMaxDurationReached => counter "downstream_cx_max_duration_reached",
        /// Connections closed by `max_requests_per_connection`.
        DownstreamCxMaxRequestsReached => counter "downstream_cx_max_requests_reached",
        /// Connections whose client waited too long to close after the last response.
        DownstreamCxDelayedCloseTimeout => counter "downstream_cx_delayed_close_timeout",
        /// Connections with a protocol error.
        DownstreamCxProtocolError => counter "downstream_cx_protocol_error",
        /// How long connections lasted.
        DownstreamCxLengthMs => histogram "downstream_cx_length_ms" ms,
        /// Times reading a request was paused because upstream took no more.
        DownstreamFlowControlPausedReadingTotal
            => counter "downstream_flow_control_paused_reading_total",
        /// Times reading a request was resumed after such a pause.
        DownstreamFlowControlResumedReadingTotal
            => counter "downstream_flow_control_resumed_reading_total",
        /// Requests, also those refused.
        DownstreamRqTotal => counter "downstream_rq_total",
        /// HTTP/1 requests.
        DownstreamRqHttp1Total => counter "downstream_rq_http1_total",
        /// HTTP/2 requests.
        DownstreamRqHttp2Total => counter "downstream_rq_http2_total",
        /// Requests under way.
        DownstreamRqActive => gauge "downstream_rq_active",
        /// Requests that were answered.
        DownstreamRqCompleted => counter "downstream_rq_completed",
        /// Answers with 1xx.
        DownstreamRq1xx => counter "downstream_rq_1xx",
        /// Answers with 2xx.
        DownstreamRq2xx => counter "downstream_rq_2xx",
        /// Answers with 3xx.
        DownstreamRq3xx => counter "downstream_rq_3xx",
        /// Answers with 4xx.
        DownstreamRq4xx => counter "downstream_rq_4xx",
        /// Answers with 5xx.
        DownstreamRq5xx => counter "downstream_rq_5xx",
        /// Responses that began before their request had ended.
        DownstreamRqResponseBeforeRqComplete
            => counter "downstream_rq_response_before_rq_complete",
        /// Requests that the client gave up.
        DownstreamRqRxReset => counter "downstream_rq_rx_reset",
        /// Requests that we gave up.
        DownstreamRqTxReset => counter "downstream_rq_tx_reset",
        /// Connections closed because most of their requests were reset prematurely.
        DownstreamRqTooManyPrematureResets => counter "downstream_rq_too_many_premature_resets",
        /// Requests whose path could not be normalized.
        DownstreamRqFailedPathNormalization => counter "downstream_rq_failed_path_normalization",
        /// Upgrade requests to a route that allows none.
        DownstreamRqWsOnNonWsRoute => counter "downstream_rq_ws_on_non_ws_route",
        /// Requests whose target was no path.
        DownstreamRqNonRelativePath => counter "downstream_rq_non_relative_path",
        /// Requests ended by the stream's idle timeout.
        DownstreamRqIdleTimeout => counter "downstream_rq_idle_timeout",
        /// Requests ended by the maximum stream duration.
        DownstreamRqMaxDurationReached => counter "downstream_rq_max_duration_reached",
        /// Requests ended by `request_timeout`.
        DownstreamRqTimeout => counter "downstream_rq_timeout",
        /// Requests ended by `request_headers_timeout`.
        DownstreamRqHeaderTimeout => counter "downstream_rq_header_timeout",
        /// How long requests took, from their first byte to the last of the response.
        DownstreamRqTime => histogram "downstream_rq_time" ms,
        /// Requests that reached the router.
        RqTotal => counter "rq_total",
        /// Requests for which there was no route.
        NoRoute => counter "no_route",
        /// Requests whose route named a cluster that does not exist.
        NoCluster => counter "no_cluster",
        /// Requests answered by a direct response or a redirect.
        RqDirectResponse => counter "rq_direct_response",
        /// Calls of gRPC that broke off behind the head of their response.
        RqResetAfterDownstreamResponseStarted
            => counter "rq_reset_after_downstream_response_started",
    }
}

/// The prefix of an HTTP connection manager.
#[must_use]
pub fn http_prefix(stat_prefix: &str) -> String {
    format!("http.{stat_prefix}")
}

crate::stats! {
    /// What the HTTP/1 codec of either side met, below `http1` for downstream and
    /// `cluster.<name>.http1` for upstream.
    pub enum Http1CodecStat {
        /// Fields dropped for an underscore in their name.
        DroppedHeadersWithUnderscores => counter "dropped_headers_with_underscores",
        /// Metadata that HTTP/1 cannot carry.
        MetadataNotSupportedError => counter "metadata_not_supported_error",
        /// Requests refused for an underscore in the name of a field.
        RequestsRejectedWithUnderscoresInHeaders
            => counter "requests_rejected_with_underscores_in_headers",
        /// Connections closed because responses piled up.
        ResponseFlood => counter "response_flood",
    }
}

/// The prefix of [`Http1CodecStat`] for downstream.
pub const HTTP1_PREFIX: &str = "http1";

crate::stats! {
    /// What the HTTP/2 codec of either side met, below `http2` for downstream and
    /// `cluster.<name>.http2` for upstream. Shown from the first HTTP/2 connection on.
    pub enum Http2CodecStat {
        /// Fields dropped for an underscore in their name.
        DroppedHeadersWithUnderscores => counter "dropped_headers_with_underscores",
        /// GOAWAY frames sent.
        GoawaySent => counter "goaway_sent",
        /// Streams reset because the names and values of a head were too long.
        HeaderListSizeTooLarge => counter "header_list_size_too_large",
        /// Streams reset because a head had too many fields.
        HeaderOverflow => counter "header_overflow",
        /// Header blocks for streams that are gone.
        HeadersCbNoStream => counter "headers_cb_no_stream",
        /// Connections closed for frames without payload.
        InboundEmptyFramesFlood => counter "inbound_empty_frames_flood",
        /// Connections closed for PRIORITY frames.
        InboundPriorityFramesFlood => counter "inbound_priority_frames_flood",
        /// Connections closed for WINDOW_UPDATE frames.
        InboundWindowUpdateFramesFlood => counter "inbound_window_update_frames_flood",
        /// Connections closed because a PING was not answered.
        KeepaliveTimeout => counter "keepalive_timeout",
        /// METADATA frames that say nothing.
        MetadataEmptyFrames => counter "metadata_empty_frames",
        /// Connections closed because too many answers to control frames waited to be sent.
        OutboundControlFlood => counter "outbound_control_flood",
        /// Connections closed because too many frames waited to be sent.
        OutboundFlood => counter "outbound_flood",
        /// Requests refused for an underscore in the name of a field.
        RequestsRejectedWithUnderscoresInHeaders
            => counter "requests_rejected_with_underscores_in_headers",
        /// Messages that were malformed.
        RxMessagingError => counter "rx_messaging_error",
        /// RST_STREAM frames received.
        RxReset => counter "rx_reset",
        /// Streams that the peer opened although it could have known better.
        StreamRefusedErrors => counter "stream_refused_errors",
        /// Trailers received.
        Trailers => counter "trailers",
        /// Streams reset because the peer opened no window for so long.
        TxFlushTimeout => counter "tx_flush_timeout",
        /// RST_STREAM frames sent.
        TxReset => counter "tx_reset",
        /// Frames waiting to be sent.
        OutboundFramesActive => gauge "outbound_frames_active",
        /// Answers to control frames among them.
        OutboundControlFramesActive => gauge "outbound_control_frames_active",
        /// Bytes of bodies that wait for the peer's window.
        PendingSendBytes => gauge "pending_send_bytes",
        /// Streams there now.
        StreamsActive => gauge "streams_active",
    }
}

/// The prefix of [`Http2CodecStat`] for downstream.
pub const HTTP2_PREFIX: &str = "http2";
