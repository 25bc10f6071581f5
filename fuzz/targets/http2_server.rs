//! Fuzz target: any bytes as what a client sends, cut anywhere.
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
use proto::{RequestHead, ResponseHead};
use reading::Reading;

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
    whole.check_answers(0);
});

fn read(switches: u8, stream: &[u8], cuts: &[usize]) -> Reading {
    let mut options = reading::options(switches);
    if reading::has_small_limits(switches) {
        options.concurrent_streams_max = 2;
    }
    let options = Arc::new(options);
    let now = http2::an_instant();
    let mut connection = Connection::server(Arc::clone(&options), now, 1);
    let mut reading = Reading::default();
    let mut head = RequestHead::new();
    let mut response = ResponseHead::new();
    response.status = 200;
    let pieces = http2::pieces(stream, cuts);
    reading.read(&mut connection, &options, switches, &pieces, |connection, input| {
        let step = connection.receive_request(now, input, &mut head)?;
        let text = match step.event {
            Event::Head(_) => describe(&head),
            Event::End(stream) if switches & 32 != 0 => {
                connection.send_head(stream, &response, false).expect("it comes next");
                connection.offer(stream, 10, true).expect("it comes next");
                String::new()
            }
            _ => String::new(),
        };
        Ok((step, text))
    });
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
