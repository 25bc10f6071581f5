//! The upstream side of every measurement: one thread that answers small requests, sends bytes
//! without end or takes them. All are as light as epoll allows, because they share a core with the
//! load generator and must not be what is measured.
//!
//! They serve the load of this tool, not the world: a peer that does not take a short answer, or
//! sends a head larger than [`MAX_HEAD`], is disconnected.

mod answer;
mod body;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::Context;
use rustix::event::epoll::EventFlags;
use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, accept_with, bind, getsockname, listen,
    recv, socket_with, sockopt,
};

pub use answer::BODY;
pub(crate) use answer::{small_answer, small_body};

use crate::epoll::Poller;
use crate::pattern::Pattern;

/// Largest request head that is put together from several segments.
const MAX_HEAD: usize = 16 * 1024;
/// Pending connections that a listener may hold: a burst of 512 must not meet a full queue.
const BACKLOG: i32 = 4096;
/// Token of the listening socket.
const LISTENER: u64 = u64::MAX;
/// Length of a body that no measurement gets to the end of: 1 TiB.
pub(crate) const ENDLESS: u64 = 1 << 40;

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
    /// Bytes of request bodies taken.
    taken: AtomicU64,
}

impl Upstream {
    /// Answers every request head with a fixed response with a body of [`BODY`] bytes, and closes
    /// after it where the request says `Connection: close`.
    pub(crate) fn http() -> anyhow::Result<Self> {
        Self::start("http-upstream", |listener, shared| {
            let responses = answer::Responses::new();
            let mut room = head_room();
            serve(listener, shared, EventFlags::IN, |peer| {
                answer::answer(peer, &mut room, &responses, shared)
            })
        })
    }

    /// Sends bytes without end to everybody who connects, as fast as they are taken.
    pub(crate) fn bulk() -> anyhow::Result<Self> {
        Self::start("bulk-upstream", |listener, shared| {
            let pattern = Pattern::new();
            serve(listener, shared, EventFlags::OUT, |peer| body::pour(peer, &pattern))
        })
    }

    /// Answers the first request of every connection with a body of [`ENDLESS`] bytes.
    pub(crate) fn http_bulk() -> anyhow::Result<Self> {
        Self::start("http-bulk-upstream", |listener, shared| {
            let pattern = Pattern::new();
            let mut room = head_room();
            serve(listener, shared, EventFlags::IN, |peer| {
                body::answer_and_pour(peer, &mut room, &pattern)
            })
        })
    }

    /// Takes request bodies of a told length and answers each at its end. A body whose first bytes
    /// are not the bulk bytes ends the connection.
    pub(crate) fn http_upload() -> anyhow::Result<Self> {
        Self::start("http-upload-upstream", |listener, shared| {
            let responses = answer::Responses::new();
            let mut room = body::room();
            serve(listener, shared, EventFlags::IN, |peer| {
                body::take(peer, &mut room, &responses, shared)
            })
        })
    }

    fn start(
        name: &str,
        body: impl FnOnce(&OwnedFd, &Shared) -> io::Result<()> + Send + 'static,
    ) -> anyhow::Result<Self> {
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

    /// Bytes of request bodies taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.shared.taken.load(Ordering::Relaxed)
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

/// One accepted connection.
struct Peer {
    socket: OwnedFd,
    /// The start of a request head whose end has not come yet.
    head: Vec<u8>,
    /// Bytes sent so far, modulo the bulk period.
    sent: usize,
    /// The request body that is being taken.
    body: Option<body::Taking>,
    /// Whether a body without end is being sent.
    pours: bool,
}

impl Peer {
    const fn new(socket: OwnedFd) -> Self {
        Self { socket, head: Vec::new(), sent: 0, body: None, pours: false }
    }
}

/// How a connection goes on.
#[derive(PartialEq, Eq)]
enum Then {
    /// As before.
    Keep,
    /// From now on it is looked at when it takes bytes, and no longer when it has some.
    Pour,
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
                    peers[slot] = Some(Peer::new(socket));
                }
                continue;
            }
            let Some(slot) = usize::try_from(token).ok().filter(|slot| *slot < peers.len()) else {
                continue;
            };
            let Some(peer) = &mut peers[slot] else { continue };
            match turn(peer) {
                Then::Keep => {}
                Then::Pour => poller.modify(&peer.socket, token, EventFlags::OUT)?,
                Then::Close => {
                    peers[slot] = None;
                    free.push(slot);
                }
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

/// Room for an incomplete head and for what one look at the socket brings.
fn head_room() -> Vec<u8> {
    vec![0; MAX_HEAD + 4096]
}

/// Reads once, behind the incomplete head that came before; `room` is from [`head_room`]. `Err` is
/// how to go on when there is nothing to look at.
fn receive<'a>(peer: &Peer, room: &'a mut [u8]) -> Result<&'a [u8], Then> {
    let before = peer.head.len();
    room[..before].copy_from_slice(&peer.head);
    match recv(&peer.socket, &mut room[before..], RecvFlags::empty()) {
        Ok((0, _)) => Err(Then::Close),
        Ok((count, _)) => Ok(&room[..before + count]),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Err(Then::Keep),
        Err(_) => Err(Then::Close),
    }
}

/// Keeps `rest`, which holds no whole head, until more comes.
fn keep_head(peer: &mut Peer, rest: &[u8]) -> Then {
    if rest.len() > MAX_HEAD {
        return Then::Close;
    }
    peer.head.clear();
    peer.head.extend_from_slice(rest);
    Then::Keep
}

/// Offset just behind the empty line that ends a request head.
pub(crate) fn end_of_head(input: &[u8]) -> Option<usize> {
    input.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;
    use crate::pattern::{BULK_CHECK, BULK_PERIOD, bulk_byte, first_wrong};

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

    /// Breaks if the pouring starts before the request, or its first bytes are lost.
    #[test]
    fn an_endless_answer_follows_a_request() {
        let upstream = Upstream::http_bulk().unwrap();
        let mut stream = TcpStream::connect(upstream.address()).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
        stream.write_all(b"Host: a\r\n\r\n").unwrap();
        let mut bytes = vec![0; 2 * BULK_PERIOD];
        stream.read_exact(&mut bytes).unwrap();
        let head = end_of_head(&bytes).unwrap();
        assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n"));
        assert_eq!(first_wrong(&bytes[head..], 0), None);
    }

    /// Breaks if a body that a proxy damaged is taken for a good one, or if its length is misread.
    #[test]
    fn bodies_are_taken_to_their_end_and_compared() {
        let upstream = Upstream::http_upload().unwrap();
        let length = BULK_CHECK + 1000;
        let head = format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
        let mut body: Vec<u8> = (0..length).map(bulk_byte).collect();
        let mut stream = TcpStream::connect(upstream.address()).unwrap();
        let mut read = vec![0; small_answer().len()];
        // Twice, so that the second head stands right behind the first body.
        for _ in 0..2 {
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&body).unwrap();
        }
        for _ in 0..2 {
            stream.read_exact(&mut read).unwrap();
            assert_eq!(read, small_answer());
        }
        assert_eq!(upstream.taken(), 2 * u64::try_from(length).unwrap());

        body[BULK_PERIOD] ^= 1;
        let mut stream = TcpStream::connect(upstream.address()).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        // The upstream may close before it has all.
        let _ = stream.write_all(&body);
        assert!(!matches!(stream.read(&mut read), Ok(1..)));
    }
}
