//! Listener filters.

use super::Area;
use super::Support::{Extension, Supported};

/// Filters that connections may pass before they get a filter chain.
const FILTERS: &[&str] = &[
    "envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
    "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
];

pub(super) const LISTENER_FILTERS: Area = &[
    (
        "envoy.config.listener.v3.ListenerFilter",
        &[
            ("filter_disabled", Supported),
            ("name", Supported),
            ("typed_config", Extension(FILTERS)),
        ],
    ),
    (
        "envoy.config.listener.v3.ListenerFilterChainMatchPredicate",
        &[
            ("and_match", Supported),
            ("any_match", Supported),
            ("destination_port_range", Supported),
            ("not_match", Supported),
            ("or_match", Supported),
        ],
    ),
    (
        "envoy.config.listener.v3.ListenerFilterChainMatchPredicate.MatchSet",
        &[("rules", Supported)],
    ),
    ("envoy.extensions.filters.listener.original_dst.v3.OriginalDst", &[]),
    (
        "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
        &[
            ("allow_requests_without_proxy_protocol", Supported),
            ("disallowed_versions", Supported),
            ("pass_through_tlvs", Supported),
            ("rules", Supported),
            ("stat_prefix", Supported),
            ("tlv_location", Supported),
        ],
    ),
    (
        "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol.KeyValuePair",
        &[
            ("key", Supported),
            ("metadata_namespace", Supported),
            ("value_string_encoding", Supported),
        ],
    ),
    (
        "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol.Rule",
        &[("on_tlv_present", Supported), ("tlv_type", Supported)],
    ),
    (
        "envoy.config.core.v3.ProxyProtocolPassThroughTLVs",
        &[("match_type", Supported), ("tlv_type", Supported)],
    ),
];
