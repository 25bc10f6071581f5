//! Tunnels on a real reactor and loopback: bulk through the kernel, what waits when a client ends
//! its side, and a panic at every await point.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use config::model;

use super::tests::{manager_config, message};
use crate::tests::Bench;

/// WebSocket everywhere, and CONNECT to TCP.
fn tunnelling() -> model::TerminalFilter {
    let mut config = manager_config(Vec::new());
    let upgrade = |kind: &str| model::Upgrade { kind: kind.to_owned(), enabled: true };
    config.upgrades = vec![upgrade("websocket"), upgrade("CONNECT")];
    let routes = &mut Arc::make_mut(&mut config.route_config).virtual_hosts[0].routes;
    let forwards = |route: &model::Route| match &route.action {
        model::RouteAction::Forward(forward) if forward.cluster == "c" => Some(forward.clone()),
        _ => None,
    };
    let mut forward = routes.iter().find_map(forwards).unwrap();
    forward.connect = Some(model::ConnectConfig { proxy_protocol: None, allow_post: false });
    routes.push(model::Route {
        name: String::new(),
        path: model::PathMatch::Connect,
        action: model::RouteAction::Forward(forward),
    });
    model::TerminalFilter::Http(Arc::new(config))
}

/// A way through the proxy: what the client sends, and what the host reads and answers first.
#[derive(Debug, Clone, Copy)]
struct Way {
    request: &'static str,
    has_handshake: bool,
}

const WAYS: [Way; 2] = [
    Way {
        request: "GET /up HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        has_handshake: true,
    },
    Way { request: "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", has_handshake: false },
];

const SWITCHED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

/// A host of one connection, which it plays to its end once the tunnel is open.
fn host(way: Way, play: impl FnOnce(TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        if way.has_handshake {
            message(&mut stream);
            stream.write_all(SWITCHED).unwrap();
        }
        play(stream);
    };
    (address, thread::spawn(serve))
}

/// A client whose tunnel is open.
fn open(address: SocketAddr, way: Way) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(way.request.as_bytes()).unwrap();
    let head = message(&mut stream);
    let status = if way.has_handshake { "HTTP/1.1 101 " } else { "HTTP/1.1 200 " };
    assert!(head.starts_with(status.as_bytes()), "{}", head.escape_ascii());
    stream
}

const BULK: usize = 32 << 20;

/// Bytes of which no two parts look alike at the sizes that a splice moves.
fn pattern(seed: u8) -> Vec<u8> {
    (0..=250_u8).cycle().skip(seed.into()).take(BULK).collect()
}

#[test]
fn bulk_through_a_tunnel_is_spliced_both_ways_and_arrives_whole() {
    let bench = Bench::new();
    for way in WAYS {
        let before = bench.reactor.stats().spliced_bytes;
        let (address, thread) = host(way, |mut stream| {
            let mut writer = stream.try_clone().unwrap();
            let writing = thread::spawn(move || writer.write_all(&pattern(1)).unwrap());
            let mut received = vec![0; BULK];
            stream.read_exact(&mut received).unwrap();
            writing.join().unwrap();
            assert!(received == pattern(2), "the host received something else");
            // The client ends it.
            let _ = stream.read(&mut [0]);
        });
        bench.serve(tunnelling(), address, move |address| {
            let mut stream = open(address, way);
            let mut writer = stream.try_clone().unwrap();
            let writing = thread::spawn(move || writer.write_all(&pattern(2)).unwrap());
            let mut received = vec![0; BULK];
            stream.read_exact(&mut received).unwrap();
            writing.join().unwrap();
            assert!(received == pattern(1), "the client received something else");
        });
        thread.join().unwrap();
        let spliced = bench.reactor.stats().spliced_bytes - before;
        assert!(spliced > 0, "{way:?}: 64 MiB, and none was spliced");
        bench.assert_clean(way.request);
        assert_eq!(bench.value("http.h.downstream_cx_upgrades_active"), 0);
    }
    assert_eq!(bench.value("http.h.downstream_cx_upgrades_total"), 2);
}

/// More than sockets and buffers hold, so that some waits in the proxy when the client has left.
const LAST_WORDS: usize = 12 << 20;

#[test]
fn what_waits_for_the_host_when_the_client_ends_its_side_arrives() {
    let bench = Bench::new();
    for way in WAYS {
        let (address, thread) = host(way, |mut stream| {
            let mut received = 0;
            let mut bytes = vec![0; 1 << 20];
            // So slow at first that the proxy has to hold some.
            for most in std::iter::repeat_n(1024, 2000).chain(std::iter::repeat(1 << 20)) {
                thread::yield_now();
                match stream.read(&mut bytes[..most]).unwrap() {
                    0 => break,
                    count => received += count,
                }
            }
            assert_eq!(received, LAST_WORDS);
        });
        bench.serve(tunnelling(), address, move |address| {
            let mut stream = open(address, way);
            stream.write_all(&vec![b'x'; LAST_WORDS]).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, b"");
        });
        thread.join().unwrap();
        bench.assert_clean(way.request);
    }
}

/// A host that takes tunnels and sends back what comes, until the test is over.
fn any_host() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                let mut bytes = [0; 65_536];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    let is_request = bytes.starts_with(b"GET");
                    let answer = if is_request { SWITCHED } else { &bytes[..count] };
                    if stream.write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn a_panic_at_any_await_point_of_a_tunnel_leaves_every_gauge_where_it_was() {
    let bench = Bench::new();
    let host = any_host();
    for way in WAYS {
        let run = |panic_at: Option<u64>| {
            bench.reactor.inject_panic(panic_at);
            bench.serve(tunnelling(), host, move |address| {
                // Whatever a cut connection gives: an error, nothing, or everything.
                let _ = echoed(address, way.request);
            });
            bench.reactor.inject_panic(None)
        };
        let points = run(None);
        assert!(points > 10, "a tunnel passes {points} await points only");
        for point in 0..points + points / 2 {
            run(Some(point));
            bench.assert_clean(&format!("{way:?} after a panic at await point {point}"));
        }
    }
    assert_eq!(bench.value("http.h.downstream_cx_upgrades_active"), 0);
    assert!(bench.reactor.stats().task_panics > 10);
}

fn echoed(address: SocketAddr, request: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    stream.write_all(b"hello")?;
    stream.read_exact(&mut [0; 5])
}
