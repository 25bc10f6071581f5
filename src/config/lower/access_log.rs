//! Access logs: their sinks, formats and filters.
//!
//! Format strings are not parsed here: the operators belong to the floor that evaluates them, and
//! `server` reports what it finds at the place that the model keeps.

use prost::Message as _;
use serde_json::{Map, Number, Value};

use super::Lower;
use crate::model::{
    AccessLog, AccessLogComparison, AccessLogFilter, AccessLogFormat, AccessLogOperator,
    AccessLogSink, TcpAccessLogOptions,
};
use crate::problem::ProblemKind;
use crate::typed::envoy::config::accesslog::v3 as pb;
use crate::typed::envoy::config::core::v3 as core;
use crate::typed::envoy::extensions::access_loggers::{file::v3 as file, stream::v3 as stream};
use crate::typed::envoy::extensions::filters::network::tcp_proxy::v3 as tcp_proxy;
use crate::typed::envoy::r#type::v3::fractional_percent::DenominatorType;
use core::data_source::Specifier;
use core::substitution_format_string::Format;
use pb::access_log::ConfigType;
use pb::access_log_filter::FilterSpecifier;
use pb::comparison_filter::Op;

/// Type URL of `envoy.access_loggers.file`.
const FILE: &str = "envoy.extensions.access_loggers.file.v3.FileAccessLog";
/// Type URL of `envoy.access_loggers.stdout`.
const STDOUT: &str = "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog";
/// Type URL of `envoy.access_loggers.stderr`.
const STDERR: &str = "envoy.extensions.access_loggers.stream.v3.StderrAccessLog";

impl Lower<'_> {
    /// The logs of the list at `path`. One that was reported is left out.
    pub(super) fn access_logs(&mut self, messages: &[pb::AccessLog], path: &str) -> Vec<AccessLog> {
        let indexed = messages.iter().enumerate();
        indexed
            .filter_map(|(index, message)| self.access_log(message, &format!("{path}[{index}]")))
            .collect()
    }

    fn access_log(&mut self, message: &pb::AccessLog, path: &str) -> Option<AccessLog> {
        let filter = match &message.filter {
            None => None,
            Some(filter) => Some(self.access_log_filter(filter, &format!("{path}.filter"))?),
        };
        let Some(ConfigType::TypedConfig(any)) = &message.config_type else {
            let text = "missing; Envoy finds an access logger by the '@type' in it";
            self.absent(path, "typed_config", text);
            return None;
        };
        let typed = format!("{path}.typed_config");
        let log_format = format!("{typed}.log_format");
        let (sink, format) = match any.type_url.rsplit_once('/').map(|(_, name)| name) {
            Some(FILE) => {
                let message = file::FileAccessLog::decode(any.value.as_slice()).ok()?;
                let format = match &message.access_log_format {
                    None => AccessLogFormat::Default,
                    // Envoy takes an empty one for none.
                    Some(file::file_access_log::AccessLogFormat::Format(text))
                        if text.is_empty() =>
                    {
                        AccessLogFormat::Default
                    }
                    Some(file::file_access_log::AccessLogFormat::Format(text)) => {
                        AccessLogFormat::Text {
                            text: text.clone(),
                            omit_empty_values: false,
                            field_path: format!("{typed}.format"),
                        }
                    }
                    Some(file::file_access_log::AccessLogFormat::LogFormat(format)) => {
                        self.access_log_format(format, &log_format)?
                    }
                };
                (AccessLogSink::File(message.path), format)
            }
            Some(STDOUT) => {
                let message = stream::StdoutAccessLog::decode(any.value.as_slice()).ok()?;
                let format = match &message.access_log_format {
                    None => AccessLogFormat::Default,
                    Some(stream::stdout_access_log::AccessLogFormat::LogFormat(format)) => {
                        self.access_log_format(format, &log_format)?
                    }
                };
                (AccessLogSink::Stdout, format)
            }
            Some(STDERR) => {
                let message = stream::StderrAccessLog::decode(any.value.as_slice()).ok()?;
                let format = match &message.access_log_format {
                    None => AccessLogFormat::Default,
                    Some(stream::stderr_access_log::AccessLogFormat::LogFormat(format)) => {
                        self.access_log_format(format, &log_format)?
                    }
                };
                (AccessLogSink::Stderr, format)
            }
            None => {
                let text = format!("access log '{}' has an empty typed_config", message.name);
                self.invalid(&typed, text, Some("add its '@type'"));
                return None;
            }
            // Reported by the support table.
            Some(_) => return None,
        };
        Some(AccessLog { field_path: path.to_owned(), sink, filter, format })
    }

    pub(super) fn access_log_format(
        &mut self,
        message: &core::SubstitutionFormatString,
        path: &str,
    ) -> Option<AccessLogFormat> {
        let omit_empty_values = message.omit_empty_values;
        let text = |text: &str, field: &str| AccessLogFormat::Text {
            text: text.to_owned(),
            omit_empty_values,
            field_path: format!("{path}.{field}"),
        };
        match &message.format {
            // Reported by the rules.
            None => None,
            Some(Format::TextFormat(format)) => Some(text(format, "text_format")),
            Some(Format::TextFormatSource(source)) => match &source.specifier {
                Some(Specifier::InlineString(format)) => {
                    Some(text(format, "text_format_source.inline_string"))
                }
                Some(Specifier::InlineBytes(bytes)) => {
                    let field = "text_format_source.inline_bytes";
                    if let Ok(format) = std::str::from_utf8(bytes) {
                        return Some(text(format, field));
                    }
                    self.not_yet(&format!("{path}.{field}"), "a format that is not UTF-8", None);
                    None
                }
                // Reported by the support table, or by the rules.
                Some(_) | None => None,
            },
            Some(Format::JsonFormat(format)) => Some(AccessLogFormat::Json {
                members: json_object(format),
                omit_empty_values,
                field_path: format!("{path}.json_format"),
            }),
        }
    }

    fn access_log_filter(
        &mut self,
        message: &pb::AccessLogFilter,
        path: &str,
    ) -> Option<AccessLogFilter> {
        let many = |lower: &mut Self, filters: &[pb::AccessLogFilter], field: &str| {
            let path = format!("{path}.{field}.filters");
            let one =
                |(index, filter)| lower.access_log_filter(filter, &format!("{path}[{index}]"));
            filters.iter().enumerate().map(one).collect::<Option<Vec<_>>>()
        };
        Some(match message.filter_specifier.as_ref()? {
            FilterSpecifier::StatusCodeFilter(filter) => {
                AccessLogFilter::StatusCode(comparison(filter.comparison.as_ref()?)?)
            }
            FilterSpecifier::DurationFilter(filter) => {
                AccessLogFilter::Duration(comparison(filter.comparison.as_ref()?)?)
            }
            FilterSpecifier::NotHealthCheckFilter(_) => AccessLogFilter::NotHealthCheck,
            FilterSpecifier::RuntimeFilter(filter) => {
                let percent = filter.percent_sampled.as_ref();
                AccessLogFilter::Runtime {
                    runtime_key: filter.runtime_key.clone(),
                    numerator: percent.map_or(0, |percent| percent.numerator),
                    denominator: match percent.map_or(
                        DenominatorType::Hundred,
                        crate::typed::envoy::r#type::v3::FractionalPercent::denominator,
                    ) {
                        DenominatorType::Hundred => 100,
                        DenominatorType::TenThousand => 10_000,
                        DenominatorType::Million => 1_000_000,
                    },
                    use_independent_randomness: filter.use_independent_randomness,
                }
            }
            FilterSpecifier::AndFilter(filter) => {
                AccessLogFilter::And(many(self, &filter.filters, "and_filter")?)
            }
            FilterSpecifier::OrFilter(filter) => {
                AccessLogFilter::Or(many(self, &filter.filters, "or_filter")?)
            }
            FilterSpecifier::ResponseFlagFilter(filter) => {
                AccessLogFilter::ResponseFlag(filter.flags.clone())
            }
            FilterSpecifier::LogTypeFilter(filter) => AccessLogFilter::LogType {
                types: filter.types().map(|kind| kind.as_str_name()).collect(),
                exclude: filter.exclude,
            },
        })
    }

    /// `access_log_options`, or the two older fields that Envoy takes instead of it.
    pub(super) fn tcp_access_log_options(
        &mut self,
        message: &tcp_proxy::TcpProxy,
        path: &str,
    ) -> TcpAccessLogOptions {
        let options = message.access_log_options.as_ref();
        if options.is_some() && message.access_log_flush_interval.is_some() {
            let text =
                "Only one of access_log_flush_interval or access_log_options can be specified.";
            self.invalid(&format!("{path}.access_log_options"), text, None);
        }
        if options.is_some() && message.flush_access_log_on_connected {
            let text =
                "Only one of flush_access_log_on_connected or access_log_options can be specified.";
            self.invalid(&format!("{path}.access_log_options"), text, None);
        }
        let (interval, field, flush_on_connected) = match options {
            Some(options) => (
                options.access_log_flush_interval.as_ref(),
                "access_log_options.access_log_flush_interval",
                options.flush_access_log_on_connected,
            ),
            None => (
                message.access_log_flush_interval.as_ref(),
                "access_log_flush_interval",
                message.flush_access_log_on_connected,
            ),
        };
        let flush_interval =
            interval.map(|interval| self.milliseconds(interval, &format!("{path}.{field}")));
        if message.access_log.is_empty() && (flush_interval.is_some() || flush_on_connected) {
            let text = "there is no access log to write to";
            self.report(ProblemKind::Ignored, &format!("{path}.{field}"), text, None);
        }
        TcpAccessLogOptions { flush_interval, flush_on_connected }
    }
}

fn comparison(message: &pb::ComparisonFilter) -> Option<AccessLogComparison> {
    let operator = match message.op() {
        Op::Eq => AccessLogOperator::Equal,
        Op::Ge => AccessLogOperator::GreaterOrEqual,
        Op::Le => AccessLogOperator::LessOrEqual,
        Op::Ne => AccessLogOperator::NotEqual,
    };
    // Reported by the rules when it is missing.
    let value = message.value.as_ref()?;
    let (default_value, runtime_key) = (value.default_value, value.runtime_key.clone());
    Some(AccessLogComparison { operator, default_value, runtime_key })
}

fn json_object(message: &prost_types::Struct) -> Map<String, Value> {
    message.fields.iter().map(|(name, value)| (name.clone(), json(value))).collect()
}

fn json(message: &prost_types::Value) -> Value {
    use prost_types::value::Kind;
    match &message.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => Value::Bool(*value),
        // What is no number in JSON prints as null, as in Envoy.
        Some(Kind::NumberValue(number)) => {
            Number::from_f64(*number).map_or(Value::Null, Value::Number)
        }
        Some(Kind::StringValue(text)) => Value::String(text.clone()),
        Some(Kind::ListValue(list)) => Value::Array(list.values.iter().map(json).collect()),
        Some(Kind::StructValue(members)) => Value::Object(json_object(members)),
    }
}
