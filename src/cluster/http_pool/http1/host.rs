//! The connections to one host.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, ready};

use net::DeadlineTimer;
use observe::names::ClusterStat;
use reactor::{Received, Socket};

use super::super::pool::{Pool, PoolBase, connect_for_waiters, connect_if_needed, wait};
use super::connection::{Holder, Http1Connection};
use super::lent::Http1Stream;
use crate::connect::ConnectFailure;
use crate::existence::{ClosedBy, Existence};
use crate::preconnect::wants_connection;

/// One host's pool.
#[derive(Debug)]
pub(crate) struct Http1Pool {
    base: PoolBase<Rc<Http1Connection>>,
    /// Nobody has these; the one used last is at the end.
    idle: RefCell<Vec<Rc<Http1Connection>>>,
}

/// What a receive that watches may bring: it goes on for the exchange that comes next.
const CREDIT: usize = reactor::RECV_CREDIT_MAX as usize;

/// Why the task of a connection lets it go.
enum End {
    Closed,
    HostClosed,
    UnaskedBytes,
    IdleTimeout,
    TooOld,
}

impl Pool for Http1Pool {
    type Grant = Rc<Http1Connection>;

    fn base(&self) -> &PoolBase<Rc<Http1Connection>> {
        &self.base
    }

    fn wants_connection(&self) -> bool {
        let (waiting, connecting) = (self.base.waiters.len(), self.base.connecting.get());
        let per_mille = self.base.context.shared.config().preconnect_per_mille;
        let unused = connecting + self.idle.borrow().len();
        // Idle connections that nobody has taken are about to go.
        waiting > connecting || wants_connection(waiting, self.base.served.get(), unused, per_mille)
    }

    fn begins(&self) {
        self.base.context.speaks_http1();
        self.base.stats().inc(ClusterStat::UpstreamCxHttp1Total);
    }

    async fn keep(self: Rc<Self>, socket: Socket, existence: Existence) {
        self.serve(socket, existence).await;
    }

    fn is_usable(_grant: &Rc<Http1Connection>) -> bool {
        true
    }

    fn reclaim(self: &Rc<Self>, grant: Rc<Http1Connection>) {
        self.make_ready(grant);
    }

    fn idle_connections(&self) -> usize {
        self.idle.borrow().len()
    }

    fn close_idle(&self) {
        for connection in self.idle.take() {
            connection.close(ClosedBy::Local);
        }
    }

    fn drain(self: &Rc<Self>) {
        self.base.begin_age();
        self.close_idle();
    }
}

impl Http1Pool {
    pub(in super::super) fn new(base: PoolBase<Rc<Http1Connection>>) -> Self {
        Self { base, idle: RefCell::default() }
    }

    /// A connection for one exchange; see [`crate::HttpHost::stream`].
    pub(in super::super) async fn stream(self: &Rc<Self>) -> Result<Http1Stream, ConnectFailure> {
        let Some(connection) = self.take_idle() else {
            let connection = wait(self).await?;
            return self.lend(connection);
        };
        let stream = self.lend(connection);
        // Another one may be expected to be needed.
        connect_if_needed(self);
        stream
    }

    /// The idle connection that was used last. One about which there is news is its task's.
    fn take_idle(&self) -> Option<Rc<Http1Connection>> {
        let mut idle = self.idle.borrow_mut();
        let usable = |connection: &Rc<Http1Connection>| connection.stream().receiver().is_quiet();
        let index = idle.iter().rposition(usable)?;
        let connection = idle.remove(index);
        connection.set_lent();
        Some(connection)
    }

    /// Counts the request and its limit.
    fn lend(
        self: &Rc<Self>,
        connection: Rc<Http1Connection>,
    ) -> Result<Http1Stream, ConnectFailure> {
        match self.base.lease() {
            Ok(lease) => {
                if connection.use_once() {
                    self.base.stats().inc(ClusterStat::UpstreamCxMaxRequests);
                }
                Ok(Http1Stream::new(self, connection, lease))
            }
            Err(failure) => {
                self.make_ready(connection);
                Err(failure)
            }
        }
    }

    /// Takes a connection that an exchange is done with: to be kept, or one turn later for whoever
    /// waits. A host may end its side right behind a response; Envoy, which reads until there is
    /// nothing more, sees that before it gives the connection to anybody.
    pub(super) fn take_back(self: &Rc<Self>, connection: &Rc<Http1Connection>) {
        if self.base.waiters.len() > 0 {
            connection.set_returned(self.base.context.reactor.turns());
        } else {
            self.make_ready(Rc::clone(connection));
        }
    }

    /// Takes a connection that may be used: for whoever waits, or to be kept.
    fn make_ready(self: &Rc<Self>, connection: Rc<Http1Connection>) {
        if connection.age() != self.base.age() {
            connection.close(ClosedBy::Local);
            return connect_for_waiters(self);
        }
        // What nobody takes comes back as it went.
        let Some(Ok(connection)) = self.base.waiters.serve(Ok(connection)) else {
            return connect_for_waiters(self);
        };
        connection.set_idle(self.base.context.reactor.now());
        self.idle.borrow_mut().push(connection);
    }

    async fn serve(self: &Rc<Self>, socket: Socket, existence: Existence) {
        let config = self.base.context.shared.config();
        let stream = self.base.context.stream(socket);
        if let Some(header) = &self.base.header {
            stream.outbox().write(|out| out.extend_from_slice(header));
        }
        let connection = Rc::new(Http1Connection::new(
            stream,
            existence,
            config.http.common.max_requests_per_connection,
            self.base.context.reactor.now(),
            self.base.age(),
        ));
        self.make_ready(Rc::clone(&connection));
        let end = self.watch(&connection).await;
        self.base.stats().record(ClusterStat::UpstreamRqPerCx, connection.requests());
        self.base.stats().add(ClusterStat::UpstreamCxRxBytesTotal, connection.take_received());
        self.idle.borrow_mut().retain(|other| !Rc::ptr_eq(other, &connection));
        match end {
            End::Closed | End::HostClosed | End::TooOld => {}
            End::UnaskedBytes => self.base.stats().inc(ClusterStat::UpstreamCxProtocolError),
            End::IdleTimeout => self.base.stats().inc(ClusterStat::UpstreamCxIdleTimeout),
        }
        if !matches!(end, End::Closed) {
            connection.close(ClosedBy::Local);
        }
    }

    /// Watches a connection while nobody has it, and its age.
    async fn watch(self: &Rc<Self>, connection: &Rc<Http1Connection>) -> End {
        let (reactor, config) = (&self.base.context.reactor, self.base.context.shared.config());
        let idle_timeout = config.http.common.idle_timeout;
        let longest = config.http.common.max_connection_duration;
        let mut too_old = longest.map(|longest| reactor.now() + longest);
        let mut timer = DeadlineTimer::new(reactor.clone());
        poll_fn(|context| {
            connection.owned_by(context.waker());
            let holder = connection.holder();
            match holder {
                Holder::Closed => return Poll::Ready(End::Closed),
                // Reading is the exchange's business.
                Holder::Exchange => {}
                Holder::Idle | Holder::Returned { .. } => {
                    match connection.stream().receiver().poll_recv(context, CREDIT) {
                        Poll::Ready(Ok(Received::Data(_))) => {
                            return Poll::Ready(End::UnaskedBytes);
                        }
                        Poll::Ready(Ok(Received::End) | Err(_)) => {
                            return Poll::Ready(End::HostClosed);
                        }
                        Poll::Pending => {}
                    }
                }
            }
            if let Holder::Returned { turn } = holder {
                if turn == reactor.turns() {
                    reactor.wake_next_turn(context.waker());
                } else {
                    connection.set_lent();
                    self.make_ready(Rc::clone(connection));
                }
            }
            let is_idle = connection.holder() == Holder::Idle;
            loop {
                let now = reactor.now();
                // One that is lent is looked at again in time, since nobody tells when it is idle.
                let since = if is_idle { connection.idle_since() } else { now };
                let idle_until = idle_timeout.map(|timeout| since + timeout);
                let Some(deadline) = idle_until.into_iter().chain(too_old).min() else {
                    return Poll::Pending;
                };
                ready!(timer.poll(context, deadline));
                if too_old == Some(deadline) {
                    self.base.stats().inc(ClusterStat::UpstreamCxMaxDurationReached);
                    if connection.holder() != Holder::Exchange {
                        return Poll::Ready(End::TooOld);
                    }
                    connection.use_up();
                    too_old = None;
                } else if is_idle {
                    return Poll::Ready(End::IdleTimeout);
                }
            }
        })
        .await
    }
}
