//! Large HTTP bodies in both directions, and clients that hardly read.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::address::ListenerAddress;
use crate::configuration::http;
use crate::environment;
use crate::payload;
use crate::peer::Peer;
use crate::proxy::Proxy;

/// What the proxy may hold in memory at most, however long the bodies are.
const RESIDENT_BYTES_MAX: u64 = 100 * 1024 * 1024;
/// The same beside 512 clients that take next to nothing.
const RESIDENT_BYTES_BESIDE_SLOW_MAX: u64 = 250 * 1024 * 1024;
const SLOW_CLIENTS: usize = 512;

/// Reads a head and returns its first line and its `content-length`.
fn head(reader: &mut BufReader<&TcpStream>) -> Option<(String, u64)> {
    let (mut first, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Some((first?, length));
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        first.get_or_insert_with(|| line.to_owned());
    }
}

/// A host that answers `GET /<bytes>` with that many bytes, and an upload with its digest.
fn host() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(&stream));
        }
    });
    address
}

fn serve(stream: &TcpStream) {
    loop {
        // Without a buffer behind the head: what follows is read from the stream itself.
        let mut reader = BufReader::with_capacity(1, stream);
        let Some((request, length)) = head(&mut reader) else { return };
        let mut stream = stream;
        let path = request.split(' ').nth(1).unwrap_or_default();
        if let Ok(bytes) = path.trim_start_matches('/').parse::<u64>() {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n");
            if stream.write_all(head.as_bytes()).is_err() {
                return;
            }
            // A client may leave at any time.
            if payload::try_send(stream, 1, bytes).is_err() {
                return;
            }
        } else {
            let digest = format!("{:?}", payload::receive(stream, length));
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", digest.len());
            stream.write_all((head + &digest).as_bytes()).unwrap();
        }
    }
}

/// If this fails, long bodies are damaged, or held in memory.
#[test]
fn long_bodies_pass_whole_both_ways_on_one_connection() {
    let bytes = environment::size("NUNCIO_HTTP_BODY_BYTES", 200 * 1024 * 1024);
    let listener = ListenerAddress::reserve();
    let text = http(listener.address, host());
    let proxy = Proxy::start(&environment::subject(), &text, &["--concurrency", "1"]);
    let client = Peer::connect(listener.address);
    let mut stream = client.stream();
    for round in 0..2 {
        write!(stream, "GET /{bytes} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let (status, length) = head(&mut BufReader::with_capacity(1, stream)).unwrap();
        assert_eq!((status.as_str(), length), ("HTTP/1.1 200 OK", bytes));
        let received = payload::receive(stream, bytes);

        write!(stream, "POST /up HTTP/1.1\r\nhost: a\r\ncontent-length: {bytes}\r\n\r\n").unwrap();
        let sent = payload::send(stream, 1, bytes);
        assert_eq!(received, sent, "round {round}");
        let (status, length) = head(&mut BufReader::with_capacity(1, stream)).unwrap();
        assert_eq!(status, "HTTP/1.1 200 OK");
        let mut digest = vec![0; usize::try_from(length).unwrap()];
        std::io::Read::read_exact(&mut stream, &mut digest).unwrap();
        assert_eq!(String::from_utf8(digest).unwrap(), format!("{sent:?}"), "round {round}");
    }
    let spliced = proxy.stats().value("nuncio.splice.bytes");
    let peak = proxy.resident_bytes_peak();
    println!("{bytes} bytes each way twice; spliced {spliced:?}; resident peak {peak}");
    assert!(peak < RESIDENT_BYTES_MAX, "resident memory reached {peak} bytes");
    proxy.wait_for_stat("http.http.downstream_rq_2xx", 4);
}

/// If this fails, a crowd that hardly reads starves everybody else, or fills the memory.
#[test]
fn a_fast_client_is_served_beside_hundreds_of_slow_ones() {
    const BODY: u64 = 64 * 1024 * 1024;
    let listener = ListenerAddress::reserve();
    let text = http(listener.address, host());
    let proxy = Proxy::start(&environment::subject(), &text, &["--concurrency", "1"]);
    let slow: Vec<Peer> = (0..SLOW_CLIENTS)
        .map(|_| {
            let mut client = Peer::connect_with_receive_buffer(listener.address, 4096);
            client.send(format!("GET /{BODY} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes());
            assert_eq!(client.receive(15), b"HTTP/1.1 200 OK");
            client
        })
        .collect();
    let client = Peer::connect(listener.address);
    let mut stream = client.stream();
    write!(stream, "GET /{BODY} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    head(&mut BufReader::with_capacity(1, stream)).unwrap();
    payload::receive(stream, BODY);
    let peak = proxy.resident_bytes_peak();
    println!("{SLOW_CLIENTS} slow clients, one fast; resident peak {peak}");
    assert!(peak < RESIDENT_BYTES_BESIDE_SLOW_MAX, "resident memory reached {peak} bytes");
    drop((slow, client));
    proxy.wait_for_stat("http.http.downstream_cx_active", 0);
    proxy.wait_for_stat("cluster.host.upstream_rq_active", 0);
}
