//! The reading half of a stream: one credited receive at a time, kept across dropped futures.
//!
//! Every receive carries a credit, the most bytes it may take in; the reader derives it from the
//! room its outbox has, so a fast sender cannot outrun a slow receiver or take the buffer ring for
//! itself. With `recv_limit` it is a multishot receive whose limits add up to the credit, and which
//! ends by itself; otherwise each receive is a single shot of at most that length.
//!
//! ```text
//! Idle --recv polled--> Armed --data, more to come--> Armed
//!   ^  \                  |  \--last data, error----> Idle
//!   |   \--others starve--+---ENOBUFS--> Starved --buffer free--> Armed
//! ```
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::buf::{Span, SpanQueue};
use crate::core::{Core, Place, Source, count};
use crate::driver::{Completion, Op, OpKey};
use crate::fd::{Fd, Socket};
use crate::outbox::{Outbox, OutboxHint};

/// What a receive brought.
#[derive(Debug)]
pub enum Received {
    /// Bytes, at least one.
    Data(Span),
    /// The peer shut its sending direction down; it comes again on every later call.
    End,
}

/// The reading half of a [`Socket`]. Dropping it cancels the receive in flight; bytes that still
/// arrive are counted as lost.
#[derive(Debug)]
pub struct Receiver {
    inner: Rc<Inner>,
}

/// Most bytes one receive is armed for, whatever room there is: what one connection may take of a
/// turn before others have theirs.
pub const RECV_CREDIT_MAX: u32 = 64 * 1024;
/// What may come in while a stream is only watched for its end.
const WATCH_CREDIT: usize = 16 * 1024;

#[derive(Debug)]
struct Inner {
    core: Rc<Core>,
    fd: Rc<Fd>,
    state: RefCell<State>,
    received: Cell<u64>,
    last_received: Cell<Instant>,
    /// Where the outbox lies that gets what is received; see [`Receiver::feeds`].
    outbox: Cell<OutboxHint>,
}

#[derive(Debug, Default)]
struct State {
    arm: Arm,
    /// Received and not yet taken.
    ready: SpanQueue,
    /// What ended the stream: `Ok` for the peer's end, or an errno.
    end: Option<Result<(), i32>>,
    waker: Option<Waker>,
    /// The place in the queue for buffers, from the first shortage until bytes arrive.
    place: Option<Place>,
    /// The core will ask for a copy-out before the next reap.
    listed: bool,
    /// The receive in flight was cancelled for [`Receiver::rest`]: none follows it.
    rests: bool,
    /// The handle is gone.
    abandoned: bool,
}

#[derive(Debug, Default, Clone, Copy)]
enum Arm {
    #[default]
    Idle,
    /// A receive that may take in this much more.
    Armed { key: OpKey, credit: u32 },
    /// In the queue for a buffer, with this credit.
    Starved { place: Place, credit: u32 },
}

impl Receiver {
    /// What one costs on the heap, counts of references apart.
    #[cfg(test)]
    pub(crate) const STATE_BYTES: usize = size_of::<Inner>();

    pub(crate) fn new(core: Rc<Core>, socket: &Socket) -> Self {
        let fd = Rc::clone(socket.fd());
        let inner = Inner {
            last_received: Cell::new(core.now()),
            core,
            fd,
            state: RefCell::default(),
            received: Cell::new(0),
            outbox: Cell::default(),
        };
        Self { inner: Rc::new(inner) }
    }

    /// Waits for bytes or the end. At most `credit` bytes (and [`RECV_CREDIT_MAX`]) are taken in
    /// by the receive this starts; if one is in flight already, its credit counts. Dropping the
    /// future loses nothing.
    ///
    /// # Errors
    /// What the kernel said, again on every later call.
    pub async fn recv(&self, credit: usize) -> io::Result<Received> {
        poll_fn(|context| self.poll_recv(context, credit)).await
    }

    /// As [`Receiver::recv`].
    pub fn poll_recv(&self, context: &Context<'_>, credit: usize) -> Poll<io::Result<Received>> {
        self.inner.core.await_point();
        let mut state = self.inner.state.borrow_mut();
        if let Some(span) = state.ready.pop_front() {
            return Poll::Ready(Ok(Received::Data(span)));
        }
        match state.end {
            Some(Ok(())) => return Poll::Ready(Ok(Received::End)),
            Some(Err(errno)) => return Poll::Ready(Err(io::Error::from_raw_os_error(errno))),
            None => {}
        }
        self.inner.wait(&mut state, credit, context.waker());
        Poll::Pending
    }

    /// Gives back what was taken and not used: the next receive brings it first.
    pub fn unread(&self, span: Span) {
        if span.is_empty() {
            return;
        }
        let mut state = self.inner.state.borrow_mut();
        let leased = span.is_leased();
        state.ready.push_front(span);
        if leased {
            self.inner.list(&mut state);
        }
    }

    /// Ready once the stream has ended, whatever was received before its end and not yet taken.
    /// Watches on as long as nothing waits to be taken: bytes that do are a reason to read before
    /// looking any further.
    pub fn poll_end(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.inner.state.borrow_mut();
        match state.end {
            Some(Ok(())) => return Poll::Ready(Ok(())),
            Some(Err(errno)) => return Poll::Ready(Err(io::Error::from_raw_os_error(errno))),
            None => {}
        }
        self.inner.watch(&mut state, context.waker());
        Poll::Pending
    }

    /// Waits until there is something to take: bytes, or the end.
    pub fn poll_readable(&self, context: &Context<'_>, credit: usize) -> Poll<()> {
        self.inner.core.await_point();
        let mut state = self.inner.state.borrow_mut();
        if !state.ready.is_empty() || state.end.is_some() {
            return Poll::Ready(());
        }
        self.inner.wait(&mut state, credit, context.waker());
        Poll::Pending
    }

    /// What was received and not yet taken, its first piece. Starts no receive.
    pub fn take_received(&self) -> Option<Span> {
        self.inner.state.borrow_mut().ready.pop_front()
    }

    /// Whether the stream has ended and everything before its end was taken.
    pub fn is_ended(&self) -> bool {
        let state = self.inner.state.borrow();
        state.ready.is_empty() && state.end.is_some()
    }

    /// What ended the stream before its time, if something did, whatever was received before that
    /// and not yet taken.
    pub fn failure(&self) -> Option<io::Error> {
        let errno = self.inner.state.borrow().end?.err()?;
        Some(io::Error::from_raw_os_error(errno))
    }

    /// Whether there is neither anything to take nor an end.
    pub fn is_quiet(&self) -> bool {
        let state = self.inner.state.borrow();
        state.ready.is_empty() && state.end.is_none()
    }

    /// Wakes `waker` when something is received or the stream ends, as if its task had polled
    /// last: for an owner that lends the stream out and takes it back.
    pub fn watch(&self, waker: &Waker) {
        let mut state = self.inner.state.borrow_mut();
        if state.end.is_some() || !state.ready.is_empty() {
            waker.wake_by_ref();
        } else {
            self.inner.watch(&mut state, waker);
        }
    }

    /// Most bytes one span has that comes from here: a buffer of the ring.
    pub fn piece_max(&self) -> u32 {
        self.inner.core.pool().buffer_size()
    }

    /// Says where received bytes go, so that the outbox is in the cache by the time they are
    /// pushed. Nothing but speed depends on it.
    pub fn feeds(&self, outbox: &Outbox) {
        self.inner.outbox.set(outbox.memory());
    }

    /// Waits until no receive is in flight. What the last one brought waits to be taken.
    pub async fn rest(&self) {
        {
            let mut state = self.inner.state.borrow_mut();
            state.rests = true;
            if let Arm::Armed { key, .. } = state.arm {
                self.inner.core.cancel(key);
            }
        }
        poll_fn(|context| {
            let mut state = self.inner.state.borrow_mut();
            match state.arm {
                Arm::Idle => Poll::Ready(()),
                Arm::Starved { place, .. } => {
                    self.inner.core.leave_buffer_queue(place);
                    state.arm = Arm::Idle;
                    Poll::Ready(())
                }
                Arm::Armed { .. } => {
                    state.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
    }

    pub(crate) fn core(&self) -> Rc<Core> {
        Rc::clone(&self.inner.core)
    }

    pub(crate) fn fd(&self) -> &Rc<Fd> {
        &self.inner.fd
    }

    pub(crate) fn raw_fd(&self) -> RawFd {
        self.inner.fd.raw()
    }

    /// Bytes were taken from the socket without this receiver.
    pub(crate) fn took_elsewhere(&self, bytes: usize) {
        self.inner.received.set(self.inner.received.get() + bytes as u64);
        self.inner.last_received.set(self.inner.core.now());
    }

    /// Bytes taken from the kernel so far.
    pub fn bytes_received(&self) -> u64 {
        self.inner.received.get()
    }

    /// Of them, those that were taken from here and not given back.
    pub fn bytes_taken(&self) -> u64 {
        let state = self.inner.state.borrow();
        let ready: usize = state.ready.iter().map(|span| span.len()).sum();
        self.inner.received.get() - ready as u64
    }

    /// Of the bytes taken so far, so many were no part of the stream: they do not count.
    pub fn discount(&self, bytes: usize) {
        let received = self.inner.received.get();
        self.inner.received.set(received.saturating_sub(bytes as u64));
    }

    /// When bytes last came in; before the first, when the receiver was made.
    pub fn last_received(&self) -> Instant {
        self.inner.last_received.get()
    }
}

impl Inner {
    /// Has a receive in flight or in the queue for a buffer, and a waker for what it brings.
    fn wait(self: &Rc<Self>, state: &mut State, credit: usize, waker: &Waker) {
        state.rests = false;
        if let Arm::Idle = state.arm {
            let credit = u32::try_from(credit).unwrap_or(u32::MAX).clamp(1, RECV_CREDIT_MAX);
            if self.core.is_starving() {
                self.starve(state, credit);
            } else {
                self.arm(state, credit);
            }
        }
        if !state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
    }

    /// As [`Inner::wait`], without taking in more than one credit beyond what was read.
    fn watch(self: &Rc<Self>, state: &mut State, waker: &Waker) {
        if state.ready.is_empty() || !matches!(state.arm, Arm::Idle) {
            self.wait(state, WATCH_CREDIT, waker);
        }
    }

    /// Asks for a copy-out before the next reap.
    fn list(self: &Rc<Self>, state: &mut State) {
        if !state.listed {
            state.listed = true;
            self.core.copy_out_later(Rc::clone(self) as Rc<dyn Source>);
        }
    }

    fn arm(self: &Rc<Self>, state: &mut State, credit: u32) {
        let op = Op::Recv { fd: self.fd.raw(), credit };
        let key = self.core.submit(Rc::clone(self) as Rc<dyn Source>, &op);
        state.arm = Arm::Armed { key, credit };
    }

    /// Queues for a buffer, at the place it had if the buffer it was given was gone again.
    fn starve(self: &Rc<Self>, state: &mut State, credit: u32) {
        let source = Rc::clone(self) as Rc<dyn Source>;
        let place = self.core.wait_for_buffer(source, state.place);
        state.place = Some(place);
        state.arm = Arm::Starved { place, credit };
    }

    /// Books the buffer a completion brought.
    fn take_buffer(self: &Rc<Self>, state: &mut State, completion: &Completion) {
        let Some(buffer) = completion.buffer else {
            if completion.result > 0 {
                count(&self.core.counters.bad_completions, 1);
                state.end = Some(Err(libc::EIO));
            }
            return;
        };
        let len = u32::try_from(completion.result).unwrap_or(0);
        match self.core.pool().lease(buffer, len) {
            None => {
                count(&self.core.counters.bad_completions, 1);
                state.end = Some(Err(libc::EIO));
            }
            Some(lease) if len == 0 || state.abandoned => {
                count(&self.core.counters.lost_bytes, u64::from(len));
                drop(lease);
            }
            Some(lease) => {
                self.received.set(self.received.get() + u64::from(len));
                let last = self.last_received.replace(self.core.now());
                self.core.gathering.received(last);
                state.ready.push_back(Span::from(lease));
                self.list(state);
            }
        }
    }
}

impl Source for Inner {
    fn complete(self: Rc<Self>, completion: Completion) {
        self.outbox.get().prefetch();
        let mut state = self.state.borrow_mut();
        // What arrived is taken off the credit: going on after a shortage must not take in more
        // than there was room for.
        let taken = u32::try_from(completion.result).unwrap_or(0);
        let credit = match state.arm {
            Arm::Armed { credit, .. } => credit.saturating_sub(taken),
            Arm::Idle | Arm::Starved { .. } => 0,
        };
        state.arm =
            if completion.more { Arm::Armed { key: completion.key, credit } } else { Arm::Idle };
        if taken > 0 {
            state.place = None;
        }
        self.take_buffer(&mut state, &completion);
        match completion.result {
            0 => {
                state.end.get_or_insert(Ok(()));
            }
            1.. => {}
            error => match -error {
                libc::ENOBUFS if !state.abandoned && !state.rests && credit > 0 => {
                    self.starve(&mut state, credit);
                    return;
                }
                // Nothing was received; the next poll arms again.
                libc::ENOBUFS | libc::ECANCELED | libc::EINTR | libc::EAGAIN => {}
                errno => {
                    state.end.get_or_insert(Err(errno));
                }
            },
        }
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    fn copy_out(&self) -> usize {
        let mut state = self.state.borrow_mut();
        state.listed = false;
        state.ready.iter_mut().map(Span::copy_out).sum()
    }

    fn buffer_available(self: Rc<Self>) {
        let mut state = self.state.borrow_mut();
        if let Arm::Starved { credit, .. } = state.arm {
            self.arm(&mut state, credit);
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut state = self.inner.state.borrow_mut();
        state.abandoned = true;
        state.ready.clear();
        state.waker = None;
        if state.listed {
            self.inner.core.hurry();
        }
        match state.arm {
            Arm::Idle => {}
            Arm::Armed { key, .. } => self.inner.core.cancel(key),
            Arm::Starved { place, .. } => self.inner.core.leave_buffer_queue(place),
        }
    }
}
