//! What may differ between two admin pages, in this one place, each with its reason.

/// A part of an answer.
struct Mask {
    /// The path of the page; empty for all.
    page: &'static str,
    /// The beginning of a path through the JSON, where `*` is any one name or number; or, for
    /// text, a part of a line.
    part: &'static str,
    #[expect(dead_code, reason = "for whoever reads the list")]
    reason: &'static str,
}

const fn mask(page: &'static str, part: &'static str, reason: &'static str) -> Mask {
    Mask { page, part, reason }
}

/// May be missing or of any form.
const HIDDEN_VALUES: &[Mask] = &[
    mask("/config_dump", "/configs/*/bootstrap/node/user_agent_build_version", PROGRAM),
    mask("/config_dump", "/configs/*/bootstrap/node/extensions", EXTENSIONS),
    mask("/server_info", "/node/user_agent_build_version/metadata", PROGRAM),
    mask("/server_info", "/node/extensions", EXTENSIONS),
];

/// Of the same type, with any value.
const MASKED_VALUES: &[Mask] = &[
    mask("/config_dump", "/configs/*/bootstrap/node/user_agent_name", PROGRAM),
    mask("/config_dump", "/configs/*/last_updated", TIME),
    mask("/config_dump", "/configs/*/*/*/last_updated", TIME),
    mask("/listeners", "/listener_statuses/*/local_address/socket_address/port_value", PORT),
    mask("/listeners", "/listener_statuses/1/name", "a random name, for it has none"),
    mask("/listeners", "/listener_statuses/0/name", "a random name, for it has none"),
    mask("/memory", "/", "how much memory it takes"),
    mask("/server_info", "/version", PROGRAM),
    mask("/server_info", "/uptime_current_epoch", TIME),
    mask("/server_info", "/uptime_all_epochs", TIME),
    mask("/server_info", "/hot_restart_version", "there is no hot restart yet"),
    mask("/server_info", "/command_line_options/admin_address_path", OPTIONS),
    mask("/server_info", "/command_line_options/base_id", OPTIONS),
    mask("/server_info", "/command_line_options/config_path", OPTIONS),
    mask("/server_info", "/command_line_options/log_format", OPTIONS),
    mask("/server_info", "/command_line_options/log_level", OPTIONS),
    mask("/server_info", "/command_line_options/use_dynamic_base_id", OPTIONS),
    mask("/server_info", "/command_line_options/file_flush_min_size", OPTIONS),
    mask("/server_info", "/command_line_options/socket_mode", OPTIONS),
    mask("/server_info", "/command_line_options/socket_path", OPTIONS),
    mask("/server_info", "/node/user_agent_name", PROGRAM),
    mask("/server_info", "/node/user_agent_build_version/version", PROGRAM),
];

const EXTENSIONS: &str = "the extensions are named in src/CONFIG.md, not in each answer";
const OPTIONS: &str = "other defaults, or options that only one of the two is started with";
const PORT: &str = "each has a port of its own";
const PROGRAM: &str = "it is another program";
const TIME: &str = "it was started at another time";

/// Lines that one of the two does not have.
const HIDDEN_LINES: &[Mask] = &[
    mask("/logging", ": ", "the levels were set by different options, and components differ"),
    mask("/help", "/stats", STATS_PAGES),
    mask("/help", "reset_counters", STATS_PAGES),
    mask("/help", "usedonly: ", STATS_PAGES),
    mask("/help", "filter: Regular expression", STATS_PAGES),
    mask("/help", "invert_filter: ", STATS_PAGES),
    mask("/help", "format: Format to use", STATS_PAGES),
    mask("/help", "histogram_buckets: ", STATS_PAGES),
    mask("/help", "text_readouts: ", STATS_PAGES),
    mask("/help", "type: Stat types", STATS_PAGES),
];

const STATS_PAGES: &str = "scenarios of their own compare the pages about stats";

pub(super) fn hides_value(request: &str, path: &str) -> bool {
    HIDDEN_VALUES.iter().any(|mask| mask.is_of(request) && begins(path, mask.part))
}

pub(super) fn masks_value(request: &str, path: &str) -> bool {
    MASKED_VALUES.iter().any(|mask| mask.is_of(request) && begins(path, mask.part))
}

pub(super) fn hides_line(request: &str, line: &str) -> bool {
    // An unknown path is answered with the list of commands too.
    let lists_commands = !["/logging", "/clusters", "/listeners"].contains(&path_of(request));
    let request = if lists_commands { "GET /help" } else { request };
    let mut hidden = HIDDEN_LINES.iter().filter(|mask| mask.is_of(request));
    hidden.any(|mask| line.starts_with("  ") && line.contains(mask.part))
}

/// A line of `/listeners` without the port and without a name that was made at the start.
pub(super) fn masked_line(request: &str, line: &str) -> String {
    if !path_of(request).starts_with("/listeners") {
        return line.to_owned();
    }
    let (name, address) = line.split_once("::").unwrap_or((line, ""));
    let is_uuid = name.len() == 36 && name.bytes().filter(|byte| *byte == b'-').count() == 4;
    let name = if is_uuid { "<random>" } else { name };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    format!("{name}::{host}:<port>")
}

impl Mask {
    fn is_of(&self, request: &str) -> bool {
        path_of(request) == self.page
    }
}

fn path_of(request: &str) -> &str {
    let target = request.split_once(' ').map_or(request, |(_, target)| target);
    target.split_once('?').map_or(target, |(path, _)| path)
}

/// Whether `path` is at or below a path that `pattern` stands for.
fn begins(path: &str, pattern: &str) -> bool {
    let mut names = path.split('/').skip(1);
    pattern
        .split('/')
        .skip(1)
        .filter(|part| !part.is_empty())
        .all(|part| names.next().is_some_and(|name| part == "*" || part == name))
}
