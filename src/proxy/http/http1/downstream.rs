//! The client's side: a request comes in, a response goes out.

use std::task::{Context, Poll, ready};

use net::Stream;
use proto::http1::{
    Event, Framing, RequestDecoder, RequestOptions, ResponseTo, Step, encode_continue,
    encode_response_head,
};
use proto::{HeaderList, Method, RequestHead, ResponseHead, Version};
use reactor::Receiver;

use super::super::port::{
    BodyPart, BodySource, BulkSource, Metered, RequestSource, RequestStart, ResponseSink,
    SourceError,
};
use super::message::Message;
use super::{HEAD_CREDIT, metered, poll_bytes, poll_part};

/// The request of an exchange.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    stream: &'a Stream,
    decoder: &'a mut RequestDecoder,
    options: &'a RequestOptions,
    /// What had been taken from the stream before it.
    taken_before: u64,
    field_bytes: u64,
}

impl<'a> Request<'a> {
    pub(crate) fn new(
        stream: &'a Stream,
        decoder: &'a mut RequestDecoder,
        options: &'a RequestOptions,
    ) -> Self {
        let taken_before = stream.receiver().bytes_taken();
        Self { stream, decoder, options, taken_before, field_bytes: 0 }
    }
}

impl RequestSource for Request<'_> {
    fn poll_head(
        &mut self,
        context: &Context<'_>,
        head: &mut RequestHead,
    ) -> Poll<Result<Option<RequestStart>, SourceError>> {
        let receiver = self.stream.receiver();
        loop {
            let Some(mut bytes) = ready!(poll_bytes(receiver, context, HEAD_CREDIT))? else {
                let finished = self.decoder.finish();
                return Poll::Ready(finished.map(|_| None).map_err(|_| SourceError::Ended));
            };
            let Step { consumed, event } = self.decoder.decode(self.options, &bytes, head)?;
            bytes.advance(consumed);
            receiver.unread(bytes);
            if let Event::Head(start) = event {
                self.field_bytes = u64::from(start.field_bytes);
                return Poll::Ready(Ok(Some(RequestStart {
                    is_whole: start.framing.is_empty(),
                    keeps_alive: start.keep_alive,
                    is_tunnel: start.framing == Framing::Tunnel,
                    dropped_underscores: start.dropped_underscores,
                })));
            }
        }
    }

    /// With a request under way the end of the client's side means that it is gone.
    fn poll_gone(&self, context: &Context<'_>) -> Poll<SourceError> {
        let ended = self.stream.receiver().poll_end(context);
        ended.map(|ended| if ended.is_ok() { SourceError::Ended } else { SourceError::Failed })
    }
}

impl BodySource for Request<'_> {
    fn poll_part(
        &mut self,
        context: &Context<'_>,
        credit: usize,
    ) -> Poll<Result<BodyPart, SourceError>> {
        let (decoder, options) = (&mut *self.decoder, self.options);
        let decode = |bytes: &[u8]| decoder.decode_body(options, bytes);
        let part = ready!(poll_part(self.stream.receiver(), context, credit, decode))?;
        Poll::Ready(part.ok_or(SourceError::Ended))
    }

    fn trailers(&self) -> &HeaderList {
        self.decoder.trailers()
    }

    fn metered(&self, is_complete: bool) -> Metered {
        metered(self.stream.receiver(), is_complete, self.taken_before, self.field_bytes)
    }
}

impl<'a> BulkSource for Request<'a> {
    type Receiver = &'a Receiver;

    fn rest(&self) -> Option<(&'a Receiver, u64)> {
        self.decoder.body_length_left().map(|left| (self.stream.receiver(), left))
    }

    fn skip(&mut self, bytes: u64) {
        self.decoder.skip_body(bytes);
    }
}

/// The response of an exchange: to the request that [`ResponseTo`] describes.
pub(crate) type Response<'a> = Message<'a, ResponseTo>;

impl<'a> Response<'a> {
    /// A response to a request that is not known yet.
    pub(crate) fn to_client(stream: &'a Stream, enable_trailers: bool) -> Self {
        let to = ResponseTo { version: Version::Http11, method: Method::Get };
        Self::new(stream, to, enable_trailers)
    }
}

impl ResponseSink for Response<'_> {
    fn answers(&mut self, version: Version, method: Method) {
        self.to = ResponseTo { version, method };
    }

    fn send_continue(&mut self) {
        self.stream.outbox().write(|out| encode_continue(self.to.version, out));
    }

    fn send_head(&mut self, head: &ResponseHead, is_whole: bool) {
        let to = self.to;
        self.write_head(|out| encode_response_head(head, to, is_whole, out));
    }
}
