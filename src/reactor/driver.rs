//! The seam between the reactor and whatever performs its operations: [`Op`] in, [`Completion`]
//! out.
//!
//! Behind it stand the kernel's ring ([`ring::Ring`]) and, in tests, a script that plays the
//! kernel ([`scripted::Scripted`]). The choice is an enum, so every call is dispatched statically,
//! and a build without the simulation has only the ring.
//!
//! **Invariant:** a driver never calls back. It takes operations, and hands out completions when
//! asked.

mod probe;
pub(crate) mod ring;
#[cfg(any(test, feature = "simulation"))]
pub(crate) mod scripted;

use std::io;
use std::os::fd::RawFd;
use std::time::Instant;

pub use probe::probe;

use crate::buf::{BufferPool, FilledBuffer};
pub(crate) use crate::sys::enter::Wait;
use crate::sys::pipe::Pipe;

/// One operation to perform. Descriptors and memory named here stay valid until the operation's
/// last completion: the op table holds their owner for that long.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Op {
    /// Accept connections until cancelled or failed; each completion's result is a descriptor,
    /// non-blocking and close-on-exec.
    AcceptMulti { fd: RawFd },
    /// Connect to the address.
    Connect { fd: RawFd, address: AddressPointer },
    /// Receive into provided buffers: at most `credit` bytes over all completions.
    Recv { fd: RawFd, credit: u32 },
    /// Send one span of bytes.
    Send { fd: RawFd, span: SendSpan, mode: SendMode },
    /// Send several spans in order, as one message header describes them.
    SendVectored { fd: RawFd, message: MessagePointer, mode: SendMode },
    /// Shut down one or both directions (`SHUT_WR`, `SHUT_RDWR`).
    Shutdown { fd: RawFd, how: i32 },
    /// Close the descriptor.
    Close { fd: RawFd },
    /// Wait once until the descriptor is readable.
    PollReadable { fd: RawFd },
    /// Wait once until the descriptor is writable.
    PollWritable { fd: RawFd },
    /// Wait once until the peer of a stream has ended its side, or the stream has failed, whatever
    /// there is to be read.
    PollHangup { fd: RawFd },
    /// Cancel the operation with this key. Its own completion still comes.
    Cancel { target: OpKey },
}

/// What a send does on a full socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendMode {
    /// Return at once with `EAGAIN` or a short count, so that ring memory is never parked.
    Immediate,
    /// As `Immediate`, but complete only if not every byte was sent: a completion that does not
    /// come by the time the driver is [settled](Driver::settled) means success.
    Silent,
    /// Wait in the kernel until some bytes fit; only for memory that the connection owns.
    Parked,
}

/// Bytes to send, by address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SendSpan {
    pub(crate) start: *const u8,
    pub(crate) len: u32,
}

/// A `msghdr` whose owner keeps it and what it points to alive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MessagePointer(pub(crate) *const libc::msghdr);

/// A socket address whose owner keeps it alive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AddressPointer(pub(crate) *const socket2::SockAddr);

/// Names one operation in flight; see [`base::Key`] for why it has a generation.
pub(crate) type OpKey = base::Key;

/// What became of an operation, or of one shot of a multishot operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Completion {
    pub(crate) key: OpKey,
    /// The operation's result, or a negative errno.
    pub(crate) result: i32,
    /// The provided buffer a receive filled.
    pub(crate) buffer: Option<FilledBuffer>,
    /// More completions of this operation will come.
    pub(crate) more: bool,
}

/// What happened in a driver since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DriverStats {
    /// The submission queue was full and had to be submitted in mid-turn.
    pub(crate) sq_full: u64,
    /// The completion queue overflowed and the kernel kept completions back.
    pub(crate) cq_overflow: u64,
    /// Calls of `io_uring_enter(2)`.
    pub(crate) enters: u64,
}

/// Performs operations.
pub(crate) trait Driver {
    /// Queues an operation under `key`; it starts at the next [`Driver::enter`] at the latest.
    fn submit(&mut self, key: OpKey, op: &Op);

    /// Starts everything queued, gives returned buffers back, and waits for completions.
    fn enter(&mut self, wait: Wait, pool: &BufferPool);

    /// Appends the completions that are there; at most `max` at a time.
    fn reap(&mut self, completions: &mut Vec<Completion>, max: usize);

    /// Whether every queued operation has been started and every completion so far was reaped.
    fn settled(&mut self) -> bool;

    /// Counters of this driver.
    fn stats(&self) -> DriverStats;

    /// The time now.
    fn clock(&self) -> Instant;

    /// A pipe to splice through.
    ///
    /// # Errors
    /// As [`Pipe::new`].
    fn pipe(&mut self) -> io::Result<AnyPipe>;
}

/// A pipe of a driver; see [`Pipe`] for what its calls mean. Unlike operations they happen at once.
#[derive(Debug)]
pub(crate) enum AnyPipe {
    Kernel(Pipe),
    #[cfg(any(test, feature = "simulation"))]
    Scripted(scripted::ScriptedPipe),
}

impl AnyPipe {
    /// As [`Pipe::fill`].
    pub(crate) fn fill(&mut self, from: RawFd, len: usize) -> io::Result<usize> {
        match self {
            Self::Kernel(pipe) => pipe.fill(from, len),
            #[cfg(any(test, feature = "simulation"))]
            Self::Scripted(pipe) => pipe.fill(from, len),
        }
    }

    /// As [`Pipe::drain`].
    pub(crate) fn drain(&mut self, to: RawFd, len: usize) -> io::Result<usize> {
        match self {
            Self::Kernel(pipe) => pipe.drain(to, len),
            #[cfg(any(test, feature = "simulation"))]
            Self::Scripted(pipe) => pipe.drain(to, len),
        }
    }

    /// As [`Pipe::room_of`].
    pub(crate) fn room_of(&mut self, to: RawFd) -> usize {
        match self {
            Self::Kernel(pipe) => pipe.room_of(to),
            #[cfg(any(test, feature = "simulation"))]
            Self::Scripted(pipe) => pipe.room_of(to),
        }
    }

    /// As [`Pipe::read`].
    pub(crate) fn read(&mut self, len: usize) -> io::Result<Vec<u8>> {
        match self {
            Self::Kernel(pipe) => pipe.read(len),
            #[cfg(any(test, feature = "simulation"))]
            Self::Scripted(pipe) => pipe.read(len),
        }
    }
}

/// The drivers there are.
#[derive(Debug)]
#[cfg_attr(
    any(test, feature = "simulation"),
    expect(clippy::large_enum_variant, reason = "a reactor has one, and the ring is the real one")
)]
pub(crate) enum AnyDriver {
    Ring(ring::Ring),
    #[cfg(any(test, feature = "simulation"))]
    Scripted(scripted::Scripted),
}

macro_rules! dispatch {
    ($self:ident, $driver:ident => $call:expr) => {
        match $self {
            AnyDriver::Ring($driver) => $call,
            #[cfg(any(test, feature = "simulation"))]
            AnyDriver::Scripted($driver) => $call,
        }
    };
}

impl Driver for AnyDriver {
    #[inline]
    fn submit(&mut self, key: OpKey, op: &Op) {
        dispatch!(self, driver => driver.submit(key, op));
    }

    #[inline]
    fn enter(&mut self, wait: Wait, pool: &BufferPool) {
        dispatch!(self, driver => driver.enter(wait, pool));
    }

    #[inline]
    fn reap(&mut self, completions: &mut Vec<Completion>, max: usize) {
        dispatch!(self, driver => driver.reap(completions, max));
    }

    #[inline]
    fn settled(&mut self) -> bool {
        dispatch!(self, driver => driver.settled())
    }

    fn stats(&self) -> DriverStats {
        dispatch!(self, driver => driver.stats())
    }

    #[inline]
    fn clock(&self) -> Instant {
        dispatch!(self, driver => driver.clock())
    }

    fn pipe(&mut self) -> io::Result<AnyPipe> {
        dispatch!(self, driver => driver.pipe())
    }
}
