//! The connections to one host.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use net::http2::{CodecMeter, ConnectionEnd, Endpoint};
use observe::names::ClusterStat;
use proto::http2::{Connection, ErrorKind};
use reactor::Socket;

use super::super::pool::{Pool, PoolBase, connect_for_waiters, connect_if_needed, wait};
use super::connection::{Http2Connection, REQUESTS_MAX};
use super::lent::{Http2Stream, Slot};
use super::times::{Due, Times};
use crate::connect::ConnectFailure;
use crate::existence::{ClosedBy, Existence};
use crate::preconnect::wants_connection;

/// How long the last bytes of a connection, a GOAWAY that says what was wrong, may take to leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// One host's pool.
#[derive(Debug)]
pub(crate) struct Http2Pool {
    base: PoolBase<Slot>,
    /// Those with room; at the end the one that has had it for the shortest time.
    ready: RefCell<Vec<Rc<Http2Connection>>>,
}

impl Pool for Http2Pool {
    type Grant = Slot;

    fn base(&self) -> &PoolBase<Slot> {
        &self.base
    }

    fn wants_connection(&self) -> bool {
        let config = self.base.context.shared.config();
        let streams = config.http.http2.max_concurrent_streams;
        let requests = config.http.common.max_requests_per_connection.unwrap_or(REQUESTS_MAX);
        let each = usize::try_from(streams.min(requests)).unwrap_or(usize::MAX);
        let connecting = self.base.connecting.get().saturating_mul(each);
        let (waiting, served) = (self.base.waiters.len(), self.base.served.get());
        let ready = self.ready.borrow();
        let room = |connection: &Rc<Http2Connection>| connection.room() as usize;
        let unused = ready.iter().map(room).fold(connecting, usize::saturating_add);
        wants_connection(waiting, served, unused, config.preconnect_per_mille)
    }

    fn begins(&self) {
        self.base.context.http2();
        self.base.stats().inc(ClusterStat::UpstreamCxHttp2Total);
    }

    async fn keep(self: Rc<Self>, socket: Socket, existence: Existence) {
        let connection = self.connected(socket);
        let kept = Kept { pool: &self, connection: &connection };
        self.room_changed(&connection);
        let end = self.drive(&connection).await;
        let stats = self.base.stats();
        existence.set_closed_by(match end {
            ConnectionEnd::Peer => ClosedBy::Remote,
            ConnectionEnd::Local | ConnectionEnd::Protocol(_) => ClosedBy::Local,
        });
        match end {
            ConnectionEnd::Protocol(kind) if kind != ErrorKind::KeepaliveTimeout => {
                stats.inc(ClusterStat::UpstreamCxProtocolError);
            }
            _ if !connection.has_streams() => {}
            ConnectionEnd::Peer => {
                stats.inc(ClusterStat::UpstreamCxDestroyWithActiveRq);
                stats.inc(ClusterStat::UpstreamCxDestroyRemoteWithActiveRq);
            }
            ConnectionEnd::Local | ConnectionEnd::Protocol(_) => {
                stats.inc(ClusterStat::UpstreamCxDestroyWithActiveRq);
                stats.inc(ClusterStat::UpstreamCxDestroyLocalWithActiveRq);
            }
        }
        stats.record(ClusterStat::UpstreamRqPerCx, connection.requests());
        drop(kept);
        drop(existence);
        // Exchanges may still hold what has come of their responses, and with it the socket.
        let outbox = connection.endpoint().stream().outbox();
        outbox.finish();
        if end != ConnectionEnd::Peer && outbox.bytes_buffered() > 0 {
            self.base.context.tasks.spawn(Rc::clone(&self).farewell(connection));
        }
    }

    fn is_usable(grant: &Slot) -> bool {
        grant.is_usable()
    }

    fn reclaim(self: &Rc<Self>, grant: Slot) {
        drop(grant);
    }

    fn idle_connections(&self) -> usize {
        self.ready.borrow().iter().filter(|connection| !connection.has_streams()).count()
    }

    fn close_idle(&self) {
        let ready = self.ready.borrow().clone();
        for connection in ready.iter().filter(|connection| !connection.has_streams()) {
            connection.endpoint().close();
            self.list(connection);
        }
    }

    fn drain(self: &Rc<Self>) {
        self.base.begin_age();
        let ready = self.ready.borrow().clone();
        for connection in &ready {
            self.room_changed(connection);
        }
    }
}

impl Http2Pool {
    pub(in super::super) fn new(base: PoolBase<Slot>) -> Self {
        Self { base, ready: RefCell::default() }
    }

    /// A stream for one exchange; see [`crate::HttpHost::stream`].
    pub(in super::super) async fn stream(self: &Rc<Self>) -> Result<Http2Stream, ConnectFailure> {
        let Some(slot) = self.reserve() else {
            let slot = wait(self).await?;
            return self.lend(slot);
        };
        let stream = self.lend(slot);
        // Another connection may be expected to be needed.
        connect_if_needed(self);
        stream
    }

    /// Room on the connection that has had some for the shortest time.
    fn reserve(self: &Rc<Self>) -> Option<Slot> {
        let connection = Rc::clone(self.ready.borrow().last()?);
        let slot = Slot::new(self, &connection);
        self.list(&connection);
        Some(slot)
    }

    /// Counts the request and its limit.
    fn lend(self: &Rc<Self>, slot: Slot) -> Result<Http2Stream, ConnectFailure> {
        let lease = self.base.lease()?;
        if slot.use_it() {
            self.base.stats().inc(ClusterStat::UpstreamCxMaxRequests);
        }
        Ok(Http2Stream::new(slot, lease))
    }

    /// Puts a connection among those with room, or takes it out.
    fn list(&self, connection: &Rc<Http2Connection>) {
        let has_room = connection.room() > 0;
        if has_room == connection.is_listed.replace(has_room) {
            return;
        }
        let mut ready = self.ready.borrow_mut();
        if has_room {
            ready.push(Rc::clone(connection));
        } else {
            ready.retain(|other| !Rc::ptr_eq(other, connection));
        }
    }

    /// What follows from a connection having more room than before, or less.
    pub(super) fn room_changed(self: &Rc<Self>, connection: &Rc<Http2Connection>) {
        if connection.age() != self.base.age() {
            connection.drain();
        }
        if connection.is_drained() {
            connection.endpoint().close();
        }
        self.list(connection);
        if !connection.is_listed.get() {
            return;
        }
        while self.base.waiters.len() > 0
            && let Some(slot) = self.reserve()
        {
            drop(self.base.waiters.serve(Ok(slot)));
        }
        connect_for_waiters(self);
    }

    /// The codec's side of a new connection.
    fn connected(&self, socket: Socket) -> Rc<Http2Connection> {
        let context = &self.base.context;
        let (http2, config) = (context.http2(), context.shared.config());
        let stream = context.stream(socket);
        if let Some(header) = &self.base.header {
            stream.outbox().write(|out| out.extend_from_slice(header));
        }
        let now = context.reactor.now();
        let codec = Connection::client(Arc::clone(&http2.options), now, http2.seed());
        let limit = config.per_connection_buffer_limit_bytes;
        let endpoint = Endpoint::new(Rc::new(stream), codec, limit);
        let requests_max = config.http.common.max_requests_per_connection;
        let meter = CodecMeter::new(http2.stats.clone());
        Rc::new(Http2Connection::new(endpoint, meter, requests_max, now, self.base.age()))
    }

    /// Drives a connection to its end.
    async fn drive(self: &Rc<Self>, connection: &Rc<Http2Connection>) -> ConnectionEnd {
        let reactor = &self.base.context.reactor;
        let endpoint = connection.endpoint();
        let mut times = Times::new(reactor, &self.base.context.shared.config().http.common);
        let mut is_going_away = false;
        poll_fn(|context| {
            let polled = endpoint.poll_client(context, reactor.now());
            connection.count_codec();
            let received = connection.take_received();
            self.base.stats().add(ClusterStat::UpstreamCxRxBytesTotal, received);
            if let Poll::Ready(end) = polled {
                return Poll::Ready(end);
            }
            if endpoint.take_settings_changed() {
                connection.settings_changed();
                self.room_changed(connection);
            }
            if endpoint.is_going_away() && !std::mem::replace(&mut is_going_away, true) {
                self.base.stats().inc(ClusterStat::UpstreamCxCloseNotify);
                connection.drain();
                self.room_changed(connection);
            }
            while endpoint.end().is_none()
                && let Poll::Ready(due) = times.poll(context, connection)
            {
                self.due(connection, due);
            }
            endpoint.end().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Does what is due on a connection.
    fn due(self: &Rc<Self>, connection: &Rc<Http2Connection>, due: Due) {
        let endpoint = connection.endpoint();
        match due {
            Due::Keepalive => {
                let reactor = &self.base.context.reactor;
                endpoint.tick(reactor.now(), reactor.wall_now());
                connection.count_codec();
            }
            Due::Idle => {
                self.base.stats().inc(ClusterStat::UpstreamCxIdleTimeout);
                endpoint.close();
            }
            Due::TooOld => {
                self.base.stats().inc(ClusterStat::UpstreamCxMaxDurationReached);
                connection.drain();
                self.room_changed(connection);
            }
        }
    }

    /// Waits for the last bytes of a connection that is over to leave.
    async fn farewell(self: Rc<Self>, connection: Rc<Http2Connection>) {
        let outbox = connection.endpoint().stream().outbox();
        let mut late = pin!(self.base.context.reactor.sleep(FAREWELL));
        poll_fn(|context| {
            let has_left = outbox.poll_drained(context).is_ready();
            if has_left { Poll::Ready(()) } else { late.as_mut().poll(context) }
        })
        .await;
    }
}

/// A connection that a task keeps. However that ends, no exchange is left waiting for it.
struct Kept<'a> {
    pool: &'a Rc<Http2Pool>,
    connection: &'a Rc<Http2Connection>,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.connection.drain();
        self.connection.endpoint().close();
        self.pool.list(self.connection);
    }
}
