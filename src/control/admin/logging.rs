//! `/logging` and `/reopen_logs`: what is logged, changed while the process runs.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/operations/admin#post--logging>

use std::fmt::Write as _;

use hyper::StatusCode;

use super::page::{Page, Query};
use super::view::View;
use crate::log::{LogControl, LogLevel};

/// What `/help` says about the parameters.
pub(crate) const PARAMETERS: &[(&str, &str)] = &[
    (
        "paths",
        "Change multiple logging levels by setting to \
         <logger_name1>:<desired_level1>,<logger_name2>:<desired_level2>. If fine grain logging \
         is enabled, use __FILE__ or a glob experision as the logger name. For example, \
         source/common*:warning",
    ),
    (
        "group",
        "Change given logger group to desired level, set to <logger_group_name>:<desired_level>. \
         logger_group_name must be a logger name.",
    ),
    (
        "level",
        "desired logging level, this will change all loggers's level; One of (, trace, debug, \
         info, warning, error, critical, off)",
    ),
];

/// Changes levels as asked and lists them all; an empty value changes nothing.
pub(crate) fn logging(view: &View, query: &Query) -> Page {
    let log = view.log();
    match changed(log, query) {
        Ok(()) => Page::text(StatusCode::OK, loggers(log)),
        Err(error) => {
            let levels: String = LogLevel::ALL.map(|level| format!("{} ", level.name())).concat();
            let text = format!("error: {error}\n\n{USAGE}levels: {levels}\n{}", loggers(log));
            Page::text(StatusCode::BAD_REQUEST, text)
        }
    }
}

/// Opens the log file anew.
pub(crate) fn reopen(view: &View) -> Page {
    view.log().reopen();
    Page::done()
}

const USAGE: &str = "\
usage: /logging?<name>=<level> (change single level)
usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)
usage: /logging?level=<level> (change all levels)
usage: /logging?group=<group_name>:<level> (change group of loggers)
";

fn loggers(log: &dyn LogControl) -> String {
    let mut text = "active loggers:\n".to_owned();
    for (name, level) in log.levels() {
        let _ = writeln!(text, "  {name}: {}", level.name());
    }
    text.push('\n');
    text
}

/// # Errors
/// Why nothing was changed.
fn changed(log: &dyn LogControl, query: &Query) -> Result<(), &'static str> {
    let mut names: Vec<&str> = query.iter().map(|(name, _)| name).collect();
    names.dedup();
    let (name, value) = match (names.as_slice(), query.iter().next()) {
        ([_], Some(first)) => first,
        ([], _) | (_, None) => return Ok(()),
        _ => return Err("invalid number of parameters"),
    };
    if value.is_empty() {
        return Ok(());
    }
    match name {
        "paths" => {
            let wanted = value.split(',').filter(|pair| !pair.is_empty()).map(|pair| {
                let (name, level) = pair.split_once(':').unwrap_or((pair, ""));
                if name.is_empty() || level.is_empty() {
                    return Err("empty logger name or empty logger level");
                }
                Ok((name, level_called(level)?))
            });
            let wanted: Vec<_> = wanted.collect::<Result<_, _>>()?;
            set(log, &wanted)
        }
        "level" => {
            log.set_all_levels(level_called(value)?);
            Ok(())
        }
        "group" => Err("group parameter requires fine-grain logging to be enabled"),
        name => set(log, &[(name, level_called(value)?)]),
    }
}

fn level_called(name: &str) -> Result<LogLevel, &'static str> {
    LogLevel::from_name(name).ok_or("unknown logger level")
}

/// All of them or none.
fn set(log: &dyn LogControl, wanted: &[(&str, LogLevel)]) -> Result<(), &'static str> {
    let known = log.levels();
    let is_known = |name: &str| known.iter().any(|(known, _)| *known == name);
    if !wanted.iter().all(|(name, _)| is_known(name)) {
        return Err("unknown logger name");
    }
    for (name, level) in wanted {
        log.set_level(name, *level);
    }
    Ok(())
}
