//! The chunked coding as byte scripts: RFC 9112 section 7.1, right and wrong.
#![forbid(unsafe_code)]

mod reading;

use nuncio_proto::http1::RequestOptions;
use reading::Case;

const HEAD: &str = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";

fn with_head(chunks: &[u8]) -> Vec<u8> {
    [HEAD.as_bytes(), chunks].concat()
}

fn check_chunks(options: &RequestOptions, cases: &[Case]) {
    for Case(chunks, expected) in cases {
        let bytes = with_head(chunks);
        let expected = format!("POST / chunked keep {expected}");
        let read = |pieces: &[&[u8]]| reading::requests(options, pieces);
        assert_eq!(read(&[&bytes]), expected, "{:?}", String::from_utf8_lossy(chunks));
        reading::check_cuts(&bytes, &expected, read);
    }
}

#[test]
fn sizes() {
    check_chunks(
        &RequestOptions::default(),
        &[
            Case(b"3\r\nabc\r\n0\r\n\r\n", "\"abc\" end"),
            Case(
                b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                "\"abc\" end GET / empty keep end",
            ),
            Case(b"A\r\n0123456789\r\n00\r\n\r\n", "\"0123456789\" end"),
            Case(b"a\r\n0123456789\r\n0\r\n\r\n", "\"0123456789\" end"),
            Case(b"0000000000000000000000003\r\nabc\r\n0\r\n\r\n", "\"abc\" end"),
            Case(b"3", "..."),
            Case(b"0x3\r\nabc\r\n0\r\n\r\n", "!InvalidChunkSize"),
            Case(b"+3\r\nabc\r\n0\r\n\r\n", "!InvalidChunkSize"),
            Case(b"-3\r\nabc\r\n0\r\n\r\n", "!InvalidChunkSize"),
            Case(b" 3\r\nabc\r\n0\r\n\r\n", "!InvalidChunkSize"),
            Case(b"\r\nabc\r\n0\r\n\r\n", "!InvalidChunkSize"),
            Case(b"g\r\nabc\r\n0\r\n\r\n", "!InvalidChunkSize"),
            Case(b"3_0\r\nabc\r\n0\r\n\r\n", "!InvalidChunkSize"),
            Case(b";a\r\nabc\r\n0\r\n\r\n", "!InvalidChunkSize"),
            // 64 bits hold this, and no more.
            Case(b"ffffffffffffffff\r\nabc", "\"abc\" ..."),
            Case(b"10000000000000000\r\nabc", "!InvalidChunkSize"),
            Case(b"10000000000000003\r\nabc\r\n0\r\n\r\n", "!InvalidChunkSize"),
        ],
    );
}

#[test]
fn line_ends() {
    check_chunks(
        &RequestOptions::default(),
        &[
            Case(b"3\nabc\r\n0\r\n\r\n", "!InvalidChunkSize"),
            Case(b"3\rabc\r\n0\r\n\r\n", "!InvalidChunkExtension"),
            Case(b"3\r\r\nabc\r\n0\r\n\r\n", "!InvalidChunkExtension"),
            Case(b"3\r\nabc\n0\r\n\r\n", "\"abc\" !InvalidChunkEnd"),
            Case(b"3\r\nabc\r0\r\n\r\n", "\"abc\" !InvalidChunkEnd"),
            Case(b"3\r\nabcd\r\n0\r\n\r\n", "\"abc\" !InvalidChunkEnd"),
            Case(b"3\r\nabc0\r\n\r\n", "\"abc\" !InvalidChunkEnd"),
            Case(b"3\r\nab\r\n0\r\n\r\n", "\"ab\r\" !InvalidChunkEnd"),
            Case(b"0\n\r\n", "!InvalidChunkSize"),
            Case(b"0\r\n\n", "!BareLineFeed"),
            Case(b"0\r\n\rX", "!InvalidChunkEnd"),
        ],
    );
}

#[test]
fn extensions() {
    check_chunks(
        &RequestOptions::default(),
        &[
            Case(b"3;a=b;c=\"d;e\"\r\nabc\r\n0;f\r\n\r\n", "\"abc\" end"),
            Case(b"3;\r\nabc\r\n0\r\n\r\n", "\"abc\" end"),
            Case(b"3 \t;\ta\xff\r\nabc\r\n0 \r\n\r\n", "\"abc\" end"),
            Case(b"3 x\r\nabc\r\n0\r\n\r\n", "!InvalidChunkExtension"),
            Case(b"3 3\r\nabc\r\n0\r\n\r\n", "!InvalidChunkExtension"),
            Case(b"3;a\nabc\r\n0\r\n\r\n", "!InvalidChunkExtension"),
            Case(b"3;a\rb\r\nabc\r\n0\r\n\r\n", "!InvalidChunkExtension"),
            Case(b"3;a\0b\r\nabc\r\n0\r\n\r\n", "!InvalidChunkExtension"),
            Case(b"3;a=\"\x01\"\r\nabc\r\n0\r\n\r\n", "!InvalidChunkExtension"),
        ],
    );
}

/// Bytes that nobody sees are limited; data makes up for them.
#[test]
fn extensions_that_are_too_long() {
    let read = |bytes: &[u8]| reading::requests(&RequestOptions::default(), &[&with_head(bytes)]);
    let extension = |length: usize| format!("1;{}\r\na\r\n", "x".repeat(length));
    let end = "0\r\n\r\n";
    let lines = [extension(16 * 1024), end.to_owned()].concat();
    assert!(read(lines.as_bytes()).ends_with("\"a\" end"));
    assert!(read(extension(16 * 1024 + 1).as_bytes()).ends_with("!ChunkExtensionsTooLong"));
    assert!(read(extension(10_000).repeat(2).as_bytes()).ends_with("!ChunkExtensionsTooLong"));
    let data = format!("2710\r\n{}\r\n", "d".repeat(10_000));
    let lines = [extension(10_000), data, extension(10_000), end.to_owned()].concat();
    assert!(read(lines.as_bytes()).ends_with(" end"));
    assert!(read("0".repeat(20_000).as_bytes()).ends_with("!ChunkExtensionsTooLong"));
    assert!(read(format!("1{}", " ".repeat(20_000)).as_bytes()).ends_with("TooLong"));
}

#[test]
fn trailers() {
    let cases = |told: bool| {
        [
            (
                &b"0\r\nX-T: v \r\nx-u:\r\n\r\n"[..],
                if told { "trailers {x-t=v|x-u=} end" } else { "end" },
            ),
            // What would frame or route a message is not taken from a trailer.
            (
                b"0\r\nhost: h\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\na: b\r\n\r\n",
                if told { "trailers {a=b} end" } else { "end" },
            ),
            (
                b"0\r\nx: y\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                if told {
                    "trailers {x=y} end GET / empty keep end"
                } else {
                    "end GET / empty keep end"
                },
            ),
            (b"0\r\nx: y\r\n", "..."),
            (b"0\r\nx y: z\r\n\r\n", "!InvalidHeaderName"),
            (b"0\r\nxy\r\n\r\n", "!InvalidHeaderName"),
            (b"0\r\n x: y\r\n\r\n", "!InvalidHeaderName"),
            (b"0\r\nx: y\r\n z\r\n\r\n", "!InvalidHeaderName"),
            (b"0\r\nx: \0\r\n\r\n", "!InvalidCharacters"),
            (b"0\r\nx: y\n\r\n", "!BareLineFeed"),
            (b"0\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n", "!TooManyHeaders"),
            (
                b"0\r\nx: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n\r\n",
                "!HeadersTooLarge",
            ),
        ]
    };
    for enable_trailers in [true, false] {
        let options =
            RequestOptions { enable_trailers, head_bytes_max: 64, ..RequestOptions::default() };
        for (chunks, expected) in cases(enable_trailers) {
            let limit = if expected == "!TooManyHeaders" { 2 } else { 4 };
            let options = RequestOptions { headers_max: limit, ..options.clone() };
            let read = |pieces: &[&[u8]]| reading::requests(&options, pieces);
            let expected = format!("POST / chunked keep {expected}");
            reading::check_cuts(&with_head(chunks), &expected, read);
        }
    }
}

/// A later message starts with no trace of the one before.
#[test]
fn one_body_after_the_other() {
    let message =
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;x\r\na\r\n0\r\nt: 1\r\n\r\n";
    let options = RequestOptions { enable_trailers: true, ..RequestOptions::default() };
    let one = "POST / chunked keep \"a\" trailers {t=1} end";
    let bytes = message.repeat(3);
    reading::check_cuts(bytes.as_bytes(), &[one; 3].join(" "), |pieces| {
        reading::requests(&options, pieces)
    });
}
