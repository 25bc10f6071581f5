//! `weighted_clusters` of `tcp_proxy`, and the order of what is checked before a connect.

use std::time::Duration;

use super::Scenario;
use super::plan::{Endpoint, Plan};
use super::stage::Stage;
use super::tcp_texts::{TcpProxy, cluster, http_listener};
use crate::patience::{pause, wait_for};
use crate::peer::Ending;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "weighted_clusters",
            shows: "C3, C4: one connection in four goes to the lighter cluster",
            plan: || {
                let clusters = [cluster("-a", "", &[0]), cluster("-b", "", &[1])];
                let endpoints = vec![Endpoint::serving(), Endpoint::serving()];
                Plan::template(ONE_TO_THREE.with(&clusters), endpoints)
            },
            script: weighted_clusters,
        },
        Scenario {
            name: "weighted_clusters_each_attempt",
            shows: "C3, C10: each attempt draws a cluster anew",
            plan: || {
                let clusters = [cluster("-a", "", &[0]), cluster("-b", "", &[1])];
                let endpoints = vec![Endpoint::refusing(), Endpoint::serving()];
                Plan::template(MANY_ATTEMPTS.with(&clusters), endpoints)
            },
            script: weighted_clusters_each_attempt,
        },
        Scenario {
            name: "weighted_clusters_unknown",
            shows: "C3, C6: a weighted cluster that does not exist; NC",
            plan: || Plan::template(UNKNOWN.with(&[]), Vec::new()),
            script: refused_at_once,
        },
        Scenario {
            name: "breaker_shut_one_attempt",
            shows: "C8: attempts are checked before the breaker; UF,URX",
            plan: || beside_http("cluster: $NAME"),
            script: breaker_shut_while_connecting,
        },
        Scenario {
            name: "breaker_shut_two_attempts",
            shows: "C8, D6: a breaker that was shut meanwhile, before the second attempt; UF,UO",
            plan: || beside_http("cluster: $NAME\nmax_connect_attempts: 2"),
            script: breaker_shut_while_connecting,
        },
    ]
}

/// A cluster of one connection, and a second listener that sends HTTP there: its pool has a
/// connection even where the breaker is shut (row D6).
fn beside_http(filter: &'static str) -> Plan {
    let limit = "connect_timeout: 2s\ncircuit_breakers: {thresholds: [{max_connections: 1}]}";
    let mut texts = TcpProxy { filter, ..TcpProxy::PLAIN }.with(&[cluster("", limit, &[0])]);
    texts.listeners.push_str(&http_listener("$LISTENER1", &[]).listeners);
    Plan::template(texts, vec![Endpoint::silent()])
}

const ONE_TO_THREE: TcpProxy = TcpProxy {
    filter: "weighted_clusters:\n  clusters:\n  - {name: $NAME-a, weight: 1}\n  \
             - {name: $NAME-b, weight: 3}",
    line: "%UPSTREAM_CLUSTER%",
    ..TcpProxy::PLAIN
};

const MANY_ATTEMPTS: TcpProxy = TcpProxy {
    filter: "max_connect_attempts: 100\nweighted_clusters:\n  clusters:\n  \
             - {name: $NAME-a, weight: 1}\n  - {name: $NAME-b, weight: 1}",
    line: "%UPSTREAM_CLUSTER%",
    ..TcpProxy::PLAIN
};

const UNKNOWN: TcpProxy = TcpProxy {
    filter: "weighted_clusters: {clusters: [{name: none, weight: 1}]}",
    ..TcpProxy::PLAIN
};

fn weighted_clusters(stage: &mut Stage<'_>) {
    const CONNECTIONS: usize = 400;
    let mut lighter = 0;
    for _ in 0..CONNECTIONS {
        lighter += usize::from(serve_one(stage) == 0);
    }
    // A hundred on average, with a deviation of 8.7: five of them are one in two million.
    assert!((57..=143).contains(&lighter), "{lighter} of {CONNECTIONS}");
    stage.note("shares", "as configured");
}

fn weighted_clusters_each_attempt(stage: &mut Stage<'_>) {
    for _ in 0..20 {
        serve_one(stage);
    }
    stage.note("connections served", 20);
}

/// Relays one connection; answers which upstream it met.
fn serve_one(stage: &Stage<'_>) -> usize {
    let upstreams: Vec<_> = stage.upstreams().collect();
    let mut client = stage.connect();
    client.send(b"?");
    client.finish_sending();
    let (index, mut upstream) = wait_for("an upstream to be chosen", || {
        let found =
            upstreams.iter().enumerate().find_map(|(index, one)| Some((index, one.waiting()?)));
        found.ok_or_else(|| "none was".to_owned())
    });
    assert_eq!(upstream.receive_to_end(), (b"?".to_vec(), Ending::Fin));
    drop(upstream);
    assert_eq!(client.ending(), Ending::Fin);
    index
}

fn breaker_shut_while_connecting(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    stage.expect_stat("cluster.upstream_cx_total", 1);
    // The connects are to fail one after the other.
    pause(Duration::from_millis(500));
    let mut http = stage.connect_to(1);
    http.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    stage.expect_stat("cluster.upstream_cx_total", 2);
    stage.note_end("the client", &client.receive_to_end());
    stage.note("the request was answered with", http.receive_response("GET").status());
    drop(http);
    stage.note_access_log(1);
}

fn refused_at_once(stage: &mut Stage<'_>) {
    stage.note_end("the client", &stage.connect().receive_to_end());
    stage.note_access_log(1);
}
