//! The bootstrap: process, node, admin, runtime, statistics.

use super::Area;
use super::Support::{Extension, Ignored, Supported};

/// What the overload manager can watch.
const RESOURCE_MONITORS: &[&str] =
    &["envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"];

const ALLOCATOR: &str = "it tunes Envoy's memory allocator";
const NO_ADMIN_LOG: &str = "requests to the admin pages are not logged";
const ADMIN_IS_APART: &str = "connections of the admin pages have a limit of their own";
const NO_LOOKUP: &str = "no name is looked up: every supported cluster has IP addresses";
const NO_MANAGEMENT: &str = "no management server is configured to read it";
const NO_WATCHDOG: &str = "no watchdog runs; Envoy only counts these";

pub(super) const BOOTSTRAP: Area = &[
    (
        "envoy.config.bootstrap.v3.Bootstrap",
        &[
            ("admin", Supported),
            ("application_log_config", Supported),
            ("cluster_manager", Supported),
            (
                "deferred_stat_options",
                Ignored("it saves memory for unused stats; here all exist from the start"),
            ),
            ("dns_resolution_config", Ignored(NO_LOOKUP)),
            ("enable_worker_cpu_affinity", Supported),
            ("grpc_async_client_manager_config", Ignored("no gRPC client is configured")),
            ("layered_runtime", Supported),
            ("memory_allocator_manager", Ignored(ALLOCATOR)),
            ("node", Supported),
            ("node_context_params", Ignored(NO_MANAGEMENT)),
            ("overload_manager", Supported),
            (
                "perf_tracing_file_path",
                Ignored("Envoy writes that file only when it was built for it"),
            ),
            ("static_resources", Supported),
            ("stats_config", Supported),
            ("stats_flush_interval", Supported),
            ("stats_flush_on_admin", Supported),
            ("typed_dns_resolver_config", Ignored(NO_LOOKUP)),
            ("use_tcp_for_dns_lookups", Ignored(NO_LOOKUP)),
            ("watchdog", Supported),
            ("watchdogs", Supported),
        ],
    ),
    ("envoy.config.bootstrap.v3.Bootstrap.ApplicationLogConfig", &[("log_format", Supported)]),
    (
        "envoy.config.bootstrap.v3.Bootstrap.ApplicationLogConfig.LogFormat",
        &[("json_format", Supported), ("text_format", Supported)],
    ),
    (
        "envoy.config.bootstrap.v3.Bootstrap.StaticResources",
        &[("clusters", Supported), ("listeners", Supported)],
    ),
    (
        "envoy.config.bootstrap.v3.Admin",
        &[
            ("access_log", Ignored(NO_ADMIN_LOG)),
            ("access_log_path", Ignored(NO_ADMIN_LOG)),
            ("address", Supported),
            ("ignore_global_conn_limit", Ignored(ADMIN_IS_APART)),
            ("profile_path", Ignored("the admin pages have no CPU profiler")),
        ],
    ),
    (
        "envoy.config.bootstrap.v3.ClusterManager",
        &[
            (
                "enable_deferred_cluster_creation",
                Ignored("it saves memory for unused clusters; here all exist from the start"),
            ),
            ("outlier_detection", Supported),
            ("upstream_bind_config", Supported),
        ],
    ),
    ("envoy.config.bootstrap.v3.ClusterManager.OutlierDetection", &[("event_log_path", Supported)]),
    ("envoy.config.bootstrap.v3.LayeredRuntime", &[("layers", Supported)]),
    (
        "envoy.config.overload.v3.OverloadManager",
        &[
            (
                "refresh_interval",
                Ignored("connections are counted as they come and go, not from time to time"),
            ),
            ("resource_monitors", Supported),
        ],
    ),
    (
        "envoy.config.overload.v3.ResourceMonitor",
        &[("name", Supported), ("typed_config", Extension(RESOURCE_MONITORS))],
    ),
    (
        "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        &[("max_active_downstream_connections", Supported)],
    ),
    (
        "envoy.config.bootstrap.v3.RuntimeLayer",
        &[
            ("admin_layer", Supported),
            ("disk_layer", Supported),
            ("name", Supported),
            ("static_layer", Supported),
        ],
    ),
    ("envoy.config.bootstrap.v3.RuntimeLayer.AdminLayer", &[]),
    (
        "envoy.config.bootstrap.v3.RuntimeLayer.DiskLayer",
        &[
            ("append_service_cluster", Supported),
            ("subdirectory", Supported),
            ("symlink_root", Supported),
        ],
    ),
    (
        "envoy.config.bootstrap.v3.Watchdogs",
        &[("main_thread_watchdog", Supported), ("worker_watchdog", Supported)],
    ),
    (
        "envoy.config.bootstrap.v3.Watchdog",
        &[("megamiss_timeout", Ignored(NO_WATCHDOG)), ("miss_timeout", Ignored(NO_WATCHDOG))],
    ),
    (
        "envoy.config.core.v3.Node",
        &[
            ("client_features", Ignored(NO_MANAGEMENT)),
            ("cluster", Supported),
            ("dynamic_parameters", Ignored(NO_MANAGEMENT)),
            ("extensions", Ignored(NO_MANAGEMENT)),
            ("id", Supported),
            ("listening_addresses", Ignored(NO_MANAGEMENT)),
            ("locality", Supported),
            ("metadata", Supported),
            ("user_agent_build_version", Ignored(NO_MANAGEMENT)),
            ("user_agent_name", Ignored(NO_MANAGEMENT)),
            ("user_agent_version", Ignored(NO_MANAGEMENT)),
        ],
    ),
    (
        "envoy.config.core.v3.Locality",
        &[("region", Supported), ("sub_zone", Supported), ("zone", Supported)],
    ),
];
