//! Bytes of a client that come before its upstream connection: `upstream_connect_mode` and
//! `max_early_data_bytes`.

use super::Scenario;
use super::plan::{Endpoint, Plan};
use super::stage::Stage;
use super::tcp_texts::{TcpProxy, cluster};
use crate::peer::Ending;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "early_data",
            shows: "C1: ON_DOWNSTREAM_DATA connects for the first bytes, which go first",
            plan: || plan(AWAITED, "", Endpoint::serving()),
            script: early_data,
        },
        Scenario {
            name: "early_data_zero",
            shows: "C1: a limit of 0 takes the first bytes all the same",
            plan: || plan(AWAITED_ZERO, "", Endpoint::serving()),
            script: early_data,
        },
        Scenario {
            name: "early_data_and_end",
            shows: "C1: the client's end is passed on behind its early bytes",
            plan: || plan(AWAITED, "", Endpoint::serving()),
            script: early_data_and_end,
        },
        Scenario {
            name: "early_data_reset",
            shows: "C1: a client that resets instead of sending",
            plan: || plan(AWAITED, "", Endpoint::serving()),
            script: early_data_reset,
        },
        Scenario {
            name: "early_data_idle",
            shows: "C21: idle_timeout ends the wait for the first bytes",
            plan: || plan(AWAITED_IDLE, "", Endpoint::serving()),
            script: early_data_idle,
        },
        Scenario {
            name: "early_data_refused",
            shows: "C10: two attempts, begun by the first bytes, which count",
            plan: || plan(AWAITED_TWICE, "", Endpoint::refusing()),
            script: early_data_refused,
        },
        Scenario {
            name: "early_data_client_leaves",
            shows: "C1: a client that ends its side while upstream is connected to",
            plan: || plan(AWAITED, "connect_timeout: 2s", Endpoint::silent()),
            script: early_data_client_leaves,
        },
        Scenario {
            name: "early_data_client_resets",
            shows: "C1: a client that resets while upstream is connected to ends that",
            plan: || plan(AWAITED, "connect_timeout: 30s", Endpoint::silent()),
            script: early_data_client_resets,
        },
        Scenario {
            name: "early_data_immediate",
            shows: "C1: max_early_data_bytes alone waits for nothing; server first",
            plan: || plan("cluster: $NAME\nmax_early_data_bytes: 100", "", Endpoint::serving()),
            script: early_data_immediate,
        },
        Scenario {
            name: "early_data_no_handshake",
            shows: "C1: ON_DOWNSTREAM_TLS_HANDSHAKE without TLS waits for nothing",
            plan: || plan(NO_HANDSHAKE, "", Endpoint::serving()),
            script: early_data_immediate,
        },
    ]
}

const AWAITED: &str = "cluster: $NAME\nupstream_connect_mode: ON_DOWNSTREAM_DATA\n\
     max_early_data_bytes: 100";

const AWAITED_ZERO: &str = "cluster: $NAME\nupstream_connect_mode: ON_DOWNSTREAM_DATA\n\
     max_early_data_bytes: 0";

const AWAITED_IDLE: &str = "cluster: $NAME\nupstream_connect_mode: ON_DOWNSTREAM_DATA\n\
     max_early_data_bytes: 100\nidle_timeout: 0.3s";

const AWAITED_TWICE: &str = "cluster: $NAME\nupstream_connect_mode: ON_DOWNSTREAM_DATA\n\
     max_early_data_bytes: 100\nmax_connect_attempts: 2";

const NO_HANDSHAKE: &str = "cluster: $NAME\n\
     upstream_connect_mode: ON_DOWNSTREAM_TLS_HANDSHAKE\nmax_early_data_bytes: 100";

fn plan(filter: &'static str, fields: &str, endpoint: Endpoint) -> Plan {
    let texts = TcpProxy { filter, ..TcpProxy::PLAIN }.with(&[cluster("", fields, &[0])]);
    Plan::template(texts, vec![endpoint])
}

fn early_data(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    stage.expect_stat("tcp.downstream_cx_total", 1);
    stage.expect_stat("cluster.upstream_cx_total", 0);
    client.send(b"first");
    let mut upstream = stage.accept();
    assert_eq!(upstream.receive(5), b"first");
    stage.expect_stat("tcp.early_data_received_count_total", 1);
    upstream.send(b"reply");
    assert_eq!(client.receive(5), b"reply");
    client.send(b"more");
    assert_eq!(upstream.receive(4), b"more");
    drop(upstream);
    assert_eq!(client.ending(), Ending::Fin);
    drop(client);
    stage.note_access_log(1);
}

fn early_data_and_end(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(b"all");
    client.finish_sending();
    let mut upstream = stage.accept();
    assert_eq!(upstream.receive_to_end(), (b"all".to_vec(), Ending::Fin));
    upstream.send(b"reply");
    drop(upstream);
    stage.note_end("the client", &client.receive_to_end());
    stage.note_access_log(1);
}

fn early_data_reset(stage: &mut Stage<'_>) {
    let client = stage.connect();
    stage.expect_stat("tcp.downstream_cx_total", 1);
    client.reset();
    stage.expect_stat("listener.downstream_cx_active", 0);
    stage.note_access_log(1);
}

fn early_data_idle(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    stage.note_end("the client", &client.receive_to_end());
    stage.expect_stat("tcp.idle_timeout", 1);
    stage.note_access_log(1);
}

fn early_data_refused(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(b"first");
    stage.note_end("the client", &client.receive_to_end());
    stage.expect_stat("cluster.upstream_cx_connect_fail", 2);
    stage.expect_stat("tcp.downstream_cx_rx_bytes_total", 5);
    stage.note_access_log(1);
}

fn early_data_client_leaves(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(b"first");
    stage.expect_stat("cluster.upstream_rq_pending_active", 1);
    client.finish_sending();
    stage.expect_stat("tcp.early_data_received_count_total", 2);
    stage.note_end("the client", &client.receive_to_end());
    stage.expect_stat("cluster.upstream_cx_connect_timeout", 1);
    stage.note_access_log(1);
}

fn early_data_client_resets(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(b"first");
    stage.expect_stat("cluster.upstream_rq_pending_active", 1);
    client.reset();
    stage.expect_stat("cluster.upstream_rq_cancelled", 1);
    stage.note_access_log(1);
}

fn early_data_immediate(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    upstream.send(b"banner");
    assert_eq!(client.receive(6), b"banner");
    client.send(b"first");
    assert_eq!(upstream.receive(5), b"first");
    drop(client);
    assert_eq!(upstream.ending(), Ending::Fin);
    drop(upstream);
    stage.note_access_log(1);
}
