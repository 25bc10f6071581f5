//! Everything that takes too long.

use super::plan::Http;
use super::{Case, OK, answered, local, note_answer, note_log, play, silent};
use crate::differential::Scenario;
use crate::differential::plan::Endpoint;
use crate::differential::stage::Stage;

macro_rules! manager {
    ($($field:expr),*) => {
        || Http { manager: &[$($field),*], ..Http::default() }.plan()
    };
}

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "http_route_timeout",
            shows: "http: the route's timeout; 504 UT",
            plan: || {
                let routes = &["- {match: {prefix: /}, route: {cluster: $NAME, timeout: 0.2s}}"];
                Http { routes, ..Http::default() }.plan()
            },
            script: route_timeout,
        },
        Scenario {
            name: "http_connect_timeout",
            shows: "http: connect_timeout; 503 UF",
            plan: || {
                let cluster = &["connect_timeout: 0.2s"];
                Http { cluster, ..Http::default() }.plan_to(vec![Endpoint::silent()])
            },
            script: |stage| play(stage, &[local(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n")]),
        },
        Scenario {
            name: "http_idle_timeout",
            shows: "http: idle_timeout of a connection between requests, drain_timeout",
            plan: manager!(
                "common_http_protocol_options: {idle_timeout: 0.2s}",
                "drain_timeout: 0.2s",
                "delayed_close_timeout: 0.2s"
            ),
            script: |stage| idle_connection(stage, true),
        },
        Scenario {
            name: "http_idle_timeout_drain",
            shows: "http: a request between idle_timeout and the end of drain_timeout",
            plan: manager!(
                "common_http_protocol_options: {idle_timeout: 0.1s}",
                "drain_timeout: 3s",
                "delayed_close_timeout: 0.2s"
            ),
            script: |stage| request_in_drain(stage, "http.downstream_cx_idle_timeout"),
        },
        Scenario {
            name: "http_idle_timeout_unused",
            shows: "http: idle_timeout of a connection without a request",
            plan: manager!("common_http_protocol_options: {idle_timeout: 0.2s}"),
            script: |stage| idle_connection(stage, false),
        },
        Scenario {
            name: "http_max_connection_duration",
            shows: "http: max_connection_duration, drain_timeout",
            plan: manager!(
                "common_http_protocol_options: {max_connection_duration: 0.3s}",
                "drain_timeout: 0.2s",
                "delayed_close_timeout: 0.2s"
            ),
            script: |stage| idle_connection(stage, true),
        },
        Scenario {
            name: "http_max_connection_duration_unused",
            shows: "http: max_connection_duration of a connection without a request",
            plan: manager!("common_http_protocol_options: {max_connection_duration: 0.3s}"),
            script: |stage| idle_connection(stage, false),
        },
        Scenario {
            name: "http_max_connection_duration_drain",
            shows: "http: a request between max_connection_duration and the end of drain_timeout",
            plan: manager!(
                "common_http_protocol_options: {max_connection_duration: 0.3s}",
                "drain_timeout: 3s",
                "delayed_close_timeout: 0.2s"
            ),
            script: |stage| {
                request_in_drain(stage, "http.downstream_cx_max_duration_reached");
            },
        },
        Scenario {
            name: "http_max_connection_duration_in_request",
            shows: "http: max_connection_duration and drain_timeout within a request",
            plan: manager!(
                "common_http_protocol_options: {max_connection_duration: 0.2s}",
                "drain_timeout: 0.2s",
                "delayed_close_timeout: 0.2s"
            ),
            script: old_within_a_request,
        },
        Scenario {
            name: "http_stream_idle_timeout",
            shows: "http: stream_idle_timeout before and within a response",
            plan: manager!("stream_idle_timeout: 0.2s"),
            script: stream_idle,
        },
        Scenario {
            name: "http_stream_idle_timeout_request",
            shows: "http: stream_idle_timeout within a request",
            plan: manager!("stream_idle_timeout: 0.2s"),
            script: unfinished_body,
        },
        Scenario {
            name: "http_request_timeout",
            shows: "http: request_timeout",
            plan: manager!("request_timeout: 0.2s"),
            script: unfinished_body,
        },
        Scenario {
            name: "http_request_headers_timeout",
            shows: "http: request_headers_timeout",
            plan: manager!("request_headers_timeout: 0.2s"),
            script: unfinished_head,
        },
        Scenario {
            name: "http_request_timeout_head",
            shows: "http: request_timeout within a head",
            plan: manager!("request_timeout: 0.2s"),
            script: unfinished_head,
        },
        Scenario {
            name: "http_upstream_max_stream_duration",
            shows: "http: max_stream_duration of a cluster; 504 UMSDR",
            plan: || {
                let protocol = &[
                    "common_http_protocol_options: {max_stream_duration: 0.2s}",
                    "explicit_http_config: {http_protocol_options: {}}",
                ];
                Http { protocol, ..Http::default() }.plan()
            },
            script: stream_idle,
        },
        Scenario {
            name: "http_max_stream_duration",
            shows: "http: max_stream_duration before and within a response",
            plan: manager!("common_http_protocol_options: {max_stream_duration: 0.2s}"),
            script: stream_idle,
        },
    ]
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
const PART: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello";

const SILENT: &[Case] = &[
    silent(GET),
    silent(b"POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 3\r\n\r\nabc"),
    answered(b"HEAD / HTTP/1.1\r\nhost: a.test\r\n\r\n", OK_HEAD),
    answered(GET, OK),
    // The answer has begun when the time is over.
    answered(GET, PART),
];

const OK_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";

fn route_timeout(stage: &mut Stage<'_>) {
    play(stage, SILENT);
}

/// Before the response and within it.
fn stream_idle(stage: &mut Stage<'_>) {
    play(stage, &[silent(GET), answered(GET, OK), answered(GET, PART)]);
}

fn idle_connection(stage: &mut Stage<'_>, used: bool) {
    let mut client = stage.connect();
    if used {
        client.send(super::PROBE);
        stage.note_message("the client", &client.receive_response("GET"));
    }
    stage.note_end("the client", &client.receive_to_end());
    note_log(stage);
}

/// The response says that the connection will be closed; it stays open until the drain is over.
fn request_in_drain(stage: &mut Stage<'_>, begins_with: &str) {
    let mut client = stage.connect();
    client.send(super::PROBE);
    stage.note_message("the client", &client.receive_response("GET"));
    stage.expect_stat(begins_with, 1);
    client.send(super::PROBE);
    note_answer(stage, "in the drain:", &mut client, "GET");
    drop(client);
    note_log(stage);
}

/// The upstream answers when the connection has been too old for longer than the drain takes.
fn old_within_a_request(stage: &mut Stage<'_>) {
    let mut old = stage.connect();
    old.send(GET);
    let mut upstream = stage.accept();
    upstream.receive_request();
    // Once a younger connection is drained, this one is.
    let mut younger = stage.connect();
    younger.send(super::PROBE);
    stage.note_message("a younger client", &younger.receive_response("GET"));
    stage.note_end("a younger client", &younger.receive_to_end());
    drop(younger);
    upstream.send(OK);
    note_answer(stage, "the old one:", &mut old, "GET");
    drop(old);
    note_log(stage);
}

fn unfinished_body(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(b"POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 10\r\n\r\nabc");
    let mut upstream = stage.accept();
    let (bytes, ending) = client.receive_to_end();
    stage.note_end("the client", &(stage.shown(&bytes), ending));
    drop(client);
    let (bytes, ending) = upstream.receive_to_end();
    stage.note_end("the upstream", &(stage.shown(&bytes), ending));
    note_log(stage);
}

fn unfinished_head(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(b"GET / HTTP/1.1\r\nhost: a");
    let (bytes, ending) = client.receive_to_end();
    stage.note_end("the client", &(stage.shown(&bytes), ending));
    drop(client);
    note_log(stage);
}
