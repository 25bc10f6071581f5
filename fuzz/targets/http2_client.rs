//! Fuzz target: any bytes as what a server sends to a client with three requests, cut anywhere.
//!
//! What must hold: cuts change nothing, neither what is told nor what is answered; each stream has
//! one head, one body and one end; bodies are what the frames say; limits are kept; and what is
//! answered are whole frames.
#![no_main]
#![forbid(unsafe_code)]

mod http2;
#[path = "http2/reading.rs"]
mod reading;

use std::sync::Arc;

use proto::http2::{Connection, Event};
use proto::{Method, RequestHead, ResponseHead};
use reading::Reading;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&switches, rest)) = bytes.split_first() else {
        return;
    };
    let (bytes, cuts) = http2::cuts(rest);
    let mut stream = Vec::new();
    if switches & 1 == 0 {
        stream.extend(http2::frame(4, 0, 0, &[]));
    }
    stream.extend_from_slice(bytes);
    let whole = read(switches, &stream, &[]);
    assert_eq!(whole, read(switches, &stream, &cuts), "cut at {cuts:?}");
    let every: Vec<usize> = (1..stream.len()).collect();
    assert_eq!(whole, read(switches, &stream, &every), "in single bytes");
    whole.told.check_bodies(&http2::frames(&stream));
    assert!(!whole.told.bodies.contains_key(&HEAD_ID), "a body of a response to HEAD");
    whole.check_answers(http2::PREFACE.len());
});

fn read(switches: u8, stream: &[u8], cuts: &[usize]) -> Reading {
    let options = Arc::new(reading::options(switches));
    let now = http2::an_instant();
    let mut connection = Connection::client(Arc::clone(&options), now, 1);
    let mut reading = Reading::default();
    for (at, method) in METHODS.into_iter().enumerate() {
        let mut head = RequestHead::new();
        head.set_method(method.as_str().as_bytes());
        head.set_path(b"/");
        head.set_authority(b"x");
        let is_whole = method != Method::Post;
        let Ok(stream) = connection.open(now, &head, is_whole) else {
            break;
        };
        reading.told.opened(at as u32 * 2 + 1);
        if !is_whole {
            connection.offer(stream, 10, switches & 32 != 0).expect("it comes next");
        }
    }
    reading.write(&mut connection);
    let mut head = ResponseHead::new();
    let pieces = http2::pieces(stream, cuts);
    reading.read(&mut connection, &options, switches, &pieces, |connection, input| {
        let step = connection.receive_response(now, input, &mut head)?;
        let text = match step.event {
            Event::Head(_) | Event::Interim(_) => describe(&head),
            _ => String::new(),
        };
        Ok((step, text))
    });
    reading
}

fn describe(head: &ResponseHead) -> String {
    let fields: Vec<_> = head.headers.iter().collect();
    format!("{} {fields:?}", head.status)
}

const METHODS: [Method; 3] = [Method::Get, Method::Head, Method::Post];

/// The stream of the request with HEAD.
const HEAD_ID: u32 = 3;
