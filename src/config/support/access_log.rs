//! Access logs: their sinks, formats and filters.

use super::Area;
use super::Support::{Extension, Ignored, Supported};

/// Where access logs may go.
const ACCESS_LOGGERS: &[&str] = &[
    "envoy.extensions.access_loggers.file.v3.FileAccessLog",
    "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
    "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
];

pub(super) const ACCESS_LOG: Area = &[
    (
        "envoy.config.accesslog.v3.AccessLog",
        &[("filter", Supported), ("name", Supported), ("typed_config", Extension(ACCESS_LOGGERS))],
    ),
    (
        "envoy.config.accesslog.v3.AccessLogFilter",
        &[
            ("and_filter", Supported),
            ("duration_filter", Supported),
            ("log_type_filter", Supported),
            ("not_health_check_filter", Supported),
            ("or_filter", Supported),
            ("response_flag_filter", Supported),
            ("runtime_filter", Supported),
            ("status_code_filter", Supported),
        ],
    ),
    ("envoy.config.accesslog.v3.AndFilter", &[("filters", Supported)]),
    ("envoy.config.accesslog.v3.OrFilter", &[("filters", Supported)]),
    ("envoy.config.accesslog.v3.StatusCodeFilter", &[("comparison", Supported)]),
    ("envoy.config.accesslog.v3.DurationFilter", &[("comparison", Supported)]),
    ("envoy.config.accesslog.v3.NotHealthCheckFilter", &[]),
    ("envoy.config.accesslog.v3.ResponseFlagFilter", &[("flags", Supported)]),
    ("envoy.config.accesslog.v3.LogTypeFilter", &[("exclude", Supported), ("types", Supported)]),
    (
        "envoy.config.accesslog.v3.RuntimeFilter",
        &[
            ("percent_sampled", Supported),
            ("runtime_key", Supported),
            ("use_independent_randomness", Supported),
        ],
    ),
    ("envoy.config.accesslog.v3.ComparisonFilter", &[("op", Supported), ("value", Supported)]),
    (
        "envoy.config.core.v3.RuntimeUInt32",
        &[("default_value", Supported), ("runtime_key", Supported)],
    ),
    ("envoy.type.v3.FractionalPercent", &[("denominator", Supported), ("numerator", Supported)]),
    (
        "envoy.extensions.access_loggers.file.v3.FileAccessLog",
        &[("format", Supported), ("log_format", Supported), ("path", Supported)],
    ),
    ("envoy.extensions.access_loggers.stream.v3.StdoutAccessLog", &[("log_format", Supported)]),
    ("envoy.extensions.access_loggers.stream.v3.StderrAccessLog", &[("log_format", Supported)]),
    (
        "envoy.config.core.v3.SubstitutionFormatString",
        &[
            (
                "content_type",
                Ignored("neither a line of a log nor filter state has a content type"),
            ),
            ("json_format", Supported),
            ("json_format_options", Supported),
            ("omit_empty_values", Supported),
            ("text_format", Supported),
            ("text_format_source", Supported),
        ],
    ),
    (
        "envoy.config.core.v3.JsonFormatOptions",
        &[("sort_properties", Ignored("members are always printed sorted, as in Envoy 1.40"))],
    ),
    (
        "envoy.config.core.v3.DataSource",
        &[("inline_bytes", Supported), ("inline_string", Supported)],
    ),
];
