//! Circuit breakers, preconnecting and the queue for connections: how many a cluster gets, and who
//! gets them.

use super::Scenario;
use super::plan::{Endpoint, Plan};
use super::stage::Stage;
use super::tcp_texts::{TcpProxy, cluster, http_listener};
use crate::patience::wait_for;
use crate::peer::{Ending, Peer};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "track_remaining",
            shows: "D13: what is left of each limit, counted down and up again",
            plan: || {
                relay(
                    "circuit_breakers: {thresholds: [{max_connections: 3, max_requests: 5, \
                     max_retries: 7, max_pending_requests: 9, track_remaining: true}]}",
                )
            },
            script: track_remaining,
        },
        Scenario {
            name: "zero_limits",
            shows: "C9: limits of zero",
            plan: || {
                relay(
                    "circuit_breakers: {thresholds: [{max_connections: 0, max_requests: 0, \
                     max_retries: 0, max_pending_requests: 0, track_remaining: true}]}",
                )
            },
            script: zero_limits,
        },
        Scenario {
            name: "one_request",
            shows: "D13: max_requests counts TCP connections and does not hold them up",
            plan: || {
                relay("circuit_breakers: {thresholds: [{max_requests: 1, track_remaining: true}]}")
            },
            script: one_request,
        },
        Scenario {
            name: "high_limits",
            shows: "D13: thresholds of priority HIGH are others",
            plan: || {
                relay(
                    "circuit_breakers: {thresholds: [{priority: HIGH, max_connections: 1, \
                     max_retries: 0, track_remaining: true}]}",
                )
            },
            script: high_limits,
        },
        Scenario {
            name: "preconnect",
            shows: "C18, D3, D4: half a connection waits for each in use; its banner is kept",
            plan: || relay("preconnect_policy: {per_upstream_preconnect_ratio: 1.5}"),
            script: preconnect,
        },
        Scenario {
            name: "preconnect_breaker",
            shows: "C9, D3: preconnecting ends at the breaker, which is shut for others then",
            plan: || {
                relay(
                    "preconnect_policy: {per_upstream_preconnect_ratio: 3}\n\
                     circuit_breakers: {thresholds: [{max_connections: 2}]}",
                )
            },
            script: preconnect_breaker,
        },
        Scenario {
            name: "preconnect_idle",
            shows: "D3: TcpProtocolOptions.idle_timeout ends what nobody has used",
            plan: || relay(IMPATIENT),
            script: preconnect_idle,
        },
        Scenario {
            name: "http_preconnect",
            shows: "D3, D4, D12: for each two connections that are used, one waits",
            plan: || {
                http("preconnect_policy: {per_upstream_preconnect_ratio: 1.5}", Endpoint::serving())
            },
            script: http_preconnect,
        },
        Scenario {
            name: "http_preconnect_breaker",
            shows: "D3, D6: preconnecting ends at the breaker, and each time is counted",
            plan: || {
                let fields = "preconnect_policy: {per_upstream_preconnect_ratio: 3}\n\
                              circuit_breakers: {thresholds: [{max_connections: 2}]}";
                http(fields, Endpoint::serving())
            },
            script: http_preconnect_breaker,
        },
        Scenario {
            name: "http_queue_in_order",
            shows: "D15: who has waited longest gets the connection first",
            plan: || {
                let fields = "circuit_breakers: {thresholds: [{max_connections: 1}]}";
                http(fields, Endpoint::serving())
            },
            script: http_queue_in_order,
        },
        Scenario {
            name: "http_connect_failure_fails_all",
            shows: "D14: one failed connect fails everybody who waits",
            plan: || {
                let fields = "connect_timeout: 5s\n\
                              circuit_breakers: {thresholds: [{max_connections: 1}]}";
                http(fields, Endpoint::silent())
            },
            script: http_connect_failure_fails_all,
        },
    ]
}

fn relay(fields: &str) -> Plan {
    Plan::template(TcpProxy::PLAIN.with(&[cluster("", fields, &[0])]), vec![Endpoint::serving()])
}

fn http(fields: &str, endpoint: Endpoint) -> Plan {
    Plan::template(http_listener("$LISTENER", &[cluster("", fields, &[0])]), vec![endpoint])
}

fn track_remaining(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    client.send(b"first");
    assert_eq!(upstream.receive(5), b"first");
    for (name, value) in [("cx", 2), ("rq", 4), ("pending", 9), ("retries", 7)] {
        stage.expect_stat(&format!("cluster.circuit_breakers.default.remaining_{name}"), value);
    }
    drop(client);
    assert_eq!(upstream.ending(), Ending::Fin);
    drop(upstream);
    stage.note_access_log(1);
}

fn zero_limits(stage: &mut Stage<'_>) {
    stage.note_end("the client", &stage.connect().receive_to_end());
    stage.note_access_log(1);
}

fn one_request(stage: &mut Stage<'_>) {
    let both = [stage.relayed(), stage.relayed()];
    stage.expect_stat("cluster.circuit_breakers.default.rq_open", 1);
    end_both(stage, both);
    stage.expect_stat("cluster.circuit_breakers.default.rq_open", 0);
}

fn high_limits(stage: &mut Stage<'_>) {
    let both = [stage.relayed(), stage.relayed()];
    end_both(stage, both);
}

fn end_both(stage: &Stage<'_>, both: [(Peer, Peer); 2]) {
    stage.expect_stat("cluster.upstream_cx_active", 2);
    for (client, mut upstream) in both {
        drop(client);
        assert_eq!(upstream.ending(), Ending::Fin);
    }
    stage.note_access_log(2);
}

const IMPATIENT: &str = "preconnect_policy: {per_upstream_preconnect_ratio: 2}\n\
     typed_extension_protocol_options:\n  \
     envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions:\n    \"@type\": \
     type.googleapis.com/envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions\n    \
     idle_timeout: 1s";

fn preconnect(stage: &mut Stage<'_>) {
    let mut first = stage.connect();
    let mut upstreams = vec![stage.accept(), stage.accept()];
    stage.expect_stat("cluster.upstream_rq_active", 1);
    first.send(b"first");
    wait_for("bytes at either", || {
        upstreams.iter().any(Peer::has_bytes).then_some(()).ok_or_else(String::new)
    });
    // The other one is not in use yet.
    let used = upstreams.iter().position(Peer::has_bytes).unwrap();
    let mut used = upstreams.remove(used);
    assert_eq!(used.receive(5), b"first");
    let mut waiting = upstreams.remove(0);
    waiting.send(b"banner");
    let mut second = stage.connect();
    assert_eq!(second.receive(6), b"banner");
    stage.expect_stat("cluster.upstream_rq_active", 2);
    stage.expect_stat("cluster.upstream_cx_active", 3);
    let third = stage.accept();
    for (mut client, upstream) in [(first, used), (second, waiting)] {
        drop(upstream);
        assert_eq!(client.ending(), Ending::Fin);
        drop(client);
    }
    stage.expect_stat("cluster.upstream_cx_active", 1);
    drop(third);
    stage.expect_stat("cluster.upstream_cx_active", 0);
    stage.note_access_log(2);
}

fn preconnect_breaker(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    stage.expect_stat("cluster.upstream_rq_active", 1);
    let upstreams = [stage.accept(), stage.accept()];
    stage.expect_stat("cluster.circuit_breakers.default.cx_open", 1);
    stage.note_end("the second client", &stage.connect().receive_to_end());
    drop(upstreams);
    assert_eq!(client.ending(), Ending::Fin);
    drop(client);
    stage.expect_stat("cluster.upstream_cx_active", 0);
    stage.note_access_log(2);
}

fn preconnect_idle(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    stage.expect_stat("cluster.upstream_rq_active", 1);
    let upstreams = [stage.accept(), stage.accept()];
    stage.expect_stat("cluster.upstream_cx_idle_timeout", 1);
    stage.expect_stat("cluster.upstream_cx_active", 1);
    drop(upstreams);
    assert_eq!(client.ending(), Ending::Fin);
    drop(client);
    stage.note_access_log(1);
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Sends a request on a connection of its own.
fn request(stage: &Stage<'_>) -> Peer {
    let mut client = stage.connect();
    client.send(REQUEST);
    client
}

fn http_preconnect(stage: &mut Stage<'_>) {
    let (mut clients, mut upstreams) = (Vec::new(), Vec::new());
    for (used, all) in [(1, 2), (2, 3), (3, 5), (4, 6)] {
        clients.push(request(stage));
        stage.expect_stat("cluster.upstream_rq_active", used);
        stage.expect_stat("cluster.upstream_cx_active", all);
        while (upstreams.len() as u64) < all {
            upstreams.push(stage.accept());
        }
    }
    for client in clients {
        client.reset();
    }
    stage.expect_stat("cluster.upstream_rq_active", 0);
    stage.expect_stat("cluster.upstream_cx_active", 2);
    // Nothing else would end those that wait.
    drop(upstreams);
    stage.expect_stat("cluster.upstream_cx_active", 0);
}

fn http_preconnect_breaker(stage: &mut Stage<'_>) {
    let mut client = request(stage);
    stage.expect_stat("cluster.upstream_rq_active", 1);
    stage.expect_stat("cluster.upstream_cx_active", 2);
    let mut upstreams = [stage.accept(), stage.accept()];
    stage.expect_stat("cluster.circuit_breakers.default.cx_open", 1);
    for upstream in &mut upstreams {
        if upstream.has_bytes() {
            upstream.send(RESPONSE);
        }
    }
    stage.note_message("the client", &client.receive_response("GET"));
    drop(client);
    drop(upstreams);
    stage.expect_stat("cluster.upstream_cx_active", 0);
}

fn http_queue_in_order(stage: &mut Stage<'_>) {
    let mut first = request(stage);
    let mut upstream = stage.accept();
    upstream.receive_request();
    let mut waiting = Vec::new();
    for place in 1..=4 {
        waiting.push(request(stage));
        stage.expect_stat("cluster.upstream_rq_pending_active", place);
    }
    upstream.send(RESPONSE);
    stage.note_message("the first client", &first.receive_response("GET"));
    for mut client in waiting {
        upstream.receive_request();
        upstream.send(RESPONSE);
        // If another had been served, this one would wait for ever.
        stage.note_message("the next client", &client.receive_response("GET"));
    }
    drop(first);
    drop(upstream);
    stage.expect_stat("cluster.upstream_cx_active", 0);
}

fn http_connect_failure_fails_all(stage: &mut Stage<'_>) {
    let mut clients = Vec::new();
    for place in 1..=3 {
        clients.push(request(stage));
        stage.expect_stat("cluster.upstream_rq_pending_active", place);
    }
    for mut client in clients {
        let response = client.receive_response("GET");
        stage.note("the response is", response.status());
    }
    stage.expect_stat("cluster.upstream_cx_connect_timeout", 1);
}
