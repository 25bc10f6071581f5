//! A connected stream: its socket and both halves.

use std::rc::Rc;
use std::time::Instant;

use reactor::{Outbox, OutboxMeter, Reactor, Receiver, Socket};

/// A connection's socket with its reading and writing halves. Dropping it cancels what is in
/// flight and closes the socket once that has ended.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    receiver: Receiver,
    outbox: Outbox,
}

impl AsRef<Self> for Stream {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl Stream {
    /// Takes a connected socket over. At most `buffer_limit` bytes wait to be sent on it; `meter`
    /// is told about each of them.
    pub fn new(
        reactor: &Reactor,
        socket: Socket,
        buffer_limit: u32,
        meter: Rc<dyn OutboxMeter>,
    ) -> Self {
        let limit = usize::try_from(buffer_limit).unwrap_or(usize::MAX);
        let (receiver, outbox) = reactor.split(&socket, limit, meter);
        Self { socket, receiver, outbox }
    }

    /// As [`Stream::new`], of a socket from which `receiver` has received already. What it has and
    /// nobody took comes first.
    pub fn resume(
        reactor: &Reactor,
        socket: Socket,
        receiver: Receiver,
        buffer_limit: u32,
        meter: Rc<dyn OutboxMeter>,
    ) -> Self {
        let limit = usize::try_from(buffer_limit).unwrap_or(usize::MAX);
        let outbox = reactor.outbox(&socket, limit, meter);
        Self { socket, receiver, outbox }
    }

    /// The socket.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The half that reads from the peer.
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// The half that writes to the peer.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// When bytes last moved in either direction; at first, when the stream was made.
    pub fn last_activity(&self) -> Instant {
        self.receiver.last_received().max(self.outbox.last_sent())
    }
}
