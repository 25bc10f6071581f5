//! A stream of HTTP/2 as one end of a relay: the bodies of its two messages are the bytes.
//!
//! The end of a body is END_STREAM, so each direction ends on its own. Trailers end a body too;
//! [`StreamPort::take_trailers`] has them afterwards.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use reactor::{Outbox, Received, Receiver, Span};

use super::port::{PortPart, StreamPort};
use crate::pump::{PumpSink, PumpSource};
use crate::relay::RelayPeer;

/// What a relay is told of a stream that is over; [`StreamPort::ended_by`] says why.
fn lost() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl PumpSource for StreamPort {
    fn poll_recv(&self, context: &Context<'_>, bytes_max: usize) -> Poll<io::Result<Received>> {
        loop {
            return Poll::Ready(match ready!(self.poll_part(context, bytes_max)) {
                Ok(PortPart::Data(span)) => Ok(Received::Data(span)),
                Ok(PortPart::Trailers | PortPart::Metadata(_)) => continue,
                Ok(PortPart::End) => {
                    self.rest_read();
                    Ok(Received::End)
                }
                Err(_) => Err(lost()),
            });
        }
    }

    fn receiver(&self) -> Option<&Receiver> {
        None
    }
}

impl PumpSink for StreamPort {
    fn poll_room(&self, context: &Context<'_>) -> Poll<io::Result<usize>> {
        match Self::poll_room(self, context) {
            // As much as there was before; `poll_failure` knows when that is over.
            Poll::Ready(Err(_)) if self.has_received() => Poll::Ready(Ok(1)),
            polled => polled.map_err(|_| lost()),
        }
    }

    fn poll_failure(&self, context: &Context<'_>) -> Poll<io::Error> {
        match self.poll_end_sending(context) {
            // What had come before the end is for who reads, who learns of it then.
            Poll::Ready(_) if self.has_received() => self.poll_rest_read(context),
            polled => polled.map(|_| lost()),
        }
    }

    fn push(&self, bytes: Span) {
        self.send(bytes);
    }

    fn finish(&self) {
        self.end(None);
    }

    fn poll_drained(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        if self.poll_sent(context).is_pending() {
            return Poll::Pending;
        }
        match self.ended_by() {
            Some(_) if self.has_received() => self.poll_rest_read(context),
            Some(_) => Poll::Ready(Err(lost())),
            None => Poll::Ready(Ok(())),
        }
    }

    fn outbox(&self) -> Option<&Outbox> {
        None
    }
}

impl RelayPeer for StreamPort {
    fn last_activity(&self) -> Option<Instant> {
        None
    }
}
