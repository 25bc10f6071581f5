//! Which upstream is chosen, and what happens when none can be.

use super::Scenario;
use super::plan::{Endpoint, Plan};
use super::stage::Stage;
use crate::configuration::More;
use crate::patience::wait_for;
use crate::peer::Ending;
use crate::upstream::Upstream;

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
            name: "max_pending_requests",
            shows: "D7: nobody may wait for a connect; each attempt counts an overflow",
            plan: || {
                let more = More { tcp_proxy: &["max_connect_attempts: 3"], ..NOBODY_WAITS };
                Plan::relay().with(more)
            },
            script: max_pending_requests,
        },
        Scenario {
            name: "max_connect_attempts",
            shows: "C10: exactly three attempts; upstream_cx_connect_attempts_exceeded",
            plan: || {
                let endpoints = vec![Endpoint::refusing(), Endpoint::refusing()];
                Plan::to(endpoints).with(More::tcp_proxy(&["max_connect_attempts: 3"]))
            },
            script: max_connect_attempts,
        },
        Scenario {
            name: "second_attempt_succeeds",
            shows: "C10: the second attempt chooses another host",
            plan: || {
                let endpoints = vec![Endpoint::refusing(), Endpoint::serving()];
                Plan::to(endpoints).with(More::tcp_proxy(&["max_connect_attempts: 2"]))
            },
            script: second_attempt_succeeds,
        },
        Scenario {
            name: "round_robin",
            shows: "round robin: three hosts in turn, in the order of the file",
            plan: || Plan::to(vec![Endpoint::serving(), Endpoint::serving(), Endpoint::serving()]),
            script: round_robin,
        },
        Scenario {
            name: "weighted_round_robin",
            shows: "load_balancing_weight: three connections to one",
            plan: || {
                let more = More { weights: &[3, 1], ..More::NONE };
                Plan::to(vec![Endpoint::serving(), Endpoint::serving()]).with(more)
            },
            script: weighted_round_robin,
        },
    ]
}

const ONE_CONNECTION: More =
    More::cluster(&["circuit_breakers: {thresholds: [{max_connections: 1}]}"]);

const NOBODY_WAITS: More =
    More::cluster(&["circuit_breakers: {thresholds: [{max_pending_requests: 0}]}"]);

fn max_pending_requests(stage: &mut Stage<'_>) {
    stage.note_end("the client", &stage.connect().receive_to_end());
    stage.expect_stat("cluster.upstream_rq_pending_overflow", 3);
    stage.expect_stat("cluster.upstream_cx_connect_attempts_exceeded", 1);
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
    let order = serve_in_turn(stage, 6);
    // Each worker starts its turn at a random host.
    let turns: Vec<_> = order.iter().map(|index| (index + 3 - order[0]) % 3).collect();
    assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
    stage.note("the order from the first", format!("{turns:?}"));
}

fn weighted_round_robin(stage: &mut Stage<'_>) {
    let order = serve_in_turn(stage, 12);
    // Seen from the light host on, because a worker starts anywhere in its turn.
    let light = order.iter().position(|index| *index == 1).unwrap();
    let turn = &order[light..light + 4];
    assert_eq!(turn, [1, 0, 0, 0]);
    let heavy = order.iter().filter(|index| **index == 0).count();
    assert_eq!(heavy, 9);
    stage.note("the order from the light host", format!("{turn:?}"));
}

/// Relays connections one after the other; answers which endpoint served each.
fn serve_in_turn(stage: &Stage<'_>, connections: usize) -> Vec<usize> {
    let upstreams: Vec<_> = stage.upstreams().collect();
    let serve = |_| {
        let mut client = stage.connect();
        client.send(b"?");
        client.finish_sending();
        let (index, mut upstream) = wait_for("an upstream to be chosen", || {
            let waiting = |(index, upstream): (_, &&Upstream)| Some((index, upstream.waiting()?));
            upstreams.iter().enumerate().find_map(waiting).ok_or_else(|| "none was".to_owned())
        });
        assert_eq!(upstream.receive_to_end(), (b"?".to_vec(), Ending::Fin));
        drop(upstream);
        assert_eq!(client.ending(), Ending::Fin);
        index
    };
    (0..connections).map(serve).collect()
}
