//! `envoy.filters.network.tcp_proxy`.

use super::Area;
use super::Support::{Ignored, Supported};

const NO_HASH: &str = "no cluster balances by hash";
const NO_SUBSETS: &str = "no cluster has subsets";

pub(super) const TCP_PROXY: Area = &[
    (
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        &[
            ("access_log", Supported),
            ("access_log_flush_interval", Supported),
            ("access_log_options", Supported),
            ("cluster", Supported),
            ("flush_access_log_on_connected", Supported),
            ("hash_policy", Ignored(NO_HASH)),
            ("idle_timeout", Supported),
            ("max_connect_attempts", Supported),
            ("metadata_match", Ignored(NO_SUBSETS)),
            ("stat_prefix", Supported),
        ],
    ),
    (
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TcpAccessLogOptions",
        &[("access_log_flush_interval", Supported), ("flush_access_log_on_connected", Supported)],
    ),
];
