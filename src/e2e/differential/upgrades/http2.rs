//! Upgrades and CONNECT with HTTP/2 on either side or both: RFC 8441 and RFC 9113 section 8.5.

use super::super::Scenario;
use super::super::http::note_log;
use super::super::http2::{note_client, note_frames};
use super::super::plan::Endpoint;
use super::super::stage::Stage;
use super::{AGREED, ALLOWED, CONNECT, FORWARDED, SWITCHED, note_head, plan, plan_to, upgrade};
use crate::http2::{Http2, Seen, data, headers, reset, window_update};
use crate::payload;
use crate::peer::Peer;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "h2_upgrade_to_h1",
            shows: "upgrades: extended CONNECT to an upgrade of HTTP/1: bytes, ends, answers",
            plan: || plan(&[], &[]),
            script: extended_to_http1,
        },
        Scenario {
            name: "h2up_upgrade_from_h1",
            shows: "upgrades: an upgrade of HTTP/1 to extended CONNECT: bytes, ends, answers",
            plan: || plan(&[], HTTP2),
            script: http1_to_extended,
        },
        Scenario {
            name: "h2up_upgrade",
            shows: "upgrades: extended CONNECT on both sides: bytes, ends, answers",
            plan: || plan(&[], HTTP2),
            script: extended_to_extended,
        },
        Scenario {
            name: "h2_upgrade_connect_to_h1",
            shows: "upgrades: CONNECT of HTTP/2 passed on in HTTP/1: bytes, ends, answers",
            plan: || plan(&[FORWARDED], &[]),
            script: connect_to_http1,
        },
        Scenario {
            name: "h2up_upgrade_connect_from_h1",
            shows: "upgrades: CONNECT of HTTP/1 passed on in HTTP/2: bytes, ends, answers",
            plan: || plan(&[FORWARDED], HTTP2),
            script: connect_from_http1,
        },
        Scenario {
            name: "h2up_upgrade_connect",
            shows: "upgrades: CONNECT of HTTP/2 on both sides: bytes, ends, answers",
            plan: || plan(&[FORWARDED], HTTP2),
            script: connect_to_http2,
        },
        Scenario {
            name: "h2_upgrade_refused",
            shows: "upgrades: upgrades and CONNECT of HTTP/2 that nobody allows end the connection gently",
            plan: || {
                let manager = &["http2_protocol_options: {allow_connect: true}"];
                plan_to(manager, &[FORWARDED], &[], vec![Endpoint::serving()])
            },
            script: |stage| {
                for (what, fields) in [("WebSocket:", WEBSOCKET), ("CONNECT:", CONNECT_FIELDS)] {
                    let mut client = Http2::client(stage.connect(), &[]);
                    client.send(&headers(1, fields, false));
                    client.receive_streams(&[1]);
                    note_client(stage, what, client);
                    stage.wait_until_idle();
                }
                note_log(stage);
            },
        },
        Scenario {
            name: "h2_upgrade_switched_off",
            shows: "upgrades: without allow_connect an extended CONNECT is malformed, CONNECT is not",
            plan: || plan_to(&[ALLOWED], &[FORWARDED], &[], vec![Endpoint::serving()]),
            script: |stage| {
                let mut client = Http2::client(stage.connect(), &[]);
                for seen in &client.seen {
                    if let Seen::Settings(list) = seen {
                        stage.note("SETTINGS", format!("{list:?}"));
                    }
                }
                client.send(&headers(1, WEBSOCKET, false));
                client.receive_streams(&[1]);
                note_client(stage, "WebSocket:", client);
                stage.wait_until_idle();
                let mut client = Http2::client(stage.connect(), &[]);
                client.send(&headers(1, CONNECT_FIELDS, false));
                let mut upstream = stage.accept();
                note_head(stage, "CONNECT: the upstream", &mut upstream);
                upstream.send(AGREED);
                client.receive_head(1);
                client.send(&reset(1, 8));
                stage.note("CONNECT: the upstream ended by", upstream.ending());
                note_client(stage, "CONNECT:", client);
                note_log(stage);
            },
        },
        Scenario {
            name: "h2_upgrade_bulk",
            shows: "upgrades: a megabyte each way through WebSocket, from both versions to both versions",
            plan: || plan(&[], &[]),
            script: |stage| {
                let (client, upstream) =
                    super::opened(stage, "HTTP/1:", &upgrade("/x", "websocket"), SWITCHED);
                super::bulk(stage, "HTTP/1:", client, upstream);
                stage.wait_until_idle();
                let (mut client, mut upstream) = asked(stage, "HTTP/2:", WEBSOCKET);
                upstream.send(SWITCHED);
                client.receive_head(1);
                bulk(stage, "HTTP/2:", client, upstream);
                note_log(stage);
            },
        },
    ]
}

const HTTP2: &[&str] = &["explicit_http_config: {http2_protocol_options: {allow_connect: true}}"];

/// SETTINGS of a host that takes extended CONNECT.
const TAKES_EXTENDED: &[(u16, u32)] = &[(8, 1)];

pub(super) const CONNECT_FIELDS: &[(&str, &str)] =
    &[(":method", "CONNECT"), (":authority", "a.test:80"), ("x-q", "1")];

const WEBSOCKET: &[(&str, &str)] = &[
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":path", "/x?y"),
    (":authority", "a.test"),
    ("sec-websocket-version", "13"),
];

const OK: &[(&str, &str)] = &[(":status", "200"), ("x-r", "1")];

/// A client of HTTP/2 whose CONNECT has led to a host.
pub(super) fn connected(stage: &Stage<'_>) -> (Http2, Peer) {
    let mut client = Http2::client(stage.connect(), &[]);
    client.send(&headers(1, CONNECT_FIELDS, false));
    let upstream = stage.accept();
    client.receive_head(1);
    (client, upstream)
}

/// A client of HTTP/2 and the host that its request has reached in HTTP/1.
fn asked(stage: &Stage<'_>, what: &str, fields: &[(&str, &str)]) -> (Http2, Peer) {
    let mut client = Http2::client(stage.connect(), &[]);
    client.send(&headers(1, fields, false));
    let mut upstream = stage.accept();
    note_head(stage, &format!("{what} the upstream"), &mut upstream);
    (client, upstream)
}

/// The same, once the host has agreed.
fn opened(
    stage: &Stage<'_>,
    what: &str,
    (fields, answer): (&[(&str, &str)], &[u8]),
) -> (Http2, Peer) {
    let (mut client, mut upstream) = asked(stage, what, fields);
    upstream.send(answer);
    client.receive_head(1);
    (client, upstream)
}

/// A host that a request has reached in HTTP/2 on stream 1, whose head is noted.
fn reached(stage: &Stage<'_>, what: &str) -> Http2 {
    let mut upstream = Http2::server(stage.accept(), TAKES_EXTENDED);
    upstream.receive_head(1);
    note_frames(stage, &format!("{what} the upstream"), &upstream);
    upstream
}

fn receive_body(end: &mut Http2, bytes: usize) -> Vec<u8> {
    let count = |seen: &[Seen]| -> usize {
        let of = |seen: &Seen| match seen {
            Seen::Data { bytes, .. } => bytes.len(),
            _ => 0,
        };
        seen.iter().map(of).sum()
    };
    end.receive_until(|seen| count(seen) >= bytes);
    end.body(1)
}

/// What an upgrade of HTTP/1 upstream may be answered with, but for the upgrade itself.
const ANSWERS: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\nx-r: 1\r\ncontent-length: 2\r\n\r\nhi",
    b"HTTP/1.1 403 Forbidden\r\nx-r: 1\r\ncontent-length: 2\r\n\r\nhi",
    b"no HTTP\r\n\r\n",
];

fn extended_to_http1(stage: &mut Stage<'_>) {
    let mut client = Http2::client(stage.connect(), &[]);
    client.send(&[headers(1, WEBSOCKET, false), data(1, b"early", false)].concat());
    let mut upstream = stage.accept();
    note_head(stage, "bytes: the upstream", &mut upstream);
    client.sync(*b"it came?");
    assert!(!upstream.has_bytes());
    upstream.send(&[SWITCHED, b"hello"].concat());
    assert_eq!(receive_body(&mut client, 5), b"hello");
    assert_eq!(upstream.receive(5), b"early");
    // The end of the client's side says nothing to HTTP/1.
    client.send(&data(1, b"last words", true));
    assert_eq!(upstream.receive(10), b"last words");
    upstream.send(b"an answer");
    assert_eq!(receive_body(&mut client, 14), b"helloan answer");
    drop(upstream);
    client.receive_streams(&[1]);
    note_client(stage, "bytes:", client);
    stage.wait_until_idle();

    http1_upstream_ends(stage, (WEBSOCKET, SWITCHED));

    for answer in ANSWERS {
        note_answered_by_http1(stage, WEBSOCKET, answer);
    }
    note_log(stage);
}

fn connect_to_http1(stage: &mut Stage<'_>) {
    let mut client = Http2::client(stage.connect(), &[]);
    client.send(&[headers(1, CONNECT_FIELDS, false), data(1, b"early", false)].concat());
    let mut upstream = stage.accept();
    note_head(stage, "bytes: the upstream", &mut upstream);
    client.sync(*b"it came?");
    assert!(!upstream.has_bytes());
    upstream.send(&[AGREED, b"hello"].concat());
    assert_eq!(receive_body(&mut client, 5), b"hello");
    assert_eq!(upstream.receive(5), b"early");
    // The end of either side ends the tunnel: HTTP/1 has none of one side.
    client.send(&data(1, b"last words", true));
    stage.note_end("bytes: the upstream", &upstream.receive_to_end());
    client.receive_streams(&[1]);
    note_client(stage, "bytes:", client);
    stage.wait_until_idle();

    http1_upstream_ends(stage, (CONNECT_FIELDS, AGREED));

    for answer in &ANSWERS[1..] {
        note_answered_by_http1(stage, CONNECT_FIELDS, answer);
    }
    note_log(stage);
}

/// Tunnels whose host speaks HTTP/1, and which are ended by either side.
fn http1_upstream_ends(stage: &Stage<'_>, request: (&[(&str, &str)], &[u8])) {
    let (mut client, mut upstream) = opened(stage, "ended by the upstream:", request);
    upstream.send(b"last words");
    upstream.finish_sending();
    client.receive_streams(&[1]);
    note_client(stage, "ended by the upstream:", client);
    stage.note("ended by the upstream: the upstream ended by", upstream.ending());
    stage.wait_until_idle();

    let (mut client, mut upstream) = opened(stage, "reset by the client:", request);
    client.send(&reset(1, 8));
    stage.note("reset by the client: the upstream ended by", upstream.ending());
    note_client(stage, "reset by the client:", client);
    stage.wait_until_idle();

    let (mut client, upstream) = opened(stage, "reset by the upstream:", request);
    upstream.reset();
    client.receive_streams(&[1]);
    note_client(stage, "reset by the upstream:", client);
    stage.wait_until_idle();
}

fn note_answered_by_http1(stage: &Stage<'_>, fields: &[(&str, &str)], answer: &[u8]) {
    let line = answer.split(|byte| *byte == b'\r').next().unwrap();
    let what = format!("'{}':", line.escape_ascii());
    let (mut client, mut upstream) = asked(stage, &what, fields);
    upstream.send(answer);
    client.receive_streams(&[1]);
    note_client(stage, &what, client);
    stage.note_end(&format!("{what} the upstream"), &upstream.receive_to_end());
    stage.wait_until_idle();
}

/// Answers to a tunnel in HTTP/2 that do not agree.
const REFUSALS: &[&str] = &["302", "403", "503"];

fn http1_to_extended(stage: &mut Stage<'_>) {
    let request = upgrade("/x?y", "websocket");
    from_http1(stage, &request);
    refused_to_http1(stage, &request);
    note_log(stage);
}

fn connect_from_http1(stage: &mut Stage<'_>) {
    from_http1(stage, CONNECT);
    refused_to_http1(stage, CONNECT);
    note_log(stage);
}

/// Tunnels of clients of HTTP/1 to a host of HTTP/2.
fn from_http1(stage: &Stage<'_>, request: &[u8]) {
    let open = |what: &str, early: &[u8]| {
        let mut client = stage.connect();
        client.send(&[request, early].concat());
        let mut upstream = reached(stage, what);
        upstream.send(&headers(1, OK, false));
        note_head(stage, &format!("{what} the client"), &mut client);
        (client, upstream)
    };
    let (mut client, mut upstream) = open("bytes:", b"early");
    assert_eq!(receive_body(&mut upstream, 5), b"early");
    upstream.send(&data(1, b"hello", false));
    assert_eq!(client.receive(5), b"hello");
    client.send(b"last words");
    client.finish_sending();
    assert_eq!(receive_body(&mut upstream, 15), b"earlylast words");
    upstream.receive_streams(&[1]);
    note_frames(stage, "bytes: the upstream", &upstream);
    stage.note_end("bytes: the client", &client.receive_to_end());
    drop((client, upstream));
    stage.wait_until_idle();

    let (mut client, mut upstream) = open("ended by the upstream:", b"");
    upstream.send(&data(1, b"last words", true));
    stage.note_end("ended by the upstream: the client", &client.receive_to_end());
    drop(client);
    upstream.receive_streams(&[1]);
    note_frames(stage, "ended by the upstream: the upstream", &upstream);
    drop(upstream);
    stage.wait_until_idle();

    let (mut client, mut upstream) = open("reset by the upstream:", b"");
    upstream.send(&reset(1, 8));
    stage.note_end("reset by the upstream: the client", &client.receive_to_end());
    drop((client, upstream));
    stage.wait_until_idle();
}

fn refused_to_http1(stage: &Stage<'_>, request: &[u8]) {
    for status in REFUSALS {
        let what = format!("{status}:");
        let mut client = stage.connect();
        client.send(request);
        let mut upstream = reached(stage, &what);
        let head = headers(1, &[(":status", status), ("x-r", "1")], false);
        upstream.send(&[head, data(1, b"hi", true)].concat());
        super::super::http::note_answer(stage, &what, &mut client, "GET");
        drop((client, upstream));
        stage.wait_until_idle();
    }
}

fn extended_to_extended(stage: &mut Stage<'_>) {
    from_http2(stage, WEBSOCKET);
    note_log(stage);
}

fn connect_to_http2(stage: &mut Stage<'_>) {
    from_http2(stage, CONNECT_FIELDS);
    note_log(stage);
}

/// Tunnels of clients of HTTP/2 to a host of HTTP/2.
fn from_http2(stage: &Stage<'_>, fields: &[(&str, &str)]) {
    let open = |what: &str, early: &[u8]| {
        let mut client = Http2::client(stage.connect(), &[]);
        client.send(&headers(1, fields, false));
        if !early.is_empty() {
            client.send(&data(1, early, false));
        }
        let mut upstream = reached(stage, what);
        upstream.send(&headers(1, OK, false));
        client.receive_head(1);
        (client, upstream)
    };
    let (mut client, mut upstream) = open("ended by the client:", b"early");
    assert_eq!(receive_body(&mut upstream, 5), b"early");
    upstream.send(&data(1, b"hello", false));
    assert_eq!(receive_body(&mut client, 5), b"hello");
    client.send(&data(1, b"last words", true));
    upstream.receive_streams(&[1]);
    note_frames(stage, "ended by the client: the upstream", &upstream);
    upstream.send(&data(1, b"an answer", true));
    client.receive_streams(&[1]);
    note_client(stage, "ended by the client:", client);
    drop(upstream);
    stage.wait_until_idle();

    let (mut client, mut upstream) = open("ended by the upstream:", b"");
    upstream.send(&data(1, b"last words", true));
    client.receive_streams(&[1]);
    note_client(stage, "ended by the upstream:", client);
    upstream.receive_streams(&[1]);
    note_frames(stage, "ended by the upstream: the upstream", &upstream);
    drop(upstream);
    stage.wait_until_idle();

    for code in [2, 8, 10] {
        let what = format!("reset by the upstream with {code}:");
        let (mut client, mut upstream) = open(&what, b"");
        upstream.send(&reset(1, code));
        client.receive_streams(&[1]);
        note_client(stage, &what, client);
        drop(upstream);
        stage.wait_until_idle();
    }

    let (mut client, mut upstream) = open("reset by the client:", b"");
    client.send(&reset(1, 8));
    upstream.receive_streams(&[1]);
    note_frames(stage, "reset by the client: the upstream", &upstream);
    note_client(stage, "reset by the client:", client);
    drop(upstream);
    stage.wait_until_idle();

    for status in REFUSALS {
        let what = format!("{status}:");
        let mut client = Http2::client(stage.connect(), &[]);
        client.send(&headers(1, fields, false));
        let mut upstream = reached(stage, &what);
        let head = headers(1, &[(":status", status), ("x-r", "1")], false);
        upstream.send(&[head, data(1, b"hi", true)].concat());
        client.receive_streams(&[1]);
        note_client(stage, &what, client);
        drop(upstream);
        stage.wait_until_idle();
    }
}

/// As [`super::bulk`], from a client of HTTP/2.
pub(super) fn bulk(stage: &Stage<'_>, what: &str, mut client: Http2, mut upstream: Peer) {
    let bytes = super::BULK_BYTES;
    client.send(&[0, 1].map(|stream| window_update(stream, 1 << 24)).concat());
    let (received, sent) = std::thread::scope(|scope| {
        let serve = scope.spawn(|| {
            let received = payload::receive(upstream.stream(), bytes);
            (received, payload::send(upstream.stream(), 2, bytes))
        });
        let mut text = payload::Text::new(1);
        let mut left = usize::try_from(bytes).unwrap();
        while left > 0 {
            let piece = text.next(left.min(16 * 1024)).to_vec();
            text.skip(piece.len());
            left -= piece.len();
            client.send(&data(1, &piece, false));
        }
        receive_body(&mut client, usize::try_from(bytes).unwrap());
        serve.join().unwrap()
    });
    stage.note(&format!("{what} the upstream received"), &received);
    assert!(received.to_string().contains(&super::sha256(1)), "{received}");
    let body = payload::summary(&client.body(1));
    assert_eq!(body, sent.to_string());
    client.send(&reset(1, 8));
    stage.note(&format!("{what} the upstream ended by"), upstream.ending());
}
