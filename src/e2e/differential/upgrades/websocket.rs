//! Upgrades over HTTP/1 on both sides.

use super::super::Scenario;
use super::super::http::plan::Http;
use super::super::http::{note_answer, note_log};
use super::super::plan::Endpoint;
use super::super::stage::Stage;
use super::{ALLOWED, SWITCHED, asked, ends, note_head, opened, plan, plan_to, upgrade};
use crate::upstream::Upstream;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "upgrade",
            shows: "upgrades: WebSocket: nothing before the 101, then bytes both ways",
            plan: || plan(&[], &[]),
            script: flows,
        },
        Scenario {
            name: "upgrade_ends",
            shows: "upgrades: WebSocket: FIN and RST of either side",
            plan: || plan(&[], &[]),
            script: |stage| {
                ends(stage, |what| opened(stage, what, &upgrade("/x", "websocket"), SWITCHED));
                note_log(stage);
            },
        },
        Scenario {
            name: "upgrade_refused",
            shows: "upgrades: those that nobody allows, with a route and without",
            plan: || plan(ROUTES, &[]),
            script: refused,
        },
        Scenario {
            name: "upgrade_by_route",
            shows: "upgrades: what a route says goes before what the connection manager says",
            plan: || plan(ROUTES, &[]),
            script: |stage| {
                for (path, protocol) in [("/on", "barred"), ("/bar", "BAR"), ("/on", "WEBSOCKET")] {
                    let what = format!("{path} to {protocol}:");
                    let answer = String::from_utf8_lossy(SWITCHED).replace("websocket", protocol);
                    let request = upgrade(path, protocol);
                    let (client, mut upstream) = opened(stage, &what, &request, answer.as_bytes());
                    drop(client);
                    stage.note_end(&format!("{what} the upstream"), &upstream.receive_to_end());
                    stage.wait_until_idle();
                }
                note_log(stage);
            },
        },
        Scenario {
            name: "upgrade_answered",
            shows: "upgrades: other answers than 101: lost handshakes, and those of other upgrades",
            plan: || plan(&[], &[]),
            script: answered,
        },
        Scenario {
            name: "upgrade_timeouts",
            shows: "upgrades: timeout runs from the head to the 101, idle_timeout behind it",
            plan: || plan(ROUTES, &[]),
            script: timeouts,
        },
        Scenario {
            name: "upgrade_durations",
            shows: "upgrades: request_timeout ends with the answer, max_stream_duration does not",
            plan: || {
                let manager = &[
                    ALLOWED,
                    "request_timeout: 0.3s",
                    "common_http_protocol_options: {max_stream_duration: 1s}",
                ];
                plan_to(manager, &[], &[], vec![Endpoint::serving()])
            },
            script: |stage| {
                let request = upgrade("/x", "websocket");
                let (mut client, mut upstream) = asked(stage, "unanswered:", &request);
                note_answer(stage, "unanswered:", &mut client, "GET");
                drop(client);
                stage.note("unanswered: the upstream ended by", upstream.ending());
                let (mut client, mut upstream) = opened(stage, "answered:", &request, SWITCHED);
                stage.note("answered: the client ended by", client.ending());
                drop(client);
                stage.note("answered: the upstream ended by", upstream.ending());
                note_log(stage);
            },
        },
        Scenario {
            name: "upgrade_one_request",
            shows: "upgrades: a tunnel is a request under way: the request breaker refuses others",
            plan: || {
                let cluster = &["circuit_breakers: {thresholds: [{max_requests: 1}]}"];
                let log_format = Some(super::LINE);
                Http { manager: &[ALLOWED], cluster, log_format, ..Http::default() }.plan()
            },
            script: |stage| {
                let request = upgrade("/x", "websocket");
                let (client, mut upstream) = opened(stage, "the first:", &request, SWITCHED);
                let mut second = stage.connect();
                second.send(&request);
                note_answer(stage, "the second:", &mut second, "GET");
                drop((client, second));
                stage.note("the first upstream ended by", upstream.ending());
                while let Some(unused) = stage.upstreams().find_map(Upstream::waiting) {
                    drop(unused);
                }
                stage.wait_until_idle();
                super::super::http::note_sorted_log(stage);
            },
        },
        Scenario {
            name: "upgrade_unreachable",
            shows: "upgrades: an upgrade to a host that refuses connections",
            plan: || plan_to(&[ALLOWED], &[], &[], vec![Endpoint::refusing()]),
            script: |stage| {
                let mut client = stage.connect();
                client.send(&upgrade("/x", "websocket"));
                note_answer(stage, "the handshake:", &mut client, "GET");
                drop(client);
                note_log(stage);
            },
        },
    ]
}

const ROUTES: &[&str] = &[
    "- {name: barred, match: {prefix: /none}, route: {cluster: $NAME, upgrade_configs: \
     [{upgrade_type: websocket, enabled: false}]}}",
    "- {name: let, match: {prefix: /on}, route: {cluster: $NAME, upgrade_configs: \
     [{upgrade_type: BARRED}, {upgrade_type: Connect}]}}",
    "- {name: bar, match: {prefix: /bar}, route: {cluster: $NAME, upgrade_configs: \
     [{upgrade_type: bar}]}}",
    "- {name: soon, match: {prefix: /soon}, route: {cluster: $NAME, timeout: 0.5s}}",
    "- {name: idle, match: {prefix: /idle}, route: {cluster: $NAME, idle_timeout: 0.5s}}",
    "- {name: moved, match: {prefix: /moved}, redirect: {host_redirect: b.test}}",
    "- {match: {prefix: /nowhere}, route: {cluster: $NAME-missing}}",
];

fn flows(stage: &mut Stage<'_>) {
    let request = [&upgrade("/x?y", "WebSocket")[..], b"early"].concat();
    let (mut client, mut upstream) = asked(stage, "it:", &request);
    upstream.send(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n");
    assert!(!upstream.has_bytes());
    // What comes with the answer is the tunnel's.
    upstream.send(&[SWITCHED, b"hello"].concat());
    note_head(stage, "it: the client", &mut client);
    assert_eq!(client.receive(5), b"hello");
    assert_eq!(upstream.receive(5), b"early");
    stage.expect_stat("http.downstream_cx_upgrades_active", 1);
    stage.expect_stat("cluster.upstream_rq_active", 1);
    client.send(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(upstream.receive(18), b"GET / HTTP/1.1\r\n\r\n");
    upstream.send(b"HTTP/1.1 200 OK\r\n\r\n");
    assert_eq!(client.receive(19), b"HTTP/1.1 200 OK\r\n\r\n");
    drop(client);
    stage.note_end("the upstream", &upstream.receive_to_end());
    drop(upstream);
    stage.expect_stat("http.downstream_cx_upgrades_active", 0);
    note_log(stage);
}

fn refused(stage: &mut Stage<'_>) {
    for (path, protocol) in [
        ("/x", "other"),
        ("/x", "barred"),
        ("/none", "websocket"),
        ("/moved", "other"),
        ("/moved", "websocket"),
        ("/nowhere", "other"),
        ("/nowhere", "websocket"),
        ("/probe", "other"),
        ("/probe", "websocket"),
    ] {
        let what = format!("{path} to {protocol}:");
        let mut client = stage.connect();
        client.send(&upgrade(path, protocol));
        note_answer(stage, &what, &mut client, "GET");
        drop(client);
        stage.wait_until_idle();
    }
    note_log(stage);
}

fn answered(stage: &mut Stage<'_>) {
    for (protocol, answer) in [
        ("websocket", &b"HTTP/1.1 200 OK\r\nx-r: 1\r\ncontent-length: 2\r\n\r\nhi"[..]),
        ("websocket", b"HTTP/1.1 201 Created\r\nx-r: 1\r\n\r\nhi"),
        ("websocket", b"HTTP/1.1 302 Found\r\nlocation: /y\r\ncontent-length: 0\r\n\r\n"),
        ("websocket", b"HTTP/1.1 403 Forbidden\r\nx-r: 1\r\ncontent-length: 2\r\n\r\nhi"),
        ("websocket", b"HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
        ("foo", b"HTTP/1.1 200 OK\r\nx-r: 1\r\ncontent-length: 2\r\n\r\nhi"),
        ("foo", b"HTTP/1.1 403 Forbidden\r\nx-r: 1\r\ncontent-length: 2\r\n\r\nhi"),
        ("websocket", b"no HTTP\r\n\r\n"),
        ("websocket", b""),
    ] {
        let line = answer.split(|byte| *byte == b'\r').next().unwrap();
        let what = format!("{protocol} and '{}':", line.escape_ascii());
        let request = [&upgrade("/x", protocol)[..], b"early"].concat();
        let (mut client, mut upstream) = asked(stage, &what, &request);
        upstream.send(answer);
        if answer.is_empty() {
            drop(upstream);
        } else {
            stage.note_end(&format!("{what} the upstream"), &upstream.receive_to_end());
        }
        note_answer(stage, &what, &mut client, "GET");
        drop(client);
        stage.wait_until_idle();
    }
    note_log(stage);
}

fn timeouts(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = asked(stage, "soon:", &upgrade("/soon", "websocket"));
    note_answer(stage, "soon:", &mut client, "GET");
    drop(client);
    stage.note("soon: the upstream ended by", upstream.ending());
    stage.wait_until_idle();
    // This goes on for longer than `timeout` says, for no part of it is silent for so long.
    let (mut client, mut upstream) =
        opened(stage, "opened soon:", &upgrade("/soon", "websocket"), SWITCHED);
    let (mut idle, mut idle_upstream) =
        opened(stage, "idle:", &upgrade("/idle", "websocket"), SWITCHED);
    stage.note("idle: the client ended by", idle.ending());
    drop(idle);
    stage.note("idle: the upstream ended by", idle_upstream.ending());
    client.send(b"still here");
    assert_eq!(upstream.receive(10), b"still here");
    drop(client);
    stage.note("opened soon: the upstream ended by", upstream.ending());
    stage.wait_until_idle();
    note_log(stage);
}
