//! What breaks the rules: of a stream, or of the connection.

use super::{Case, SOON_CLOSED, local, play};
use crate::differential::Scenario;
use crate::differential::http::plan::Http;
use crate::http2::{END_HEADERS, continuation, data, frame, headers};
use crate::http2::{message, priority, reset, settings, trailers, window_update};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "h2_bad_messages",
            shows: "F28: malformed messages",
            plan: || Http { protocol: SOON_CLOSED, ..Http::default() }.plan().alone(),
            script: |stage| play(stage, MESSAGES),
        },
        Scenario {
            name: "h2_bad_frames",
            shows: "E3, F28: frames that break the rules of the connection",
            plan: || Http { protocol: SOON_CLOSED, ..Http::default() }.plan().alone(),
            script: |stage| play(stage, FRAMES),
        },
    ]
}

const PROBE: (&str, &str) = ("GET", "/probe");

/// A request with a further field.
fn with(name: &str, value: &str) -> Vec<u8> {
    message(1, PROBE, &[(name, value)], true)
}

/// A request of these fields alone.
fn only(list: &[(&str, &str)]) -> Vec<u8> {
    headers(1, list, true)
}

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const PATH: (&str, &str) = (":path", "/probe");
const AUTHORITY: (&str, &str) = (":authority", "a.test");

const MESSAGES: &[Case] = &[
    local("connection", &[1], || with("connection", "close")),
    local("keep-alive", &[1], || with("keep-alive", "1")),
    local("transfer-encoding", &[1], || with("transfer-encoding", "chunked")),
    local("te: gzip", &[1], || with("te", "gzip")),
    local("upper case", &[1], || with("X-Upper", "1")),
    local("an empty name", &[1], || with("", "1")),
    local("a blank in a name", &[1], || with("a b", "1")),
    local("NUL in a value", &[1], || with("x", "a\0b")),
    local("LF in a value", &[1], || with("x", "a\nb")),
    local("a field of the request twice", &[1], || with(":path", "/")),
    local("an unknown one", &[1], || with(":x", "/")),
    local("one of the response", &[1], || with(":status", "200")),
    local("no method", &[1], || only(&[SCHEME, PATH, AUTHORITY])),
    local("no scheme", &[1], || only(&[METHOD, PATH, AUTHORITY])),
    local("no path", &[1], || only(&[METHOD, SCHEME, AUTHORITY])),
    local("an empty path", &[1], || only(&[METHOD, SCHEME, (":path", ""), AUTHORITY])),
    local("host twice", &[1], || only(&[METHOD, SCHEME, PATH, ("host", "a"), ("host", "b")])),
    local("a bad method", &[1], || only(&[(":method", "G T"), SCHEME, PATH, AUTHORITY])),
    local("a bad authority", &[1], || only(&[METHOD, SCHEME, PATH, (":authority", "a b")])),
    local("a length that is none", &[1], || with("content-length", "x")),
    local("a length without a body", &[1], || with("content-length", "3")),
    local("CONNECT with a path", &[1], || only(&[(":method", "CONNECT"), SCHEME, PATH, AUTHORITY])),
    local("extended CONNECT that is not allowed", &[1], || {
        only(&[(":method", "CONNECT"), (":protocol", "websocket"), SCHEME, PATH, AUTHORITY])
    }),
    local("less than its length", &[1], || {
        let head = message(1, ("POST", "/none"), &[("content-length", "3")], false);
        [head, data(1, b"ab", true)].concat()
    }),
    local("more than its length", &[1], || {
        let head = message(1, ("POST", "/none"), &[("content-length", "3")], false);
        [head, data(1, b"abcd", true)].concat()
    }),
    local("a field of the request in trailers", &[1], || {
        [message(1, ("POST", "/none"), &[], false), trailers(1, &[(":path", "/")])].concat()
    }),
    local("trailers that do not end", &[1], || {
        [message(1, ("POST", "/none"), &[], false), headers(1, &[("x", "y")], false)].concat()
    }),
];

const FRAMES: &[Case] = &[
    local("an even stream", &[2], || message(2, PROBE, &[], true)),
    local("stream 0", &[], || message(0, PROBE, &[], true)),
    local("DATA on an idle stream", &[], || data(1, b"x", true)),
    local("DATA on stream 0", &[], || data(0, b"x", true)),
    local("too much padding", &[], || {
        [message(1, ("POST", "/none"), &[], false), frame(0, 8, 1, &[5, 1, 2, 3])].concat()
    }),
    local("RST_STREAM on an idle stream", &[], || reset(1, 0)),
    local("RST_STREAM of 3 octets", &[], || {
        [message(1, ("POST", "/none"), &[], false), frame(3, 0, 1, &[0; 3])].concat()
    }),
    local("PING of 7 octets", &[], || frame(6, 0, 0, &[0; 7])),
    local("PING on a stream", &[], || frame(6, 0, 1, &[0; 8])),
    local("SETTINGS of 5 octets", &[], || frame(4, 0, 0, &[0; 5])),
    local("SETTINGS on a stream", &[], || frame(4, 0, 1, &[])),
    local("an ACK with a payload", &[], || frame(4, 1, 0, &[0; 6])),
    local("one ACK more", &[], || frame(4, 1, 0, &[])),
    local("ENABLE_PUSH of 2", &[], || settings(&[(2, 2)])),
    local("a window of 2^31", &[], || settings(&[(4, 1 << 31)])),
    local("frames of 16383", &[], || settings(&[(5, 16_383)])),
    local("ENABLE_CONNECT_PROTOCOL of 2", &[], || settings(&[(8, 2)])),
    local("WINDOW_UPDATE of 0", &[], || window_update(0, 0)),
    local("too large a window", &[], || window_update(0, 0x7fff_ffff)),
    local("WINDOW_UPDATE on an idle stream", &[], || window_update(1, 1)),
    local("CONTINUATION alone", &[], || continuation(1, b"", END_HEADERS)),
    local("PUSH_PROMISE", &[], || frame(5, END_HEADERS, 1, &[0, 0, 0, 2])),
    local("a frame that is too large", &[], || frame(0, 0, 1, &[0; 16_385])),
    local("PRIORITY of 4 octets", &[], || frame(2, 0, 1, &[0; 4])),
    local("PRIORITY on itself", &[], || frame(2, 0, 1, &[0, 0, 0, 1, 0])),
    local("PRIORITY", &[], || priority(1)),
    local("GOAWAY on a stream", &[], || frame(7, 0, 1, &[0; 8])),
];
