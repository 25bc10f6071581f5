//! How a connection that the proxy closes comes to its end: at once, or with time for the client to
//! read what was sent last.
//!
//! Long timeouts show what does not wait: a script that waited would not end in time.

use std::time::Duration;

use super::plan::Http;
use super::{LAST, OK, PROBE};
use crate::differential::Scenario;
use crate::differential::plan::Plan;
use crate::differential::stage::Stage;
use crate::patience::pause;
use crate::peer::Peer;

macro_rules! manager {
    ($($field:expr),*) => {
        || Http { manager: &[$($field),*], ..Http::default() }.plan()
    };
}

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "http_close_after_flush",
            shows: "A8, A9: closed as soon as the answer to a last request is sent",
            plan: manager!("delayed_close_timeout: 60s"),
            script: after_flush,
        },
        Scenario {
            name: "http_close_after_flush_http_10",
            shows: "A9: the same for HTTP/1.0",
            plan: manager!(
                "delayed_close_timeout: 60s",
                "http_protocol_options: {accept_http_10: true}"
            ),
            script: after_flush_http_10,
        },
        Scenario {
            name: "http_close_wait",
            shows: "A8, A10, A12: after a reply of the proxy's own the client has time to close first",
            plan: manager!("delayed_close_timeout: 60s"),
            script: |stage| {
                for request in UNREAD {
                    let mut client = stage.connect();
                    client.send(request);
                    let what = what(request);
                    stage.note_message(&what, &client.receive_response("GET"));
                    assert!(client.is_open_and_quiet(), "{what}");
                    drop(client);
                    stage.expect_stat("http.downstream_cx_active", 0);
                }
                note_log(stage);
            },
        },
        Scenario {
            name: "http_close_wait_too_long",
            shows: "A10, A12: a client that does not close is closed by delayed_close_timeout",
            plan: manager!("delayed_close_timeout: 0.2s"),
            script: |stage| play_to_end(stage, UNREAD),
        },
        Scenario {
            name: "http_close_without_wait",
            shows: "A10: delayed_close_timeout 0s closes as soon as everything is sent",
            plan: manager!("delayed_close_timeout: 0s"),
            script: |stage| play_to_end(stage, &UNREAD[..4]),
        },
        Scenario {
            name: "http_close_stalled",
            shows: "A9, A11: a client that takes nothing is cut by delayed_close_timeout",
            plan: || small_buffer(&["delayed_close_timeout: 0.3s"]),
            script: |stage| {
                let mut client = asked_for_much(stage);
                stage.expect_stat("http.downstream_cx_delayed_close_timeout", 1);
                stage.expect_stat("http.downstream_cx_active", 0);
                let (bytes, ending) = client.receive_to_end();
                assert!(bytes.len() < MUCH, "it was not stalled");
                stage.note("the stalled client ended by", ending);
                note_log(stage);
            },
        },
        Scenario {
            name: "http_close_slow",
            shows: "A11: a slow client is not cut: the time counts from the last progress",
            plan: || small_buffer(&["delayed_close_timeout: 3s"]),
            script: |stage| {
                let mut client = asked_for_much(stage);
                let head = client.receive_head();
                stage.note("the head", stage.shown(head.as_bytes()).escape_ascii());
                // Four seconds in all, one at a time.
                for _ in 0..4 {
                    pause(Duration::from_secs(1));
                    client.receive(MUCH / 5);
                }
                let (bytes, ending) = client.receive_to_end();
                assert_eq!(bytes.len(), MUCH / 5);
                stage.note("the slow client ended by", ending);
                note_log(stage);
            },
        },
        Scenario {
            name: "http_close_last_of_configuration",
            shows: "A9, A10: the last request by max_requests_per_connection",
            plan: manager!(
                "delayed_close_timeout: 0.2s",
                "common_http_protocol_options: {max_requests_per_connection: 1}"
            ),
            script: |stage| {
                let mut client = stage.connect();
                client.send(PROBE);
                note_end(stage, "of the proxy's own,", &mut client);
                let mut client = stage.connect();
                client.send(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n");
                stage.accept().answer(OK);
                note_end(stage, "of the upstream,", &mut client);
                note_log(stage);
            },
        },
    ]
}

/// More than fits in a small send buffer and a small receive buffer, less than a proxy takes in
/// ahead of its client: it has the end of the response when the client has next to nothing.
const MUCH: usize = 90_000;

fn small_buffer(manager: &'static [&'static str]) -> Plan {
    // SO_SNDBUF of SOL_SOCKET.
    let listener: &[&str] =
        &["socket_options: [{level: 1, name: 7, int_value: 4096, state: STATE_LISTENING}]"];
    // Nobody looks at the head, so there must be no time in it.
    let router = &["suppress_envoy_headers: true"];
    Http { listener, manager, router, ..Http::default() }.plan()
}

/// A client that has asked for much, which the proxy has, and has read nothing of it.
fn asked_for_much(stage: &Stage<'_>) -> Peer {
    let mut client = stage.connect_with_receive_buffer(4096);
    client.send(b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n");
    let mut upstream = stage.accept();
    upstream.receive_request();
    upstream.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {MUCH}\r\n\r\n").as_bytes());
    upstream.send(&vec![b'x'; MUCH]);
    stage.expect_stat("cluster.upstream_rq_active", 0);
    client
}

/// Requests whose replies close: what else the client may send is not wanted.
const UNREAD: &[&[u8]] = &[
    b"GET /probe HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n",
    b"GET /missing HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n",
    b"BAD\r\n\r\n",
    b"GET /probe HTTP/1.1\r\n\r\n",
    // The body has not come, or not whole.
    b"POST /probe HTTP/1.1\r\nhost: a.test\r\ncontent-length: 100000\r\n\r\n",
    b"POST /missing HTTP/1.1\r\nhost: a.test\r\ncontent-length: 9\r\n\r\nabc",
    b"POST /probe HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
];

fn what(request: &[u8]) -> String {
    let line = request.split(|byte| *byte == b'\r').next().unwrap();
    format!("{}:", line.escape_ascii())
}

fn note_end(stage: &Stage<'_>, what: &str, client: &mut Peer) {
    let (bytes, ending) = client.receive_to_end();
    stage.note_end(&format!("{what} the client"), &(stage.shown(&bytes), ending));
}

fn play_to_end(stage: &Stage<'_>, requests: &[&[u8]]) {
    for request in requests {
        let mut client = stage.connect();
        client.send(request);
        note_end(stage, &what(request), &mut client);
    }
    note_log(stage);
}

/// As `http::note_log`, for a client that does not wait for the end.
fn note_log(stage: &Stage<'_>) {
    let mut client = stage.connect();
    client.send(LAST);
    client.receive_response("GET");
    drop(client);
    stage.note_access_log_up_to("?last");
}

fn after_flush(stage: &mut Stage<'_>) {
    for (request, answer) in [
        (&b"GET /a HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n"[..], OK),
        (
            b"POST /b HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ),
        (b"HEAD /c HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n", HEAD),
        // The upstream fails.
        (b"GET /d HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n", b""),
    ] {
        let mut client = stage.connect();
        client.send(request);
        let mut upstream = stage.accept();
        upstream.answer(answer);
        // Each time over a connection of its own.
        drop(upstream);
        note_end(stage, &what(request), &mut client);
        stage.expect_stat("cluster.upstream_cx_active", 0);
    }
    note_log(stage);
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";

fn after_flush_http_10(stage: &mut Stage<'_>) {
    for (request, answer) in [
        (&b"GET /a HTTP/1.0\r\nhost: a.test\r\n\r\n"[..], OK),
        (
            b"GET /b HTTP/1.0\r\nhost: a.test\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ),
        (b"GET /c HTTP/1.0\r\nhost: a.test\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nup to the end"),
        (
            b"GET /d HTTP/1.0\r\nhost: a.test\r\nconnection: keep-alive\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ),
    ] {
        let mut client = stage.connect();
        client.send(request);
        let mut upstream = stage.accept();
        upstream.answer(answer);
        drop(upstream);
        note_end(stage, &what(request), &mut client);
        stage.expect_stat("cluster.upstream_cx_active", 0);
    }
    note_log(stage);
}
