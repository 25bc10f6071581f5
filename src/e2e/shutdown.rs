//! SIGTERM: no new connections, the open ones finish or are ended after the grace time.

use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;

use crate::address::ListenerAddress;
use crate::configuration::{Route, bootstrap};
use crate::environment;
use crate::patience::wait_for;
use crate::peer::Peer;
use crate::proxy::Proxy;
use crate::upstream::Upstream;

/// A proxy with one connection open through it.
struct Scene {
    listener: ListenerAddress,
    proxy: Proxy,
    client: Peer,
    upstream: Peer,
}

impl Scene {
    fn with_grace(seconds: &str) -> Self {
        let listener = ListenerAddress::reserve();
        let server = Upstream::listen();
        let route = Route::relay("shutdown", listener.address, &[server.address()]);
        let arguments = ["--concurrency", "2", "--shutdown-grace-s", seconds];
        let proxy = Proxy::start(&environment::subject(), &bootstrap(&[route]), &arguments);
        let mut client = Peer::connect(listener.address);
        let mut upstream = server.accept();
        client.send(b"before");
        assert_eq!(upstream.receive(6), b"before");
        Self { listener, proxy, client, upstream }
    }

    fn wait_until_new_connections_are_refused(&self) {
        wait_for("new connections to be refused", || {
            match TcpStream::connect(self.listener.address) {
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }
}

/// If this fails, SIGTERM cuts connections that would have finished by themselves.
#[test]
fn sigterm_lets_open_connections_finish() {
    let mut scene = Scene::with_grace("600");
    scene.proxy.signal(Signal::TERM);
    scene.wait_until_new_connections_are_refused();
    scene.upstream.send(b"still here");
    assert_eq!(scene.client.receive(10), b"still here");
    scene.client.send(b"thanks");
    assert_eq!(scene.upstream.receive(6), b"thanks");
    drop((scene.client, scene.upstream));
    let status = scene.proxy.wait_for_exit();
    assert_eq!(status.code(), Some(0), "{status}");
}

/// If this fails, a connection that never ends keeps the process for ever.
#[test]
fn sigterm_ends_open_connections_after_the_grace_time() {
    let mut scene = Scene::with_grace("1");
    scene.proxy.signal(Signal::TERM);
    let status = scene.proxy.wait_for_exit();
    assert_eq!(status.code(), Some(0), "{status}");
    // Closed by the proxy or by its exit; either way neither side is left hanging.
    scene.client.receive_to_end();
    scene.upstream.receive_to_end();
}

/// If this fails, an operator cannot cut a shutdown short.
#[test]
fn a_second_signal_ends_at_once() {
    let scene = Scene::with_grace("600");
    scene.proxy.signal(Signal::TERM);
    scene.wait_until_new_connections_are_refused();
    scene.proxy.signal(Signal::TERM);
    let status = scene.proxy.wait_for_exit();
    assert!(status.signal().is_none(), "it did not end by itself: {status}");
}

/// If this fails, an idle proxy waits out its grace time for nobody.
#[test]
fn sigint_without_connections_ends_at_once() {
    let scene = Scene::with_grace("600");
    drop((scene.client, scene.upstream));
    scene.proxy.signal(Signal::INT);
    let status = scene.proxy.wait_for_exit();
    assert_eq!(status.code(), Some(0), "{status}");
}
