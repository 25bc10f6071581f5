//! Reading: from bytes to frames, which of them may come now, and who reads their payloads.

use std::time::Instant;

use crate::head::{RequestHead, ResponseHead};
use crate::http2::connection::{Connection, Role};
use crate::http2::error::{Error, ErrorKind};
use crate::http2::event::{Event, ResetReason, Step};
use crate::http2::frame::{FrameHeader, FrameKind, PRIORITY_BYTES, SETTING_BYTES, flag};
use crate::http2::metadata::Metadata;
use crate::http2::reader::{Complete, Phase};
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
    pub(super) fn waiting_event(&mut self) -> Option<Event> {
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
            Complete::No => {
                if matches!(header.kind, FrameKind::HEADERS | FrameKind::CONTINUATION) {
                    self.block_since.get_or_insert(now);
                }
                return Ok(Progress::NeedMore);
            }
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
            FrameKind::METADATA => self.metadata_frame(now, header, payload),
            _ => Ok(None),
        }
    }

    /// Envoy ignores METADATA for streams that are over, and of none.
    fn metadata_frame(
        &mut self,
        now: Instant,
        header: FrameHeader,
        payload: &[u8],
    ) -> Result<Option<Event>, ErrorKind> {
        let Some(stream) = self.streams.find(header.stream_id) else {
            return Ok(None);
        };
        let Some(state) = self.streams.get_mut(stream).filter(|it| it.receive != Half::Done) else {
            return Ok(None);
        };
        let collected: &mut Metadata = state.metadata.get_or_insert_default();
        let is_last = header.has(flag::END_METADATA);
        let bytes_max = self.options.metadata_bytes_max;
        self.metadata_held -= collected.held();
        let received = collected.receive(payload, is_last, bytes_max, &mut self.fields);
        self.metadata_held += collected.held();
        let is_complete = received?;
        if self.metadata_held > self.metadata_held_max() {
            return self.stream_error(now, stream, ErrorKind::TooMuchMetadata);
        }
        if !is_complete {
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
pub(super) enum Progress {
    Continue,
    NeedMore,
    Event(Event),
}

/// Streams, or none, and lengths that sections 6.1 to 6.9 fix.
pub(super) fn check_size(header: FrameHeader) -> Result<(), ErrorKind> {
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
