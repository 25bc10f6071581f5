//! The command line, with Envoy's names where Envoy has the option.
//!
//! An option that can have no effect yet is accepted, so that a start script moves over unchanged,
//! and named once in the log. An option whose absence would change behaviour is refused.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/operations/cli>

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde_json::{Map, Value, json};

/// What the process was asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(name = "nuncio", version, about = ABOUT, after_help = AFTER_HELP)]
pub(crate) struct Options {
    /// The bootstrap file: YAML if its name ends in .yaml or .yml, JSON otherwise.
    #[arg(short = 'c', long, value_name = "FILE")]
    pub(crate) config_path: Option<PathBuf>,

    /// The bootstrap itself, as YAML. Merging it into a file is not supported yet.
    #[arg(long, value_name = "YAML", conflicts_with = "config_path")]
    pub(crate) config_yaml: Option<String>,

    /// Whether to run or only to check the configuration.
    #[arg(long, value_enum, default_value_t = Mode::Serve)]
    pub(crate) mode: Mode,

    /// Workers. Default: the cores this process may use. Each is pinned to a core if there is
    /// exactly one for each; with fewer workers than cores, choose the cores with taskset.
    #[arg(long, value_name = "COUNT")]
    #[arg(value_parser = clap::value_parser!(u32).range(..=WORKERS_MAX))]
    pub(crate) concurrency: Option<u32>,

    /// How much to log to standard error.
    #[arg(short = 'l', long, value_name = LOG_LEVELS, hide_possible_values = true)]
    #[arg(value_enum, default_value_t = LogLevel::Info)]
    pub(crate) log_level: LogLevel,

    /// Write the address of the admin listener into this file once it is bound.
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_address_path: Option<PathBuf>,

    /// Seconds that connections may go on after SIGTERM. (Envoy ends at once.)
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) shutdown_grace_s: u32,

    /// Name of the cluster this process belongs to; goes before node.cluster of the file.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(crate) service_cluster: String,

    /// Name of this node; goes before node.id of the file.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(crate) service_node: String,

    /// Zone of this node; no effect yet.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(crate) service_zone: String,

    /// Seconds over which an admin drain is spread; no effect yet.
    #[arg(long, value_name = "SECONDS", default_value_t = DRAIN_TIME_S)]
    pub(crate) drain_time_s: u32,

    /// Keeps hot restarts of several Envoys on a host apart; no effect yet.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) base_id: u32,

    /// Chooses a free base id; no effect yet.
    #[arg(long)]
    pub(crate) use_dynamic_base_id: bool,

    /// There is no hot restart yet, so it always is.
    #[arg(long)]
    pub(crate) disable_hot_restart: bool,

    /// Which hot restart this is; only 0 is supported yet.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = first_epoch)]
    pub(crate) restart_epoch: u32,

    /// Print the configuration that runs without any argument, and exit.
    #[arg(long)]
    pub(crate) print_default_config: bool,
}

/// Envoy's `--mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Check the configuration, then serve traffic.
    Serve,
    /// Check the configuration, then exit.
    Validate,
}

/// Envoy's `--log-level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Trace,
    Debug,
    Info,
    #[value(alias = "warn")]
    Warning,
    Error,
    Critical,
    Off,
}

impl LogLevel {
    /// Envoy's spelling.
    fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Off => "off",
        }
    }
}

impl Options {
    /// The options that were given and change nothing, each with the reason.
    pub(crate) fn without_effect(&self) -> Vec<(&'static str, &'static str)> {
        let no_hot_restart = "there is no hot restart yet, and without it nothing to keep apart";
        let given = [
            (self.base_id != 0, "--base-id", no_hot_restart),
            (self.use_dynamic_base_id, "--use-dynamic-base-id", no_hot_restart),
            (self.drain_time_s != DRAIN_TIME_S, "--drain-time-s", "there is no admin drain yet"),
            (!self.service_zone.is_empty(), "--service-zone", "there is no zone-aware routing yet"),
        ];
        given.into_iter().filter(|(given, ..)| *given).map(|(_, name, why)| (name, why)).collect()
    }

    /// The options in effect by the field names of Envoy's `admin.v3.CommandLineOptions`, for
    /// `/server_info`; fields of options that do not exist here are left out.
    pub(crate) fn to_server_info(&self, concurrency: u32) -> Map<String, Value> {
        let path = |path: &Option<PathBuf>| match path {
            Some(path) => path.to_string_lossy().into_owned(),
            None => String::new(),
        };
        let fields = [
            // A 64-bit number, which JSON renderings of protobuf write as a string.
            ("base_id", json!(self.base_id.to_string())),
            ("concurrency", json!(concurrency)),
            ("config_path", json!(path(&self.config_path))),
            ("config_yaml", json!(self.config_yaml.as_deref().unwrap_or_default())),
            ("admin_address_path", json!(path(&self.admin_address_path))),
            ("log_level", json!(self.log_level.name())),
            ("service_cluster", json!(self.service_cluster)),
            ("service_node", json!(self.service_node)),
            ("service_zone", json!(self.service_zone)),
            ("drain_time", json!(format!("{}s", self.drain_time_s))),
            (
                "mode",
                json!(match self.mode {
                    Mode::Serve => "Serve",
                    Mode::Validate => "Validate",
                }),
            ),
            ("disable_hot_restart", json!(self.disable_hot_restart)),
            ("restart_epoch", json!(self.restart_epoch)),
            ("use_dynamic_base_id", json!(self.use_dynamic_base_id)),
        ];
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

fn first_epoch(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(0) => Ok(0),
        Ok(_) => Err("hot restart is not supported yet; stop the old process first".to_owned()),
        Err(_) => Err("not a number".to_owned()),
    }
}

const LOG_LEVELS: &str = "trace|debug|info|warning|error|critical|off";
const ABOUT: &str = "An Envoy-compatible L4/L7 proxy on io_uring";
const AFTER_HELP: &str = "Without any argument a TCP demo runs on 127.0.0.1.\n\n\
    NUNCIO_RING_FEATURES=-inc,-recv_limit,... switches optional io_uring features off.\n\
    Exit codes: 0 ended as asked, 1 not started or failed, 2 command line not understood.";

/// Envoy's default.
const DRAIN_TIME_S: u32 = 600;

/// What the reactor has room for: a waker carries the number of its worker in 12 bits.
const WORKERS_MAX: i64 = 1 << 12;

#[cfg(test)]
mod tests;
