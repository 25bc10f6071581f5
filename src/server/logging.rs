//! The log: lines on standard error, of the level that `--log-level` asks for.
//!
//! Problems of the configuration are not log lines: they are printed as they are, whatever the
//! level. Nothing is logged per connection above `debug`.

use std::io;

use tracing::level_filters::LevelFilter;

use crate::options::LogLevel;

/// Installs the log for the rest of the process' life. A second call changes nothing.
pub(crate) fn init(level: LogLevel) {
    let log = tracing_subscriber::fmt()
        .with_max_level(filter(level))
        .with_writer(io::stderr)
        .with_ansi(false)
        .finish();
    // It fails only if a log is installed already, as by another test of this process.
    drop(tracing::subscriber::set_global_default(log));
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        // A release build has no trace events; it shows what there is.
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        // What Envoy calls critical is an error here: the process ends after it.
        LogLevel::Error | LogLevel::Critical => LevelFilter::ERROR,
        LogLevel::Off => LevelFilter::OFF,
    }
}
