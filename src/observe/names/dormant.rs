//! Stats of Envoy's whose mechanism Nuncio does not have yet, so that dashboards find them.
//!
//! Each counts something that cannot happen here as Nuncio is today, so zero is the truth and not
//! a placeholder. Nothing writes these sets, so they cost no memory on any worker. A stat moves to
//! the set beside it in the commit that makes it move.

crate::stats! {
    /// Below `cluster.<name>`. A cluster is a fixed list of hosts, balanced as one set, spoken to
    /// in TCP.
    pub enum ClusterDormantStat {
        /// No endpoint discovery: nothing becomes stale.
        AssignmentStale => counter "assignment_stale",
        /// As above.
        AssignmentTimeoutReceived => counter "assignment_timeout_received",
        /// As above.
        AssignmentUseCached => counter "assignment_use_cached",
        /// No zone aware routing.
        LbLocalClusterNotOk => counter "lb_local_cluster_not_ok",
        /// As above.
        LbRecalculateZoneStructures => counter "lb_recalculate_zone_structures",
        /// No subsets.
        LbSubsetsActive => gauge "lb_subsets_active",
        /// As above.
        LbSubsetsCreated => counter "lb_subsets_created",
        /// As above.
        LbSubsetsFallback => counter "lb_subsets_fallback",
        /// As above.
        LbSubsetsFallbackPanic => counter "lb_subsets_fallback_panic",
        /// As above.
        LbSubsetsRemoved => counter "lb_subsets_removed",
        /// As above.
        LbSubsetsSelected => counter "lb_subsets_selected",
        /// No zone aware routing.
        LbZoneClusterTooSmall => counter "lb_zone_cluster_too_small",
        /// As above.
        LbZoneNoCapacityLeft => counter "lb_zone_no_capacity_left",
        /// As above.
        LbZoneRoutingAllDirectly => counter "lb_zone_routing_all_directly",
        /// As above.
        LbZoneRoutingCrossZone => counter "lb_zone_routing_cross_zone",
        /// As above.
        LbZoneRoutingSampled => counter "lb_zone_routing_sampled",
        /// No `ORIGINAL_DST` clusters.
        OriginalDstHostInvalid => counter "original_dst_host_invalid",
        /// No retries and no mirrored requests.
        RetryOrShadowAbandoned => counter "retry_or_shadow_abandoned",
        /// The hosts are never asked for again.
        UpdateAttempt => counter "update_attempt",
        /// As above.
        UpdateEmpty => counter "update_empty",
        /// As above.
        UpdateFailure => counter "update_failure",
        /// As above.
        UpdateNoRebuild => counter "update_no_rebuild",
        /// As above.
        UpdateSuccess => counter "update_success",
        /// No HTTP/3.
        UpstreamCxConnectWith0Rtt => counter "upstream_cx_connect_with_0_rtt",
        /// As above.
        UpstreamCxHttp3Total => counter "upstream_cx_http3_total",
        /// No preconnecting.
        UpstreamCxPreconnectSkipped => counter "upstream_cx_preconnect_skipped",
        /// No HTTP/3.
        UpstreamHttp3Broken => counter "upstream_http3_broken",
        /// No HTTP upstream.
        UpstreamInternalRedirectFailedTotal => counter "upstream_internal_redirect_failed_total",
        /// As above.
        UpstreamInternalRedirectSucceededTotal
            => counter "upstream_internal_redirect_succeeded_total",
        /// As above.
        UpstreamQueueOverloaded => gauge "upstream_queue_overloaded",
        /// As above.
        UpstreamRq0Rtt => counter "upstream_rq_0rtt",
        /// As above.
        UpstreamRqMaintenanceMode => counter "upstream_rq_maintenance_mode",
        /// As above.
        UpstreamRqPerTryIdleTimeout => counter "upstream_rq_per_try_idle_timeout",
        /// As above.
        UpstreamRqPerTryTimeout => counter "upstream_rq_per_try_timeout",
        /// As above.
        UpstreamRqRetry => counter "upstream_rq_retry",
        /// As above.
        UpstreamRqRetryBackoffExponential => counter "upstream_rq_retry_backoff_exponential",
        /// As above.
        UpstreamRqRetryBackoffRatelimited => counter "upstream_rq_retry_backoff_ratelimited",
        /// As above.
        UpstreamRqRetryLimitExceeded => counter "upstream_rq_retry_limit_exceeded",
        /// As above.
        UpstreamRqRetryOverflow => counter "upstream_rq_retry_overflow",
        /// As above.
        UpstreamRqRetrySuccess => counter "upstream_rq_retry_success",
        /// A hash of the last configuration update over xDS; there is none.
        Version => gauge "version",
    }
}

crate::stats! {
    /// Below `http2` and `cluster.<name>.http2`.
    pub enum Http2CodecDormantStat {
        /// No limit for cookies of their own.
        CookiesTotalBytesTooLarge => counter "cookies_total_bytes_too_large",
        /// No stream waits in the codec for its consumer.
        DeferredStreamClose => gauge "deferred_stream_close",
        /// The codec is neither of Envoy's.
        Nghttp2DownstreamConnections => counter "nghttp2_downstream_connections",
        /// As above.
        Nghttp2UpstreamConnections => counter "nghttp2_upstream_connections",
        /// As above.
        Oghttp2DownstreamConnections => counter "oghttp2_downstream_connections",
        /// As above.
        Oghttp2UpstreamConnections => counter "oghttp2_upstream_connections",
        /// Nothing is measured of cookies.
        CookieCount => histogram "cookie_count",
        /// As above.
        CookieSize => histogram "cookie_size",
        /// Nothing is measured of heads.
        HeaderCount => histogram "header_count",
        /// As above.
        HeaderListSize => histogram "header_list_size",
    }
}

crate::stats! {
    /// Below `http.<stat_prefix>`. HTTP without TLS, tracing or overload management.
    pub enum HttpDormantStat {
        /// HTTP/1 connections on which a soft drain was begun.
        DownstreamCxHttp1SoftDrain => gauge "downstream_cx_http1_soft_drain",
        /// HTTP/3 connections.
        DownstreamCxHttp3Total => counter "downstream_cx_http3_total",
        /// HTTP/3 connections there now.
        DownstreamCxHttp3Active => gauge "downstream_cx_http3_active",
        /// TLS connections.
        DownstreamCxSslTotal => counter "downstream_cx_ssl_total",
        /// TLS connections there now.
        DownstreamCxSslActive => gauge "downstream_cx_ssl_active",
        /// Bytes received and not passed on yet.
        DownstreamCxRxBytesBuffered => gauge "downstream_cx_rx_bytes_buffered",
        /// Connections closed because of overload.
        DownstreamCxOverloadDisableKeepalive => counter "downstream_cx_overload_disable_keepalive",
        /// HTTP/3 requests.
        DownstreamRqHttp3Total => counter "downstream_rq_http3_total",
        /// Requests with too large a body.
        DownstreamRqTooLarge => counter "downstream_rq_too_large",
        /// Requests refused because of overload.
        DownstreamRqOverloadClose => counter "downstream_rq_overload_close",
        /// Requests redirected to their normalized path.
        DownstreamRqRedirectedWithNormalizedPath
            => counter "downstream_rq_redirected_with_normalized_path",
        /// Requests refused by original IP detection.
        DownstreamRqRejectedViaIpDetection => counter "downstream_rq_rejected_via_ip_detection",
        /// Requests answered by a redirect of the upstream's location.
        RqRedirect => counter "rq_redirect",
        /// Requests answered because of overload.
        RqOverloadLocalReply => counter "rq_overload_local_reply",
        /// Responses too large for a filter.
        RsTooLarge => counter "rs_too_large",
        /// Internal redirects to a location that is no URL.
        PassthroughInternalRedirectBadLocation
            => counter "passthrough_internal_redirect_bad_location",
        /// Internal redirects without a route.
        PassthroughInternalRedirectNoRoute => counter "passthrough_internal_redirect_no_route",
        /// Internal redirects that a predicate refused.
        PassthroughInternalRedirectPredicate => counter "passthrough_internal_redirect_predicate",
        /// Internal redirects after too many of them.
        PassthroughInternalRedirectTooManyRedirects
            => counter "passthrough_internal_redirect_too_many_redirects",
        /// Internal redirects to another scheme.
        PassthroughInternalRedirectUnsafeScheme
            => counter "passthrough_internal_redirect_unsafe_scheme",
        /// Requests traced because the client asked for it.
        TracingClientEnabled => counter "tracing.client_enabled",
        /// Health checks, which are not traced.
        TracingHealthCheck => counter "tracing.health_check",
        /// Requests that cannot be traced.
        TracingNotTraceable => counter "tracing.not_traceable",
        /// Requests traced at random.
        TracingRandomSampling => counter "tracing.random_sampling",
        /// Requests traced because a service forced it.
        TracingServiceForced => counter "tracing.service_forced",
    }
}

crate::stats! {
    /// Below `listener.<address>`. The configuration of a listener is complete at start.
    pub enum ListenerDormantStat {
        /// No filter configuration over ECDS, so none is missing.
        ExtensionConfigMissing => counter "extension_config_missing",
        /// As above.
        NetworkExtensionConfigMissing => counter "network_extension_config_missing",
    }
}

crate::stats! {
    /// Below `tcp.<stat_prefix>.tcpproxy_tunneling`, where Envoy's router counts for the requests
    /// that ask for tunnels. They have one route, whose cluster was looked up before.
    pub enum TcpTunnelDormantStat {
        /// Counted as `downstream_cx_no_route` instead.
        NoCluster => counter "no_cluster",
        /// As above.
        NoRoute => counter "no_route",
        /// No redirect is followed.
        RedirectBadLocation => counter "passthrough_internal_redirect_bad_location",
        /// As above.
        RedirectNoRoute => counter "passthrough_internal_redirect_no_route",
        /// As above.
        RedirectPredicate => counter "passthrough_internal_redirect_predicate",
        /// As above.
        RedirectTooMany => counter "passthrough_internal_redirect_too_many_redirects",
        /// As above.
        RedirectUnsafeScheme => counter "passthrough_internal_redirect_unsafe_scheme",
        /// No direct responses.
        RqDirectResponse => counter "rq_direct_response",
        /// No overload manager looks at them.
        RqOverloadLocalReply => counter "rq_overload_local_reply",
        /// No redirects.
        RqRedirect => counter "rq_redirect",
        /// There is no downstream response.
        RqResetAfterResponseStarted => counter "rq_reset_after_downstream_response_started",
        /// Envoy counts none of them.
        RqTotal => counter "rq_total",
    }
}

crate::stats! {
    /// Below `tcp.<stat_prefix>`.
    pub enum TcpProxyDormantStat {
        /// No on-demand clusters: a route never has to be waited for.
        RouteDelayedTotal => counter "route_delayed_total",
    }
}

crate::stats! {
    /// Below `listener_manager`. Listeners never change while the process runs.
    pub enum ListenerManagerDormantStat {
        /// No update in place.
        ListenerInPlaceUpdated => counter "listener_in_place_updated",
    }
}

crate::stats! {
    /// Below `cluster_manager`. Clusters never change while the process runs.
    pub enum ClusterManagerDormantStat {
        /// No update.
        ClusterUpdated => counter "cluster_updated",
        /// As above.
        ClusterUpdatedViaMerge => counter "cluster_updated_via_merge",
        /// As above.
        UpdateMergeCancelled => counter "update_merge_cancelled",
        /// As above.
        UpdateOutOfMergeWindow => counter "update_out_of_merge_window",
    }
}

crate::stats! {
    /// Below `server`.
    pub enum ServerDormantStat {
        /// Assertions of debug builds: here they end the connection or the process and are
        /// logged, so there is nothing to count.
        DebugAssertionFailures => counter "debug_assertion_failures",
        /// No sink that could be too slow.
        DroppedStatFlushes => counter "dropped_stat_flushes",
        /// No xDS.
        DynamicUnknownFields => counter "dynamic_unknown_fields",
        /// Envoy's own soft assertions.
        EnvoyBugFailures => counter "envoy_bug_failures",
        /// Envoy's own notes to its developers.
        EnvoyNotifications => counter "envoy_notifications",
        /// An unknown field in the file is refused, never passed over.
        StaticUnknownFields => counter "static_unknown_fields",
        /// Stats are found by index, never by name, so there are no lookups.
        StatsRecentLookups => gauge "stats_recent_lookups",
        /// No TLS, so no OCSP responses.
        SecondsUntilFirstOcspResponseExpiring
            => gauge "seconds_until_first_ocsp_response_expiring",
        /// Messages of Envoy's API that are marked as work in progress are not supported.
        WipProtos => counter "wip_protos",
    }
}

crate::stats! {
    /// Below `listener.admin`. The admin listener takes plain TCP, without listener filters.
    pub enum AdminListenerDormantStat {
        /// No overload manager.
        DownstreamCxOverloadReject => counter "downstream_cx_overload_reject",
        /// No TLS.
        DownstreamCxTransportSocketConnectTimeout
            => counter "downstream_cx_transport_socket_connect_timeout",
        /// The limit for all listeners does not hold for this one.
        DownstreamGlobalCxOverflow => counter "downstream_global_cx_overflow",
        /// No listener filters.
        DownstreamListenerFilterError => counter "downstream_listener_filter_error",
        /// As above.
        DownstreamListenerFilterRemoteClose => counter "downstream_listener_filter_remote_close",
        /// As above.
        DownstreamPreCxActive => gauge "downstream_pre_cx_active",
        /// As above.
        DownstreamPreCxTimeout => counter "downstream_pre_cx_timeout",
        /// The only chain matches everybody.
        NoFilterChainMatch => counter "no_filter_chain_match",
    }
}

crate::stats! {
    /// Below `http.admin`. The admin server speaks HTTP/1.1 over plain TCP.
    pub enum AdminHttpDormantStat {
        /// No HTTP/2.
        DownstreamCxHttp2Active => gauge "downstream_cx_http2_active",
        /// No HTTP/2.
        DownstreamCxHttp2Total => counter "downstream_cx_http2_total",
        /// No HTTP/3.
        DownstreamCxHttp3Active => gauge "downstream_cx_http3_active",
        /// No HTTP/3.
        DownstreamCxHttp3Total => counter "downstream_cx_http3_total",
        /// No such limit.
        DownstreamCxMaxDurationReached => counter "downstream_cx_max_duration_reached",
        /// No such limit.
        DownstreamCxMaxRequestsReached => counter "downstream_cx_max_requests_reached",
        /// No overload manager.
        DownstreamCxOverloadDisableKeepalive => counter "downstream_cx_overload_disable_keepalive",
        /// No TLS.
        DownstreamCxSslActive => gauge "downstream_cx_ssl_active",
        /// No TLS.
        DownstreamCxSslTotal => counter "downstream_cx_ssl_total",
        /// No upgrades.
        DownstreamCxUpgradesActive => gauge "downstream_cx_upgrades_active",
        /// No upgrades.
        DownstreamCxUpgradesTotal => counter "downstream_cx_upgrades_total",
        /// No page answers so.
        DownstreamRq1xx => counter "downstream_rq_1xx",
        /// No page answers so.
        DownstreamRq3xx => counter "downstream_rq_3xx",
        /// Paths are taken as they are.
        DownstreamRqFailedPathNormalization => counter "downstream_rq_failed_path_normalization",
        /// No HTTP/2.
        DownstreamRqHttp2Total => counter "downstream_rq_http2_total",
        /// No HTTP/3.
        DownstreamRqHttp3Total => counter "downstream_rq_http3_total",
        /// No such limit: see `Limits` of control.
        DownstreamRqIdleTimeout => counter "downstream_rq_idle_timeout",
        /// No such limit.
        DownstreamRqMaxDurationReached => counter "downstream_rq_max_duration_reached",
        /// Paths are taken as they are.
        DownstreamRqNonRelativePath => counter "downstream_rq_non_relative_path",
        /// No overload manager.
        DownstreamRqOverloadClose => counter "downstream_rq_overload_close",
        /// Paths are taken as they are.
        DownstreamRqRedirectedWithNormalizedPath
            => counter "downstream_rq_redirected_with_normalized_path",
        /// The client address is not asked for.
        DownstreamRqRejectedViaIpDetection => counter "downstream_rq_rejected_via_ip_detection",
        /// No such limit: see `Limits` of control.
        DownstreamRqTimeout => counter "downstream_rq_timeout",
        /// No HTTP/2.
        DownstreamRqTooManyPrematureResets => counter "downstream_rq_too_many_premature_resets",
        /// No upgrades.
        DownstreamRqWsOnNonWsRoute => counter "downstream_rq_ws_on_non_ws_route",
        /// An answer is not buffered whole.
        RsTooLarge => counter "rs_too_large",
    }
}
