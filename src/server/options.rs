//! The command line, with every option that Envoy 1.40 has under Envoy's name.
//!
//! An option that can have no effect yet is accepted, so that a start script moves over unchanged,
//! and named once in the log (`without_effect`). An option whose absence would change what happens
//! is refused with the cure.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/operations/cli>

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Parser, ValueEnum};
use config::UnknownFields;
use config::model::LogFormat;
use control::LogLevel;

mod log;
mod server_info;
mod stats_tag;
mod without_effect;

use crate::logging::{DEFAULT_FORMAT, Settings};
use log::{component_levels, log_level};
pub(crate) use stats_tag::StatsTag;

/// What the process was asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(name = "nuncio", version, about = ABOUT, after_help = AFTER_HELP)]
pub(crate) struct Options {
    /// The bootstrap file: YAML if its name ends in .yaml or .yml, JSON otherwise.
    #[arg(short = 'c', long, value_name = "FILE")]
    pub(crate) config_path: Option<PathBuf>,

    /// The bootstrap itself, as YAML; beside a file it is merged into it, as in Envoy.
    #[arg(long, value_name = "YAML")]
    pub(crate) config_yaml: Option<String>,

    /// Whether to run, to check the configuration, or to start everything and end.
    #[arg(long, value_enum, default_value_t = Mode::Serve, hide_possible_values = true)]
    #[arg(value_name = "serve|validate|init_only")]
    pub(crate) mode: Mode,

    /// How a refused configuration is told on standard error: one line for each problem, or one
    /// JSON document. With --mode validate a valid one prints its warnings on standard output.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text, hide_possible_values = true)]
    #[arg(value_name = "text|json")]
    pub(crate) config_report: ReportFormat,

    /// Print the configuration that runs without any argument, and exit.
    #[arg(long)]
    pub(crate) print_default_config: bool,

    /// Workers. Default: the CPUs this process may use. Each is pinned to a core if there is
    /// exactly one for each; with fewer workers than cores, choose the cores with taskset.
    #[arg(long, value_name = "COUNT")]
    #[arg(value_parser = clap::value_parser!(u32).range(..=WORKERS_MAX))]
    pub(crate) concurrency: Option<u32>,

    /// As many workers as the cpuset has CPUs: always so without --concurrency, as in Envoy.
    #[arg(long)]
    pub(crate) cpuset_threads: bool,

    /// How much to log.
    #[arg(short = 'l', long, value_name = LOG_LEVELS, value_parser = log_level)]
    #[arg(default_value = "info")]
    pub(crate) log_level: LogLevel,

    /// Levels of single components: upstream:debug,connection:trace. POST /logging names them.
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    #[arg(value_parser = component_levels)]
    pub(crate) component_log_level: ComponentLevels,

    /// Append the log to this file; SIGUSR1 opens it anew. Default: standard error.
    #[arg(long, value_name = "FILE")]
    pub(crate) log_path: Option<PathBuf>,

    /// How a line of the log looks, in spdlog's pattern language.
    /// Default: "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v".
    #[arg(long, value_name = "PATTERN")]
    pub(crate) log_format: Option<String>,

    /// Write control characters of the log as C's escapes: each event stays on one line.
    #[arg(long)]
    pub(crate) log_format_escaped: bool,

    /// Levels by source file; no effect: levels are per component.
    #[arg(long)]
    pub(crate) enable_fine_grain_logging: bool,

    /// No effect: a panic is always told in one piece.
    #[arg(long)]
    pub(crate) log_stacktrace_single_entry: bool,

    /// No effect: nothing is logged about deprecated fields.
    #[arg(long)]
    pub(crate) skip_deprecated_logs: bool,

    /// Write the address of the admin listener into this file once it is bound.
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_address_path: Option<PathBuf>,

    /// Seconds that connections may go on after SIGTERM. (Envoy ends at once.)
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) shutdown_grace_s: u32,

    /// Seconds over which an admin drain is spread.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub(crate) drain_time_s: u32,

    /// Whether a drain spreads its closes over the drain time.
    #[arg(long, value_enum, default_value_t = DrainStrategy::Gradual, hide_possible_values = true)]
    #[arg(value_name = "gradual|immediate")]
    pub(crate) drain_strategy: DrainStrategy,

    /// Name of the cluster this process belongs to; goes before node.cluster of the file.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(crate) service_cluster: String,

    /// Name of this node; goes before node.id of the file.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(crate) service_node: String,

    /// Zone of this node; no effect yet.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(crate) service_zone: String,

    /// A tag for every stat, as name:value. May be given several times.
    #[arg(long, value_name = "NAME:VALUE", action = ArgAction::Append)]
    pub(crate) stats_tag: Vec<StatsTag>,

    /// Keeps the processes of one machine apart: two of the same base id do not run together.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u32).range(..=BASE_ID_MAX))]
    pub(crate) base_id: u32,

    /// Choose a base id that is free.
    #[arg(long)]
    pub(crate) use_dynamic_base_id: bool,

    /// Write the base id into this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) base_id_path: Option<PathBuf>,

    /// Run beside other processes of the same base id.
    #[arg(long)]
    pub(crate) disable_hot_restart: bool,

    /// The socket that holds the base id: a file, or with @ an abstract name.
    #[arg(long, value_name = "PATH", default_value = SOCKET_PATH)]
    pub(crate) socket_path: String,

    /// Permissions of that socket if it is a file, in octal.
    #[arg(long, value_name = "MODE", default_value = "600", value_parser = socket_mode)]
    pub(crate) socket_mode: u32,

    /// Which hot restart this is; only 0 is supported yet.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = first_epoch)]
    pub(crate) restart_epoch: u32,

    /// Print the version of the hot restart protocol, and exit.
    #[arg(long)]
    pub(crate) hot_restart_version: bool,

    /// No effect yet: there is no hot restart.
    #[arg(long, value_name = "SECONDS", default_value_t = PARENT_SHUTDOWN_TIME_S)]
    pub(crate) parent_shutdown_time_s: u32,

    /// No effect yet: there is no hot restart.
    #[arg(long)]
    pub(crate) skip_hot_restart_on_no_parent: bool,

    /// No effect yet: there is no hot restart.
    #[arg(long)]
    pub(crate) skip_hot_restart_parent_stats: bool,

    /// Milliseconds after which access logs are written at the latest.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = FILE_FLUSH_INTERVAL_MSEC)]
    pub(crate) file_flush_interval_msec: u32,

    /// Kilobytes from which access logs are written earlier.
    #[arg(long, value_name = "KB", default_value_t = FILE_FLUSH_MIN_SIZE_KB)]
    pub(crate) file_flush_min_size_kb: u32,

    /// Leave out what Envoy does not know in the configuration, with a warning each.
    #[arg(long)]
    pub(crate) allow_unknown_static_fields: bool,

    /// The same under its old name.
    #[arg(long)]
    pub(crate) allow_unknown_fields: bool,

    /// No effect yet: there is no dynamic configuration.
    #[arg(long)]
    pub(crate) reject_unknown_dynamic_fields: bool,

    /// No effect yet: there is no dynamic configuration.
    #[arg(long)]
    pub(crate) ignore_unknown_dynamic_fields: bool,

    /// No effect: the configuration alone says which extensions run.
    #[arg(long, value_name = "LIST", value_delimiter = ',', num_args = 1)]
    pub(crate) disable_extensions: Vec<String>,

    /// Which IP version this host's own address has, where it is told to others.
    #[arg(long, value_enum, default_value_t = IpVersion::V4, hide_possible_values = true)]
    #[arg(value_name = "v4|v6")]
    pub(crate) local_address_ip_version: IpVersion,

    /// Allow a core file of any size when the process crashes.
    #[arg(long)]
    pub(crate) enable_core_dump: bool,

    /// No effect: nothing on the data path waits for a mutex.
    #[arg(long)]
    pub(crate) enable_mutex_tracing: bool,

    /// What stands behind `--` is not looked at, as in Envoy.
    #[arg(last = true, hide = true)]
    ignored: Vec<OsString>,
}

/// Envoy's `--mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Check the configuration, then serve traffic.
    Serve,
    /// Check the configuration, then exit.
    Validate,
    /// Start everything, accept nothing, then exit.
    #[value(name = "init_only")]
    InitOnly,
}

/// How the problems of a configuration are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Text,
    Json,
}

/// Envoy's `--drain-strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DrainStrategy {
    Gradual,
    Immediate,
}

/// Envoy's `--local-address-ip-version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IpVersion {
    V4,
    V6,
}

/// `--component-log-level`: what was written, and what it means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ComponentLevels {
    pub(crate) text: String,
    pub(crate) levels: Vec<(String, LogLevel)>,
}

impl Options {
    /// What the options say together that no single one can say.
    ///
    /// # Errors
    /// Which two options exclude each other, and why.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.enable_fine_grain_logging && !self.component_log_level.levels.is_empty() {
            return Err("--component-log-level will not work with --enable-fine-grain-logging; \
                        leave one of them out"
                .to_owned());
        }
        let mut names: Vec<&str> = self.stats_tag.iter().map(|tag| tag.name.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("--stats-tag: '{}' has two values; give one", pair[0])),
            None => Ok(()),
        }
    }

    /// Whether these options are about a configuration at all.
    pub(crate) fn needs_configuration(&self) -> bool {
        !self.print_default_config && !self.hot_restart_version
    }

    pub(crate) fn unknown_fields(&self) -> UnknownFields {
        if self.allow_unknown_static_fields || self.allow_unknown_fields {
            UnknownFields::LeftOut
        } else {
            UnknownFields::Refused
        }
    }

    pub(crate) fn log_settings(&self) -> Settings {
        let format = self.log_format.clone();
        Settings {
            level: self.log_level,
            component_levels: self.component_log_level.levels.clone(),
            format: LogFormat::Text(format.unwrap_or_else(|| DEFAULT_FORMAT.to_owned())),
            escaped: self.log_format_escaped,
            path: self.log_path.clone(),
        }
    }
}

fn first_epoch(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(0) => Ok(0),
        Ok(_) => Err("hot restart is not supported yet; stop the old process first".to_owned()),
        Err(_) => Err("not a number".to_owned()),
    }
}

fn socket_mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
    mode.ok_or_else(|| "not an octal mode such as 600".to_owned())
}

const LOG_LEVELS: &str = "trace|debug|info|warning|error|critical|off";
const ABOUT: &str = "An Envoy-compatible L4/L7 proxy on io_uring";
const AFTER_HELP: &str = "Without any argument a demo runs on 127.0.0.1.\n\n\
    NUNCIO_RING_FEATURES=-inc,-recv_limit,... switches optional io_uring features off.\n\
    Exit codes: 0 ended as asked, or the configuration is valid; 1 anything else: the command\n\
    line, the configuration, the start, or a worker failed, as standard error says.";

/// Envoy's is `@envoy_domain_socket`; with a name of its own both run side by side.
pub(crate) const SOCKET_PATH: &str = "@nuncio_domain_socket";

/// Envoy's defaults.
const PARENT_SHUTDOWN_TIME_S: u32 = 900;
const FILE_FLUSH_INTERVAL_MSEC: u32 = 10_000;
const FILE_FLUSH_MIN_SIZE_KB: u32 = 64;

/// Envoy multiplies it by ten in 32 bits.
const BASE_ID_MAX: i64 = 429_496_729;

/// What the reactor has room for: a waker carries the number of its worker in 12 bits.
const WORKERS_MAX: i64 = 1 << 12;

#[cfg(test)]
mod tests;
