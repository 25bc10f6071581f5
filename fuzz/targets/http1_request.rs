//! Fuzz target: any bytes as what a client sends, cut anywhere.
//!
//! What must hold: nothing panics; the reading does not depend on the cuts; a head that is accepted
//! has the strict form; a body is the bytes that its framing says.
#![no_main]
#![forbid(unsafe_code)]

mod http1;

use proto::http1::{Framing, RequestOptions};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (stream, cuts) = http1::cuts(bytes);
    let options = RequestOptions {
        head_bytes_max: 512,
        headers_max: 8,
        accept_http_10: bytes.len() % 2 == 0,
        ..RequestOptions::default()
    };
    let reading = http1::read_requests(&options, stream, &cuts);
    assert_eq!(reading, http1::read_requests(&options, stream, &[]), "cut at {cuts:?}");

    let mut start = 0;
    for message in &reading.messages {
        let Some(found) = message.start else { continue };
        while stream[start..].starts_with(b"\r\n") {
            start += 2;
        }
        let head = &stream[start..message.head_end];
        assert!(head.len() <= options.head_bytes_max);
        http1::check_head(head);
        let rest = &stream[message.head_end..];
        match found.framing {
            Framing::Empty => assert!(message.body.is_empty() && message.is_complete),
            Framing::Length(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
                assert_eq!(message.body, rest[..length]);
                assert!(!message.is_complete || message.end == message.head_end + length);
            }
            Framing::Chunked if message.is_complete => {
                let expected = http1::dechunk(rest);
                let length = message.end - message.head_end;
                assert_eq!(expected, Some((message.body.clone(), length)));
            }
            Framing::Chunked => {}
            Framing::Tunnel => assert_eq!(message.body, rest),
            Framing::UntilClose => unreachable!("requests end by themselves"),
        }
        start = message.end;
    }
});
