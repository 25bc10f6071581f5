//! Options of the connection manager that change heads: addresses, ids, names.

use super::plan::Http;
use super::{Case, OK, answered, local, play};
use crate::differential::Scenario;

macro_rules! options {
    ($name:literal, $shows:literal, $manager:expr, $cases:expr) => {
        Scenario {
            name: $name,
            shows: $shows,
            plan: || Http { manager: $manager, ..Http::default() }.plan(),
            script: |stage| play(stage, $cases),
        }
    };
}

/// A request with this as its referer.
macro_rules! referer {
    ($value:literal) => {
        answered(
            concat!("GET / HTTP/1.1\r\nhost: a.test\r\nreferer: ", $value, "\r\n\r\n").as_bytes(),
            OK,
        )
    };
}

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        options!(
            "http_remote_address",
            "http: use_remote_address",
            &["use_remote_address: true"],
            FORWARDED
        ),
        options!("http_forwarded_for", "http: x-forwarded-for of others", &[], FORWARDED),
        options!(
            "http_trusted_hops",
            "http: xff_num_trusted_hops",
            &["use_remote_address: true", "xff_num_trusted_hops: 1"],
            FORWARDED
        ),
        options!(
            "http_trusted_hops_inside",
            "http: xff_num_trusted_hops without use_remote_address",
            &["xff_num_trusted_hops: 1"],
            FORWARDED
        ),
        options!(
            "http_skip_xff",
            "http: skip_xff_append",
            &["use_remote_address: true", "skip_xff_append: true"],
            FORWARDED
        ),
        Scenario {
            name: "http_forwarded_proto",
            shows: "http: x-forwarded-proto and the scheme of redirects",
            plan: || Http { routes: TO, ..Http::default() }.plan(),
            script: |stage| play(stage, PROTO),
        },
        Scenario {
            name: "http_forwarded_proto_at_edge",
            shows: "http: x-forwarded-proto of a client at the edge",
            plan: || {
                Http { routes: TO, manager: &["use_remote_address: true"], ..Http::default() }
                    .plan()
            },
            script: |stage| play(stage, PROTO_AT_EDGE),
        },
        options!(
            "http_sanitized",
            "http: fields that are not passed on, or not everywhere",
            &[],
            SANITIZED
        ),
        Scenario {
            name: "http_suppress_envoy_headers",
            shows: "http: suppress_envoy_headers of the router",
            plan: || {
                let routes: &[&str] =
                    &["- {match: {prefix: /prefix}, redirect: {prefix_rewrite: /new}}"];
                Http { routes, router: SUPPRESS, ..Http::default() }.plan()
            },
            script: |stage| play(stage, SUPPRESSED),
        },
        Scenario {
            name: "http_suppress_overloaded",
            shows: "http: suppress_envoy_headers where a breaker is at its limit",
            plan: || {
                let cluster: &[&str] =
                    &["circuit_breakers: {thresholds: [{max_pending_requests: 0}]}"];
                Http { cluster, router: SUPPRESS, ..Http::default() }.plan()
            },
            script: |stage| play(stage, &[local(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n")]),
        },
        options!("http_via", "http: via", &["via: some proxy"], VIA),
        options!(
            "http_no_request_id",
            "http: generate_request_id off",
            &["generate_request_id: false"],
            REQUEST_ID
        ),
        options!(
            "http_own_request_id",
            "http: preserve_external_request_id, always_set_request_id_in_response",
            &[
                "use_remote_address: true",
                "preserve_external_request_id: true",
                "always_set_request_id_in_response: true",
            ],
            REQUEST_ID
        ),
        options!(
            "http_new_request_id",
            "http: the request id of an outside client is replaced",
            &["use_remote_address: true", "always_set_request_id_in_response: true"],
            REQUEST_ID
        ),
        options!("http_server_overwrite", "http: server_name", &["server_name: mine"], SERVER),
        options!(
            "http_server_append",
            "http: server_header_transformation APPEND_IF_ABSENT",
            &["server_header_transformation: APPEND_IF_ABSENT"],
            SERVER
        ),
        options!(
            "http_server_pass",
            "http: server_header_transformation PASS_THROUGH",
            &["server_header_transformation: PASS_THROUGH"],
            SERVER
        ),
        options!(
            "http_underscores_rejected",
            "http: headers_with_underscores_action REJECT_REQUEST",
            &["common_http_protocol_options: {headers_with_underscores_action: REJECT_REQUEST}"],
            &[local(b"GET /probe HTTP/1.1\r\nhost: a.test\r\nx_a: 1\r\n\r\n")]
        ),
        options!(
            "http_underscores_dropped",
            "http: headers_with_underscores_action DROP_HEADER",
            &["common_http_protocol_options: {headers_with_underscores_action: DROP_HEADER}"],
            UNDERSCORES
        ),
        options!("http_underscores", "http: header names with underscores", &[], UNDERSCORES),
        options!(
            "http_chunked_length",
            "http: allow_chunked_length",
            &["http_protocol_options: {allow_chunked_length: true}"],
            &[answered(
                b"POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\
                  content-length: 9\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                OK
            )]
        ),
        options!(
            "http_absolute_form",
            "http: allow_absolute_url off",
            &["http_protocol_options: {allow_absolute_url: false}"],
            &[local(b"GET http://b.test/probe HTTP/1.1\r\nhost: a.test\r\n\r\n")]
        ),
    ]
}

const SUPPRESS: &[&str] = &["suppress_envoy_headers: true"];

const SUPPRESSED: &[Case] = &[
    answered(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n", OK),
    answered(
        b"GET / HTTP/1.1\r\nhost: a.test\r\nx-envoy-original-path: /x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-envoy-upstream-service-time: 77\r\ncontent-length: 0\r\n\r\n",
    ),
    local(b"GET /prefix/x HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /missing HTTP/1.1\r\nhost: a.test\r\n\r\n"),
];

const TO: &[&str] = &[
    "- {match: {path: /to}, redirect: {path_redirect: /x}}",
    "- {match: {path: /https}, redirect: {https_redirect: true}}",
];

const FORWARDED: &[Case] = &[
    answered(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n", OK),
    answered(b"GET / HTTP/1.1\r\nhost: a.test\r\nx-forwarded-for: 192.0.2.1\r\n\r\n", OK),
    answered(
        b"GET / HTTP/1.1\r\nhost: a.test\r\nx-forwarded-for: 192.0.2.1, 10.0.0.1\r\n\
          x-forwarded-proto: https\r\nx-forwarded-host: h\r\nx-forwarded-port: 1\r\n\r\n",
        OK,
    ),
    answered(
        b"GET / HTTP/1.1\r\nhost: a.test\r\nx-forwarded-for: nonsense\r\n\
          x-envoy-internal: true\r\nx-envoy-external-address: 192.0.2.9\r\n\
          x-envoy-upstream-rq-timeout-ms: 5\r\nx-envoy-max-retries: 2\r\n\
          x-envoy-expected-rq-timeout-ms: 7\r\nx-envoy-original-path: /x\r\n\
          x-envoy-decorator-operation: d\r\n\r\n",
        OK,
    ),
    local(b"GET /probe HTTP/1.1\r\nhost: a.test\r\nx-forwarded-for: 192.0.2.1:80\r\n\r\n"),
    local(b"GET /probe HTTP/1.1\r\nhost: a.test\r\nx-forwarded-for: 2001:db8::1\r\n\r\n"),
    local(b"GET /probe HTTP/1.1\r\nhost: a.test\r\nx-forwarded-for: [2001:db8::1]\r\n\r\n"),
    local(b"GET /probe HTTP/1.1\r\nhost: a.test\r\nx-forwarded-for: 192.0.2.1,\r\n\r\n"),
    local(
        b"GET /probe HTTP/1.1\r\nhost: a.test\r\nx-forwarded-for: 192.0.2.1, , 192.0.2.3\r\n\r\n",
    ),
    local(b"GET /probe HTTP/1.1\r\nhost: a.test\r\nx-forwarded-for: 192.0.2.01\r\n\r\n"),
    local(b"GET /probe HTTP/1.1\r\nhost: a.test\r\nx-forwarded-for:\r\n\r\n"),
    local(
        b"GET /probe HTTP/1.1\r\nhost: a.test\r\nx-forwarded-for: 192.0.2.1\r\n\
          x-forwarded-for: 192.0.2.2\r\nx-forwarded-for: 192.0.2.3\r\n\r\n",
    ),
];

const PROTO: &[Case] = &[
    answered(b"GET https://b.test/ HTTP/1.1\r\nhost: a.test\r\n\r\n", OK),
    answered(b"GET / HTTP/1.1\r\nhost: a.test\r\nx-forwarded-proto: HTTPS\r\n\r\n", OK),
    answered(b"GET / HTTP/1.1\r\nhost: a.test\r\nx-forwarded-proto: ftp\r\n\r\n", OK),
    local(b"GET /to HTTP/1.1\r\nhost: a.test\r\nx-forwarded-proto: HTTPS\r\n\r\n"),
    local(b"GET /to HTTP/1.1\r\nhost: a.test\r\nx-forwarded-proto: ftp\r\n\r\n"),
    local(b"GET /to HTTP/1.1\r\nhost: a.test\r\nx-forwarded-proto:\r\n\r\n"),
    local(b"GET https://b.test/to HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(
        b"GET http://b.test:443/https HTTP/1.1\r\nhost: a.test\r\n\
          x-forwarded-proto: https\r\n\r\n",
    ),
    local(b"GET /https HTTP/1.1\r\nhost: a.test:80\r\nx-forwarded-proto: https\r\n\r\n"),
    local(b"GET /https HTTP/1.1\r\nhost: a.test:80\r\nx-forwarded-proto: ftp\r\n\r\n"),
];

const PROTO_AT_EDGE: &[Case] = &[
    local(b"GET https://b.test/probe HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET ftp://b.test/probe HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    answered(b"GET / HTTP/1.1\r\nhost: a.test\r\nx-forwarded-proto: https\r\n\r\n", OK),
    local(b"GET /to HTTP/1.1\r\nhost: a.test\r\nx-forwarded-proto: https\r\n\r\n"),
];

const SANITIZED: &[Case] = &[
    answered(
        b"GET / HTTP/1.1\r\nhost: a.test\r\nx-forwarded-client-cert: By=x\r\n\
          x-envoy-attempt-count: 3\r\nx-envoy-ip-tags: t\r\nx-envoy-original-host: h\r\n\
          x-envoy-upstream-stream-duration-ms: 30000\r\n\
          x-envoy-downstream-service-node: n\r\nx-client-trace-id: c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-envoy-upstream-service-time: 77\r\n\
          x-envoy-decorator-operation: d\r\nx-envoy-overloaded: true\r\n\
          x-envoy-immediate-health-check-fail: x\r\nx-envoy-degraded: x\r\n\
          x-envoy-upstream-canary: true\r\nx-envoy-attempt-count: 3\r\n\
          x-envoy-upstream-healthchecked-cluster: c\r\n\r\n",
    ),
    referer!("https://b.test/x?y#z"),
    referer!("http://b.test:8080"),
    referer!("/a:b"),
    referer!("a:b"),
    referer!("a/b:c"),
    referer!("about:blank"),
    referer!("android-app://com.test/"),
    referer!("http://"),
    referer!("http://b.test:99999/"),
    referer!("HTTP://B.test/"),
    referer!("//b.test/x"),
    referer!("http://u:p@b.test/"),
    referer!("http://b c/"),
    referer!(""),
    referer!("http://a.test/\r\nreferer: /b"),
];

const VIA: &[Case] = &[
    answered(
        b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    ),
    answered(
        b"GET / HTTP/1.1\r\nhost: a.test\r\nvia: 1.1 first\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nvia: 1.1 last\r\n\r\n",
    ),
    local(b"GET /missing HTTP/1.1\r\nhost: a.test\r\n\r\n"),
];

const REQUEST_ID: &[Case] = &[
    answered(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n", OK),
    answered(b"GET / HTTP/1.1\r\nhost: a.test\r\nx-request-id: mine\r\n\r\n", OK),
    answered(
        b"GET / HTTP/1.1\r\nhost: a.test\r\nx-forwarded-for: 192.0.2.1\r\nx-request-id: mine\r\n\r\n",
        OK,
    ),
    local(b"GET /probe HTTP/1.1\r\nhost: a.test\r\nx-request-id: mine\r\n\r\n"),
];

const SERVER: &[Case] = &[
    answered(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n", OK),
    answered(
        b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nserver: theirs\r\ncontent-length: 0\r\n\r\n",
    ),
    local(b"GET /missing HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"BAD\r\n\r\n"),
];

const UNDERSCORES: &[Case] =
    &[answered(b"GET / HTTP/1.1\r\nhost: a.test\r\nx_a: 1\r\nx-b: 2\r\n\r\n", OK)];
