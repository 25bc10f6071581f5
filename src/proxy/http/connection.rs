//! One downstream connection of HTTP/1: its requests one after the other, and its end.
//!
//! ```text
//! idle --bytes--> exchange --may go on--> idle
//!   |                 \--last one--> closing (`delayed_close`) --> closed
//!   \--client closed, its time is up (`lifetime`), the process drains --> closed
//! ```
//! An idle connection holds a stream and a timer and nothing else: what a request needs is taken
//! from the worker's shelves when its first byte comes.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use base::Address;
use cluster::Client;
use config::model;
use filter::NetworkFilters;
use net::DeadlineTimer;
use net::Stream;
use observe::GaugeGuard;
use observe::access_log::Protocol;
use observe::names::HttpStat;
use proto::http2::PREFACE;
use reactor::{RECV_CREDIT_MAX, Received, Socket};

use super::addresses::ClientAddresses;
use super::delayed_close::{Closing, delayed_close};
use super::exchange::http1::{Next, Start};
use super::http2::{self, Over};
use super::lifetime::{Due, Lifetime};
use super::manager::HttpManager;
use crate::connection_context::ConnectionContext;
use crate::connection_log::ConnectionLog;
use crate::connection_state::ConnectionState;
use crate::gate::{self, Held, Passage};

/// So many bytes of HTTP/2's preface are enough to know it by, as for Envoy.
const PREFACE_COMPARED: usize = b"PRI * HTTP/2".len();

/// A connection from a client.
#[derive(Debug)]
pub(crate) struct HttpConnection {
    pub(super) manager: Rc<HttpManager>,
    pub(super) stream: Stream,
    pub(super) timer: RefCell<DeadlineTimer>,
    pub(super) id: u64,
    pub(super) buffer_limit: u32,
    socket: Socket,
    /// What filters left on the connection, or may leave.
    state: Option<Rc<ConnectionState>>,
    addresses: ClientAddresses,
    pub(super) lifetime: Lifetime,
    requests: Cell<u32>,
    /// Who ended it: counted when it is dropped.
    ended_by: Cell<EndedBy>,
    in_request: Cell<bool>,
    is_http2: Cell<bool>,
    counted_bytes: Cell<u64>,
    _active: GaugeGuard<HttpStat>,
    http1_active: RefCell<Option<GaugeGuard<HttpStat>>>,
}

/// Filters that wait for the first bytes, and the log that learns what they say.
type Gate<'a> = (&'a NetworkFilters, &'a ConnectionLog<'a>);

/// Which side ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndedBy {
    Us,
    Client,
}

/// Why a connection is idle no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wake {
    Bytes,
    /// Those of HTTP/2.
    Http2,
    ClientClosed,
    /// We close it.
    Closing(Closing),
}

impl HttpConnection {
    pub(super) fn new(
        manager: &Rc<HttpManager>,
        socket: Socket,
        context: &ConnectionContext<'_>,
    ) -> Rc<Self> {
        let reactor = &manager.reactor;
        let stats = &manager.stats;
        let socket_handle = socket.clone();
        stats.inc(HttpStat::DownstreamCxTotal);
        // Once the client has reset the connection nobody can tell any more who it was.
        let wants_peer = manager.prepared.config.use_remote_address || !manager.logs.is_empty();
        let addresses = ClientAddresses::new(&socket, context.origin(), wants_peer);
        Rc::new(Self {
            stream: context.stream(socket, manager.send_meter.clone()),
            timer: RefCell::new(DeadlineTimer::new(reactor.clone())),
            id: manager.connection_ids.next(),
            buffer_limit: context.buffer_limit(),
            socket: socket_handle,
            addresses,
            state: context.log.state().cloned(),
            lifetime: Lifetime::new(reactor.now()),
            requests: Cell::new(0),
            ended_by: Cell::new(EndedBy::Us),
            in_request: Cell::new(false),
            is_http2: Cell::new(false),
            counted_bytes: Cell::new(0),
            _active: stats.guard(HttpStat::DownstreamCxActive),
            http1_active: RefCell::new(None),
            manager: Rc::clone(manager),
        })
    }

    /// Shows the new connection to the filters before the connection manager. None if it is over.
    pub(super) async fn enter(
        &self,
        filters: &NetworkFilters,
        log: &ConnectionLog<'_>,
    ) -> Option<Held> {
        let received = |bytes: usize| log.received(bytes);
        let receiver = self.stream.receiver();
        let reactor = &self.manager.reactor;
        let (passage, held) = gate::enter_reading(filters, reactor, receiver, log, received).await;
        self.goes_on(passage).then_some(held)
    }

    /// Asks those that wait for the first bytes. Whether the connection goes on.
    async fn pass(&self, (filters, log): Gate<'_>) -> bool {
        let received = |bytes: usize| log.received(bytes);
        let from = (&self.socket, self.stream.receiver(), self.addresses.origin());
        let reactor = &self.manager.reactor;
        let passage = gate::first_data(filters, reactor, from, log, received, false).await;
        self.goes_on(passage)
    }

    fn goes_on(&self, passage: Passage) -> bool {
        if passage == Passage::Left {
            self.ended_by.set(EndedBy::Client);
        }
        passage == Passage::Open
    }

    /// Serves the connection's requests to its end. `gate` is what the first bytes are to pass.
    pub(super) async fn serve(self: Rc<Self>, mut gate: Option<Gate<'_>>) {
        loop {
            match poll_fn(|context| self.poll_wake(context)).await {
                wake @ (Wake::Bytes | Wake::Http2) => {
                    if let Some(gate) = gate.take()
                        && !Box::pin(self.pass(gate)).await
                    {
                        return;
                    }
                    if wake == Wake::Http2 {
                        self.is_http2.set(true);
                        // Boxed, so that a connection of HTTP/1 keeps no room for it.
                        return Box::pin(self.serve_http2()).await;
                    }
                }
                Wake::ClientClosed => {
                    self.ended_by.set(EndedBy::Client);
                    return;
                }
                Wake::Closing(closing) => return self.close(closing).await,
            }
            self.speaks_http1();
            let start = Start { connection: Rc::clone(&self) };
            self.in_request.set(true);
            let next = self.manager.exchanges.start(start).await;
            self.count_received();
            if next == Next::Gone {
                self.ended_by.set(EndedBy::Client);
                return;
            }
            self.in_request.set(false);
            if let Next::Close(closing) = next {
                return self.close(closing).await;
            }
            let now = self.manager.reactor.now();
            self.lifetime.request_ended(now);
            if self.lifetime.is_over(now) {
                return self.close(Closing::FlushAndWait).await;
            }
        }
    }

    async fn serve_http2(self: Rc<Self>) {
        match http2::serve(Rc::clone(&self)).await {
            Over::Gone => self.ended_by.set(EndedBy::Client),
            Over::Close(closing) => self.close(closing).await,
            Over::Abort => {}
        }
    }

    async fn close(&self, closing: Closing) {
        // Boxed, so that a connection that is not ending keeps no room for it.
        self.ended_by.set(Box::pin(delayed_close(self, closing)).await);
    }

    fn poll_wake(&self, context: &mut Context<'_>) -> Poll<Wake> {
        let receiver = self.stream.receiver();
        if receiver.poll_readable(context, RECV_CREDIT_MAX as usize).is_ready() {
            if receiver.is_ended() {
                return Poll::Ready(Wake::ClientClosed);
            }
            if self.http1_active.borrow().is_some() {
                return Poll::Ready(Wake::Bytes);
            }
            match self.poll_is_http2(context) {
                Poll::Ready(is_http2) => {
                    return Poll::Ready(if is_http2 { Wake::Http2 } else { Wake::Bytes });
                }
                Poll::Pending => {}
            }
        }
        if self.manager.is_draining() {
            self.manager.stats.inc(HttpStat::DownstreamCxDrainClose);
            // The last response may still be on its way.
            let is_quiet = self.stream.outbox().bytes_buffered() == 0;
            return Poll::Ready(Wake::Closing(match is_quiet {
                true => Closing::Flush,
                false => Closing::FlushAndWait,
            }));
        }
        while let Some(next) = self.lifetime.next(&self.manager.prepared.config, true) {
            ready!(self.timer.borrow_mut().poll(context, next.0));
            self.time_is_up(next);
            if self.http1_active.borrow().is_none() {
                return Poll::Ready(Wake::Closing(Closing::Flush));
            }
            if next.1 == Due::Drained {
                return Poll::Ready(Wake::Closing(Closing::FlushAndWait));
            }
        }
        Poll::Pending
    }

    pub(super) fn time_is_up(&self, next: (Instant, Due)) {
        self.lifetime.tell(next, &self.manager.prepared.config);
        match next.1 {
            Due::Idle => self.manager.stats.inc(HttpStat::DownstreamCxIdleTimeout),
            Due::Old => self.manager.stats.inc(HttpStat::DownstreamCxMaxDurationReached),
            Due::Drained => {}
        }
    }

    /// Whether a response must say that the connection will be closed, because its time is up.
    pub(super) fn is_draining(&self) -> bool {
        let (manager, lifetime) = (&self.manager, &self.lifetime);
        let now = manager.reactor.now();
        if let Some(next) = lifetime.next_in_request(&manager.prepared.config, now) {
            self.time_is_up(next);
        }
        lifetime.is_draining()
    }

    /// The first bytes decide which protocol it is, unless the configuration does. Where they may
    /// become the preface of HTTP/2, the rest of it is awaited.
    fn poll_is_http2(&self, context: &Context<'_>) -> Poll<bool> {
        match self.manager.prepared.config.codec {
            model::HttpCodec::Auto => {}
            model::HttpCodec::Http1 => return Poll::Ready(false),
            model::HttpCodec::Http2 => return Poll::Ready(true),
        }
        let receiver = self.stream.receiver();
        let Some(mut first) = receiver.take_received() else { return Poll::Ready(false) };
        loop {
            let compared = first.len().min(PREFACE_COMPARED);
            let is_http2 = first[..compared] == PREFACE[..compared];
            if !is_http2 || compared == PREFACE_COMPARED {
                receiver.unread(first);
                return Poll::Ready(is_http2);
            }
            let more = receiver.poll_recv(context, RECV_CREDIT_MAX as usize);
            let Poll::Ready(Ok(Received::Data(more))) = more else {
                receiver.unread(first);
                return more.map(|_| false);
            };
            first = [&first[..], &more[..]].concat().into();
        }
    }

    /// It is one of HTTP/1.
    fn speaks_http1(&self) {
        let mut active = self.http1_active.borrow_mut();
        if active.is_none() {
            self.manager.stats.inc(HttpStat::DownstreamCxHttp1Total);
            *active = Some(self.manager.stats.guard(HttpStat::DownstreamCxHttp1Active));
        }
    }

    /// What it speaks, once its first byte has come.
    pub(super) fn protocol(&self) -> Option<Protocol> {
        if self.is_http2.get() {
            return Some(Protocol::Http2);
        }
        self.http1_active.borrow().is_some().then_some(Protocol::Http11)
    }

    /// Who the client is; unknown if nobody wants to know, or a reset was there before us.
    pub(super) fn peer(&self) -> Option<&Address> {
        self.addresses.peer()
    }

    /// The peer of the socket.
    pub(super) fn direct_peer(&self) -> Option<&Address> {
        self.addresses.direct_peer()
    }

    /// What the client connected to.
    pub(super) fn local_address(&self) -> Option<&Address> {
        self.addresses.local(&self.socket)
    }

    /// The socket's own end.
    pub(super) fn direct_local_address(&self) -> Option<&Address> {
        self.addresses.direct_local(&self.socket)
    }

    /// What filters left on the connection, if they left something.
    pub(super) fn state(&self) -> Option<&ConnectionState> {
        self.state.as_deref()
    }

    /// Whose connection it is, for an upstream that is told.
    pub(super) fn client(&self) -> Client<'_> {
        self.addresses.client(&self.socket)
    }

    /// Whether this request is the connection's last one, by configuration.
    pub(super) fn is_last_request(&self) -> bool {
        let config = &self.manager.prepared.config.common;
        let number = self.requests.get() + 1;
        self.requests.set(number);
        if config.max_requests_per_connection.is_some_and(|most| number >= most) {
            self.manager.stats.inc(HttpStat::DownstreamCxMaxRequestsReached);
            return true;
        }
        false
    }

    /// Waits until the client has ended its side, while nothing of what it sends is read.
    pub(super) async fn hung_up(&self) {
        // It cannot fail but for want of memory; then the client is noticed later.
        if self.manager.reactor.hung_up(&self.socket).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether a request is under way as the connection ends.
    pub(super) fn set_in_request(&self, in_request: bool) {
        self.in_request.set(in_request);
    }

    /// We close it before its request has come to an end.
    pub(super) fn closed_in_request(&self) {
        self.manager.stats.inc(HttpStat::DownstreamCxDestroyActiveRq);
        self.manager.stats.inc(HttpStat::DownstreamCxDestroyLocalActiveRq);
    }

    /// Counts what has been received since the last call.
    pub(super) fn count_received(&self) {
        let received = self.stream.receiver().bytes_received();
        let new = received - self.counted_bytes.replace(received);
        self.manager.stats.add(HttpStat::DownstreamCxRxBytesTotal, new);
    }
}

impl AsRef<Stream> for HttpConnection {
    fn as_ref(&self) -> &Stream {
        &self.stream
    }
}

impl Drop for HttpConnection {
    fn drop(&mut self) {
        self.count_received();
        let stats = &self.manager.stats;
        stats.inc(HttpStat::DownstreamCxDestroy);
        let (by, active) = match self.ended_by.get() {
            EndedBy::Us => {
                (HttpStat::DownstreamCxDestroyLocal, HttpStat::DownstreamCxDestroyLocalActiveRq)
            }
            EndedBy::Client => {
                (HttpStat::DownstreamCxDestroyRemote, HttpStat::DownstreamCxDestroyRemoteActiveRq)
            }
        };
        stats.inc(by);
        if self.in_request.get() {
            stats.inc(HttpStat::DownstreamCxDestroyActiveRq);
            stats.inc(active);
        }
        let lasted = self.lifetime.age(self.manager.reactor.now());
        stats.record_duration(HttpStat::DownstreamCxLengthMs, lasted);
    }
}
