//! Connections and streams of HTTP/2: a connection that carries many exchanges at once, and its
//! streams as ports of an exchange.

use std::io;
use std::task::{Context, Poll, ready};

use net::http2::{PortEnd, PortPart, StreamPort};
use proto::HeaderList;
use proto::http2::Meter;

use super::port::{BodyPart, Metered, SourceError};

mod connection;
mod downstream;
mod premature;
mod runners;
mod runtime_limits;
#[cfg(test)]
mod tests;
mod upstream;
#[cfg(test)]
mod upstream_tests;

pub(crate) use connection::{Http2Connection, Over, serve};
pub(crate) use downstream::{Request, Response};
pub(crate) use runners::Runners;
pub(crate) use runtime_limits::RuntimeLimits;
pub(crate) use upstream::Http2Upstream;

/// The next part of the body that `port` receives; trailers go to `trailers`. `lost` says what its
/// end before its time means.
fn poll_part(
    port: &StreamPort,
    context: &Context<'_>,
    credit: usize,
    trailers: &mut HeaderList,
    lost: fn(PortEnd) -> SourceError,
) -> Poll<Result<BodyPart, SourceError>> {
    Poll::Ready(match ready!(port.poll_part(context, credit)) {
        Ok(PortPart::Data(span)) => Ok(BodyPart::Data(span)),
        Ok(PortPart::Metadata(map)) => Ok(BodyPart::Metadata(map)),
        Ok(PortPart::Trailers) => {
            port.take_trailers(trailers);
            Ok(BodyPart::Trailers)
        }
        Ok(PortPart::End) => Ok(BodyPart::End),
        Err(end) => Err(lost(end)),
    })
}

/// How many bytes `port` may send now. Why it may not is what its other half says.
fn poll_room(port: &StreamPort, context: &Context<'_>) -> Poll<io::Result<usize>> {
    port.poll_room(context).map_err(|_| io::ErrorKind::ConnectionReset.into())
}

/// What came of `meter`'s message.
fn received(meter: Meter) -> Metered {
    Metered { wire: meter.wire_bytes_received, fields: meter.header_bytes_received }
}

/// What went of `meter`'s message.
fn sent(meter: Meter) -> Metered {
    Metered { wire: meter.wire_bytes_sent, fields: meter.header_bytes_sent }
}
