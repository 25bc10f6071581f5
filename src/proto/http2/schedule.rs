//! Whose DATA goes next: a frame of each stream in turn, as long as windows allow.
//!
//! Bodies stay where they are: an owner says how many bytes it has ready, and gets told when and
//! how many of them are to follow a frame's header.

use std::collections::VecDeque;

use base::Key;

use crate::http2::connection::Connection;
use crate::http2::error::Error;
use crate::http2::frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind, flag};
use crate::http2::send::SendError;
use crate::http2::stream::Half;

/// Streams that have something to send.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    /// In turn. A stream that lost what it had, or is gone, is found out when its turn comes.
    ready: VecDeque<Key>,
    /// Streams whose reset waits for what they have.
    deferred_resets: Vec<Key>,
}

impl Schedule {
    pub(crate) fn defer_reset(&mut self, stream: Key) {
        self.deferred_resets.push(stream);
    }
}

/// A DATA frame whose header was written, and whose payload is to be sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataSpan {
    /// The stream whose bytes these are.
    pub stream: Key,
    /// How many of the bytes it has offered. Not 0.
    pub length: usize,
    /// Whether they are its last ones.
    pub is_last: bool,
}

impl Connection {
    /// An owner has so many more bytes of a body ready; `is_last` says that the message ends behind
    /// them. They must stay ready until [`write`](Self::write) has asked for them, or the stream
    /// is over.
    ///
    /// # Errors
    ///
    /// The stream is over, or its head is not sent, or its end is.
    pub fn offer(&mut self, stream: Key, bytes: usize, is_last: bool) -> Result<(), SendError> {
        let state = self.streams.get_mut(stream).filter(|state| !state.is_closed);
        let state = state.ok_or(SendError::StreamClosed)?;
        if state.send != Half::Body || state.ends_behind {
            return Err(SendError::OutOfOrder);
        }
        state.offered += bytes;
        state.ends_behind = is_last;
        if state.offered == 0 && is_last {
            let id = state.id;
            state.meter.wire_bytes_sent += FRAME_HEADER_BYTES as u64;
            self.queue(FrameKind::DATA, flag::END_STREAM, id, &[]);
            self.inbound.data_sent();
            self.end_send(stream);
        } else {
            self.enqueue(stream);
        }
        Ok(())
    }

    /// Bytes that were offered and that nobody was asked for yet.
    #[must_use]
    pub fn offered(&self, stream: Key) -> usize {
        self.streams.get(stream).map_or(0, |state| state.offered)
    }

    /// Lets a stream have its turn, if it has something to send.
    pub(super) fn enqueue(&mut self, stream: Key) {
        if let Some(state) = self.streams.get_mut(stream)
            && state.is_ready()
            && !state.is_queued
        {
            state.is_queued = true;
            self.schedule.ready.push_back(stream);
        }
    }

    /// Appends to `out` what is to be sent next: frames that wait, and the header of a DATA frame,
    /// behind which [`DataSpan::length`] bytes of its stream are to be sent. To be called until it
    /// returns `None`; all that came of it belongs into one send. How much of it has left is for
    /// [`sent`](Self::sent) to say.
    ///
    /// # Errors
    ///
    /// The connection is over; `out` has got what the peer is to be told.
    pub fn write(&mut self, out: &mut Vec<u8>) -> Result<Option<DataSpan>, Error> {
        let span = if self.failure.is_none() { self.next_data() } else { None };
        if span.is_none() && self.failure.is_none() {
            self.reset_deferred();
        }
        if let Some(kind) = self.violation.take() {
            self.fail(kind);
        }
        if out.is_empty() {
            std::mem::swap(out, &mut self.out);
        } else {
            out.append(&mut self.out);
        }
        match self.failure {
            Some(kind) => Err(kind.into()),
            None => Ok(span),
        }
    }

    /// Whether [`write`](Self::write) would have something to write, windows permitting.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.out.is_empty() || !self.schedule.ready.is_empty()
    }

    /// So many bytes of what was written, payloads included, have left.
    pub fn sent(&mut self, bytes: usize) {
        self.outbound.sent(bytes);
    }

    /// Takes the next turn: its DATA header is queued.
    fn next_data(&mut self) -> Option<DataSpan> {
        let payload_max = self.payload_max();
        while let Some(stream) = self.schedule.ready.pop_front() {
            let Some(state) = self.streams.get_mut(stream) else {
                continue;
            };
            state.is_queued = false;
            if !state.is_ready() {
                continue;
            }
            let room = self.send_window.available().min(payload_max);
            let length = state.offered.min(state.send_window.available()).min(room);
            if length == 0 {
                // The connection's window is closed, for all of them.
                state.is_queued = true;
                self.schedule.ready.push_front(stream);
                return None;
            }
            self.send_window.take(length);
            if !cfg!(planted = "http2_pair_ignores_stream_window") {
                state.send_window.take(length);
            }
            state.offered -= length;
            state.meter.wire_bytes_sent += (FRAME_HEADER_BYTES + length) as u64;
            let is_last = state.offered == 0 && state.ends_behind;
            #[expect(clippy::cast_possible_truncation, reason = "at most payload_max")]
            let header = FrameHeader {
                length: length as u32,
                kind: FrameKind::DATA,
                flags: if is_last { flag::END_STREAM } else { 0 },
                stream_id: state.id,
            };
            self.out.extend_from_slice(&header.encode());
            self.inbound.data_sent();
            self.count_outbound(FRAME_HEADER_BYTES + length, false);
            if is_last {
                self.end_send(stream);
            } else {
                self.enqueue(stream);
            }
            return Some(DataSpan { stream, length, is_last });
        }
        None
    }

    /// Resets the streams that could not send what they had.
    fn reset_deferred(&mut self) {
        while let Some(stream) = self.schedule.deferred_resets.pop() {
            let code = self.streams.get(stream).and_then(|state| state.deferred_reset);
            if let Some(code) = code {
                self.reset_now(stream, code);
            }
        }
    }
}
