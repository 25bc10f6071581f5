//! PINGs that ask whether a peer is there, and clients that reset what they have just asked for.

use std::time::Duration;

use super::{SOON_CLOSED, note_client, note_frames};
use crate::differential::Scenario;
use crate::differential::http::plan::Http;
use crate::differential::http::{note_answer, note_log};
use crate::differential::stage::Stage;
use crate::http2::{ACK, Http2, Seen, frame, headers, message, reset};
use crate::patience::pause;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "h2_keepalive",
            shows: "http2: connection_keepalive, with a client that stops answering",
            plan: || Http { manager: KEEPALIVE, ..Http::default() }.plan().alone(),
            script: a_client_stops_answering,
        },
        Scenario {
            name: "h2up_keepalive",
            shows: "http2: connection_keepalive, with an upstream that stops answering",
            plan: || {
                let protocol = &["explicit_http_config: {http2_protocol_options: \
                                  {connection_keepalive: {interval: 0.2s, timeout: 0.3s, \
                                  interval_jitter: {value: 0}}}}"];
                Http { protocol, ..Http::default() }.plan().alone()
            },
            script: an_upstream_stops_answering,
        },
        Scenario {
            name: "h2up_keepalive_idle",
            shows: "http2: connection_idle_interval: a PING before the next request",
            plan: || {
                let protocol = &["explicit_http_config: {http2_protocol_options: \
                                  {connection_keepalive: {interval: 60s, timeout: 0.3s, \
                                  connection_idle_interval: 0.2s}}}"];
                Http { protocol, ..Http::default() }.plan().alone()
            },
            script: an_idle_upstream_is_asked,
        },
        Scenario {
            name: "h2_premature_resets",
            shows: "http2: overload.premature_reset_*: half of the streams and one less",
            plan: || Http { bootstrap: PREMATURE, protocol: SOON_CLOSED, ..Http::default() }.plan(),
            script: premature_resets,
        },
        Scenario {
            name: "h2_premature_resets_old",
            shows: "http2: overload.premature_reset_*: streams that are old enough do not count",
            plan: || {
                Http { bootstrap: OLD_AT_ONCE, protocol: SOON_CLOSED, ..Http::default() }.plan()
            },
            script: premature_resets,
        },
    ]
}

const KEEPALIVE: &[&str] = &["http2_protocol_options: {connection_keepalive: \
      {interval: 0.2s, timeout: 0.3s, interval_jitter: {value: 0}}}"];
const PREMATURE: &[&str] = &["layered_runtime: {layers: [{name: static, static_layer: \
      {overload.premature_reset_total_stream_count: 10, \
      overload.premature_reset_min_stream_lifetime_seconds: 60}}]}"];
const OLD_AT_ONCE: &[&str] = &["layered_runtime: {layers: [{name: static, static_layer: \
      {overload.premature_reset_total_stream_count: 10, \
      overload.premature_reset_min_stream_lifetime_seconds: 0}}]}"];

/// Waits for the next PING and answers it.
fn answer_ping(end: &mut Http2) {
    let known = pings(&end.seen).count();
    end.receive_until(|seen| pings(seen).count() > known);
    answer_last_ping(end);
}

fn answer_last_ping(end: &mut Http2) {
    let bytes = pings(&end.seen).last().expect("a PING");
    end.send(&frame(6, ACK, 0, &bytes));
}

fn pings(seen: &[Seen]) -> impl Iterator<Item = [u8; 8]> {
    seen.iter().filter_map(|seen| if let Seen::Ping(bytes) = seen { Some(*bytes) } else { None })
}

fn a_client_stops_answering(stage: &mut Stage<'_>) {
    let mut client = Http2::client(stage.connect(), &[]);
    client.send(&message(1, ("GET", "/waits"), &[], true));
    let mut upstream = stage.accept();
    upstream.receive_request();
    answer_ping(&mut client);
    answer_ping(&mut client);
    client.receive_to_end();
    note_frames(stage, "the client", &client);
    stage.note_end("the upstream", &upstream.receive_to_end());
    drop(client);
    stage.wait_until_idle();
    note_log(stage);
}

fn an_upstream_stops_answering(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(b"GET /waits HTTP/1.1\r\nhost: a.test\r\n\r\n");
    let mut upstream = Http2::server(stage.accept(), &[]);
    upstream.receive_head(1);
    answer_ping(&mut upstream);
    answer_ping(&mut upstream);
    upstream.receive_to_end();
    note_frames(stage, "the upstream", &upstream);
    note_answer(stage, "the client", &mut client, "GET");
    drop((client, upstream));
    note_log(stage);
}

fn an_idle_upstream_is_asked(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    let mut upstream = None;
    for (stream, answers) in [(1, true), (3, true), (5, false)] {
        let what = format!("{stream}:");
        client.send(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n");
        let upstream = upstream.get_or_insert_with(|| Http2::server(stage.accept(), &[]));
        upstream.receive_head(stream);
        if stream > 1 {
            upstream.receive_until(|seen| pings(seen).next().is_some());
            let has_come = pings(&upstream.seen).next().is_some();
            stage.note(&format!("{what} a PING came"), has_come);
        }
        if answers {
            if stream > 1 {
                answer_last_ping(upstream);
            }
            upstream.send(&headers(stream, &[(":status", "200"), ("content-length", "0")], true));
        }
        note_answer(stage, &what, &mut client, "GET");
        upstream.seen.retain(|seen| !matches!(seen, Seen::Ping(_)));
        pause(Duration::from_millis(400));
    }
    drop((client, upstream));
    note_log(stage);
}

fn premature_resets(stage: &mut Stage<'_>) {
    let mut client = Http2::client(stage.connect(), &[]);
    let mut upstream = None;
    for index in 0..8_u8 {
        let stream = 1 + 2 * u32::from(index);
        client.send(&message(stream, ("GET", "/"), &[], true));
        upstream.get_or_insert_with(|| stage.accept()).answer(super::OK);
        client.receive_streams(&[stream]);
    }
    for index in 8..17_u8 {
        let stream = 1 + 2 * u32::from(index);
        client.send(&[message(stream, ("GET", "/"), &[], true), reset(stream, 8)].concat());
        client.sync([index; 8]);
        let end = if client.ending.is_some() { "has ended" } else { "is open" };
        stage.note(&format!("after {} of 8 and more the connection", index - 7), end);
    }
    note_client(stage, "some answered:", client);
    drop(upstream);
    stage.wait_until_idle();
    for count in [4_u8, 5, 6] {
        let what = format!("{count} resets:");
        let mut client = Http2::client(stage.connect(), &[]);
        for index in 0..count {
            let stream = 1 + 2 * u32::from(index);
            client.send(&[message(stream, ("GET", "/"), &[], true), reset(stream, 8)].concat());
            client.sync([index; 8]);
        }
        note_client(stage, &what, client);
        stage.wait_until_idle();
    }
    super::super::http::note_sorted_log(stage);
}
