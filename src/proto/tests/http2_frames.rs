//! Frame scripts for what RFC 9113 sections 3 to 6 demand of a server, each whole and cut at every
//! byte.
#![forbid(unsafe_code)]

mod wire;

use nuncio_proto::http2::Options;
use wire::*;

fn check(cases: &[Case]) {
    check_server(&Options::default(), cases);
}

/// A stream that stays half-closed (remote), and one that stays open.
fn get(id: u32) -> Vec<u8> {
    whole(id, GET)
}

fn post(id: u32) -> Vec<u8> {
    open(id, POST)
}

#[test]
fn section_3_4_the_preface() {
    let options = Options::default();
    let settings = frame(SETTINGS, 0, 0, &[]);
    let cases: [(Vec<u8>, &str); 6] = [
        ([PREFACE, &settings].concat(), ""),
        (PREFACE[..23].to_vec(), ""),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r".to_vec(), "!InvalidPreface > GOAWAY 0 PROTOCOL_ERROR"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "!InvalidPreface > GOAWAY 0 PROTOCOL_ERROR"),
        (
            [PREFACE, &frame(PING, 0, 0, b"12345678")].concat(),
            "!SettingsExpected > GOAWAY 0 PROTOCOL_ERROR",
        ),
        (
            [PREFACE, &frame(SETTINGS, ACK, 0, &[])].concat(),
            "!SettingsExpected > GOAWAY 0 PROTOCOL_ERROR",
        ),
    ];
    for (bytes, expected) in cases {
        check_cuts(&bytes, expected, |pieces| read_requests(&options, pieces));
    }
}

// Rows: F30
#[test]
fn section_4_1_unknown_frames_and_flags_are_ignored() {
    check(&[
        // Section 5.5: types without a meaning; ALTSVC, ORIGIN and PRIORITY_UPDATE among them.
        Case(
            vec![
                frame(0xbe, 0xff, 0, b"xyz"),
                frame(0xa, 0, 0, b"\0\x01xalt"),
                frame(0xc, 0, 0, b"\0\x01x"),
                frame(0x10, 0, 0, b"\0\0\0\x01u=1"),
                get(1),
                frame(0xbe, 0, 1, b""),
            ],
            "GET / @x whole 1 1 end",
        ),
        // Flags without a meaning, and the reserved bit of the identifier.
        Case(
            vec![
                frame(PING, 0xfe, 0, b"12345678"),
                frame(HEADERS, 0xd5 & !PADDED, 0x8000_0001, &block(GET)),
            ],
            "GET / @x whole 1 1 end > PING 12345678+ACK",
        ),
    ]);
}

#[test]
fn section_4_2_frame_sizes() {
    let long = "x".repeat(16_384);
    let padded = vec![b'x'; 16_385];
    check(&[
        Case(vec![post(1), data(1, END_STREAM, "x")], "POST / @x 1 1\"x\" 1 end"),
        Case(vec![frame(0xbe, 0, 1, &padded)], "!FrameTooLarge > GOAWAY 0 FRAME_SIZE_ERROR"),
        Case(
            vec![post(1), frame(DATA, 0, 1, &padded)],
            "POST / @x 1 !FrameTooLarge > GOAWAY 1 FRAME_SIZE_ERROR",
        ),
        Case(vec![frame(HEADERS, 5, 1, &padded)], "!FrameTooLarge > GOAWAY 0 FRAME_SIZE_ERROR"),
        Case(vec![frame(0xbe, 0, 0, long.as_bytes())], ""),
    ]);
    // A custom setting may allow more.
    let options = Options { custom_settings: vec![(5, 16_385)], ..Options::default() };
    check_server(&options, &[Case(vec![frame(0xbe, 0, 1, &padded)], "")]);
}

#[test]
fn section_4_3_header_blocks() {
    let fields = block(GET);
    let (first, second) = fields.split_at(17);
    check(&[
        Case(
            vec![
                frame(HEADERS, END_STREAM, 1, first),
                frame(CONTINUATION, 0, 1, &second[..1]),
                frame(CONTINUATION, END_HEADERS, 1, &second[1..]),
            ],
            "GET / @x whole 1 1 end",
        ),
        // Nothing may come in between: section 6.10 too.
        Case(
            vec![frame(HEADERS, 1, 1, first), frame(PING, 0, 0, b"12345678")],
            "!UnexpectedContinuation > GOAWAY 0 PROTOCOL_ERROR",
        ),
        Case(
            vec![frame(HEADERS, 1, 1, first), frame(0xbe, 0, 1, b"")],
            "!UnexpectedContinuation > GOAWAY 0 PROTOCOL_ERROR",
        ),
        Case(
            vec![frame(HEADERS, 1, 1, first), frame(CONTINUATION, 4, 3, second)],
            "!UnexpectedContinuation > GOAWAY 0 PROTOCOL_ERROR",
        ),
        Case(
            vec![frame(HEADERS, 1, 1, first), frame(HEADERS, 5, 3, &fields)],
            "!UnexpectedContinuation > GOAWAY 0 PROTOCOL_ERROR",
        ),
        Case(
            vec![frame(CONTINUATION, 4, 1, &fields)],
            "!UnexpectedContinuation > GOAWAY 0 PROTOCOL_ERROR",
        ),
        Case(
            vec![get(1), frame(CONTINUATION, 4, 1, &fields)],
            "GET / @x whole 1 1 end !UnexpectedContinuation > GOAWAY 1 PROTOCOL_ERROR",
        ),
        // A block that is none ends the connection, also on a stream that is closed.
        Case(
            vec![frame(HEADERS, 5, 1, b"\x80")],
            "!InvalidHeaderBlock > GOAWAY 1 COMPRESSION_ERROR",
        ),
        Case(
            vec![frame(HEADERS, 5, 1, &[&fields[..], b"\x20"].concat())],
            "!InvalidHeaderBlock > GOAWAY 1 COMPRESSION_ERROR",
        ),
        Case(
            vec![frame(HEADERS, 5, 1, b"\x00\x05a")],
            "!InvalidHeaderBlock > GOAWAY 1 COMPRESSION_ERROR",
        ),
    ]);
}

#[test]
fn section_5_1_states() {
    check(&[
        // Idle: only HEADERS and PRIORITY.
        Case(vec![data(1, 0, "x")], "!IdleStream > GOAWAY 0 PROTOCOL_ERROR"),
        Case(vec![number(RST_STREAM, 1, 0)], "!IdleStream > GOAWAY 0 PROTOCOL_ERROR"),
        Case(vec![number(WINDOW_UPDATE, 1, 1)], "!IdleStream > GOAWAY 0 PROTOCOL_ERROR"),
        Case(vec![frame(PRIORITY, 0, 1, b"\0\0\0\0\x10"), get(1)], "GET / @x whole 1 1 end"),
        // Half-closed (remote): only WINDOW_UPDATE, PRIORITY and RST_STREAM.
        Case(
            vec![get(1), data(1, 0, "x")],
            "GET / @x whole 1 1 end !HalfClosedStream > GOAWAY 1 STREAM_CLOSED",
        ),
        Case(
            vec![get(1), get(1)],
            "GET / @x whole 1 1 end !HalfClosedStream > GOAWAY 1 STREAM_CLOSED",
        ),
        Case(
            vec![
                get(1),
                number(WINDOW_UPDATE, 1, 1),
                frame(PRIORITY, 0, 1, b"\0\0\0\0\x10"),
                number(RST_STREAM, 1, 8),
            ],
            "GET / @x whole 1 1 end 1 reset CANCEL",
        ),
        // Closed by the peer: it knows, so anything but PRIORITY, WINDOW_UPDATE and RST_STREAM is
        // an error of the connection.
        Case(
            vec![post(1), number(RST_STREAM, 1, 8), data(1, 0, "x")],
            "POST / @x 1 1 reset CANCEL !ClosedStream > GOAWAY 1 STREAM_CLOSED",
        ),
        Case(
            vec![post(1), number(RST_STREAM, 1, 8), get(1)],
            "POST / @x 1 1 reset CANCEL !ClosedStream > GOAWAY 1 STREAM_CLOSED",
        ),
        Case(
            vec![
                post(1),
                number(RST_STREAM, 1, 8),
                number(RST_STREAM, 1, 8),
                number(WINDOW_UPDATE, 1, 1),
                frame(PRIORITY, 0, 1, b"\0\0\0\0\x10"),
            ],
            "POST / @x 1 1 reset CANCEL",
        ),
        // Closed by us: the peer may not know, so what comes is read and dropped.
        Case(
            vec![
                open(1, &format!("{POST}content-length: 1\n")),
                data(1, 0, "xy"),
                data(1, 0, "dropped"),
                frame(HEADERS, 5, 1, &block("a: b")),
                data(1, 0, "dropped"),
                get(3),
            ],
            "POST / @x {content-length=1} length 1 1 1 reset !ContentLengthMismatch \
             GET / @x whole 3 3 end > RST 1 PROTOCOL_ERROR",
        ),
    ]);
}

#[test]
fn section_5_1_1_identifiers() {
    check(&[
        Case(vec![get(2)], "!InvalidStreamId > GOAWAY 0 PROTOCOL_ERROR"),
        Case(vec![get(0)], "!InvalidStreamId > GOAWAY 0 PROTOCOL_ERROR"),
        Case(
            vec![get(1), get(0x7fff_ffff)],
            "GET / @x whole 1 1 end GET / @x whole 2147483647 2147483647 end",
        ),
        // One that was passed over is closed.
        Case(
            vec![get(5), get(3)],
            "GET / @x whole 5 5 end !InvalidStreamId > GOAWAY 5 PROTOCOL_ERROR",
        ),
        Case(
            vec![get(5), data(1, 0, "x")],
            "GET / @x whole 5 5 end !InvalidStreamId > GOAWAY 5 PROTOCOL_ERROR",
        ),
    ]);
}

#[test]
fn section_5_1_2_concurrency() {
    let options = Options { concurrent_streams_max: 2, ..Options::default() };
    check_server(
        &options,
        &[Case(
            vec![get(1), post(3), post(5), data(5, 0, "x"), data(3, END_STREAM, "x")],
            "GET / @x whole 1 1 end POST / @x 3 3\"x\" 3 end > RST 5 REFUSED_STREAM",
        )],
    );
}

#[test]
fn section_6_1_data() {
    check(&[
        Case(
            vec![post(1), data(1, 0, "abc"), data(1, 0, "d"), data(1, END_STREAM, "")],
            "POST / @x 1 1\"abcd\" 1 end",
        ),
        Case(vec![data(0, 0, "x")], "!InvalidStreamId > GOAWAY 0 PROTOCOL_ERROR"),
        Case(
            vec![post(1), data(1, PADDED | END_STREAM, "\x02abc\0\0")],
            "POST / @x 1 1\"abc\" 1 end",
        ),
        Case(vec![post(1), data(1, PADDED, "\x03a\0\0\0")], "POST / @x 1 1\"a\""),
        Case(vec![post(1), data(1, PADDED | END_STREAM, "\x03\0\0\0")], "POST / @x 1 1 end"),
        Case(vec![post(1), data(1, PADDED | END_STREAM, "\0")], "POST / @x 1 1 end"),
        Case(
            vec![post(1), data(1, PADDED, "\x04\0\0\0")],
            "POST / @x 1 !InvalidPadding > GOAWAY 1 PROTOCOL_ERROR",
        ),
        Case(
            vec![post(1), data(1, PADDED, "")],
            "POST / @x 1 !InvalidFrameSize > GOAWAY 1 FRAME_SIZE_ERROR",
        ),
    ]);
}

#[test]
fn section_6_2_headers() {
    let fields = block(GET);
    let with = |before: &[u8], after: &[u8]| [before, &fields[..], after].concat();
    check(&[
        Case(
            vec![frame(HEADERS, 5 | WITH_PRIORITY, 1, &with(b"\x80\0\0\x03\xff", b""))],
            "GET / @x whole 1 1 end",
        ),
        Case(
            vec![frame(HEADERS, 5 | PADDED, 1, &with(b"\x02", b"\0\0"))],
            "GET / @x whole 1 1 end",
        ),
        Case(
            vec![frame(HEADERS, 5 | PADDED | WITH_PRIORITY, 1, &with(b"\x01\0\0\0\x03\0", b"\0"))],
            "GET / @x whole 1 1 end",
        ),
        Case(
            vec![frame(HEADERS, 5 | PADDED, 1, &with(b"\xff", b""))],
            "!InvalidPadding > GOAWAY 0 PROTOCOL_ERROR",
        ),
        Case(
            vec![frame(HEADERS, 5 | PADDED, 1, b"")],
            "!InvalidFrameSize > GOAWAY 0 FRAME_SIZE_ERROR",
        ),
        Case(
            vec![frame(HEADERS, 5 | WITH_PRIORITY, 1, b"\0\0\0")],
            "!InvalidFrameSize > GOAWAY 0 FRAME_SIZE_ERROR",
        ),
    ]);
}

#[test]
fn sections_6_3_and_6_4_priority_and_resets() {
    check(&[
        // A stream that depends on itself was an error in RFC 7540; RFC 9113 ignores priorities.
        Case(vec![frame(PRIORITY, 0, 3, b"\0\0\0\x03\x10")], ""),
        Case(
            vec![frame(PRIORITY, 0, 3, b"\0\0\0\x01")],
            "!InvalidFrameSize > GOAWAY 0 FRAME_SIZE_ERROR",
        ),
        Case(
            vec![frame(PRIORITY, 0, 0, b"\0\0\0\x01\0")],
            "!InvalidStreamId > GOAWAY 0 PROTOCOL_ERROR",
        ),
        Case(vec![post(1), number(RST_STREAM, 1, 7)], "POST / @x 1 1 reset REFUSED_STREAM"),
        Case(vec![post(1), number(RST_STREAM, 1, 99)], "POST / @x 1 1 reset 99"),
        Case(vec![number(RST_STREAM, 0, 0)], "!InvalidStreamId > GOAWAY 0 PROTOCOL_ERROR"),
        Case(
            vec![post(1), frame(RST_STREAM, 0, 1, b"\0\0\0")],
            "POST / @x 1 !InvalidFrameSize > GOAWAY 1 FRAME_SIZE_ERROR",
        ),
    ]);
}

#[test]
fn section_6_5_settings() {
    let of = |identifier, value| frame(SETTINGS, 0, 0, &setting(identifier, value));
    check(&[
        Case(vec![frame(SETTINGS, 0, 1, &[])], "!InvalidStreamId > GOAWAY 0 PROTOCOL_ERROR"),
        Case(vec![frame(SETTINGS, 0, 0, &[0; 7])], "!InvalidFrameSize > GOAWAY 0 FRAME_SIZE_ERROR"),
        Case(
            vec![frame(SETTINGS, ACK, 0, &[0; 6])],
            "!InvalidFrameSize > GOAWAY 0 FRAME_SIZE_ERROR",
        ),
        Case(
            vec![frame(SETTINGS, ACK, 0, &[])],
            "!UnexpectedSettingsAck > GOAWAY 0 PROTOCOL_ERROR",
        ),
        Case(vec![of(2, 0), of(2, 1)], ""),
        Case(vec![of(2, 2)], "!InvalidSetting > GOAWAY 0 PROTOCOL_ERROR"),
        Case(vec![of(4, 0), of(4, 0x7fff_ffff)], ""),
        Case(vec![of(4, 0x8000_0000)], "!InvalidWindowSetting > GOAWAY 0 FLOW_CONTROL_ERROR"),
        Case(vec![of(5, 16_384), of(5, 0xff_ffff)], ""),
        Case(vec![of(5, 16_383)], "!InvalidSetting > GOAWAY 0 PROTOCOL_ERROR"),
        Case(vec![of(5, 0x100_0000)], "!InvalidSetting > GOAWAY 0 PROTOCOL_ERROR"),
        // RFC 8441 section 3: 0 or 1, and not back to 0.
        Case(vec![of(8, 0), of(8, 1)], ""),
        Case(vec![of(8, 2)], "!InvalidSetting > GOAWAY 0 PROTOCOL_ERROR"),
        Case(vec![of(8, 1), of(8, 0)], "!InvalidSetting > GOAWAY 0 PROTOCOL_ERROR"),
        // Unknown ones are ignored; the last of two counts.
        Case(
            vec![of(0x0a0a, 1), frame(SETTINGS, 0, 0, &[setting(4, 9), setting(4, 10)].concat())],
            "",
        ),
        Case(vec![frame(SETTINGS, 0, 0, &setting(99, 1).repeat(32))], ""),
        Case(
            vec![frame(SETTINGS, 0, 0, &setting(99, 1).repeat(33))],
            "!TooManySettings > GOAWAY 0 ENHANCE_YOUR_CALM",
        ),
    ]);
}

#[test]
fn sections_6_6_to_6_8() {
    check(&[
        // A client cannot push: section 8.4.
        Case(
            vec![get(1), frame(PUSH_PROMISE, 4, 1, &[&[0, 0, 0, 2][..], &block(GET)].concat())],
            "GET / @x whole 1 1 end !PushPromise > GOAWAY 1 PROTOCOL_ERROR",
        ),
        Case(vec![frame(PING, 0, 0, b"12345678")], "> PING 12345678+ACK"),
        Case(vec![frame(PING, ACK, 0, b"12345678")], ""),
        Case(vec![frame(PING, 0, 1, b"12345678")], "!InvalidStreamId > GOAWAY 0 PROTOCOL_ERROR"),
        Case(vec![frame(PING, 0, 0, b"1234567")], "!InvalidFrameSize > GOAWAY 0 FRAME_SIZE_ERROR"),
        // After a GOAWAY the peer may still do what it likes, but not open more for itself.
        Case(
            vec![frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\x02bye"), get(1)],
            "goaway INTERNAL_ERROR GET / @x whole 1 1 end",
        ),
        Case(
            vec![
                frame(GOAWAY, 0, 0, b"\0\0\0\x04\0\0\0\0"),
                frame(GOAWAY, 0, 0, b"\0\0\0\x02\0\0\0\0"),
            ],
            "goaway NO_ERROR",
        ),
        Case(
            vec![
                frame(GOAWAY, 0, 0, b"\0\0\0\x02\0\0\0\0"),
                frame(GOAWAY, 0, 0, b"\0\0\0\x04\0\0\0\0"),
            ],
            "goaway NO_ERROR !InvalidGoAway > GOAWAY 0 PROTOCOL_ERROR",
        ),
        Case(vec![frame(GOAWAY, 0, 1, &[0; 8])], "!InvalidStreamId > GOAWAY 0 PROTOCOL_ERROR"),
        Case(vec![frame(GOAWAY, 0, 0, &[0; 7])], "!InvalidFrameSize > GOAWAY 0 FRAME_SIZE_ERROR"),
    ]);
}

#[test]
fn section_6_9_windows() {
    check(&[
        Case(vec![number(WINDOW_UPDATE, 0, 0)], "!ZeroWindowUpdate > GOAWAY 0 PROTOCOL_ERROR"),
        Case(
            vec![get(1), number(WINDOW_UPDATE, 1, 0)],
            "GET / @x whole 1 1 end !ZeroStreamWindowUpdate > GOAWAY 1 PROTOCOL_ERROR",
        ),
        Case(
            vec![frame(WINDOW_UPDATE, 0, 0, b"\0\0\x01")],
            "!InvalidFrameSize > GOAWAY 0 FRAME_SIZE_ERROR",
        ),
        // 6.9.1: up to 2^31-1 and no further.
        Case(vec![number(WINDOW_UPDATE, 0, 0x7fff_0000)], ""),
        Case(
            vec![number(WINDOW_UPDATE, 0, 0x7fff_0001)],
            "!ConnectionFlowControl > GOAWAY 0 FLOW_CONTROL_ERROR",
        ),
        Case(vec![get(1), number(WINDOW_UPDATE, 1, 0x7fff_0000)], "GET / @x whole 1 1 end"),
        Case(
            vec![get(1), number(WINDOW_UPDATE, 1, 0x7fff_0001), get(3)],
            "GET / @x whole 1 1 end !StreamFlowControl > GOAWAY 1 FLOW_CONTROL_ERROR",
        ),
        // 6.9.2: a larger initial window may be too much for one that was made larger already.
        Case(
            vec![
                get(1),
                number(WINDOW_UPDATE, 1, 0x7fff_0000),
                frame(SETTINGS, 0, 0, &setting(4, 65_536)),
            ],
            "GET / @x whole 1 1 end !InvalidWindowSetting > GOAWAY 1 FLOW_CONTROL_ERROR",
        ),
    ]);
}

#[test]
fn a_client_reads_frames_by_the_same_rules() {
    let ok = open(1, ":status: 200");
    let of = |identifier, value| frame(SETTINGS, 0, 0, &setting(identifier, value));
    let long = vec![b'x'; 16_385];
    let cases = [
        Case(vec![frame(0xbe, 0xff, 0, b"xyz")], ""),
        Case(vec![frame(0xbe, 0, 0, &long)], "!FrameTooLarge > GOAWAY 0 FRAME_SIZE_ERROR"),
        Case(vec![frame(PING, 0, 0, b"12345678")], "> PING 12345678+ACK"),
        Case(vec![frame(PING, 0, 0, b"1234567")], "!InvalidFrameSize > GOAWAY 0 FRAME_SIZE_ERROR"),
        Case(vec![frame(PING, 0, 1, b"12345678")], "!InvalidStreamId > GOAWAY 0 PROTOCOL_ERROR"),
        Case(vec![frame(SETTINGS, 0, 0, &[0; 7])], "!InvalidFrameSize > GOAWAY 0 FRAME_SIZE_ERROR"),
        Case(
            vec![frame(SETTINGS, ACK, 0, &[])],
            "!UnexpectedSettingsAck > GOAWAY 0 PROTOCOL_ERROR",
        ),
        Case(vec![of(4, 0x8000_0000)], "!InvalidWindowSetting > GOAWAY 0 FLOW_CONTROL_ERROR"),
        Case(vec![of(5, 16_383)], "!InvalidSetting > GOAWAY 0 PROTOCOL_ERROR"),
        Case(vec![number(WINDOW_UPDATE, 0, 0)], "!ZeroWindowUpdate > GOAWAY 0 PROTOCOL_ERROR"),
        Case(
            vec![number(WINDOW_UPDATE, 0, 0x7fff_0001)],
            "!ConnectionFlowControl > GOAWAY 0 FLOW_CONTROL_ERROR",
        ),
        Case(
            vec![number(WINDOW_UPDATE, 1, 0)],
            "!ZeroStreamWindowUpdate > GOAWAY 0 PROTOCOL_ERROR",
        ),
        Case(vec![number(WINDOW_UPDATE, 3, 1)], "!IdleStream > GOAWAY 0 PROTOCOL_ERROR"),
        Case(vec![number(RST_STREAM, 2, 1)], "!IdleStream > GOAWAY 0 PROTOCOL_ERROR"),
        Case(vec![frame(GOAWAY, 0, 0, &[0; 7])], "!InvalidFrameSize > GOAWAY 0 FRAME_SIZE_ERROR"),
        Case(
            vec![frame(HEADERS, 0, 1, b"\x88"), frame(PING, 0, 0, b"12345678")],
            "!UnexpectedContinuation > GOAWAY 0 PROTOCOL_ERROR",
        ),
        Case(
            vec![frame(HEADERS, 0, 1, b""), frame(CONTINUATION, END_HEADERS, 1, b"\x88")],
            "200 1",
        ),
        Case(
            vec![frame(HEADERS, 4, 1, b"\xbe")],
            "!InvalidHeaderBlock > GOAWAY 0 COMPRESSION_ERROR",
        ),
        Case(
            vec![ok.clone(), data(1, PADDED, "\x04\0\0\0")],
            "200 1 !InvalidPadding > GOAWAY 0 PROTOCOL_ERROR",
        ),
        Case(vec![ok.clone(), data(1, PADDED | END_STREAM, "\x02abc\0\0")], "200 1 1\"abc\" 1 end"),
        Case(vec![ok.clone(), data(0, 0, "x")], "200 1 !InvalidStreamId > GOAWAY 0 PROTOCOL_ERROR"),
        Case(vec![ok, data(1, 0, ""), data(1, 0, "")], "200 1 !InboundEmptyFramesFlood"),
        Case(vec![frame(PRIORITY, 0, 0, &[0; 5])], "!InvalidStreamId > GOAWAY 0 PROTOCOL_ERROR"),
    ];
    check_client(&Options::default(), &["GET"], &cases);
}
