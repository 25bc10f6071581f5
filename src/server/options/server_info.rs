//! The options in effect, as `/server_info` shows them.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use config::UnknownFields;

use super::{DrainStrategy, IpVersion, Mode, Options};
use crate::logging;

impl Options {
    /// Envoy's `admin.v3.CommandLineOptions`, with all its fields in its order.
    /// <https://www.envoyproxy.io/docs/envoy/latest/api-v3/admin/v3/server_info.proto>
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
            ("allow_unknown_static_fields", json!(self.unknown_fields() == UnknownFields::LeftOut)),
            ("admin_address_path", json!(path(&self.admin_address_path))),
            (
                "local_address_ip_version",
                json!(match self.local_address_ip_version {
                    IpVersion::V4 => "v4",
                    IpVersion::V6 => "v6",
                }),
            ),
            ("log_level", json!(self.log_level.name())),
            ("component_log_level", json!(self.component_log_level.text)),
            ("log_format", json!(self.log_format.as_deref().unwrap_or(logging::DEFAULT_FORMAT))),
            ("log_path", json!(path(&self.log_path))),
            ("service_cluster", json!(self.service_cluster)),
            ("service_node", json!(self.service_node)),
            ("service_zone", json!(self.service_zone)),
            ("file_flush_interval", json!(seconds(self.file_flush_interval_msec))),
            ("drain_time", json!(format!("{}s", self.drain_time_s))),
            ("parent_shutdown_time", json!(format!("{}s", self.parent_shutdown_time_s))),
            (
                "mode",
                json!(match self.mode {
                    Mode::Serve => "Serve",
                    Mode::Validate => "Validate",
                    Mode::InitOnly => "InitOnly",
                }),
            ),
            ("disable_hot_restart", json!(self.disable_hot_restart)),
            ("enable_mutex_tracing", json!(self.enable_mutex_tracing)),
            ("restart_epoch", json!(self.restart_epoch)),
            ("cpuset_threads", json!(self.cpuset_threads)),
            ("reject_unknown_dynamic_fields", json!(self.reject_unknown_dynamic_fields)),
            ("log_format_escaped", json!(self.log_format_escaped)),
            ("disabled_extensions", json!(self.disable_extensions)),
            ("ignore_unknown_dynamic_fields", json!(self.ignore_unknown_dynamic_fields)),
            ("use_dynamic_base_id", json!(self.use_dynamic_base_id)),
            ("base_id_path", json!(path(&self.base_id_path))),
            (
                "drain_strategy",
                json!(match self.drain_strategy {
                    DrainStrategy::Gradual => "Gradual",
                    DrainStrategy::Immediate => "Immediate",
                }),
            ),
            ("enable_fine_grain_logging", json!(self.enable_fine_grain_logging)),
            ("socket_path", json!(self.socket_path)),
            ("socket_mode", json!(self.socket_mode)),
            ("enable_core_dump", json!(self.enable_core_dump)),
            (
                "stats_tag",
                json!(self.stats_tag.iter().map(ToString::to_string).collect::<Vec<_>>()),
            ),
            ("skip_hot_restart_on_no_parent", json!(self.skip_hot_restart_on_no_parent)),
            ("skip_hot_restart_parent_stats", json!(self.skip_hot_restart_parent_stats)),
            ("skip_deprecated_logs", json!(self.skip_deprecated_logs)),
            ("file_flush_min_size", json!(self.file_flush_min_size_kb)),
            ("log_stacktrace_single_entry", json!(self.log_stacktrace_single_entry)),
        ];
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Milliseconds as JSON renderings of protobuf write a duration: 3, 6 or 9 digits, or none.
fn seconds(milliseconds: u32) -> String {
    match milliseconds % 1000 {
        0 => format!("{}s", milliseconds / 1000),
        rest => format!("{}.{rest:03}s", milliseconds / 1000),
    }
}
