//! SIGTERM: no new connections, the open ones finish or are ended after the grace time.

use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;

use crate::address::ListenerAddress;
use crate::configuration::{Route, bootstrap, http};
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

/// If this fails, a rolling restart cuts requests, or waits for clients that only keep connections.
#[test]
fn sigterm_closes_idle_http_connections_and_lets_requests_finish_with_connection_close() {
    let listener = ListenerAddress::reserve();
    let server = Upstream::listen();
    let configuration = http(listener.address, server.address());
    let arguments = ["--concurrency", "1", "--shutdown-grace-s", "600"];
    let proxy = Proxy::start(&environment::subject(), &configuration, &arguments);
    let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let head = |peer: &mut Peer| {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            bytes.extend(peer.receive(1));
        }
        String::from_utf8(bytes).unwrap()
    };

    let mut idle = Peer::connect(listener.address);
    idle.send(request);
    let mut host = server.accept();
    head(&mut host);
    host.send(answer);
    assert!(!head(&mut idle).contains("connection: close"));
    assert_eq!(idle.receive(2), b"ok");

    let mut busy = Peer::connect(listener.address);
    busy.send(request);
    proxy.wait_for_stat("http.http.downstream_rq_active", 1);
    proxy.signal(Signal::TERM);
    assert_eq!(idle.receive_to_end().0, b"", "an idle connection ends at once");
    // The request had the connection that the first one left behind.
    head(&mut host);
    host.send(answer);
    assert!(head(&mut busy).contains("connection: close\r\n"));
    assert_eq!(busy.receive(2), b"ok");
    drop(busy);
    let status = proxy.wait_for_exit();
    assert_eq!(status.code(), Some(0), "{status}");
}
