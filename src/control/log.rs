//! The log as an operator changes it while the process runs: levels, files, and what was left out.
//!
//! The log itself is made by `server`, which knows the command line; control only sees this trait.

use std::fmt::Debug;

/// Envoy's log levels, from the most to the least said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Every step; only in builds that have such events.
    Trace,
    /// Every connection and request.
    Debug,
    /// What the process does as a whole.
    Info,
    /// What may be a mistake.
    Warning,
    /// What failed.
    Error,
    /// What ends the process.
    Critical,
    /// Nothing.
    Off,
}

impl LogLevel {
    /// All levels in order.
    pub const ALL: [Self; 7] = [
        Self::Trace,
        Self::Debug,
        Self::Info,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Off,
    ];

    /// Envoy's name.
    #[must_use]
    pub fn name(self) -> &'static str {
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

    /// The level of this name. As on Envoy's admin page, `warn` is no name; its command line takes
    /// it besides.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
}

/// What the log could not keep since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogLosses {
    /// Lines left out because their place in the code said too much in one second.
    pub suppressed: u64,
    /// Lines left out because nobody took the earlier ones.
    pub dropped: u64,
    /// Writes that failed: a full disk, a closed pipe.
    pub failed_writes: u64,
}

/// The running log. All calls return at once; none waits for a file.
pub trait LogControl: Debug + Send + Sync {
    /// Each component and its level, in the order in which Envoy lists them.
    fn levels(&self) -> Vec<(&'static str, LogLevel)>;

    /// Sets the level of one component; `false` if there is none of this name.
    fn set_level(&self, component: &str, level: LogLevel) -> bool;

    /// Sets the level of every component.
    fn set_all_levels(&self, level: LogLevel);

    /// Opens the log file anew, for whoever moved the old one away.
    fn reopen(&self);

    /// What was left out so far.
    fn losses(&self) -> LogLosses;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_is_found_by_its_name_and_the_levels_are_in_order() {
        for level in LogLevel::ALL {
            assert_eq!(LogLevel::from_name(level.name()), Some(level));
        }
        assert!(LogLevel::ALL.is_sorted());
        assert_eq!(LogLevel::from_name("warn"), None);
    }
}
