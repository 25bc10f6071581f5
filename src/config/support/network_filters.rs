//! Network filters that stand before the one that ends a chain.

use super::Area;
use super::Support::{Ignored, Moot, Only, Supported};

pub(super) const NETWORK_FILTERS: Area = &[
    (
        "envoy.config.core.v3.RuntimeFeatureFlag",
        &[("default_value", Supported), ("runtime_key", Supported)],
    ),
    (
        "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
        &[
            ("delay", Supported),
            ("max_connections", Supported),
            ("runtime_enabled", Supported),
            ("stat_prefix", Supported),
        ],
    ),
    ("envoy.extensions.filters.network.direct_response.v3.Config", &[("response", Supported)]),
    (
        "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit",
        &[
            ("runtime_enabled", Supported),
            ("share_key", Supported),
            ("stat_prefix", Supported),
            ("token_bucket", Supported),
        ],
    ),
    (
        "envoy.type.v3.TokenBucket",
        &[("fill_interval", Supported), ("max_tokens", Supported), ("tokens_per_fill", Supported)],
    ),
    (
        "envoy.extensions.filters.network.rbac.v3.RBAC",
        &[
            ("delay_deny", Supported),
            ("enforcement_type", Only(&["ONE_TIME_ON_FIRST_BYTE"])),
            ("rules", Supported),
            ("shadow_rules", Supported),
            ("shadow_rules_stat_prefix", Supported),
            ("stat_prefix", Supported),
        ],
    ),
    ("envoy.config.rbac.v3.RBAC", &[("action", Supported), ("policies", Supported)]),
    ("envoy.config.rbac.v3.Policy", &[("permissions", Supported), ("principals", Supported)]),
    (
        "envoy.config.rbac.v3.Permission",
        &[
            ("and_rules", Supported),
            ("any", Supported),
            ("destination_ip", Supported),
            ("destination_port", Supported),
            ("destination_port_range", Supported),
            ("not_rule", Supported),
            ("or_rules", Supported),
        ],
    ),
    ("envoy.config.rbac.v3.Permission.Set", &[("rules", Supported)]),
    ("envoy.type.v3.Int32Range", &[("end", Supported), ("start", Supported)]),
    (
        "envoy.config.rbac.v3.Principal",
        &[
            ("and_ids", Supported),
            ("any", Supported),
            ("authenticated", Supported),
            ("direct_remote_ip", Supported),
            ("not_id", Supported),
            ("or_ids", Supported),
            ("remote_ip", Supported),
            ("source_ip", Supported),
        ],
    ),
    ("envoy.config.rbac.v3.Principal.Set", &[("ids", Supported)]),
    (
        "envoy.extensions.filters.network.set_filter_state.v3.Config",
        &[
            ("on_downstream_data", Supported),
            ("on_downstream_tls_handshake", Supported),
            ("on_new_connection", Supported),
        ],
    ),
    (
        "envoy.extensions.filters.common.set_filter_state.v3.FilterStateValue",
        &[
            ("factory_key", Supported),
            ("format_string", Supported),
            ("object_key", Supported),
            ("read_only", Moot("deprecated: Envoy 1.40 replaces such an object like any other")),
            ("shared_with_upstream", Supported),
            ("skip_if_empty", Supported),
        ],
    ),
    (
        "envoy.config.rbac.v3.Principal.Authenticated",
        &[("principal_name", Ignored("without TLS nobody is authenticated, whatever the name"))],
    ),
];
