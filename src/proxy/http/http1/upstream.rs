//! The host's side: a request goes out, a response comes in.

use std::task::{Context, Poll, ready};

use cluster::Http1Stream;
use net::Stream;
use proto::http1::{
    Event, Expect, Finish, Framing, MessageStart, ResponseDecoder, ResponseOptions, Step,
    encode_request_head,
};
use proto::{HeaderList, RequestHead, ResponseHead, Version};
use reactor::Receiver;

use super::super::port::{
    BodyPart, BodySource, BulkSource, Metered, RequestSink, ResponseSource, ResponseStart,
    SourceError, Upstream,
};
use super::message::Message;
use super::{HEAD_CREDIT, metered, poll_bytes, poll_part};

/// A connection to a host while it carries an exchange.
#[derive(Debug)]
pub(crate) struct Http1Upstream<'a> {
    stream: &'a Http1Stream,
    request: UpstreamRequest<'a>,
    response: UpstreamResponse<'a>,
}

impl<'a> Http1Upstream<'a> {
    /// For a request whose response, which `decoder` has not begun to read, is expected to be so.
    pub(crate) fn new(
        stream: &'a Http1Stream,
        decoder: &'a mut ResponseDecoder,
        options: &'a ResponseOptions,
        expect: Expect,
    ) -> Self {
        let connection = stream.stream();
        decoder.expect(expect);
        Self {
            stream,
            request: UpstreamRequest::new(connection, (), options.enable_trailers),
            response: UpstreamResponse::new(connection, decoder, options),
        }
    }

    /// The response, as far as it has come.
    pub(crate) fn response(&self) -> &UpstreamResponse<'a> {
        &self.response
    }
}

impl<'a> Upstream for Http1Upstream<'a> {
    type Request = UpstreamRequest<'a>;
    type Response = UpstreamResponse<'a>;

    const VERSION: Option<Version> = Some(Version::Http11);
    const HALF_CLOSES: bool = false;

    fn ports(&mut self) -> (&mut UpstreamRequest<'a>, &mut UpstreamResponse<'a>) {
        (&mut self.request, &mut self.response)
    }

    fn count_received(&self) {
        self.stream.count_received();
    }

    fn stream(&self) -> Option<&Stream> {
        Some(self.stream.stream())
    }
}

/// The request of an exchange, on its way to a host.
pub(crate) type UpstreamRequest<'a> = Message<'a, ()>;

impl RequestSink for UpstreamRequest<'_> {
    fn send_head(&mut self, head: &RequestHead, is_whole: bool) {
        self.write_head(|out| encode_request_head(head, is_whole, out));
    }
}

/// The response of an exchange, on its way from a host.
#[derive(Debug)]
pub(crate) struct UpstreamResponse<'a> {
    stream: &'a Stream,
    decoder: &'a mut ResponseDecoder,
    options: &'a ResponseOptions,
    start: Option<MessageStart>,
    /// The host has ended its side of the connection.
    has_ended: bool,
    /// What had been taken from the stream before it.
    taken_before: u64,
}

impl<'a> UpstreamResponse<'a> {
    fn new(
        stream: &'a Stream,
        decoder: &'a mut ResponseDecoder,
        options: &'a ResponseOptions,
    ) -> Self {
        let taken_before = stream.receiver().bytes_taken();
        Self { stream, decoder, options, start: None, has_ended: false, taken_before }
    }

    /// Whether the connection may carry another exchange, once this one is over in both
    /// directions: the host said so, and has sent nothing that nobody asked for.
    pub(crate) fn is_reusable(&self) -> bool {
        self.start.is_some_and(|start| start.keep_alive) && self.stream.receiver().is_quiet()
    }

    /// Whether the host has sent more than the response.
    pub(crate) fn has_unasked_bytes(&self) -> bool {
        let receiver = self.stream.receiver();
        !receiver.is_quiet() && !receiver.is_ended()
    }

    /// What the failure of the connection means: a message that it cuts breaks the protocol, as
    /// one that the end cuts.
    fn failure(&mut self) -> SourceError {
        let finished = self.decoder.finish();
        finished.map_or_else(SourceError::from, |_| SourceError::Failed)
    }

    /// Whether the host was seen to end its side of the connection.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether it has become a tunnel.
    fn is_tunnel(&self) -> bool {
        self.start.is_some_and(|start| start.framing == Framing::Tunnel)
    }

    /// Whether the host announced that it closes the connection.
    pub(crate) fn closes(&self) -> bool {
        self.start.is_some_and(|start| start.announces_close)
    }
}

impl BodySource for UpstreamResponse<'_> {
    fn poll_part(
        &mut self,
        context: &Context<'_>,
        credit: usize,
    ) -> Poll<Result<BodyPart, SourceError>> {
        let (decoder, options) = (&mut *self.decoder, self.options);
        let decode = |bytes: &[u8]| decoder.decode_body(options, bytes);
        match ready!(poll_part(self.stream.receiver(), context, credit, decode)) {
            Ok(Some(part)) => return Poll::Ready(Ok(part)),
            Ok(None) => {}
            Err(SourceError::Failed) => return Poll::Ready(Err(self.failure())),
            Err(error) => return Poll::Ready(Err(error)),
        }
        // The connection has ended, which may be the end of the body.
        self.has_ended = true;
        Poll::Ready(match self.decoder.finish() {
            // HTTP/1.1 has no end of one side: the tunnel is over in both directions.
            Ok(Finish::End) if self.is_tunnel() => Err(SourceError::Ended),
            Ok(Finish::End) => Ok(BodyPart::End),
            Ok(Finish::Idle) => Err(SourceError::Ended),
            Err(error) => Err(error.into()),
        })
    }

    fn trailers(&self) -> &HeaderList {
        self.decoder.trailers()
    }

    fn metered(&self, is_complete: bool) -> Metered {
        let field_bytes = self.start.map_or(0, |start| u64::from(start.field_bytes));
        metered(self.stream.receiver(), is_complete, self.taken_before, field_bytes)
    }
}

impl<'a> BulkSource for UpstreamResponse<'a> {
    type Receiver = &'a Receiver;

    fn rest(&self) -> Option<(&'a Receiver, u64)> {
        self.decoder.body_length_left().map(|left| (self.stream.receiver(), left))
    }

    fn skip(&mut self, bytes: u64) {
        self.decoder.skip_body(bytes);
    }
}

impl ResponseSource for UpstreamResponse<'_> {
    fn poll_head(
        &mut self,
        context: &Context<'_>,
        head: &mut ResponseHead,
    ) -> Poll<Result<ResponseStart, SourceError>> {
        let receiver = self.stream.receiver();
        loop {
            let Ok(received) = ready!(poll_bytes(receiver, context, HEAD_CREDIT)) else {
                return Poll::Ready(Err(self.failure()));
            };
            let Some(mut bytes) = received else {
                self.has_ended = true;
                // A head that was cut short breaks the protocol; none at all is an end.
                return Poll::Ready(Err(match self.decoder.finish() {
                    Ok(_) => SourceError::Ended,
                    Err(error) => error.into(),
                }));
            };
            let Step { consumed, event } = self.decoder.decode(self.options, &bytes, head)?;
            bytes.advance(consumed);
            receiver.unread(bytes);
            match event {
                Event::Head(start) => {
                    self.start = Some(start);
                    let is_whole = start.framing.is_empty();
                    return Poll::Ready(Ok(ResponseStart::Final { is_whole }));
                }
                Event::Interim => return Poll::Ready(Ok(ResponseStart::Interim)),
                _ => {}
            }
        }
    }

    fn swap_trailers(&mut self, list: &mut HeaderList) {
        self.decoder.swap_trailers(list);
    }
}
