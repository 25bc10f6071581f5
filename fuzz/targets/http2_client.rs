//! Fuzz target: any bytes as what a server sends to a client with three requests, cut anywhere.
//!
//! What must hold: cuts change nothing, neither what is told nor what is answered; each stream has
//! one head, one body and one end; bodies are what the frames say; limits are kept; and what is
//! answered are whole frames.
#![no_main]
#![forbid(unsafe_code)]

mod http2;
#[path = "http2/told.rs"]
mod told;

use std::sync::Arc;

use proto::http2::{Connection, ErrorKind, Event, Options};
use proto::{Method, RequestHead, ResponseHead};
use told::Told;

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
    let lengths = http2::frames(&whole.answers[http2::PREFACE.len()..])
        .iter()
        .map(|it| 9 + it.payload.len())
        .sum::<usize>();
    assert_eq!(lengths + http2::PREFACE.len(), whole.answers.len(), "whole frames");
});

#[derive(Debug, Default, PartialEq, Eq)]
struct Reading {
    told: Told,
    answers: Vec<u8>,
    error: Option<ErrorKind>,
}

fn options(switches: u8) -> Options {
    let mut options = Options {
        stream_error_on_invalid_message: switches & 2 != 0,
        allow_connect: switches & 4 != 0,
        allow_metadata: switches & 4 != 0,
        ..Options::default()
    };
    if switches & 8 != 0 {
        options.headers_max = 6;
        options.head_bytes_max = 100;
        options.field_bytes_max = 120;
        options.stream_reset_burst = 4;
        options.outbound_control_frames_max = 8;
        options.metadata_bytes_max = 40;
        options.hpack_table_size = 64;
    }
    options
}

fn read(switches: u8, stream: &[u8], cuts: &[usize]) -> Reading {
    let options = Arc::new(options(switches));
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
    told::written(&mut connection, &mut reading.answers);
    let mut head = ResponseHead::new();
    for piece in http2::pieces(stream, cuts) {
        let mut at = 0;
        loop {
            let input = &piece[at..];
            let step = match connection.receive_response(now, input, &mut head) {
                Ok(step) => step,
                Err(error) => {
                    reading.error = Some(error.kind());
                    told::written(&mut connection, &mut reading.answers);
                    return reading;
                }
            };
            assert!(step.consumed <= input.len());
            at += step.consumed;
            let text = match step.event {
                Event::Head(_) | Event::Interim(_) => describe(&head),
                _ => String::new(),
            };
            reading.told.event(&connection, &step.event, input, &text);
            match step.event {
                Event::NeedMore => {
                    assert_eq!(at, piece.len(), "the rest must be consumed");
                    break;
                }
                Event::Body { stream, range } if switches & 16 == 0 => {
                    connection.consumed(stream, range.len());
                }
                _ => {}
            }
            assert!(connection.streams_active() <= options.concurrent_streams_max as usize);
        }
    }
    reading
}

fn describe(head: &ResponseHead) -> String {
    let fields: Vec<_> = head.headers.iter().collect();
    format!("{} {fields:?}", head.status)
}

const METHODS: [Method; 3] = [Method::Get, Method::Head, Method::Post];

/// The stream of the request with HEAD.
const HEAD_ID: u32 = 3;
