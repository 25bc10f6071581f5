//! One connection of a pool: what its task and the exchange that has it share.

use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::time::Instant;

use net::Stream;

use crate::existence::{ClosedBy, Existence};

/// Who has a connection now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// Nobody: its task watches it.
    Idle,
    /// Nobody yet: its task gives it to who waits, in a turn after this one.
    Returned {
        /// The turn in which an exchange gave it back.
        turn: u64,
    },
    /// An exchange, or one who is about to be given it.
    Exchange,
    /// Nobody any more: its task is to let it go.
    Closed,
}

/// A connected connection.
#[derive(Debug)]
pub(crate) struct Http1Connection {
    stream: Stream,
    existence: Existence,
    holder: Cell<Holder>,
    /// Requests it may still carry; `None` for any number (row D11).
    requests_left: Cell<Option<u32>>,
    idle_since: Cell<Instant>,
    requests: Cell<u64>,
    /// Of the pool, when it was made.
    age: u64,
    /// Bytes received that have been counted.
    counted: Cell<u64>,
    /// Of its task.
    task: RefCell<Option<Waker>>,
}

impl Http1Connection {
    pub(super) fn new(
        stream: Stream,
        existence: Existence,
        requests_max: Option<u32>,
        now: Instant,
        age: u64,
    ) -> Self {
        Self {
            stream,
            existence,
            holder: Cell::new(Holder::Exchange),
            requests_left: Cell::new(requests_max),
            idle_since: Cell::new(now),
            requests: Cell::new(0),
            age,
            counted: Cell::new(0),
            task: RefCell::new(None),
        }
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    pub(super) fn holder(&self) -> Holder {
        self.holder.get()
    }

    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since.get()
    }

    /// Of the pool, when it was made.
    pub(super) fn age(&self) -> u64 {
        self.age
    }

    /// How many requests it was lent for.
    pub(super) fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// Bytes received since the last call.
    pub(super) fn take_received(&self) -> u64 {
        let received = self.stream.receiver().bytes_received();
        received - self.counted.replace(received)
    }

    /// Books one request. Returns whether it is the last one.
    pub(super) fn use_once(&self) -> bool {
        self.requests.set(self.requests.get() + 1);
        let left = self.requests_left.get().map(|left| left.saturating_sub(1));
        self.requests_left.set(left);
        left == Some(0)
    }

    /// The request it is lent for is the last one.
    pub(super) fn use_up(&self) {
        self.requests_left.set(Some(0));
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.requests_left.get() == Some(0)
    }

    /// Remembers whom to wake when the connection changes hands.
    pub(super) fn owned_by(&self, task: &Waker) {
        let mut known = self.task.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(task)) {
            *known = Some(task.clone());
        }
    }

    /// Its task watches it from now.
    pub(super) fn set_idle(&self, now: Instant) {
        self.holder.set(Holder::Idle);
        self.idle_since.set(now);
        if let Some(task) = &*self.task.borrow() {
            self.stream.receiver().watch(task);
        }
    }

    /// An exchange has given it back while others wait. What the host may have said since, its
    /// task is to hear before they get it.
    pub(super) fn set_returned(&self, turn: u64) {
        self.holder.set(Holder::Returned { turn });
        if let Some(task) = &*self.task.borrow() {
            self.stream.receiver().watch(task);
            task.wake_by_ref();
        }
    }

    /// An exchange has it from now.
    pub(super) fn set_lent(&self) {
        self.holder.set(Holder::Exchange);
    }

    /// It will not be used again; its task lets it go. A host that has ended its side is who closed
    /// it, whatever else happened. Returns who that was.
    pub(super) fn close(&self, side: ClosedBy) -> ClosedBy {
        let ended = self.stream.receiver().is_ended();
        let side = if ended { ClosedBy::Remote } else { side };
        self.close_as(side);
        side
    }

    /// As [`HttpConnection::close`], by `side` even if the host has ended its own: a tunnel is
    /// ours to close then.
    pub(super) fn close_as(&self, side: ClosedBy) {
        self.existence.set_closed_by(side);
        self.holder.set(Holder::Closed);
        if let Some(task) = self.task.borrow_mut().take() {
            task.wake();
        }
    }
}
