//! `envoy.filters.network.tcp_proxy`.

use super::Area;
use super::Support::{Moot, Supported};

const NO_HASH: &str = "no cluster balances by hash; any other policy takes no notice";
const NO_SUBSETS: &str = "no cluster has subsets; without them nothing looks at it";

pub(super) const TCP_PROXY: Area = &[
    (
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        &[
            ("access_log", Supported),
            ("access_log_flush_interval", Supported),
            ("access_log_options", Supported),
            ("backoff_options", Supported),
            ("cluster", Supported),
            ("flush_access_log_on_connected", Supported),
            ("hash_policy", Moot(NO_HASH)),
            ("idle_timeout", Supported),
            ("max_connect_attempts", Supported),
            ("max_downstream_connection_duration", Supported),
            ("max_downstream_connection_duration_jitter_percentage", Supported),
            ("max_early_data_bytes", Supported),
            ("metadata_match", Moot(NO_SUBSETS)),
            ("stat_prefix", Supported),
            ("tunneling_config", Supported),
            ("upstream_connect_mode", Supported),
            ("weighted_clusters", Supported),
        ],
    ),
    (
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TunnelingConfig",
        &[
            ("headers_to_add", Supported),
            ("hostname", Supported),
            ("post_path", Supported),
            ("propagate_response_headers", Supported),
            ("propagate_response_trailers", Supported),
            ("use_post", Supported),
        ],
    ),
    (
        "envoy.config.core.v3.HeaderValueOption",
        &[
            ("append", Supported),
            ("append_action", Supported),
            ("header", Supported),
            ("keep_empty_value", Supported),
        ],
    ),
    ("envoy.config.core.v3.HeaderValue", &[("key", Supported), ("value", Supported)]),
    (
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster",
        &[("clusters", Supported)],
    ),
    (
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight",
        &[("metadata_match", Moot(NO_SUBSETS)), ("name", Supported), ("weight", Supported)],
    ),
    (
        "envoy.config.core.v3.BackoffStrategy",
        &[("base_interval", Supported), ("max_interval", Supported)],
    ),
    ("envoy.type.v3.Percent", &[("value", Supported)]),
    (
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TcpAccessLogOptions",
        &[("access_log_flush_interval", Supported), ("flush_access_log_on_connected", Supported)],
    ),
];
