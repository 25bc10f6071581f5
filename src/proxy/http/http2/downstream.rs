//! The client's side of a stream: a request comes in, a response goes out.

use std::io;
use std::task::{Context, Poll};

use net::http2::{ConnectionEnd, PortEnd, StreamPort};
use proto::http2::{MessageStart, ResetReason};
use proto::{HeaderList, Method, RequestHead, ResponseHead, Version};
use reactor::{Outbox, Receiver, Span};

use super::super::port::{
    BodyPart, BodySink, BodySource, BulkSink, BulkSource, CodecError, Metered, RequestSource,
    RequestStart, ResponseSink, SourceError,
};
use super::{poll_part, poll_room, received, sent};

/// What the end of a stream before its time means to its exchange.
fn lost(end: PortEnd) -> SourceError {
    match end {
        PortEnd::Reset(ResetReason::Peer(code)) => SourceError::Reset(code),
        PortEnd::Reset(ResetReason::Codec(kind))
        | PortEnd::Connection(ConnectionEnd::Protocol(kind)) => {
            SourceError::Protocol(CodecError::Http2(kind))
        }
        PortEnd::Reset(ResetReason::GoAway)
        | PortEnd::Connection(ConnectionEnd::Peer | ConnectionEnd::Local) => SourceError::Ended,
    }
}

/// The request of an exchange. Its head was read when the stream began.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    port: &'a StreamPort,
    start: MessageStart,
    trailers: HeaderList,
}

impl<'a> Request<'a> {
    pub(crate) fn new(port: &'a StreamPort, start: MessageStart) -> Self {
        Self { port, start, trailers: HeaderList::new() }
    }
}

impl BodySource for Request<'_> {
    fn poll_part(
        &mut self,
        context: &Context<'_>,
        credit: usize,
    ) -> Poll<Result<BodyPart, SourceError>> {
        poll_part(self.port, context, credit, &mut self.trailers, lost)
    }

    fn trailers(&self) -> &HeaderList {
        &self.trailers
    }

    fn metered(&self, _is_complete: bool) -> Metered {
        received(self.port.meter())
    }
}

impl BulkSource for Request<'_> {
    type Receiver = &'static Receiver;

    /// Bodies lie in frames.
    fn rest(&self) -> Option<(Self::Receiver, u64)> {
        None
    }

    fn skip(&mut self, _bytes: u64) {}
}

impl RequestSource for Request<'_> {
    fn poll_head(
        &mut self,
        _context: &Context<'_>,
        _head: &mut RequestHead,
    ) -> Poll<Result<Option<RequestStart>, SourceError>> {
        Poll::Ready(Ok(Some(RequestStart {
            is_whole: self.start.is_whole,
            keeps_alive: true,
            is_tunnel: self.start.is_tunnel,
            dropped_underscores: self.start.dropped_underscores,
        })))
    }

    fn poll_gone(&self, context: &Context<'_>) -> Poll<SourceError> {
        self.port.poll_end(context).map(lost)
    }
}

/// The response of an exchange.
#[derive(Debug)]
pub(crate) struct Response<'a> {
    port: &'a StreamPort,
    /// It has a head only: it answers HEAD.
    is_head_only: bool,
}

impl<'a> Response<'a> {
    pub(crate) fn new(port: &'a StreamPort) -> Self {
        Self { port, is_head_only: false }
    }
}

impl BodySink for Response<'_> {
    fn poll_room(&self, context: &Context<'_>) -> Poll<io::Result<usize>> {
        poll_room(self.port, context)
    }

    fn is_paused(&self) -> bool {
        self.port.is_paused()
    }

    fn send(&mut self, span: Span) {
        if !self.is_head_only {
            self.port.hold(span);
        }
    }

    fn flush(&mut self) {
        self.port.flush();
    }

    fn send_copy(&mut self, bytes: &[u8]) {
        if !self.is_head_only {
            self.port.send_copy(bytes);
        }
    }

    fn send_metadata(&mut self, map: &HeaderList) -> bool {
        self.port.send_metadata(map);
        true
    }

    fn end(&mut self, trailers: Option<&HeaderList>) {
        if !self.is_head_only {
            self.port.end(trailers);
        }
    }

    fn send_last(&mut self, bytes: &[u8]) {
        if !self.is_head_only {
            self.port.send_last(bytes);
        }
    }

    fn metered(&self) -> Metered {
        sent(self.port.meter())
    }
}

impl BulkSink for Response<'_> {
    type Outbox = &'static Outbox;

    fn outbox(&self) -> Option<Self::Outbox> {
        None
    }
}

impl ResponseSink for Response<'_> {
    fn answers(&mut self, _version: Version, method: Method) {
        self.is_head_only = method == Method::Head;
    }

    fn send_continue(&mut self) {
        let mut head = ResponseHead::new();
        head.status = 100;
        self.port.send_head(&head, false);
    }

    fn send_head(&mut self, head: &ResponseHead, is_whole: bool) {
        self.port.send_head(head, is_whole || self.is_head_only);
    }
}
