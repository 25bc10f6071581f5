//! Reading: frames, what each of them may be, and what comes of it.

use std::time::Instant;

use crate::head::{RequestHead, ResponseHead};
use crate::http2::connection::{Connection, Role};
use crate::http2::error::{Error, ErrorCode, ErrorKind};
use crate::http2::event::{Event, ResetReason, Step};
use crate::http2::frame::{self, FrameHeader, FrameKind, PRIORITY_BYTES, SETTING_BYTES, flag};
use crate::http2::metadata::Metadata;
use crate::http2::reader::{Complete, Data, Phase, wire_bytes};
use crate::http2::stream::Half;
use crate::http2::streams::Closed;

/// The head that the next message is to be read into.
#[derive(Debug)]
pub(super) enum HeadMut<'a> {
    Request(&'a mut RequestHead),
    Response(&'a mut ResponseHead),
}

impl Connection {
    /// Decodes the next part of `input`, as a server. `head` is written when the event is
    /// [`Event::Head`], and may have been touched before.
    ///
    /// # Errors
    ///
    /// The connection is over; what the peer is to be told waits for [`write`](Self::write).
    #[inline]
    pub fn receive_request(
        &mut self,
        now: Instant,
        input: &[u8],
        head: &mut RequestHead,
    ) -> Result<Step, Error> {
        debug_assert_eq!(self.role, Role::Server, "a client receives responses");
        self.receive(now, input, &mut HeadMut::Request(head))
    }

    /// Decodes the next part of `input`, as a client. `head` is written when the event is
    /// [`Event::Head`] or [`Event::Interim`], and may have been touched before.
    ///
    /// # Errors
    ///
    /// As [`receive_request`](Self::receive_request).
    #[inline]
    pub fn receive_response(
        &mut self,
        now: Instant,
        input: &[u8],
        head: &mut ResponseHead,
    ) -> Result<Step, Error> {
        debug_assert_eq!(self.role, Role::Client, "a server receives requests");
        self.receive(now, input, &mut HeadMut::Response(head))
    }

    fn receive(
        &mut self,
        now: Instant,
        input: &[u8],
        head: &mut HeadMut<'_>,
    ) -> Result<Step, Error> {
        if let Some(kind) = self.failure.or_else(|| self.violation.take()) {
            return Err(self.fail(kind));
        }
        if let Some(event) = self.waiting_event() {
            return Ok(Step { consumed: 0, event });
        }
        self.work_left = WORK_OF_A_CALL;
        let mut at = 0;
        loop {
            match self.advance(now, input, &mut at, head) {
                Ok(Progress::Event(event)) => return Ok(Step { consumed: at, event }),
                Ok(Progress::NeedMore) => {
                    debug_assert_eq!(at, input.len(), "the rest is consumed");
                    return Ok(Step { consumed: at, event: Event::NeedMore });
                }
                Ok(Progress::Continue) => {}
                Err(kind) => return Err(self.fail(kind)),
            }
            if let Some(kind) = self.violation.take() {
                return Err(self.fail(kind));
            }
        }
    }

    /// What is to be told before more is read.
    fn waiting_event(&mut self) -> Option<Event> {
        if let Some(stream) = self.ended.take()
            && self.streams.get(stream).is_some()
        {
            return Some(Event::End(stream));
        }
        let last = self.goaway_received?;
        if self.role == Role::Client
            && let Some(stream) = self.streams.last_above(last)
        {
            self.close(stream, Closed::ByPeer);
            return Some(Event::Reset { stream, reason: ResetReason::GoAway });
        }
        None
    }

    /// One part of a frame.
    #[inline]
    fn advance(
        &mut self,
        now: Instant,
        input: &[u8],
        at: &mut usize,
        head: &mut HeadMut<'_>,
    ) -> Result<Progress, ErrorKind> {
        let rest = &input[*at..];
        match self.reader.phase {
            Phase::Header => {
                if rest.is_empty() {
                    return Ok(Progress::NeedMore);
                }
                let Some(work_left) = self.work_left.checked_sub(1) else {
                    return Ok(Progress::Event(Event::Pause));
                };
                self.work_left = work_left;
                let (taken, header) = self.reader.header(rest);
                *at += taken;
                let Some(header) = header else {
                    return Ok(Progress::NeedMore);
                };
                self.reader.phase = Phase::Header;
                match self.begin_frame(now, header)? {
                    Some(event) => Ok(Progress::Event(event)),
                    None => Ok(Progress::Continue),
                }
            }
            Phase::Payload(header) => self.payload(now, header, input, at, head),
            Phase::PadLength(data) => {
                let Some(&padding) = rest.first() else {
                    return Ok(Progress::NeedMore);
                };
                *at += 1;
                self.begin_padded(now, data, padding)
            }
            Phase::Data(data) => Ok(self.data(data, rest.len(), at)),
            Phase::Skip(left) => {
                let taken = rest.len().min(left as usize);
                *at += taken;
                #[expect(clippy::cast_possible_truncation, reason = "at most `left`")]
                let left = left - taken as u32;
                self.reader.phase = if left == 0 { Phase::Header } else { Phase::Skip(left) };
                Ok(if left == 0 { Progress::Continue } else { Progress::NeedMore })
            }
            Phase::Preface(matched) => {
                if rest.is_empty() {
                    return Ok(Progress::NeedMore);
                }
                *at += self.reader.preface(matched, rest)?;
                Ok(Progress::Continue)
            }
        }
    }

    /// A frame's header is there.
    fn begin_frame(
        &mut self,
        now: Instant,
        header: FrameHeader,
    ) -> Result<Option<Event>, ErrorKind> {
        let is_ack = header.has(flag::ACK);
        if !self.has_peer_settings && (header.kind != FrameKind::SETTINGS || is_ack) {
            return Err(ErrorKind::SettingsExpected);
        }
        if header.length > self.frame_size_max {
            return Err(ErrorKind::FrameTooLarge);
        }
        let continues = self.reader.block.map(|block| block.stream_id);
        let is_continuation = header.kind == FrameKind::CONTINUATION;
        if continues.is_some() != is_continuation
            || continues.is_some_and(|id| id != header.stream_id)
        {
            return Err(ErrorKind::UnexpectedContinuation);
        }
        if !(header.kind == FrameKind::PING && is_ack) {
            self.keepalive.received(self.options.keepalive.as_ref(), now);
        }
        match header.kind {
            FrameKind::DATA => return self.begin_data(now, header),
            FrameKind::HEADERS
            | FrameKind::CONTINUATION
            | FrameKind::PRIORITY
            | FrameKind::RST_STREAM
            | FrameKind::SETTINGS
            | FrameKind::PING
            | FrameKind::GOAWAY
            | FrameKind::WINDOW_UPDATE => self.reader.phase = Phase::Payload(header),
            FrameKind::PUSH_PROMISE => return Err(ErrorKind::PushPromise),
            FrameKind::METADATA if self.options.allow_metadata => {
                self.reader.phase = Phase::Payload(header);
            }
            // Section 5.5: extensions that we do not know are ignored.
            _ => self.reader.phase = Phase::Skip(header.length),
        }
        check_size(header)?;
        Ok(None)
    }

    fn payload(
        &mut self,
        now: Instant,
        header: FrameHeader,
        input: &[u8],
        at: &mut usize,
        head: &mut HeadMut<'_>,
    ) -> Result<Progress, ErrorKind> {
        let rest = &input[*at..];
        let (taken, complete) = self.reader.payload(header.length as usize, rest);
        *at += taken;
        let event = match complete {
            Complete::No => return Ok(Progress::NeedMore),
            Complete::InInput => {
                self.reader.phase = Phase::Header;
                self.frame(now, header, &rest[..taken], head)?
            }
            Complete::Collected => {
                self.reader.phase = Phase::Header;
                let payload = self.reader.take_partial();
                let event = self.frame(now, header, &payload, head);
                self.reader.keep(payload);
                event?
            }
        };
        Ok(event.map_or(Progress::Continue, Progress::Event))
    }

    /// A frame is complete.
    fn frame(
        &mut self,
        now: Instant,
        header: FrameHeader,
        payload: &[u8],
        head: &mut HeadMut<'_>,
    ) -> Result<Option<Event>, ErrorKind> {
        match header.kind {
            FrameKind::HEADERS => self.headers(now, header, payload, head),
            FrameKind::CONTINUATION => self.continuation(now, header, payload, head),
            FrameKind::WINDOW_UPDATE => self.window_update(now, header, payload),
            FrameKind::RST_STREAM => self.rst_stream(now, header, payload),
            FrameKind::SETTINGS => self.settings(header, payload),
            FrameKind::PING => Ok(self.ping(now, header, payload)),
            FrameKind::GOAWAY => self.goaway(payload),
            FrameKind::PRIORITY => {
                self.inbound.priority(&self.options)?;
                Ok(None)
            }
            FrameKind::METADATA => self.metadata_frame(header, payload),
            _ => Ok(None),
        }
    }

    /// RFC 9113 section 6.1: flow control counts the whole payload, before anything else is
    /// looked at.
    fn begin_data(
        &mut self,
        now: Instant,
        header: FrameHeader,
    ) -> Result<Option<Event>, ErrorKind> {
        check_size(header)?;
        if !self.receive_window.receive(header.length) {
            return Err(ErrorKind::ConnectionFlowControl);
        }
        let ends_stream = header.has(flag::END_STREAM);
        let Some(stream) = self.stream_of(header.stream_id)? else {
            // We have reset it, and the peer may not know yet.
            self.inbound.payload(&self.options, header.length == 0, ends_stream)?;
            self.skip_data(header.length);
            return Ok(None);
        };
        let Some(state) = self.streams.get_mut(stream) else {
            return Ok(None);
        };
        state.meter.wire_bytes_received += wire_bytes(header);
        let fault = match state.receive {
            Half::Head => Some(ErrorKind::InvalidMessage),
            Half::Done => Some(ErrorKind::HalfClosedStream),
            Half::Body if !state.receive_window.receive(header.length) => {
                Some(ErrorKind::StreamFlowControl)
            }
            Half::Body => None,
        };
        if let Some(kind) = fault {
            self.skip_data(header.length);
            return self.stream_error(now, stream, kind);
        }
        let data = Data { stream, left: header.length, padding: 0, ends_stream };
        if header.has(flag::PADDED) {
            self.reader.phase = Phase::PadLength(data);
            return Ok(None);
        }
        self.begin_body(now, data)
    }

    /// The padding and the octet that says how much are of no use to anybody: they are given back
    /// at once.
    fn begin_padded(
        &mut self,
        now: Instant,
        data: Data,
        padding: u8,
    ) -> Result<Progress, ErrorKind> {
        let padding = u32::from(padding);
        let left = data.left - 1;
        if padding > left {
            return Err(ErrorKind::InvalidPadding);
        }
        self.consumed(data.stream, padding as usize + 1);
        let data = Data { left, padding, ..data };
        let event = self.begin_body(now, data)?;
        Ok(event.map_or(Progress::Continue, Progress::Event))
    }

    /// How long the body of this frame is, is known. Section 8.1.1: it must fit `content-length`.
    fn begin_body(&mut self, now: Instant, data: Data) -> Result<Option<Event>, ErrorKind> {
        #[cfg(planted = "http2_server_padding_is_body")]
        let data = Data { padding: 0, ..data };
        let length = data.left - data.padding;
        self.inbound.payload(&self.options, length == 0, data.ends_stream)?;
        self.reader.phase = Phase::Data(data);
        if let Some(state) = self.streams.get_mut(data.stream)
            && let Some(announced) = state.length_left
        {
            let left = announced.checked_sub(u64::from(length));
            state.length_left = left;
            if left.is_none() || data.ends_stream && left != Some(0) {
                // Closing the stream gives back what it has not handed on.
                self.reader.phase = Phase::Skip(data.left);
                return self.stream_error(now, data.stream, ErrorKind::ContentLengthMismatch);
            }
        }
        Ok(None)
    }

    /// Hands on what of a DATA frame is there.
    #[inline]
    fn data(&mut self, data: Data, available: usize, at: &mut usize) -> Progress {
        let is_over = self.streams.get(data.stream).is_none_or(|state| state.is_closed);
        if is_over {
            // Its owner has reset it meanwhile, which gave everything back.
            self.reader.phase = Phase::Skip(data.left);
            return Progress::Continue;
        }
        let body = data.left - data.padding;
        if body > 0 {
            if available == 0 {
                return Progress::NeedMore;
            }
            let length = available.min(body as usize);
            let range = *at..*at + length;
            *at += length;
            #[expect(clippy::cast_possible_truncation, reason = "at most `body`")]
            let left = data.left - length as u32;
            let rest = Data { left, ..data };
            self.reader.phase = if left == 0 { self.after_data(rest) } else { Phase::Data(rest) };
            return Progress::Event(Event::Body { stream: data.stream, range });
        }
        self.reader.phase = self.after_data(data);
        match if cfg!(planted = "http2_client_ends_twice") { self.ended } else { self.ended.take() }
        {
            Some(stream) => Progress::Event(Event::End(stream)),
            None => Progress::Continue,
        }
    }

    /// Behind the body of a frame: its padding, and possibly the end of the message.
    fn after_data(&mut self, data: Data) -> Phase {
        if data.ends_stream {
            self.end_receive(data.stream);
        }
        if data.left == 0 { Phase::Header } else { Phase::Skip(data.left) }
    }

    /// DATA that nobody gets counts for the connection's window only, and is given back.
    fn skip_data(&mut self, length: u32) {
        self.give_back(length);
        self.reader.phase = Phase::Skip(length);
    }

    fn settings(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
    ) -> Result<Option<Event>, ErrorKind> {
        if header.has(flag::ACK) {
            if self.is_settings_acknowledged {
                return Err(ErrorKind::UnexpectedSettingsAck);
            }
            self.is_settings_acknowledged = true;
            self.decoder.set_size_limit(self.options.hpack_table_size as usize);
            return Ok(None);
        }
        let before = self.peer;
        self.peer.apply(payload, self.role == Role::Client)?;
        if self.peer.header_table_size != before.header_table_size {
            self.encoder.set_peer_limit(self.peer.header_table_size as usize);
        }
        if self.peer.initial_window_size != before.initial_window_size {
            self.change_windows(before.initial_window_size)?;
        }
        self.queue(FrameKind::SETTINGS, flag::ACK, 0, &[]);
        let is_news = !self.has_peer_settings || self.peer != before;
        self.has_peer_settings = true;
        Ok(is_news.then_some(Event::PeerSettings))
    }

    /// Section 6.9.2: the change applies to the windows of all streams, which may become negative.
    fn change_windows(&mut self, before: u32) -> Result<(), ErrorKind> {
        let change = i64::from(self.peer.initial_window_size) - i64::from(before);
        // Many streams make this expensive for one frame.
        let work = u32::try_from(self.streams.active_len()).unwrap_or(u32::MAX) / 8;
        self.work_left = self.work_left.saturating_sub(work);
        let mut is_within = true;
        let mut woken = std::mem::take(&mut self.schedule_scratch);
        self.streams.for_each_active(|key, state| {
            let was_ready = state.is_ready();
            is_within &= state.send_window.change(change);
            if !was_ready && state.is_ready() {
                woken.push(key);
            }
        });
        for stream in woken.drain(..) {
            self.enqueue(stream);
        }
        self.schedule_scratch = woken;
        if is_within { Ok(()) } else { Err(ErrorKind::InvalidWindowSetting) }
    }

    fn ping(&mut self, now: Instant, header: FrameHeader, payload: &[u8]) -> Option<Event> {
        if !header.has(flag::ACK) {
            self.queue(FrameKind::PING, flag::ACK, 0, payload);
        } else if let Some(options) = &self.options.keepalive {
            self.keepalive.acknowledged(options, now);
        }
        None
    }

    fn goaway(&mut self, payload: &[u8]) -> Result<Option<Event>, ErrorKind> {
        let last = frame::word(payload).ok_or(ErrorKind::InvalidFrameSize)? & frame::STREAM_ID_MAX;
        let code = frame::word(&payload[4..]).ok_or(ErrorKind::InvalidFrameSize)?;
        // Section 6.8: it must not increase.
        if self.goaway_received.is_some_and(|before| last > before) {
            return Err(ErrorKind::InvalidGoAway);
        }
        self.goaway_received = Some(last);
        if std::mem::replace(&mut self.is_goaway_told, true) {
            return Ok(self.waiting_event());
        }
        Ok(Some(Event::GoAway(ErrorCode(code))))
    }

    fn window_update(
        &mut self,
        now: Instant,
        header: FrameHeader,
        payload: &[u8],
    ) -> Result<Option<Event>, ErrorKind> {
        self.inbound.window_update(&self.options)?;
        let increment = frame::word(payload).ok_or(ErrorKind::InvalidFrameSize)?;
        let increment = increment & frame::STREAM_ID_MAX;
        if header.stream_id == 0 {
            if increment == 0 {
                return Err(ErrorKind::ZeroWindowUpdate);
            }
            if !self.send_window.change(i64::from(increment)) {
                return Err(ErrorKind::ConnectionFlowControl);
            }
            return Ok(None);
        }
        if self.is_idle(header.stream_id) {
            return Err(ErrorKind::IdleStream);
        }
        // Section 5.1: on a closed stream it is ignored.
        let Some(stream) = self.streams.find(header.stream_id) else {
            return Ok(None);
        };
        if increment == 0 {
            return self.stream_error(now, stream, ErrorKind::ZeroStreamWindowUpdate);
        }
        let Some(state) = self.streams.get_mut(stream) else {
            return Ok(None);
        };
        state.meter.wire_bytes_received += wire_bytes(header);
        if !state.send_window.change(i64::from(increment)) {
            return self.stream_error(now, stream, ErrorKind::StreamFlowControl);
        }
        self.enqueue(stream);
        Ok(None)
    }

    fn rst_stream(
        &mut self,
        now: Instant,
        header: FrameHeader,
        payload: &[u8],
    ) -> Result<Option<Event>, ErrorKind> {
        if self.is_idle(header.stream_id) {
            return Err(ErrorKind::IdleStream);
        }
        self.count_reset(now)?;
        let Some(stream) = self.streams.find(header.stream_id) else {
            return Ok(None);
        };
        let code = ErrorCode(frame::word(payload).ok_or(ErrorKind::InvalidFrameSize)?);
        self.counts.rx_reset += 1;
        if let Some(state) = self.streams.get_mut(stream) {
            state.meter.wire_bytes_received += wire_bytes(header);
        }
        self.close(stream, Closed::ByPeer);
        Ok(Some(Event::Reset { stream, reason: ResetReason::Peer(code) }))
    }

    /// Envoy ignores METADATA for streams that are over, and of none.
    fn metadata_frame(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
    ) -> Result<Option<Event>, ErrorKind> {
        let Some(stream) = self.streams.find(header.stream_id) else {
            return Ok(None);
        };
        let Some(state) = self.streams.get_mut(stream).filter(|it| it.receive != Half::Done) else {
            return Ok(None);
        };
        let collected = state.metadata.get_or_insert_with(Metadata::new);
        let is_last = header.has(flag::END_METADATA);
        let bytes_max = self.options.metadata_bytes_max;
        if !collected.receive(payload, is_last, bytes_max, &mut self.fields)? {
            return Ok(None);
        }
        if self.fields.is_empty() {
            self.counts.metadata_empty_frames += 1;
            return Ok(None);
        }
        Ok(Some(Event::Metadata(stream)))
    }
}

/// What [`Connection::advance`] came to.
#[derive(Debug)]
enum Progress {
    Continue,
    NeedMore,
    Event(Event),
}

/// Streams, or none, and lengths that sections 6.1 to 6.9 fix.
fn check_size(header: FrameHeader) -> Result<(), ErrorKind> {
    let length = header.length as usize;
    let (is_size, is_on_stream) = match header.kind {
        FrameKind::DATA | FrameKind::HEADERS => {
            // A frame that says it is padded has a length of its padding.
            (length > 0 || !header.has(flag::PADDED), Some(true))
        }
        FrameKind::CONTINUATION => (true, Some(true)),
        FrameKind::PRIORITY => (length == PRIORITY_BYTES, Some(true)),
        FrameKind::RST_STREAM => (length == 4, Some(true)),
        FrameKind::SETTINGS if header.has(flag::ACK) => (length == 0, Some(false)),
        FrameKind::SETTINGS => (length.is_multiple_of(SETTING_BYTES), Some(false)),
        FrameKind::PING => (length == 8, Some(false)),
        FrameKind::GOAWAY => (length >= 8, Some(false)),
        FrameKind::WINDOW_UPDATE => (length == 4, None),
        _ => (true, None),
    };
    if is_on_stream.is_some_and(|is_on_stream| is_on_stream == (header.stream_id == 0)) {
        return Err(ErrorKind::InvalidStreamId);
    }
    if is_size { Ok(()) } else { Err(ErrorKind::InvalidFrameSize) }
}

/// Frames that one call may read before it answers, so that many small ones cannot keep others
/// waiting: about 20 microseconds' worth.
const WORK_OF_A_CALL: u32 = 256;
