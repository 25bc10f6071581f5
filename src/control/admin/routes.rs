//! Which paths there are, and how a request finds its page.
//!
//! The table is the only list: `/help`, `/` and the answer to an unknown path are made from it.

use std::fmt::Write as _;

use hyper::{Method, StatusCode};

use super::page::{Page, Query};
use super::view::View;
use super::{server_info, stats};

/// One path of the admin server.
struct Route {
    path: &'static str,
    help: &'static str,
    /// Name and meaning of each parameter.
    parameters: &'static [(&'static str, &'static str)],
    effect: Effect,
    answer: fn(&View, &Query) -> Page,
}

/// What a request may change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Only shows; every method is taken, as in Envoy.
    Reads,
    /// Changes the server; only POST is taken, so that following a link does no harm.
    Mutates,
}

/// Sorted by path: the order in which `/help` lists them.
const ROUTES: &[Route] = &[
    Route {
        path: "/",
        help: "Admin home page",
        parameters: &[],
        effect: Effect::Reads,
        answer: |_, _| home(),
    },
    Route {
        path: "/help",
        help: "print out list of admin commands",
        parameters: &[],
        effect: Effect::Reads,
        answer: |_, _| Page::text(StatusCode::OK, commands()),
    },
    Route {
        path: "/quitquitquit",
        help: "exit the server",
        parameters: &[],
        effect: Effect::Mutates,
        answer: |view, _| {
            view.request_quit();
            Page::text(StatusCode::OK, "OK\n")
        },
    },
    Route {
        path: "/ready",
        help: "print server state, return 200 if LIVE, otherwise return 503",
        parameters: &[],
        effect: Effect::Reads,
        answer: |view, _| server_info::ready(view),
    },
    Route {
        path: "/server_info",
        help: "print server version/status information",
        parameters: &[],
        effect: Effect::Reads,
        answer: |view, _| server_info::server_info(view),
    },
    Route {
        path: "/stats",
        help: "print server stats",
        parameters: stats::PARAMETERS,
        effect: Effect::Reads,
        answer: stats::stats,
    },
    Route {
        path: "/stats/prometheus",
        help: "print server stats in prometheus format",
        parameters: stats::PROMETHEUS_PARAMETERS,
        effect: Effect::Reads,
        answer: stats::prometheus,
    },
];

/// The page for `method` and `path`, where `path` has no query any more.
pub(crate) fn answer(view: &View, method: &Method, path: &str, query: &Query) -> Page {
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
        assert!(text.starts_with("admin commands are:\n  /: Admin home page\n  /help: "));
        assert!(text.contains("\n  /quitquitquit (POST): exit the server\n"));
        assert!(text.contains("\n  /stats: print server stats\n      filter: "));
    }
}
