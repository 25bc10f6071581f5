//! A message on its way out, to either side: its body in the frame that its head announced.

use std::io;
use std::task::{Context, Poll};

use net::Stream;
use proto::HeaderList;
use proto::http1::BodyEncoder;
use reactor::{Outbox, Span};

use super::super::port::{BodySink, BulkSink};

/// A message that is written to a stream. `to` is what the form of its head depends on.
#[derive(Debug)]
pub(crate) struct Message<'a, T> {
    pub(super) stream: &'a Stream,
    pub(super) to: T,
    pub(super) encoder: BodyEncoder,
    enable_trailers: bool,
}

impl<'a, T> Message<'a, T> {
    pub(crate) fn new(stream: &'a Stream, to: T, enable_trailers: bool) -> Self {
        Self { stream, to, encoder: BodyEncoder::Nothing, enable_trailers }
    }
}

impl<T> BodySink for Message<'_, T> {
    fn poll_room(&self, context: &Context<'_>) -> Poll<io::Result<usize>> {
        self.stream.outbox().poll_room(context)
    }

    fn is_paused(&self) -> bool {
        self.stream.outbox().is_paused()
    }

    fn send(&mut self, span: Span) {
        let (outbox, encoder, length) = (self.stream.outbox(), self.encoder, span.len());
        if encoder == BodyEncoder::Plain {
            return outbox.push(span);
        }
        outbox.write(|out| encoder.before_data(length, out));
        if encoder != BodyEncoder::Nothing {
            outbox.push(span);
        }
        outbox.write(|out| encoder.after_data(length, out));
    }

    fn send_copy(&mut self, bytes: &[u8]) {
        let encoder = self.encoder;
        self.stream.outbox().write(|out| {
            encoder.before_data(bytes.len(), out);
            if encoder != BodyEncoder::Nothing {
                out.extend_from_slice(bytes);
            }
            encoder.after_data(bytes.len(), out);
        });
    }

    fn end(&mut self, trailers: Option<&HeaderList>) {
        let encoder = self.encoder;
        self.stream.outbox().write(|out| match trailers.filter(|_| self.enable_trailers) {
            Some(trailers) => encoder.end_with_trailers(trailers, out),
            None => encoder.end(out),
        });
    }
}

impl<'s, 'a: 's, T> BulkSink<'s> for Message<'a, T> {
    fn outbox(&self) -> Option<&'s Outbox> {
        (self.encoder == BodyEncoder::Plain).then(|| self.stream.outbox())
    }
}
