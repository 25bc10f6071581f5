//! Header blocks: which stream each is for, and what part of its message it is.

use std::time::Instant;

use base::Key;

use crate::head::{Method, RequestHead, ResponseHead};
use crate::headers::KnownName;
use crate::http2::connection::{Connection, Role};
use crate::http2::error::ErrorKind;
use crate::http2::event::{Event, MessageStart};
use crate::http2::frame::{self, FrameHeader, flag};
use crate::http2::reader::wire_bytes;
use crate::http2::receive::HeadMut;
use crate::http2::section::{Section, Summary, Target};
use crate::http2::stream::{Half, RequestKind};
use crate::http2::streams::Closed;

/// A complete header block.
#[derive(Clone, Copy)]
struct BlockOf<'a> {
    id: u32,
    ends_stream: bool,
    bytes: &'a [u8],
    wire_bytes: u64,
}

/// Which part of a message a block of an active stream is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Trailers,
    ResponseHead,
}

impl Connection {
    pub(super) fn headers(
        &mut self,
        now: Instant,
        header: FrameHeader,
        payload: &[u8],
        head: &mut HeadMut<'_>,
    ) -> Result<Option<Event>, ErrorKind> {
        let bytes = frame::header_fragment(header, payload)?;
        let ends_stream = header.has(flag::END_STREAM);
        self.inbound.payload(&self.options, bytes.is_empty(), ends_stream)?;
        if !header.has(flag::END_HEADERS) {
            self.block_since.get_or_insert(now);
            self.reader.begin_block(header, ends_stream, bytes);
            return Ok(None);
        }
        self.block_since = None;
        let id = header.stream_id;
        let block = BlockOf { id, ends_stream, bytes, wire_bytes: wire_bytes(header) };
        self.block(now, block, head)
    }

    pub(super) fn continuation(
        &mut self,
        now: Instant,
        header: FrameHeader,
        payload: &[u8],
        head: &mut HeadMut<'_>,
    ) -> Result<Option<Event>, ErrorKind> {
        self.inbound.payload(&self.options, payload.is_empty(), false)?;
        let bytes_max = block_bytes_max(self.options.head_bytes_max, self.options.field_bytes_max);
        self.reader.continue_block(header, payload, bytes_max)?;
        if !header.has(flag::END_HEADERS) {
            return Ok(None);
        }
        self.block_since = None;
        let (block, bytes) = self.reader.end_block().ok_or(ErrorKind::UnexpectedContinuation)?;
        let whole = BlockOf {
            id: block.stream_id,
            ends_stream: block.ends_stream,
            bytes: &bytes,
            wire_bytes: block.wire_bytes,
        };
        let event = self.block(now, whole, head);
        self.reader.keep_block(bytes);
        event
    }

    /// A block is complete. It is always decoded, because the next one depends on it (RFC 9113
    /// section 4.3).
    fn block(
        &mut self,
        now: Instant,
        block: BlockOf<'_>,
        head: &mut HeadMut<'_>,
    ) -> Result<Option<Event>, ErrorKind> {
        if let Some(stream) = self.streams.find(block.id) {
            return self.later_block(now, stream, block, head);
        }
        if block.id.is_multiple_of(2) {
            // Section 5.1.1: servers open no streams without a promise, clients no even ones.
            return Err(ErrorKind::InvalidStreamId);
        }
        match head {
            HeadMut::Request(head) if self.is_idle(block.id) => self.new_request(now, block, head),
            _ => {
                self.stream_of(block.id)?;
                self.counts.headers_cb_no_stream += 1;
                self.skip_block(block)
            }
        }
    }

    fn skip_block(&mut self, block: BlockOf<'_>) -> Result<Option<Event>, ErrorKind> {
        self.read(block, Target::Nothing)?.map(|_| None)
    }

    /// A client opens a stream: sections 5.1.1 and 5.1.2.
    fn new_request(
        &mut self,
        now: Instant,
        block: BlockOf<'_>,
        head: &mut RequestHead,
    ) -> Result<Option<Event>, ErrorKind> {
        let skipped = self.last_peer_id + if self.last_peer_id == 0 { 1 } else { 2 };
        if block.id > skipped {
            self.streams.note_closed(skipped, block.id - 2, Closed::Skipped);
        }
        self.last_peer_id = block.id;
        if self.goaway_sent.is_some_and(|last| block.id > last) {
            // Section 6.8: what comes on it is ignored.
            self.streams.note_closed(block.id, block.id, Closed::ByUs);
            return self.skip_block(block);
        }
        self.inbound.stream_opened();
        if self.streams.active_len() >= self.options.concurrent_streams_max as usize {
            self.skip_block(block)?;
            return self.refuse(now, block.id, ErrorKind::RefusedStream);
        }
        let summary = match self.read(block, Target::Request(head))? {
            Ok(summary) => summary,
            Err(kind) => return self.refuse(now, block.id, kind),
        };
        let mut stream = self.new_stream(block.id, Half::Body);
        stream.length_left = summary.content_length;
        stream.request = match head.method() {
            _ if summary.is_upgrade => RequestKind::Upgrade,
            Method::Connect => RequestKind::Connect,
            Method::Head => RequestKind::Head,
            _ => RequestKind::Usual,
        };
        let is_tunnel = stream.request.is_tunnel();
        if is_tunnel {
            stream.length_left = None;
        }
        stream.meter.wire_bytes_received = block.wire_bytes;
        stream.meter.header_bytes_received = block.wire_bytes;
        let stream = self.streams.open(stream);
        self.counts.dropped_headers_with_underscores += u64::from(summary.dropped_underscores);
        if block.ends_stream {
            self.end_receive(stream);
        }
        Ok(Some(Event::Head(MessageStart {
            stream,
            is_whole: block.ends_stream,
            content_length: summary.content_length,
            is_tunnel,
            dropped_underscores: summary.dropped_underscores,
        })))
    }

    /// Resets a stream that nobody was told of.
    fn refuse(
        &mut self,
        now: Instant,
        id: u32,
        kind: ErrorKind,
    ) -> Result<Option<Event>, ErrorKind> {
        if self.refused.len() < REFUSED_MAX {
            self.refused.push_back(kind);
        }
        self.stream_error_of(now, id, kind)?;
        self.streams.note_closed(id, id, Closed::ByUs);
        Ok(None)
    }

    /// A block of an active stream: trailers, or a response.
    fn later_block(
        &mut self,
        now: Instant,
        stream: Key,
        block: BlockOf<'_>,
        head: &mut HeadMut<'_>,
    ) -> Result<Option<Event>, ErrorKind> {
        let Some(state) = self.streams.get_mut(stream) else {
            return Ok(None);
        };
        state.meter.wire_bytes_received += block.wire_bytes;
        state.meter.header_bytes_received += block.wire_bytes;
        // As Envoy, which counts those of requests only.
        if state.receive == Half::Body && self.role == Role::Server {
            self.counts.trailers += 1;
        }
        let part = match state.receive {
            Half::Head => Part::ResponseHead,
            Half::Body if block.ends_stream => Part::Trailers,
            Half::Body => {
                // Section 8.1: trailers end the message.
                self.skip_block(block)?;
                return self.stream_error(now, stream, ErrorKind::InvalidMessage);
            }
            Half::Done => {
                self.skip_block(block)?;
                return self.stream_error(now, stream, ErrorKind::HalfClosedStream);
            }
        };
        let summary = match (part, head) {
            (Part::ResponseHead, HeadMut::Response(head)) => {
                match self.read(block, Target::Response(head))? {
                    Ok(summary) => return self.response(now, stream, block, summary, head),
                    Err(kind) => Err(kind),
                }
            }
            _ => self.trailer_section(block)?,
        };
        let is_too_short = || {
            let state = self.streams.get(stream);
            state.is_some_and(|state| state.length_left.is_some_and(|left| left > 0))
        };
        match summary {
            Err(kind) => self.stream_error(now, stream, kind),
            Ok(_) if is_too_short() => {
                self.stream_error(now, stream, ErrorKind::ContentLengthMismatch)
            }
            Ok(_) => {
                self.end_receive(stream);
                Ok(Some(Event::Trailers(stream)))
            }
        }
    }

    fn trailer_section(
        &mut self,
        block: BlockOf<'_>,
    ) -> Result<Result<Summary, ErrorKind>, ErrorKind> {
        let mut trailers = std::mem::take(&mut self.fields);
        let target = match self.role {
            Role::Server => Target::RequestTrailers(&mut trailers),
            Role::Client => Target::ResponseTrailers(&mut trailers),
        };
        let summary = self.read(block, target);
        self.fields = trailers;
        summary
    }

    /// The head of a response: section 8.1, and which responses have no body (RFC 9110 section
    /// 6.4.1).
    fn response(
        &mut self,
        now: Instant,
        stream: Key,
        block: BlockOf<'_>,
        summary: Summary,
        head: &mut ResponseHead,
    ) -> Result<Option<Event>, ErrorKind> {
        if head.is_interim() {
            return Ok(Some(Event::Interim(stream)));
        }
        let Some(state) = self.streams.get_mut(stream) else {
            return Ok(None);
        };
        state.receive = Half::Body;
        let is_success = (200..300).contains(&head.status);
        let is_tunnel = state.request.is_tunnel() && is_success;
        let is_head =
            state.request == RequestKind::Head && !cfg!(planted = "http2_client_head_body");
        let has_no_body = is_head || matches!(head.status, 204 | 304);
        state.length_left = match summary.content_length {
            _ if is_tunnel => None,
            _ if has_no_body => Some(0),
            length => length,
        };
        if is_tunnel {
            head.headers.remove(KnownName::ContentLength);
        }
        if head.status == 200
            && let Some(protocol) = state.upgrade.take()
        {
            // Outside of this codec it is an upgrade as in HTTP/1.1.
            head.status = 101;
            head.headers.set(KnownName::Upgrade, &protocol);
            head.headers.set(KnownName::Connection, b"upgrade");
        }
        if block.ends_stream {
            if state.length_left.is_some_and(|left| left > 0) {
                return self.stream_error(now, stream, ErrorKind::ContentLengthMismatch);
            }
            self.end_receive(stream);
        }
        Ok(Some(Event::Head(MessageStart {
            stream,
            is_whole: block.ends_stream,
            content_length: summary.content_length,
            is_tunnel,
            dropped_underscores: 0,
        })))
    }

    /// Decodes a block into `target`. The outer error is the connection's, the inner one that of
    /// the message.
    fn read(
        &mut self,
        block: BlockOf<'_>,
        target: Target<'_>,
    ) -> Result<Result<Summary, ErrorKind>, ErrorKind> {
        let mut section = Section::new(target, &self.options, &mut self.scratch);
        self.decoder
            .decode(block.bytes, self.options.field_bytes_max, |field| section.field(field))
            .map_err(|_| ErrorKind::InvalidHeaderBlock)?;
        Ok(section.finish(block.ends_stream))
    }
}

/// Refused requests that are remembered for who asks: more than one call reads.
const REFUSED_MAX: usize = 256;

/// What is collected of a block: enough that a message just above its limits is still refused on
/// its own, whatever its encoding. What is longer ends the connection.
const fn block_bytes_max(head_bytes_max: usize, field_bytes_max: usize) -> usize {
    2 * head_bytes_max + field_bytes_max
}
