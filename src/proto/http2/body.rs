//! Reading DATA: RFC 9113 section 6.1. Nothing is collected; what of a frame is in the input is
//! handed on as it is.

use std::time::Instant;

use crate::http2::connection::Connection;
use crate::http2::error::ErrorKind;
use crate::http2::event::Event;
use crate::http2::frame::{FrameHeader, flag};
use crate::http2::reader::{Data, Phase, wire_bytes};
use crate::http2::receive::{Progress, check_size};
use crate::http2::stream::Half;

impl Connection {
    /// RFC 9113 section 6.1: flow control counts the whole payload, before anything else is
    /// looked at.
    pub(super) fn begin_data(
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
    pub(super) fn begin_padded(
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
    pub(super) fn data(&mut self, data: Data, available: usize, at: &mut usize) -> Progress {
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
}
