//! The job in HAProxy's terms.

use harness::arm::Site;
use harness::workload::Kind;

use super::Observing;

/// Envoy's default access log line in HAProxy's words: the same fields in the same order.
const LOG_FORMAT: &str = "[%tr] \"%HM %HU %HV\" %ST %tsc %U %B %Ta %Tr \
                          \"%[capture.req.hdr(0)]\" \"%[capture.req.hdr(1)]\" \"%ID\" \
                          \"%[capture.req.hdr(2)]\" \"%si:%sp\"";

/// The file for the work of `site`. With `splice`, bodies and relayed bytes go through pipes.
pub(super) fn configuration(site: &Site, splice: bool, observing: Observing) -> String {
    // Debian's default of 2000 connections would be in the way of the larger workloads; each
    // proxied connection counts once.
    let limit = site.work.connections + 1000;
    // The default pipe of 64 KiB costs twice as much per byte (0.51 against 0.24 CPU-s/GB): the
    // rival is measured at its best.
    let (pipe, splice) = if splice {
        ("    tune.pipesize 1048576\n", "    option splice-request\n    option splice-response\n")
    } else {
        ("", "")
    };
    let kind = site.work.kind;
    let (log, mode, frontend, backend) = if site.work.kind.is_http() {
        http(observing)
    } else {
        (String::new(), "    mode tcp\n", String::new(), "")
    };
    format!(
        "global\n    nbthread 1\n    maxconn {limit}\n{pipe}{log}\n\
         defaults\n{mode}    timeout connect 5s\n    timeout client 1h\n\
         \x20   timeout server 1h\n{splice}\n\
         frontend relay\n    bind {listen} backlog 4096{clients}\n{frontend}{direct}    \
         default_backend upstream\n\n\
         backend upstream\n{backend}    server one {upstream}{protocol}\n",
        clients = if kind.has_http2_clients() { " proto h2" } else { "" },
        direct = if kind == Kind::Http2Direct { direct() } else { String::new() },
        protocol = if kind == Kind::Http1ToHttp2 { " proto h2" } else { "" },
        listen = site.listen,
        upstream = site.upstream,
    )
}

/// Answers everything by itself.
fn direct() -> String {
    let body = "x".repeat(harness::BODY);
    format!("    http-request return status 200 content-type text/plain string {body}\n")
}

/// By default it stops to keep idle server connections once a fifth of its descriptors is in use,
/// which the clients' own connections are here: it would connect anew for most requests.
const POOL: &str = "    tune.pool-low-fd-ratio 100\n    tune.pool-high-fd-ratio 100\n";

/// The lines of `global`, `defaults`, the frontend and the backend.
fn http(observing: Observing) -> (String, &'static str, String, &'static str) {
    let defaults = "    mode http\n    option http-keep-alive\n    timeout http-keep-alive 1h\n";
    let backend = "    http-reuse always\n";
    let proto = "    http-request set-header x-forwarded-proto http\n";
    match observing {
        Observing::OffByMatcher | Observing::Off => {
            (POOL.to_owned(), defaults, proto.to_owned(), backend)
        }
        // To a file it can log only by way of its standard output: one write per line.
        Observing::On => (
            format!("{POOL}    log stdout format raw local0 info\n"),
            defaults,
            format!(
                "    log global\n    log-format '{LOG_FORMAT}'\n\
                 \x20   unique-id-format %[uuid()]\n    unique-id-header x-request-id\n\
                 \x20   http-request capture req.hdr(x-forwarded-for) len 64\n\
                 \x20   http-request capture req.hdr(user-agent) len 64\n\
                 \x20   http-request capture req.hdr(host) len 64\n{proto}"
            ),
            backend,
        ),
    }
}
