//! The options that are accepted and change nothing, each with its reason.

use super::{DrainStrategy, Options, PARENT_SHUTDOWN_TIME_S};

const NO_HOT_RESTART: &str = "there is no hot restart yet";
const NO_DYNAMIC: &str = "there is no dynamic configuration yet";

impl Options {
    /// The options that were given and change nothing.
    pub(crate) fn without_effect(&self) -> Vec<(&'static str, &'static str)> {
        let given = [
            (
                self.enable_fine_grain_logging,
                "--enable-fine-grain-logging",
                "log levels are per component",
            ),
            (
                self.log_stacktrace_single_entry,
                "--log-stacktrace-single-entry",
                "a panic is told in one piece",
            ),
            (
                self.skip_deprecated_logs,
                "--skip-deprecated-logs",
                "nothing is logged about deprecated fields",
            ),
            (
                self.drain_strategy != DrainStrategy::Gradual,
                "--drain-strategy",
                "what it spreads are the last answers of HTTP connections, and there are none yet",
            ),
            (!self.service_zone.is_empty(), "--service-zone", "there is no zone-aware routing yet"),
            (
                self.parent_shutdown_time_s != PARENT_SHUTDOWN_TIME_S,
                "--parent-shutdown-time-s",
                NO_HOT_RESTART,
            ),
            (self.skip_hot_restart_on_no_parent, "--skip-hot-restart-on-no-parent", NO_HOT_RESTART),
            (self.skip_hot_restart_parent_stats, "--skip-hot-restart-parent-stats", NO_HOT_RESTART),
            (self.reject_unknown_dynamic_fields, "--reject-unknown-dynamic-fields", NO_DYNAMIC),
            (self.ignore_unknown_dynamic_fields, "--ignore-unknown-dynamic-fields", NO_DYNAMIC),
            (
                !self.disable_extensions.is_empty(),
                "--disable-extensions",
                "the configuration alone says which extensions run",
            ),
            (
                self.enable_mutex_tracing,
                "--enable-mutex-tracing",
                "nothing on the data path waits for a mutex",
            ),
        ];
        given.into_iter().filter(|(given, ..)| *given).map(|(_, name, why)| (name, why)).collect()
    }
}
