//! Requests whose connection, or stream, becomes something else than HTTP: upgrades and CONNECT,
//! over both versions of HTTP and to TCP.
//!
//! A script plays both ends: what each sees of the other, how each end's end reaches the other,
//! and what the access log and the stats say about it.

mod connect;
mod http2;
mod tcp;
mod websocket;

use super::Scenario;
use super::http::plan::Http;
use super::plan::{Endpoint, Plan};
use super::stage::Stage;
use crate::payload;
use crate::peer::Peer;

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = websocket::scenarios();
    all.extend(connect::scenarios());
    all.extend(tcp::scenarios());
    all.extend(http2::scenarios());
    all
}

/// What the connection manager allows.
const ALLOWED: &str = "upgrade_configs: [{upgrade_type: CONNECT}, {upgrade_type: WebSocket}, \
    {upgrade_type: foo}, {upgrade_type: barred, enabled: false}]";

/// Both versions of HTTP, with extended CONNECT.
const EXTENDED: &str = "http2_protocol_options: {allow_connect: true}";

/// A route for CONNECT through the cluster, as it is.
const FORWARDED: &str =
    "- {name: forwarded, match: {connect_matcher: {}}, route: {cluster: $NAME}}";

/// Everything that does not depend on how fast the machine is.
const LINE: &str = "log_format: {text_format_source: {inline_string: \"\
    %REQ(:METHOD)% %REQ(:PATH)% of %REQ(:AUTHORITY)% %PROTOCOL% upgrade %REQ(UPGRADE)% \
    code %RESPONSE_CODE% details %RESPONSE_CODE_DETAILS% flags %RESPONSE_FLAGS% \
    bytes %BYTES_RECEIVED% %BYTES_SENT% \
    fields %DOWNSTREAM_HEADER_BYTES_RECEIVED% %UPSTREAM_HEADER_BYTES_RECEIVED% \
    attempts %UPSTREAM_REQUEST_ATTEMPT_COUNT% host %UPSTREAM_HOST% cluster %UPSTREAM_CLUSTER% \
    route %ROUTE_NAME% failure %UPSTREAM_TRANSPORT_FAILURE_REASON% \
    protocol %UPSTREAM_PROTOCOL%\\n\"}}";

/// A configuration that allows what [`ALLOWED`] says, with these routes before the usual ones.
fn plan(routes: &'static [&'static str], protocol: &'static [&'static str]) -> Plan {
    plan_to(&[ALLOWED, EXTENDED], routes, protocol, vec![Endpoint::serving()])
}

fn plan_to(
    manager: &'static [&'static str],
    routes: &'static [&'static str],
    protocol: &'static [&'static str],
    endpoints: Vec<Endpoint>,
) -> Plan {
    let log_format = Some(LINE);
    Http { manager, routes, protocol, log_format, ..Http::default() }.plan_to(endpoints)
}

/// A CONNECT of HTTP/1.
const CONNECT: &[u8] = b"CONNECT a.test:80 HTTP/1.1\r\nhost: a.test:80\r\nx-q: 1\r\n\r\n";

/// The same, with bytes of the tunnel behind it.
const CONNECT_EARLY: &[u8] =
    b"CONNECT a.test:80 HTTP/1.1\r\nhost: a.test:80\r\nx-q: 1\r\n\r\nearly";

/// The answer of a host that agrees to CONNECT.
const AGREED: &[u8] = b"HTTP/1.1 200 OK\r\nx-r: 1\r\n\r\n";

/// The answer of a host that agrees to an upgrade.
const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nsec-websocket-accept: x\r\n\r\n";

/// A request for an upgrade to `protocol`.
fn upgrade(path: &str, protocol: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nhost: a.test\r\nConnection: keep-alive, Upgrade\r\n\
         Upgrade: {protocol}\r\nsec-websocket-key: abc\r\nsec-websocket-version: 13\r\n\r\n"
    )
    .into_bytes()
}

/// Receives a head, to its empty line, and notes it.
fn note_head(stage: &Stage<'_>, side: &str, peer: &mut Peer) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(peer.receive(1));
    }
    stage.note(&format!("{side} received the head"), stage.shown(&head).escape_ascii());
}

/// A client of HTTP/1 and the host that its request has reached.
fn asked(stage: &Stage<'_>, what: &str, request: &[u8]) -> (Peer, Peer) {
    let mut client = stage.connect();
    client.send(request);
    let mut upstream = stage.accept();
    note_head(stage, &format!("{what} the upstream"), &mut upstream);
    (client, upstream)
}

/// The same, once the host has agreed.
fn opened(stage: &Stage<'_>, what: &str, request: &[u8], answer: &[u8]) -> (Peer, Peer) {
    let (mut client, mut upstream) = asked(stage, what, request);
    upstream.send(answer);
    note_head(stage, &format!("{what} the client"), &mut client);
    (client, upstream)
}

/// How each end of a tunnel reaches the other one. `open` makes a tunnel.
fn ends(stage: &Stage<'_>, open: impl Fn(&str) -> (Peer, Peer)) {
    let (client, mut upstream) = open("closed by the client:");
    drop(client);
    stage.note_end("closed by the client: the upstream", &upstream.receive_to_end());
    stage.wait_until_idle();

    let (mut client, mut upstream) = open("ended by the client:");
    client.send(b"last words");
    client.finish_sending();
    stage.note_end("ended by the client: the upstream", &upstream.receive_to_end());
    drop(upstream);
    stage.note_end("ended by the client: the client", &client.receive_to_end());
    drop(client);
    stage.wait_until_idle();

    let (mut client, mut upstream) = open("ended by the upstream:");
    upstream.send(b"last words");
    upstream.finish_sending();
    stage.note_end("ended by the upstream: the client", &client.receive_to_end());
    drop(client);
    stage.note_end("ended by the upstream: the upstream", &upstream.receive_to_end());
    stage.wait_until_idle();

    let (mut client, mut upstream) = open("reset by the upstream:");
    upstream.send(b"last words");
    assert_eq!(client.receive(10), b"last words");
    upstream.reset();
    stage.note_end("reset by the upstream: the client", &client.receive_to_end());
    drop(client);
    stage.wait_until_idle();

    let (mut client, mut upstream) = open("reset by the client:");
    client.send(b"last words");
    assert_eq!(upstream.receive(10), b"last words");
    client.reset();
    stage.note_end("reset by the client: the upstream", &upstream.receive_to_end());
    stage.wait_until_idle();
}

/// How much goes each way where that is to be more than buffers and windows hold at first.
const BULK_BYTES: u64 = 1024 * 1024;

/// Sends bulk through a tunnel, both ways at once, and compares what came with what went.
fn bulk(stage: &Stage<'_>, what: &str, client: Peer, mut upstream: Peer) {
    let (ends, bytes) = ([&client, &upstream], BULK_BYTES);
    std::thread::scope(|scope| {
        let transfers = [(0, 1, 1), (1, 0, 2)].map(|(from, to, seed)| {
            let (from, to) = (ends[from], ends[to]);
            let sent = scope.spawn(move || payload::send(from.stream(), seed, bytes));
            (sent, scope.spawn(move || payload::receive(to.stream(), bytes)))
        });
        for (sent, received) in transfers {
            let received = received.join().unwrap();
            assert_eq!(sent.join().unwrap(), received, "{what}");
            stage.note(&format!("{what} passed"), received);
        }
    });
    drop(client);
    stage.note(&format!("{what} the upstream ended by"), upstream.ending());
}

/// The digest of the bulk that `seed` starts.
fn sha256(seed: u64) -> String {
    let mut text = payload::Text::new(seed);
    let mut bytes = Vec::new();
    let length = usize::try_from(BULK_BYTES).unwrap();
    while bytes.len() < length {
        let piece = text.next(length - bytes.len()).to_vec();
        text.skip(piece.len());
        bytes.extend(piece);
    }
    payload::sha256(&bytes)
}
