//! What a decoder answers to bytes.

use std::ops::Range;

/// The answer to a piece of input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// How many bytes at the start of the input are done with. The next call gets what is behind
    /// them, and, when the event was [`Event::NeedMore`], what arrived meanwhile.
    pub consumed: usize,
    /// What they were.
    pub event: Event,
}

/// What a decoder found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Nothing that is complete. All of the input was consumed; the decoder keeps what it needs.
    NeedMore,
    /// An interim response (1xx other than 101) is in the head; the head of another response
    /// follows. Responses only.
    Interim,
    /// The head is complete, and in the head that was given.
    Head(MessageStart),
    /// A piece of the body: this range of the input. Never empty.
    Body(Range<usize>),
    /// Trailer fields are complete: `trailers()` of the decoder has them.
    Trailers,
    /// The message is over.
    End,
}

/// What the head says about the rest of the message and of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageStart {
    /// How the end of the body is found.
    pub framing: Framing,
    /// Whether this head lets the connection be used for another message once this one is over:
    /// RFC 9112 section 9.3.
    pub keep_alive: bool,
    /// Whether the sender says that it closes the connection after this message, by a field or by
    /// speaking HTTP/1.0. (What ends a body is no such announcement.)
    pub announces_close: bool,
    /// Whether fields were dropped for an underscore in their name: how many. Each counts
    /// `http1.dropped_headers_with_underscores`.
    pub dropped_underscores: u32,
    /// Bytes of names and values as they came, and three for colon and line end of each field; of
    /// a response, the fields of interim heads before it too. That is what Envoy counts as
    /// `%DOWNSTREAM_HEADER_BYTES_RECEIVED%` and `%UPSTREAM_HEADER_BYTES_RECEIVED%`.
    pub field_bytes: u32,
}

/// How the end of a body is found: RFC 9112 section 6.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body: `End` is the next event.
    Empty,
    /// So many bytes; more than none.
    Length(u64),
    /// Chunks, then possibly trailers.
    Chunked,
    /// Everything until the connection ends. Responses only.
    UntilClose,
    /// CONNECT or an upgrade: everything that follows is opaque. It comes as `Body` and ends with
    /// the connection.
    Tunnel,
}

impl Framing {
    /// Whether there is no body.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        matches!(self, Self::Empty)
    }
}

/// What the end of the connection meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// No message was under way.
    Idle,
    /// It ended the message: a body that ends with the connection, or a tunnel.
    End,
}
