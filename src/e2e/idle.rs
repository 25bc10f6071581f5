//! Idle connections, opened and closed over and over: nothing stays behind.

use std::time::Duration;

use crate::address::ListenerAddress;
use crate::configuration::{Route, bootstrap};
use crate::environment;
use crate::patience::{pause, wait_for};
use crate::peer::Peer;
use crate::proxy::{Proxy, descriptor_limit};
use crate::stats::Stats;
use crate::upstream::Upstream;

/// Growth after the first rounds that is the allocator's and not a leak: at the full size of
/// 5,000 connections and ten rounds it is less than 110 bytes per connection.
const GROWTH_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// If this fails, a closed connection leaves a descriptor, a gauge or memory behind.
#[test]
fn idle_connections_leave_nothing_behind() {
    let connections = environment::size("NUNCIO_IDLE_CONNECTIONS", 400);
    let rounds = environment::size("NUNCIO_IDLE_ROUNDS", 5).max(3);
    assert!(descriptor_limit() > connections * 2 + 200, "raise `ulimit -n` for {connections}");
    let listener = ListenerAddress::reserve();
    let upstream = Upstream::listen();
    let route =
        Route::relay("idle", listener.address, &[upstream.address()]).with_a_million_connections();
    let text = bootstrap(std::slice::from_ref(&route));
    let proxy = Proxy::start(&environment::subject(), &text, &["--concurrency", "2"]);
    let descriptors_at_start = proxy.descriptors();
    let gauges_at_start = gauges_at_rest(&proxy);
    assert!(!gauges_at_start.is_empty());

    let mut resident = Vec::new();
    for _ in 0..rounds {
        let open: Vec<_> = (0..connections)
            .map(|_| (Peer::connect(listener.address), upstream.accept()))
            .collect();
        proxy.wait_for_stat(&route.listener_stat("downstream_cx_active"), connections);
        proxy.wait_for_stat(&route.cluster_stat("upstream_cx_active"), connections);
        drop(open);
        wait_for("all gauges back to the start", || {
            let now = gauges(&proxy.stats());
            let moved: Vec<_> =
                now.iter().filter(|gauge| !gauges_at_start.contains(gauge)).collect();
            if moved.is_empty() { Ok(()) } else { Err(format!("{moved:?}")) }
        });
        wait_for("descriptors back to the start", || match proxy.descriptors() {
            count if count <= descriptors_at_start => Ok(()),
            count => Err(format!("{count} of {descriptors_at_start}")),
        });
        resident.push(proxy.resident_bytes());
    }
    println!("{connections} connections; resident after each round {resident:?}");
    // The first two rounds fill pools that are kept.
    let (before, after) = (resident[1], resident[resident.len() - 1]);
    assert!(after < before + GROWTH_BYTES_MAX, "resident memory by round: {resident:?}");
}

/// Workers publish what their reactors count about once a second, so one look may show the past.
fn gauges_at_rest(proxy: &Proxy) -> Vec<(String, u64)> {
    let mut last = gauges(&proxy.stats());
    loop {
        pause(Duration::from_secs(3));
        let now = gauges(&proxy.stats());
        if now == last {
            return now;
        }
        last = now;
    }
}

/// The stats that count what exists now, with their values. The admin server's own connection,
/// which reads them, is left out.
fn gauges(stats: &Stats) -> Vec<(String, u64)> {
    stats
        .iter()
        .filter(|(name, _)| name.ends_with("_active") || name.ends_with("_buffered"))
        .filter(|(name, _)| !name.starts_with("listener.admin."))
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
