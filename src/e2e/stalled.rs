//! Many clients that read slowly or not at all, and one that must not notice them.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::address::ListenerAddress;
use crate::configuration::{Route, bootstrap};
use crate::environment;
use crate::patience::{pause, wait_for};
use crate::payload;
use crate::peer::Peer;
use crate::proxy::{Proxy, descriptor_limit};
use crate::upstream::Upstream;

/// Socket buffers of the slow clients and of their upstreams: thousands of stalled connections
/// must fill the proxy, not the machine.
const SMALL_BUFFER: usize = 16 * 1024;

/// What a direction whose receiver makes no progress may take into the proxy.
const BYTES_PER_STALLED_MAX: u64 = 128 * 1024;

/// Memory for everything else that a connection needs, and for the rings of the worker.
const BYTES_BESIDE: u64 = 48 * 1024 * 1024;

/// If this fails, clients that do not read starve the others of their worker, or fill its memory.
#[test]
fn a_victim_is_served_beside_stalled_readers() {
    let stalled = environment::size("NUNCIO_STALLED_READERS", 200);
    assert!(descriptor_limit() > stalled * 2 + 200, "raise `ulimit -n` for {stalled} readers");
    let listener = ListenerAddress::reserve();
    let upstream = Upstream::listen_with_buffers(SMALL_BUFFER);
    let route = Route::relay("stalled", listener.address, &[upstream.address()])
        .with_a_million_connections();
    let text = bootstrap(std::slice::from_ref(&route));
    // One worker, which the victim shares with all of them.
    let proxy = Proxy::start(&environment::subject(), &text, &["--concurrency", "1"]);
    let descriptors_at_start = proxy.descriptors();
    let connections: Vec<_> = (0..stalled)
        .map(|_| {
            let client = Peer::connect_with_receive_buffer(listener.address, SMALL_BUFFER);
            (client, upstream.accept())
        })
        .collect();
    let (mut victim, mut server) = (Peer::connect(listener.address), upstream.accept());

    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let pressure = scope.spawn(|| press(&connections, &done));
        let served = scope.spawn(|| {
            let stat = route.cluster_stat("upstream_flow_control_paused_reading_total");
            wait_for("every second reader to pause its upstream", || {
                match proxy.stats().value(&stat) {
                    Some(paused) if paused >= stalled / 2 => Ok(()),
                    other => Err(format!("{stat} is {other:?}")),
                }
            });
            let request = payload::block(7);
            for length in (0..500).map(|round| 1 + round * 97 % 4096) {
                victim.send(&request[..length]);
                assert!(server.receive(length) == request[..length]);
                server.send(&request[..length]);
                assert!(victim.receive(length) == request[..length]);
            }
        });
        let served = served.join();
        done.store(true, Ordering::Relaxed);
        pressure.join().unwrap();
        served.unwrap();
    });

    let peak = proxy.resident_bytes_peak();
    println!("{stalled} stalled or slow readers; resident peak {peak}");
    let bound = stalled * BYTES_PER_STALLED_MAX + BYTES_BESIDE;
    assert!(peak < bound, "resident memory reached {peak} bytes, expected less than {bound}");
    drop((connections, victim, server));
    proxy.wait_for_stat(&route.listener_stat("downstream_cx_active"), 0);
    proxy.wait_for_stat(&route.cluster_stat("upstream_cx_active"), 0);
    wait_for("descriptors back to the start", || match proxy.descriptors() {
        count if count <= descriptors_at_start => Ok(()),
        count => Err(format!("{count} of {descriptors_at_start}")),
    });
}

/// Keeps offering every upstream side more than its client takes: even ones never read, odd ones
/// take a little at each turn.
fn press(connections: &[(Peer, Peer)], done: &AtomicBool) {
    let block = payload::block(8);
    for (client, upstream) in connections {
        client.stream().set_nonblocking(true).unwrap();
        upstream.stream().set_nonblocking(true).unwrap();
    }
    while !done.load(Ordering::Relaxed) {
        let mut moved = 0;
        for (index, (client, upstream)) in connections.iter().enumerate() {
            moved += now_or_zero(upstream.stream().write(&block));
            if index % 2 == 1 {
                moved += now_or_zero(client.stream().read(&mut [0; 512]));
            }
        }
        if moved == 0 {
            pause(Duration::from_millis(1));
        }
    }
}

fn now_or_zero(moved: io::Result<usize>) -> usize {
    match moved {
        Ok(count) => count,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => panic!("a stalled connection broke: {error}"),
    }
}
