//! Fuzz target: any bytes as a chunked body, cut anywhere.
//!
//! What must hold: the body is complete exactly when a slow reading from RFC 9112 section 7.1 says
//! so, with the same data and the same end; and the cuts do not matter.
#![no_main]
#![forbid(unsafe_code)]

mod http1;

use proto::http1::{ErrorKind, RequestOptions};

const HEAD: &[u8] = b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (chunks, cuts) = http1::cuts(bytes);
    let stream = [HEAD, chunks].concat();
    let options =
        RequestOptions { enable_trailers: bytes.len() % 2 == 0, ..RequestOptions::default() };
    let reading = http1::read_requests(&options, &stream, &cuts);
    assert_eq!(reading, http1::read_requests(&options, &stream, &[]), "cut at {cuts:?}");

    let message = &reading.messages[0];
    let expected = http1::dechunk(chunks);
    if message.is_complete {
        let length = message.end - HEAD.len();
        assert_eq!(expected, Some((message.body.clone(), length)));
        assert!(message.trailers.is_empty() || options.enable_trailers);
    } else if expected.is_some() {
        // Only trailers and limits, which the slow reading does not know, may be refused.
        assert!(
            matches!(
                reading.refused,
                Some(
                    ErrorKind::InvalidHeaderName
                        | ErrorKind::InvalidHeaderValue
                        | ErrorKind::InvalidCharacters
                        | ErrorKind::InvalidContentLength
                        | ErrorKind::BareLineFeed
                        | ErrorKind::TooManyHeaders
                        | ErrorKind::HeadersTooLarge
                        | ErrorKind::ChunkExtensionsTooLong
                )
            ),
            "refused: {:?}",
            reading.refused
        );
    }
});
