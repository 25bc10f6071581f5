//! Floor 1: the per-core io_uring engine.
//!
//! One [`Reactor`] per worker thread: a ring with provided receive buffers, an executor for local
//! tasks, timers, and the sockets. It needs Linux 6.1 (`IORING_SETUP_DEFER_TASKRUN`); newer
//! features are found by [`probe`] and used where they are.
//!
//! One turn of the loop: run ready tasks within a budget, submit what they queued, wait for the
//! kernel, copy out what still lies in ring memory, hand out completions, fire timers.
//!
//! **Invariant:** no completion runs user code: it marks tasks ready.
//! **Invariant:** what the kernel may still read or write belongs to the op table until its last
//! completion, whatever happens to the future that asked for it.
//! **Invariant:** a lease on ring memory lasts at most until the next reap, as far as the reactor
//! holds it. A task that has taken a span out must pass it on or drop it in the same turn: the
//! reactor cannot move bytes that a task may be looking at.
//! **Invariant:** the reactor knows no protocol, no configuration and no statistics; it keeps plain
//! numbers ([`LoopStats`]) that the floors above publish.

mod acceptor;
mod address;
mod buf;
mod core;
mod driver;
mod error;
#[cfg(any(test, feature = "simulation"))]
mod fault;
mod fd;
mod features;
mod gathering;
mod inbox;
mod mailbox;
mod outbox;
mod receiver;
#[cfg(any(test, feature = "simulation"))]
pub mod simulation;
mod single;
mod sleep;
mod socket_option;
mod splice;
mod stats;
mod sys;
mod task;
#[cfg(test)]
mod tests;
mod timer_wheel;
mod turn;

pub use acceptor::Acceptor;
pub use address::to_kernel;
pub use buf::{Lease, Span};
pub use core::PIPES_MAX;
pub use driver::probe;
pub use error::RingError;
pub use fd::Socket;
pub use features::Features;
pub use inbox::{Inbox, InboxParts, channel};
pub use mailbox::{SendError, Sender};
pub use outbox::{CONGESTED_BYTES_MAX, Outbox, OutboxMeter};
pub use receiver::{RECV_CREDIT_MAX, Received, Receiver};
pub use sleep::{Sleep, yield_now};
pub use socket_option::{SocketOption, steer_by_cpu};
pub use splice::{Splice, SpliceError, Spliced};
pub use stats::LoopStats;
pub use task::{Branches, TaskSet, Woken};
pub use turn::{Reactor, Settings};
