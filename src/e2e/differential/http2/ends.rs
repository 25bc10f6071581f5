//! How streams and connections end: by timeouts, drains, clients that leave, upstreams that fail.

use super::{note_client, note_frames};
use crate::differential::Scenario;
use crate::differential::http::note_log;
use crate::differential::http::plan::Http;
use crate::differential::plan::{Endpoint, Plan};
use crate::differential::stage::Stage;
use crate::http2::{Http2, PREFACE, Seen, data, goaway, message, reset, settings};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "h2_idle_timeout",
            shows: "F20: idle_timeout: two GOAWAY, and the end",
            plan: || {
                drained(&[
                    "common_http_protocol_options: {idle_timeout: 0.2s}",
                    "drain_timeout: 0.2s",
                    "delayed_close_timeout: 0.1s",
                ])
            },
            script: |stage| {
                let mut client = Http2::client(stage.connect(), &[]);
                client.send(&message(1, PROBE, &[], true));
                note_end(stage, "idle:", client);
                let client = Http2::client(stage.connect(), &[]);
                note_end(stage, "never used:", client);
                note_log(stage);
            },
        },
        Scenario {
            name: "h2_max_connection_duration",
            shows: "F20: max_connection_duration, with a stream that goes on",
            plan: || {
                drained(&[
                    "common_http_protocol_options: {max_connection_duration: 0.5s}",
                    "drain_timeout: 0.2s",
                    "delayed_close_timeout: 0.1s",
                ])
            },
            script: max_connection_duration,
        },
        Scenario {
            name: "h2_max_requests",
            shows: "F20: max_requests_per_connection",
            plan: || {
                drained(&[
                    "common_http_protocol_options: {max_requests_per_connection: 2}",
                    "drain_timeout: 0.2s",
                    "delayed_close_timeout: 0.1s",
                ])
            },
            script: |stage| {
                let mut client = Http2::client(stage.connect(), &[]);
                for stream in [1, 3] {
                    client.send(&message(stream, PROBE, &[], true));
                    client.receive_streams(&[stream]);
                }
                note_end(stage, "two requests:", client);
                note_log(stage);
            },
        },
        Scenario {
            name: "h2_stream_idle_timeout",
            shows: "http2: stream_idle_timeout, with a request that is complete, and one that is not",
            plan: || drained(&["stream_idle_timeout: 0.3s"]),
            script: waits,
        },
        Scenario {
            name: "h2_request_timeout",
            shows: "http2: request_timeout",
            plan: || drained(&["request_timeout: 0.3s"]),
            script: waits_with_open_request,
        },
        Scenario {
            name: "h2_max_stream_duration",
            shows: "http2: max_stream_duration",
            plan: || drained(&["common_http_protocol_options: {max_stream_duration: 0.3s}"]),
            script: waits,
        },
        Scenario {
            name: "h2_refused",
            shows: "http2: an upstream that refuses connections",
            plan: || Http::default().plan_to(vec![Endpoint::refusing()]),
            script: |stage| {
                for (what, end) in [("complete:", true), ("open:", false)] {
                    let mut client = Http2::client(stage.connect(), &[]);
                    client.send(&message(1, ("POST", "/"), &[], end));
                    client.receive_streams(&[1]);
                    note_client(stage, what, client);
                    stage.wait_until_idle();
                }
                note_log(stage);
            },
        },
        Scenario {
            name: "h2_client_leaves",
            shows: "F24: clients that reset a stream, close, send FIN, or say GOAWAY",
            plan: super::usual,
            script: client_leaves,
        },
        Scenario {
            name: "h2_upstream_fails",
            shows: "F24, F31: HTTP/1 upstreams that fail, and early responses",
            plan: super::usual,
            script: upstream_fails,
        },
        Scenario {
            name: "h2_codec_auto",
            shows: "E2: AUTO: an upgrade to h2c, and a preface in pieces",
            plan: super::usual,
            script: |stage| {
                let mut client = stage.connect();
                client.send(
                    b"GET /probe HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade, http2-settings\
                      \r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
                );
                let response = client.receive_response("GET");
                stage.note_message("h2c: the client", &response);
                drop(client);
                stage.wait_until_idle();
                let mut client = Http2::over(stage.connect());
                client.send(&PREFACE[..12]);
                client.send(
                    &[&PREFACE[12..], &settings(&[]), &message(1, PROBE, &[], true)].concat(),
                );
                client.receive_streams(&[1]);
                note_client(stage, "in pieces:", client);
                note_log(stage);
            },
        },
        Scenario {
            name: "h2_codec_http1",
            shows: "E2: HTTP1, and a client of HTTP/2",
            plan: || drained(&["codec_type: HTTP1", "delayed_close_timeout: 0.1s"]),
            script: |stage| {
                let mut client = stage.connect();
                client.send(&[PREFACE, &settings(&[])].concat());
                let (bytes, _) = client.receive_to_end();
                stage.note("the client received", stage.shown(&bytes).escape_ascii());
                note_log(stage);
            },
        },
        Scenario {
            name: "h2_codec_http2",
            shows: "E2: HTTP2, and a client of HTTP/1",
            plan: || drained(&["codec_type: HTTP2", "delayed_close_timeout: 0.1s"]),
            script: |stage| {
                let mut client = stage.connect();
                client.send(b"GET /probe HTTP/1.1\r\nhost: a.test\r\n\r\n");
                let (bytes, _) = client.receive_to_end();
                // A GOAWAY is ours: a deliberate difference.
                stage.note("the client received a response", bytes.starts_with(b"HTTP/1.1"));
                stage.wait_until_idle();
                let mut client = Http2::client(stage.connect(), &[]);
                client.send(&message(1, PROBE, &[], true));
                client.receive_streams(&[1]);
                note_client(stage, "HTTP/2:", client);
                stage.note_access_log(1);
            },
        },
    ]
}

const PROBE: (&str, &str) = ("GET", "/probe");

fn drained(manager: &'static [&'static str]) -> Plan {
    Http { manager, ..Http::default() }.plan()
}

/// Notes what a client got until the proxy ended its connection.
fn note_end(stage: &Stage<'_>, what: &str, mut client: Http2) {
    client.receive_to_end();
    note_frames(stage, &format!("{what} the client"), &client);
    drop(client);
    stage.wait_until_idle();
}

fn max_connection_duration(stage: &mut Stage<'_>) {
    let mut client = Http2::client(stage.connect(), &[]);
    client.send(&message(1, ("GET", "/long"), &[], true));
    let mut upstream = stage.accept();
    upstream.receive_request();
    let is_last = |seen: &Seen| matches!(seen, Seen::GoAway { last: 1, .. });
    client.receive_until(|seen| seen.iter().any(is_last));
    // It comes too late to be served.
    client.send(&message(3, PROBE, &[], true));
    client.sync(*b"too late");
    upstream.send(super::OK);
    note_end(stage, "a long stream:", client);
    drop(upstream);
    note_log(stage);
}

/// A complete request and one that goes on, each on a connection of its own, which nobody answers.
fn waits(stage: &mut Stage<'_>) {
    let mut client = Http2::client(stage.connect(), &[]);
    client.send(&message(1, ("GET", "/whole"), &[], true));
    let _upstream = stage.accept();
    client.receive_streams(&[1]);
    note_client(stage, "complete:", client);
    stage.wait_until_idle();
    waits_with_open_request(stage);
}

fn waits_with_open_request(stage: &mut Stage<'_>) {
    let mut client = Http2::client(stage.connect(), &[]);
    client.send(&message(1, ("POST", "/open"), &[], false));
    let _upstream = stage.accept();
    client.receive_streams(&[1]);
    note_client(stage, "open:", client);
    stage.wait_until_idle();
    note_log(stage);
}

fn client_leaves(stage: &mut Stage<'_>) {
    for what in ["reset:", "close:", "FIN:", "GOAWAY:"] {
        let mut client = Http2::client(stage.connect(), &[]);
        client.send(&message(1, ("GET", "/wait"), &[], true));
        let mut upstream = stage.accept();
        upstream.receive_request();
        match what {
            "reset:" => {
                client.send(&reset(1, 8));
                note_client(stage, what, client);
                stage.note_end("reset: the upstream", &upstream.receive_to_end());
            }
            "close:" => {
                drop(client);
                stage.note_end("close: the upstream", &upstream.receive_to_end());
            }
            "FIN:" => {
                client.peer().finish_sending();
                stage.note_end("FIN: the upstream", &upstream.receive_to_end());
                client.receive_to_end();
                note_frames(stage, "FIN: the client", &client);
            }
            _ => {
                client.send(&goaway(0, 0));
                upstream.send(super::OK);
                client.receive_streams(&[1]);
                note_frames(stage, "GOAWAY: the client", &client);
                drop((client, upstream));
            }
        }
        stage.wait_until_idle();
    }
    note_log(stage);
}

fn upstream_fails(stage: &mut Stage<'_>) {
    for (what, answer, closes) in [
        ("nothing:", &b""[..], true),
        ("half a head:", b"HTTP/1.1 200 OK\r\ncontent", true),
        ("half a body:", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", true),
        ("garbage:", b"garbage\r\n\r\n", false),
        ("more:", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more", false),
        ("a broken chunk:", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n", false),
    ] {
        let mut client = Http2::client(stage.connect(), &[]);
        client.send(&message(1, ("GET", "/fails"), &[], true));
        let mut upstream = stage.accept();
        upstream.receive_request();
        upstream.send(answer);
        if closes {
            drop(upstream);
        } else {
            stage.note_end(&format!("{what} the upstream"), &upstream.receive_to_end());
        }
        client.receive_streams(&[1]);
        note_client(stage, what, client);
        stage.wait_until_idle();
    }
    let mut client = Http2::client(stage.connect(), &[]);
    client.send(&message(1, ("POST", "/early"), &[], false));
    let mut upstream = stage.accept();
    upstream.receive_head();
    upstream.send(super::OK);
    client.receive_streams(&[1]);
    stage.note_end("early: the upstream", &upstream.receive_to_end());
    client.send(&data(1, b"late", true));
    note_client(stage, "early:", client);
    note_log(stage);
}
