//! Listeners, filter chains and network filters.

use super::Area;
use super::Support::{Extension, Ignored, Only, Refused, Supported};

/// Filters that may stand in a filter chain.
const NETWORK_FILTERS: &[&str] = &[
    "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
    "envoy.extensions.filters.network.direct_response.v3.Config",
    "envoy.extensions.filters.network.echo.v3.Echo",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit",
    "envoy.extensions.filters.network.rbac.v3.RBAC",
    "envoy.extensions.filters.network.set_filter_state.v3.Config",
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
];

const SUFFIX: &str = "as Envoy does: it never carried it out";
const NO_READER: &str = "nothing that reads metadata is configured";

pub(super) const LISTENER: Area = &[
    (
        "envoy.config.listener.v3.Listener",
        &[
            ("access_log", Supported),
            ("additional_addresses", Supported),
            ("address", Supported),
            ("bind_to_port", Supported),
            ("bypass_overload_manager", Only(&["false"])),
            ("connection_balance_config", Supported),
            ("continue_on_listener_filters_timeout", Supported),
            ("default_filter_chain", Supported),
            ("deprecated_v1", Supported),
            ("enable_reuse_port", Supported),
            ("filter_chains", Supported),
            ("freebind", Supported),
            ("ignore_global_conn_limit", Supported),
            ("listener_filters", Supported),
            ("listener_filters_timeout", Supported),
            ("max_connections_to_accept_per_socket_event", Supported),
            ("metadata", Ignored(NO_READER)),
            ("name", Supported),
            ("per_connection_buffer_limit_bytes", Supported),
            ("reuse_port", Supported),
            ("socket_options", Supported),
            ("stat_prefix", Supported),
            ("tcp_backlog_size", Supported),
            ("tcp_fast_open_queue_length", Supported),
            ("tcp_keepalive", Supported),
            ("traffic_direction", Supported),
            ("transparent", Supported),
            ("use_original_dst", Supported),
        ],
    ),
    (
        "envoy.config.listener.v3.AdditionalAddress",
        &[("address", Supported), ("socket_options", Supported), ("tcp_keepalive", Supported)],
    ),
    (
        "envoy.config.listener.v3.Listener.ConnectionBalanceConfig",
        &[("cpu_locality_balance", Supported), ("exact_balance", Supported)],
    ),
    ("envoy.config.listener.v3.Listener.ConnectionBalanceConfig.CpuLocalityBalance", &[]),
    ("envoy.config.listener.v3.Listener.ConnectionBalanceConfig.ExactBalance", &[]),
    ("envoy.config.listener.v3.Listener.DeprecatedV1", &[("bind_to_port", Supported)]),
    (
        "envoy.config.listener.v3.FilterChain",
        &[
            ("filter_chain_match", Supported),
            ("filters", Supported),
            ("metadata", Ignored(NO_READER)),
            ("name", Supported),
            ("transport_socket", Supported),
            (
                "transport_socket_connect_timeout",
                Ignored("without a handshake the transport is connected at once"),
            ),
            ("use_proxy_proto", Supported),
        ],
    ),
    (
        "envoy.config.listener.v3.FilterChainMatch",
        &[
            ("address_suffix", Refused(SUFFIX)),
            ("destination_port", Supported),
            ("direct_source_prefix_ranges", Supported),
            ("prefix_ranges", Supported),
            ("source_ports", Supported),
            ("source_prefix_ranges", Supported),
            ("source_type", Supported),
            ("suffix_len", Refused(SUFFIX)),
            ("transport_protocol", Supported),
        ],
    ),
    (
        "envoy.config.listener.v3.Filter",
        &[("name", Supported), ("typed_config", Extension(NETWORK_FILTERS))],
    ),
    ("envoy.extensions.filters.network.echo.v3.Echo", &[]),
];
