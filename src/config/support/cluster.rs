//! Clusters, their limits and endpoints.

use super::Area;
use super::Support::{Extension, Ignored, Only, Refused, Supported};

/// Options of protocols that a cluster may have.
const PROTOCOL_OPTIONS: &[&str] = &[
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions",
];

const NO_CHECKS: &str = "no active health check is configured";
const ALL_THE_SAME: &str = "endpoints never change";
const NO_HASH: &str = "no cluster balances by hash";
const NO_LOCALITY: &str = "no locality-aware load balancing is configured";
const NO_LOOKUP: &str = "a STATIC cluster looks up no names";
const NO_READER: &str = "nothing that reads metadata is configured";
const NO_RETRIES: &str = "it limits retries, and none are configured";
const ONE_ADDRESS: &str = "an endpoint has one address";

pub(super) const CLUSTER: Area = &[
    (
        "envoy.config.cluster.v3.Cluster",
        &[
            ("alt_stat_name", Supported),
            ("circuit_breakers", Supported),
            ("cleanup_interval", Ignored("only a cluster of type ORIGINAL_DST cleans up")),
            (
                "close_connections_on_host_health_failure",
                Refused("connections in use outlive their host's ejection, as they do by default"),
            ),
            ("common_http_protocol_options", Supported),
            ("common_lb_config", Supported),
            ("connect_timeout", Supported),
            ("dns_failure_refresh_rate", Ignored(NO_LOOKUP)),
            ("dns_jitter", Ignored(NO_LOOKUP)),
            ("dns_lookup_family", Ignored(NO_LOOKUP)),
            ("dns_refresh_rate", Ignored(NO_LOOKUP)),
            ("dns_resolution_config", Ignored(NO_LOOKUP)),
            ("dns_resolvers", Ignored(NO_LOOKUP)),
            ("http2_protocol_options", Supported),
            ("http_protocol_options", Supported),
            ("ignore_health_on_host_removal", Ignored(ALL_THE_SAME)),
            ("lb_policy", Only(&["ROUND_ROBIN"])),
            ("load_assignment", Supported),
            ("max_requests_per_connection", Supported),
            ("metadata", Ignored(NO_READER)),
            ("name", Supported),
            ("outlier_detection", Supported),
            ("per_connection_buffer_limit_bytes", Supported),
            ("preconnect_policy", Supported),
            ("protocol_selection", Supported),
            ("respect_dns_ttl", Ignored(NO_LOOKUP)),
            ("round_robin_lb_config", Supported),
            ("transport_socket", Supported),
            ("type", Only(&["STATIC"])),
            ("typed_dns_resolver_config", Ignored(NO_LOOKUP)),
            ("typed_extension_protocol_options", Extension(PROTOCOL_OPTIONS)),
            ("upstream_bind_config", Supported),
            ("upstream_connection_options", Supported),
            ("use_tcp_for_dns_lookups", Ignored(NO_LOOKUP)),
            (
                "wait_for_warm_on_init",
                Ignored("a STATIC cluster without health checks is warm at once"),
            ),
        ],
    ),
    (
        "envoy.config.cluster.v3.Cluster.CommonLbConfig",
        &[
            ("close_connections_on_host_set_change", Ignored(ALL_THE_SAME)),
            ("consistent_hashing_lb_config", Ignored(NO_HASH)),
            ("healthy_panic_threshold", Supported),
            ("ignore_new_hosts_until_first_hc", Ignored(NO_CHECKS)),
            (
                "update_merge_window",
                Ignored("each change of a host's health is known at once everywhere"),
            ),
            (
                "zone_aware_lb_config",
                Ignored("it needs cluster_manager.local_cluster_name, which is not configured"),
            ),
        ],
    ),
    (
        "envoy.config.cluster.v3.OutlierDetection",
        &[
            ("always_eject_one_host", Supported),
            ("base_ejection_time", Supported),
            ("consecutive_5xx", Supported),
            ("consecutive_gateway_failure", Supported),
            ("consecutive_local_origin_failure", Supported),
            ("detect_degraded_hosts", Only(&["false"])),
            ("enforcing_consecutive_5xx", Supported),
            ("enforcing_consecutive_gateway_failure", Supported),
            ("enforcing_consecutive_local_origin_failure", Supported),
            ("enforcing_failure_percentage", Supported),
            ("enforcing_failure_percentage_local_origin", Supported),
            ("enforcing_local_origin_success_rate", Supported),
            ("enforcing_success_rate", Supported),
            ("failure_percentage_minimum_hosts", Supported),
            ("failure_percentage_request_volume", Supported),
            ("failure_percentage_threshold", Supported),
            ("interval", Supported),
            ("max_ejection_percent", Supported),
            ("max_ejection_time", Supported),
            ("max_ejection_time_jitter", Supported),
            ("split_external_local_origin_errors", Supported),
            ("success_rate_minimum_hosts", Supported),
            ("success_rate_request_volume", Supported),
            ("success_rate_stdev_factor", Supported),
            ("successful_active_health_check_uneject_host", Ignored(NO_CHECKS)),
        ],
    ),
    (
        "envoy.config.cluster.v3.Cluster.PreconnectPolicy",
        &[("per_upstream_preconnect_ratio", Supported)],
    ),
    ("envoy.config.cluster.v3.Cluster.RoundRobinLbConfig", &[]),
    (
        "envoy.config.cluster.v3.UpstreamConnectionOptions",
        &[("happy_eyeballs_config", Ignored(ONE_ADDRESS)), ("tcp_keepalive", Supported)],
    ),
    ("envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions", &[("idle_timeout", Supported)]),
    (
        "envoy.config.cluster.v3.CircuitBreakers",
        &[("per_host_thresholds", Supported), ("thresholds", Supported)],
    ),
    (
        "envoy.config.cluster.v3.CircuitBreakers.Thresholds",
        &[
            ("max_connection_pools", Supported),
            ("max_connections", Supported),
            ("max_pending_requests", Supported),
            ("max_requests", Supported),
            ("max_retries", Supported),
            ("priority", Supported),
            ("retry_budget", Ignored(NO_RETRIES)),
            ("track_remaining", Supported),
        ],
    ),
    (
        "envoy.config.endpoint.v3.ClusterLoadAssignment",
        &[("cluster_name", Supported), ("endpoints", Supported), ("policy", Supported)],
    ),
    (
        "envoy.config.endpoint.v3.ClusterLoadAssignment.Policy",
        &[
            ("endpoint_stale_after", Ignored(ALL_THE_SAME)),
            ("overprovisioning_factor", Supported),
            ("weighted_priority_health", Supported),
        ],
    ),
    (
        "envoy.config.endpoint.v3.LocalityLbEndpoints",
        &[
            ("lb_endpoints", Supported),
            ("load_balancing_weight", Ignored(NO_LOCALITY)),
            ("locality", Ignored(NO_LOCALITY)),
            ("metadata", Ignored(NO_READER)),
            ("proximity", Ignored(NO_LOCALITY)),
        ],
    ),
    (
        "envoy.config.endpoint.v3.LbEndpoint",
        &[
            ("endpoint", Supported),
            ("health_status", Only(&["UNKNOWN", "HEALTHY"])),
            ("load_balancing_weight", Supported),
            ("metadata", Ignored(NO_READER)),
        ],
    ),
    (
        "envoy.config.endpoint.v3.Endpoint",
        &[
            ("address", Supported),
            ("health_check_config", Ignored(NO_CHECKS)),
            ("hostname", Ignored("no health check and no HTTP filter is configured to use it")),
        ],
    ),
];
