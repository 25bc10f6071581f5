//! Ends that come from time; elapsed time is what these scenarios are about.

use std::time::Duration;

use super::Scenario;
use super::plan::{Endpoint, Plan};
use super::stage::Stage;
use crate::configuration::More;
use crate::patience::pause;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "idle_timeout",
            shows: "C21: both sides are closed; idle_timeout",
            plan: || Plan::relay().with(More::tcp_proxy(&["idle_timeout: 1s"])),
            script: idle_timeout,
        },
        Scenario {
            name: "idle_timeout_after_half_close",
            shows: "C21: a half-closed connection idles out too",
            plan: || Plan::relay().with(More::tcp_proxy(&["idle_timeout: 1s"])),
            script: idle_timeout_after_half_close,
        },
        Scenario {
            name: "trickle_is_not_idle",
            shows: "C21: one-way traffic keeps a connection alive past its idle timeout",
            plan: || Plan::relay().with(More::tcp_proxy(&["idle_timeout: 5s"])),
            script: trickle_is_not_idle,
        },
        Scenario {
            name: "connect_timeout",
            shows: "A6: an upstream that never answers; upstream_cx_connect_timeout",
            plan: || {
                Plan::to(vec![Endpoint::silent()]).with(More::cluster(&["connect_timeout: 0.5s"]))
            },
            script: connect_timeout,
        },
        Scenario {
            name: "connect_timeout_then_next_host",
            shows: "C10: a timed-out attempt counts, and the next one succeeds",
            plan: || {
                Plan::to(vec![Endpoint::silent(), Endpoint::serving()]).with(More {
                    tcp_proxy: &["max_connect_attempts: 2"],
                    ..More::cluster(&["connect_timeout: 0.5s"])
                })
            },
            script: connect_timeout_then_next_host,
        },
    ]
}

fn idle_timeout(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    client.send(b"once");
    assert_eq!(upstream.receive(4), b"once");
    stage.note_end("the client", &client.receive_to_end());
    stage.note_end("the upstream", &upstream.receive_to_end());
    stage.expect_stat("tcp.idle_timeout", 1);
}

fn idle_timeout_after_half_close(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    client.finish_sending();
    stage.note_end("the upstream", &upstream.receive_to_end());
    stage.note_end("the client", &client.receive_to_end());
    stage.expect_stat("tcp.idle_timeout", 1);
}

fn trickle_is_not_idle(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    // Six seconds in all; each step is far enough from five to survive a slow machine.
    for _ in 0..12 {
        pause(Duration::from_millis(500));
        upstream.send(b".");
        assert_eq!(client.receive(1), b".");
    }
    stage.expect_stat("tcp.idle_timeout", 0);
    drop(upstream);
    stage.note_end("the client", &client.receive_to_end());
}

fn connect_timeout(stage: &mut Stage<'_>) {
    stage.note_end("the client", &stage.connect().receive_to_end());
    stage.expect_stat("cluster.upstream_cx_connect_timeout", 1);
}

fn connect_timeout_then_next_host(stage: &mut Stage<'_>) {
    stage.meet_failing_host("cluster.upstream_cx_connect_timeout");
    let (mut client, mut upstream) = stage.relayed();
    client.send(b"hello");
    assert_eq!(upstream.receive(5), b"hello");
    drop(upstream);
    stage.note_end("the client", &client.receive_to_end());
}
