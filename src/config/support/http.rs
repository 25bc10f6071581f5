//! HTTP: the connection manager, routes, and the HTTP options of clusters.

use super::Area;
use super::Support::{Extension, Ignored, Moot, Only, Supported};

/// Filters that may stand in an HTTP filter chain.
const HTTP_FILTERS: &[&str] = &["envoy.extensions.filters.http.router.v3.Router"];

const NO_HASH: &str = "no cluster balances by hash; any other policy takes no notice";
const NO_READER: &str = "nothing that reads metadata is configured";
const NO_SUBSETS: &str = "no cluster has subsets; without them nothing looks at it";

pub(super) const HTTP: Area = &[
    (
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        &[
            ("access_log", Supported),
            ("add_user_agent", Only(&["false"])),
            ("always_set_request_id_in_response", Supported),
            ("codec_type", Only(&["AUTO", "HTTP1", "HTTP2"])),
            ("common_http_protocol_options", Supported),
            ("delayed_close_timeout", Supported),
            ("drain_timeout", Supported),
            ("generate_request_id", Supported),
            ("http2_protocol_options", Supported),
            ("http_filters", Supported),
            ("http_protocol_options", Supported),
            ("max_request_headers_kb", Supported),
            ("normalize_path", Only(&["false"])),
            ("path_with_escaped_slashes_action", Only(&["KEEP_UNCHANGED"])),
            ("preserve_external_request_id", Supported),
            ("request_headers_timeout", Supported),
            ("request_timeout", Supported),
            ("route_config", Supported),
            ("server_header_transformation", Supported),
            ("server_name", Supported),
            ("skip_xff_append", Supported),
            ("stat_prefix", Supported),
            ("stream_error_on_invalid_http_message", Only(&["false"])),
            ("stream_idle_timeout", Supported),
            ("upgrade_configs", Supported),
            ("use_remote_address", Supported),
            ("via", Supported),
            ("xff_num_trusted_hops", Supported),
        ],
    ),
    (
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.\
         UpgradeConfig",
        &[("enabled", Supported), ("filters", Supported), ("upgrade_type", Supported)],
    ),
    (
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
        &[
            ("is_optional", Ignored("the filter is there")),
            ("name", Supported),
            ("typed_config", Extension(HTTP_FILTERS)),
        ],
    ),
    (
        "envoy.extensions.filters.http.router.v3.Router",
        &[("dynamic_stats", Only(&["true"])), ("suppress_envoy_headers", Supported)],
    ),
    (
        "envoy.config.route.v3.RouteConfiguration",
        &[
            ("max_direct_response_body_size_bytes", Supported),
            ("metadata", Ignored(NO_READER)),
            ("name", Supported),
            ("validate_clusters", Supported),
            ("virtual_hosts", Supported),
        ],
    ),
    (
        "envoy.config.route.v3.VirtualHost",
        &[
            ("domains", Supported),
            ("metadata", Ignored(NO_READER)),
            ("name", Supported),
            ("routes", Supported),
        ],
    ),
    (
        "envoy.config.route.v3.Route",
        &[
            ("decorator", Ignored("no tracing is configured")),
            ("direct_response", Supported),
            ("match", Supported),
            ("metadata", Ignored(NO_READER)),
            ("name", Supported),
            ("redirect", Supported),
            ("route", Supported),
        ],
    ),
    (
        "envoy.config.route.v3.RouteMatch",
        &[
            ("case_sensitive", Only(&["true"])),
            ("connect_matcher", Supported),
            ("path", Supported),
            ("prefix", Supported),
        ],
    ),
    ("envoy.config.route.v3.RouteMatch.ConnectMatcher", &[]),
    (
        "envoy.config.route.v3.RouteAction",
        &[
            ("cluster", Supported),
            ("grpc_timeout_offset", Supported),
            ("hash_policy", Moot(NO_HASH)),
            ("idle_timeout", Supported),
            ("max_grpc_timeout", Supported),
            ("max_stream_duration", Supported),
            ("metadata_match", Moot(NO_SUBSETS)),
            ("timeout", Supported),
            ("upgrade_configs", Supported),
        ],
    ),
    (
        "envoy.config.route.v3.RouteAction.UpgradeConfig",
        &[("connect_config", Supported), ("enabled", Supported), ("upgrade_type", Supported)],
    ),
    (
        "envoy.config.route.v3.RouteAction.UpgradeConfig.ConnectConfig",
        &[("allow_post", Supported), ("proxy_protocol_config", Supported)],
    ),
    (
        "envoy.config.route.v3.RouteAction.MaxStreamDuration",
        &[
            ("grpc_timeout_header_max", Supported),
            ("grpc_timeout_header_offset", Supported),
            ("max_stream_duration", Supported),
        ],
    ),
    (
        "envoy.config.route.v3.RedirectAction",
        &[
            ("host_redirect", Supported),
            ("https_redirect", Supported),
            ("path_redirect", Supported),
            ("port_redirect", Supported),
            ("prefix_rewrite", Supported),
            ("response_code", Supported),
            ("scheme_redirect", Supported),
            ("strip_query", Supported),
        ],
    ),
    ("envoy.config.route.v3.DirectResponseAction", &[("body", Supported), ("status", Supported)]),
    (
        "envoy.config.core.v3.Http1ProtocolOptions",
        &[
            ("accept_http_10", Supported),
            ("allow_absolute_url", Supported),
            ("allow_chunked_length", Supported),
            ("default_host_for_http_10", Supported),
            ("enable_trailers", Supported),
            ("override_stream_error_on_invalid_http_message", Only(&["false"])),
            ("send_fully_qualified_url", Only(&["false"])),
            ("use_balsa_parser", Ignored("there is one HTTP/1 parser, which is neither")),
        ],
    ),
    (
        "envoy.config.core.v3.Http2ProtocolOptions",
        &[
            ("allow_connect", Supported),
            ("allow_metadata", Supported),
            ("connection_keepalive", Supported),
            ("custom_settings_parameters", Supported),
            ("disallow_obs_text", Only(&["false"])),
            ("enable_huffman_encoding", Supported),
            ("hpack_table_size", Supported),
            ("initial_connection_window_size", Supported),
            ("initial_stream_window_size", Supported),
            ("max_concurrent_streams", Supported),
            ("max_consecutive_inbound_frames_with_empty_payload", Supported),
            ("max_header_field_size_kb", Supported),
            ("max_inbound_priority_frames_per_stream", Supported),
            ("max_inbound_window_update_frames_per_data_frame_sent", Supported),
            ("max_metadata_size", Supported),
            ("max_outbound_control_frames", Supported),
            ("max_outbound_frames", Supported),
            ("override_stream_error_on_invalid_http_message", Supported),
            ("stream_error_on_invalid_http_messaging", Supported),
            ("stream_reset_burst", Supported),
            ("stream_reset_rate", Supported),
            ("use_oghttp2_codec", Ignored("there is one HTTP/2 codec, which is neither")),
        ],
    ),
    (
        "envoy.config.core.v3.Http2ProtocolOptions.SettingsParameter",
        &[("identifier", Supported), ("value", Supported)],
    ),
    (
        "envoy.config.core.v3.KeepaliveSettings",
        &[
            ("connection_idle_interval", Supported),
            ("interval", Supported),
            ("interval_jitter", Supported),
            ("timeout", Supported),
        ],
    ),
    (
        "envoy.config.core.v3.HttpProtocolOptions",
        &[
            ("headers_with_underscores_action", Supported),
            ("idle_timeout", Supported),
            ("max_connection_duration", Supported),
            ("max_headers_count", Supported),
            ("max_requests_per_connection", Supported),
            ("max_stream_duration", Supported),
        ],
    ),
    (
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        &[
            ("common_http_protocol_options", Supported),
            ("explicit_http_config", Supported),
            ("use_downstream_protocol_config", Supported),
        ],
    ),
    (
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig",
        &[("http2_protocol_options", Supported), ("http_protocol_options", Supported)],
    ),
    (
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig",
        &[("http2_protocol_options", Supported), ("http_protocol_options", Supported)],
    ),
];
