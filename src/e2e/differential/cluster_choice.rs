//! Which upstream is chosen, and what happens when none can be.

use super::Scenario;
use super::stage::{Endpoint, Plan, Stage};
use crate::configuration::More;
use crate::peer::Ending;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "refused",
            shows: "A6: a refused upstream; upstream_cx_connect_fail",
            plan: || Plan::to(vec![Endpoint::refusing()]),
            script: refused,
        },
        Scenario {
            name: "unknown_cluster",
            shows: "C6: closed; downstream_cx_no_route",
            plan: Plan::to_unknown_cluster,
            script: unknown_cluster,
        },
        Scenario {
            name: "no_endpoints",
            shows: "C14: closed; upstream_cx_none_healthy",
            plan: || Plan::to(Vec::new()),
            script: no_endpoints,
        },
        Scenario {
            name: "max_connections",
            shows: "C9: the second connection is closed at once; upstream_cx_overflow",
            plan: || Plan::relay().with(ONE_CONNECTION),
            script: max_connections,
        },
        Scenario {
            name: "max_connect_attempts",
            shows: "C10: exactly three attempts; upstream_cx_connect_attempts_exceeded",
            plan: || {
                let endpoints = vec![Endpoint::refusing(), Endpoint::refusing()];
                Plan::to(endpoints).with(attempts(&["max_connect_attempts: 3"]))
            },
            script: max_connect_attempts,
        },
        Scenario {
            name: "second_attempt_succeeds",
            shows: "C10: the second attempt chooses another host",
            plan: || {
                let endpoints = vec![Endpoint::refusing(), Endpoint::serving()];
                Plan::to(endpoints).with(attempts(&["max_connect_attempts: 2"]))
            },
            script: second_attempt_succeeds,
        },
        Scenario {
            name: "round_robin",
            shows: "three hosts in turn, in the order of the file",
            plan: || {
                Plan::to(vec![
                    Endpoint::serving(),
                    Endpoint::serving(),
                    Endpoint::serving(),
                ])
            },
            script: round_robin,
        },
    ]
}

const ONE_CONNECTION: More = More {
    listener: &[],
    tcp_proxy: &[],
    cluster: &["circuit_breakers: {thresholds: [{max_connections: 1}]}"],
};

const fn attempts(tcp_proxy: &'static [&'static str]) -> More {
    More {
        listener: &[],
        tcp_proxy,
        cluster: &[],
    }
}

fn refused(stage: &mut Stage<'_>) {
    stage.note_end("the client", &stage.connect().receive_to_end());
    stage.expect_stat("cluster.upstream_cx_connect_fail", 1);
}

fn unknown_cluster(stage: &mut Stage<'_>) {
    stage.note_end("the client", &stage.connect().receive_to_end());
    stage.expect_stat("tcp.downstream_cx_no_route", 1);
}

fn no_endpoints(stage: &mut Stage<'_>) {
    stage.note_end("the client", &stage.connect().receive_to_end());
    stage.expect_stat("cluster.upstream_cx_none_healthy", 1);
}

fn max_connections(stage: &mut Stage<'_>) {
    let (mut first, mut upstream) = stage.relayed();
    first.send(b"first");
    assert_eq!(upstream.receive(5), b"first");
    stage.expect_stat("cluster.circuit_breakers.default.cx_open", 1);
    stage.note_end("the second client", &stage.connect().receive_to_end());
    stage.expect_stat("cluster.upstream_cx_overflow", 1);
    // The first one is unhurt, and its end makes room again.
    upstream.send(b"reply");
    assert_eq!(first.receive(5), b"reply");
    drop(first);
    assert_eq!(upstream.ending(), Ending::Fin);
    drop(upstream);
    stage.expect_stat("cluster.upstream_cx_active", 0);
    let (mut third, mut upstream) = stage.relayed();
    upstream.send(b"again");
    drop(upstream);
    stage.note_end("the third client", &third.receive_to_end());
}

fn max_connect_attempts(stage: &mut Stage<'_>) {
    stage.note_end("the client", &stage.connect().receive_to_end());
    stage.expect_stat("cluster.upstream_cx_connect_fail", 3);
    stage.expect_stat("cluster.upstream_cx_connect_attempts_exceeded", 1);
}

fn second_attempt_succeeds(stage: &mut Stage<'_>) {
    stage.meet_failing_host("cluster.upstream_cx_connect_fail");
    for _ in 0..2 {
        let (mut client, mut upstream) = stage.relayed();
        client.send(b"hello");
        assert_eq!(upstream.receive(5), b"hello");
        drop(upstream);
        stage.note_end("the client", &client.receive_to_end());
    }
}

fn round_robin(stage: &mut Stage<'_>) {
    let upstreams: Vec<_> = stage.upstreams().collect();
    let mut order = Vec::new();
    for _ in 0..upstreams.len() * 2 {
        let mut client = stage.connect();
        client.send(b"?");
        client.finish_sending();
        let chosen = crate::patience::wait_for("an upstream to be chosen", || {
            let found = upstreams
                .iter()
                .enumerate()
                .find_map(|(i, up)| Some((i, up.waiting()?)));
            found.ok_or_else(|| "none was".to_owned())
        });
        let (index, mut upstream) = chosen;
        assert_eq!(upstream.receive_to_end(), (b"?".to_vec(), Ending::Fin));
        drop(upstream);
        assert_eq!(client.ending(), Ending::Fin);
        order.push(index);
    }
    // Each worker starts its turn at a random host.
    let first = order[0];
    let turns: Vec<_> = order.iter().map(|index| (index + 3 - first) % 3).collect();
    assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
    stage.note("the order from the first", format!("{turns:?}"));
}
