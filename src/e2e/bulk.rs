//! Bulk in both directions at once, beside receivers that stopped for good.

use std::thread;
use std::time::Duration;

use crate::address::ListenerAddress;
use crate::configuration::{Route, bootstrap};
use crate::environment;
use crate::payload;
use crate::peer::Peer;
use crate::proxy::Proxy;
use crate::upstream::Upstream;

/// Connections; the last of them has receivers that never read, on both sides.
const CONNECTIONS: u64 = 10;

/// What the proxy may hold in memory at most, however much passes through it.
const RESIDENT_BYTES_MAX: u64 = 100 * 1024 * 1024;

/// If this fails, bulk data is damaged or lost, stalled receivers hurt others, or memory grows
/// with the traffic.
#[test]
fn bulk_passes_whole_beside_stalled_receivers() {
    let bytes = environment::size("NUNCIO_BULK_BYTES", 128 * 1024 * 1024) / (CONNECTIONS - 1);
    let listener = ListenerAddress::reserve();
    let upstream = Upstream::listen();
    let route = Route::relay("bulk", listener.address, &[upstream.address()]);
    let text = bootstrap(std::slice::from_ref(&route));
    let proxy = Proxy::start(&environment::subject(), &text, &["--concurrency", "2"]);
    let relayed = || (Peer::connect(listener.address), upstream.accept());

    let (mut stalled_client, mut stalled_upstream) = relayed();
    let pairs: Vec<_> = (1..CONNECTIONS).map(|_| relayed()).collect();
    thread::scope(|scope| {
        // Both push until nothing more is taken, and then stay as they are.
        scope.spawn(|| push_until_stalled(&mut stalled_client));
        scope.spawn(|| push_until_stalled(&mut stalled_upstream));
        let transfers: Vec<_> = pairs
            .iter()
            .zip(1..)
            .flat_map(|((client, upstream), seed)| {
                [(client, upstream, seed), (upstream, client, seed + CONNECTIONS)]
            })
            .map(|(source, target, seed)| {
                let sent = scope.spawn(move || payload::send(source.stream(), seed, bytes));
                let received = scope.spawn(move || payload::receive(target.stream(), bytes));
                (sent, received)
            })
            .collect();
        for (sent, received) in transfers {
            assert_eq!(sent.join().unwrap(), received.join().unwrap());
        }
    });

    let peak = proxy.resident_bytes_peak();
    println!("{bytes} bytes each way on {} connections; resident peak {peak}", CONNECTIONS - 1);
    assert!(peak < RESIDENT_BYTES_MAX, "resident memory reached {peak} bytes");
    // The stalled connection was never closed to get rid of it.
    proxy.wait_for_stat(&route.listener_stat("downstream_cx_active"), CONNECTIONS);
    drop((pairs, stalled_client, stalled_upstream));
    proxy.wait_for_stat(&route.listener_stat("downstream_cx_active"), 0);
    proxy.wait_for_stat(&route.cluster_stat("upstream_cx_active"), 0);
}

fn push_until_stalled(peer: &mut Peer) {
    const OFFERED: usize = 256 * 1024 * 1024;
    let taken = peer.send_until_stalled(&payload::block(99), OFFERED, Duration::from_millis(500));
    assert!(taken < OFFERED, "{taken} bytes went to a receiver that never reads");
}
