//! Long bodies: what moves inside the kernel arrives whole, and leaves both connections usable.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use super::tests::{ask, host, manager, message};
use crate::tests::Bench;

const BODY: usize = 64 << 20;

/// Bytes of which no two parts look alike at the sizes that a splice moves.
fn pattern(seed: u8) -> Vec<u8> {
    (0..=250_u8).cycle().skip(seed.into()).take(BODY).collect()
}

fn with_length(start: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{start}\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn body(message: &[u8]) -> &[u8] {
    let head = message.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    &message[head + 4..]
}

/// Reads so slowly at first that the proxy has to wait.
fn message_slowly(stream: &mut TcpStream) -> Vec<u8> {
    struct Slow<'a>(&'a mut TcpStream, usize);
    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.1 += 1;
            let most = if self.1 < 3000 { 1024 } else { 1 << 20 };
            thread::yield_now();
            let length = buffer.len().min(most);
            self.0.read(&mut buffer[..length])
        }
    }
    message(&mut Slow(stream, 0))
}

#[test]
fn long_bodies_are_spliced_and_both_connections_go_on() {
    let bench = Bench::new();
    let answer = |request: &[u8]| match request.starts_with(b"GET /up/long") {
        true => with_length("HTTP/1.1 200 OK", &pattern(1)),
        false => with_length("HTTP/1.1 200 OK", b"ok"),
    };
    let (address, thread) = host(1, answer);
    let spliced = || bench.reactor.stats().spliced_bytes;
    bench.serve(manager(), address, |address| {
        let mut stream = TcpStream::connect(address).unwrap();
        for read in [message::<TcpStream>, message_slowly] {
            stream.write_all(b"GET /up/long HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            assert!(body(&read(&mut stream)) == pattern(1));
            let small = ask(&mut stream, "GET /up HTTP/1.1\r\nHost: a\r\n\r\n");
            assert!(small.ends_with("\n\nok"), "{small}");
        }
    });
    thread.join().unwrap();
    let downloaded = spliced();
    assert!(downloaded < 2 * BODY as u64, "{downloaded}");
    assert_eq!(bench.value("cluster.c.upstream_cx_total"), 1);
    bench.assert_clean("after downloads");

    let (address, thread) = host(1, answer);
    bench.serve(manager(), address, |address| {
        let mut stream = TcpStream::connect(address).unwrap();
        // The next request follows the body at once: the splice must not take a byte of it.
        let mut requests = with_length("POST /up HTTP/1.1", &pattern(2));
        requests.extend_from_slice(&with_length("POST /up HTTP/1.1", b"next"));
        let mut writer = stream.try_clone().unwrap();
        let writing = thread::spawn(move || writer.write_all(&requests).unwrap());
        for _ in 0..2 {
            assert_eq!(body(&message(&mut stream)), b"ok");
        }
        writing.join().unwrap();
    });
    let requests = thread.join().unwrap();
    assert!(body(&requests[0]) == pattern(2));
    assert_eq!(body(&requests[1]), b"next");
    // A busy machine may bring one of the three in pieces that are too short, but not all.
    assert!(spliced() > 0, "three bodies of {BODY} bytes, and none was spliced");
    assert_eq!(bench.value("cluster.c.upstream_cx_total"), 2);
    bench.assert_clean("after uploads");
    let stats = bench.reactor.stats();
    assert_eq!(stats.splices_begun, stats.splices_left);
}

/// A host of one connection that sends `sent` bytes of a body of [`BODY`], and then closes.
fn cutting_host(sent: usize) -> (SocketAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        message(&mut stream);
        let answer = with_length("HTTP/1.1 200 OK", &pattern(3));
        let length = answer.len() - BODY + sent;
        // A client that leaves ends it sooner.
        let _ = stream.write_all(&answer[..length]);
    };
    (address, thread::spawn(serve))
}

#[test]
fn a_long_body_that_a_host_cuts_is_cut_for_the_client_too() {
    let bench = Bench::new();
    let (address, thread) = cutting_host(BODY / 2);
    bench.serve(manager(), address, |address| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /up HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(*body(&answer) == pattern(3)[..BODY / 2], "{} bytes", body(&answer).len());
    });
    thread.join().unwrap();
    bench.assert_clean("after a cut");
    assert_eq!(bench.value("cluster.c.upstream_cx_active"), 0);
    assert_eq!(bench.value("http.h.downstream_rq_tx_reset"), 1);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_long_body_ends_both_connections() {
    let bench = Bench::new();
    let (address, thread) = cutting_host(BODY);
    bench.serve(manager(), address, |address| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /up HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        stream.read_exact(&mut vec![0; BODY / 4]).unwrap();
    });
    thread.join().unwrap();
    bench.assert_clean("after a client left");
    let stats = bench.reactor.stats();
    assert_eq!(stats.splices_begun, stats.splices_left);
    assert_eq!(bench.value("cluster.c.upstream_cx_active"), 0);
    assert_eq!(bench.value("http.h.downstream_cx_destroy_remote_active_rq"), 1);
}
