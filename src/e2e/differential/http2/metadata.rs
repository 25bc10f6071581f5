//! METADATA (F29): maps of names and values that travel beside a message.

use super::upstream::Origin;
use super::{Awaits, Case, OK, answered, note_client, note_frames, play};
use crate::differential::Scenario;
use crate::differential::http::plan::Http;
use crate::differential::http::{Behaviour, note_answer, note_log};
use crate::differential::plan::Plan;
use crate::differential::stage::Stage;
use crate::http2::{Http2, data, fields, frame, headers, message, trailers};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "h2up_metadata",
            shows: "F29: METADATA in both directions, among everything else",
            plan: || plan(ALLOWED, TO_HTTP2),
            script: both_ways,
        },
        Scenario {
            name: "h2up_metadata_of_upstream",
            shows: "F29: METADATA of the upstream only, and a client of HTTP/1",
            plan: || plan(REFUSED, TO_HTTP2),
            script: |stage| {
                let mut origin = None;
                exchange(stage, &mut origin, "not allowed:", &request, &|id| {
                    [map(id, &[("a", "1")]), answer(id)].concat()
                });
                let mut client = stage.connect();
                client.send(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n");
                origin.as_mut().unwrap().serve(stage, "HTTP/1:", |id| {
                    let head = headers(id, &[(":status", "200")], false);
                    [map(id, &[("a", "1")]), head, map(id, &[("b", "2")]), data(id, b"ok", true)]
                        .concat()
                });
                note_answer(stage, "HTTP/1:", &mut client, "GET");
                drop((client, origin));
                note_log(stage);
            },
        },
        Scenario {
            name: "h2up_metadata_of_client",
            shows: "F29: METADATA of the client only",
            plan: || {
                let protocol = &["explicit_http_config: {http2_protocol_options: {}}"];
                plan(ALLOWED, protocol)
            },
            script: |stage| {
                let mut origin = None;
                exchange(stage, &mut origin, "not allowed:", &request, &|id| {
                    [map(id, &[("a", "1")]), answer(id)].concat()
                });
                drop(origin);
                note_log(stage);
            },
        },
        Scenario {
            name: "h2_metadata",
            shows: "F29: METADATA towards HTTP/1, and what is wrong with some",
            plan: || plan(ALLOWED, &["explicit_http_config: {http_protocol_options: {}}"]),
            script: |stage| play(stage, CASES),
        },
        Scenario {
            name: "h2up_metadata_broken",
            shows: "F29: max_metadata_size at the limit and above it, and what is no map",
            plan: || {
                let limited =
                    &["http2_protocol_options: {allow_metadata: true, max_metadata_size: 100}"];
                plan(limited, TO_HTTP2)
            },
            script: broken,
        },
    ]
}

const ALLOWED: &[&str] = &["http2_protocol_options: {allow_metadata: true}"];
const REFUSED: &[&str] = &["http2_protocol_options: {}"];
const TO_HTTP2: &[&str] =
    &["explicit_http_config: {http2_protocol_options: {allow_metadata: true}}"];

fn plan(manager: &'static [&'static str], protocol: &'static [&'static str]) -> Plan {
    Http { manager, protocol, ..Http::default() }.plan()
}

const METADATA: u8 = 0x4d;
const END_METADATA: u8 = 4;

/// A map in one frame.
fn map(stream: u32, list: &[(&str, &str)]) -> Vec<u8> {
    frame(METADATA, END_METADATA, stream, &fields(list))
}

/// A map in frames of so many octets.
fn pieces(stream: u32, list: &[(&str, &str)], length: usize) -> Vec<u8> {
    let block = fields(list);
    let mut pieces = block.chunks(length).peekable();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_none() { END_METADATA } else { 0 };
        bytes.extend(frame(METADATA, flags, stream, piece));
    }
    bytes
}

fn request() -> Vec<u8> {
    [message(1, ("POST", "/"), &[], false), map(1, &[("a", "1")]), data(1, b"abc", true)].concat()
}

fn answer(id: u32) -> Vec<u8> {
    [headers(id, &[(":status", "200")], false), data(id, b"ok", true)].concat()
}

/// One request on a connection of its own, and the upstream's answer.
fn exchange(
    stage: &Stage<'_>,
    origin: &mut Option<Origin>,
    what: &str,
    request: &dyn Fn() -> Vec<u8>,
    answer: &dyn Fn(u32) -> Vec<u8>,
) {
    let mut client = Http2::client(stage.connect(), &[]);
    client.send(&request());
    origin.get_or_insert_with(|| Origin::accept(stage)).serve(stage, what, answer);
    client.receive_streams(&[1]);
    note_client(stage, what, client);
    stage.wait_until_idle();
}

fn both_ways(stage: &mut Stage<'_>) {
    let mut origin = None;
    let post = || message(1, ("POST", "/"), &[], false);
    let head = |id| headers(id, &[(":status", "200")], false);
    let mut play = |what, request: &dyn Fn() -> Vec<u8>, answer: &dyn Fn(u32) -> Vec<u8>| {
        exchange(stage, &mut origin, what, request, answer);
    };
    // What waits for a connection to the upstream has an order of its own there.
    play("first:", &|| message(1, ("GET", "/"), &[], true), &answer);
    play(
        "among everything:",
        &|| {
            [
                [post(), map(1, &[("a", "1"), ("B", "Two")]), map(1, &[("a", "1")])].concat(),
                [data(1, b"abc", false), map(1, &[("b", "2")]), data(1, b"def", false)].concat(),
                [map(1, &[("c", "3")]), trailers(1, &[("x-t", "1")])].concat(),
            ]
            .concat()
        },
        &|id| {
            [
                [map(id, &[("early", "1")]), map(id, &[("early", "2")]), head(id)].concat(),
                [map(id, &[("m", "1")]), data(id, b"abc", false), map(id, &[("m", "2")])].concat(),
                [data(id, b"def", false), map(id, &[("m", "3")])].concat(),
                trailers(id, &[("x-t", "1")]),
            ]
            .concat()
        },
    );
    play(
        "behind the end:",
        &|| [post(), data(1, b"abc", true), map(1, &[("late", "1")])].concat(),
        &|id| [answer(id), map(id, &[("late", "1")])].concat(),
    );
    play(
        "whole messages:",
        &|| [message(1, ("GET", "/"), &[], true), map(1, &[("late", "1")])].concat(),
        &|id| [map(id, &[("early", "1")]), headers(id, &[(":status", "204")], true)].concat(),
    );
    play("no body:", &|| [post(), map(1, &[("a", "1")]), data(1, b"", true)].concat(), &|id| {
        [head(id), map(id, &[("a", "1")]), data(id, b"", true)].concat()
    });
    play("interim:", &|| message(1, ("GET", "/"), &[], true), &|id| {
        let interim = headers(id, &[(":status", "103")], false);
        let early = [map(id, &[("a", "1")]), interim, map(id, &[("a", "2")])].concat();
        [early, head(id), map(id, &[("a", "3")]), data(id, b"x", true)].concat()
    });
    play(
        "empty, in pieces, long:",
        &|| {
            let long = "x".repeat(40_000);
            let list = [("name", "value"), (":method", "GET"), ("", "e"), ("e", "")];
            let odd = [map(1, &[]), pieces(1, &list, 3), frame(METADATA, 0, 1, b"")].concat();
            let rest = [map(1, &[("a b", "c\n\0d")]), pieces(1, &[("long", &long)], 16_384)];
            [post(), odd, rest.concat(), data(1, b"", true)].concat()
        },
        &|id| [map(id, &[]), answer(id)].concat(),
    );
    play(
        "incomplete at the end:",
        &|| {
            let begun = frame(METADATA, 0, 1, &fields(&[("a", "1")]));
            [post(), begun, data(1, b"abc", true), frame(METADATA, 4, 1, b"")].concat()
        },
        &answer,
    );
    drop(origin);
    several_streams(stage);
    note_log(stage);
}

/// Maps whose frames alternate.
fn several_streams(stage: &Stage<'_>) {
    let mut client = Http2::client(stage.connect(), &[]);
    let block = fields(&[("a", "1")]);
    let post = |id| message(id, ("POST", "/"), &[], false);
    client.send(
        &[
            [post(1), post(3), frame(METADATA, 0, 1, &block), frame(METADATA, 0, 3, &block)],
            [
                frame(METADATA, 4, 1, &fields(&[("of", "first")])),
                frame(METADATA, 4, 3, &fields(&[("of", "second")])),
                data(1, b"abc", true),
                data(3, b"def", true),
            ],
        ]
        .concat()
        .concat(),
    );
    let mut upstream = Http2::server(stage.accept(), &[]);
    upstream.receive_streams(&[1, 3]);
    note_frames(stage, "two streams: the upstream", &upstream);
    upstream.send(&[answer(3), answer(1)].concat());
    client.receive_streams(&[1, 3]);
    note_client(stage, "two streams:", client);
}

const CASES: &[Case] = &[
    answered("dropped", OK, || {
        let maps = [map(1, &[("a", "1")]), map(1, &[]), map(1, &[("a", "2")])].concat();
        [message(1, ("POST", "/"), &[], false), maps, data(1, b"abc", true)].concat()
    }),
    Case {
        what: "of no stream",
        sends: || {
            let list = [("a", "1")];
            let maps = [map(0, &list), map(7, &list), map(2, &list)].concat();
            [maps, message(9, ("GET", "/probe"), &[], true), map(9, &list)].concat()
        },
        upstream: Behaviour::Unasked,
        awaits: Awaits::Streams(&[9]),
    },
    Case {
        what: "of a request that is answered",
        sends: || {
            let probe = message(1, ("POST", "/probe"), &[], false);
            [probe, map(1, &[("a", "1")]), message(3, ("GET", "/probe"), &[], true)].concat()
        },
        upstream: Behaviour::Unasked,
        awaits: Awaits::Streams(&[1, 3]),
    },
];

/// A map whose block has so many octets.
fn sized(stream: u32, octets: usize) -> Vec<u8> {
    map(stream, &[("a", &"x".repeat(octets - 4))])
}

type Frames = fn() -> Vec<u8>;

/// What ends a client's connection.
const BROKEN: &[(&str, Frames)] = &[
    ("no header block:", || frame(METADATA, END_METADATA, 1, &[0xff; 6])),
    ("the table of another map:", || {
        let named = frame(METADATA, END_METADATA, 1, b"\x40\x01a\x01b");
        [named, frame(METADATA, END_METADATA, 1, b"\xbe")].concat()
    }),
    ("above the limit:", || sized(1, 101)),
    ("two above the limit:", || [sized(1, 60), sized(1, 41)].concat()),
    ("above the limit without an end:", || frame(METADATA, 0, 1, &[0; 101])),
];

fn broken(stage: &mut Stage<'_>) {
    let mut upstream: Option<Http2> = None;
    for (number, (what, bytes)) in (0..).zip(BROKEN) {
        let mut client = Http2::client(stage.connect(), &[]);
        client.send(&message(1, ("POST", "/"), &[], false));
        let upstream = upstream.get_or_insert_with(|| Http2::server(stage.accept(), &[]));
        let stream = 2 * number + 1;
        upstream.receive_head(stream);
        client.send(&bytes());
        client.receive_to_end();
        note_client(stage, what, client);
        upstream.receive_streams(&[stream]);
        upstream.seen.retain(|seen| super::stream_of(seen) == Some(stream));
        note_frames(stage, &format!("{what} the upstream"), upstream);
        stage.wait_until_idle();
    }
    let mut client = Http2::client(stage.connect(), &[]);
    let enough = [sized(1, 60), sized(1, 40)].concat();
    client.send(&[message(1, ("POST", "/"), &[], false), enough, data(1, b"", true)].concat());
    let mut upstream = upstream.unwrap();
    upstream.receive_streams(&[11]);
    upstream.seen.retain(|seen| super::stream_of(seen) == Some(11));
    note_frames(stage, "at the limit: the upstream", &upstream);
    upstream.send(&frame(METADATA, END_METADATA, 11, &[0xff; 6]));
    upstream.receive_to_end();
    client.receive_streams(&[1]);
    note_client(stage, "at the limit, and an upstream that breaks the rules:", client);
    note_log(stage);
}
