//! One stream: RFC 9113 section 5.1, as two halves that end on their own.
//!
//! ```text
//!  receive:  Head => Body => Done        send:  Head => Body => Done
//! ```
//!
//! A server's stream starts with `receive: Body`, since its head opened it. What RFC 9113 calls
//! "open" and "half-closed" is which of the halves is `Done`; "closed" is both, or a reset.

use crate::http2::error::ErrorCode;
use crate::http2::flow::{ReceiveWindow, SendWindow};
use crate::http2::metadata::Metadata;

/// The state of one stream, from its opening until its owner releases it.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: u32,
    pub(crate) receive: Half,
    pub(crate) send: Half,
    /// Neither side may send on it any more; it waits for its owner.
    pub(crate) is_closed: bool,
    /// Whether it waits in the queue of those that have something to send.
    pub(crate) is_queued: bool,
    pub(crate) receive_window: ReceiveWindow,
    pub(crate) send_window: SendWindow,
    /// Bytes that the owner has ready and that were not sent yet.
    pub(crate) offered: usize,
    /// Whether END_STREAM follows behind them.
    pub(crate) ends_behind: bool,
    /// What is left of the length that the peer announced for its body.
    pub(crate) length_left: Option<u64>,
    /// What the request was.
    pub(crate) request: RequestKind,
    /// A reset that waits for what was offered: see [`Connection::reset`].
    ///
    /// [`Connection::reset`]: crate::http2::Connection::reset
    pub(crate) deferred_reset: Option<ErrorCode>,
    /// Of a client's upgrade: the protocol, for the head of the response.
    pub(crate) upgrade: Option<Box<[u8]>>,
    pub(crate) metadata: Option<Box<Metadata>>,
    pub(crate) meter: Meter,
}

/// How far one direction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    /// The (final) head is awaited.
    Head,
    /// Body or trailers are awaited.
    Body,
    /// END_STREAM was seen or sent.
    Done,
}

/// What of the request decides how its response is read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestKind {
    Usual,
    /// A response to HEAD has no body, whatever length it says.
    Head,
    /// CONNECT: no lengths.
    Connect,
    /// Extended CONNECT: outside of this codec, an upgrade as in HTTP/1.1.
    Upgrade,
}

impl RequestKind {
    pub(crate) const fn is_tunnel(self) -> bool {
        matches!(self, Self::Connect | Self::Upgrade)
    }
}

/// Bytes of a stream on the wire: frame headers included, METADATA not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meter {
    /// Received: `%DOWNSTREAM_WIRE_BYTES_RECEIVED%` of a server.
    pub wire_bytes_received: u64,
    /// Sent.
    pub wire_bytes_sent: u64,
    /// Received in HEADERS and CONTINUATION.
    pub header_bytes_received: u64,
    /// Sent in HEADERS and CONTINUATION.
    pub header_bytes_sent: u64,
}

impl Stream {
    /// A stream that was just opened by a head.
    pub(crate) fn new(
        id: u32,
        receive: Half,
        receive_window: u32,
        send_window: SendWindow,
    ) -> Self {
        Self {
            id,
            receive,
            send: Half::Head,
            is_closed: false,
            is_queued: false,
            receive_window: ReceiveWindow::new(receive_window),
            send_window,
            offered: 0,
            ends_behind: false,
            length_left: None,
            request: RequestKind::Usual,
            deferred_reset: None,
            upgrade: None,
            metadata: None,
            meter: Meter::default(),
        }
    }

    /// Whether DATA could be sent if the connection had room: bytes within the window, or the end.
    #[inline]
    pub(crate) fn is_ready(&self) -> bool {
        let has_bytes = self.offered > 0 && self.send_window.available() > 0;
        let has_end = self.offered == 0 && self.ends_behind;
        !self.is_closed && (has_bytes || has_end)
    }
}
