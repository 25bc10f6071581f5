//! Fields of the configuration that no other scenario sets.

use super::plan::Http;
use super::{Case, OK, answered, local, play};
use crate::differential::Scenario;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "http_codec_http1",
            shows: "http: codec_type HTTP1, which takes no preface of HTTP/2",
            plan: || Http { manager: &["codec_type: HTTP1"], ..Http::default() }.plan(),
            script: |stage| {
                play(stage, &[GET, local(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")]);
            },
        },
        Scenario {
            name: "http_log_filter",
            shows: "access log: filters by status and by response flag",
            plan: || Http { log_filter: FILTER, routes: SOME, ..Http::default() }.plan(),
            script: |stage| play(stage, FILTERED),
        },
        Scenario {
            name: "http_no_route_timeout",
            shows: "http: a route's timeout of 0s, and one of its own",
            plan: || {
                let routes: &[&str] = &[
                    "- {match: {path: /endless}, route: {cluster: $NAME, timeout: 0s}}",
                    "- {match: {path: /own}, route: {cluster: $NAME, timeout: 77.5s}}",
                ];
                Http { routes, ..Http::default() }.plan()
            },
            script: |stage| {
                let get = |request| answered(request, OK);
                let endless = get(b"GET /endless HTTP/1.1\r\nhost: a.test\r\n\r\n");
                play(stage, &[endless, get(b"GET /own HTTP/1.1\r\nhost: a.test\r\n\r\n")]);
            },
        },
        Scenario {
            name: "http_upstream_headers_count",
            shows: "http: max_headers_count of a cluster",
            plan: || {
                let protocol = &["common_http_protocol_options: {max_headers_count: 3}", HTTP1];
                Http { protocol, ..Http::default() }.plan()
            },
            script: |stage| play(stage, COUNTED),
        },
        Scenario {
            name: "http_upstream_chunked_length",
            shows: "http: allow_chunked_length of a cluster",
            plan: || {
                let protocol = &["explicit_http_config: \
                     {http_protocol_options: {allow_chunked_length: true}}"];
                Http { protocol, ..Http::default() }.plan()
            },
            script: |stage| play(stage, CHUNKED_LENGTH),
        },
        Scenario {
            name: "http_upstream_chunked_length_refused",
            shows: "http: content-length and chunks in one response",
            plan: || Http::default().plan(),
            script: |stage| play(stage, CHUNKED_LENGTH),
        },
        Scenario {
            name: "http_upstream_underscores",
            shows: "http: headers_with_underscores_action of a cluster, which says nothing",
            plan: || {
                let protocol = &[
                    "common_http_protocol_options: \
                     {headers_with_underscores_action: REJECT_REQUEST}",
                    HTTP1,
                ];
                Http { protocol, ..Http::default() }.plan()
            },
            script: |stage| {
                let answer = b"HTTP/1.1 200 OK\r\nx_a: 1\r\ncontent-length: 0\r\n\r\n";
                let request = b"GET / HTTP/1.1\r\nhost: a.test\r\nx_b: 1\r\n\r\n";
                play(stage, &[answered(request, answer)]);
            },
        },
        Scenario {
            name: "http_all_at_the_edge",
            shows: "http: the fields of an edge proxy together",
            plan: || Http { manager: EDGE, routes: SOME, ..Http::default() }.plan(),
            script: |stage| play(stage, AT_EDGE),
        },
    ]
}

const HTTP1: &str = "explicit_http_config: {http_protocol_options: {}}";

const GET: Case = answered(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n", OK);

const SOME: &[&str] = &[
    "- {match: {path: /301}, redirect: {https_redirect: true}}",
    "- {match: {path: /404}, direct_response: {status: 404}}",
];

/// 200 and what no cluster was found for, but no other failures. The probe's line must be there.
const FILTER: &[&str] = &[
    "filter:",
    "  or_filter:",
    "    filters:",
    "    - response_flag_filter: {flags: [NC]}",
    "    - status_code_filter: {comparison: {op: LE, value: {default_value: 200, \
     runtime_key: $NAME}}}",
];

const FILTERED: &[Case] = &[
    GET,
    local(b"GET /301 HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /404 HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /missing HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"BAD\r\n\r\n"),
];

const COUNTED: &[Case] = &[
    answered(
        b"GET /3 HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: 1\r\nb: 2\r\ncontent-length: 0\r\n\r\n",
    ),
    answered(
        b"GET /4 HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: 1\r\nb: 2\r\nc: 3\r\ncontent-length: 0\r\n\r\n",
    ),
];

const CHUNKED_LENGTH: &[Case] = &[answered(
    b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n\
      3\r\nabc\r\n0\r\n\r\n",
)];

const EDGE: &[&str] = &[
    "use_remote_address: true",
    "xff_num_trusted_hops: 1",
    "via: 1.1 edge",
    "server_name: edge",
    "server_header_transformation: APPEND_IF_ABSENT",
    "preserve_external_request_id: true",
    "always_set_request_id_in_response: true",
    "request_timeout: 300s",
    "request_headers_timeout: 10s",
    "stream_idle_timeout: 300s",
    "max_request_headers_kb: 8",
    "common_http_protocol_options: {idle_timeout: 3600s, max_headers_count: 50, \
     headers_with_underscores_action: REJECT_REQUEST}",
    "http_protocol_options: {enable_trailers: true}",
];

const AT_EDGE: &[Case] = &[
    answered(
        b"GET /a HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 192.0.2.7\r\n\
          X-Forwarded-Proto: https\r\nX-Request-Id: theirs\r\nReferer: https://a.test/\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nserver: theirs\r\nvia: 1.1 inner\r\ncontent-length: 2\r\n\r\nok",
    ),
    local(b"GET /301 HTTP/1.1\r\nhost: a.test\r\nx-forwarded-proto: http\r\n\r\n"),
    local(b"GET /404 HTTP/1.1\r\nhost: a.test\r\nx_a: 1\r\n\r\n"),
    local(b"GET /404 HTTP/1.1\r\nhost: a.test\r\nx-forwarded-for: 192.0.2.7, 192.0.2.8\r\n\r\n"),
];
