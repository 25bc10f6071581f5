//! A process that has no descriptors left: it waits, without spinning, and goes on when it has.

use std::time::Duration;

use crate::address::ListenerAddress;
use crate::configuration::{Route, bootstrap};
use crate::environment::{self, Program};
use crate::patience::{pause, wait_for};
use crate::peer::{Ending, Peer};
use crate::proxy::Proxy;
use crate::upstream::Upstream;

/// If this fails, a burst of clients stops a listener for ever, or burns a core while it lasts.
#[test]
fn a_listener_outlives_a_lack_of_descriptors() {
    const CLIENTS: u64 = 64;
    const DESCRIPTORS_MAX: u32 = 64;
    let listener = ListenerAddress::reserve();
    let upstream = Upstream::listen();
    let route = Route::relay("scarce", listener.address, &[upstream.address()]);
    let text = bootstrap(std::slice::from_ref(&route));
    let program = Program { descriptors_max: Some(DESCRIPTORS_MAX), ..environment::subject() };
    let proxy = Proxy::start(&program, &text, &["--concurrency", "1"]);

    // Each relay takes two.
    let clients: Vec<_> = (0..CLIENTS).map(|_| Peer::connect(listener.address)).collect();
    let limit = usize::try_from(DESCRIPTORS_MAX).unwrap();
    wait_for("all descriptors to be used", || match proxy.descriptors() {
        count if count + 1 >= limit => Ok(()),
        count => Err(format!("{count} of {limit}")),
    });
    // Long enough for a loop without back-off to fail many thousand times.
    pause(Duration::from_secs(1));
    drop(clients);
    while upstream.waiting().is_some() {}

    proxy.wait_for_stat(&route.listener_stat("downstream_cx_total"), CLIENTS);
    while upstream.waiting().is_some() {}
    proxy.wait_for_stat(&route.listener_stat("downstream_cx_active"), 0);
    let errors = wait_for("the failed accepts to be counted", || {
        match proxy.stats().value("nuncio.worker.accept_errors") {
            None | Some(0) => Err("none is".to_owned()),
            Some(errors) => Ok(errors),
        }
    });
    assert!(errors < 1000, "{errors} failed accepts in about a second");
    let (mut client, mut server) = (Peer::connect(listener.address), upstream.accept());
    client.send(b"served again");
    client.finish_sending();
    assert_eq!(server.receive_to_end(), (b"served again".to_vec(), Ending::Fin));
}
