//! A TCP connection to a host as the upstream of an exchange: what a CONNECT leads to
//! (`connect_config`), or the body of a POST.
//!
//! There is no message: the request's body is what the host gets, and what it sends is the body of
//! a response whose head is made here, for the host has agreed by accepting the connection.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/http/upgrades#tunneling-tcp-over-http>

use std::cell::Cell;
use std::io;
use std::task::{Context, Poll, ready};

use cluster::UpstreamConnection;
use net::Stream;
use observe::names::ClusterStat;
use proto::{HeaderList, RequestHead, ResponseHead, Version};
use reactor::{Outbox, Received, Receiver, Span};

use super::port::{
    BodyPart, BodySink, BodySource, BulkSink, BulkSource, Metered, RequestSink, ResponseSource,
    ResponseStart, SourceError, Upstream,
};

/// A TCP connection while it carries an exchange.
#[derive(Debug)]
pub(crate) struct TcpUpstream<'a> {
    connection: &'a UpstreamConnection,
    request: TcpRequest<'a>,
    response: TcpResponse<'a>,
    counted_bytes: Cell<u64>,
}

impl<'a> TcpUpstream<'a> {
    /// Of a connection on which only what the cluster itself begins each with was sent. `header`
    /// goes before the body.
    pub(crate) fn new(connection: &'a UpstreamConnection, header: Option<Box<[u8]>>) -> Self {
        let stream = connection.stream();
        Self {
            connection,
            request: TcpRequest { stream, header, field_bytes: 0 },
            response: TcpResponse { stream, trailers: HeaderList::new() },
            counted_bytes: Cell::new(0),
        }
    }
}

impl<'a> Upstream for TcpUpstream<'a> {
    type Request = TcpRequest<'a>;
    type Response = TcpResponse<'a>;

    const VERSION: Option<Version> = None;
    const HALF_CLOSES: bool = true;

    fn ports(&mut self) -> (&mut TcpRequest<'a>, &mut TcpResponse<'a>) {
        (&mut self.request, &mut self.response)
    }

    fn count_received(&self) {
        let received = self.connection.stream().receiver().bytes_received();
        let new = received - self.counted_bytes.replace(received);
        self.connection.stats().add(ClusterStat::UpstreamCxRxBytesTotal, new);
    }

    fn stream(&self) -> Option<&Stream> {
        Some(self.connection.stream())
    }
}

/// The body of a request, on its way to a host.
#[derive(Debug)]
pub(crate) struct TcpRequest<'a> {
    stream: &'a Stream,
    header: Option<Box<[u8]>>,
    /// Of the header. It counts as fields, as in Envoy.
    field_bytes: u64,
}

impl RequestSink for TcpRequest<'_> {
    fn send_head(&mut self, _head: &RequestHead, is_whole: bool) {
        if let Some(header) = self.header.take() {
            self.field_bytes = header.len() as u64;
            self.send_copy(&header);
        }
        if is_whole {
            self.end(None);
        }
    }
}

impl BodySink for TcpRequest<'_> {
    fn poll_room(&self, context: &Context<'_>) -> Poll<io::Result<usize>> {
        self.stream.outbox().poll_room(context)
    }

    fn is_paused(&self) -> bool {
        self.stream.outbox().is_paused()
    }

    fn send(&mut self, span: Span) {
        self.stream.outbox().push(span);
    }

    fn send_copy(&mut self, bytes: &[u8]) {
        self.stream.outbox().write(|out| out.extend_from_slice(bytes));
    }

    /// It has no place here, and nothing counts that.
    fn send_metadata(&mut self, _map: &HeaderList) -> bool {
        true
    }

    /// The host sees the end behind the last byte. Trailers have no place here.
    fn end(&mut self, _trailers: Option<&HeaderList>) {
        self.stream.outbox().finish();
    }

    fn metered(&self) -> Metered {
        Metered { wire: self.stream.outbox().bytes_queued(), fields: self.field_bytes }
    }
}

impl<'a> BulkSink for TcpRequest<'a> {
    type Outbox = &'a Outbox;

    fn outbox(&self) -> Option<&'a Outbox> {
        Some(self.stream.outbox())
    }
}

/// What a host sends.
#[derive(Debug)]
pub(crate) struct TcpResponse<'a> {
    stream: &'a Stream,
    /// None, ever.
    trailers: HeaderList,
}

impl BodySource for TcpResponse<'_> {
    fn poll_part(
        &mut self,
        context: &Context<'_>,
        credit: usize,
    ) -> Poll<Result<BodyPart, SourceError>> {
        Poll::Ready(match ready!(self.stream.receiver().poll_recv(context, credit)) {
            Ok(Received::Data(span)) => Ok(BodyPart::Data(span)),
            Ok(Received::End) => Ok(BodyPart::End),
            Err(_) => Err(SourceError::Failed),
        })
    }

    fn trailers(&self) -> &HeaderList {
        &self.trailers
    }

    fn metered(&self, _is_complete: bool) -> Metered {
        Metered { wire: self.stream.receiver().bytes_received(), fields: 0 }
    }
}

impl<'a> BulkSource for TcpResponse<'a> {
    type Receiver = &'a Receiver;

    fn rest(&self) -> Option<(&'a Receiver, u64)> {
        Some((self.stream.receiver(), u64::MAX))
    }

    fn skip(&mut self, _bytes: u64) {}
}

impl ResponseSource for TcpResponse<'_> {
    fn poll_head(
        &mut self,
        _context: &Context<'_>,
        head: &mut ResponseHead,
    ) -> Poll<Result<ResponseStart, SourceError>> {
        head.clear();
        head.status = 200;
        Poll::Ready(Ok(ResponseStart::Final { is_whole: false }))
    }

    fn swap_trailers(&mut self, _list: &mut HeaderList) {}
}
