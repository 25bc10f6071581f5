//! Whole exchanges on a real reactor and loopback: a client and a host of plain bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use config::model;

use crate::tests::Bench;

fn route(path: &str, action: model::RouteAction) -> model::Route {
    model::Route { name: String::new(), path: model::PathMatch::Prefix(path.to_owned()), action }
}

pub(super) fn manager() -> model::TerminalFilter {
    manager_with(Vec::new())
}

pub(super) fn manager_with(access_log: Vec<model::AccessLog>) -> model::TerminalFilter {
    model::TerminalFilter::Http(Arc::new(manager_config(access_log)))
}

pub(super) fn manager_config(access_log: Vec<model::AccessLog>) -> model::HttpConnectionManager {
    let reply = model::DirectResponse { status: 200, body: b"hello".to_vec() };
    let forward = model::ForwardAction {
        cluster: "c".to_owned(),
        timeout: Some(Duration::from_secs(15)),
        max_grpc_timeout: None,
        max_stream_duration: None,
        idle_timeout: None,
        upgrades: Vec::new(),
        connect: None,
    };
    let missing = model::ForwardAction {
        cluster: "missing".to_owned(),
        timeout: None,
        max_grpc_timeout: None,
        max_stream_duration: None,
        idle_timeout: None,
        upgrades: Vec::new(),
        connect: None,
    };
    let routes = vec![
        route("/direct", model::RouteAction::DirectResponse(reply)),
        route("/missing", model::RouteAction::Forward(missing)),
        route("/up", model::RouteAction::Forward(forward)),
    ];
    let virtual_host =
        model::VirtualHost { name: "all".to_owned(), domains: vec![model::Domain::Any], routes };
    model::HttpConnectionManager {
        stat_prefix: "h".to_owned(),
        codec: model::HttpCodec::Auto,
        route_config: Arc::new(model::RouteConfiguration {
            name: String::new(),
            virtual_hosts: vec![virtual_host],
        }),
        http1: model::Http1Options::default(),
        http2: model::Http2Options::default(),
        common: model::HttpOptions::default(),
        max_request_headers_kb: 60,
        stream_idle_timeout: Some(Duration::from_secs(300)),
        request_timeout: None,
        request_headers_timeout: None,
        drain_timeout: Duration::from_secs(5),
        delayed_close_timeout: Some(Duration::from_millis(5)),
        server_name: "envoy".to_owned(),
        server_header: model::ServerHeader::Overwrite,
        generate_request_id: true,
        preserve_external_request_id: false,
        always_set_request_id_in_response: false,
        use_remote_address: false,
        xff_num_trusted_hops: 0,
        skip_xff_append: false,
        via: String::new(),
        suppress_envoy_headers: false,
        upgrades: Vec::new(),
        access_log,
    }
}

/// A message without its `date`, `x-request-id` and service time.
fn masked(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let names = ["date: ", "x-request-id: ", "x-envoy-upstream-service-time: "];
    let lines = head.split("\r\n").map(|line| {
        names.iter().find(|name| line.starts_with(*name)).map_or(line, |name| name.trim_end())
    });
    format!("{}\n\n{body}", lines.collect::<Vec<_>>().join("\n"))
}

/// Reads one message whose body has a content-length.
pub(super) fn message<R: Read>(stream: &mut R) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).unwrap() {
            0 => return bytes,
            _ => bytes.push(byte[0]),
        }
    }
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    bytes.extend(body);
    bytes
}

/// A host that serves `connections`, answering each request on them with `answer`, and returns
/// the requests.
pub(super) fn host(
    connections: usize,
    answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static,
) -> (SocketAddr, thread::JoinHandle<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move || {
        let mut requests = Vec::new();
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().unwrap();
            loop {
                let request = message(&mut stream);
                if request.is_empty() {
                    break;
                }
                stream.write_all(&answer(&request)).unwrap();
                requests.push(request);
            }
        }
        requests
    };
    (address, thread::spawn(serve))
}

pub(super) fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    masked(&message(stream))
}

#[test]
fn a_direct_response_and_a_missing_route_are_answered_on_one_connection() {
    let bench = Bench::new();
    bench.serve(manager(), "127.0.0.1:1".parse().unwrap(), |address| {
        let mut stream = TcpStream::connect(address).unwrap();
        for _ in 0..2 {
            let answer = ask(&mut stream, "GET /direct HTTP/1.1\r\nHost: a\r\n\r\n");
            let head = "content-length: 5\ncontent-type: text/plain\ndate:\nserver: envoy";
            assert_eq!(answer, format!("HTTP/1.1 200 OK\n{head}\n\nhello"));
            let answer = ask(&mut stream, "GET /none HTTP/1.1\r\nHost: a\r\n\r\n");
            let head = "date:\nserver: envoy\ncontent-length: 0";
            assert_eq!(answer, format!("HTTP/1.1 404 Not Found\n{head}\n\n"));
        }
    });
    bench.assert_clean("after four requests");
    assert_eq!(bench.value("http.h.downstream_rq_total"), 4);
    assert_eq!(bench.value("http.h.no_route"), 2);
    assert_eq!(bench.value("http.h.downstream_rq_2xx"), 2);
}

#[test]
fn pipelined_requests_are_answered_in_their_turn_whoever_answers_them() {
    let bench = Bench::new();
    let (address, thread) = host(1, |_| b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec());
    bench.serve(manager(), address, |address| {
        let mut stream = TcpStream::connect(address).unwrap();
        let paths = ["/direct", "/none", "/direct", "/up", "/none", "/none", "/direct", "/up"];
        let request = |path: &&str| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        stream.write_all(paths.iter().map(request).collect::<String>().as_bytes()).unwrap();
        for path in paths {
            let end = match path {
                "/direct" => "\n\nhello",
                "/up" => "\n\nok",
                _ => "content-length: 0\n\n",
            };
            let answer = masked(&message(&mut stream));
            assert!(answer.ends_with(end), "{path}: {answer}");
        }
    });
    assert_eq!(thread.join().unwrap().len(), 2);
    bench.assert_clean("after eight requests at once");
}

#[test]
fn requests_are_forwarded_over_one_connection_that_is_kept() {
    let bench = Bench::new();
    let answer = |_: &[u8]| b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok".to_vec();
    let (address, thread) = host(1, answer);
    bench.serve(manager(), address, |address| {
        let mut stream = TcpStream::connect(address).unwrap();
        for _ in 0..3 {
            let answer = ask(&mut stream, "GET /up HTTP/1.1\r\nHost: a\r\nAccept: x\r\n\r\n");
            let head =
                "x-a: b\ncontent-length: 2\nx-envoy-upstream-service-time:\ndate:\nserver: envoy";
            assert_eq!(answer, format!("HTTP/1.1 200 OK\n{head}\n\nok"));
        }
        let post = "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        assert!(ask(&mut stream, post).ends_with("\n\nok"));
    });
    let requests = thread.join().unwrap();
    let head = "GET /up HTTP/1.1\nhost: a\naccept: x\nx-forwarded-proto: http\nx-request-id:\n\
                x-envoy-expected-rq-timeout-ms: 15000";
    assert_eq!(masked(&requests[0]), format!("{head}\n\n"));
    assert!(masked(&requests[3]).ends_with("\n\nabc"));
    bench.assert_clean("after four requests");
    assert_eq!(bench.value("cluster.c.upstream_cx_total"), 1);
    assert_eq!(bench.value("cluster.c.upstream_rq_200"), 4);
}

/// A host that answers every connection's requests until the test is over.
pub(super) fn any_host() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                let mut bytes = [0; 65_536];
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                while let Ok(1..) = stream.read(&mut bytes) {
                    if bytes.starts_with(b"GET") && stream.write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Sends everything and returns what comes back until the connection ends.
fn all_of(address: SocketAddr, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(bytes)?;
    let mut back = Vec::new();
    stream.read_to_end(&mut back)?;
    Ok(back)
}

#[test]
fn a_panic_at_any_await_point_of_an_exchange_leaves_every_gauge_where_it_was() {
    let bench = Bench::new();
    let host = any_host();
    let run = |panic_at: Option<u64>| {
        bench.reactor.inject_panic(panic_at);
        bench.serve(manager(), host, move |address| {
            let requests = "GET /up HTTP/1.1\r\nHost: a\r\n\r\nGET /direct HTTP/1.1\r\nHost: a\r\n\
                            \r\nGET /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            // Whatever a cut connection gives: an error, nothing, or everything.
            let _ = all_of(address, requests.as_bytes());
        });
        bench.reactor.inject_panic(None)
    };
    let points = run(None);
    assert!(points > 10, "an exchange passes {points} await points only");
    for point in 0..points + points / 2 {
        run(Some(point));
        bench.assert_clean(&format!("after a panic at await point {point}"));
    }
    let panics = bench.reactor.stats().task_panics;
    assert!(panics >= points / 4, "{panics} panics at {points} points");
}

/// What a worker allocates must not depend on how many requests it serves.
#[test]
fn a_request_allocates_nothing_once_the_worker_is_warm() {
    let bench = Bench::new();
    let host = any_host();
    let allocations = |requests: usize| {
        let client = move |address: SocketAddr| {
            let mut stream = TcpStream::connect(address).unwrap();
            for _ in 0..requests {
                let get = "GET /up?x=1 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\n\
                           Accept: */*\r\n\r\n";
                stream.write_all(get.as_bytes()).unwrap();
                assert!(message(&mut stream).ends_with(b"ok"));
            }
        };
        let log = model::AccessLog {
            field_path: "log".to_owned(),
            sink: model::AccessLogSink::File("unwritten".to_owned()),
            format: model::AccessLogFormat::Default,
            filter: None,
        };
        let filter = manager_with(vec![log]);
        let info = allocation_counter::measure(|| bench.serve(filter, host, client));
        info.count_total
    };
    allocations(1000);
    let (few, many) = (allocations(1000), allocations(3000));
    assert!(bench.value("filesystem.write_completed") > 100, "lines are written");
    // Timers and the like may differ by a few between any two runs.
    assert!(many.abs_diff(few) < 100, "{few} allocations for 1000 requests, {many} for 3000");
}

/// It is moved into its cell once for each request.
#[test]
fn the_future_of_an_exchange_stays_small() {
    let size = future_size(super::exchange::http1::run);
    assert!(size <= EXCHANGE_SIZE_MAX, "{size}");
}

const EXCHANGE_SIZE_MAX: usize = 2176;

fn future_size<A, F>(_: impl Fn(A) -> F) -> usize {
    size_of::<F>()
}
