//! Limits on clients of HTTP/2 that the runtime sets while the process runs.

use crate::differential::Scenario;
use crate::differential::http::note_log;
use crate::differential::http::plan::Http;
use crate::differential::stage::Stage;
use crate::http2::{Http2, message, reset};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "h2_live_runtime",
        shows: "F24, runtime: overload.premature_reset_*, http.max_requests_per_io_cycle, live",
        plan: || Http { bootstrap: RUNTIME, ..Http::default() }.plan(),
        script,
    }]
}

const RUNTIME: &[&str] = &[
    "layered_runtime:",
    "  layers:",
    "  - {name: static, static_layer: {overload.premature_reset_total_stream_count: 8}}",
    "  - {name: admin, admin_layer: {}}",
];

fn script(stage: &mut Stage<'_>) {
    let mut client = Http2::client(stage.connect(), &[]);
    for stream in [1, 3, 5] {
        give_up(&mut client, stream);
    }
    note(stage, "three of eight:", &client);
    set(stage, "overload.premature_reset_total_stream_count=");
    for stream in [7, 9, 11] {
        give_up(&mut client, stream);
    }
    note(stage, "no limit but in the file:", &client);
    let mut client = Http2::client(stage.connect(), &[]);
    set(stage, "overload.premature_reset_total_stream_count=20");
    for stream in [1, 3, 5, 7] {
        give_up(&mut client, stream);
    }
    note(stage, "four of twenty:", &client);
    set(stage, "overload.premature_reset_total_stream_count=6");
    give_up(&mut client, 9);
    note(stage, "five of six:", &client);
    set(stage, "http.max_requests_per_io_cycle=1");
    let mut client = Http2::client(stage.connect(), &[]);
    client.send(&[1, 3, 5].map(|id| message(id, ("GET", "/probe"), &[], true)).concat());
    client.receive_streams(&[1, 3, 5]);
    super::note_client(stage, "three in their turns:", client);
    stage.wait_until_idle();
    note_log(stage);
}

/// Opens a stream that nobody answers, and resets it.
fn give_up(client: &mut Http2, stream: u32) {
    let number = stream.to_be_bytes();
    client.send(&message(stream, ("GET", "/"), &[], true));
    client.sync([0, 0, 0, 1, number[0], number[1], number[2], number[3]]);
    client.send(&reset(stream, 8));
    client.sync([0, 0, 0, 2, number[0], number[1], number[2], number[3]]);
}

fn note(stage: &Stage<'_>, what: &str, client: &Http2) {
    let end = if client.ending.is_some() { "has ended" } else { "is open" };
    stage.note(&format!("{what} the client's connection"), end);
}

/// Sets a value, and waits until the worker has it: it learns of a change in a turn of its own.
fn set(stage: &Stage<'_>, key_and_value: &str) {
    let answer = stage.ask(&format!("POST /runtime_modify?{key_and_value}"));
    stage.note(key_and_value, answer.status);
    let mut other = stage.connect();
    for _ in 0..2 {
        other.send(b"GET /probe?set HTTP/1.1\r\nhost: a.test\r\n\r\n");
        assert!(other.receive_responses("GET").is_ok());
    }
}
