//! Where access logs go, which lines they have, and how these look.

use std::time::Duration;

/// Envoy's `config.accesslog.v3.AccessLog`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// Where it stands in the configuration, for what is found wrong with it later.
    pub field_path: String,
    /// Where lines go.
    pub sink: AccessLogSink,
    /// Which lines are written; `None`: all.
    pub filter: Option<AccessLogFilter>,
    /// How a line looks.
    pub format: AccessLogFormat,
}

/// Where an access log goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AccessLogSink {
    /// `FileAccessLog.path`, never empty.
    File(String),
    /// `StdoutAccessLog`.
    Stdout,
    /// `StderrAccessLog`.
    Stderr,
}

/// How a line of an access log looks. Envoy's command operators in it have not been parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// Not set: Envoy's default line.
    Default,
    /// `log_format.text_format_source`, `log_format.text_format` or `format`.
    Text {
        /// The format string.
        text: String,
        /// `omit_empty_values`.
        omit_empty_values: bool,
        /// Where the text stands in the configuration.
        field_path: String,
    },
    /// `log_format.json_format`.
    Json {
        /// The members of the document.
        members: serde_json::Map<String, serde_json::Value>,
        /// `omit_empty_values`.
        omit_empty_values: bool,
        /// Where the object stands in the configuration.
        field_path: String,
    },
}

/// Envoy's `config.accesslog.v3.AccessLogFilter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLogFilter {
    /// `status_code_filter`.
    StatusCode(AccessLogComparison),
    /// `duration_filter`, in milliseconds.
    Duration(AccessLogComparison),
    /// `not_health_check_filter`.
    NotHealthCheck,
    /// `runtime_filter`: a share of the lines.
    Runtime {
        /// `runtime_key`: a value of the runtime goes before `percent_sampled`.
        runtime_key: String,
        /// `percent_sampled.numerator`.
        numerator: u32,
        /// `percent_sampled.denominator`: 100, 10,000 or 1,000,000.
        denominator: u32,
        /// `use_independent_randomness`.
        use_independent_randomness: bool,
    },
    /// `and_filter`.
    And(Vec<Self>),
    /// `or_filter`.
    Or(Vec<Self>),
    /// `response_flag_filter`: short names; empty means any flag.
    ResponseFlag(Vec<String>),
    /// `log_type_filter`.
    LogType {
        /// `types`, by name.
        types: Vec<&'static str>,
        /// `exclude`.
        exclude: bool,
    },
}

/// Envoy's `config.accesslog.v3.ComparisonFilter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLogComparison {
    /// `op`.
    pub operator: AccessLogOperator,
    /// `value.default_value`.
    pub default_value: u32,
    /// `value.runtime_key`: a value of the runtime goes before the default.
    pub runtime_key: String,
}

/// Envoy's `config.accesslog.v3.ComparisonFilter.Op`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLogOperator {
    /// `EQ`.
    Equal,
    /// `GE`.
    GreaterOrEqual,
    /// `LE`.
    LessOrEqual,
    /// `NE`.
    NotEqual,
}

/// Envoy's `TcpProxy.TcpAccessLogOptions`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TcpAccessLogOptions {
    /// `access_log_flush_interval`: how often a connection writes a line while it lasts.
    pub flush_interval: Option<Duration>,
    /// `flush_access_log_on_connected`: a line when the upstream is connected.
    pub flush_on_connected: bool,
}
