//! An HTTP/2 connection at work.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Instant, SystemTime};

use base::Key;
use proto::http2::{
    Connection, DataSpan, Error, ErrorCode, ErrorKind, Event, MessageStart, Meter, OpenError,
    ResetReason, Step,
};
use proto::{HeaderList, RequestHead, ResponseHead};
use reactor::{CONGESTED_BYTES_MAX, Outbox, RECV_CREDIT_MAX, Received, Span};

use super::metadata::{Load, MAPS_MAX};
use super::port::{PortEnd, PortState, StreamPort};
use crate::Stream;

/// Receives that are worked through before other tasks have their turn.
const RECEIVES_PER_POLL: u32 = 4;
/// Messages that begin or end, and other news, before other tasks have their turn: a read may hold
/// thousands of them.
const EVENTS_PER_POLL: u32 = 128;
/// Memory of streams that are over is kept for so many others.
const SPARE_PORTS_MAX: usize = 128;

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// The peer has ended its side, or reset it, or cannot be reached any more.
    Peer,
    /// The peer broke a rule, and was told so.
    Protocol(ErrorKind),
    /// We have closed it.
    Local,
}

/// What is different between the sides of a connection: who reads heads, and who gets them.
pub trait Role {
    /// Decodes the next part of `input`.
    ///
    /// # Errors
    ///
    /// Those of the codec.
    fn decode(&mut self, codec: &mut Connection, now: Instant, input: &[u8])
    -> Result<Step, Error>;

    /// The head that was decoded last begins the message of a stream. Of a client's stream
    /// `start` is `None` for an interim response.
    fn head(&mut self, endpoint: &Rc<Endpoint>, stream: Key, start: Option<MessageStart>);

    /// Whether more may be read before other tasks have their turn.
    fn may_go_on(&self) -> bool {
        true
    }
}

/// The client's side: heads go to the ports of their streams.
#[derive(Debug, Default)]
struct Client {
    head: Box<ResponseHead>,
}

impl Role for Client {
    fn decode(
        &mut self,
        codec: &mut Connection,
        now: Instant,
        input: &[u8],
    ) -> Result<Step, Error> {
        codec.receive_response(now, input, &mut self.head)
    }

    fn head(&mut self, endpoint: &Rc<Endpoint>, stream: Key, start: Option<MessageStart>) {
        if let Some(port) = endpoint.state_of(stream) {
            port.head_received(&mut self.head, start);
        }
    }
}

/// An HTTP/2 connection on a stream.
pub struct Endpoint {
    carrier: Rc<dyn AsRef<Stream>>,
    codec: RefCell<Connection>,
    /// By the slots of the codec's keys.
    ports: RefCell<Vec<Option<Rc<PortState>>>>,
    spare_ports: RefCell<Vec<Rc<PortState>>>,
    /// Ports that may hold ring memory.
    unsettled: RefCell<Vec<Key>>,
    /// Bytes of a stream that wait to be sent when it is paused.
    high: usize,
    /// Bytes that had left when the codec was told last.
    sent_told: Cell<u64>,
    /// When the task looked last.
    polled: Cell<Option<Instant>>,
    /// Frames, and control frames among them, that were there when the turn began: those of the
    /// turn itself leave with its end.
    frames_waiting: Cell<(usize, u32)>,
    /// Bytes that wait in all ports together.
    pub(super) pending: Cell<usize>,
    /// METADATA that waits in all ports together.
    metadata_waiting: Cell<Load>,
    end: Cell<Option<ConnectionEnd>>,
    is_going: Cell<bool>,
    settings_changed: Cell<bool>,
    client: RefCell<Client>,
    /// Of the task that drives the connection.
    task: RefCell<Option<Waker>>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("end", &self.end).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// A connection on the stream of `carrier`, whose settings wait to be sent. At most
    /// `buffer_limit` bytes of each of its streams wait, and never more than
    /// [`CONGESTED_BYTES_MAX`].
    #[must_use]
    pub fn new(carrier: Rc<dyn AsRef<Stream>>, codec: Connection, buffer_limit: u32) -> Rc<Self> {
        let limit = usize::try_from(buffer_limit).unwrap_or(usize::MAX);
        let sent = carrier.as_ref().as_ref().outbox().bytes_queued();
        Rc::new(Self {
            carrier,
            codec: RefCell::new(codec),
            ports: RefCell::default(),
            spare_ports: RefCell::default(),
            unsettled: RefCell::default(),
            high: limit.saturating_add(1).min(CONGESTED_BYTES_MAX),
            sent_told: Cell::new(sent),
            polled: Cell::new(None),
            frames_waiting: Cell::default(),
            pending: Cell::new(0),
            metadata_waiting: Cell::default(),
            end: Cell::new(None),
            is_going: Cell::new(false),
            settings_changed: Cell::new(false),
            client: RefCell::default(),
            task: RefCell::new(None),
        })
    }

    /// The stream below.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        (*self.carrier).as_ref()
    }

    fn outbox(&self) -> &Outbox {
        self.stream().outbox()
    }

    /// Reads what there is and sends what can be sent, as a client. Ready once the connection is
    /// over; every stream has heard of it then.
    pub fn poll_client(
        self: &Rc<Self>,
        context: &Context<'_>,
        now: Instant,
    ) -> Poll<ConnectionEnd> {
        self.poll(context, now, &mut *self.client.borrow_mut())
    }

    /// Reads what there is and sends what can be sent. Ready once the connection is over; every
    /// stream has heard of it then.
    pub fn poll(
        self: &Rc<Self>,
        context: &Context<'_>,
        now: Instant,
        role: &mut impl Role,
    ) -> Poll<ConnectionEnd> {
        {
            let mut task = self.task.borrow_mut();
            if !task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
                *task = Some(context.waker().clone());
            }
        }
        self.settle();
        self.note_sent();
        if self.polled.replace(Some(now)) != Some(now) {
            let codec = self.codec.borrow();
            self.frames_waiting.set((codec.outbound_frames(), codec.outbound_control_frames()));
        }
        if self.end.get().is_none()
            && let Poll::Ready(end) = self.receive(context, now, role)
        {
            self.finish(end);
        }
        self.flush();
        if let Some(end) = self.end.get() {
            return Poll::Ready(end);
        }
        if !self.unsettled.borrow().is_empty() {
            // By then those who get the bytes have had their turn.
            context.waker().wake_by_ref();
        }
        if self.outbox().poll_failure(context).is_ready() {
            self.finish(ConnectionEnd::Peer);
            return Poll::Ready(ConnectionEnd::Peer);
        }
        if self.frames_waiting.get().0 > 0 {
            // Who shows how many there are learns when there are none.
            let _drained = self.outbox().poll_drained(context);
        }
        // Wakes this task once there is room; a failure does it, too.
        let _room = self.outbox().poll_room(context);
        Poll::Pending
    }

    /// Works through what was received.
    fn receive(
        self: &Rc<Self>,
        context: &Context<'_>,
        now: Instant,
        role: &mut impl Role,
    ) -> Poll<ConnectionEnd> {
        let receiver = self.stream().receiver();
        let mut events_left = EVENTS_PER_POLL;
        for _ in 0..RECEIVES_PER_POLL {
            let mut span = match receiver.poll_recv(context, RECV_CREDIT_MAX as usize) {
                Poll::Ready(Ok(Received::Data(span))) => span,
                Poll::Ready(Ok(Received::End) | Err(_)) => return Poll::Ready(ConnectionEnd::Peer),
                Poll::Pending => return Poll::Pending,
            };
            loop {
                let step = role.decode(&mut self.codec.borrow_mut(), now, &span);
                let Step { consumed, event } = match step {
                    Ok(step) => step,
                    Err(error) => return Poll::Ready(ConnectionEnd::Protocol(error.kind())),
                };
                match event {
                    Event::NeedMore => break,
                    Event::Body { stream, range } => {
                        let mut data = span.split_to(range.end);
                        data.advance(range.start);
                        span.advance(consumed - range.end);
                        self.body(stream, data);
                        continue;
                    }
                    Event::Pause => {
                        span.advance(consumed);
                        return self.go_on_later(context, span);
                    }
                    Event::Head(start) => role.head(self, start.stream, Some(start)),
                    Event::Interim(stream) => role.head(self, stream, None),
                    other => self.tell(other),
                }
                span.advance(consumed);
                events_left -= 1;
                if events_left == 0 || !role.may_go_on() {
                    return self.go_on_later(context, span);
                }
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Gives the rest of the input back, to be read when other tasks have had their turn.
    fn go_on_later(&self, context: &Context<'_>, rest: Span) -> Poll<ConnectionEnd> {
        if !rest.is_empty() {
            self.stream().receiver().unread(rest);
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn body(&self, stream: Key, data: Span) {
        let Some(port) = self.state_of(stream) else { return };
        if data.is_leased() {
            let mut unsettled = self.unsettled.borrow_mut();
            if unsettled.last() != Some(&stream) {
                unsettled.push(stream);
            }
        }
        port.received(data);
    }

    /// Tells whom it concerns.
    fn tell(&self, event: Event) {
        match event {
            Event::Trailers(stream) => {
                if let Some(port) = self.state_of(stream) {
                    let mut codec = self.codec.borrow_mut();
                    port.trailers_received(|trailers| codec.swap_trailers(trailers));
                }
            }
            Event::End(stream) => {
                if let Some(port) = self.state_of(stream) {
                    port.message_ended();
                }
            }
            Event::Reset { stream, reason } => {
                if let Some(port) = self.state_of(stream) {
                    port.ended(PortEnd::Reset(reason));
                }
            }
            Event::PeerSettings => self.settings_changed.set(true),
            Event::GoAway(_) => self.is_going.set(true),
            Event::Metadata(stream) => self.metadata(stream),
            Event::NeedMore
            | Event::Pause
            | Event::Head(_)
            | Event::Interim(_)
            | Event::Body { .. } => {}
        }
    }

    /// A map of METADATA is complete. One that does not fit ends its stream.
    #[cold]
    fn metadata(&self, stream: Key) {
        let Some(port) = self.state_of(stream) else { return };
        let mut codec = self.codec.borrow_mut();
        let mut map = Box::<HeaderList>::default();
        codec.swap_metadata(&mut map);
        let waiting = self.metadata_waiting.get().plus(Load::of(&map));
        if waiting.maps > MAPS_MAX || waiting.bytes > codec.metadata_held_max() {
            let kind = ErrorKind::TooMuchMetadata;
            codec.reset(stream, kind.code());
            return port.ended(PortEnd::Reset(ResetReason::Codec(kind)));
        }
        self.metadata_waiting.set(waiting);
        port.metadata_received(map, codec.is_client());
    }

    /// The owner of a stream has taken a map of METADATA.
    pub(super) fn metadata_taken(&self, map: &HeaderList) {
        self.metadata_waiting.set(self.metadata_waiting.get().minus(Load::of(map)));
    }

    pub(super) fn send_metadata(&self, stream: Key, map: &HeaderList) {
        let _over = self.codec.borrow_mut().send_metadata(stream, map);
        self.flush();
    }

    /// Sends what windows and the outbox allow.
    pub(super) fn flush(&self) {
        let outbox = self.outbox();
        while !outbox.is_paused() {
            let mut written = Ok(None);
            outbox.write(|out| written = self.codec.borrow_mut().write(out));
            match written {
                Ok(Some(data)) => self.send_data(data),
                Ok(None) => return,
                Err(error) => {
                    self.finish(ConnectionEnd::Protocol(error.kind()));
                    return;
                }
            }
        }
        // Its task waits for the outbox.
        self.wake();
    }

    /// The payload of a DATA frame.
    fn send_data(&self, data: DataSpan) {
        let Some(port) = self.state_of(data.stream) else { return };
        let mut left = data.length;
        let is_empty = {
            let mut outgoing = port.outgoing.borrow_mut();
            while left > 0 {
                let sent = outgoing.send(left, self.outbox());
                if sent == 0 {
                    break;
                }
                left -= sent;
                self.pending.set(self.pending.get() - sent);
            }
            outgoing.is_empty()
        };
        debug_assert_eq!(left, 0, "what was offered is there");
        if is_empty && port.has_trailers_out.take() {
            let trailers = port.trailers_out.borrow();
            let _over = self.codec.borrow_mut().send_trailers(data.stream, &trailers);
        }
        port.sending_goes_on(self.high / 2);
    }

    /// Copies what waits for its owners out of ring memory.
    fn settle(&self) {
        let mut unsettled = self.unsettled.borrow_mut();
        for stream in unsettled.drain(..) {
            if let Some(port) = self.state_of(stream) {
                port.inbox.borrow_mut().settle();
            }
        }
    }

    /// Tells the codec what has left.
    fn note_sent(&self) {
        let sent = self.outbox().bytes_sent();
        let new = sent.saturating_sub(self.sent_told.get());
        if new > 0 {
            self.sent_told.set(sent);
            self.codec.borrow_mut().sent(usize::try_from(new).unwrap_or(usize::MAX));
            if !self.outbox().is_paused() {
                self.sending_goes_on();
            }
        }
    }

    /// Who waits for the connection, and not for windows, may go on.
    fn sending_goes_on(&self) {
        for port in self.ports.borrow().iter().flatten() {
            port.sending_goes_on(self.high / 2);
        }
    }

    fn finish(&self, end: ConnectionEnd) {
        if self.end.get().is_some() {
            return;
        }
        self.end.set(Some(end));
        self.codec.borrow_mut().lost();
        for port in self.ports.borrow().iter().flatten() {
            port.ended(PortEnd::Connection(end));
        }
        self.wake();
    }

    /// Has the task that drives the connection look at it.
    pub fn wake(&self) {
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
        }
    }

    pub(super) fn state_of(&self, stream: Key) -> Option<Rc<PortState>> {
        self.ports.borrow().get(stream.slot as usize)?.clone()
    }

    /// The port of a stream that has just begun.
    pub fn port(self: &Rc<Self>, stream: Key) -> StreamPort {
        let state = self.spare_ports.borrow_mut().pop().unwrap_or_default();
        let slot = stream.slot as usize;
        let mut ports = self.ports.borrow_mut();
        if ports.len() <= slot {
            ports.resize_with(slot + 1, || None);
        }
        ports[slot] = Some(Rc::clone(&state));
        StreamPort::new(self, stream, state)
    }

    /// Opens a stream with the head of a request, as a client.
    ///
    /// # Errors
    ///
    /// The connection takes no more streams now, or at all.
    pub fn open(
        self: &Rc<Self>,
        now: Instant,
        head: &RequestHead,
        is_whole: bool,
    ) -> Result<StreamPort, OpenError> {
        if self.end.get().is_some() {
            return Err(OpenError::GoingAway);
        }
        let stream = self.codec.borrow_mut().open(now, head, is_whole)?;
        let port = self.port(stream);
        self.flush();
        Ok(port)
    }

    /// The owner of a stream is done with it.
    pub(super) fn release(&self, stream: Key, state: &Rc<PortState>) {
        self.codec.borrow_mut().release(stream);
        let slot = stream.slot as usize;
        if let Some(kept) = self.ports.borrow_mut().get_mut(slot).and_then(Option::take) {
            self.pending.set(self.pending.get() - kept.outgoing.borrow().len());
            if !kept.maps.is_empty() {
                self.metadata_waiting.set(self.metadata_waiting.get().minus(kept.maps.clear()));
            }
            kept.clear();
            let mut spare = self.spare_ports.borrow_mut();
            if spare.len() < SPARE_PORTS_MAX && Rc::ptr_eq(&kept, state) {
                spare.push(kept);
            }
        }
        self.flush();
        if self.streams() == 0 {
            // It may be the end of a connection that drains, or the beginning of an idle time.
            self.wake();
        }
    }

    pub(super) fn send_head(&self, stream: Key, head: &ResponseHead, is_whole: bool) {
        // On a stream that is over nothing is sent; its owner hears of that from the port.
        let _over = self.codec.borrow_mut().send_head(stream, head, is_whole);
        self.flush();
    }

    /// As [`Endpoint::offer`], to be sent when something else is.
    pub(super) fn hold(&self, stream: Key, bytes: usize) {
        let _over = self.codec.borrow_mut().offer(stream, bytes, false);
    }

    pub(super) fn offer(&self, stream: Key, bytes: usize, is_last: bool) {
        let _over = self.codec.borrow_mut().offer(stream, bytes, is_last);
        self.flush();
    }

    pub(super) fn send_trailers(&self, stream: Key, trailers: &HeaderList) {
        let _over = self.codec.borrow_mut().send_trailers(stream, trailers);
        self.flush();
    }

    pub(super) fn reset(&self, stream: Key, code: ErrorCode) {
        self.codec.borrow_mut().reset(stream, code);
        self.flush();
    }

    pub(super) fn consumed(&self, stream: Key, bytes: usize) {
        let mut codec = self.codec.borrow_mut();
        codec.consumed(stream, bytes);
        if codec.has_output() {
            drop(codec);
            self.flush();
        }
    }

    pub(super) fn is_closed(&self, stream: Key) -> bool {
        self.codec.borrow().is_closed(stream)
    }

    pub(super) fn meter(&self, stream: Key) -> Meter {
        self.codec.borrow().meter(stream).unwrap_or_default()
    }

    pub(super) fn high(&self) -> usize {
        self.high
    }

    /// Whether the socket takes no more for now.
    pub(super) fn is_paused(&self) -> bool {
        self.outbox().is_paused()
    }

    /// Asks the codec, or has it do something, which is sent.
    pub fn with_codec<T>(&self, ask: impl FnOnce(&mut Connection) -> T) -> T {
        let (answer, has_output) = {
            let mut codec = self.codec.borrow_mut();
            (ask(&mut codec), codec.has_output())
        };
        if has_output {
            self.flush();
        }
        answer
    }

    /// Does what is due at the codec's [deadline](Connection::deadline): asks whether the peer is
    /// there, or ends the connection to one that has not answered.
    pub fn tick(&self, now: Instant, wall_now: SystemTime) {
        // What a PING of Envoy's says, too.
        let since_1970 = wall_now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let opaque = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        if let Err(error) = self.with_codec(|codec| codec.tick(now, opaque)) {
            self.finish(ConnectionEnd::Protocol(error.kind()));
        }
    }

    /// Streams that have an owner.
    #[must_use]
    pub fn streams(&self) -> usize {
        let codec = self.codec.borrow();
        codec.streams_active() + codec.streams_unreleased()
    }

    /// Frames that have waited to be sent since an earlier turn, and control frames among them.
    #[must_use]
    pub fn frames_waiting(&self) -> (usize, u32) {
        self.frames_waiting.get()
    }

    /// Bytes of bodies that wait for windows or for the outbox.
    #[must_use]
    pub fn bytes_pending(&self) -> usize {
        self.pending.get()
    }

    /// Whether the peer has announced other settings since the last call.
    pub fn take_settings_changed(&self) -> bool {
        self.settings_changed.take()
    }

    /// Whether the peer takes no more streams.
    #[must_use]
    pub fn is_going_away(&self) -> bool {
        self.is_going.get()
    }

    /// Why the connection is over, if it is.
    #[must_use]
    pub fn end(&self) -> Option<ConnectionEnd> {
        self.end.get()
    }

    /// We close the connection: every stream hears of it.
    pub fn close(&self) {
        self.finish(ConnectionEnd::Local);
    }
}
