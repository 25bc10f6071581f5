//! Whole exchanges from a client of HTTP/1 to a host that speaks HTTP/2, whose frames are bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use config::model;

use super::super::tests::{manager, message};
use crate::tests::{Bench, cluster_config};

const PREFACE_BYTES: usize = proto::http2::PREFACE.len();
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn read(stream: &mut TcpStream, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).ok().map(|()| bytes)
}

/// A host that answers each request on one connection with `200`, what came of the body, and
/// `grpc-status: 0` in the trailers. Says how many requests there were.
fn host() -> (SocketAddr, thread::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        read(&mut stream, PREFACE_BYTES).unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
        let (mut requests, mut body) = (0, Vec::new());
        while let Some(head) = read(&mut stream, 9) {
            let length = usize::from(head[1]) << 8 | usize::from(head[2]);
            let (kind, flags) = (head[3], head[4]);
            let id = u32::from_be_bytes(head[5..].try_into().unwrap());
            let payload = read(&mut stream, length).unwrap();
            match kind {
                DATA => body.extend_from_slice(&payload),
                HEADERS => {}
                SETTINGS if flags & ACK == 0 => {
                    stream.write_all(&frame(SETTINGS, ACK, 0, &[])).unwrap();
                    continue;
                }
                _ => continue,
            }
            if flags & END_STREAM > 0 {
                requests += 1;
                // ":status: 200", "content-length: 2", and one that is never indexed.
                let fields = [0x88, 0x0f, 0x0d, 1, b'0' + u8::try_from(body.len()).unwrap()];
                let trailers = [b"\x10\x0bgrpc-status\x01".as_slice(), b"0"].concat();
                let mut answer = frame(HEADERS, 4, id, &fields);
                answer.extend(frame(DATA, 0, id, &body));
                answer.extend(frame(HEADERS, 4 | END_STREAM, id, &trailers));
                stream.write_all(&answer).unwrap();
                body.clear();
            }
        }
        requests
    };
    (address, thread::spawn(serve))
}

fn serve(bench: &Bench, address: SocketAddr, client: impl FnOnce(SocketAddr) + Send + 'static) {
    let mut cluster = cluster_config(address);
    cluster.http.protocol = model::UpstreamProtocol::Http2;
    bench.serve_to(manager(), cluster, client);
}

const POST: &[u8] = b"POST /up HTTP/1.1\r\nhost: example.com\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn a_request_of_http_1_goes_to_a_host_over_http_2_and_its_answer_comes_back() {
    let bench = Bench::new();
    let (address, host) = host();
    serve(&bench, address, |address| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(POST).unwrap();
        let answer = message(&mut stream);
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"), "{answer:?}");
        assert!(answer.ends_with(b"\r\n\r\nok"));
        stream.write_all(b"GET /up HTTP/1.1\r\nhost: example.com\r\n\r\n").unwrap();
        assert!(message(&mut stream).ends_with(b"\r\n\r\n"));
    });
    assert_eq!(bench.value("cluster.c.upstream_cx_http2_total"), 1);
    assert_eq!(bench.value("cluster.c.upstream_rq_total"), 2);
    assert_eq!(bench.value("cluster.c.upstream_rq_active"), 0);
    assert_eq!(host.join().unwrap(), 2);
}

/// What a worker allocates must not depend on how many requests it serves, trailers or not.
#[test]
fn a_request_over_http_2_allocates_nothing_once_the_worker_is_warm() {
    let bench = Bench::new();
    let allocations = |requests: usize| {
        let (address, host) = host();
        let client = move |address: SocketAddr| {
            let mut stream = TcpStream::connect(address).unwrap();
            for _ in 0..requests {
                stream.write_all(POST).unwrap();
                assert!(message(&mut stream).ends_with(b"ok"));
            }
        };
        let info = allocation_counter::measure(|| serve(&bench, address, client));
        assert_eq!(host.join().unwrap(), requests);
        info.count_total
    };
    allocations(1000);
    let (few, many) = (allocations(1000), allocations(3000));
    // Timers and the like may differ by a few between any two runs.
    assert!(many.abs_diff(few) < 100, "{few} allocations for 1000 requests, {many} for 3000");
}
