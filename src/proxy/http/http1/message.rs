//! A message on its way out, to either side: its body in the frame that its head announced.

use std::io;
use std::task::{Context, Poll};

use net::Stream;
use proto::HeaderList;
use proto::http1::{BodyEncoder, field_lines};
use reactor::{Outbox, Span};

use super::super::port::{BodySink, BulkSink, Metered};

/// A message that is written to a stream. `to` is what the form of its head depends on.
#[derive(Debug)]
pub(crate) struct Message<'a, T> {
    pub(super) stream: &'a Stream,
    pub(super) to: T,
    pub(super) encoder: BodyEncoder,
    enable_trailers: bool,
    /// What the stream had sent before it.
    queued_before: u64,
    field_bytes: u64,
}

impl<'a, T> Message<'a, T> {
    pub(crate) fn new(stream: &'a Stream, to: T, enable_trailers: bool) -> Self {
        let queued_before = stream.outbox().bytes_queued();
        let encoder = BodyEncoder::Nothing;
        Self { stream, to, encoder, enable_trailers, queued_before, field_bytes: 0 }
    }

    /// Sends the head that `encode` writes.
    pub(super) fn write_head(&mut self, encode: impl FnOnce(&mut Vec<u8>) -> BodyEncoder) {
        let (encoder, field_bytes) = (&mut self.encoder, &mut self.field_bytes);
        self.stream.outbox().write(|out| {
            let start = out.len();
            *encoder = encode(out);
            *field_bytes += field_lines(&out[start..]).len() as u64;
        });
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

    fn metered(&self) -> Metered {
        let wire = self.stream.outbox().bytes_queued().saturating_sub(self.queued_before);
        Metered { wire, fields: self.field_bytes }
    }
}

impl<'a, T> BulkSink for Message<'a, T> {
    type Outbox = &'a Outbox;

    fn outbox(&self) -> Option<&'a Outbox> {
        (self.encoder == BodyEncoder::Plain).then(|| self.stream.outbox())
    }
}
