//! A stream of an HTTP/2 connection, as its owner has it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use base::Key;
use proto::http2::{ErrorCode, MessageStart, Meter, ResetReason};
use proto::{HeaderList, ResponseHead};
use reactor::Span;

use super::endpoint::{ConnectionEnd, Endpoint};
use super::metadata::Maps;
use super::pending::Pending;

/// Bytes that are held at most for others to share their frame: as many as fit.
const HELD_MAX: usize = 16 * 1024;

/// The next part of a message.
#[derive(Debug)]
pub enum PortPart {
    /// Bytes of its body, at least one.
    Data(Span),
    /// A map of METADATA.
    Metadata(Box<HeaderList>),
    /// The trailers have come: [`StreamPort::take_trailers`] has them. The end comes next.
    Trailers,
    /// There is no more.
    End,
}

/// Why a stream ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortEnd {
    /// It was reset.
    Reset(ResetReason),
    /// Its connection is over.
    Connection(ConnectionEnd),
}

/// What a connection and the owner of a stream share.
#[derive(Debug, Default)]
pub(super) struct PortState {
    pub(super) inbox: RefCell<Pending>,
    pub(super) outgoing: RefCell<Pending>,
    /// To be sent behind `outgoing`, if there are any.
    pub(super) trailers_out: RefCell<HeaderList>,
    pub(super) has_trailers_out: Cell<bool>,
    /// Heads of responses, for the owner of a client's stream; at the back those not taken yet.
    heads: RefCell<VecDeque<(Box<ResponseHead>, Option<MessageStart>)>>,
    /// Memory for the next one.
    spare_head: RefCell<Option<Box<ResponseHead>>>,
    /// The final head of a response has come.
    has_head: Cell<bool>,
    /// Maps of METADATA that have come.
    pub(super) maps: Maps,
    trailers_in: RefCell<HeaderList>,
    has_trailers_in: Cell<bool>,
    has_ended: Cell<bool>,
    end: Cell<Option<PortEnd>>,
    is_paused: Cell<bool>,
    /// The owner waits until it may send more, or until all was sent.
    awaits_sending: Cell<bool>,
    /// Who reads and who sends: each direction may be polled apart from the other.
    reader: Waiter,
    sender: Waiter,
}

/// Who waits for something.
#[derive(Debug, Default)]
struct Waiter(RefCell<Option<Waker>>);

impl Waiter {
    fn wake(&self) {
        if let Some(waker) = &*self.0.borrow() {
            waker.wake_by_ref();
        }
    }

    fn wait(&self, context: &Context<'_>) {
        let mut waker = self.0.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
    }
}

impl PortState {
    /// A piece of the body has come.
    pub(super) fn received(&self, span: Span) {
        self.inbox.borrow_mut().push(span);
        self.reader.wake();
    }

    /// The head of a response has come; an interim one begins nothing. `head` gets other memory.
    pub(super) fn head_received(&self, head: &mut Box<ResponseHead>, start: Option<MessageStart>) {
        let other = self.spare_head.take().unwrap_or_default();
        let head = std::mem::replace(head, other);
        self.has_head.set(start.is_some());
        self.heads.borrow_mut().push_back((head, start));
        self.reader.wake();
    }

    /// A map of METADATA has come. `is_response` says beside which message.
    pub(super) fn metadata_received(&self, map: Box<HeaderList>, is_response: bool) {
        let is_early = is_response && !self.has_head.get();
        self.maps.push(map, is_early, self.inbox.borrow().len());
        self.reader.wake();
    }

    /// Trailers have come. `trailers` gets other memory.
    pub(super) fn trailers_received(&self, swap: impl FnOnce(&mut HeaderList)) {
        swap(&mut self.trailers_in.borrow_mut());
        self.has_trailers_in.set(true);
        self.reader.wake();
    }

    pub(super) fn message_ended(&self) {
        self.has_ended.set(true);
        self.reader.wake();
    }

    /// The stream is over before its time. What has come of it by now is still there.
    pub(super) fn ended(&self, end: PortEnd) {
        if self.end.get().is_none() {
            self.end.set(Some(end));
            self.reader.wake();
            self.sender.wake();
        }
    }

    /// Bytes have left, or may leave now: whoever waits for that goes on.
    pub(super) fn sending_goes_on(&self, low: usize) {
        if self.outgoing.borrow().len() <= low {
            self.is_paused.set(false);
        }
        if self.awaits_sending.take() {
            self.sender.wake();
        }
    }

    /// For the next stream.
    pub(super) fn clear(&self) {
        self.inbox.borrow_mut().clear();
        self.outgoing.borrow_mut().clear();
        self.has_trailers_out.set(false);
        self.heads.borrow_mut().clear();
        self.has_head.set(false);
        self.trailers_in.borrow_mut().clear();
        self.has_trailers_in.set(false);
        self.has_ended.set(false);
        self.end.set(None);
        self.is_paused.set(false);
        self.awaits_sending.set(false);
        *self.reader.0.borrow_mut() = None;
        *self.sender.0.borrow_mut() = None;
    }
}

/// A stream. Dropping it resets it with CANCEL, unless it is over.
#[derive(Debug)]
pub struct StreamPort {
    endpoint: Rc<Endpoint>,
    key: Key,
    state: Rc<PortState>,
}

impl StreamPort {
    pub(super) fn new(endpoint: &Rc<Endpoint>, key: Key, state: Rc<PortState>) -> Self {
        Self { endpoint: Rc::clone(endpoint), key, state }
    }

    /// The connection that carries it.
    #[must_use]
    pub fn endpoint(&self) -> &Rc<Endpoint> {
        &self.endpoint
    }

    /// The next head of a response, which goes to `head`: a final one with what it begins, or an
    /// interim one.
    ///
    /// # Errors
    ///
    /// The stream is over.
    pub fn poll_head(
        &self,
        context: &Context<'_>,
        head: &mut ResponseHead,
    ) -> Poll<Result<Option<MessageStart>, PortEnd>> {
        if let Some((mut next, start)) = self.state.heads.borrow_mut().pop_front() {
            std::mem::swap(head, &mut *next);
            self.state.spare_head.replace(Some(next));
            return Poll::Ready(Ok(start));
        }
        self.poll_end(context).map(Err)
    }

    /// The next part of the message; of its body at most `bytes_max` bytes. The peer may send as
    /// many again.
    ///
    /// # Errors
    ///
    /// The stream is over, and everything that came before that was taken.
    pub fn poll_part(
        &self,
        context: &Context<'_>,
        bytes_max: usize,
    ) -> Poll<Result<PortPart, PortEnd>> {
        let state = &self.state;
        if !state.maps.is_empty()
            && let Some(part) = self.next_among_maps(bytes_max)
        {
            return Poll::Ready(Ok(part));
        }
        let data = state.inbox.borrow_mut().pop(bytes_max);
        if let Some(data) = data {
            self.endpoint.consumed(self.key, data.len());
            return Poll::Ready(Ok(PortPart::Data(data)));
        }
        if state.has_trailers_in.take() {
            return Poll::Ready(Ok(PortPart::Trailers));
        }
        if state.has_ended.get() {
            return Poll::Ready(Ok(PortPart::End));
        }
        self.poll_end(context).map(Err)
    }

    /// The next part while maps of METADATA wait.
    #[cold]
    fn next_among_maps(&self, bytes_max: usize) -> Option<PortPart> {
        let maps = &self.state.maps;
        if let Some(map) = maps.pop() {
            self.endpoint.metadata_taken(&map);
            return Some(PortPart::Metadata(map));
        }
        let data = self.state.inbox.borrow_mut().pop(bytes_max.min(maps.bytes_ahead()))?;
        maps.taken(data.len());
        self.endpoint.consumed(self.key, data.len());
        Some(PortPart::Data(data))
    }

    /// The next map of METADATA that came before the head of the response. A map wakes who waits
    /// for the head.
    #[must_use]
    pub fn take_early_metadata(&self) -> Option<Box<HeaderList>> {
        let map = self.state.maps.pop_early()?;
        self.endpoint.metadata_taken(&map);
        Some(map)
    }

    /// Sends a map of METADATA, behind what was sent before as far as windows let that go. Where
    /// METADATA is not allowed nothing is sent.
    pub fn send_metadata(&self, map: &HeaderList) {
        if !self.is_over() {
            self.flush();
            self.endpoint.send_metadata(self.key, map);
        }
    }

    /// The trailers, after [`PortPart::Trailers`]. They are swapped for `trailers`.
    pub fn take_trailers(&self, trailers: &mut HeaderList) {
        trailers.clear();
        std::mem::swap(&mut *self.state.trailers_in.borrow_mut(), trailers);
    }

    /// Ready once the stream is over before its time, for who reads from it or waits for nothing
    /// else.
    pub fn poll_end(&self, context: &Context<'_>) -> Poll<PortEnd> {
        self.poll_end_as(&self.state.reader, context)
    }

    /// As [`StreamPort::poll_end`], for who sends.
    pub(super) fn poll_end_sending(&self, context: &Context<'_>) -> Poll<PortEnd> {
        self.poll_end_as(&self.state.sender, context)
    }

    fn poll_end_as(&self, waiter: &Waiter, context: &Context<'_>) -> Poll<PortEnd> {
        if let Some(end) = self.state.end.get() {
            return Poll::Ready(end);
        }
        waiter.wait(context);
        Poll::Pending
    }

    /// Of a stream that ended before its time: what had come before is for who reads, who learns
    /// of the end then. Who sends is woken by [`StreamPort::rest_read`].
    pub(super) fn poll_rest_read<T>(&self, context: &Context<'_>) -> Poll<T> {
        self.state.sender.wait(context);
        Poll::Pending
    }

    /// Everything that has come was read, to the message's end.
    pub(super) fn rest_read(&self) {
        if self.is_over() {
            self.state.sender.wake();
        }
    }

    /// Whether something has come that was not taken.
    pub(super) fn has_received(&self) -> bool {
        !self.state.inbox.borrow().is_empty()
    }

    /// Why the stream ended before its time, if it did.
    #[must_use]
    pub fn ended_by(&self) -> Option<PortEnd> {
        self.state.end.get()
    }

    /// Whether the peer's message has come to its end.
    #[must_use]
    pub fn is_received(&self) -> bool {
        self.state.has_ended.get()
    }

    /// Whether both messages have come to their ends.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.ended_by().is_none() && self.endpoint.is_closed(self.key)
    }

    /// How many bytes may be sent now.
    ///
    /// # Errors
    ///
    /// The stream is over.
    pub fn poll_room(&self, context: &Context<'_>) -> Poll<Result<usize, PortEnd>> {
        if let Poll::Ready(end) = self.poll_end_sending(context) {
            return Poll::Ready(Err(end));
        }
        if self.is_paused() {
            self.state.awaits_sending.set(true);
            return Poll::Pending;
        }
        let buffered = self.state.outgoing.borrow().len();
        Poll::Ready(Ok(self.endpoint.high().saturating_sub(buffered).max(1)))
    }

    /// Whether [`StreamPort::poll_room`] would wait: for the stream, or for its connection.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.state.is_paused.get() || self.endpoint.is_paused()
    }

    /// Ready once everything was sent as far as windows and the connection's outbox are concerned,
    /// or never will be.
    pub fn poll_sent(&self, context: &Context<'_>) -> Poll<()> {
        let is_sent = self.state.outgoing.borrow().is_empty() && !self.state.has_trailers_out.get();
        if is_sent || self.poll_end_sending(context).is_ready() {
            return Poll::Ready(());
        }
        self.state.awaits_sending.set(true);
        Poll::Pending
    }

    /// Sends the head of a response, as a server.
    pub fn send_head(&self, head: &ResponseHead, is_whole: bool) {
        self.endpoint.send_head(self.key, head, is_whole);
    }

    /// Sends bytes of the body. Never waits: ask [`StreamPort::poll_room`] first.
    pub fn send(&self, span: Span) {
        let bytes = span.len();
        if bytes == 0 || self.is_over() {
            return;
        }
        self.state.outgoing.borrow_mut().push(span);
        self.offer(bytes);
    }

    /// As [`StreamPort::send`], of bytes that are copied.
    pub fn send_copy(&self, bytes: &[u8]) {
        if bytes.is_empty() || self.is_over() {
            return;
        }
        self.state.outgoing.borrow_mut().push_copy(bytes);
        self.offer(bytes.len());
    }

    /// As [`StreamPort::send_copy`], of the last bytes of the message: its end goes with them.
    pub fn send_last(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return self.end(None);
        }
        if self.is_over() {
            return;
        }
        self.state.outgoing.borrow_mut().push_copy(bytes);
        self.offer_part(bytes.len(), true);
    }

    /// As [`StreamPort::send`], but of bytes behind which more or the end may come at once, so that
    /// they may share a frame. [`StreamPort::flush`] must follow.
    pub fn hold(&self, span: Span) {
        let bytes = span.len();
        if bytes == 0 || self.is_over() {
            return;
        }
        let held = {
            let mut outgoing = self.state.outgoing.borrow_mut();
            outgoing.push(span);
            outgoing.len()
        };
        if held >= HELD_MAX {
            return self.offer(bytes);
        }
        self.endpoint.pending.set(self.endpoint.pending.get() + bytes);
        self.endpoint.hold(self.key, bytes);
    }

    /// Sends what is held.
    pub fn flush(&self) {
        if !self.is_over() && !self.state.outgoing.borrow().is_empty() {
            self.endpoint.flush();
            self.settle();
        }
    }

    fn offer(&self, bytes: usize) {
        self.offer_part(bytes, false);
    }

    fn offer_part(&self, bytes: usize, is_last: bool) {
        self.endpoint.pending.set(self.endpoint.pending.get() + bytes);
        self.endpoint.offer(self.key, bytes, is_last);
        self.settle();
    }

    fn settle(&self) {
        let mut outgoing = self.state.outgoing.borrow_mut();
        // What could not leave at once may stay for long.
        outgoing.settle();
        if outgoing.len() >= self.endpoint.high() {
            self.state.is_paused.set(true);
        }
    }

    /// Ends the message.
    pub fn end(&self, trailers: Option<&HeaderList>) {
        if self.is_over() {
            return;
        }
        match trailers {
            None => {
                self.endpoint.offer(self.key, 0, true);
                self.settle();
            }
            Some(trailers) if self.state.outgoing.borrow().is_empty() => {
                self.endpoint.send_trailers(self.key, trailers);
            }
            Some(trailers) => {
                self.state.trailers_out.borrow_mut().clone_from(trailers);
                self.state.has_trailers_out.set(true);
                self.flush();
            }
        }
    }

    /// Ends the stream in both directions, unless it is over.
    pub fn reset(&self, code: ErrorCode) {
        self.endpoint.reset(self.key, code);
    }

    /// Bytes on the wire so far.
    #[must_use]
    pub fn meter(&self) -> Meter {
        self.endpoint.meter(self.key)
    }

    fn is_over(&self) -> bool {
        self.state.end.get().is_some()
    }
}

impl Drop for StreamPort {
    fn drop(&mut self) {
        self.endpoint.release(self.key, &self.state);
    }
}
