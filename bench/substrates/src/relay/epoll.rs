//! The relay as a hand-written epoll loop: edge-triggered, registered once, no change of interest
//! ever.
//!
//! Bytes go from a shared scratch buffer straight to the other socket; only what that does not take
//! is kept, and nothing more is read until it is gone.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, accept_with, connect,
    recv, send, shutdown, socket_with, sockopt,
};

use super::BUFFER;

/// Most events taken from the kernel at once.
const BATCH: usize = 512;
/// Most chunks read from one socket before the others have their turn.
const CHUNKS_PER_TURN: u32 = 16;
/// Token of the listening socket.
const LISTENER: u64 = u64::MAX;

/// One socket of a relayed pair.
struct Side {
    socket: OwnedFd,
    /// The last read did not say "nothing more now".
    readable: bool,
    /// The last write did not say "full"; false until the connect has finished.
    writable: bool,
    /// The peer's end of stream is announced: a short read is then not the last.
    hung_up: bool,
    /// The peer's end of stream has been read.
    ended: bool,
    /// Our end of stream has been sent.
    shut: bool,
    /// What this socket has not taken yet, from `sent` on.
    pending: Vec<u8>,
    sent: usize,
}

/// The client's and the upstream's socket of one connection.
struct Pair {
    sides: [Side; 2],
    /// Waits in [`Relay::unfinished`] for another turn.
    queued: bool,
}

/// How a turn of a pair ended.
enum Turn {
    /// Waits for events.
    Waiting,
    /// Could go on at once.
    Unfinished,
    /// Both directions have ended, or one has failed.
    Over,
}

struct Relay {
    epoll: OwnedFd,
    upstream: SocketAddr,
    pairs: Vec<Option<Pair>>,
    free: Vec<usize>,
    /// Slots freed in this batch: they become free after it, so that a late event of the batch
    /// cannot reach a new tenant.
    leaving: Vec<usize>,
    unfinished: VecDeque<usize>,
    scratch: Vec<u8>,
}

pub(super) fn run(listener: &TcpListener, upstream: SocketAddr) -> Result<()> {
    listener.set_nonblocking(true).context("make the listener non-blocking")?;
    let mut relay = Relay {
        epoll: epoll::create(CreateFlags::CLOEXEC).context("create an epoll instance")?,
        upstream,
        pairs: Vec::new(),
        free: Vec::new(),
        leaving: Vec::new(),
        unfinished: VecDeque::new(),
        scratch: vec![0; BUFFER],
    };
    epoll::add(&relay.epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)
        .context("watch the listener")?;
    let mut events: Vec<Event> = Vec::with_capacity(BATCH);
    loop {
        events.clear();
        let no_wait = Timespec { tv_sec: 0, tv_nsec: 0 };
        let timeout = (!relay.unfinished.is_empty()).then_some(&no_wait);
        match epoll::wait(&relay.epoll, rustix::buffer::spare_capacity(&mut events), timeout) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("wait for events"),
        }
        for event in &events {
            match event.data.u64() {
                LISTENER => relay.accept(listener)?,
                token => relay.ready(token, event.flags),
            }
        }
        for _ in 0..relay.unfinished.len() {
            if let Some(slot) = relay.unfinished.pop_front() {
                if let Some(pair) = &mut relay.pairs[slot] {
                    pair.queued = false;
                }
                relay.turn(slot);
            }
        }
        relay.free.append(&mut relay.leaving);
    }
}

impl Relay {
    fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        loop {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let client = match accept_with(listener, flags) {
                Ok(client) => client,
                Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => return Ok(()),
                Err(error) => return Err(error).context("accept"),
            };
            // A client whose upstream cannot even be tried is closed; the others go on.
            if let Ok(server) = self.start_connect() {
                self.add(client, server).context("watch a new pair")?;
            }
        }
    }

    fn start_connect(&self) -> rustix::io::Result<OwnedFd> {
        let family =
            if self.upstream.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let server = socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&server, true)?;
        match connect(&server, &self.upstream) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(server),
            Err(error) => Err(error),
        }
    }

    fn add(&mut self, client: OwnedFd, server: OwnedFd) -> rustix::io::Result<()> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.pairs.push(None);
            self.pairs.len() - 1
        });
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        for (side, socket) in [&client, &server].into_iter().enumerate() {
            let token = EventData::new_u64((slot * 2 + side) as u64);
            epoll::add(&self.epoll, socket, token, flags)?;
        }
        let sides = [Side::new(client), Side::new(server)];
        self.pairs[slot] = Some(Pair { sides, queued: false });
        Ok(())
    }

    fn ready(&mut self, token: u64, flags: EventFlags) {
        let Ok(token) = usize::try_from(token) else {
            return;
        };
        let (slot, side) = (token / 2, token % 2);
        let Some(Some(pair)) = self.pairs.get_mut(slot) else {
            return;
        };
        let side = &mut pair.sides[side];
        let broken = flags.intersects(EventFlags::HUP | EventFlags::ERR);
        if broken || flags.intersects(EventFlags::RDHUP) {
            side.hung_up = true;
        }
        side.readable |= side.hung_up || flags.contains(EventFlags::IN);
        side.writable |= broken || flags.contains(EventFlags::OUT);
        self.turn(slot);
    }

    /// Moves what can be moved between the two sockets of a pair.
    fn turn(&mut self, slot: usize) {
        let Some(pair) = &mut self.pairs[slot] else {
            return;
        };
        match pair.turn(&mut self.scratch) {
            Turn::Waiting => {}
            Turn::Unfinished => {
                if !pair.queued {
                    pair.queued = true;
                    self.unfinished.push_back(slot);
                }
            }
            Turn::Over => {
                self.pairs[slot] = None;
                self.leaving.push(slot);
            }
        }
    }
}

impl Pair {
    fn turn(&mut self, scratch: &mut [u8]) -> Turn {
        let [client, server] = &mut self.sides;
        let moved = copy(client, server, scratch)
            .and_then(|request| Ok(request | copy(server, client, scratch)?));
        let Ok(unfinished) = moved else {
            return Turn::Over;
        };
        if self.sides.iter().all(|side| side.shut) {
            Turn::Over
        } else if unfinished {
            Turn::Unfinished
        } else {
            Turn::Waiting
        }
    }
}

impl Side {
    fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            readable: false,
            writable: false,
            hung_up: false,
            ended: false,
            shut: false,
            pending: Vec::new(),
            sent: 0,
        }
    }

    /// Sends what is pending; true when nothing is left.
    fn flush(&mut self) -> rustix::io::Result<bool> {
        while self.writable && self.sent < self.pending.len() {
            match send(&self.socket, &self.pending[self.sent..], SendFlags::NOSIGNAL) {
                Ok(count) => self.sent += count,
                Err(Errno::AGAIN) => self.writable = false,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        let done = self.sent == self.pending.len();
        if done {
            self.pending.clear();
            self.sent = 0;
        }
        Ok(done)
    }

    /// Sends a chunk and keeps what the socket does not take.
    fn write(&mut self, chunk: &[u8]) -> rustix::io::Result<()> {
        let count = match send(&self.socket, chunk, SendFlags::NOSIGNAL) {
            Ok(count) => count,
            Err(Errno::AGAIN) => 0,
            // The next flush tries again.
            Err(Errno::INTR) => {
                self.pending.extend_from_slice(chunk);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if count < chunk.len() {
            self.writable = false;
            self.pending.extend_from_slice(&chunk[count..]);
        }
        Ok(())
    }
}

/// Moves bytes one way until a socket says stop; true when only the budget did.
fn copy(from: &mut Side, to: &mut Side, scratch: &mut [u8]) -> rustix::io::Result<bool> {
    for _ in 0..CHUNKS_PER_TURN {
        if !to.flush()? {
            return Ok(false);
        }
        if from.ended && !to.shut && to.writable {
            to.shut = true;
            shutdown(&to.socket, Shutdown::Write)?;
        }
        if from.ended || !from.readable || !to.writable {
            return Ok(false);
        }
        match recv(&from.socket, &mut *scratch, RecvFlags::empty()) {
            Ok((0, _)) => from.ended = true,
            Ok((count, _)) => {
                // A short read emptied the socket; news would be a new event, unless the end is
                // there.
                from.readable = count == scratch.len() || from.hung_up;
                to.write(&scratch[..count])?;
            }
            Err(Errno::AGAIN) => from.readable = false,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
