//! gRPC over HTTP/1: replies in its own words, and its timeouts. Nothing of it is about HTTP/2.

use super::plan::Http;
use super::{Case, OK, answered, closed, local, play, silent};
use crate::differential::Scenario;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "grpc_replies",
            shows: "grpc: replies of the proxy, by status",
            plan: || Http { routes: ROUTES, log_format: Some(LOG), ..Http::default() }.plan(),
            script: |stage| play(stage, REPLIES),
        },
        Scenario {
            name: "grpc_timeouts",
            shows: "grpc: max_grpc_timeout, grpc_timeout_offset and max_stream_duration",
            plan: || Http { routes: TIMEOUTS, log_format: Some(LOG), ..Http::default() }.plan(),
            script: |stage| play(stage, CALLS),
        },
    ]
}

const LOG: &str = "log_format: {text_format_source: {inline_string: \"\
    %REQ(:PATH)% code %RESPONSE_CODE% details %RESPONSE_CODE_DETAILS% flags %RESPONSE_FLAGS% \
    bytes %BYTES_SENT% status %GRPC_STATUS% %GRPC_STATUS_NUMBER%\\n\"}}";

const ROUTES: &[&str] = &[
    "- {match: {path: /ok}, direct_response: {status: 200}}",
    "- {match: {path: /bad}, direct_response: {status: 400}}",
    "- {match: {path: /auth}, direct_response: {status: 401}}",
    "- {match: {path: /denied}, direct_response: {status: 403}}",
    "- {match: {path: /none}, direct_response: {status: 404, \
     body: {inline_string: \"a % body\\tü\"}}}",
    "- {match: {path: /late}, direct_response: {status: 408}}",
    "- {match: {path: /many}, direct_response: {status: 429}}",
    "- {match: {path: /broken}, direct_response: {status: 500}}",
    "- {match: {path: /gateway}, direct_response: {status: 502}}",
    "- {match: {path: /odd}, direct_response: {status: 505}}",
    "- {match: {path: /there}, redirect: {path_redirect: /x}}",
];

macro_rules! call {
    ($method:literal, $path:literal, $kind:literal, $more:literal) => {
        concat!(
            $method,
            " ",
            $path,
            " HTTP/1.1\r\nhost: a.test\r\ncontent-type: ",
            $kind,
            "\r\n",
            $more,
            "content-length: 0\r\n\r\n"
        )
        .as_bytes()
    };
    ($path:literal) => {
        call!("POST", $path, "application/grpc", "")
    };
    ($path:literal, $timeout:literal) => {
        call!("POST", $path, "application/grpc", $timeout)
    };
}

const REPLIES: &[Case] = &[
    local(call!("/ok")),
    local(call!("/bad")),
    local(call!("POST", "/bad", "text/plain", "")),
    local(call!("/auth")),
    local(call!("/denied")),
    local(call!("/none")),
    local(call!("/late")),
    local(call!("/many")),
    local(call!("/broken")),
    local(call!("/gateway")),
    local(call!("/odd")),
    local(call!("/there")),
    local(call!("/missing")),
    local(call!("/a#b")),
    local(call!("HEAD", "/none", "application/grpc", "")),
    local(call!("POST", "/none", "application/grpc+proto", "")),
    local(call!("POST", "/none", "application/grpc-web", "")),
    local(call!("POST", "/none", "application/grpc;x=1", "")),
    local(call!("POST", "/none", "Application/grpc", "")),
    local(b"POST /none HTTP/1.1\r\nhost: a.test\r\ncontent-type: application/grpc\r\nno\r\n\r\n"),
    local(
        b"POST /none HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\n\
            transfer-encoding: chunked\r\n\r\n",
    ),
    closed(call!("/"), b""),
    answered(call!("/"), OK),
    answered(call!("/"), b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\ngrpc-status: 3\r\n\r\n"),
    answered(call!("/"), b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"),
];

const TIMEOUTS: &[&str] = &[
    "- {match: {path: /max}, route: {cluster: $NAME, max_grpc_timeout: 0.2s}}",
    "- {match: {path: /any}, route: {cluster: $NAME, max_grpc_timeout: 0s}}",
    "- {match: {path: /offset}, route: {cluster: $NAME, max_grpc_timeout: 9s, \
     grpc_timeout_offset: 0.3s}}",
    "- {match: {path: /duration}, route: {cluster: $NAME, max_stream_duration: \
     {max_stream_duration: 0.2s}}}",
    "- {match: {path: /header}, route: {cluster: $NAME, timeout: 0.1s, max_stream_duration: \
     {grpc_timeout_header_max: 0.2s}}}",
    "- {match: {path: /header-offset}, route: {cluster: $NAME, max_stream_duration: \
     {grpc_timeout_header_max: 9s, grpc_timeout_header_offset: 0.3s}}}",
    "- {match: {path: /header-any}, route: {cluster: $NAME, max_stream_duration: \
     {grpc_timeout_header_max: 0s}}}",
];

const CALLS: &[Case] = &[
    silent(call!("/max")),
    silent(call!("/max", "grpc-timeout: 100m\r\n")),
    silent(call!("/max", "grpc-timeout: 5S\r\n")),
    silent(call!("/max", "grpc-timeout: 0m\r\n")),
    silent(call!("/max", "grpc-timeout: 100001u\r\n")),
    silent(call!("/max", "grpc-timeout: x\r\n")),
    silent(call!("/max", "grpc-timeout: 123456789m\r\n")),
    answered(call!("POST", "/max", "text/plain", "grpc-timeout: 100m\r\n"), OK),
    answered(call!("/any"), OK),
    silent(call!("/any", "grpc-timeout: 100m\r\n")),
    answered(call!("/any", "grpc-timeout: 1H\r\n"), OK),
    answered(call!("/any", "grpc-timeout: 99H\r\n"), OK),
    silent(call!("/offset", "grpc-timeout: 200m\r\n")),
    answered(call!("/offset", "grpc-timeout: 5S\r\n"), OK),
    silent(call!("/duration")),
    silent(call!("/duration", "grpc-timeout: 5S\r\n")),
    silent(call!("POST", "/duration", "text/plain", "")),
    answered(call!("/header"), OK),
    silent(call!("/header", "grpc-timeout: 100m\r\n")),
    silent(call!("/header", "grpc-timeout: 5S\r\n")),
    silent(call!("POST", "/header", "text/plain", "grpc-timeout: 100m\r\n")),
    answered(call!("/header", "grpc-timeout: x\r\n"), OK),
    silent(call!("/header-offset", "grpc-timeout: 400m\r\n")),
    answered(call!("/header-offset", "grpc-timeout: 1M\r\n"), OK),
    answered(call!("/header-any", "grpc-timeout: 1M\r\n"), OK),
];
