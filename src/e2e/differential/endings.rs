//! Who ends a connection, how, and what the other side sees of it.

use super::Scenario;
use super::plan::{Endpoint, Plan};
use super::stage::Stage;
use crate::configuration::More;
use crate::payload;
use crate::peer::Ending;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "upstream_closes_first",
            shows: "A8, A16: the last bytes before FIN are always forwarded",
            plan: Plan::relay,
            script: upstream_closes_first,
        },
        Scenario {
            name: "client_closes_at_once",
            shows: "A17: a connection that carries nothing ends on both sides",
            plan: Plan::relay,
            script: client_closes_at_once,
        },
        Scenario {
            name: "upstream_closes_at_once",
            shows: "A17: the same from the other side",
            plan: Plan::relay,
            script: upstream_closes_at_once,
        },
        Scenario {
            name: "client_sends_to_closed_upstream",
            shows: "A22: bytes for an upstream that is gone",
            plan: Plan::relay,
            script: client_sends_to_closed_upstream,
        },
        Scenario {
            name: "upstream_resets",
            shows: "A16: RST from the upstream, as the client sees it",
            plan: Plan::relay,
            script: upstream_resets,
        },
        Scenario {
            name: "client_resets",
            shows: "A16: RST from the client, as the upstream sees it",
            plan: Plan::relay,
            script: client_resets,
        },
        Scenario {
            name: "client_resets_after_half_close",
            shows: "A22: RST from a client that had sent FIN",
            plan: Plan::relay,
            script: client_resets_after_half_close,
        },
        Scenario {
            name: "client_resets_while_connecting",
            shows: "A4, C1: the client leaves before the upstream answered",
            plan: || Plan::to(vec![Endpoint::silent()]),
            script: client_resets_while_connecting,
        },
        Scenario {
            name: "client_finishes_while_connecting",
            shows: "C1: FIN does not end a connection whose upstream has not answered yet",
            plan: || {
                Plan::to(vec![Endpoint::silent()]).with(More::cluster(&["connect_timeout: 1s"]))
            },
            script: client_finishes_while_connecting,
        },
    ]
}

fn upstream_closes_first(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    client.send(b"GET");
    assert_eq!(upstream.receive(3), b"GET");
    let block = payload::block(6);
    upstream.send(&block);
    drop(upstream);
    let (received, ending) = client.receive_to_end();
    assert_eq!((&received, ending), (&block, Ending::Fin));
    stage.note("the client received", payload::sha256(&received));
    stage.note("the client ended by", ending);
}

fn client_closes_at_once(stage: &mut Stage<'_>) {
    let (client, mut upstream) = stage.relayed();
    drop(client);
    stage.note_end("the upstream", &upstream.receive_to_end());
}

fn upstream_closes_at_once(stage: &mut Stage<'_>) {
    let (mut client, upstream) = stage.relayed();
    drop(upstream);
    stage.note_end("the client", &client.receive_to_end());
}

fn client_sends_to_closed_upstream(stage: &mut Stage<'_>) {
    let (mut client, upstream) = stage.relayed();
    drop(upstream);
    assert_eq!(client.ending(), Ending::Fin);
    // The proxy may still send; the upstream's kernel answers with RST, which Envoy meets when it
    // sends again.
    client.send(b"anyone there?");
    stage.expect_stat("cluster.upstream_cx_tx_bytes_total", 13);
    client.send_even_if_closed(b"hello?");
    stage.expect_stat("listener.downstream_cx_active", 0);
}

fn upstream_resets(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    client.send(b"GET");
    assert_eq!(upstream.receive(3), b"GET");
    upstream.reset();
    stage.note_end("the client", &client.receive_to_end());
}

fn client_resets(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    upstream.send(b"220");
    assert_eq!(client.receive(3), b"220");
    client.reset();
    stage.note_end("the upstream", &upstream.receive_to_end());
}

fn client_resets_after_half_close(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    client.send(b"request");
    client.finish_sending();
    let request = upstream.receive_to_end();
    assert_eq!(request, (b"request".to_vec(), Ending::Fin));
    stage.note_end("the upstream", &request);
    client.reset();
    // Envoy learns of the RST only when it sends, so the upstream gives it something to send.
    upstream.send_even_if_closed(b"reply");
    stage.expect_stat("listener.downstream_cx_active", 0);
    stage.expect_stat("cluster.upstream_cx_active", 0);
}

fn client_resets_while_connecting(stage: &mut Stage<'_>) {
    let client = stage.connect();
    stage.expect_stat("cluster.upstream_cx_total", 1);
    client.reset();
    stage.expect_stat("listener.downstream_cx_active", 0);
}

fn client_finishes_while_connecting(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    stage.expect_stat("cluster.upstream_cx_total", 1);
    client.finish_sending();
    stage.note_end("the client", &client.receive_to_end());
    stage.expect_stat("cluster.upstream_cx_connect_timeout", 1);
}
