//! Where access logs go and how their lines look.

/// Envoy's `config.accesslog.v3.AccessLog` without a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// Where lines go.
    pub sink: AccessLogSink,
    /// How a line looks.
    pub format: AccessLogFormat,
}

/// Where an access log goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AccessLogSink {
    /// `FileAccessLog.path`.
    File(String),
    /// `StdoutAccessLog`.
    Stdout,
    /// `StderrAccessLog`.
    Stderr,
}

/// How a line of an access log looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// Not set: Envoy's default line.
    Default,
    /// `log_format.text_format_source`, `log_format.text_format` or `format`: with Envoy's command
    /// operators, which have not been parsed.
    Text(String),
}
