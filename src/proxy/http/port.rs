//! What an exchange sees of the streams it joins, whatever protocol carries them.
//!
//! A request comes from a [`BodySource`] and its response goes to a [`ResponseSink`]; the upstream
//! side is a [`RequestSink`] and a [`ResponseSource`]. A codec's connection implements them; the
//! exchange knows nothing else of a codec.
//!
//! **Invariant:** a source hands out bytes only as they are asked for, and a sink takes them
//! without waiting: who pumps asks for room first. That is all the flow control there is.

use std::io;
use std::task::{Context, Poll};

use proto::http1::ErrorKind;
use proto::{HeaderList, RequestHead, ResponseHead};
use reactor::{Outbox, Receiver, Span};

/// The next part of a body.
#[derive(Debug)]
pub(crate) enum BodyPart {
    /// Bytes, at least one.
    Data(Span),
    /// The trailers are there; [`BodySource::trailers`] has them. The end comes next.
    Trailers,
    /// There is no more.
    End,
}

/// Why a message will not come to its end.
#[derive(Debug)]
pub(crate) enum SourceError {
    /// The peer broke its protocol.
    Protocol(ErrorKind),
    /// The peer ended its side in the middle of the message.
    Ended,
    /// The connection failed.
    Failed,
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
pub(crate) trait BulkSource<'s>: BodySource {
    /// Where the rest of the body comes from and how long it is, if nothing else is in between.
    fn rest(&self) -> Option<(&'s Receiver, u64)>;

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

    /// As [`BodySink::send`], of bytes that are copied.
    fn send_copy(&mut self, bytes: &[u8]);

    /// Ends the message.
    fn end(&mut self, trailers: Option<&HeaderList>);

    /// What was sent of it so far.
    fn metered(&self) -> Metered;
}

/// A sink whose body may go to its connection as it is.
pub(crate) trait BulkSink<'s>: BodySink {
    /// Where the bytes of the body go, if nothing is put between them.
    fn outbox(&self) -> Option<&'s Outbox>;
}

/// Where a response goes.
pub(crate) trait ResponseSink: BodySink {
    /// `100 Continue`.
    fn send_continue(&mut self);

    /// Sends the head. `is_whole` says that neither a body nor trailers follow.
    fn send_head(&mut self, head: &ResponseHead, is_whole: bool);
}

/// Where a request goes.
pub(crate) trait RequestSink: BodySink {
    /// Sends the head. `is_whole` says that neither a body nor trailers follow.
    fn send_head(&mut self, head: &RequestHead, is_whole: bool);
}

/// Where a response comes from.
pub(crate) trait ResponseSource: BodySource {
    /// The next head.
    fn poll_head(
        &mut self,
        context: &Context<'_>,
        head: &mut ResponseHead,
    ) -> Poll<Result<ResponseStart, SourceError>>;
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
