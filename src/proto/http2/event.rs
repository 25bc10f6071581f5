//! What a connection answers to bytes.

use std::ops::Range;

use base::Key;

use crate::http2::error::{ErrorCode, ErrorKind};

/// The answer to a piece of input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// How many bytes at the start of the input are done with. The next call gets what is behind
    /// them, and, when the event was [`Event::NeedMore`], what arrived meanwhile.
    pub consumed: usize,
    /// What they were.
    pub event: Event,
}

/// What a connection found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageStart {
    /// The stream: of a request, a new one.
    pub stream: Key,
    /// Whether neither body nor trailers follow; [`Event::End`] is the next of this stream.
    pub is_whole: bool,
    /// What `content-length` says, which the body is held to.
    pub content_length: Option<u64>,
    /// Whether what follows is opaque: CONNECT, or an upgrade that was an extended CONNECT.
    pub is_tunnel: bool,
    /// How many fields were dropped for an underscore in their name.
    pub dropped_underscores: u32,
}

/// What a connection found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Nothing that is complete. All of the input was consumed; the codec keeps what it needs.
    NeedMore,
    /// Many frames that meant nothing to anybody else. The rest of the input may be given now, or
    /// when others have had their turn.
    Pause,
    /// The head of a request or the final head of a response is in the head that was given.
    Head(MessageStart),
    /// An interim response is in the head that was given; another head follows. Clients only.
    Interim(Key),
    /// A piece of a body: this range of the input. Never empty. Its bytes count against the
    /// windows until [`Connection::consumed`](crate::http2::Connection::consumed).
    Body {
        /// The stream.
        stream: Key,
        /// Where in the input it is.
        range: Range<usize>,
    },
    /// Trailers are complete: [`Connection::trailers`](crate::http2::Connection::trailers) has
    /// them. [`Event::End`] is the next of this stream.
    Trailers(Key),
    /// The message is over.
    End(Key),
    /// A map of METADATA is complete:
    /// [`Connection::metadata`](crate::http2::Connection::metadata) has it.
    Metadata(Key),
    /// The stream is over before its time, in both directions.
    Reset {
        /// The stream.
        stream: Key,
        /// Why.
        reason: ResetReason,
    },
    /// The peer's settings have changed:
    /// [`Connection::peer_settings`](crate::http2::Connection::peer_settings).
    PeerSettings,
    /// The peer will not take streams that are opened from now on. Told once.
    GoAway(ErrorCode),
}

/// Why a stream was reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetReason {
    /// The peer has reset it. [`ErrorCode::REFUSED_STREAM`] says that it did nothing with the
    /// request, which may be sent again: RFC 9113 section 8.7.
    Peer(ErrorCode),
    /// A GOAWAY says that the peer did nothing with the request, which may be sent again.
    GoAway,
    /// The peer broke a rule; it was told so.
    Codec(ErrorKind),
}

impl ResetReason {
    /// Whether the peer says that it did nothing with the request.
    #[must_use]
    pub fn is_unprocessed(self) -> bool {
        matches!(self, Self::GoAway | Self::Peer(ErrorCode::REFUSED_STREAM))
    }

    /// Words for the access log (`%RESPONSE_CODE_DETAILS%`).
    #[must_use]
    pub const fn details(self) -> &'static str {
        match self {
            Self::Peer(ErrorCode::REFUSED_STREAM) | Self::GoAway => "http2.remote_refuse",
            Self::Peer(_) => "http2.remote_reset",
            Self::Codec(kind) => kind.details(),
        }
    }
}

/// What happened on a connection, as plain numbers: Envoy's stats below `http2.`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of Envoy's stats")]
pub struct Counts {
    pub dropped_headers_with_underscores: u64,
    pub goaway_sent: u64,
    pub header_list_size_too_large: u64,
    pub header_overflow: u64,
    pub headers_cb_no_stream: u64,
    pub inbound_empty_frames_flood: u64,
    pub inbound_priority_frames_flood: u64,
    pub inbound_window_update_frames_flood: u64,
    pub keepalive_timeout: u64,
    pub metadata_empty_frames: u64,
    pub outbound_control_flood: u64,
    pub outbound_flood: u64,
    pub requests_rejected_with_underscores_in_headers: u64,
    pub rx_messaging_error: u64,
    pub rx_reset: u64,
    pub stream_refused_errors: u64,
    pub trailers: u64,
    pub tx_reset: u64,
}

impl Counts {
    /// What has happened after `before`, which was the same connection's.
    #[must_use]
    pub const fn since(&self, before: &Self) -> Self {
        Self {
            dropped_headers_with_underscores: self.dropped_headers_with_underscores
                - before.dropped_headers_with_underscores,
            goaway_sent: self.goaway_sent - before.goaway_sent,
            header_list_size_too_large: self.header_list_size_too_large
                - before.header_list_size_too_large,
            header_overflow: self.header_overflow - before.header_overflow,
            headers_cb_no_stream: self.headers_cb_no_stream - before.headers_cb_no_stream,
            inbound_empty_frames_flood: self.inbound_empty_frames_flood
                - before.inbound_empty_frames_flood,
            inbound_priority_frames_flood: self.inbound_priority_frames_flood
                - before.inbound_priority_frames_flood,
            inbound_window_update_frames_flood: self.inbound_window_update_frames_flood
                - before.inbound_window_update_frames_flood,
            keepalive_timeout: self.keepalive_timeout - before.keepalive_timeout,
            metadata_empty_frames: self.metadata_empty_frames - before.metadata_empty_frames,
            outbound_control_flood: self.outbound_control_flood - before.outbound_control_flood,
            outbound_flood: self.outbound_flood - before.outbound_flood,
            requests_rejected_with_underscores_in_headers: self
                .requests_rejected_with_underscores_in_headers
                - before.requests_rejected_with_underscores_in_headers,
            rx_messaging_error: self.rx_messaging_error - before.rx_messaging_error,
            rx_reset: self.rx_reset - before.rx_reset,
            stream_refused_errors: self.stream_refused_errors - before.stream_refused_errors,
            trailers: self.trailers - before.trailers,
            tx_reset: self.tx_reset - before.tx_reset,
        }
    }

    /// Counts what an error counts.
    pub(crate) const fn error(&mut self, kind: ErrorKind) {
        let counter = match kind {
            ErrorKind::OutboundFlood => &mut self.outbound_flood,
            ErrorKind::OutboundControlFlood => &mut self.outbound_control_flood,
            ErrorKind::InboundEmptyFramesFlood => &mut self.inbound_empty_frames_flood,
            ErrorKind::InboundPriorityFramesFlood => &mut self.inbound_priority_frames_flood,
            ErrorKind::InboundWindowUpdateFramesFlood => {
                &mut self.inbound_window_update_frames_flood
            }
            ErrorKind::KeepaliveTimeout => &mut self.keepalive_timeout,
            ErrorKind::RefusedStream => &mut self.stream_refused_errors,
            ErrorKind::InvalidHeaderField | ErrorKind::InvalidMessage => {
                &mut self.rx_messaging_error
            }
            ErrorKind::TooManyHeaders => &mut self.header_overflow,
            ErrorKind::HeadersTooLarge => &mut self.header_list_size_too_large,
            ErrorKind::UnexpectedUnderscore => {
                &mut self.requests_rejected_with_underscores_in_headers
            }
            _ => return,
        };
        *counter += 1;
    }
}
