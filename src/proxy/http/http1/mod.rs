//! HTTP/1 streams as ports of an exchange: bytes to and from a connection through its codec.
//!
//! A connection of HTTP/1 carries one exchange at a time, so the ports work on the connection's
//! own receiver and outbox. What is received in the same span as the end of a message is given
//! back to the receiver, for the message that follows.

mod downstream;
mod message;
mod upstream;

pub(crate) use downstream::{Request, Response};
pub(crate) use upstream::Http1Upstream;

use std::task::{Context, Poll};

use proto::http1::{Error, Event, Step};
use reactor::{Received, Receiver, Span};

use super::port::{BodyPart, Metered, SourceError};

/// What a receive asks for while a head is awaited.
pub(crate) const HEAD_CREDIT: usize = reactor::RECV_CREDIT_MAX as usize;

/// What has come of a message before which so much had been taken from its stream.
fn metered(receiver: &Receiver, is_complete: bool, taken_before: u64, fields: u64) -> Metered {
    // Behind a message that is complete the next one may wait.
    let now = if is_complete { receiver.bytes_taken() } else { receiver.bytes_received() };
    Metered { wire: now.saturating_sub(taken_before), fields }
}

/// Takes bytes from the receiver, if there are any.
fn poll_bytes(
    receiver: &Receiver,
    context: &Context<'_>,
    credit: usize,
) -> Poll<Result<Option<Span>, SourceError>> {
    receiver.poll_recv(context, credit).map(|received| match received {
        Ok(Received::Data(span)) => Ok(Some(span)),
        Ok(Received::End) => Ok(None),
        Err(_) => Err(SourceError::Failed),
    })
}

/// The next part of a body whose bytes come from `receiver` and are understood by `decode`.
/// `finish` says what the end of the connection means.
pub(crate) fn poll_part(
    receiver: &Receiver,
    context: &Context<'_>,
    credit: usize,
    mut decode: impl FnMut(&[u8]) -> Result<Step, Error>,
) -> Poll<Result<Option<BodyPart>, SourceError>> {
    // The end of a message needs no further byte to be seen.
    let mut step = decode(&[]);
    let mut span = None;
    loop {
        let Step { consumed, event } = step?;
        let part = match event {
            Event::Body(range) => {
                let mut whole: Span = span.take().expect("a body lies in bytes");
                let length = range.len();
                whole.advance(range.start);
                let data = if length == whole.len() {
                    whole
                } else {
                    let data = whole.split_to(length);
                    whole.advance(consumed - range.end);
                    receiver.unread(whole);
                    data
                };
                return Poll::Ready(Ok(Some(BodyPart::Data(data))));
            }
            Event::Trailers => Some(BodyPart::Trailers),
            Event::End => Some(BodyPart::End),
            Event::NeedMore | Event::Interim | Event::Head(_) => None,
        };
        if let Some(mut rest) = span.take() {
            rest.advance(consumed);
            receiver.unread(rest);
        }
        if let Some(part) = part {
            return Poll::Ready(Ok(Some(part)));
        }
        let Some(bytes) = std::task::ready!(poll_bytes(receiver, context, credit))? else {
            return Poll::Ready(Ok(None));
        };
        step = decode(&bytes);
        span = Some(bytes);
    }
}
