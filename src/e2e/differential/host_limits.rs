//! Limits of connections to each host, and of connection pools.

use super::Scenario;
use super::plan::{Endpoint, Plan};
use super::stage::Stage;
use super::tcp_texts::{TcpProxy, cluster, http_listener};
use crate::patience::wait_for;
use crate::peer::{Ending, Peer};
use crate::upstream::Upstream;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "host_limit",
            shows: "D6, D15: at a host with as many connections as it may have the next one waits",
            plan: || relay("cluster: $NAME", ONE_EACH),
            script: host_limit,
        },
        Scenario {
            name: "host_limit_idle",
            shows: "C21: idle_timeout ends the wait for a connection",
            plan: two_listeners,
            script: host_limit_idle,
        },
        Scenario {
            name: "host_limit_zero",
            shows: "D6: even a host with room for none has one connection",
            plan: || relay("cluster: $NAME", NONE_EACH),
            script: host_limit_zero,
        },
        Scenario {
            name: "host_limit_preconnect",
            shows: "D3: preconnecting ends at the limit of the host",
            plan: || relay("cluster: $NAME", PRECONNECTING),
            script: host_limit_preconnect,
        },
        Scenario {
            name: "http_host_limit",
            shows: "D6: a request waits for the connection that its host may have",
            plan: || http(ONE_EACH, 1),
            script: http_host_limit,
        },
        Scenario {
            name: "http_pool_limit",
            shows: "D16: a pool for each host; beyond max_connection_pools 503 UH",
            plan: || http(&pools(1), 2),
            script: http_pool_limit,
        },
        Scenario {
            name: "http_pool_limit_zero",
            shows: "D16: no pool at all",
            plan: || http(&pools(0), 1),
            script: http_pool_limit_zero,
        },
        Scenario {
            name: "http_pool_limit_by_header",
            shows: "D16: a pool for each client that a PROXY header names",
            plan: || http(&format!("{}\n{PROXY}", pools(1)), 1),
            script: http_pool_limit_by_header,
        },
        Scenario {
            name: "tcp_pool_limit",
            shows: "D16: max_connection_pools is about HTTP",
            plan: || relay("cluster: $NAME", &pools(0)),
            script: tcp_pool_limit,
        },
    ]
}

const ONE_EACH: &str = "circuit_breakers: {thresholds: [{max_connection_pools: 9, \
     track_remaining: true}], per_host_thresholds: [{max_connections: 1}]}";

const NONE_EACH: &str = "circuit_breakers: {per_host_thresholds: [{max_connections: 0}]}";

const PRECONNECTING: &str = "preconnect_policy: {per_upstream_preconnect_ratio: 3}\n\
     circuit_breakers: {per_host_thresholds: [{max_connections: 2}]}";

fn pools(max: u32) -> String {
    format!(
        "circuit_breakers: {{thresholds: [{{max_connection_pools: {max}, track_remaining: true}}]}}"
    )
}

const PROXY: &str = "transport_socket:\n  name: proxy\n  typed_config:\n    \"@type\": \
     type.googleapis.com/envoy.extensions.transport_sockets.proxy_protocol.v3.\
     ProxyProtocolUpstreamTransport\n    config: {version: V1}\n    transport_socket:\n      \
     name: raw\n      typed_config: {\"@type\": \
     type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer}";

fn relay(filter: &'static str, fields: &str) -> Plan {
    let texts = TcpProxy { filter, ..TcpProxy::PLAIN }.with(&[cluster("", fields, &[0])]);
    Plan::template(texts, vec![Endpoint::serving()])
}

/// The second listener's connections may be idle for a moment only.
fn two_listeners() -> Plan {
    let mut texts = TcpProxy::PLAIN.with(&[cluster("", ONE_EACH, &[0])]);
    let idle = TcpProxy { filter: "cluster: $NAME\nidle_timeout: 0.5s", ..TcpProxy::PLAIN };
    let second = idle.with(&[]).listeners.replace("$LISTENER", "$LISTENER1");
    let second = second.replace("- name: $NAME\n", "- name: $NAME-idle\n");
    texts.listeners.push_str(&second.replace("stat_prefix: $NAME", "stat_prefix: $NAME-idle"));
    Plan::template(texts, vec![Endpoint::serving()])
}

fn http(fields: &str, endpoints: usize) -> Plan {
    let numbers: Vec<usize> = (0..endpoints).collect();
    let texts = http_listener("$LISTENER", &[cluster("", fields, &numbers)]);
    Plan::template(texts, numbers.iter().map(|_| Endpoint::serving()).collect())
}

/// A client whose first bytes have arrived.
fn connected(stage: &Stage<'_>) -> (Peer, Peer) {
    let (mut client, mut upstream) = stage.relayed();
    client.send(b"first");
    assert_eq!(upstream.receive(5), b"first");
    (client, upstream)
}

fn end(mut client: Peer, upstream: Peer) {
    drop(upstream);
    assert_eq!(client.ending(), Ending::Fin);
}

fn host_limit(stage: &mut Stage<'_>) {
    let (first, upstream_of_first) = connected(stage);
    let mut waiting = Vec::new();
    for place in 1..=3 {
        let mut client = stage.connect();
        client.send(&[b'0' + place]);
        stage.expect_stat("cluster.upstream_rq_pending_active", place.into());
        stage.expect_stat("cluster.upstream_cx_overflow", place.into());
        waiting.push(client);
    }
    stage.expect_stat("cluster.upstream_cx_total", 1);
    stage.expect_stat("cluster.circuit_breakers.default.remaining_cx", 1023);
    end(first, upstream_of_first);
    for (place, client) in (1..).zip(waiting) {
        let mut upstream = stage.accept();
        assert_eq!(upstream.receive(1), [b'0' + place], "in their order");
        stage.expect_stat("cluster.upstream_cx_active", 1);
        end(client, upstream);
    }
    stage.expect_stat("cluster.upstream_cx_active", 0);
    stage.note_access_log(4);
}

fn host_limit_idle(stage: &mut Stage<'_>) {
    let (first, upstream) = connected(stage);
    stage.note_end("who waits", &stage.connect_to(1).receive_to_end());
    stage.expect_stat("tcp-idle.idle_timeout", 1);
    stage.expect_stat("cluster.upstream_rq_cancelled", 1);
    end(first, upstream);
    stage.note_access_log(2);
}

fn host_limit_zero(stage: &mut Stage<'_>) {
    let (first, upstream_of_first) = connected(stage);
    stage.expect_stat("cluster.upstream_cx_overflow", 1);
    let mut second = stage.connect();
    stage.expect_stat("cluster.upstream_rq_pending_active", 1);
    stage.expect_stat("cluster.upstream_cx_overflow", 2);
    end(first, upstream_of_first);
    let mut upstream = stage.accept();
    upstream.send(b"banner");
    assert_eq!(second.receive(6), b"banner");
    end(second, upstream);
    stage.expect_stat("cluster.upstream_cx_active", 0);
    stage.note_access_log(2);
}

fn host_limit_preconnect(stage: &mut Stage<'_>) {
    let first = stage.connect();
    stage.expect_stat("cluster.upstream_rq_active", 1);
    let upstreams = [stage.accept(), stage.accept()];
    stage.expect_stat("cluster.upstream_cx_total", 2);
    let second = stage.connect();
    stage.expect_stat("cluster.upstream_rq_active", 2);
    for mut upstream in upstreams {
        upstream.send(b"x");
        drop(upstream);
    }
    for mut client in [first, second] {
        assert_eq!(client.receive_to_end(), (b"x".to_vec(), Ending::Fin));
    }
    stage.expect_stat("cluster.upstream_cx_active", 0);
    stage.note_access_log(2);
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn note_response(stage: &Stage<'_>, what: &str, client: &mut Peer) {
    stage.note_message(what, &client.receive_response("GET"));
}

fn http_host_limit(stage: &mut Stage<'_>) {
    let mut clients = [stage.connect(), stage.connect()];
    clients[0].send(REQUEST);
    let mut upstream = stage.accept();
    upstream.receive_request();
    clients[1].send(REQUEST);
    stage.expect_stat("cluster.upstream_rq_pending_active", 1);
    stage.expect_stat("cluster.upstream_cx_overflow", 1);
    upstream.send(RESPONSE);
    note_response(stage, "the first response", &mut clients[0]);
    upstream.answer(RESPONSE);
    note_response(stage, "the second response", &mut clients[1]);
    stage.expect_stat("cluster.circuit_breakers.default.remaining_cx_pools", 8);
    drop(upstream);
    stage.expect_stat("cluster.circuit_breakers.default.remaining_cx_pools", 9);
}

/// The first upstream that is connected to.
fn any(stage: &Stage<'_>) -> Peer {
    wait_for("a connection", || {
        stage.upstreams().find_map(Upstream::waiting).ok_or_else(|| "there is none".to_owned())
    })
}

fn http_pool_limit(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(REQUEST);
    let mut upstream = any(stage);
    upstream.answer(RESPONSE);
    note_response(stage, "from the first host", &mut client);
    stage.expect_stat("cluster.circuit_breakers.default.cx_pool_open", 1);
    client.send(REQUEST);
    note_response(stage, "instead of the second host", &mut client);
    stage.expect_stat("cluster.upstream_cx_pool_overflow", 1);
    client.send(REQUEST);
    upstream.answer(RESPONSE);
    note_response(stage, "from the first host again", &mut client);
    drop(upstream);
    stage.expect_stat("cluster.circuit_breakers.default.cx_pool_open", 0);
    client.send(REQUEST);
    let mut upstream = any(stage);
    upstream.answer(RESPONSE);
    note_response(stage, "from the second host", &mut client);
    drop(upstream);
    stage.expect_stat("cluster.upstream_cx_active", 0);
}

fn http_pool_limit_zero(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(REQUEST);
    stage.note_message("the client", &client.receive_response("GET"));
    stage.expect_stat("cluster.upstream_cx_pool_overflow", 1);
    stage.expect_stat("cluster.circuit_breakers.default.cx_pool_open", 0);
}

fn http_pool_limit_by_header(stage: &mut Stage<'_>) {
    let (mut first, mut second) = (stage.connect(), stage.connect());
    first.send(REQUEST);
    let mut upstream = stage.accept();
    skip_header(&mut upstream);
    upstream.answer(RESPONSE);
    note_response(stage, "the first client", &mut first);
    first.send(REQUEST);
    upstream.receive_request();
    // Not while the pool is idle: Envoy 1.40 crashes where it should end it then.
    second.send(REQUEST);
    note_response(stage, "another client", &mut second);
    stage.expect_stat("cluster.upstream_cx_pool_overflow", 1);
    upstream.send(RESPONSE);
    note_response(stage, "the first client, over the same connection", &mut first);
    drop(upstream);
    stage.expect_stat("cluster.circuit_breakers.default.cx_pool_open", 0);
    second.send(REQUEST);
    let mut upstream = stage.accept();
    skip_header(&mut upstream);
    upstream.answer(RESPONSE);
    note_response(stage, "the other client", &mut second);
    drop(upstream);
    stage.expect_stat("cluster.upstream_cx_active", 0);
}

/// Takes the PROXY header off.
fn skip_header(upstream: &mut Peer) {
    while upstream.receive(1) != b"\n" {}
}

fn tcp_pool_limit(stage: &mut Stage<'_>) {
    let (client, upstream) = connected(stage);
    stage.expect_stat("cluster.circuit_breakers.default.cx_pool_open", 0);
    end(client, upstream);
    stage.note_access_log(1);
}
