//! One direction ends and the other goes on (rows A16, A22).

use super::Scenario;
use super::plan::Plan;
use super::stage::Stage;
use crate::payload;
use crate::peer::Ending;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "client_half_closes",
            shows: "A22: the upstream sees FIN after all data; the reply still flows back",
            plan: Plan::relay,
            script: client_half_closes,
        },
        Scenario {
            name: "upstream_half_closes",
            shows: "A22: the client sees FIN after all data; it still sends",
            plan: Plan::relay,
            script: upstream_half_closes,
        },
        Scenario {
            name: "client_sends_all_before_connected",
            shows: "A2, C1: data and FIN sent before the upstream is connected are not lost",
            plan: Plan::relay,
            script: client_sends_all_before_connected,
        },
        Scenario {
            name: "client_closes_with_data_pending",
            shows: "C22: bytes queued for a slow upstream still arrive after the client closed",
            plan: Plan::relay,
            script: client_closes_with_data_pending,
        },
    ]
}

fn client_half_closes(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    client.send(b"the whole request");
    client.finish_sending();
    let request = upstream.receive_to_end();
    assert_eq!(request, (b"the whole request".to_vec(), Ending::Fin));
    stage.note_end("the upstream", &request);
    // The connection lives on in the other direction, for more than one send.
    upstream.send(b"reply, ");
    assert_eq!(client.receive(7), b"reply, ");
    stage.expect_stat("listener.downstream_cx_active", 1);
    upstream.send(b"then more");
    drop(upstream);
    let reply = client.receive_to_end();
    assert_eq!(reply, (b"then more".to_vec(), Ending::Fin));
    stage.note_end("the client", &reply);
}

fn upstream_half_closes(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    upstream.send(b"all I have");
    upstream.finish_sending();
    let greeting = client.receive_to_end();
    assert_eq!(greeting, (b"all I have".to_vec(), Ending::Fin));
    stage.note_end("the client", &greeting);
    client.send(b"upload, ");
    assert_eq!(upstream.receive(8), b"upload, ");
    stage.expect_stat("cluster.upstream_cx_active", 1);
    // Data and FIN apart: whether Envoy counts upstream_flush_total depends on reading them at
    // once.
    client.send(b"then more");
    assert_eq!(upstream.receive(9), b"then more");
    drop(client);
    stage.note_end("the upstream", &upstream.receive_to_end());
}

fn client_sends_all_before_connected(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(b"no need to wait");
    client.finish_sending();
    let mut upstream = stage.accept();
    let request = upstream.receive_to_end();
    assert_eq!(request, (b"no need to wait".to_vec(), Ending::Fin));
    stage.note_end("the upstream", &request);
    upstream.send(b"indeed");
    drop(upstream);
    let reply = client.receive_to_end();
    assert_eq!(reply, (b"indeed".to_vec(), Ending::Fin));
    stage.note_end("the client", &reply);
}

fn client_closes_with_data_pending(stage: &mut Stage<'_>) {
    const COPIES: usize = 16;
    let (mut client, mut upstream) = stage.relayed();
    let block = payload::block(5);
    for _ in 0..COPIES {
        client.send(&block);
    }
    drop(client);
    let (received, ending) = upstream.receive_to_end();
    assert_eq!(received, block.repeat(COPIES));
    stage.note("the upstream received", payload::sha256(&received));
    stage.note("the upstream ended by", ending);
}
