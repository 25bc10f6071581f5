//! How long a connection may last, and how long is waited between attempts to connect.

use std::time::Duration;

use super::Scenario;
use super::plan::{Endpoint, Plan};
use super::stage::Stage;
use super::tcp_texts::{LINE_WITHOUT_BYTES, TcpProxy, cluster};
use crate::patience::Deadline;
use crate::payload;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "max_duration",
            shows: "C2: closed at the limit even when busy; DT",
            plan: || limited(ONE_SECOND, Endpoint::serving()),
            script: max_duration,
        },
        Scenario {
            name: "max_duration_jitter",
            shows: "C2: max_downstream_connection_duration_jitter_percentage",
            plan: || limited(JITTERY, Endpoint::serving()),
            script: max_duration,
        },
        Scenario {
            name: "max_duration_while_connecting",
            shows: "C2: the duration begins with the accept",
            plan: || limited(ONE_SECOND, Endpoint::silent()),
            script: max_duration_while_connecting,
        },
        Scenario {
            name: "max_duration_stalled_client",
            shows: "A7, A8, C2, C22: what waits for the client is dropped, and no longer counted",
            plan: || limited(THREE_SECONDS, Endpoint::serving()),
            script: max_duration_stalled_client,
        },
        Scenario {
            name: "max_duration_stalled_upstream",
            shows: "A7, A8, C2, C22: what waits for the upstream is dropped, and no longer counted",
            plan: || limited(THREE_SECONDS, Endpoint::serving()),
            script: max_duration_stalled_upstream,
        },
        Scenario {
            name: "connect_backoff",
            shows: "C10: backoff_options: time passes between attempts",
            plan: || limited(BACKOFF, Endpoint::refusing()),
            script: connect_backoff,
        },
    ]
}

fn limited(filter: TcpProxy, endpoint: Endpoint) -> Plan {
    Plan::template(filter.with(&[cluster("", "", &[0])]), vec![endpoint])
}

const ONE_SECOND: TcpProxy = TcpProxy {
    filter: "cluster: $NAME\nmax_downstream_connection_duration: 1s",
    ..TcpProxy::PLAIN
};

/// Time enough to fill every buffer.
const THREE_SECONDS: TcpProxy = TcpProxy {
    filter: "cluster: $NAME\nmax_downstream_connection_duration: 3s",
    line: LINE_WITHOUT_BYTES,
    ..TcpProxy::PLAIN
};

const JITTERY: TcpProxy = TcpProxy {
    filter: "cluster: $NAME\nmax_downstream_connection_duration: 1s\n\
             max_downstream_connection_duration_jitter_percentage: {value: 50}",
    ..TcpProxy::PLAIN
};

/// Nineteen waits of a twentieth of a second on average.
const BACKOFF: TcpProxy = TcpProxy {
    filter: "cluster: $NAME\nmax_connect_attempts: 20\n\
             backoff_options: {base_interval: 0.1s, max_interval: 0.1s}",
    ..TcpProxy::PLAIN
};

fn max_duration(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    client.send(b"hello");
    assert_eq!(upstream.receive(5), b"hello");
    upstream.send(b"hi");
    assert_eq!(client.receive(2), b"hi");
    stage.note_end("the client", &client.receive_to_end());
    stage.note_end("the upstream", &upstream.receive_to_end());
    stage.expect_stat("tcp.max_downstream_connection_duration", 1);
    stage.note_access_log(1);
}

fn max_duration_while_connecting(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    stage.note_end("the client", &client.receive_to_end());
    stage.expect_stat("tcp.max_downstream_connection_duration", 1);
    stage.note_access_log(1);
}

/// More than sockets and proxy hold together.
fn max_duration_stalled_client(stage: &mut Stage<'_>) {
    let mut client = stage.connect_with_receive_buffer(16 * 1024);
    let mut upstream = stage.accept();
    // Sending goes on to the end, so that something waits at each place when the time is up.
    let sent = upstream.send_until_reset(&payload::block(3));
    stage.expect_stat("tcp.max_downstream_connection_duration", 1);
    let (received, ending) = client.receive_to_end();
    stage.note("the client received all", received.len() == sent);
    stage.note("the client ended by", ending);
    stage.note_access_log(1);
}

fn max_duration_stalled_upstream(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    let sent = client.send_until_reset(&payload::block(3));
    stage.expect_stat("tcp.max_downstream_connection_duration", 1);
    let (received, ending) = upstream.receive_to_end();
    stage.note("the upstream received all", received.len() == sent);
    stage.note("the upstream ended by", ending);
    stage.note_access_log(1);
}

fn connect_backoff(stage: &mut Stage<'_>) {
    // Of nineteen waits of 50 ms on average, the chance of less is below one in a million.
    let sooner = Deadline::after(Duration::from_millis(250));
    stage.note_end("the client", &stage.connect().receive_to_end());
    assert!(sooner.has_passed(), "too soon for twenty attempts with waits between");
    stage.expect_stat("cluster.upstream_cx_connect_fail", 20);
    stage.note_access_log(1);
}
