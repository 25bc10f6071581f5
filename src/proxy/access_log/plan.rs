//! From the configuration's format strings to compiled ones, once for the whole process: those of
//! access logs, of the requests that ask for tunnels, and of what filters leave on connections.

use std::collections::HashMap;
use std::sync::Arc;

use config::RuntimeSnapshot;
use config::model::{
    self, AccessLogComparison, AccessLogFilter, AccessLogFormat, AccessLogOperator, AccessLogSink,
    TerminalFilter,
};
use observe::ResponseFlag;
use observe::access_log::{
    AccessLogType, Comparison, DEFAULT_FORMAT, Filter, FilterOperator, Format, FormatError,
    JsonTemplate, Share, Surroundings,
};
use serde_json::Value;

use crate::tunnel_head::TunnelHead;

/// Every access log of the configuration, compiled, and whatever else is written with their
/// operators. Workers share it.
#[derive(Debug, Default)]
pub struct Plan {
    /// By the place of the log in the configuration.
    logs: HashMap<String, Arc<Compiled>>,
    /// By the place of `tunneling_config`.
    tunnels: HashMap<String, Arc<TunnelHead>>,
    /// By the place of the value of the filter state.
    states: HashMap<String, Arc<Format>>,
    /// Each with the place of the first log that names it.
    sinks: Vec<(AccessLogSink, String)>,
}

/// One access log.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// Index of the sink in the plan.
    pub(crate) sink: usize,
    pub(crate) filter: Option<Filter>,
    pub(crate) format: Format,
    /// Where the filter's numbers come from.
    config: Option<AccessLogFilter>,
}

/// A format that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands in the configuration.
    pub field_path: String,
    /// What is wrong with it.
    pub error: FormatError,
}

impl Plan {
    /// Compiles every format of the configuration. Values of the runtime count from the first
    /// [`Plan::follow_runtime`] on.
    ///
    /// # Errors
    /// Every format that is wrong.
    pub fn new(
        bootstrap: &model::Bootstrap,
        surroundings: Surroundings<'_>,
    ) -> Result<Self, Vec<Problem>> {
        let mut plan = Self::default();
        let mut problems = Vec::new();
        for config in bootstrap.listeners.iter().flat_map(|listener| access_logs(listener)) {
            match format(&config.format, surroundings) {
                Ok(format) => {
                    let filter = config.filter.as_ref().map(filter_from);
                    let (sink, config_of_filter) = (plan.sink(config), config.filter.clone());
                    let compiled = Compiled { sink, filter, format, config: config_of_filter };
                    plan.logs.insert(config.field_path.clone(), Arc::new(compiled));
                }
                Err(problem) => problems.push(problem),
            }
        }
        for config in bootstrap.listeners.iter().flat_map(|listener| tunnels(listener)) {
            match TunnelHead::new(config, surroundings) {
                Ok(head) => {
                    plan.tunnels.insert(config.field_path.clone(), Arc::new(head));
                }
                Err((field, error)) => {
                    let field_path = format!("{}.{field}", config.field_path);
                    problems.push(Problem { field_path, error });
                }
            }
        }
        for config in bootstrap.listeners.iter().flat_map(|listener| states(listener)) {
            match format(&config.format, surroundings) {
                Ok(format) => {
                    plan.states.insert(config.field_path.clone(), Arc::new(format));
                }
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(plan) } else { Err(problems) }
    }

    /// Takes over what `runtime` says of the filters.
    pub fn follow_runtime(&self, runtime: &RuntimeSnapshot) {
        for Compiled { filter, config, .. } in self.logs.values().map(|log| &**log) {
            if let (Some(filter), Some(config)) = (filter, config) {
                follow(filter, config, runtime);
            }
        }
    }

    /// Where lines go, and where the configuration says so: each destination once, however many
    /// logs share it.
    pub fn sinks(&self) -> impl Iterator<Item = (&AccessLogSink, &str)> {
        self.sinks.iter().map(|(sink, field_path)| (sink, field_path.as_str()))
    }

    pub(crate) fn find(&self, config: &model::AccessLog) -> Option<&Arc<Compiled>> {
        self.logs.get(&config.field_path)
    }

    pub(crate) fn tunnel(&self, config: &model::Tunneling) -> Option<&Arc<TunnelHead>> {
        self.tunnels.get(&config.field_path)
    }

    pub(crate) fn state(&self, config: &model::FilterStateValue) -> Option<&Arc<Format>> {
        self.states.get(&config.field_path)
    }

    fn sink(&mut self, config: &model::AccessLog) -> usize {
        let known = self.sinks.iter().position(|(known, _)| *known == config.sink);
        known.unwrap_or_else(|| {
            let field_path = match config.sink {
                AccessLogSink::File(_) => format!("{}.typed_config.path", config.field_path),
                AccessLogSink::Stdout | AccessLogSink::Stderr => config.field_path.clone(),
            };
            self.sinks.push((config.sink.clone(), field_path));
            self.sinks.len() - 1
        })
    }
}

/// Every access log of a listener: its own and its filters'.
fn access_logs(listener: &model::Listener) -> impl Iterator<Item = &model::AccessLog> {
    let of_filters = listener.chains().flat_map(|chain| match &chain.terminal {
        TerminalFilter::TcpProxy(tcp_proxy) => tcp_proxy.access_logs.as_slice(),
        TerminalFilter::Http(manager) => &manager.access_log,
        TerminalFilter::DirectResponse(_) | TerminalFilter::Echo => &[],
    });
    listener.access_logs.iter().chain(of_filters)
}

/// How the filters of a listener ask for tunnels.
fn tunnels(listener: &model::Listener) -> impl Iterator<Item = &model::Tunneling> {
    listener.chains().filter_map(|chain| match &chain.terminal {
        TerminalFilter::TcpProxy(tcp_proxy) => tcp_proxy.tunneling.as_deref(),
        TerminalFilter::Http(_) | TerminalFilter::DirectResponse(_) | TerminalFilter::Echo => None,
    })
}

/// What filters of a listener leave on connections.
fn states(listener: &model::Listener) -> impl Iterator<Item = &model::FilterStateValue> {
    let filters = listener.chains().flat_map(|chain| &chain.filters);
    filters.flat_map(model::NetworkFilter::filter_state)
}

fn format(config: &AccessLogFormat, surroundings: Surroundings<'_>) -> Result<Format, Problem> {
    let (compiled, field_path) = match config {
        AccessLogFormat::Default => (Format::text(DEFAULT_FORMAT, false, surroundings), ""),
        AccessLogFormat::Text { text, omit_empty_values, field_path } => {
            (Format::text(text, *omit_empty_values, surroundings), field_path.as_str())
        }
        AccessLogFormat::Json { members, omit_empty_values, field_path } => {
            let members: Vec<_> =
                members.iter().map(|(name, value)| (name.clone(), template(value))).collect();
            (Format::json(&members, *omit_empty_values, surroundings), field_path.as_str())
        }
    };
    compiled.map_err(|error| Problem { field_path: field_path.to_owned(), error })
}

fn template(value: &Value) -> JsonTemplate {
    match value {
        Value::Null => JsonTemplate::Null,
        Value::Bool(value) => JsonTemplate::Bool(*value),
        // Every number of the configuration is a double.
        Value::Number(number) => number.as_f64().map_or(JsonTemplate::Null, JsonTemplate::Number),
        Value::String(text) => JsonTemplate::Text(text.clone()),
        Value::Array(items) => JsonTemplate::List(items.iter().map(template).collect()),
        Value::Object(members) => JsonTemplate::Object(
            members.iter().map(|(name, value)| (name.clone(), template(value))).collect(),
        ),
    }
}

/// A filter as it is without values of the runtime.
fn filter_from(config: &AccessLogFilter) -> Filter {
    let many = |filters: &[AccessLogFilter]| filters.iter().map(filter_from).collect();
    match config {
        AccessLogFilter::StatusCode(config) => Filter::StatusCode(comparison(config)),
        AccessLogFilter::Duration(config) => Filter::Duration(comparison(config)),
        AccessLogFilter::NotHealthCheck => Filter::NotHealthCheck,
        AccessLogFilter::Runtime { numerator, denominator, use_independent_randomness, .. } => {
            Filter::Sampled {
                share: Share::new(u64::from(*numerator), *denominator),
                independent: *use_independent_randomness,
            }
        }
        AccessLogFilter::And(filters) => Filter::All(many(filters)),
        AccessLogFilter::Or(filters) => Filter::Any(many(filters)),
        AccessLogFilter::ResponseFlag(flags) => Filter::ResponseFlag(
            flags.iter().filter_map(|flag| ResponseFlag::from_short(flag)).collect(),
        ),
        AccessLogFilter::LogType { types, exclude } => Filter::LogType {
            // Types that no line can have are not listed there, and need not be.
            types: types.iter().filter_map(|name| AccessLogType::from_name(name)).collect(),
            exclude: *exclude,
        },
    }
}

fn comparison(config: &AccessLogComparison) -> Comparison {
    let operator = match config.operator {
        AccessLogOperator::Equal => FilterOperator::Equal,
        AccessLogOperator::GreaterOrEqual => FilterOperator::GreaterOrEqual,
        AccessLogOperator::LessOrEqual => FilterOperator::LessOrEqual,
        AccessLogOperator::NotEqual => FilterOperator::NotEqual,
    };
    Comparison::new(operator, u64::from(config.default_value))
}

/// Sets the numbers of a filter that was made from `config`.
fn follow(filter: &Filter, config: &AccessLogFilter, runtime: &RuntimeSnapshot) {
    match (filter, config) {
        (
            Filter::StatusCode(comparison),
            AccessLogFilter::StatusCode(AccessLogComparison { default_value, runtime_key, .. }),
        )
        | (
            Filter::Duration(comparison),
            AccessLogFilter::Duration(AccessLogComparison { default_value, runtime_key, .. }),
        ) => comparison.set(runtime.integer(runtime_key, u64::from(*default_value))),
        (
            Filter::Sampled { share, .. },
            AccessLogFilter::Runtime { runtime_key, numerator, denominator, .. },
        ) => {
            // A fraction of the runtime counts for nothing here, and a number is no percentage.
            share.set(runtime.integer(runtime_key, u64::from(*numerator)), *denominator);
        }
        (Filter::All(filters), AccessLogFilter::And(configs))
        | (Filter::Any(filters), AccessLogFilter::Or(configs)) => {
            for (filter, config) in filters.iter().zip(configs) {
                follow(filter, config, runtime);
            }
        }
        // The others have no numbers.
        _ => {}
    }
}
