//! One downstream connection of HTTP/2: it starts an exchange for each stream, and ends when its
//! time has come.
//!
//! ```text
//! open --idle, old, last request, process drains--> announced (GOAWAY that names no stream)
//!   announced --drain_timeout--> refusing (GOAWAY for the last stream) --last exchange--> closing
//! ```
//! <https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/operations/draining>

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use base::Key;
use net::http2::{CodecMeter, ConnectionEnd, Endpoint, Role};
use observe::GaugeGuard;
use observe::names::{Http2CodecStat, HttpStat};
use proto::http2::{Connection, Error, ErrorKind, MessageStart, Scope, Step};

use super::super::connection::HttpConnection;
use super::super::delayed_close::Closing;
use super::super::exchange::http2::{Start, refused};
use super::super::lifetime::Due;
use super::super::manager::Heads;
use super::super::recycle::Borrowed;
use super::premature::PrematureResets;

/// A connection from a client, as its exchanges share it.
#[derive(Debug)]
pub(crate) struct Http2Connection {
    pub(in super::super) connection: Rc<HttpConnection>,
    endpoint: Rc<Endpoint>,
    meter: CodecMeter,
    resets: PrematureResets,
    drain: Cell<Drain>,
    /// There was a stream when it was looked at last.
    was_busy: Cell<bool>,
    is_aborted: Cell<bool>,
    /// A request was refused when it was looked at last.
    has_refused: Cell<bool>,
    _active: GaugeGuard<HttpStat>,
}

/// How far the end of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drain {
    Open,
    /// The client knows that it will end; the streams that it still opens are served.
    Announced,
    /// No stream begins any more.
    Refusing,
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// The client has left.
    Gone,
    /// It is closed once what is queued has left.
    Close(Closing),
    /// It is closed now.
    Abort,
}

/// Serves the requests of a connection to its end.
pub(crate) async fn serve(connection: Rc<HttpConnection>) -> Over {
    let shared = Rc::new(Http2Connection::new(connection));
    let per_cycle = shared.connection.manager.prepared.limits.requests_per_cycle();
    let mut requests = Requests { shared: Rc::clone(&shared), heads: None, per_cycle, left: 0 };
    let over = poll_fn(|context| shared.poll(context, &mut requests)).await;
    let endpoint = &shared.endpoint;
    shared.connection.set_in_request(endpoint.streams() > 0 || shared.has_refused.get());
    endpoint.close();
    // Each exchange hears of it, and writes its line before the connection is gone.
    poll_fn(|context| {
        let _closed = endpoint.poll(context, shared.now(), &mut requests);
        if endpoint.streams() == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    shared.meter.update(endpoint);
    over
}

/// The requests that begin: each gets an exchange.
#[derive(Debug)]
struct Requests {
    shared: Rc<Http2Connection>,
    /// For the next one, while something is read.
    heads: Option<Borrowed<Heads>>,
    /// How many may begin in one turn.
    per_cycle: u32,
    /// How many may still begin before other connections have their turn.
    left: u32,
}

impl Drop for Requests {
    /// Nobody reads on: whatever ends the connection's task, its exchanges hear of it.
    fn drop(&mut self) {
        self.shared.endpoint.close();
    }
}

impl Role for Requests {
    fn decode(
        &mut self,
        codec: &mut Connection,
        now: Instant,
        input: &[u8],
    ) -> Result<Step, Error> {
        let manager = &self.shared.connection.manager;
        let heads = self.heads.get_or_insert_with(|| manager.heads.take());
        let step = codec.receive_request(now, input, &mut heads.request);
        while let Some(kind) = codec.take_refused() {
            self.shared.has_refused.set(true);
            refused(&self.shared, kind);
        }
        step
    }

    fn head(&mut self, endpoint: &Rc<Endpoint>, stream: Key, start: Option<MessageStart>) {
        let (Some(heads), Some(start)) = (self.heads.take(), start) else { return };
        self.left = self.left.saturating_sub(1);
        let connection = Rc::clone(&self.shared);
        let start = Start { connection, port: endpoint.port(stream), start, heads };
        self.shared.connection.manager.runners.start(start);
    }

    fn may_go_on(&self) -> bool {
        self.left > 0
    }
}

impl Http2Connection {
    fn new(connection: Rc<HttpConnection>) -> Self {
        let manager = &connection.manager;
        let stats = &manager.stats;
        stats.inc(HttpStat::DownstreamCxHttp2Total);
        let active = stats.guard(HttpStat::DownstreamCxHttp2Active);
        let options = Arc::clone(&manager.prepared.http2);
        let (now, seed) = (manager.reactor.now(), manager.random.number());
        let codec = Connection::server(options, now, seed);
        let carrier = Rc::clone(&connection);
        Self {
            endpoint: Endpoint::new(carrier, codec, connection.buffer_limit),
            meter: CodecMeter::new(manager.http2_codec_stats().clone()),
            resets: PrematureResets::default(),
            drain: Cell::new(Drain::Open),
            was_busy: Cell::new(false),
            is_aborted: Cell::new(false),
            has_refused: Cell::new(false),
            _active: active,
            connection,
        }
    }

    fn now(&self) -> Instant {
        self.connection.manager.reactor.now()
    }

    fn poll(&self, context: &mut Context<'_>, requests: &mut Requests) -> Poll<Over> {
        let (connection, endpoint, now) = (&self.connection, &self.endpoint, self.now());
        requests.left = requests.per_cycle;
        self.has_refused.set(false);
        let polled = endpoint.poll(context, now, requests);
        // A connection that rests holds none.
        requests.heads = None;
        connection.count_received();
        self.meter.update(endpoint);
        let is_busy = endpoint.streams() > 0;
        if self.was_busy.replace(is_busy) && !is_busy {
            connection.lifetime.request_ended(now);
        }
        if self.is_aborted.get() {
            return Poll::Ready(Over::Abort);
        }
        match polled {
            Poll::Ready(end) => Poll::Ready(self.ended(end)),
            Poll::Pending => self.poll_time(context, now, is_busy),
        }
    }

    fn ended(&self, end: ConnectionEnd) -> Over {
        match end {
            ConnectionEnd::Peer => Over::Gone,
            ConnectionEnd::Local => Over::Close(Closing::Flush),
            ConnectionEnd::Protocol(ErrorKind::KeepaliveTimeout) => Over::Close(Closing::Flush),
            ConnectionEnd::Protocol(ErrorKind::HeaderBlockTimeout) => {
                self.connection.manager.stats.inc(HttpStat::DownstreamRqHeaderTimeout);
                Over::Close(Closing::Violation)
            }
            ConnectionEnd::Protocol(kind) => {
                if kind.scope() != Scope::Flood {
                    self.connection.manager.stats.inc(HttpStat::DownstreamCxProtocolError);
                }
                Over::Close(Closing::Violation)
            }
        }
    }

    /// Does what is due; ready if that is the end.
    fn poll_time(&self, context: &mut Context<'_>, now: Instant, is_busy: bool) -> Poll<Over> {
        let connection = &self.connection;
        let (manager, config) = (&connection.manager, &connection.manager.prepared.config);
        if manager.is_draining() {
            self.drain_with_process();
        }
        loop {
            let is_time = connection.lifetime.is_over(now) || (manager.is_draining() && !is_busy);
            if self.drain.get() == Drain::Announced && is_time {
                self.drain.set(Drain::Refusing);
                self.endpoint.with_codec(Connection::go_away);
            }
            if self.drain.get() == Drain::Refusing && !is_busy {
                return Poll::Ready(Over::Close(Closing::FlushAndWait));
            }
            let due = match self.drain.get() {
                Drain::Refusing => None,
                Drain::Open | Drain::Announced => connection.lifetime.next(config, !is_busy),
            };
            let keepalive = self.endpoint.with_codec(|codec| codec.deadline());
            let at = [due.map(|due| due.0), keepalive].into_iter().flatten().min();
            let Some(at) = at else { return Poll::Pending };
            if connection.timer.borrow_mut().poll(context, at).is_pending() {
                return Poll::Pending;
            }
            if keepalive.is_some_and(|keepalive| keepalive <= at) {
                self.endpoint.tick(now, manager.reactor.wall_now());
                self.meter.update(&self.endpoint);
                if let Some(end) = self.endpoint.end() {
                    return Poll::Ready(self.ended(end));
                }
            }
            if let Some(due) = due.filter(|due| due.0 <= at) {
                connection.time_is_up(due);
                if due.1 != Due::Drained {
                    self.announce_drain();
                }
            }
        }
    }

    /// The process drains: this connection, too.
    pub(crate) fn drain_with_process(&self) {
        if self.drain.get() == Drain::Open {
            self.connection.manager.stats.inc(HttpStat::DownstreamCxDrainClose);
            self.announce_drain();
        }
    }

    /// The client is told that the connection will end.
    pub(crate) fn announce_drain(&self) {
        if self.drain.get() != Drain::Open {
            return;
        }
        self.drain.set(Drain::Announced);
        let config = &self.connection.manager.prepared.config;
        self.connection.lifetime.drain(self.now(), config);
        self.endpoint.with_codec(Connection::shutdown_notice);
        self.endpoint.wake();
    }

    /// A request is over. `reset_after` says after how long its client has reset it, if it did so
    /// before a response began.
    pub(crate) fn request_ended(&self, reset_after: Option<Duration>) {
        let manager = &self.connection.manager;
        let is_too_much = self.resets.note(&manager.prepared.limits, reset_after);
        if is_too_much && self.drain.get() == Drain::Open && !self.is_aborted.replace(true) {
            manager.stats.inc(HttpStat::DownstreamRqTooManyPrematureResets);
            // As Envoy, whose codec fails when its connection is closed within a callback.
            manager.stats.inc(HttpStat::DownstreamCxProtocolError);
            self.endpoint.wake();
        }
    }

    /// A stream was reset because its client opened no window for so long.
    pub(crate) fn flush_timed_out(&self) {
        self.meter.scope().inc(Http2CodecStat::TxFlushTimeout);
    }
}
