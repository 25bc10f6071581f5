//! A connection: what its owner calls, and the state that reading and writing share.
//!
//! [`receive`] turns bytes into frames, and [`control`], [`body`] and [`messages`] frames into
//! events; [`send`] turns messages into frames, and [`schedule`] decides whose DATA goes next.
//!
//! [`receive`]: super::receive
//! [`control`]: super::control
//! [`body`]: super::body
//! [`messages`]: super::messages
//! [`send`]: super::send
//! [`schedule`]: super::schedule

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use base::Key;

use crate::headers::HeaderList;
use crate::http2::error::{Error, ErrorCode, ErrorKind, Scope};
use crate::http2::event::{Counts, Event, ResetReason};
use crate::http2::flood::{Inbound, Outbound, ResetLimit};
use crate::http2::flow::{INITIAL_WINDOW, ReceiveWindow, SendWindow};
use crate::http2::frame::{
    self, FRAME_HEADER_BYTES, FrameKind, MAX_FRAME_SIZE, PREFACE, STREAM_ID_MAX, flag,
};
use crate::http2::hpack::{Decoder, Encoder};
use crate::http2::keepalive::{Due, Keepalive};
use crate::http2::options::Options;
use crate::http2::reader::{Phase, Reader};
use crate::http2::schedule::Schedule;
use crate::http2::section::Scratch;
use crate::http2::settings::{self, PeerSettings};
use crate::http2::stream::{Half, Meter, Stream};
use crate::http2::streams::{Closed, Streams};

/// One HTTP/2 connection, of a server or a client.
///
/// Every stream has an owner, who got its key from [`Event::Head`] of a server or from
/// [`open`](Self::open) of a client, and who [releases](Self::release) it at the end.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Instant;
///
/// use nuncio_proto::http2::{Connection, Event, Options};
/// use nuncio_proto::{RequestHead, ResponseHead};
///
/// let (now, options) = (Instant::now(), Arc::new(Options::default()));
/// let mut client = Connection::client(Arc::clone(&options), now, 1);
/// let mut server = Connection::server(options, now, 2);
///
/// let mut request = RequestHead::new();
/// request.set_authority(b"example");
/// request.set_path(b"/");
/// let stream = client.open(now, &request, true)?;
/// let mut sent = Vec::new();
/// assert!(client.write(&mut sent)?.is_none(), "there is no body");
///
/// let (mut head, mut at) = (RequestHead::new(), 0);
/// let found = loop {
///     let step = server.receive_request(now, &sent[at..], &mut head)?;
///     at += step.consumed;
///     if let Event::Head(start) = step.event {
///         break start;
///     }
/// };
/// assert_eq!((head.path(), found.is_whole), (&b"/"[..], true));
/// # drop(stream);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    pub(super) role: Role,
    pub(super) options: Arc<Options>,
    pub(super) reader: Reader,
    pub(super) decoder: Decoder,
    pub(super) encoder: Encoder,
    pub(super) scratch: Scratch,
    /// Trailers or METADATA, whichever came last.
    pub(super) fields: HeaderList,
    /// Bytes of maps of METADATA that are not complete.
    pub(super) metadata_held: usize,
    pub(super) streams: Streams,
    pub(super) schedule: Schedule,
    /// Memory for the streams that a frame lets go on.
    pub(super) schedule_scratch: Vec<Key>,
    pub(super) peer: PeerSettings,
    /// Whether the peer's first SETTINGS have come.
    pub(super) has_peer_settings: bool,
    /// Octets of a payload that the peer may send: 16 KiB, unless custom settings say otherwise.
    pub(super) frame_size_max: u32,
    pub(super) is_settings_acknowledged: bool,
    pub(super) receive_window: ReceiveWindow,
    pub(super) send_window: SendWindow,
    /// Frames to send, without DATA.
    pub(super) out: Vec<u8>,
    pub(super) outbound: Outbound,
    pub(super) inbound: Inbound,
    pub(super) resets: ResetLimit,
    pub(super) keepalive: Keepalive,
    pub(super) counts: Counts,
    /// The last stream that the peer opened.
    pub(super) last_peer_id: u32,
    /// The next stream that we open.
    pub(super) next_id: u32,
    /// The last stream that our GOAWAY lets the peer have.
    pub(super) goaway_sent: Option<u32>,
    /// The last stream of ours that the peer's GOAWAY leaves us.
    pub(super) goaway_received: Option<u32>,
    pub(super) is_goaway_told: bool,
    /// A message that is over, and whose owner must be told.
    pub(super) ended: Option<Key>,
    /// A limit on what waits to be sent was passed.
    pub(super) violation: Option<ErrorKind>,
    /// Why requests were refused that nobody was told of, and who asks for that has not heard of.
    pub(super) refused: VecDeque<ErrorKind>,
    /// What ended the connection.
    pub(super) failure: Option<ErrorKind>,
    /// The connection itself is gone.
    pub(super) is_lost: bool,
    /// What is left of the work of one call.
    pub(super) work_left: u32,
    /// When the header block began that is under way.
    pub(super) block_since: Option<Instant>,
}

/// Which side of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Server,
    Client,
}

impl Connection {
    /// The server's side of a new connection. Its SETTINGS wait to be sent. `seed` is for the
    /// jitter of keepalive PINGs.
    #[must_use]
    pub fn server(options: Arc<Options>, now: Instant, seed: u64) -> Self {
        Self::new(Role::Server, options, now, seed)
    }

    /// The client's side of a new connection. Preface and SETTINGS wait to be sent.
    #[must_use]
    pub fn client(options: Arc<Options>, now: Instant, seed: u64) -> Self {
        Self::new(Role::Client, options, now, seed)
    }

    fn new(role: Role, options: Arc<Options>, now: Instant, seed: u64) -> Self {
        let is_server = role == Role::Server;
        let mut connection = Self {
            role,
            reader: Reader::new(if is_server { Phase::Preface(0) } else { Phase::Header }),
            decoder: Decoder::new(),
            encoder: Encoder::new(options.hpack_table_size as usize, options.huffman_encoding),
            scratch: Scratch::default(),
            fields: HeaderList::new(),
            metadata_held: 0,
            streams: Streams::default(),
            schedule: Schedule::default(),
            schedule_scratch: Vec::new(),
            peer: PeerSettings::new(),
            has_peer_settings: false,
            frame_size_max: settings::frame_size_max(&options),
            is_settings_acknowledged: false,
            receive_window: ReceiveWindow::new(options.connection_window.max(INITIAL_WINDOW)),
            send_window: SendWindow::new(INITIAL_WINDOW),
            out: Vec::new(),
            outbound: Outbound::default(),
            inbound: Inbound::default(),
            resets: ResetLimit::new(&options, now),
            keepalive: Keepalive::new(options.keepalive.as_ref(), now, seed),
            counts: Counts::default(),
            last_peer_id: 0,
            next_id: 1,
            goaway_sent: None,
            goaway_received: None,
            is_goaway_told: false,
            ended: None,
            violation: None,
            refused: VecDeque::new(),
            failure: None,
            is_lost: false,
            work_left: 0,
            block_since: None,
            options,
        };
        connection.begin();
        connection
    }

    /// RFC 9113 section 3.4: the preface and SETTINGS, and then the connection's window.
    fn begin(&mut self) {
        if self.role == Role::Client {
            self.out.extend_from_slice(PREFACE);
        }
        let mut payload = Vec::new();
        settings::encode_initial(&self.options, self.role == Role::Server, &mut payload);
        frame::encode(FrameKind::SETTINGS, 0, 0, &payload, &mut self.out);
        // The preface leaves with the first frame, so it is counted as a part of it.
        self.count_outbound(self.out.len(), false);
        let increment = self.options.connection_window.saturating_sub(INITIAL_WINDOW);
        if increment > 0 {
            self.queue_window_update(0, increment);
        }
    }

    /// The trailers, after [`Event::Trailers`] and until the next call.
    #[must_use]
    pub const fn trailers(&self) -> &HeaderList {
        &self.fields
    }

    /// Takes the trailers and leaves `list` to be filled by another message.
    pub fn swap_trailers(&mut self, list: &mut HeaderList) {
        std::mem::swap(&mut self.fields, list);
    }

    /// Takes the map of METADATA, after [`Event::Metadata`], and leaves `list` in its place.
    pub fn swap_metadata(&mut self, list: &mut HeaderList) {
        self.swap_trailers(list);
    }

    /// Bytes of METADATA that all streams together may have on this side, complete or not.
    #[must_use]
    pub fn metadata_held_max(&self) -> usize {
        self.options.metadata_bytes_max.saturating_mul(METADATA_STREAMS_MAX)
    }

    /// The map of METADATA, after [`Event::Metadata`] and until the next call.
    #[must_use]
    pub const fn metadata(&self) -> &HeaderList {
        &self.fields
    }

    /// Notes that so many bytes of a body, which came by [`Event::Body`], were taken. Only then may
    /// the peer send as many again. For a stream that is over this says nothing.
    pub fn consumed(&mut self, stream: Key, bytes: usize) {
        let Some(state) = self.streams.get_mut(stream) else {
            return;
        };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let bytes = bytes.min(state.receive_window.unconsumed());
        let increment = state.receive_window.consume(bytes);
        let (id, is_over) = (state.id, state.receive == Half::Done || state.is_closed);
        if let Some(increment) = increment
            && !is_over
        {
            self.queue_window_update(id, increment);
        }
        self.give_back(bytes);
    }

    /// Ends a stream in both directions, and tells the peer why, unless it is over already. Where
    /// all of the message was [offered](Self::offer) and only waits to be sent, the reset waits for
    /// it until the next [`write`](Self::write) has sent what windows allow (row F31 of Envoy's
    /// behaviour: an early response reaches its client).
    pub fn reset(&mut self, stream: Key, code: ErrorCode) {
        let Some(state) = self.streams.get_mut(stream).filter(|state| !state.is_closed) else {
            return;
        };
        if state.ends_behind && state.offered > 0 {
            if state.deferred_reset.replace(code).is_none() {
                self.schedule.defer_reset(stream);
            }
            return;
        }
        self.reset_now(stream, code);
    }

    pub(super) fn reset_now(&mut self, stream: Key, code: ErrorCode) {
        let id = self.streams.get(stream).filter(|state| !state.is_closed).map(|state| state.id);
        if let Some(id) = id {
            // Nothing follows the GOAWAY of an error.
            if self.failure.is_none() && !self.is_lost {
                self.queue_reset(id, code);
            }
            self.close(stream, Closed::ByUs);
        }
    }

    /// Gives a stream back, and resets it if it is not over. Its key means nothing from then on.
    /// Returns how many bytes it took on the wire.
    pub fn release(&mut self, stream: Key) -> Option<Meter> {
        self.reset_now(stream, ErrorCode::CANCEL);
        let state = self.streams.release(stream)?;
        // What the owner had not taken of an ended stream, nobody will take.
        self.give_back(state.receive_window.unconsumed());
        Some(state.meter)
    }

    /// Whether a stream is over in both directions; also when there is none of that key.
    #[must_use]
    pub fn is_closed(&self, stream: Key) -> bool {
        self.streams.get(stream).is_none_or(|state| state.is_closed)
    }

    /// The identifier of a stream.
    #[must_use]
    pub fn stream_id(&self, stream: Key) -> Option<u32> {
        self.streams.get(stream).map(|state| state.id)
    }

    /// Bytes on the wire of a stream so far.
    #[must_use]
    pub fn meter(&self, stream: Key) -> Option<Meter> {
        self.streams.get(stream).map(|state| state.meter)
    }

    /// Why the next of the requests was refused that nobody was told of; to be asked after each
    /// [`receive_request`](Self::receive_request), also after one that failed.
    pub fn take_refused(&mut self) -> Option<ErrorKind> {
        self.refused.pop_front()
    }

    /// Streams that are not over: Envoy's gauge `streams_active`.
    #[must_use]
    pub fn streams_active(&self) -> usize {
        self.streams.active_len()
    }

    /// Streams that are over and wait for their owners: Envoy's gauge `deferred_stream_close`.
    #[must_use]
    pub fn streams_unreleased(&self) -> usize {
        self.streams.closed_len()
    }

    /// Bytes that were received and that nobody has taken, of all streams: what of the window of
    /// the connection the peer does not get back.
    #[must_use]
    pub const fn unconsumed(&self) -> u32 {
        self.receive_window.unconsumed()
    }

    /// Frames that wait to be sent: Envoy's gauge `outbound_frames_active`.
    #[must_use]
    pub fn outbound_frames(&self) -> usize {
        self.outbound.frames()
    }

    /// Control frames among them: Envoy's gauge `outbound_control_frames_active`.
    #[must_use]
    pub const fn outbound_control_frames(&self) -> u32 {
        self.outbound.control_frames()
    }

    /// What has happened so far.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What the peer has announced.
    #[must_use]
    pub const fn peer_settings(&self) -> &PeerSettings {
        &self.peer
    }

    /// How many streams a client may have open at once: its own limit or the peer's.
    #[must_use]
    pub fn streams_max(&self) -> u32 {
        let own = self.options.concurrent_streams_max;
        self.peer.concurrent_streams_max.map_or(own, |peer| own.min(peer))
    }

    /// Whether a client may open another stream now.
    #[must_use]
    pub fn can_open(&self) -> bool {
        self.failure.is_none()
            && self.goaway_received.is_none()
            && self.next_id <= STREAM_ID_MAX
            && self.streams.active_len() < self.streams_max() as usize
    }

    /// When [`tick`](Self::tick) has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        [self.keepalive.deadline(), self.block_deadline()].into_iter().flatten().min()
    }

    /// When the header block that is under way must have come.
    fn block_deadline(&self) -> Option<Instant> {
        Some(self.block_since? + self.options.header_block_timeout?)
    }

    /// Time has passed. `opaque` is the content of a PING, should one be sent: Envoy takes the
    /// milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// The peer did not answer in time: [`ErrorKind::KeepaliveTimeout`]. It did not go on with a
    /// header block: [`ErrorKind::HeaderBlockTimeout`].
    pub fn tick(&mut self, now: Instant, opaque: u64) -> Result<(), Error> {
        if self.block_deadline().is_some_and(|deadline| now >= deadline) {
            return Err(self.fail(ErrorKind::HeaderBlockTimeout));
        }
        let due = match &self.options.keepalive {
            Some(options) => self.keepalive.tick(options, now),
            None => Due::Nothing,
        };
        match due {
            Due::Nothing => {}
            Due::Ping => self.queue(FrameKind::PING, 0, 0, &opaque.to_be_bytes()),
            Due::Timeout => return Err(self.fail(ErrorKind::KeepaliveTimeout)),
        }
        Ok(())
    }

    /// Announces that streams will be refused soon: a server sends this, lets a round trip pass, in
    /// which clients may still open streams, and then calls [`go_away`](Self::go_away). RFC 9113
    /// section 6.8. As in Envoy it does not count as a GOAWAY.
    pub fn shutdown_notice(&mut self) {
        if self.goaway_sent.is_none() {
            self.queue_goaway(STREAM_ID_MAX, ErrorCode::NO_ERROR);
        }
    }

    /// Refuses all streams that the peer opens from now on. Those that are open go on.
    pub fn go_away(&mut self) {
        if self.goaway_sent.is_none_or(|last| last > self.last_peer_id) && self.failure.is_none() {
            self.counts.goaway_sent += 1;
            self.queue_goaway(self.last_peer_id, ErrorCode::NO_ERROR);
        }
    }

    /// The connection is gone, or goes behind what waits to be sent: streams that are given back
    /// from now on are reset by that.
    pub const fn lost(&mut self) {
        self.is_lost = true;
    }

    /// Whether this is the client's side.
    #[must_use]
    pub fn is_client(&self) -> bool {
        self.role == Role::Client
    }

    /// Whether a GOAWAY has come or gone, and no stream is left.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let is_going = self.goaway_received.is_some() || self.goaway_sent.is_some();
        is_going && self.streams.active_len() == 0
    }

    /// Ends the connection for an error: the peer is told, and no call does anything from then on.
    #[cold]
    pub(super) fn fail(&mut self, kind: ErrorKind) -> Error {
        if let Some(first) = self.failure {
            return first.into();
        }
        self.failure = Some(kind);
        self.counts.error(kind);
        if kind.scope() != Scope::Flood {
            self.counts.goaway_sent += 1;
            self.queue_goaway(self.last_peer_id, kind.code());
        }
        kind.into()
    }

    /// Ends for an error of the peer's what the error's scope says.
    ///
    /// # Errors
    ///
    /// The error ends the connection, or the peer has caused too many resets.
    #[cold]
    pub(super) fn stream_error(
        &mut self,
        now: Instant,
        stream: Key,
        kind: ErrorKind,
    ) -> Result<Option<Event>, ErrorKind> {
        let Some(id) = self.streams.get(stream).map(|state| state.id) else {
            return Ok(None);
        };
        self.stream_error_of(now, id, kind)?;
        self.close(stream, Closed::ByUs);
        Ok(Some(Event::Reset { stream, reason: ResetReason::Codec(kind) }))
    }

    /// As [`stream_error`](Self::stream_error), for a stream that nobody was told of.
    ///
    /// # Errors
    ///
    /// As there.
    pub(super) fn stream_error_of(
        &mut self,
        now: Instant,
        id: u32,
        kind: ErrorKind,
    ) -> Result<(), ErrorKind> {
        match kind.scope() {
            Scope::Stream => {}
            Scope::Message if self.options.stream_error_on_invalid_message => {}
            Scope::Message | Scope::Connection | Scope::Flood => return Err(kind),
        }
        self.counts.error(kind);
        self.queue_reset(id, kind.code());
        self.count_reset(now)
    }

    /// A stream that a client has reset, or made us reset.
    pub(super) fn count_reset(&mut self, now: Instant) -> Result<(), ErrorKind> {
        match self.role {
            Role::Server => self.resets.reset(&self.options, now),
            Role::Client => Ok(()),
        }
    }

    /// A stream is over in both directions. What nobody has taken of a stream that was reset goes
    /// back to the connection's window.
    pub(super) fn close(&mut self, stream: Key, how: Closed) {
        let Some(state) = self.streams.close(stream, how) else {
            return;
        };
        state.offered = 0;
        self.metadata_held -= state.metadata.take().map_or(0, |metadata| metadata.held());
        if how != Closed::Ended {
            let unconsumed = state.receive_window.unconsumed();
            state.receive_window.consume(unconsumed);
            if self.ended == Some(stream) {
                self.ended = None;
            }
            if !cfg!(planted = "http2_pair_window_leak") {
                self.give_back(unconsumed);
            }
        }
    }

    /// The end of a message was read. Its owner hears of it with the next call, unless it is done
    /// with the stream by then.
    pub(super) fn end_receive(&mut self, stream: Key) {
        if let Some(state) = self.streams.get_mut(stream) {
            state.receive = Half::Done;
            if state.send == Half::Done {
                self.close(stream, Closed::Ended);
            }
            self.ended = Some(stream);
        }
    }

    /// The end of a message was written.
    pub(super) fn end_send(&mut self, stream: Key) {
        if let Some(state) = self.streams.get_mut(stream) {
            state.send = Half::Done;
            state.ends_behind = false;
            if state.receive == Half::Done {
                self.close(stream, Closed::Ended);
            }
        }
    }

    /// Bytes of the connection's window were taken.
    pub(super) fn give_back(&mut self, bytes: u32) {
        if let Some(increment) = self.receive_window.consume(bytes) {
            self.queue_window_update(0, increment);
        }
    }

    /// Whether nobody has opened a stream of this identifier yet.
    pub(super) const fn is_idle(&self, id: u32) -> bool {
        let is_clients = id % 2 == 1;
        match self.role {
            Role::Server => !is_clients || id > self.last_peer_id,
            Role::Client => !is_clients || id >= self.next_id,
        }
    }

    /// The stream of a frame that has a payload for it, if it is active.
    ///
    /// # Errors
    ///
    /// The peer knows that there is no such stream: RFC 9113 section 5.1.
    pub(super) fn stream_of(&self, id: u32) -> Result<Option<Key>, ErrorKind> {
        if let Some(stream) = self.streams.find(id) {
            return Ok(Some(stream));
        }
        if self.is_idle(id) {
            return Err(ErrorKind::IdleStream);
        }
        match self.streams.how_closed(id) {
            Some(Closed::Ended | Closed::ByPeer) => Err(ErrorKind::ClosedStream),
            Some(Closed::Skipped) => Err(ErrorKind::InvalidStreamId),
            Some(Closed::ByUs) | None => Ok(None),
        }
    }

    /// Queues a frame.
    pub(super) fn queue(&mut self, kind: FrameKind, flags: u8, stream_id: u32, payload: &[u8]) {
        frame::encode(kind, flags, stream_id, payload, &mut self.out);
        let is_ack = flags & flag::ACK != 0;
        let is_control = matches!(kind, FrameKind::PING | FrameKind::SETTINGS) && is_ack
            || kind == FrameKind::RST_STREAM;
        self.count_outbound(FRAME_HEADER_BYTES + payload.len(), is_control);
    }

    /// Counts a frame that was queued; the next call that can say so reports what is too much.
    #[inline]
    pub(super) fn count_outbound(&mut self, bytes: usize, is_control: bool) {
        if let Err(kind) = self.outbound.queue(&self.options, bytes, is_control) {
            self.violation.get_or_insert(kind);
        }
    }

    pub(super) fn queue_window_update(&mut self, id: u32, increment: u32) {
        self.queue(FrameKind::WINDOW_UPDATE, 0, id, &increment.to_be_bytes());
    }

    pub(super) fn queue_reset(&mut self, id: u32, code: ErrorCode) {
        self.counts.tx_reset += 1;
        self.queue(FrameKind::RST_STREAM, 0, id, &code.0.to_be_bytes());
    }

    /// The last stream never increases: section 6.8.
    fn queue_goaway(&mut self, last_id: u32, code: ErrorCode) {
        let last_id = self.goaway_sent.map_or(last_id, |before| before.min(last_id));
        self.goaway_sent = Some(last_id);
        let mut payload = [0; 8];
        payload[..4].copy_from_slice(&last_id.to_be_bytes());
        payload[4..].copy_from_slice(&code.0.to_be_bytes());
        self.queue(FrameKind::GOAWAY, 0, 0, &payload);
    }

    /// The longest payload that we send: what the peer allows, and never more than 16 KiB, so that
    /// no stream keeps the connection to itself for long.
    pub(super) fn payload_max(&self) -> usize {
        self.peer.max_frame_size.min(MAX_FRAME_SIZE) as usize
    }

    /// A stream that a frame or call has just opened.
    pub(super) fn new_stream(&self, id: u32, receive: Half) -> Stream {
        let send_window = SendWindow::new(self.peer.initial_window_size);
        Stream::new(id, receive, self.options.stream_window.max(INITIAL_WINDOW), send_window)
    }
}

/// All streams together may have as much METADATA waiting as so many streams may send.
const METADATA_STREAMS_MAX: usize = 16;
