//! The host's side of a stream: a request goes out, a response comes in.

use std::cell::Cell;
use std::io;
use std::task::{Context, Poll, ready};

use cluster::Http2Stream;
use net::Stream;
use net::http2::{ConnectionEnd, PortEnd, StreamPort};
use proto::http2::{ErrorCode, ErrorKind, OpenError, ResetReason};
use proto::{HeaderList, RequestHead, ResponseHead, Version};
use reactor::{Outbox, Receiver, Span};

use super::super::port::{
    BodyPart, BodySink, BodySource, BulkSink, BulkSource, CodecError, Metered, RequestSink,
    ResponseSource, ResponseStart, SourceError, Upstream,
};
use super::{poll_part, poll_room, received, sent};

/// A stream to a host while it carries an exchange.
#[derive(Debug)]
pub(crate) struct Http2Upstream<'a> {
    stream: &'a Http2Stream,
    request: UpstreamRequest<'a>,
    response: UpstreamResponse<'a>,
}

impl<'a> Http2Upstream<'a> {
    /// On a stream that nothing was sent on. `refused` and `trailers` are memory of the exchange.
    pub(crate) fn new(
        stream: &'a Http2Stream,
        refused: &'a Cell<Option<OpenError>>,
        trailers: &'a mut HeaderList,
    ) -> Self {
        trailers.clear();
        Self {
            stream,
            request: UpstreamRequest { stream, refused },
            response: UpstreamResponse { stream, refused, trailers },
        }
    }
}

impl<'a> Upstream for Http2Upstream<'a> {
    type Request = UpstreamRequest<'a>;
    type Response = UpstreamResponse<'a>;

    const VERSION: Option<Version> = Some(Version::Http2);
    const HALF_CLOSES: bool = true;

    fn ports(&mut self) -> (&mut UpstreamRequest<'a>, &mut UpstreamResponse<'a>) {
        (&mut self.request, &mut self.response)
    }

    fn count_received(&self) {
        self.stream.count_received();
    }

    fn stream(&self) -> Option<&Stream> {
        None
    }
}

/// What the end of a stream before its time means to its exchange.
fn lost(end: PortEnd) -> SourceError {
    match end {
        PortEnd::Reset(ResetReason::Peer(code)) => SourceError::Reset(code),
        // The host has done nothing with the request, and says so for all that came after another.
        PortEnd::Reset(ResetReason::GoAway) => SourceError::Reset(ErrorCode::REFUSED_STREAM),
        PortEnd::Connection(
            ConnectionEnd::Peer
            | ConnectionEnd::Local
            | ConnectionEnd::Protocol(ErrorKind::KeepaliveTimeout),
        ) => SourceError::Ended,
        PortEnd::Reset(ResetReason::Codec(kind))
        | PortEnd::Connection(ConnectionEnd::Protocol(kind)) => {
            SourceError::Protocol(CodecError::Http2(kind))
        }
    }
}

/// What it means that there is no stream.
fn never_opened(refused: Option<OpenError>) -> SourceError {
    match refused {
        Some(OpenError::NoConnectProtocol) => SourceError::Reset(ErrorCode::CONNECT_ERROR),
        Some(OpenError::StreamLimit | OpenError::GoingAway) | None => {
            SourceError::Reset(ErrorCode::REFUSED_STREAM)
        }
    }
}

/// The request of an exchange, on its way to a host.
#[derive(Debug)]
pub(crate) struct UpstreamRequest<'a> {
    stream: &'a Http2Stream,
    refused: &'a Cell<Option<OpenError>>,
}

impl RequestSink for UpstreamRequest<'_> {
    fn send_head(&mut self, head: &RequestHead, is_whole: bool) {
        self.refused.set(self.stream.open(head, is_whole).err());
    }
}

impl BodySink for UpstreamRequest<'_> {
    fn poll_room(&self, context: &Context<'_>) -> Poll<io::Result<usize>> {
        match self.stream.port() {
            Some(port) => poll_room(port, context),
            None => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }

    fn is_paused(&self) -> bool {
        self.stream.port().is_some_and(StreamPort::is_paused)
    }

    fn send(&mut self, span: Span) {
        if let Some(port) = self.stream.port() {
            port.hold(span);
        }
    }

    fn flush(&mut self) {
        if let Some(port) = self.stream.port() {
            port.flush();
        }
    }

    fn send_copy(&mut self, bytes: &[u8]) {
        if let Some(port) = self.stream.port() {
            port.send_copy(bytes);
        }
    }

    fn send_metadata(&mut self, map: &HeaderList) -> bool {
        if let Some(port) = self.stream.port() {
            port.send_metadata(map);
        }
        true
    }

    fn end(&mut self, trailers: Option<&HeaderList>) {
        if let Some(port) = self.stream.port() {
            port.end(trailers);
        }
    }

    fn metered(&self) -> Metered {
        sent(self.stream.port().map(StreamPort::meter).unwrap_or_default())
    }
}

impl BulkSink for UpstreamRequest<'_> {
    type Outbox = &'static Outbox;

    /// Bodies lie in frames.
    fn outbox(&self) -> Option<Self::Outbox> {
        None
    }
}

/// The response of an exchange, on its way from a host.
#[derive(Debug)]
pub(crate) struct UpstreamResponse<'a> {
    stream: &'a Http2Stream,
    refused: &'a Cell<Option<OpenError>>,
    trailers: &'a mut HeaderList,
}

impl<'a> UpstreamResponse<'a> {
    fn port(&self) -> Result<&'a StreamPort, SourceError> {
        self.stream.port().ok_or_else(|| never_opened(self.refused.get()))
    }
}

impl BodySource for UpstreamResponse<'_> {
    fn poll_part(
        &mut self,
        context: &Context<'_>,
        credit: usize,
    ) -> Poll<Result<BodyPart, SourceError>> {
        poll_part(self.port()?, context, credit, self.trailers, lost)
    }

    fn trailers(&self) -> &HeaderList {
        self.trailers
    }

    fn metered(&self, _is_complete: bool) -> Metered {
        received(self.stream.port().map(StreamPort::meter).unwrap_or_default())
    }
}

impl BulkSource for UpstreamResponse<'_> {
    type Receiver = &'static Receiver;

    /// Bodies lie in frames.
    fn rest(&self) -> Option<(Self::Receiver, u64)> {
        None
    }

    fn skip(&mut self, _bytes: u64) {}
}

impl ResponseSource for UpstreamResponse<'_> {
    fn poll_head(
        &mut self,
        context: &Context<'_>,
        head: &mut ResponseHead,
    ) -> Poll<Result<ResponseStart, SourceError>> {
        Poll::Ready(match ready!(self.port()?.poll_head(context, head)) {
            Ok(Some(start)) => Ok(ResponseStart::Final { is_whole: start.is_whole }),
            Ok(None) => Ok(ResponseStart::Interim),
            Err(end) => Err(lost(end)),
        })
    }

    fn take_early_metadata(&mut self) -> Option<Box<HeaderList>> {
        self.stream.port().and_then(StreamPort::take_early_metadata)
    }

    fn swap_trailers(&mut self, list: &mut HeaderList) {
        std::mem::swap(self.trailers, list);
    }
}
