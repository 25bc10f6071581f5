//! The upstream side of every measurement: one thread that answers small requests, one that sends
//! bytes without end. Both are as light as epoll allows, because they share a core with the load
//! generator and must not be what is measured.
//!
//! They serve the load of this tool, not the world: a peer that does not take a 150-byte answer, or
//! sends a head larger than [`MAX_HEAD`], is disconnected.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use rustix::event::epoll::EventFlags;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, accept_with, bind, getsockname,
    listen, recv, send, socket_with, sockopt,
};

use crate::epoll::Poller;

/// Length of the body of every small answer.
pub(crate) const BODY: usize = 64;
/// Bulk bytes repeat with this period; the byte at position `p` is [`bulk_byte`]`(p)`.
pub(crate) const BULK_PERIOD: usize = 256 * 1024;
/// Largest request head that is put together from several segments.
const MAX_HEAD: usize = 16 * 1024;
/// Pending connections that a listener may hold: a burst of 512 must not meet a full queue.
const BACKLOG: i32 = 4096;
/// Sends on one bulk connection before the next one has its turn.
const SENDS_PER_TURN: usize = 4;
/// Token of the listening socket.
const LISTENER: u64 = u64::MAX;

/// A running upstream; ends its thread on drop.
#[derive(Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// Requests answered; stays zero for bulk.
    answers: AtomicU64,
}

impl Upstream {
    /// Answers every request head with a fixed response of [`BODY`] bytes, and closes after it
    /// where the request says `Connection: close`.
    pub(crate) fn http() -> Result<Self> {
        Self::start("http-upstream", |listener, shared| {
            let responses = Responses::new();
            serve(listener, shared, EventFlags::IN, |peer| answer(peer, &responses, shared))
        })
    }

    /// Sends bytes without end to everybody who connects, as fast as they are taken.
    pub(crate) fn bulk() -> Result<Self> {
        Self::start("bulk-upstream", |listener, shared| {
            // Twice the period, so that any position has a whole period of bytes behind it.
            let bytes: Vec<u8> = (0..2 * BULK_PERIOD).map(bulk_byte).collect();
            serve(listener, shared, EventFlags::OUT, |peer| pour(peer, &bytes))
        })
    }

    fn start(
        name: &str,
        body: impl FnOnce(&OwnedFd, &Shared) -> io::Result<()> + Send + 'static,
    ) -> Result<Self> {
        let (listener, address) = listen_on_loopback().context("open an upstream listener")?;
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                if let Err(error) = body(&listener, &theirs) {
                    // The load sees a closed listener and reports errors; this line says why.
                    eprintln!("upstream stopped: {error}");
                }
            })
            .context("start the upstream thread")?;
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests answered so far.
    pub(crate) fn answers(&self) -> u64 {
        self.shared.answers.load(Ordering::Relaxed)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The bulk byte at a position: 251 is prime, so that no power-of-two shift of the stream looks
/// right.
pub(crate) fn bulk_byte(position: usize) -> u8 {
    u8::try_from((position % BULK_PERIOD) % 251).unwrap_or_default()
}

/// The whole answer to a small request, without `Connection: close`.
pub(crate) fn small_answer() -> Vec<u8> {
    Responses::new().keep
}

struct Responses {
    keep: Vec<u8>,
    close: Vec<u8>,
}

impl Responses {
    fn new() -> Self {
        let body = "x".repeat(BODY);
        let build = |connection: &str| {
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {BODY}\r\n\
                 {connection}\r\n{body}"
            )
            .into_bytes()
        };
        Self { keep: build(""), close: build("Connection: close\r\n") }
    }
}

/// One accepted connection.
struct Peer {
    socket: OwnedFd,
    /// The start of a request head whose end has not come yet.
    head: Vec<u8>,
    /// Bytes sent so far, modulo the bulk period.
    position: usize,
}

/// Whether a connection goes on.
#[derive(PartialEq, Eq)]
enum Then {
    Keep,
    Close,
}

fn listen_on_loopback() -> io::Result<(OwnedFd, SocketAddr)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let listener = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&listener, true)?;
    // Accepted sockets inherit it.
    sockopt::set_tcp_nodelay(&listener, true)?;
    bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    listen(&listener, BACKLOG)?;
    let address = SocketAddr::try_from(getsockname(&listener)?)?;
    Ok((listener, address))
}

/// Accepts and calls `turn` for each connection that is ready, until told to stop.
fn serve(
    listener: &OwnedFd,
    shared: &Shared,
    interest: EventFlags,
    mut turn: impl FnMut(&mut Peer) -> Then,
) -> io::Result<()> {
    let mut poller = Poller::new()?;
    poller.add(listener, LISTENER, EventFlags::IN)?;
    let mut peers: Vec<Option<Peer>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut ready = Vec::new();
    while !shared.stop.load(Ordering::Relaxed) {
        ready.extend(poller.wait()?.map(|ready| ready.token));
        for token in ready.drain(..) {
            if token == LISTENER {
                while let Some(socket) = accept(listener)? {
                    let slot = free.pop().unwrap_or_else(|| {
                        peers.push(None);
                        peers.len() - 1
                    });
                    poller.add(&socket, slot as u64, interest)?;
                    peers[slot] = Some(Peer { socket, head: Vec::new(), position: 0 });
                }
                continue;
            }
            let Some(slot) = usize::try_from(token).ok().filter(|slot| *slot < peers.len()) else {
                continue;
            };
            if let Some(peer) = &mut peers[slot]
                && turn(peer) == Then::Close
            {
                peers[slot] = None;
                free.push(slot);
            }
        }
    }
    Ok(())
}

fn accept(listener: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    use rustix::io::Errno;
    match accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
        Ok(socket) => Ok(Some(socket)),
        // The peer gave up before we looked: the next one may be fine, and the listener is still
        // ready.
        Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads once and answers every head that is complete.
fn answer(peer: &mut Peer, responses: &Responses, shared: &Shared) -> Then {
    let mut room = [0_u8; 4096];
    let count = match recv(&peer.socket, &mut room, RecvFlags::empty()) {
        Ok((0, _)) => return Then::Close,
        Ok((count, _)) => count,
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Then::Keep,
        Err(_) => return Then::Close,
    };
    let mut input = &room[..count];
    let joined;
    if !peer.head.is_empty() {
        peer.head.extend_from_slice(input);
        joined = std::mem::take(&mut peer.head);
        input = &joined;
    }
    while let Some(end) = end_of_head(input) {
        let (head, rest) = input.split_at(end);
        let close = wants_close(head);
        let response = if close { &responses.close } else { &responses.keep };
        let sent = send(&peer.socket, response, SendFlags::NOSIGNAL);
        if sent != Ok(response.len()) {
            return Then::Close;
        }
        shared.answers.fetch_add(1, Ordering::Relaxed);
        if close {
            return Then::Close;
        }
        input = rest;
    }
    if input.len() > MAX_HEAD {
        return Then::Close;
    }
    peer.head = input.to_vec();
    Then::Keep
}

/// Offset just behind the empty line that ends a request head.
fn end_of_head(input: &[u8]) -> Option<usize> {
    input.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn wants_close(head: &[u8]) -> bool {
    const WORD: &[u8] = b"connection: close";
    head.windows(WORD.len()).any(|window| window.eq_ignore_ascii_case(WORD))
}

/// Sends until the socket is full or the turn is over.
fn pour(peer: &mut Peer, bytes: &[u8]) -> Then {
    for _ in 0..SENDS_PER_TURN {
        let chunk = &bytes[peer.position..peer.position + BULK_PERIOD];
        match send(&peer.socket, chunk, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(count) => peer.position = (peer.position + count) % BULK_PERIOD,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Then::Keep,
            Err(_) => return Then::Close,
        }
    }
    Then::Keep
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    /// Breaks if a head that arrives in pieces, or two heads in one piece, are answered wrongly.
    #[test]
    fn every_head_gets_one_answer_however_it_is_cut() {
        let upstream = Upstream::http().unwrap();
        let mut stream = TcpStream::connect(upstream.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        let answer = small_answer();
        let mut read = vec![0; answer.len()];
        for piece in ["GET / HTTP/1.1\r\nHo", "st: a\r\n\r", "\n"] {
            stream.write_all(piece.as_bytes()).unwrap();
        }
        stream.read_exact(&mut read).unwrap();
        assert_eq!(read, answer);

        stream
            .write_all(b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\nConnection: Close\r\n\r\n")
            .unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.starts_with(&answer));
        assert!(rest[answer.len()..].windows(17).any(|w| w == b"Connection: close"));
        assert_eq!(upstream.answers(), 3);
    }

    /// Breaks if the bulk stream loses, repeats or shifts bytes at a short send.
    #[test]
    fn bulk_bytes_are_the_ones_promised() {
        let upstream = Upstream::bulk().unwrap();
        let mut stream = TcpStream::connect(upstream.address()).unwrap();
        let mut bytes = vec![0; 3 * BULK_PERIOD + 17];
        stream.read_exact(&mut bytes).unwrap();
        assert!(bytes.iter().enumerate().all(|(at, byte)| *byte == bulk_byte(at)));
    }
}
