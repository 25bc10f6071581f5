//! Where an exchange meets HTTP/2: a client's stream that it comes by, and a host's that it goes
//! over. The end of either is its own and never that of the connection.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use cluster::Http2Stream;
use net::http2::StreamPort;
use net::{DeadlineTimer, Progress};
use observe::names::HttpStat;
use proto::Version;
use proto::http2::{ErrorCode, ErrorKind, MessageStart};

use super::super::carrier::Carrier;
use super::super::connection::HttpConnection;
use super::super::http2::{Http2Connection, Http2Upstream, Request, Response};
use super::super::manager::{Heads, Target};
use super::super::port::{CodecError, RequestSource, RequestStart, ResponseSink, SourceError};
use super::super::recycle::Borrowed;
use super::{Exchange, Outcome, Stop};

/// What an exchange begins with: a stream, and the head of its request.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) connection: Rc<Http2Connection>,
    pub(crate) port: StreamPort,
    pub(crate) start: MessageStart,
    pub(crate) heads: Borrowed<Heads>,
}

/// A stream's connection, and what the deadlines of its exchange are kept with.
#[derive(Debug)]
struct StreamCarrier<'a> {
    connection: &'a Http2Connection,
    timer: &'a RefCell<DeadlineTimer>,
}

/// Runs one exchange, until the last byte of its response has left the codec.
pub(crate) async fn run(start: Start, timer: &RefCell<DeadlineTimer>) {
    let Start { connection, port, start, heads } = start;
    let carrier = StreamCarrier { connection: &connection, timer };
    let mut source = Request::new(&port, start);
    let mut sink = Response::new(&port);
    let mut exchange = Exchange::new(&carrier, heads);
    let outcome = exchange.run(&mut source, &mut sink).await;
    match outcome {
        Outcome::Complete | Outcome::Early => {
            let is_sent = sent(&carrier, &port, exchange.deadlines.idle_timeout).await;
            if !is_sent {
                connection.flush_timed_out();
            }
            // What is still to come of an early response's request is not wanted: RFC 9113
            // section 8.1.
            if !is_sent || outcome == Outcome::Early {
                port.reset(exchange.code(ErrorCode::NO_ERROR));
            }
        }
        Outcome::Cut => port.reset(exchange.code(ErrorCode::INTERNAL_ERROR)),
        Outcome::Gone => {}
    }
    connection.request_ended(exchange.reset_after(outcome));
}

/// Counts and logs a request whose head the codec has refused.
pub(crate) fn refused(connection: &Http2Connection, kind: ErrorKind) {
    let carrier = StreamCarrier { connection, timer: &connection.connection.timer };
    let mut heads = connection.connection.manager.heads.take();
    heads.request.clear();
    let exchange = Exchange::new(&carrier, heads);
    exchange.refused(SourceError::Protocol(CodecError::Http2(kind)));
    connection.request_ended(None);
}

/// Waits until the response has left. `false` if the client opened no window for it for so long
/// that it is given up.
async fn sent(carrier: &StreamCarrier<'_>, port: &StreamPort, timeout: Option<Duration>) -> bool {
    let manager = &carrier.connection.connection.manager;
    let sent = || port.meter().wire_bytes_sent;
    let mut progress = Progress::new(sent(), manager.reactor.now());
    poll_fn(|context| {
        if port.poll_sent(context).is_ready() {
            return Poll::Ready(true);
        }
        let Some(timeout) = timeout else { return Poll::Pending };
        let timer = &mut *carrier.timer.borrow_mut();
        progress.poll_stalled(context, timer, sent(), timeout).map(|()| false)
    })
    .await
}

impl Exchange<'_, StreamCarrier<'_>> {
    /// What the client is told, which is `usual` but for the end of a tunnel's connection: RFC 9113
    /// section 8.5.
    fn code(&self, usual: ErrorCode) -> ErrorCode {
        if self.has_lost_tunnel { ErrorCode::CONNECT_ERROR } else { usual }
    }

    /// After how long the client has reset the stream, if it did so before a response began.
    fn reset_after(&self, outcome: Outcome) -> Option<Duration> {
        let is_reset = outcome == Outcome::Gone && !self.responded;
        is_reset.then(|| self.journal.since_start(self.manager.reactor.now()))
    }
}

impl Carrier for StreamCarrier<'_> {
    const IS_SHARED: bool = true;
    const VERSION: Version = Version::Http2;
    const REQUESTS: HttpStat = HttpStat::DownstreamRqHttp2Total;

    fn connection(&self) -> &HttpConnection {
        &self.connection.connection
    }

    fn timer(&self) -> &RefCell<DeadlineTimer> {
        self.timer
    }

    fn head_received(&self, _start: &RequestStart) -> bool {
        if self.connection.connection.is_last_request() {
            self.connection.announce_drain();
        }
        false
    }

    fn drains(&self) -> bool {
        if self.connection.connection.manager.closes_with_response() {
            self.connection.drain_with_process();
        }
        false
    }

    fn announces_close(&self) -> bool {
        false
    }

    fn refuse_more(&self) {
        self.connection.announce_drain();
    }
}

impl<C: Carrier> Exchange<'_, C> {
    /// Runs the exchange over a stream to a host. Unless both sides are complete by then, the
    /// stream is reset when it is dropped.
    pub(super) async fn over_http2(
        &mut self,
        stream: Http2Stream,
        target: &Target,
        source: &mut impl RequestSource,
        sink: &mut impl ResponseSink,
    ) -> Result<(), Stop> {
        let mut trailers = self.manager.upstream_trailers.take();
        let refused = Cell::new(None);
        let mut upstream = Http2Upstream::new(&stream, &refused, &mut trailers);
        self.over(&mut upstream, target, source, sink).await
    }
}
