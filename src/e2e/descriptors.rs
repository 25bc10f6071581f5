//! A process that has no descriptors left: it waits, without spinning, and goes on when it has.

use std::time::Duration;

use crate::address::ListenerAddress;
use crate::configuration::{Filter, Route, bootstrap};
use crate::environment::{self, Program};
use crate::patience::{pause, wait_for};
use crate::peer::Peer;
use crate::proxy::Proxy;
use crate::upstream::Upstream;

/// If this fails, a relay that finds no descriptor for its upstream takes others down with it, or
/// stays when there are some again. (Envoy aborts.)
#[test]
fn a_relay_without_a_descriptor_for_its_upstream_ends_and_the_next_one_works() {
    const DESCRIPTORS_MAX: u32 = 200;
    let (listener, upstream) = (ListenerAddress::reserve(), Upstream::listen());
    let route = Route::relay("scarce", listener.address, &[upstream.address()]);
    let text = bootstrap(std::slice::from_ref(&route));
    let program = Program { descriptors_max: Some(DESCRIPTORS_MAX), ..environment::subject() };
    let proxy = Proxy::start(&program, &text, &["--concurrency", "1"]);

    // Each relay needs two, so the hundred clients and their hosts cannot all have theirs.
    let mut clients: Vec<_> = (0..150).map(|_| Peer::connect(listener.address)).collect();
    let failed = route.cluster_stat("upstream_cx_connect_fail");
    wait_for("a connect to fail", || match proxy.stats().value(&failed) {
        Some(1..) => Ok(()),
        other => Err(format!("{failed}: {other:?}")),
    });
    // Long enough for a loop without back-off to fail many thousand times.
    pause(Duration::from_secs(1));
    let errors = proxy.stats().value("nuncio.worker.accept_errors").unwrap_or(0);
    assert!(errors < 1000, "{errors} failed accepts in about a second");
    // Who was connected is served on.
    let mut host = upstream.accept();
    clients[0].send(b"first");
    assert_eq!(host.receive(5), b"first");

    clients.clear();
    drop(host);
    let active = route.listener_stat("downstream_cx_active");
    let total = route.listener_stat("downstream_cx_total");
    wait_for("all relays to end, those that waited to be accepted too", || {
        // A host that has not even accepted does not close.
        while upstream.waiting().is_some() {}
        let stats = proxy.stats();
        match (stats.value(&active), stats.value(&total)) {
            (Some(0), Some(150)) => Ok(()),
            other => Err(format!("{active}, {total}: {other:?}")),
        }
    });
    while upstream.waiting().is_some() {}
    let mut client = Peer::connect(listener.address);
    let mut host = upstream.accept();
    client.send(b"again");
    assert_eq!(host.receive(5), b"again");
}

/// If this fails, a burst of clients stops a listener for ever, or burns a core while it lasts.
#[test]
fn a_listener_outlives_a_lack_of_descriptors() {
    const CLIENTS: u64 = 100;
    const DESCRIPTORS_MAX: u32 = 64;
    let listener = ListenerAddress::reserve();
    // The echo filter takes one descriptor per client, so that only accepting can run out.
    let mut route = Route::relay("scarce", listener.address, &[]);
    (route.filter, route.endpoints) = (Filter::Echo, None);
    let text = bootstrap(std::slice::from_ref(&route));
    let program = Program { descriptors_max: Some(DESCRIPTORS_MAX), ..environment::subject() };
    let proxy = Proxy::start(&program, &text, &["--concurrency", "1"]);

    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Peer::connect(listener.address)).collect();
    let limit = usize::try_from(DESCRIPTORS_MAX).unwrap();
    wait_for("all descriptors to be used", || match proxy.descriptors() {
        count if count >= limit => Ok(()),
        count => Err(format!("{count} of {limit}")),
    });
    // Long enough for a loop without back-off to fail many thousand times.
    pause(Duration::from_secs(1));
    // Who was accepted is still served.
    clients[0].send(b"first");
    assert_eq!(clients[0].receive(5), b"first");

    // Each one that leaves makes room for one that waits.
    let last = clients.split_off(clients.len() - 1);
    drop(clients);
    for mut client in last {
        client.send(b"last");
        assert_eq!(client.receive(4), b"last");
    }
    // The operator is told what happens, when it begins and when it is over, and not each time.
    wait_for("the log to say that it is over", || {
        let log = proxy.stderr();
        let lines = |words| log.lines().filter(|line| line.contains(words)).count();
        let (failing, over) =
            (lines("cannot accept connections"), lines("accepts connections again"));
        if (1..20).contains(&failing) && over == failing { Ok(()) } else { Err(log.clone()) }
    });
    proxy.wait_for_stat(&route.listener_stat("downstream_cx_total"), CLIENTS);
    proxy.wait_for_stat(&route.listener_stat("downstream_cx_active"), 0);
    let errors = proxy.stats().value("nuncio.worker.accept_errors").unwrap_or(0);
    assert!((1..1000).contains(&errors), "{errors} failed accepts in about a second");
}
