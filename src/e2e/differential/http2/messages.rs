//! Messages within the rules: what becomes of their fields, bodies and trailers.

use super::{Awaits, Case, OK, answered, local, play};
use crate::differential::Scenario;
use crate::differential::http::Behaviour;
use crate::differential::http::plan::Http;
use crate::http2::{END_HEADERS, END_STREAM, continuation, data, fields, frame, headers, message};
use crate::http2::{trailers, window_update};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "h2_messages",
            shows: "E2, F17, F22: requests and responses of HTTP/2 over an HTTP/1 upstream",
            plan: || {
                let trailers =
                    &["explicit_http_config: {http_protocol_options: {enable_trailers: true}}"];
                Http { protocol: trailers, ..Http::default() }.plan()
            },
            script: |stage| play(stage, MESSAGES),
        },
        Scenario {
            name: "h2_local",
            shows: "http2: requests that the proxy answers itself",
            plan: super::usual,
            script: |stage| play(stage, LOCAL),
        },
    ]
}

const GET: (&str, &str) = ("GET", "/");
const POST: (&str, &str) = ("POST", "/");

const MESSAGES: &[Case] = &[
    answered("GET", OK, || message(1, GET, &[], true)),
    answered("fields", OK, || {
        let fields = [("user-agent", "x"), ("accept", "a"), ("accept", "b"), ("x-empty", "")];
        message(1, GET, &[&fields[..], &[("te", "trailers")]].concat(), true)
    }),
    answered("cookies", OK, || {
        let crumbs = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3; d")];
        message(1, GET, &crumbs, true)
    }),
    answered("a body with a length", OK, || {
        [message(1, POST, &[("content-length", "3")], false), data(1, b"abc", true)].concat()
    }),
    answered("a body without a length", OK, || {
        [message(1, POST, &[], false), data(1, b"abc", false), data(1, b"de", true)].concat()
    }),
    answered("an empty body", OK, || [message(1, POST, &[], false), data(1, b"", true)].concat()),
    answered("no body", OK, || message(1, POST, &[], true)),
    answered("padding", OK, || {
        let head = [
            &[3][..],
            &fields(&[(":method", "POST"), (":scheme", "http"), (":path", "/p")]),
            &fields(&[(":authority", "a.test")]),
            &[0; 3],
        ]
        .concat();
        [frame(1, END_HEADERS | 8, 1, &head), frame(0, END_STREAM | 8, 1, b"\x02ab\0\0")].concat()
    }),
    answered("priority and continuation", OK, || {
        let block = fields(&[(":method", "GET"), (":scheme", "http"), (":path", "/c")]);
        let head = [&[0, 0, 0, 0, 15], &block[..20]].concat();
        [
            frame(1, END_STREAM | 32, 1, &head),
            continuation(1, &block[20..], 0),
            continuation(1, &fields(&[(":authority", "a.test")]), END_HEADERS),
        ]
        .concat()
    }),
    answered("trailers", OK, || {
        let head = message(1, POST, &[("te", "trailers")], false);
        [head, data(1, b"abc", false), trailers(1, &[("x-t", "1"), ("x-u", "2")])].concat()
    }),
    answered("trailers without a body", OK, || {
        [message(1, POST, &[], false), trailers(1, &[("x-t", "1")])].concat()
    }),
    answered("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", || {
        message(1, ("HEAD", "/"), &[], true)
    }),
    answered("204", b"HTTP/1.1 204 No Content\r\n\r\n", || message(1, GET, &[], true)),
    answered("304", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\netag: x\r\n\r\n", || {
        message(1, GET, &[], true)
    }),
    answered("an empty response", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", || {
        message(1, GET, &[], true)
    }),
    answered(
        "interim responses",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
          HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        || message(1, GET, &[], true),
    ),
    answered(
        "chunks and trailers",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n\
          2\r\nok\r\n0\r\nx-t: 1\r\n\r\n",
        || message(1, GET, &[], true),
    ),
    Case {
        what: "a response that ends with its connection",
        sends: || message(1, GET, &[], true),
        upstream: Behaviour::AnswersAndCloses(b"HTTP/1.1 200 OK\r\n\r\nall"),
        awaits: Awaits::Streams(&[1]),
    },
    answered(
        "fields of the connection",
        b"HTTP/1.1 200 OK\r\nConnection: x-hop, keep-alive\r\nkeep-alive: 1\r\nx-hop: 1\r\n\
          proxy-connection: a\r\nupgrade: u\r\nX-Case: Y\r\ncontent-length: 0\r\n\r\n",
        || message(1, GET, &[], true),
    ),
    answered("expect", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", || {
        let expect = [("expect", "100-continue"), ("content-length", "1")];
        [message(1, POST, &expect, false), data(1, b"x", true)].concat()
    }),
    answered("no authority", OK, || {
        headers(1, &[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "h")], true)
    }),
    answered("authority and host", OK, || message(1, GET, &[("host", "other")], true)),
    answered("a scheme of its own", OK, || {
        let list = [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "a")];
        headers(1, &list, true)
    }),
    answered("an unknown method", OK, || message(1, ("BREW", "/"), &[], true)),
    answered("a query", OK, || message(1, ("GET", "/a?b=c%20d"), &[], true)),
    answered("an unknown frame", OK, || {
        [frame(0xbb, 0xff, 1, b"what"), message(1, GET, &[], true), frame(0xbc, 1, 1, b"")].concat()
    }),
    answered("a window that opens late", OK, || {
        [message(1, GET, &[], true), window_update(1, 10), window_update(0, 10)].concat()
    }),
];

const LOCAL: &[Case] = &[
    local("a direct response", &[1], || message(1, ("GET", "/probe"), &[], true)),
    local("HEAD", &[1], || message(1, ("HEAD", "/probe"), &[], true)),
    local("a request that goes on", &[1], || message(1, ("POST", "/probe"), &[], false)),
    local("a request with a body", &[1], || {
        [message(1, ("POST", "/probe"), &[], false), data(1, b"abc", true)].concat()
    }),
    local("an unknown cluster", &[1], || message(1, ("GET", "/missing"), &[], true)),
    local("several streams", &[1, 3, 5], || {
        let one = |stream| message(stream, ("GET", "/probe"), &[], true);
        [one(1), one(3), one(5)].concat()
    }),
    local("streams with gaps", &[1, 7, 101], || {
        let one = |stream| message(stream, ("GET", "/probe"), &[], true);
        [one(1), one(7), one(101)].concat()
    }),
    local("CONNECT", &[1], || {
        headers(1, &[(":method", "CONNECT"), (":authority", "a.test:80")], false)
    }),
    local("OPTIONS *", &[1], || message(1, ("OPTIONS", "*"), &[], true)),
    local("a fragment", &[1], || message(1, ("GET", "/probe#x"), &[], true)),
    local("no path in it", &[1], || message(1, ("GET", "probe"), &[], true)),
    local("an empty authority", &[1], || {
        let list =
            [(":method", "GET"), (":scheme", "http"), (":path", "/probe"), (":authority", "")];
        headers(1, &list, true)
    }),
    local("no authority", &[1], || {
        headers(1, &[(":method", "GET"), (":scheme", "http"), (":path", "/probe")], true)
    }),
    local("an upgrade", &[1], || {
        message(1, ("GET", "/probe"), &[("upgrade", "websocket"), ("connection", "upgrade")], true)
    }),
];
