//! HTTP/2 from clients and to upstreams, frame by frame.
//!
//! Most scripts are a list of [`Case`]s: what a client sends on a connection of its own, and what
//! the upstream, which speaks HTTP/1, does with the request. What came back is noted stream by
//! stream, because frames of different streams have no order; then a PING shows whether the
//! connection is open.

mod ends;
mod errors;
mod floods;
mod health;
mod keepalive;
mod limits;
mod live_runtime;
mod messages;
mod metadata;
mod trailers;
mod upstream;
mod windows;

use super::Scenario;
use super::http::plan::Http;
use super::http::{Behaviour, Origin};
use super::plan::Plan;
use super::stage::Stage;
use crate::http2::{Http2, Seen};
use crate::payload;

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = messages::scenarios();
    all.extend(ends::scenarios());
    all.extend(errors::scenarios());
    all.extend(floods::scenarios());
    all.extend(keepalive::scenarios());
    all.extend(health::scenarios());
    all.extend(limits::scenarios());
    all.extend(live_runtime::scenarios());
    all.extend(metadata::scenarios());
    all.extend(trailers::scenarios());
    all.extend(upstream::scenarios());
    all.extend(windows::scenarios());
    all
}

/// The usual configuration, which takes both versions of HTTP.
fn usual() -> Plan {
    Http::default().plan()
}

/// Upstream connections that a cancelled request leaves behind do not stay.
const SOON_CLOSED: &[&str] = &[
    "common_http_protocol_options: {idle_timeout: 0.1s}",
    "explicit_http_config: {http_protocol_options: {}}",
];

/// What a client does on a connection of its own.
#[derive(Clone, Copy)]
struct Case {
    what: &'static str,
    /// What it sends, in one piece.
    sends: fn() -> Vec<u8>,
    upstream: Behaviour,
    awaits: Awaits,
}

/// What a client waits for before it looks whether its connection is open.
#[derive(Clone, Copy)]
enum Awaits {
    /// The ends of these streams.
    Streams(&'static [u32]),
    /// So many answers to PING.
    Pongs(usize),
    /// So many acknowledgements of SETTINGS, that of its first ones included.
    SettingsAcks(usize),
}

/// A case that the upstream does not see.
const fn local(what: &'static str, streams: &'static [u32], sends: fn() -> Vec<u8>) -> Case {
    Case { what, sends, upstream: Behaviour::Unasked, awaits: Awaits::Streams(streams) }
}

/// A case on stream 1, with the upstream's answer.
const fn answered(what: &'static str, answer: &'static [u8], sends: fn() -> Vec<u8>) -> Case {
    let awaits = Awaits::Streams(&[1]);
    Case { what, sends, upstream: Behaviour::Answers(answer), awaits }
}

/// The small answer that most cases need.
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Plays the cases one after the other, then notes the access log.
fn play(stage: &mut Stage<'_>, cases: &[Case]) {
    let mut origin = stage.upstreams().next().map(Origin::new);
    for case in cases {
        let what = format!("{}:", case.what);
        let mut client = Http2::client(stage.connect(), &[]);
        client.send(&(case.sends)());
        let _held = origin.as_mut().and_then(|origin| origin.serve(stage, &what, case.upstream));
        match case.awaits {
            Awaits::Streams(streams) => client.receive_streams(streams),
            Awaits::Pongs(count) => {
                client.receive_until(|seen| {
                    seen.iter().filter(|seen| matches!(seen, Seen::Pong(_))).count() >= count
                });
            }
            Awaits::SettingsAcks(count) => {
                client.receive_until(|seen| {
                    seen.iter().filter(|seen| **seen == Seen::SettingsAck).count() >= count
                });
            }
        }
        note_client(stage, &what, client);
        stage.wait_until_idle();
    }
    // Streams of one connection end at the same time. And where a receive brings 8 KiB at most, as
    // on an old kernel, what comes before a longer head is answered a turn before that is refused.
    super::http::note_sorted_log(stage);
}

/// Notes what a client got, and whether its connection is open then, and closes it.
pub(super) fn note_client(stage: &Stage<'_>, what: &str, mut client: Http2) {
    client.sync(*b"are you?");
    note_frames(stage, &format!("{what} the client"), &client);
    // Whether it ends with a reset depends on when the PING gets there.
    let end = if client.ending.is_some() { "has ended" } else { "is open" };
    stage.note(&format!("{what} afterwards the client's connection"), end);
}

/// Notes the frames that one end got, by stream, as far as they are messages and verdicts.
pub(super) fn note_frames(stage: &Stage<'_>, side: &str, end: &Http2) {
    // How a connection is told that it ends for an error is a deliberate difference.
    let is_noted =
        |seen: &&Seen| end.ending.is_none() || !matches!(seen, Seen::GoAway { code: 1.., .. });
    let streams = end.seen.iter().filter(is_noted).filter_map(stream_of);
    let streams: std::collections::BTreeSet<u32> = streams.collect();
    for stream in streams {
        let of_stream = |seen: &&Seen| stream_of(seen) == Some(stream);
        let frames = end.seen.iter().filter(is_noted).filter(of_stream);
        let mut text = String::new();
        let mut has_body = false;
        for seen in frames {
            match seen {
                Seen::Headers { fields, end, .. } => {
                    let fields = stage.shown(fields.as_bytes());
                    text += &format!("[HEADERS {}]", fields.escape_ascii());
                    text += if *end { " end" } else { "" };
                }
                Seen::Data { end: is_last, .. } => {
                    // However it was cut.
                    if !has_body {
                        has_body = true;
                        text += &format!("[body {}]", payload::summary(&end.body(stream)));
                    }
                    text += if *is_last { " end" } else { "" };
                }
                Seen::Metadata { fields, behind, .. } => {
                    text += &format!("[METADATA {fields}, behind {behind} bytes]");
                }
                Seen::Reset { code, .. } => text += &format!("[RST_STREAM {code}]"),
                Seen::GoAway { last, code, debug } => {
                    text += &format!("[GOAWAY {last} {code} {}]", debug.escape_ascii());
                }
                Seen::Other { kind, flags, payload, .. } => {
                    text += &format!("[{kind} {flags} {}]", payload.escape_ascii());
                }
                _ => {}
            }
        }
        stage.note(&format!("{side} received on stream {stream}"), text);
    }
}

/// The stream that a frame is noted with, if it is noted.
fn stream_of(seen: &Seen) -> Option<u32> {
    match seen {
        Seen::Headers { stream, .. }
        | Seen::Data { stream, .. }
        | Seen::Metadata { stream, .. }
        | Seen::Reset { stream, .. }
        | Seen::Other { stream, .. } => Some(*stream),
        Seen::GoAway { .. } => Some(0),
        Seen::Settings(_)
        | Seen::SettingsAck
        | Seen::Ping(_)
        | Seen::Pong(_)
        | Seen::WindowUpdate { .. } => None,
    }
}
