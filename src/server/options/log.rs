//! Values of the log's options.

use control::LogLevel;

use super::{ComponentLevels, LOG_LEVELS};
use crate::logging;

/// `--log-level`. The command line takes `warn` besides, as Envoy's.
pub(super) fn log_level(name: &str) -> Result<LogLevel, String> {
    let name = if name == "warn" { LogLevel::Warning.name() } else { name };
    LogLevel::from_name(name).ok_or_else(|| format!("not one of {LOG_LEVELS}"))
}

/// `--component-log-level`: `name:level`, separated by commas.
pub(super) fn component_levels(text: &str) -> Result<ComponentLevels, String> {
    let mut levels = Vec::new();
    for one in text.split(',').filter(|_| !text.is_empty()) {
        let Some((name, level)) = one.split_once(':') else {
            return Err(format!("'{one}' is not component:level"));
        };
        if !logging::is_component(name) {
            return Err(format!("no component is called '{name}'; POST /logging names all"));
        }
        let level = log_level(level).map_err(|error| format!("'{level}' is {error}"))?;
        levels.push((name.to_owned(), level));
    }
    Ok(ComponentLevels { text: text.to_owned(), levels })
}
