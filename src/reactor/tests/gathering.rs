//! Whether a wait lets completions gather, on a scripted kernel.

use std::time::Duration;

use super::stage::{NEW, Probe, Stage, only_key};
use crate::Features;
use crate::driver::Wait;

/// The last wait after turns of 5 receives each, 0.1 ms apart, from so many peers in rotation.
fn wait_with(features: Features, peers: usize) -> Wait {
    let stage = Stage::with_buffers(features, 32, 64);
    stage.script.stop_clock();
    let probe = Probe::default();
    let lines: Vec<_> = (0..peers).map(|_| stage.line(1000)).collect();
    let keys: Vec<_> = lines
        .iter()
        .map(|line| {
            assert!(line.receiver.poll_recv(&probe.context(), 100).is_pending());
            only_key(&stage.turn())
        })
        .collect();
    let mut turns = keys.iter().zip(&lines).cycle();
    for _ in 0..40 {
        let heard: Vec<_> = turns.by_ref().take(5).collect();
        for (key, _) in &heard {
            stage.script.deliver(**key, b"x");
        }
        stage.script.pass_time(Duration::from_micros(100));
        stage.step();
        for (_, line) in heard {
            assert!(line.receiver.poll_recv(&probe.context(), 100).is_ready());
        }
    }
    stage.step();
    let wait = stage.script.last_wait();
    drop(lines);
    stage.end();
    wait
}

#[test]
fn a_busy_worker_with_many_active_peers_waits_for_as_many_as_came_last() {
    assert!(matches!(wait_with(NEW, 20), Wait::Gathering { count: 5, .. }));
    assert_eq!(wait_with(NEW, 10), Wait::Forever, "half of its peers may wait for it");
    let old = Features { minimum_wait: false, ..NEW };
    assert_eq!(wait_with(old, 20), Wait::Forever);
}
