//! Which paths there are, and how a request finds its page.
//!
//! The table is the only list: `/help`, `/` and the answer to an unknown path are made from it.
//! Paths, parameters and what `/help` says of them are Envoy's, so that whoever reads one reads
//! the other.

use std::fmt::Write as _;
use std::rc::Rc;

use hyper::{Method, StatusCode};

use super::page::{Page, Query};
use super::view::View;
use super::{
    clusters, config_dump, drain, listeners, logging, profilers, runtime, server_info, stats,
};

/// One path of the admin server.
struct Route {
    path: &'static str,
    help: &'static str,
    /// Name and meaning of each parameter.
    parameters: &'static [(&'static str, &'static str)],
    effect: Effect,
    answer: fn(&Rc<View>, &Query) -> Page,
}

/// What a request may change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Only shows; every method is taken, as in Envoy.
    Reads,
    /// Changes the server; only POST is taken, so that following a link does no harm.
    Mutates,
}

impl Route {
    const fn shows(
        path: &'static str,
        help: &'static str,
        parameters: &'static [(&'static str, &'static str)],
        answer: fn(&Rc<View>, &Query) -> Page,
    ) -> Self {
        Self { path, help, parameters, effect: Effect::Reads, answer }
    }

    const fn changes(
        path: &'static str,
        help: &'static str,
        parameters: &'static [(&'static str, &'static str)],
        answer: fn(&Rc<View>, &Query) -> Page,
    ) -> Self {
        Self { path, help, parameters, effect: Effect::Mutates, answer }
    }
}

/// Sorted by path: the order in which `/help` lists them.
const ROUTES: &[Route] = &[
    Route::shows("/", "Admin home page", &[], |_, _| home()),
    Route::changes(
        "/allocprofiler",
        "enable/disable the allocation profiler (if supported)",
        &[("enable", "enable/disable the allocation profiler; One of (y, n)")],
        |_, query| profilers::allocations(query),
    ),
    Route::shows("/certs", "print certs on machine", &[], |_, _| server_info::certificates()),
    Route::shows("/clusters", "upstream cluster status", clusters::PARAMETERS, clusters::clusters),
    Route::shows(
        "/config_dump",
        "dump current Envoy configs",
        config_dump::PARAMETERS,
        config_dump::config_dump,
    ),
    Route::shows(
        "/contention",
        "dump current Envoy mutex contention stats (if enabled)",
        &[],
        |_, _| profilers::contention(),
    ),
    Route::changes(
        "/cpuprofiler",
        "enable/disable the CPU profiler",
        &[("enable", "enables the CPU profiler; One of (y, n)")],
        |_, query| profilers::cpu(query),
    ),
    Route::changes(
        "/drain_listeners",
        "drain listeners",
        drain::PARAMETERS,
        drain::drain_listeners,
    ),
    Route::changes(
        "/healthcheck/fail",
        "cause the server to fail health checks",
        &[],
        |view, _| {
            view.set_health_failed(true);
            Page::done()
        },
    ),
    Route::changes("/healthcheck/ok", "cause the server to pass health checks", &[], |view, _| {
        view.set_health_failed(false);
        Page::done()
    }),
    Route::shows("/heap_dump", "dump current Envoy heap (if supported)", &[], |_, _| {
        profilers::heap_dump()
    }),
    Route::changes(
        "/heapprofiler",
        "enable/disable the heap profiler",
        &[("enable", "enable/disable the heap profiler; One of (y, n)")],
        |_, _| profilers::heap(),
    ),
    Route::shows("/help", "print out list of admin commands", &[], |_, _| {
        Page::text(StatusCode::OK, commands())
    }),
    Route::shows(
        "/hot_restart_version",
        "print the hot restart compatibility version",
        &[],
        |_, _| server_info::hot_restart_version(),
    ),
    Route::shows(
        "/init_dump",
        "dump current Envoy init manager information (experimental)",
        &[(
            "mask",
            "The desired component to dump unready targets. The mask is parsed as a \
             Protobuf::FieldMask. For example, get the unready targets of all listeners with \
             /init_dump?mask=listener`",
        )],
        |_, _| server_info::init_dump(),
    ),
    Route::shows(
        "/listeners",
        "print listener info",
        &[("format", "File format to use; One of (text, json)")],
        listeners::listeners,
    ),
    Route::changes(
        "/logging",
        "query/change logging levels",
        logging::PARAMETERS,
        |view, query| logging::logging(view, query),
    ),
    Route::shows("/memory", "print current allocation/heap usage", &[], |view, _| {
        server_info::memory(view)
    }),
    Route::shows("/memory/tcmalloc", "print TCMalloc stats", &[], |_, _| {
        server_info::allocator_stats()
    }),
    Route::shows("/peak_heap_dump", "dump peak Envoy heap (if supported)", &[], |_, _| {
        profilers::peak_heap_dump()
    }),
    Route::changes("/quitquitquit", "exit the server", &[], |view, _| {
        view.request_quit();
        Page::done()
    }),
    Route::shows(
        "/ready",
        "print server state, return 200 if LIVE, otherwise return 503",
        &[],
        |view, _| server_info::ready(view),
    ),
    Route::changes("/reopen_logs", "reopen access logs", &[], |view, _| logging::reopen(view)),
    Route::changes("/reset_counters", "reset all counters to zero", &[], |view, _| {
        stats::reset_counters(view)
    }),
    Route::shows("/runtime", "print runtime values", &[], |view, _| runtime::runtime(view)),
    Route::changes(
        "/runtime_modify",
        "Adds or modifies runtime values as passed in query parameters. To delete a previously \
         added key, use an empty string as the value. Note that deletion only applies to overrides \
         added via this endpoint; values loaded from disk can be modified via override but not \
         deleted. E.g. ?key1=value1&key2=value2...",
        &[],
        |view, query| runtime::modify(view, query),
    ),
    Route::shows("/server_info", "print server version/status information", &[], |view, _| {
        server_info::server_info(view)
    }),
    Route::shows("/stats", "print server stats", stats::PARAMETERS, stats::stats),
    Route::shows(
        "/stats/prometheus",
        "print server stats in prometheus format",
        stats::PROMETHEUS_PARAMETERS,
        stats::prometheus,
    ),
    Route::shows("/stats/recentlookups", "Show recent stat-name lookups", &[], |view, _| {
        stats::recent_lookups(view)
    }),
    Route::changes(
        "/stats/recentlookups/clear",
        "clear list of stat-name lookups and counter",
        &[],
        |_, _| stats::clear_lookups(),
    ),
    Route::changes(
        "/stats/recentlookups/disable",
        "disable recording of reset stat-name lookup names",
        &[],
        |view, _| stats::track_lookups(view, false),
    ),
    Route::changes(
        "/stats/recentlookups/enable",
        "enable recording of reset stat-name lookup names",
        &[],
        |view, _| stats::track_lookups(view, true),
    ),
];

/// The page for `method` and `path`, where `path` has no query any more.
pub(crate) fn answer(view: &Rc<View>, method: &Method, path: &str, query: &Query) -> Page {
    let Some(route) = ROUTES.iter().find(|route| route.path == path) else {
        return Page::text(StatusCode::NOT_FOUND, format!("invalid path. {}", commands()));
    };
    if route.effect == Effect::Mutates && method != Method::POST {
        return Page::text(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("Method {method} not allowed, POST required."),
        );
    }
    (route.answer)(view, query)
}

/// Whether parameters may come in the body, as those of a form.
pub(crate) fn takes_form(path: &str) -> bool {
    path == "/runtime_modify"
}

fn commands() -> String {
    let mut text = String::from("admin commands are:\n");
    for route in ROUTES {
        let post = if route.effect == Effect::Mutates { " (POST)" } else { "" };
        let _ = writeln!(text, "  {}{post}: {}", route.path, route.help);
        for (name, meaning) in route.parameters {
            let _ = writeln!(text, "      {name}: {meaning}");
        }
    }
    text
}

/// A table with a link for each page that shows and a button for each that changes.
fn home() -> Page {
    let mut html = String::from(
        "<!DOCTYPE html>\n<html lang='en'>\n<head>\n<title>Nuncio Admin</title>\n</head>\n<body>\n\
         <table>\n<thead><tr><th>Command</th><th>Description</th></tr></thead>\n<tbody>\n",
    );
    for Route { path, help, effect, .. } in ROUTES.iter().filter(|route| route.path != "/") {
        let name = path.trim_start_matches('/');
        let command = match effect {
            Effect::Reads => format!("<a href='{name}'>{name}</a>"),
            Effect::Mutates => {
                format!("<form action='{name}' method='post'><button>{name}</button></form>")
            }
        };
        let _ = writeln!(html, "<tr><td>{command}</td><td>{help}</td></tr>");
    }
    html.push_str("</tbody>\n</table>\n</body>\n</html>\n");
    Page::html(html)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_has_no_path_twice() {
        assert!(ROUTES.is_sorted_by(|a, b| a.path < b.path));
    }

    #[test]
    fn help_has_envoys_layout() {
        let text = commands();
        assert!(
            text.starts_with(
                "admin commands are:\n  /: Admin home page\n  /allocprofiler (POST): "
            )
        );
        assert!(text.contains("\n  /quitquitquit (POST): exit the server\n"));
        assert!(text.contains("\n  /stats: print server stats\n      usedonly: "));
    }
}
