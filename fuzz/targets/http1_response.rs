//! Fuzz target: any bytes as what a server sends, cut anywhere, to any kind of request.
//!
//! What must hold: nothing panics; the reading does not depend on the cuts; a head that is accepted
//! has the strict form; a body is the bytes that its framing says.
#![no_main]
#![forbid(unsafe_code)]

mod http1;

use proto::http1::{Expect, Framing, ResponseOptions};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&first, bytes)) = bytes.split_first() else {
        return;
    };
    let expect = match first % 4 {
        0 => Expect::Head,
        1 => Expect::Connect,
        2 => Expect::Upgrade,
        _ => Expect::Usual,
    };
    let (stream, cuts) = http1::cuts(bytes);
    let options =
        ResponseOptions { head_bytes_max: 512, headers_max: 8, ..ResponseOptions::default() };
    let reading = http1::read_response(&options, expect, stream, &cuts);
    assert_eq!(reading, http1::read_response(&options, expect, stream, &[]), "cut at {cuts:?}");

    let message = &reading.messages[0];
    let Some(found) = message.start else {
        assert!(message.body.is_empty());
        return;
    };
    if message.interim == 0 {
        http1::check_head(&stream[..message.head_end]);
    }
    let rest = &stream[message.head_end..];
    match found.framing {
        Framing::Empty => assert!(message.body.is_empty() && message.end == message.head_end),
        Framing::Length(length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
            assert_eq!(message.body, rest[..length]);
            assert!(expect != Expect::Head);
        }
        Framing::Chunked if message.is_complete => {
            let expected = http1::dechunk(rest);
            let length = message.end - message.head_end;
            assert_eq!(expected, Some((message.body.clone(), length)));
        }
        Framing::Chunked => {}
        Framing::Tunnel | Framing::UntilClose => {
            assert_eq!(message.body, rest);
            assert!(!found.keep_alive);
        }
    }
});
