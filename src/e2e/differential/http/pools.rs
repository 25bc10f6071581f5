//! Connections to upstreams: reuse, the breakers, and how many requests each may carry.

use super::plan::Http;
use super::{OK, Origin, answered, note_answer, note_log, play};
use crate::differential::Scenario;
use crate::differential::stage::Stage;
use crate::peer::Peer;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "http_pool_reuse",
            shows: "D1, D2: the connection that became free last is used next; else a new one",
            plan: super::usual,
            script: reuse,
        },
        Scenario {
            name: "http_max_requests_upstream",
            shows: "D11: exactly two requests for each upstream connection",
            plan: || {
                let protocol: &[&str] = &[
                    "common_http_protocol_options: {max_requests_per_connection: 2}",
                    "explicit_http_config: {http_protocol_options: {}}",
                ];
                Http { protocol, ..Http::default() }.plan()
            },
            script: |stage| play(stage, &[answered(GET, OK); 5]),
        },
        Scenario {
            name: "http_max_requests_downstream",
            shows: "http: max_requests_per_connection of the connection manager",
            plan: || {
                let manager = &["common_http_protocol_options: {max_requests_per_connection: 2}"];
                Http { manager, ..Http::default() }.plan()
            },
            script: max_requests_downstream,
        },
        Scenario {
            name: "http_max_connections",
            shows: "D1, D6, D7: over max_connections a request waits for a connection",
            plan: || {
                let cluster = &["circuit_breakers: {thresholds: [{max_connections: 1}]}"];
                Http { cluster, ..Http::default() }.plan()
            },
            script: max_connections,
        },
        Scenario {
            name: "http_max_pending_requests",
            shows: "D7: over max_pending_requests a request is refused; 503 UO, x-envoy-overloaded",
            plan: || {
                let cluster: &[&str] = &["circuit_breakers: {thresholds: \
                     [{max_connections: 1, max_pending_requests: 1}]}"];
                Http { cluster, ..Http::default() }.plan()
            },
            script: max_pending,
        },
        Scenario {
            name: "http_max_requests_breaker",
            shows: "http: over max_requests a request is refused",
            plan: || {
                let cluster = &["circuit_breakers: {thresholds: [{max_requests: 1}]}"];
                Http { cluster, ..Http::default() }.plan()
            },
            script: max_requests,
        },
        Scenario {
            name: "http_waiting_client_leaves",
            shows: "D7: a client that leaves while its request waits",
            plan: || {
                let cluster = &["circuit_breakers: {thresholds: [{max_connections: 1}]}"];
                Http { cluster, ..Http::default() }.plan()
            },
            script: waiting_client_leaves,
        },
        Scenario {
            name: "http_upstream_idle_timeout",
            shows: "D1: idle_timeout of a cluster's connections",
            plan: || {
                let protocol: &[&str] = &[
                    "common_http_protocol_options: {idle_timeout: 0.2s}",
                    "explicit_http_config: {http_protocol_options: {}}",
                ];
                Http { protocol, ..Http::default() }.plan()
            },
            script: upstream_idle,
        },
        Scenario {
            name: "http_upstream_closes_idle",
            shows: "D1: a kept connection that the upstream closes is not used again",
            plan: super::usual,
            script: upstream_closes_idle,
        },
    ]
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";

/// A client that has sent a request which the upstream has received.
fn asked(stage: &Stage<'_>) -> (Peer, Peer) {
    let mut client = stage.connect();
    client.send(GET);
    let mut upstream = stage.accept();
    upstream.receive_request();
    (client, upstream)
}

fn finish(stage: &Stage<'_>, what: &str, client: &mut Peer, upstream: &mut Peer) {
    upstream.send(OK);
    note_answer(stage, what, client, "GET");
}

fn reuse(stage: &mut Stage<'_>) {
    let (mut first, mut upstream_of_first) = asked(stage);
    let (mut second, mut upstream_of_second) = asked(stage);
    stage.expect_stat("cluster.upstream_cx_active", 2);
    finish(stage, "first:", &mut first, &mut upstream_of_first);
    finish(stage, "second:", &mut second, &mut upstream_of_second);
    stage.expect_stat("cluster.upstream_rq_active", 0);
    for turn in 0..3 {
        first.send(GET);
        let (origin, which) = {
            let mut kept = [(&mut upstream_of_first, "first"), (&mut upstream_of_second, "second")];
            let index = crate::patience::wait_for("the request at an upstream", || {
                kept.iter().position(|(peer, _)| peer.has_bytes()).ok_or_else(String::new)
            });
            let [one, two] = &mut kept;
            let chosen = if index == 0 { one } else { two };
            chosen.0.answer(OK);
            (index, chosen.1)
        };
        stage.note(&format!("turn {turn} goes over connection"), format!("{origin}, {which}"));
        note_answer(stage, "again:", &mut first, "GET");
    }
    drop((first, second));
    note_log(stage);
}

fn max_requests_downstream(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    let mut origin = Origin::new(stage.upstreams().next().unwrap());
    for turn in 0..2 {
        client.send(GET);
        let what = format!("{turn}:");
        origin.serve(stage, &what, super::Behaviour::Answers(OK));
        let open = note_answer(stage, &what, &mut client, "GET");
        assert_eq!(open, turn == 0);
    }
    note_log(stage);
}

fn max_connections(stage: &mut Stage<'_>) {
    let (mut first, mut upstream) = asked(stage);
    let mut second = stage.connect();
    second.send(GET);
    stage.expect_stat("cluster.upstream_rq_pending_active", 1);
    stage.expect_stat("cluster.circuit_breakers.default.cx_open", 1);
    finish(stage, "first:", &mut first, &mut upstream);
    upstream.receive_request();
    finish(stage, "second:", &mut second, &mut upstream);
    drop((first, second));
    note_log(stage);
}

fn max_pending(stage: &mut Stage<'_>) {
    let (mut first, mut upstream) = asked(stage);
    let mut second = stage.connect();
    second.send(GET);
    stage.expect_stat("cluster.upstream_rq_pending_active", 1);
    stage.expect_stat("cluster.circuit_breakers.default.rq_pending_open", 1);
    let mut third = stage.connect();
    third.send(GET);
    note_answer(stage, "third:", &mut third, "GET");
    // A refused request leaves its connection as it was.
    third.send(super::PROBE);
    note_answer(stage, "third again:", &mut third, "GET");
    finish(stage, "first:", &mut first, &mut upstream);
    upstream.receive_request();
    finish(stage, "second:", &mut second, &mut upstream);
    drop((first, second, third));
    note_log(stage);
}

fn max_requests(stage: &mut Stage<'_>) {
    let (mut first, mut upstream) = asked(stage);
    stage.expect_stat("cluster.circuit_breakers.default.rq_open", 1);
    let mut second = stage.connect();
    second.send(GET);
    // It is refused when a connection is there for it.
    let unused = stage.accept();
    note_answer(stage, "second:", &mut second, "GET");
    stage.note("the second connection stays open", unused.is_open_and_quiet());
    finish(stage, "first:", &mut first, &mut upstream);
    drop((first, second));
    note_log(stage);
}

fn waiting_client_leaves(stage: &mut Stage<'_>) {
    let (mut first, mut upstream) = asked(stage);
    let mut second = stage.connect();
    second.send(GET);
    stage.expect_stat("cluster.upstream_rq_pending_active", 1);
    drop(second);
    stage.expect_stat("cluster.upstream_rq_pending_active", 0);
    finish(stage, "first:", &mut first, &mut upstream);
    assert!(upstream.is_open_and_quiet());
    drop(first);
    note_log(stage);
}

fn upstream_idle(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = asked(stage);
    finish(stage, "first:", &mut client, &mut upstream);
    stage.note("the upstream ended by", upstream.ending());
    drop(upstream);
    stage.expect_stat("cluster.upstream_cx_active", 0);
    client.send(GET);
    let mut upstream = stage.accept();
    upstream.receive_request();
    finish(stage, "second:", &mut client, &mut upstream);
    drop(client);
    note_log(stage);
}

fn upstream_closes_idle(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = asked(stage);
    finish(stage, "first:", &mut client, &mut upstream);
    drop(upstream);
    stage.expect_stat("cluster.upstream_cx_active", 0);
    client.send(GET);
    let mut upstream = stage.accept();
    upstream.receive_request();
    finish(stage, "second:", &mut client, &mut upstream);
    upstream.reset();
    stage.expect_stat("cluster.upstream_cx_active", 0);
    drop(client);
    note_log(stage);
}
