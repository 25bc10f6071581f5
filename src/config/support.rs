//! The one table of what Nuncio can do with each field of Envoy's configuration.
//!
//! A field that is set in a file and is not listed here is refused as not supported yet. It is
//! never left out silently: only fields listed as `Ignored` are left out, each with the reason why
//! that cannot change what a peer sees, and the user is told.

/// What Nuncio does with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Support {
    /// Read, and acted upon.
    Supported,
    /// Read, but only with one of these values; enum names, or `true` and `false`.
    Only(&'static [&'static str]),
    /// Left out, because of this reason it cannot matter.
    Ignored(&'static str),
}

use Support::{Ignored, Only, Supported};

type Fields = &'static [(&'static str, Support)];

/// Message types that may stand in an `Any`.
pub(crate) const EXTENSIONS: &[&str] = &[
    "envoy.extensions.filters.network.echo.v3.Echo",
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
];

/// What Nuncio does with `field` of `message`; None: not supported yet.
pub(crate) fn of(message: &str, field: &str) -> Option<Support> {
    let (_, fields) = TABLE.iter().find(|(name, _)| *name == message)?;
    let (_, support) = fields.iter().find(|(name, _)| *name == field)?;
    Some(*support)
}

const NO_LOCALITY: &str = "no locality-aware load balancing is configured";
const NO_READER: &str = "nothing that reads metadata is configured";
const NO_HTTP: &str = "it limits HTTP requests, and no HTTP filter is configured";

const TABLE: &[(&str, Fields)] = &[
    (
        "envoy.config.bootstrap.v3.Bootstrap",
        &[
            ("admin", Supported),
            ("application_log_config", Supported),
            ("layered_runtime", Supported),
            ("node", Supported),
            ("static_resources", Supported),
            ("stats_flush_interval", Ignored("no stats sink is configured, so nothing is flushed")),
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
            ("access_log", Ignored("requests to the admin pages are not logged")),
            ("access_log_path", Ignored("requests to the admin pages are not logged")),
            ("address", Supported),
            ("ignore_global_conn_limit", Ignored("there is no global connection limit")),
            ("profile_path", Ignored("the admin pages have no CPU profiler")),
        ],
    ),
    (
        "envoy.config.core.v3.Node",
        &[
            ("cluster", Supported),
            ("id", Supported),
            ("locality", Supported),
            // Free-form: /config_dump and /server_info show it.
            ("metadata", Supported),
        ],
    ),
    (
        "envoy.config.core.v3.Locality",
        &[("region", Supported), ("sub_zone", Supported), ("zone", Supported)],
    ),
    ("envoy.config.bootstrap.v3.LayeredRuntime", &[("layers", Supported)]),
    (
        "envoy.config.bootstrap.v3.RuntimeLayer",
        &[
            ("admin_layer", Supported),
            ("disk_layer", Supported),
            ("name", Supported),
            ("static_layer", Supported),
        ],
    ),
    (
        "envoy.config.bootstrap.v3.RuntimeLayer.DiskLayer",
        &[
            ("append_service_cluster", Supported),
            ("subdirectory", Supported),
            ("symlink_root", Supported),
        ],
    ),
    ("envoy.config.bootstrap.v3.RuntimeLayer.AdminLayer", &[]),
    ("envoy.config.core.v3.Address", &[("socket_address", Supported)]),
    (
        "envoy.config.core.v3.SocketAddress",
        &[
            ("address", Supported),
            ("named_port", Supported),
            ("port_value", Supported),
            ("protocol", Only(&["TCP"])),
        ],
    ),
    (
        "envoy.config.listener.v3.Listener",
        &[
            ("address", Supported),
            ("bind_to_port", Only(&["true"])),
            ("default_filter_chain", Supported),
            ("enable_reuse_port", Only(&["true"])),
            ("filter_chains", Supported),
            ("metadata", Ignored(NO_READER)),
            ("name", Supported),
            ("per_connection_buffer_limit_bytes", Supported),
            ("stat_prefix", Supported),
            ("tcp_backlog_size", Supported),
            ("traffic_direction", Supported),
        ],
    ),
    (
        "envoy.config.listener.v3.FilterChain",
        &[
            // A match without any field matches every connection, as no match does.
            ("filter_chain_match", Supported),
            ("filters", Supported),
            ("metadata", Ignored(NO_READER)),
            ("name", Supported),
        ],
    ),
    ("envoy.config.listener.v3.FilterChainMatch", &[]),
    ("envoy.config.listener.v3.Filter", &[("name", Supported), ("typed_config", Supported)]),
    ("envoy.extensions.filters.network.echo.v3.Echo", &[]),
    (
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        &[
            ("cluster", Supported),
            ("idle_timeout", Supported),
            ("max_connect_attempts", Supported),
            ("stat_prefix", Supported),
        ],
    ),
    (
        "envoy.config.cluster.v3.Cluster",
        &[
            ("alt_stat_name", Supported),
            ("circuit_breakers", Supported),
            ("connect_timeout", Supported),
            ("dns_lookup_family", Ignored("a STATIC cluster looks up no names")),
            ("lb_policy", Only(&["ROUND_ROBIN"])),
            ("load_assignment", Supported),
            ("metadata", Ignored(NO_READER)),
            ("name", Supported),
            ("per_connection_buffer_limit_bytes", Supported),
            ("type", Only(&["STATIC"])),
        ],
    ),
    ("envoy.config.cluster.v3.CircuitBreakers", &[("thresholds", Supported)]),
    (
        "envoy.config.cluster.v3.CircuitBreakers.Thresholds",
        &[
            ("max_connections", Supported),
            ("max_pending_requests", Supported),
            ("max_requests", Ignored(NO_HTTP)),
            ("max_retries", Ignored(NO_HTTP)),
            ("priority", Supported),
        ],
    ),
    (
        "envoy.config.endpoint.v3.ClusterLoadAssignment",
        &[("cluster_name", Supported), ("endpoints", Supported)],
    ),
    (
        "envoy.config.endpoint.v3.LocalityLbEndpoints",
        &[
            ("lb_endpoints", Supported),
            ("load_balancing_weight", Ignored(NO_LOCALITY)),
            ("locality", Ignored(NO_LOCALITY)),
            ("metadata", Ignored(NO_READER)),
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
            ("hostname", Ignored("no health check and no HTTP filter is configured to use it")),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    /// A misspelled name here would refuse the field for ever.
    #[test]
    fn every_name_in_the_table_is_in_envoys_schema() {
        for (name, fields) in TABLE {
            let message = schema::message(name).unwrap_or_else(|| panic!("no message {name}"));
            for (field, _) in *fields {
                assert!(message.get_field_by_name(field).is_some(), "no field {name}.{field}");
            }
        }
        for name in EXTENSIONS {
            assert!(schema::message(name).is_some(), "no message {name}");
            assert!(TABLE.iter().any(|(listed, _)| listed == name), "{name} has no fields listed");
        }
    }
}
