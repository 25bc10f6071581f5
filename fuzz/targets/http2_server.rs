//! Fuzz target: any bytes as what a client sends, cut anywhere.
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
use proto::{RequestHead, ResponseHead};
use told::Told;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&switches, rest)) = bytes.split_first() else {
        return;
    };
    let (bytes, cuts) = http2::cuts(rest);
    let mut stream = Vec::new();
    if switches & 1 == 0 {
        stream.extend_from_slice(http2::PREFACE);
        stream.extend(http2::frame(4, 0, 0, &[]));
    }
    let start = if switches & 1 == 0 { http2::PREFACE.len() } else { stream.len() };
    stream.extend_from_slice(bytes);
    let whole = read(switches, &stream, &[]);
    assert_eq!(whole, read(switches, &stream, &cuts), "cut at {cuts:?}");
    let every: Vec<usize> = (1..stream.len()).collect();
    assert_eq!(whole, read(switches, &stream, &every), "in single bytes");
    if switches & 1 == 0 {
        whole.told.check_bodies(&http2::frames(&stream[start..]));
    }
    let lengths =
        http2::frames(&whole.answers).iter().map(|it| 9 + it.payload.len()).sum::<usize>();
    assert_eq!(lengths, whole.answers.len(), "whole frames");
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
        options.concurrent_streams_max = 2;
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
    let mut connection = Connection::server(Arc::clone(&options), now, 1);
    let mut reading = Reading::default();
    let mut head = RequestHead::new();
    let mut response = ResponseHead::new();
    response.status = 200;
    for piece in http2::pieces(stream, cuts) {
        let mut at = 0;
        loop {
            let input = &piece[at..];
            let step = match connection.receive_request(now, input, &mut head) {
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
                Event::Head(_) => describe(&head),
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
                Event::End(stream) if switches & 32 != 0 => {
                    connection.send_head(stream, &response, false).expect("it comes next");
                    connection.offer(stream, 10, true).expect("it comes next");
                }
                _ => {}
            }
            assert!(connection.streams_active() <= options.concurrent_streams_max as usize);
        }
    }
    reading
}

fn describe(head: &RequestHead) -> String {
    let fields: Vec<_> = head.headers.iter().collect();
    format!(
        "{:?} {:?} {:?} {:?} {fields:?}",
        head.method_text(),
        head.path(),
        head.authority(),
        head.scheme
    )
}
