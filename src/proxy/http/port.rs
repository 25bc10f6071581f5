//! What an exchange sees of the streams it joins, whatever protocol carries them.
//!
//! A request comes from a [`RequestSource`] and its response goes to a [`ResponseSink`]; the
//! upstream side is a [`RequestSink`] and a [`ResponseSource`], together an [`Upstream`]. A codec's
//! connection implements them; the exchange knows nothing else of a codec.
//!
//! **Invariant:** a source hands out bytes only as they are asked for, and a sink takes them
//! without waiting: who pumps asks for room first. That is all the flow control there is.

use std::io;
use std::ops::Deref;
use std::task::{Context, Poll};

use net::Stream;
use proto::{HeaderList, Method, RequestHead, ResponseHead, Version, http1, http2};
use reactor::{Outbox, Receiver, Span};

/// The next part of a body.
#[derive(Debug)]
pub(crate) enum BodyPart {
    /// Bytes, at least one.
    Data(Span),
    /// A map of METADATA, which only HTTP/2 has.
    Metadata(Box<HeaderList>),
    /// The trailers are there; [`BodySource::trailers`] has them. The end comes next.
    Trailers,
    /// There is no more.
    End,
}

/// Which rule of which codec a peer broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodecError {
    Http1(http1::ErrorKind),
    /// The codec has ended the stream, or the connection with all of its streams.
    Http2(http2::ErrorKind),
}

impl CodecError {
    /// `%RESPONSE_CODE_DETAILS%`.
    pub(crate) fn details(self) -> &'static str {
        match self {
            Self::Http1(kind) => kind.details(),
            Self::Http2(kind) => kind.details(),
        }
    }
}

/// Why a message will not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceError {
    /// The peer broke its protocol.
    Protocol(CodecError),
    /// The peer has reset the stream, not the connection: HTTP/2.
    Reset(http2::ErrorCode),
    /// The peer ended its side in the middle of the message.
    Ended,
    /// The connection failed.
    Failed,
}

impl From<http1::Error> for SourceError {
    fn from(error: http1::Error) -> Self {
        Self::Protocol(CodecError::Http1(error.kind()))
    }
}

/// Where the body of a message comes from.
pub(crate) trait BodySource {
    /// The next part; of data about `credit` bytes at most.
    fn poll_part(
        &mut self,
        context: &Context<'_>,
        credit: usize,
    ) -> Poll<Result<BodyPart, SourceError>>;

    /// The trailers, once they have come.
    fn trailers(&self) -> &HeaderList;

    /// What has come of it so far; of one that is not complete, all that has come.
    fn metered(&self, is_complete: bool) -> Metered;
}

/// A source whose body may lie on its connection as it is, so that it need not be looked at.
pub(crate) trait BulkSource: BodySource {
    /// The connection, as the splice keeps it.
    type Receiver: Deref<Target = Receiver>;

    /// Where the rest of the body comes from and how long it is, if nothing else is in between.
    fn rest(&self) -> Option<(Self::Receiver, u64)>;

    /// So many bytes of the rest were taken from there.
    fn skip(&mut self, bytes: u64);
}

/// How long a message is that came or went, as bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Metered {
    /// All of it, framing too.
    pub(crate) wire: u64,
    /// The fields of its head.
    pub(crate) fields: u64,
}

/// Where the body of a message goes.
pub(crate) trait BodySink {
    /// How many bytes may be sent now.
    fn poll_room(&self, context: &Context<'_>) -> Poll<io::Result<usize>>;

    /// Whether [`BodySink::poll_room`] would wait.
    fn is_paused(&self) -> bool;

    /// Sends a part of the body, in the frame that the head announced.
    fn send(&mut self, span: Span);

    /// Nothing more is there to be sent for now: what was sent may leave.
    fn flush(&mut self) {}

    /// As [`BodySink::send`], of bytes that are copied.
    fn send_copy(&mut self, bytes: &[u8]);

    /// Sends a map of METADATA, where the protocol has such a thing. Returns whether that is all:
    /// if not, it counts that it has no such thing.
    fn send_metadata(&mut self, _map: &HeaderList) -> bool {
        false
    }

    /// Ends the message.
    fn end(&mut self, trailers: Option<&HeaderList>);

    /// Sends the last bytes of the body and ends the message.
    fn send_last(&mut self, bytes: &[u8]) {
        self.send_copy(bytes);
        self.end(None);
    }

    /// What was sent of it so far.
    fn metered(&self) -> Metered;
}

/// A sink whose body may go to its connection as it is.
pub(crate) trait BulkSink: BodySink {
    /// The connection, as the splice keeps it.
    type Outbox: Deref<Target = Outbox>;

    /// Where the bytes of the body go, if nothing is put between them.
    fn outbox(&self) -> Option<Self::Outbox>;
}

/// Where a request comes from.
pub(crate) trait RequestSource: BulkSource {
    /// The head. `None` if the client ended the connection before the head began.
    fn poll_head(
        &mut self,
        context: &Context<'_>,
        head: &mut RequestHead,
    ) -> Poll<Result<Option<RequestStart>, SourceError>>;

    /// Ready once the client waits for the response no more, whatever of the request is still to
    /// be read.
    fn poll_gone(&self, context: &Context<'_>) -> Poll<SourceError>;
}

/// What the head of a request begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestStart {
    /// Neither a body nor trailers follow.
    pub(crate) is_whole: bool,
    /// The connection may carry another request. One that is shared always may.
    pub(crate) keeps_alive: bool,
    /// What follows the head is opaque: CONNECT, or an upgrade.
    pub(crate) is_tunnel: bool,
    /// How many fields were dropped for an underscore in their name.
    pub(crate) dropped_underscores: u32,
}

/// Where a response goes.
pub(crate) trait ResponseSink: BulkSink {
    /// Tells which request is answered, before anything is sent: that decides the form.
    fn answers(&mut self, version: Version, method: Method);

    /// `100 Continue`.
    fn send_continue(&mut self);

    /// Sends the head. `is_whole` says that neither a body nor trailers follow.
    fn send_head(&mut self, head: &ResponseHead, is_whole: bool);
}

/// Where a request goes.
pub(crate) trait RequestSink: BulkSink {
    /// Sends the head. `is_whole` says that neither a body nor trailers follow.
    fn send_head(&mut self, head: &RequestHead, is_whole: bool);
}

/// Where a response comes from.
pub(crate) trait ResponseSource: BulkSource {
    /// The next head.
    fn poll_head(
        &mut self,
        context: &Context<'_>,
        head: &mut ResponseHead,
    ) -> Poll<Result<ResponseStart, SourceError>>;

    /// The next map of METADATA that came before the head; who waits for the head is woken for it.
    fn take_early_metadata(&mut self) -> Option<Box<HeaderList>> {
        None
    }

    /// Takes the trailers, once the response has ended with them, and leaves `list` in their place.
    fn swap_trailers(&mut self, list: &mut HeaderList);
}

/// What a head of a response begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseStart {
    /// An interim response; another head follows.
    Interim,
    /// The final response.
    Final {
        /// Neither a body nor trailers follow.
        is_whole: bool,
    },
}

/// A stream to a host, for one request and its response.
pub(crate) trait Upstream {
    /// Where the request goes.
    type Request: RequestSink;
    /// Where the response comes from.
    type Response: ResponseSource;

    /// What is spoken on it; `None` if that is not HTTP.
    const VERSION: Option<Version>;

    /// Whether a tunnel through it goes on in the other direction once the client's has ended.
    const HALF_CLOSES: bool;

    /// Both directions.
    fn ports(&mut self) -> (&mut Self::Request, &mut Self::Response);

    /// Counts what its connection has received since the last call.
    fn count_received(&self);

    /// Its connection, if no other stream is on it.
    fn stream(&self) -> Option<&Stream>;
}
