//! Work is spread: every worker takes connections.

use crate::address::ListenerAddress;
use crate::configuration::{Route, bootstrap};
use crate::environment;
use crate::patience::wait_for;
use crate::peer::Peer;
use crate::proxy::Proxy;
use crate::upstream::Upstream;

/// If this fails, a worker sits idle: SO_REUSEPORT, or what is accepted, is not spread.
#[test]
fn both_workers_take_connections() {
    // The kernel spreads by hash: 64 on one side of two happens once in 2^63 runs.
    const CONNECTIONS: u64 = 64;
    let listener = ListenerAddress::reserve();
    let upstream = Upstream::listen();
    let route = Route::relay("spread", listener.address, &[upstream.address()]);
    let text = bootstrap(std::slice::from_ref(&route));
    let proxy = Proxy::start(&environment::subject(), &text, &["--concurrency", "2"]);
    let _open: Vec<_> =
        (0..CONNECTIONS).map(|_| (Peer::connect(listener.address), upstream.accept())).collect();

    for stat in ["downstream_cx_total", "downstream_cx_active"] {
        let [first, second] = wait_for("each connection to be counted by its worker", || {
            let stats = proxy.stats();
            let by_worker = [0, 1].map(|worker| {
                stats.value(&route.listener_stat(&format!("worker_{worker}.{stat}")))
            });
            match by_worker {
                [Some(first), Some(second)] if first + second == CONNECTIONS => Ok([first, second]),
                other => Err(format!("{stat} by worker: {other:?}")),
            }
        });
        assert!(first > 0 && second > 0, "{stat}: {first} on one worker, {second} on the other");
    }
}
