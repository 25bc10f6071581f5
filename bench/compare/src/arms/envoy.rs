//! The job in Envoy's own terms; Nuncio runs the same files.

use harness::arm::Site;
use harness::workload::{Figure, Kind};

use super::Observing;

/// Connections from which Envoy's default circuit breakers (1024 of each) would be in the way.
const BREAKERS_FROM: u32 = 1000;

/// A line of the connection manager.
const NO_REQUEST_ID: &str = "          generate_request_id: false\n";

/// Speaks HTTP/2 to the upstream.
const HTTP2: &str = include_str!("../../templates/http2-upstream.yaml");

/// The four ways to run Envoy that a fair comparison takes the best of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variant {
    /// As it comes: epoll, kernel-hashed accepts.
    Default,
    /// Workers pinned, connections steered to the worker of the receiving core.
    Affinity,
    /// io_uring with multishot receive.
    Uring,
    /// Accepts spread evenly under a lock.
    ExactBalance,
}

/// The file for the work of `site`.
pub(super) fn yaml(site: &Site, variant: Variant, observing: Observing) -> String {
    let (bootstrap, listener) = match variant {
        Variant::Default => ("", ""),
        Variant::Affinity => (
            "enable_worker_cpu_affinity: true\n",
            "    connection_balance_config: { cpu_locality_balance: {} }\n",
        ),
        Variant::Uring => (include_str!("../../templates/envoy-uring.yaml"), ""),
        Variant::ExactBalance => ("", "    connection_balance_config: { exact_balance: {} }\n"),
    };
    let stats = match observing {
        Observing::On => "",
        Observing::OffByMatcher | Observing::Off => {
            "stats_config: { stats_matcher: { reject_all: true } }\n"
        }
    };
    format!(
        include_str!("../../templates/envoy.yaml"),
        bootstrap = format!("{bootstrap}{stats}"),
        listener = listener,
        filter = filter(site, observing),
        breakers = breakers(site),
        protocol = if site.work.kind == Kind::Http1ToHttp2 { HTTP2 } else { "" },
        admin = site.admin.port(),
        listen = site.listen.port(),
        upstream = site.upstream.port(),
    )
}

fn filter(site: &Site, observing: Observing) -> String {
    if !site.work.kind.is_http() {
        return include_str!("../../templates/tcp-filter.yaml").to_owned();
    }
    let (observed, router) = match observing {
        Observing::On => {
            let path = site.access_log();
            let path = path.display();
            (format!(include_str!("../../templates/envoy-log.yaml"), path = path), "")
        }
        Observing::OffByMatcher => (NO_REQUEST_ID.to_owned(), ""),
        Observing::Off => (NO_REQUEST_ID.to_owned(), "              dynamic_stats: false\n"),
    };
    // The default of 15 s would end a body that has no end.
    let timeout = if site.work.kind.figure() == Figure::Gigabyte { ", timeout: 0s" } else { "" };
    let action = if site.work.kind == Kind::Http2Direct {
        let body = "x".repeat(harness::BODY);
        format!("direct_response: {{ status: 200, body: {{ inline_string: {body} }} }}")
    } else {
        format!("route: {{ cluster: upstream{timeout} }}")
    };
    format!(
        include_str!("../../templates/http-filter.yaml"),
        observing = observed,
        action = action,
        router = router,
    )
}

fn breakers(site: &Site) -> &'static str {
    if site.work.connections < BREAKERS_FROM {
        ""
    } else if site.work.kind == Kind::Http || site.work.kind == Kind::HttpNew {
        "    circuit_breakers:\n      thresholds:\n      - max_connections: 100000\n        \
         max_pending_requests: 100000\n        max_requests: 100000\n"
    } else {
        "    circuit_breakers: { thresholds: [{ max_connections: 100000 }] }\n"
    }
}
