//! `connect_config`: a CONNECT, or the body of a POST, that goes on as TCP.

use super::super::Scenario;
use super::super::http::plan::Http;
use super::super::http::{note_answer, note_log};
use super::super::http2::note_client;
use super::super::plan::{Endpoint, Plan};
use super::super::stage::Stage;
use super::http2::{CONNECT_FIELDS, connected};
use super::{ALLOWED, CONNECT, CONNECT_EARLY, ends, note_head, plan, plan_to};
use crate::http2::{Http2, data, headers, reset};
use crate::payload;
use crate::peer::{Ending, Peer};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "upgrade_connect_tcp",
            shows: "upgrades: connect_config: bytes both ways, and none of HTTP",
            plan: || plan(TERMINATED, &[]),
            script: flows,
        },
        Scenario {
            name: "upgrade_connect_tcp_ends",
            shows: "upgrades: connect_config: FIN and RST of either side, from HTTP/1",
            plan: || plan(TERMINATED, &[]),
            script: |stage| {
                ends(stage, |what| {
                    let (client, mut upstream) = terminated(stage, what);
                    upstream.send(b"x");
                    let mut client = client;
                    assert_eq!(client.receive(1), b"x");
                    (client, upstream)
                });
                note_log(stage);
            },
        },
        Scenario {
            name: "h2_upgrade_connect_tcp_ends",
            shows: "upgrades: connect_config: half closes both ways and resets, from HTTP/2",
            plan: || plan(TERMINATED, &[]),
            script: http2_ends,
        },
        Scenario {
            name: "h2_upgrade_connect_tcp_refused",
            shows: "upgrades: connect_config: a host that refuses, from both versions",
            plan: || plan_to(&[ALLOWED], TERMINATED, &[], vec![Endpoint::refusing()]),
            script: not_connected,
        },
        Scenario {
            name: "h2_upgrade_connect_tcp_timeout",
            shows: "upgrades: connect_config: a host that does not answer",
            plan: || {
                let plan = Http {
                    manager: &[ALLOWED],
                    routes: TERMINATED,
                    cluster: &["connect_timeout: 0.2s"],
                    log_format: Some(super::LINE),
                    ..Http::default()
                };
                plan.plan_to(vec![Endpoint::silent()])
            },
            script: not_connected,
        },
        Scenario {
            name: "h2_upgrade_connect_tcp_no_host",
            shows: "upgrades: connect_config: a cluster without hosts",
            plan: || plan_to(&[ALLOWED], TERMINATED, &[], Vec::new()),
            script: not_connected,
        },
        Scenario {
            name: "h2_upgrade_connect_tcp_idle",
            shows: "upgrades: connect_config: stream_idle_timeout, from both versions",
            plan: || {
                let manager = &[ALLOWED, "stream_idle_timeout: 0.5s"];
                plan_to(manager, TERMINATED, &[], vec![Endpoint::serving()])
            },
            script: |stage| {
                let (mut client, mut upstream) = terminated(stage, "HTTP/1:");
                stage.note_end("HTTP/1: the client", &client.receive_to_end());
                drop(client);
                stage.note("HTTP/1: the upstream ended by", upstream.ending());
                stage.wait_until_idle();
                let (mut client, mut upstream) = connected(stage);
                client.receive_streams(&[1]);
                note_client(stage, "HTTP/2:", client);
                stage.note("HTTP/2: the upstream ended by", upstream.ending());
                note_log(stage);
            },
        },
        Scenario {
            name: "upgrade_connect_tcp_header",
            shows: "upgrades: connect_config: a PROXY header of either version first",
            plan: || plan(HEADERS, &[]),
            script: header,
        },
        Scenario {
            name: "upgrade_connect_tcp_header_2",
            shows: "upgrades: connect_config: a PROXY header of version 2 has no TLVs",
            plan: || plan(HEADERS_2, &[]),
            script: |stage| {
                let mut client = stage.connect();
                client.send(CONNECT_EARLY);
                let mut upstream = stage.accept();
                stage.note("it begins with", upstream.receive(24).escape_ascii());
                let ours = client.stream();
                let ports = [ours.local_addr().unwrap(), ours.peer_addr().unwrap()];
                assert_eq!(upstream.receive(4), ports.map(|it| it.port().to_be_bytes()).concat());
                assert_eq!(upstream.receive(5), b"early");
                note_head(stage, "the client", &mut client);
                drop(client);
                stage.note("the upstream ended by", upstream.ending());
                note_log(stage);
            },
        },
        Scenario {
            name: "upgrade_connect_tcp_one_request",
            shows: "upgrades: connect_config: the request breaker holds up no tunnel to TCP",
            plan: || limited(&["circuit_breakers: {thresholds: [{max_requests: 1}]}"]),
            script: |stage| {
                let (first, mut upstream) = terminated(stage, "the first:");
                let (second, mut second_upstream) = terminated(stage, "the second:");
                drop((first, second));
                stage.note("the first upstream ended by", upstream.ending());
                stage.note("the second upstream ended by", second_upstream.ending());
                stage.wait_until_idle();
                super::super::http::note_sorted_log(stage);
            },
        },
        Scenario {
            name: "upgrade_connect_tcp_nobody_waits",
            shows: "upgrades: connect_config: over max_pending_requests a CONNECT is refused",
            plan: || limited(&["circuit_breakers: {thresholds: [{max_pending_requests: 0}]}"]),
            script: |stage| {
                let mut client = stage.connect();
                client.send(CONNECT);
                note_answer(stage, "it:", &mut client, "GET");
                drop(client);
                note_log(stage);
            },
        },
        Scenario {
            name: "upgrade_connect_tcp_stalled",
            shows: "upgrades: connect_config: a client that reads late gets all of it",
            plan: || plan(TERMINATED, &[]),
            script: |stage| {
                let (client, mut upstream) = terminated(stage, "it:");
                let block = payload::block(3);
                let stall = std::time::Duration::from_millis(300);
                let sent = upstream.send_until_stalled(&block, 64 << 20, stall);
                assert!(sent < 64 << 20, "{sent} bytes went to a client that does not read");
                drop(upstream);
                let received = payload::receive(client.stream(), sent as u64);
                let expected: Vec<u8> = block.iter().copied().cycle().take(sent).collect();
                assert_eq!(payload::summary(&expected), received.to_string());
                drop(client);
                stage.wait_until_idle();
            },
        },
        Scenario {
            name: "upgrade_connect_tcp_after_requests",
            shows: "upgrades: connect_config: on a connection that has carried requests",
            plan: || plan(TERMINATED, &[]),
            script: |stage| {
                let mut client = stage.connect();
                client.send(b"GET /x HTTP/1.1\r\nhost: a.test\r\n\r\n");
                let mut origin = stage.accept();
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                stage.note_message("GET: the upstream", &origin.answer(answer));
                note_answer(stage, "GET:", &mut client, "GET");
                client.send(CONNECT);
                let mut upstream = stage.accept();
                note_head(stage, "CONNECT: the client", &mut client);
                client.send(b"GET /x HTTP/1.1\r\nhost: a.test\r\n\r\n");
                assert_eq!(upstream.receive(33), b"GET /x HTTP/1.1\r\nhost: a.test\r\n\r\n");
                drop((client, origin));
                stage.note("CONNECT: the upstream ended by", upstream.ending());
                note_log(stage);
            },
        },
        Scenario {
            name: "upgrade_connect_tcp_allowed",
            shows: "upgrades: connect_config: enabled or not, by the route and by the connection manager",
            plan: || {
                let manager = &["upgrade_configs: [{upgrade_type: connect, enabled: false}]"];
                let log_format = Some(super::LINE);
                Http { manager, hosts: HOSTS, log_format, ..Http::default() }.plan()
            },
            script: |stage| {
                for host in ["lets.test", "bars.test", "asks.test", "b.test"] {
                    let mut client = stage.connect();
                    let head = format!("CONNECT {host}:80 HTTP/1.1\r\nhost: {host}:80\r\n\r\n");
                    client.send(head.as_bytes());
                    note_head(stage, &format!("{host}: the client"), &mut client);
                    drop(client);
                    stage.wait_until_idle();
                }
                note_log(stage);
            },
        },
        Scenario {
            name: "h2_upgrade_connect_tcp_post",
            shows: "upgrades: allow_post: the body of a POST goes on as TCP; a GET as HTTP",
            plan: || plan(POST, &[]),
            script: post,
        },
        Scenario {
            name: "h2_upgrade_connect_tcp_bulk",
            shows: "upgrades: connect_config: a megabyte each way, from both versions",
            plan: || plan(TERMINATED, &[]),
            script: |stage| {
                let (client, upstream) = terminated(stage, "HTTP/1:");
                super::bulk(stage, "HTTP/1:", client, upstream);
                stage.wait_until_idle();
                let (client, upstream) = connected(stage);
                super::http2::bulk(stage, "HTTP/2:", client, upstream);
                note_log(stage);
            },
        },
    ]
}

const TERMINATED: &[&str] = &["- {name: terminated, match: {connect_matcher: {}}, route: \
    {cluster: $NAME, upgrade_configs: [{upgrade_type: CONNECT, connect_config: {}}]}}"];

const HEADERS: &[&str] = &["- {name: v, match: {connect_matcher: {}}, route: {cluster: $NAME, \
    upgrade_configs: [{upgrade_type: CONNECT, connect_config: \
    {proxy_protocol_config: {version: V1}}}]}}"];

const HEADERS_2: &[&str] = &["- {name: v, match: {connect_matcher: {}}, route: {cluster: $NAME, \
    upgrade_configs: [{upgrade_type: CONNECT, connect_config: \
    {proxy_protocol_config: {version: V2, added_tlvs: [{type: 5, value: YQ==}]}}}]}}"];

/// With such breakers.
fn limited(cluster: &'static [&'static str]) -> Plan {
    let log_format = Some(super::LINE);
    Http { manager: &[ALLOWED], routes: TERMINATED, cluster, log_format, ..Http::default() }.plan()
}

const HOSTS: &[&str] = &[
    "- {name: lets, domains: ['lets.test:80'], routes: [{match: {connect_matcher: {}}, route: \
     {cluster: $NAME, upgrade_configs: [{upgrade_type: CONNECT, connect_config: {}}]}}]}",
    "- {name: bars, domains: ['bars.test:80'], routes: [{match: {connect_matcher: {}}, route: \
     {cluster: $NAME, upgrade_configs: [{upgrade_type: CONNECT, enabled: false, \
     connect_config: {}}]}}]}",
    "- {name: asks, domains: ['asks.test:80'], routes: [{match: {connect_matcher: {}}, route: \
     {cluster: $NAME}}]}",
];

const POST: &[&str] = &["- {name: post, match: {prefix: /t}, route: {cluster: $NAME, \
    upgrade_configs: [{upgrade_type: CONNECT, connect_config: {allow_post: true}}]}}"];

/// A client of HTTP/1 whose CONNECT has led to a host.
fn terminated(stage: &Stage<'_>, what: &str) -> (Peer, Peer) {
    let mut client = stage.connect();
    client.send(CONNECT);
    let upstream = stage.accept();
    note_head(stage, &format!("{what} the client"), &mut client);
    (client, upstream)
}

fn flows(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(CONNECT_EARLY);
    let mut upstream = stage.accept();
    assert_eq!(upstream.receive(5), b"early");
    note_head(stage, "the client", &mut client);
    stage.expect_stat("http.downstream_cx_upgrades_active", 1);
    stage.expect_stat("cluster.upstream_rq_active", 1);
    upstream.send(b"hello");
    assert_eq!(client.receive(5), b"hello");
    client.send(b"more");
    assert_eq!(upstream.receive(4), b"more");
    drop(client);
    stage.note_end("the upstream", &upstream.receive_to_end());
    drop(upstream);
    note_log(stage);
}

fn http2_ends(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = connected(stage);
    client.send(&data(1, b"last words", true));
    assert_eq!(upstream.receive_to_end(), (b"last words".to_vec(), Ending::Fin));
    upstream.send(b"an answer");
    drop(upstream);
    client.receive_streams(&[1]);
    note_client(stage, "ended by the client first:", client);
    stage.wait_until_idle();

    let (mut client, mut upstream) = connected(stage);
    upstream.send(b"last words");
    upstream.finish_sending();
    client.receive_streams(&[1]);
    note_client(stage, "ended by the upstream first:", client);
    stage.note("ended by the upstream first: the upstream ended by", upstream.ending());
    stage.wait_until_idle();

    let (mut client, mut upstream) = connected(stage);
    upstream.send(b"last words");
    client.receive_until(|seen| !seen.is_empty() && has_body(seen));
    upstream.reset();
    client.receive_streams(&[1]);
    note_client(stage, "reset by the upstream:", client);
    stage.wait_until_idle();

    let (mut client, mut upstream) = connected(stage);
    client.send(&reset(1, 8));
    stage.note("reset by the client: the upstream ended by", upstream.ending());
    note_client(stage, "reset by the client:", client);
    stage.wait_until_idle();

    let mut client = Http2::client(stage.connect(), &[]);
    client.send(&headers(1, CONNECT_FIELDS, true));
    let mut upstream = stage.accept();
    stage.note("nothing to send: the upstream ended by", upstream.ending());
    upstream.send(b"an answer");
    drop(upstream);
    client.receive_streams(&[1]);
    note_client(stage, "nothing to send:", client);
    note_log(stage);
}

fn has_body(seen: &[crate::http2::Seen]) -> bool {
    seen.iter().any(|seen| matches!(seen, crate::http2::Seen::Data { .. }))
}

fn not_connected(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(CONNECT_EARLY);
    note_answer(stage, "HTTP/1:", &mut client, "GET");
    drop(client);
    stage.wait_until_idle();
    let mut client = Http2::client(stage.connect(), &[]);
    client.send(&headers(1, CONNECT_FIELDS, false));
    client.receive_streams(&[1]);
    note_client(stage, "HTTP/2:", client);
    note_log(stage);
}

fn header(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(CONNECT_EARLY);
    let mut upstream = stage.accept();
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.extend(upstream.receive(1));
    }
    let line = String::from_utf8(line).unwrap();
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    assert_eq!(&words[..4], ["PROXY", "TCP4", "127.0.0.1", "127.0.0.1"], "{line}");
    let ours = client.stream();
    let ports = [ours.local_addr().unwrap().port(), ours.peer_addr().unwrap().port()];
    assert_eq!(words[4..], ports.map(|port| port.to_string()), "{line}");
    assert_eq!(upstream.receive(5), b"early");
    note_head(stage, "the client", &mut client);
    drop(client);
    stage.note("the upstream ended by", upstream.ending());
    // How long the header is depends on the ports.
    note_log(stage);
}

fn post(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(
        b"POST /t HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    );
    let mut upstream = stage.accept();
    assert_eq!(upstream.receive(3), b"abc");
    upstream.send(b"hello");
    note_head(stage, "POST: the client", &mut client);
    assert_eq!(client.receive(10), b"5\r\nhello\r\n");
    client.send(b"3\r\ndef\r\n0\r\n\r\n");
    assert_eq!(upstream.receive_to_end(), (b"def".to_vec(), Ending::Fin));
    upstream.send(b"bye");
    drop(upstream);
    stage.note_end("POST: the client", &client.receive_to_end());
    drop(client);
    stage.wait_until_idle();

    let mut client = Http2::client(stage.connect(), &[]);
    let fields =
        [(":method", "POST"), (":scheme", "http"), (":path", "/t"), (":authority", "a.test")];
    client.send(&[headers(1, &fields, false), data(1, b"abc", true)].concat());
    let mut upstream = stage.accept();
    assert_eq!(upstream.receive_to_end(), (b"abc".to_vec(), Ending::Fin));
    upstream.send(b"bye");
    drop(upstream);
    client.receive_streams(&[1]);
    note_client(stage, "POST over HTTP/2:", client);
    stage.wait_until_idle();

    let mut client = stage.connect();
    client.send(b"GET /t HTTP/1.1\r\nhost: a.test\r\n\r\n");
    let mut upstream = stage.accept();
    stage.note_message("GET: the upstream", &upstream.answer(b"HTTP/1.1 204 No\r\nx-r: 1\r\n\r\n"));
    note_answer(stage, "GET:", &mut client, "GET");
    drop(client);
    note_log(stage);
}
