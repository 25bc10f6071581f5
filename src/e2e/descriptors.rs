//! A process that has no descriptors left: it waits, without spinning, and goes on when it has.

use std::time::Duration;

use crate::address::ListenerAddress;
use crate::configuration::{Filter, Route, bootstrap};
use crate::environment::{self, Program};
use crate::patience::{pause, wait_for};
use crate::peer::Peer;
use crate::proxy::Proxy;

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
    proxy.wait_for_stat(&route.listener_stat("downstream_cx_total"), CLIENTS);
    proxy.wait_for_stat(&route.listener_stat("downstream_cx_active"), 0);
    let errors = proxy.stats().value("nuncio.worker.accept_errors").unwrap_or(0);
    assert!((1..1000).contains(&errors), "{errors} failed accepts in about a second");
}
