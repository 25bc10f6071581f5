//! The relay of every substrate, as a process: bytes intact both ways, half close both ways,
//! refused upstream. A figure about a relay that loses bytes would be worth nothing.

#![expect(clippy::unwrap_used, reason = "helpers of tests assert by unwrapping")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

const SUBSTRATES: [&str; 6] =
    ["reactor", "epoll", "tokio", "monoio", "monoio-defer", "tokio-uring"];
/// More than the sockets and the relay hold together, so that back pressure happens.
const LENGTH: usize = 24 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

struct Relay {
    process: Child,
    address: SocketAddr,
}

impl Relay {
    fn start(substrate: &str, upstream: SocketAddr) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_substrates"))
            .args(["relay", "--substrate", substrate, "--listen", "127.0.0.1:0"])
            .args(["--upstream", &upstream.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap().parse().unwrap();
        Self { process, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Bytes of a linear congruential sequence, so that a lost or doubled piece cannot go unnoticed.
fn bytes(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_le_bytes()[6]
    };
    std::iter::repeat_with(next).take(LENGTH).collect()
}

/// Breaks if a relay loses, doubles or reorders bytes when both directions are full, or ends one
/// direction because the other has ended.
#[test]
fn both_directions_carry_every_byte_past_a_half_close() {
    for substrate in SUBSTRATES {
        let (upstream, address) = listener();
        let relay = Relay::start(substrate, address);
        let (up, down) = (bytes(1), bytes(2));
        let (expected, answer) = (up.clone(), down.clone());
        let server = thread::spawn(move || {
            let (mut stream, _) = upstream.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            // The first half while the client still sends, the rest after its end.
            let mut writer = stream.try_clone().unwrap();
            let half = answer.len() / 2;
            let (early, late) = (answer[..half].to_vec(), answer[half..].to_vec());
            let early = thread::spawn(move || writer.write_all(&early).unwrap());
            let mut received = Vec::new();
            stream.read_to_end(&mut received).unwrap();
            early.join().unwrap();
            stream.write_all(&late).unwrap();
            received == expected
        });
        let mut client = relay.connect();
        let mut reader = client.try_clone().unwrap();
        let sender = thread::spawn(move || {
            client.write_all(&up).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
        });
        let mut received = Vec::new();
        reader.read_to_end(&mut received).unwrap();
        sender.join().unwrap();
        assert!(server.join().unwrap(), "{substrate}: bytes to the upstream differ");
        assert!(received == down, "{substrate}: bytes to the client differ");
    }
}

/// Breaks if the upstream's end of stream does not reach the client while the client still sends.
#[test]
fn the_upstream_may_end_first() {
    for substrate in SUBSTRATES {
        let (upstream, address) = listener();
        let relay = Relay::start(substrate, address);
        let server = thread::spawn(move || {
            let (mut stream, _) = upstream.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(b"banner").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut received = String::new();
            stream.read_to_string(&mut received).unwrap();
            received
        });
        let mut client = relay.connect();
        let mut banner = String::new();
        client.read_to_string(&mut banner).unwrap();
        assert_eq!(banner, "banner", "{substrate}");
        client.write_all(b"still here").unwrap();
        drop(client);
        assert_eq!(server.join().unwrap(), "still here", "{substrate}");
    }
}

/// Breaks if a client is left waiting, or the relay dies, when nobody listens upstream.
#[test]
fn a_refused_upstream_ends_the_client_and_not_the_relay() {
    for substrate in SUBSTRATES {
        let (upstream, address) = listener();
        drop(upstream);
        let relay = Relay::start(substrate, address);
        for _ in 0..3 {
            let mut end = [0];
            let read = relay.connect().read(&mut end);
            assert!(matches!(read, Ok(0)) || reset(&read), "{substrate}: {read:?}");
        }
    }
}

fn reset(read: &std::io::Result<usize>) -> bool {
    matches!(read, Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset)
}
