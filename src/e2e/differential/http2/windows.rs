//! Windows of flow control: what a stream that nobody takes costs the others, and what comes back
//! when it ends.

use std::thread;

use super::note_client;
use crate::differential::Scenario;
use crate::differential::http::note_log;
use crate::differential::http::plan::Http;
use crate::differential::plan::Endpoint;
use crate::differential::stage::Stage;
use crate::http2::{Http2, INITIAL_WINDOW_SIZE, Seen, message, reset, trailers, window_update};
use crate::payload;
use crate::upstream::Upstream;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "h2_window_of_stream",
            shows: "F18: a request that its upstream does not take waits with its client, and no \
                    other does",
            plan: || {
                let upstream = Upstream::listen_with_buffers(16 * 1024);
                Http { manager: WINDOWS, ..Http::default() }
                    .plan_to(vec![Endpoint::Serving(upstream)])
            },
            script: a_stream_waits,
        },
        Scenario {
            name: "h2_window_given_back",
            shows: "F19: what nobody took of aborted requests is given back to the connection",
            plan: || {
                Http { manager: SMALL_WINDOWS, ..Http::default() }.plan_to(vec![Endpoint::silent()])
            },
            script: windows_come_back,
        },
        Scenario {
            name: "h2_window_of_response",
            shows: "F17, F18: a response that its client does not take waits with its upstream",
            plan: || Http { manager: WINDOWS, ..Http::default() }.plan(),
            script: a_response_waits,
        },
        Scenario {
            name: "h2_late_trailers",
            shows: "F23: trailers that come while a reset waits for an early response to leave",
            plan: super::usual,
            script: trailers_are_late,
        },
    ]
}

const WINDOWS: &[&str] = &["http2_protocol_options: {initial_stream_window_size: 65535, \
      initial_connection_window_size: 1048576}"];
const SMALL_WINDOWS: &[&str] = &["http2_protocol_options: {initial_stream_window_size: 65535, \
      initial_connection_window_size: 65535}"];

/// More than the sockets on the way hold.
const MUCH: u32 = 16 << 20;

fn much() -> Vec<u8> {
    payload::block(18).into_iter().cycle().take(MUCH as usize).collect()
}

fn a_stream_waits(stage: &mut Stage<'_>) {
    let body = much();
    let mut client = Http2::client(stage.connect(), &[]);
    let length = MUCH.to_string();
    client.send(&message(1, ("POST", "/"), &[("content-length", &length)], false));
    let mut upstream = stage.accept();
    let head = upstream.receive_head();
    stage.note("the upstream received the head", stage.shown(head.as_bytes()).escape_ascii());
    let mut sent = 0;
    // The kernel's buffers may still move when the proxy's are full.
    while !stage.is_above_zero("cluster.upstream_flow_control_backed_up_total") {
        sent += client.send_within_windows(1, &body[sent..]);
        assert!(sent < body.len(), "nothing held the client back");
    }
    client.send(&message(3, ("GET", "/probe"), &[], true));
    client.receive_streams(&[3]);
    let received = thread::scope(|scope| {
        let received = scope.spawn(|| upstream.receive(body.len()));
        client.send_body(1, &body[sent..]);
        client.send(&crate::http2::data(1, b"", true));
        received.join().unwrap()
    });
    stage.note("the upstream received the body", payload::summary(&received));
    upstream.send(super::OK);
    client.receive_streams(&[1]);
    note_client(stage, "held back:", client);
    drop(upstream);
    note_log(stage);
}

fn windows_come_back(stage: &mut Stage<'_>) {
    // All that a window allows.
    let body = vec![b'x'; 65_535];
    let mut client = Http2::client(stage.connect(), &[]);
    for stream in (1..40).step_by(2) {
        client.send(&message(stream, ("POST", "/"), &[], false));
        let sent = client.send_within_windows(stream, &body);
        stage.note(&format!("stream {stream} may send"), sent);
        client.send(&reset(stream, 8));
    }
    client.send(&message(41, ("GET", "/probe"), &[], true));
    client.receive_streams(&[41]);
    note_client(stage, "after all:", client);
    super::super::http::note_sorted_log(stage);
}

fn a_response_waits(stage: &mut Stage<'_>) {
    let body = much();
    let mut client = Http2::client(stage.connect(), &[]);
    client.send(&message(1, ("GET", "/"), &[], true));
    let mut upstream = stage.accept();
    upstream.receive_request();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {MUCH}\r\n\r\n");
    thread::scope(|scope| {
        scope.spawn(|| {
            upstream.send(head.as_bytes());
            upstream.send(&body);
        });
        client.receive_until(|seen| received(seen) >= 65_535);
        stage.expect_stat_above_zero("cluster.upstream_flow_control_paused_reading_total");
        client.send(&message(3, ("GET", "/probe"), &[], true));
        client.send(&window_update(0, 1000));
        client.receive_streams(&[3]);
        client.sync(*b"not more");
        stage.note("the client received of the body", received(&client.seen));
        client.send(&[window_update(0, MUCH), window_update(1, MUCH)].concat());
        client.receive_streams(&[1]);
    });
    note_client(stage, "held back:", client);
    drop(upstream);
    note_log(stage);
}

fn received(seen: &[Seen]) -> usize {
    let of_body = seen.iter().map(|seen| match seen {
        Seen::Data { stream: 1, bytes, .. } => bytes.len(),
        _ => 0,
    });
    of_body.sum()
}

fn trailers_are_late(stage: &mut Stage<'_>) {
    for late in [true, false] {
        let what = if late { "trailers:" } else { "no trailers:" };
        let mut client = Http2::client(stage.connect(), &[(INITIAL_WINDOW_SIZE, 1)]);
        client.send(&message(1, ("POST", "/early"), &[("te", "trailers")], false));
        let mut upstream = stage.accept();
        upstream.receive_head();
        upstream.send(super::OK);
        client.receive_until(|seen| received(seen) == 1);
        stage.note_end(&format!("{what} the upstream"), &upstream.receive_to_end());
        if late {
            client.send(&trailers(1, &[("x-late", "1")]));
        }
        client.sync(*b"was that");
        client.send(&window_update(1, 1000));
        client.receive_streams(&[1]);
        note_client(stage, what, client);
        stage.wait_until_idle();
    }
    note_log(stage);
}
