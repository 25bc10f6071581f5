//! The writing half of a stream: a bounded queue, sent at the end of the turn in one operation.
//!
//! A span is sent from where it landed: what a turn pushes leaves in one send with `MSG_DONTWAIT`,
//! so ring memory is never parked in the kernel. What the socket did not take is copied into
//! memory of this outbox, and from then on sends wait in the kernel until the queue is empty
//! again: a congested peer pays for its own copy.
//!
//! ```text
//! Idle --push--> Listed --end of turn--> InFlight --all sent----------> Idle
//!                  ^                        |-----some left, EAGAIN--> Listed (congested)
//!                  +------------------------+-----error--------------> Idle (failed)
//! ```
//! The end of the stream is part of the queue: `finish` shuts the direction down after the last
//! byte was sent, once.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::buf::{Span, SpanQueue};
use crate::core::{Core, Source, count};
use crate::driver::{Completion, MessagePointer, Op, OpKey, SendMode, SendSpan};
use crate::fd::{Fd, Socket};
use crate::sys::prefetch::MemoryHint;

/// The writing half of a [`Socket`]. Dropping it cancels what is in flight and throws away what is
/// queued: wait for [`Outbox::drained`] first if the bytes matter.
#[derive(Debug)]
pub struct Outbox {
    inner: Rc<Inner>,
}

/// Told what happens to the bytes of an outbox, as it happens; a floor above counts them.
pub trait OutboxMeter {
    /// Bytes were queued.
    fn queued(&self, bytes: usize);
    /// The kernel took bytes that were queued.
    fn sent(&self, bytes: usize);
    /// Bytes that were queued will never be sent.
    fn dropped(&self, bytes: usize);
    /// The kernel took bytes that never waited.
    fn passed(&self, bytes: usize) {
        self.queued(bytes);
        self.sent(bytes);
    }
}

/// Most bytes an outbox holds for a socket that takes none, whatever its limit: a limit is an
/// upper bound, not a target, and a thousand stalled readers must not cost a gigabyte.
pub const CONGESTED_BYTES_MAX: usize = 128 * 1024;

/// Spans in one send; Linux takes 1,024, and 16 spans of a full credit are one turn's share.
const SPANS_PER_SEND: usize = 16;
/// A span of up to this size is copied behind bytes that lie in the connection's own memory, a
/// head mostly: one plain send is cheaper than a vectored one of two parts.
const GATHERED_BYTES_MAX: usize = 4 * 1024;
/// Copied bytes are gathered into chunks of up to this size.
const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// Where the memory of an [`Outbox`] lies.
pub(crate) type OutboxHint = MemoryHint<Inner>;

/// An idle connection keeps two of these.
pub(crate) struct Inner {
    core: Rc<Core>,
    fd: Rc<Fd>,
    /// Filled to this, the outbox takes no more until it has half as much.
    high: usize,
    meter: Rc<dyn OutboxMeter>,
    state: RefCell<State>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("fd", &self.fd).field("state", &self.state).finish()
    }
}

#[derive(Debug)]
struct State {
    queue: SpanQueue,
    /// Bytes in `queue`.
    buffered: usize,
    /// Bytes the kernel has taken.
    sent: u64,
    /// When it last took some; at first, when the outbox was made.
    last_sent: Instant,
    sending: Sending,
    /// The socket was full: spans are copied in, and sends wait in the kernel.
    congested: bool,
    /// `buffered` reached `high` and has not yet fallen to `low`.
    paused: bool,
    end: End,
    failure: Option<i32>,
    room_waiter: Option<Waker>,
    drained_waiter: Option<Waker>,
    failure_waiter: Option<Waker>,
    message: Option<Box<Message>>,
    abandoned: bool,
}

#[derive(Debug, Default, Clone, Copy)]
enum Sending {
    #[default]
    Idle,
    /// The core will call `flush` at the end of the turn.
    Listed,
    /// The first `spans` of the queue are the kernel's until `key` completes.
    InFlight { key: OpKey, spans: u8 },
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    /// To be shut down once the queue is empty.
    Requested,
    ShuttingDown,
    Done,
}

/// A message header and its iovecs at a stable address, kept for the next vectored send.
struct Message {
    header: libc::msghdr,
    iovecs: [libc::iovec; SPANS_PER_SEND],
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("iovecs", &self.header.msg_iovlen).finish()
    }
}

impl Outbox {
    /// What one costs on the heap, counts of references apart.
    #[cfg(test)]
    pub(crate) const STATE_BYTES: usize = size_of::<Inner>();

    pub(crate) fn new(
        core: Rc<Core>,
        socket: &Socket,
        limit: usize,
        meter: Rc<dyn OutboxMeter>,
    ) -> Self {
        let fd = Rc::clone(socket.fd());
        let high = limit.saturating_add(1).min(CONGESTED_BYTES_MAX);
        let state = RefCell::new(State::new(core.now()));
        Self { inner: Rc::new(Inner { core, fd, high, meter, state }) }
    }

    /// Queues bytes; they leave at the end of this turn. Never waits: ask [`Outbox::room`] first.
    /// After a failure or [`Outbox::finish`] the bytes are dropped.
    pub fn push(&self, span: Span) {
        let mut state = self.inner.state.borrow_mut();
        if state.failure.is_some() || state.end != End::Open || span.is_empty() {
            return;
        }
        let len = span.len();
        let in_flight = state.spans_in_flight();
        if state.congested || in_flight > 0 {
            self.inner.append_copied(&mut state.queue, in_flight, span);
        } else if len > GATHERED_BYTES_MAX || !gathered(&mut state.queue, 0, &span) {
            state.queue.push_back(span);
        }
        self.inner.booked(&mut state, len);
    }

    /// Queues what `write` appends to the memory it is given, as [`Outbox::push`] does: for heads
    /// and framing. The memory may hold bytes already, which were queued before.
    pub fn write(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.inner.state.borrow_mut();
        if state.failure.is_some() || state.end != End::Open {
            return;
        }
        let in_flight = state.spans_in_flight();
        let open = state.queue.len() > in_flight;
        let written = match state.queue.back_mut().filter(|_| open).and_then(Span::memory_mut) {
            Some(memory) if memory.len() < CHUNK_BYTES_MAX => {
                let before = memory.len();
                write(memory);
                memory.len() - before
            }
            _ => {
                let mut memory = self.inner.core.spare_memory();
                write(&mut memory);
                let written = memory.len();
                if written > 0 {
                    state.queue.push_back(memory.into());
                } else {
                    self.inner.core.recycle(memory);
                }
                written
            }
        };
        if written > 0 {
            self.inner.booked(&mut state, written);
        }
    }

    /// Waits until the outbox takes bytes again and says how many, at least 1.
    ///
    /// # Errors
    /// What ended the connection, if a send has failed.
    pub async fn room(&self) -> io::Result<usize> {
        poll_fn(|context| self.poll_room(context)).await
    }

    /// As [`Outbox::room`].
    pub fn poll_room(&self, context: &Context<'_>) -> Poll<io::Result<usize>> {
        self.inner.core.await_point();
        let mut state = self.inner.state.borrow_mut();
        if let Some(errno) = state.failure {
            return Poll::Ready(Err(io::Error::from_raw_os_error(errno)));
        }
        if !state.paused {
            return Poll::Ready(Ok(self.inner.high - state.buffered));
        }
        state.room_waiter = Some(context.waker().clone());
        Poll::Pending
    }

    /// Ready once a send has failed, with what ended the connection.
    pub fn poll_failure(&self, context: &Context<'_>) -> Poll<io::Error> {
        let mut state = self.inner.state.borrow_mut();
        if let Some(errno) = state.failure {
            return Poll::Ready(io::Error::from_raw_os_error(errno));
        }
        if !state.failure_waiter.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            state.failure_waiter = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// Whether the outbox is above its high watermark and waits for the low one.
    pub fn is_paused(&self) -> bool {
        self.inner.state.borrow().paused
    }

    /// Ends the stream: after everything queued was sent, the direction is shut down (FIN).
    pub fn finish(&self) {
        let mut state = self.inner.state.borrow_mut();
        if state.end == End::Open && state.failure.is_none() {
            state.end = End::Requested;
            self.inner.shut_down_if_drained(&mut state);
        }
    }

    /// Waits until everything queued was sent and, after [`Outbox::finish`], the direction is
    /// shut down.
    ///
    /// # Errors
    /// What ended the connection, if a send has failed.
    pub async fn drained(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_drained(context)).await
    }

    /// As [`Outbox::drained`].
    pub fn poll_drained(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        self.inner.core.await_point();
        let mut state = self.inner.state.borrow_mut();
        if let Some(errno) = state.failure {
            return Poll::Ready(Err(io::Error::from_raw_os_error(errno)));
        }
        if state.is_drained() {
            return Poll::Ready(Ok(()));
        }
        state.drained_waiter = Some(context.waker().clone());
        Poll::Pending
    }

    pub(crate) fn fd(&self) -> &Rc<Fd> {
        &self.inner.fd
    }

    pub(crate) fn raw_fd(&self) -> RawFd {
        self.inner.fd.raw()
    }

    /// Bytes wait for the socket without this outbox.
    pub(crate) fn queued_elsewhere(&self, bytes: usize) {
        self.inner.meter.queued(bytes);
    }

    /// The socket took bytes that are not of this outbox, and that were waiting or not.
    pub(crate) fn sent_elsewhere(&self, bytes: usize, waited: bool) {
        let mut state = self.inner.state.borrow_mut();
        state.sent += bytes as u64;
        state.last_sent = self.inner.core.now();
        if waited {
            self.inner.meter.sent(bytes);
        } else {
            self.inner.meter.passed(bytes);
        }
    }

    /// Bytes that waited will never be sent.
    pub(crate) fn dropped_elsewhere(&self, bytes: usize) {
        self.inner.meter.dropped(bytes);
    }

    /// Where the outbox's state lies.
    pub(crate) fn memory(&self) -> OutboxHint {
        MemoryHint::of(&*self.inner)
    }

    /// Bytes queued and not yet taken by the kernel.
    pub fn bytes_buffered(&self) -> usize {
        self.inner.state.borrow().buffered
    }

    /// Bytes queued so far, sent or not.
    pub fn bytes_queued(&self) -> u64 {
        let state = self.inner.state.borrow();
        state.sent + state.buffered as u64
    }

    /// Bytes the kernel has taken so far.
    pub fn bytes_sent(&self) -> u64 {
        self.inner.state.borrow().sent
    }

    /// Bytes of memory behind what is queued, used or not.
    #[cfg(test)]
    pub(crate) fn memory_held(&self) -> usize {
        self.inner.state.borrow().queue.iter().map(Span::memory_held).sum()
    }

    /// When the kernel last took bytes; before the first, when the outbox was made.
    pub fn last_sent(&self) -> Instant {
        self.inner.state.borrow().last_sent
    }
}

impl Inner {
    /// `len` bytes were queued.
    fn booked(self: &Rc<Self>, state: &mut State, len: usize) {
        state.buffered += len;
        self.meter.queued(len);
        state.paused |= state.buffered >= self.high;
        self.list(state);
    }

    fn list(self: &Rc<Self>, state: &mut State) {
        if let Sending::Idle = state.sending {
            state.sending = Sending::Listed;
            self.core.flush_later(Rc::clone(self) as Rc<dyn Source>);
        }
    }

    fn shut_down_if_drained(self: &Rc<Self>, state: &mut State) {
        // After a failure the queue is empty because it was thrown away: the peer must not take a
        // truncated stream for a complete one.
        if state.end == End::Requested && state.queue.is_empty() && state.failure.is_none() {
            state.end = End::ShuttingDown;
            let op = Op::Shutdown { fd: self.fd.raw(), how: libc::SHUT_WR };
            self.core.submit(Rc::clone(self) as Rc<dyn Source>, &op);
        }
    }

    /// The socket took `bytes` of the queue.
    fn consume(&self, state: &mut State, mut bytes: usize) {
        state.sent += bytes as u64;
        state.last_sent = self.core.now();
        state.buffered -= bytes;
        self.meter.sent(bytes);
        while bytes > 0 {
            let Some(front) = state.queue.front_mut() else {
                break;
            };
            if front.len() > bytes {
                front.advance(bytes);
                break;
            }
            bytes -= front.len();
            if let Some(memory) = state.queue.pop_front().and_then(Span::into_memory) {
                self.core.recycle(memory);
            }
        }
    }

    /// The socket is full: what is queued moves into memory of this outbox, once. What is queued
    /// later is copied as it comes.
    fn congest(&self, state: &mut State) {
        if std::mem::replace(&mut state.congested, true) {
            return;
        }
        for span in std::mem::take(&mut state.queue) {
            self.append_copied(&mut state.queue, 0, span);
        }
    }

    /// What does not leave with this turn's send, its first `sent` spans, must not hold ring memory
    /// until the next.
    fn copy_out_behind(&self, state: &mut State, sent: usize) {
        for span in state.queue.split_off(sent) {
            self.append_copied(&mut state.queue, sent, span);
        }
    }

    /// Appends the bytes of `span` in memory of the connection: to the last chunk if it has room
    /// and is not one of the first `frozen` spans, which the kernel is reading.
    fn append_copied(&self, queue: &mut SpanQueue, frozen: usize, mut span: Span) {
        if span.is_leased() {
            count(&self.core.counters.copied_out_bytes, span.len() as u64);
        }
        if gathered(queue, frozen, &span) {
            if let Some(memory) = span.into_memory() {
                self.core.recycle(memory);
            }
            return;
        }
        span.copy_out();
        queue.push_back(span);
    }

    fn fail(&self, state: &mut State, errno: i32) {
        state.failure = Some(errno);
        state.queue.clear();
        self.forget_buffered(state);
        state.paused = false;
        if let Some(waiter) = state.failure_waiter.take() {
            waiter.wake();
        }
    }

    /// What is still booked as queued will never be sent.
    fn forget_buffered(&self, state: &mut State) {
        let dropped = std::mem::take(&mut state.buffered);
        if dropped > 0 {
            self.meter.dropped(dropped);
        }
    }

    /// Everything that follows from a send having ended: the next send, the shutdown, the wakes.
    fn go_on(self: &Rc<Self>, state: &mut State) {
        if state.abandoned {
            state.queue.clear();
            self.forget_buffered(state);
            return;
        }
        if state.queue.is_empty() {
            state.congested = false;
            self.shut_down_if_drained(state);
        } else {
            self.list(state);
        }
        if state.paused && state.buffered <= self.high / 2 {
            state.paused = false;
        }
        if !state.paused
            && let Some(waiter) = state.room_waiter.take()
        {
            waiter.wake();
        }
        if (state.is_drained() || state.failure.is_some())
            && let Some(waiter) = state.drained_waiter.take()
        {
            waiter.wake();
        }
    }

    fn shutdown_completed(self: &Rc<Self>, state: &mut State, result: i32) {
        if state.end == End::ShuttingDown {
            state.end = End::Done;
            // ENOTCONN: the peer has reset the connection; there is nobody left to tell.
            if result < 0 && -result != libc::ENOTCONN && -result != libc::ECANCELED {
                self.fail(state, -result);
            }
            self.go_on(state);
        }
    }

    /// The operation that sends the front of the queue.
    fn next_send(&self, state: &mut State) -> (Op, u8) {
        let watched = state.room_waiter.is_some()
            || state.drained_waiter.is_some()
            || state.end == End::Requested;
        let mode = if state.congested {
            SendMode::Parked
        } else if watched {
            SendMode::Immediate
        } else {
            self.core.unwatched_send()
        };
        let fd = self.fd.raw();
        if state.queue.len() == 1
            && let Some(front) = state.queue.front()
            && let Ok(len) = u32::try_from(front.len())
        {
            let span = SendSpan { start: front.as_ptr(), len };
            return (Op::Send { fd, span, mode }, 1);
        }
        let message = state.message.get_or_insert_with(Message::boxed);
        let mut spans = 0;
        for (iovec, span) in message.iovecs.iter_mut().zip(state.queue.iter()) {
            iovec.iov_base = span.as_ptr().cast_mut().cast();
            iovec.iov_len = span.len();
            spans += 1;
        }
        message.header.msg_iov = message.iovecs.as_mut_ptr();
        message.header.msg_iovlen = spans.into();
        let message = MessagePointer(&raw const message.header);
        (Op::SendVectored { fd, message, mode }, spans)
    }
}

/// Copies the bytes of `span` behind the last bytes queued, if those lie in memory of the
/// connection with room left, and not in the first `frozen` spans. Returns whether they did.
fn gathered(queue: &mut SpanQueue, frozen: usize, span: &Span) -> bool {
    let open = queue.len() > frozen;
    open && queue.back_mut().is_some_and(|last| last.extend_owned(span, CHUNK_BYTES_MAX))
}

impl State {
    fn new(now: Instant) -> Self {
        Self {
            queue: SpanQueue::default(),
            buffered: 0,
            sent: 0,
            last_sent: now,
            sending: Sending::Idle,
            congested: false,
            paused: false,
            end: End::Open,
            failure: None,
            room_waiter: None,
            drained_waiter: None,
            failure_waiter: None,
            message: None,
            abandoned: false,
        }
    }

    /// How many spans at the front of the queue are the kernel's now.
    fn spans_in_flight(&self) -> usize {
        match self.sending {
            Sending::InFlight { spans, .. } => spans.into(),
            Sending::Idle | Sending::Listed => 0,
        }
    }

    /// The bytes of the first `spans` spans of the queue.
    fn bytes_of(&self, spans: u8) -> usize {
        self.queue.iter().take(spans.into()).map(|span| span.len()).sum()
    }

    /// Everything was sent, and the end too if it was asked for.
    fn is_drained(&self) -> bool {
        self.queue.is_empty() && matches!(self.end, End::Open | End::Done)
    }
}

impl Message {
    fn boxed() -> Box<Self> {
        let header = libc::msghdr {
            msg_name: std::ptr::null_mut(),
            msg_namelen: 0,
            msg_iov: std::ptr::null_mut(),
            msg_iovlen: 0,
            msg_control: std::ptr::null_mut(),
            msg_controllen: 0,
            msg_flags: 0,
        };
        let none = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Box::new(Self { header, iovecs: [none; SPANS_PER_SEND] })
    }
}

impl Source for Inner {
    fn flush(self: Rc<Self>) {
        let mut state = self.state.borrow_mut();
        if !matches!(state.sending, Sending::Listed) {
            return;
        }
        state.sending = Sending::Idle;
        if state.queue.is_empty() || state.abandoned {
            return;
        }
        let (op, spans) = self.next_send(&mut state);
        if state.queue.len() > spans.into() {
            self.copy_out_behind(&mut state, spans.into());
        }
        let key = self.core.submit(Rc::clone(&self) as Rc<dyn Source>, &op);
        state.sending = Sending::InFlight { key, spans };
    }

    fn complete(self: Rc<Self>, completion: Completion) {
        let mut state = self.state.borrow_mut();
        let bytes = match state.sending {
            Sending::InFlight { key, spans } if key == completion.key => state.bytes_of(spans),
            _ => return self.shutdown_completed(&mut state, completion.result),
        };
        state.sending = Sending::Idle;
        match usize::try_from(completion.result) {
            Ok(sent) if sent > 0 => {
                self.consume(&mut state, sent.min(bytes));
                if sent < bytes {
                    self.congest(&mut state);
                }
            }
            _ => match -completion.result {
                libc::EAGAIN => self.congest(&mut state),
                libc::EINTR | libc::ECANCELED => {}
                0 => self.fail(&mut state, libc::EPIPE),
                errno => self.fail(&mut state, errno),
            },
        }
        self.go_on(&mut state);
    }

    fn complete_silently(self: Rc<Self>) {
        let mut state = self.state.borrow_mut();
        if let Sending::InFlight { spans, .. } = state.sending {
            state.sending = Sending::Idle;
            let bytes = state.bytes_of(spans);
            self.consume(&mut state, bytes);
            self.go_on(&mut state);
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let mut state = self.inner.state.borrow_mut();
        state.abandoned = true;
        state.room_waiter = None;
        state.drained_waiter = None;
        state.failure_waiter = None;
        match state.sending {
            Sending::InFlight { key, spans, .. } => {
                drop(state.queue.split_off(spans.into()));
                self.inner.core.cancel(key);
            }
            Sending::Idle | Sending::Listed => {
                state.queue.clear();
                self.inner.forget_buffered(&mut state);
            }
        }
    }
}
