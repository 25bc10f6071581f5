//! A tunnel over HTTP/2: a stream of a connection that carries others too.
//!
//! The bytes are the bodies of its two messages, and END_STREAM is the end of either side. However
//! a tunnel ends, the log learns what its frames were.

use std::future::poll_fn;

use cluster::Http2Stream;
use net::http2::{PortEnd, StreamPort};
use observe::access_log::tunnel_fields;
use proto::http2::{ErrorCode, Meter, ResetReason};
use proto::{HeaderList, RequestHead, ResponseHead};

use super::{NoUpstream, TcpTunnel};
use crate::connection_log::ConnectionLog;

/// The only answer that is an agreement (row C16).
const AGREED: u16 = 200;

/// A stream that carries a tunnel, or asks for one. Unless both sides have ended it is reset when
/// it is dropped.
#[derive(Debug)]
pub(crate) struct Http2Tunnel<'a> {
    /// There until it is dropped.
    stream: Option<Http2Stream>,
    log: &'a ConnectionLog<'a>,
    /// What the log knows of.
    noted: Meter,
    /// Whether the log is to have the trailers of the response.
    propagates_trailers: bool,
}

impl TcpTunnel {
    /// Asks for a tunnel on a stream.
    pub(super) async fn ask_http2<'a>(
        &self,
        stream: Http2Stream,
        log: &'a ConnectionLog<'_>,
    ) -> Result<Http2Tunnel<'a>, NoUpstream> {
        let mut head = RequestHead::new();
        log.with_record(|record| self.head.fill(record, &mut head));
        if stream.open(&head, false).is_err() {
            // The host has said meanwhile that it takes no more streams.
            log.tunnel_refused(None);
            return Err(NoUpstream::MayRetry);
        }
        let mut tunnel = Http2Tunnel {
            stream: Some(stream),
            log,
            noted: Meter::default(),
            propagates_trailers: self.propagate_response_trailers,
        };
        tunnel.note_head_sent();
        let mut response = ResponseHead::new();
        let answered = loop {
            match poll_fn(|context| tunnel.port().poll_head(context, &mut response)).await {
                Ok(None) => response.clear(),
                Ok(Some(start)) => break Some(start),
                Err(_) => break None,
            }
        };
        tunnel.note_head_received();
        let Some(start) = answered else {
            log.tunnel_refused(None);
            return Err(NoUpstream::MayRetry);
        };
        if self.propagate_response_headers {
            let fields = response.headers.iter();
            log.tunnel_response_headers(|| tunnel_fields(Some(response.status), fields));
        }
        // One that has ended with its head leads nowhere.
        if response.status != AGREED || start.is_whole {
            log.tunnel_refused(Some(response.status));
            return Err(NoUpstream::MayRetry);
        }
        Ok(tunnel)
    }
}

impl Http2Tunnel<'_> {
    pub(super) fn port(&self) -> &StreamPort {
        let port = self.stream.as_ref().and_then(Http2Stream::port);
        port.expect("it was opened, and is there until it is dropped")
    }

    /// Whether the host has reset the stream, and not because anything was wrong with it.
    pub(super) fn is_reset(&self) -> bool {
        match self.port().ended_by() {
            Some(PortEnd::Reset(ResetReason::Peer(ErrorCode::NO_ERROR))) => {
                !self.port().is_received()
            }
            Some(PortEnd::Reset(ResetReason::Peer(code))) => {
                !matches!(code, ErrorCode::PROTOCOL_ERROR | ErrorCode::CONNECT_ERROR)
            }
            _ => false,
        }
    }

    fn note_head_sent(&mut self) {
        let meter = self.port().meter();
        self.log.tunnel_head_sent(meter.wire_bytes_sent, meter.header_bytes_sent);
        self.noted = meter;
    }

    fn note_head_received(&mut self) {
        let Meter { wire_bytes_received, header_bytes_received, .. } = self.port().meter();
        // What came behind the head is told of with everything else.
        let head = header_bytes_received.min(wire_bytes_received);
        self.log.tunnel_head_received(head, header_bytes_received);
        self.noted.wire_bytes_received = head;
        self.noted.header_bytes_received = header_bytes_received;
    }

    fn note_trailers(&self) {
        let mut trailers = HeaderList::new();
        self.port().take_trailers(&mut trailers);
        if trailers.iter().next().is_some() {
            self.log.tunnel_response_trailers(|| tunnel_fields(None, trailers.iter()));
        }
    }
}

impl Drop for Http2Tunnel<'_> {
    fn drop(&mut self) {
        if self.propagates_trailers {
            self.note_trailers();
        }
        let Some(stream) = self.stream.take() else { return };
        let meter = stream.end_tunnel();
        self.log.tunnel_carried(&meter, &self.noted);
    }
}
