//! The connections to one host.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use base::Address;
use observe::Scope;
use observe::names::{ClusterStat, HostStat};
use reactor::{Received, Socket};

use super::connection::{Holder, HttpConnection};
use super::lent::HttpStream;
use super::waiter::Waiters;
use crate::breaker::{Resource, Token};
use crate::connect::{self, ConnectFailure, Waiting};
use crate::connection::{ClosedBy, Counts, Existence};
use crate::context::Context;
use crate::preconnect::{CONNECTS_MAX, wants_connection};
use crate::tally::{Tallied, Tally};

/// One host's pool.
#[derive(Debug)]
pub(crate) struct HostPool {
    context: Rc<Context>,
    address: Address,
    /// What each connection begins with.
    header: Option<Box<[u8]>>,
    counts: Counts,
    /// Nobody has these; the one used last is at the end.
    idle: RefCell<Vec<Rc<HttpConnection>>>,
    waiters: Waiters,
    connecting: Tally,
    /// Connecting, idle and lent.
    open: Tally,
    /// Exchanges that have a connection.
    lent: Tally,
}

/// One more in a tally of a pool, until it is dropped.
struct Counted {
    pool: Rc<HostPool>,
    tallied: Option<Tallied>,
}

impl Counted {
    fn new(pool: &Rc<HostPool>, tally: &Tally) -> Self {
        Self { pool: Rc::clone(pool), tallied: Some(tally.one()) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.tallied = None;
        // Whoever waited for a connect that ended by a panic must not wait for ever.
        if std::thread::panicking() {
            self.pool.connect_for_waiters();
        }
    }
}

/// What a receive that watches may bring: it goes on for the exchange that comes next.
const CREDIT: usize = reactor::RECV_CREDIT_MAX as usize;

/// Why the task of a connection lets it go.
enum End {
    Closed,
    HostClosed,
    UnaskedBytes,
    IdleTimeout,
}

impl HostPool {
    pub(super) fn new(
        context: Rc<Context>,
        address: Address,
        header: Option<Box<[u8]>>,
        counts: Counts,
    ) -> Self {
        Self {
            context,
            address,
            header,
            counts,
            idle: RefCell::default(),
            waiters: Waiters::default(),
            connecting: Tally::default(),
            open: Tally::default(),
            lent: Tally::default(),
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    fn stats(&self) -> &Scope<ClusterStat> {
        &self.counts.cluster
    }

    /// A connection for one exchange; see [`super::HttpHost::stream`].
    pub(crate) async fn stream(self: &Rc<Self>) -> Result<HttpStream, ConnectFailure> {
        let Some(connection) = self.take_idle() else {
            let connection = self.wait().await?;
            return self.lend(connection);
        };
        let stream = self.lend(connection);
        // Another one may be expected to be needed.
        self.connect_if_needed();
        stream
    }

    /// The idle connection that was used last. One about which there is news is its task's.
    fn take_idle(&self) -> Option<Rc<HttpConnection>> {
        let mut idle = self.idle.borrow_mut();
        let usable = |connection: &Rc<HttpConnection>| connection.stream().receiver().is_quiet();
        let index = idle.iter().rposition(usable)?;
        let connection = idle.remove(index);
        connection.set_lent();
        Some(connection)
    }

    async fn wait(self: &Rc<Self>) -> Result<Rc<HttpConnection>, ConnectFailure> {
        let stats = self.stats();
        let Some(token) = self.context.limits.try_acquire(Resource::Pending) else {
            stats.inc(ClusterStat::UpstreamRqPendingOverflow);
            return Err(ConnectFailure::PendingOverflow { host: self.address.clone() });
        };
        let waiting = Waiting::begin(self.counts.clone(), token);
        let give_back = |connection| self.make_ready(connection);
        let wait = self.waiters.wait(give_back);
        let mut wait = pin!(wait);
        let mut asked = false;
        let outcome = poll_fn(|context| {
            let polled = wait.as_mut().poll(context);
            // Once there is one more in the queue.
            if !std::mem::replace(&mut asked, true) {
                self.connect_if_needed();
            }
            polled
        })
        .await;
        let eject = outcome.is_err().then_some(ClusterStat::UpstreamRqPendingFailureEject);
        waiting.end(eject);
        outcome
    }

    /// Counts the request and its limit.
    fn lend(self: &Rc<Self>, connection: Rc<HttpConnection>) -> Result<HttpStream, ConnectFailure> {
        let stats = self.stats();
        let Some(token) = self.context.limits.try_acquire(Resource::Requests) else {
            stats.inc(ClusterStat::UpstreamRqActiveOverflow);
            self.make_ready(connection);
            return Err(ConnectFailure::RequestOverflow { host: self.address.clone() });
        };
        self.counts.host.inc(HostStat::RqTotal);
        stats.inc(ClusterStat::UpstreamRqTotal);
        if connection.use_once() {
            stats.inc(ClusterStat::UpstreamCxMaxRequests);
        }
        Ok(HttpStream::new(self, connection, token))
    }

    /// An exchange has a connection, for as long as the answer lives.
    pub(super) fn lent(&self) -> Tallied {
        self.lent.one()
    }

    /// Takes a connection that may be used again: for whoever waits, or to be kept.
    pub(super) fn make_ready(self: &Rc<Self>, connection: Rc<HttpConnection>) {
        match self.waiters.serve(connection) {
            Some(connection) => {
                connection.set_idle(self.context.reactor.now());
                self.idle.borrow_mut().push(connection);
            }
            None => self.connect_for_waiters(),
        }
    }

    /// Starts connects if anybody waits. Nobody else is reason enough here: a host that refuses is
    /// not to be asked without end.
    fn connect_for_waiters(self: &Rc<Self>) {
        if self.waiters.len() > 0 {
            self.connect_if_needed();
        }
    }

    /// Starts connects for those who wait and for those who are expected, as far as the limit
    /// allows.
    fn connect_if_needed(self: &Rc<Self>) {
        for _ in 0..CONNECTS_MAX {
            if !self.wants_connection() {
                return;
            }
            let (limits, stats) = (&self.context.limits, self.stats());
            let token = match limits.try_acquire(Resource::Connections) {
                Some(token) => token,
                None => {
                    stats.inc(ClusterStat::UpstreamCxOverflow);
                    if self.open.get() > 0 {
                        return;
                    }
                    limits.acquire_anyway(Resource::Connections)
                }
            };
            self.context.tasks.spawn(Rc::clone(self).connection(token));
        }
    }

    fn wants_connection(&self) -> bool {
        let (waiting, connecting) = (self.waiters.len(), self.connecting.get());
        let per_mille = self.context.shared.config().preconnect_per_mille;
        let unused = connecting + self.idle.borrow().len();
        // Idle connections that nobody has taken are about to go.
        waiting > connecting || wants_connection(waiting, self.lent.get(), unused, per_mille)
    }

    /// The life of one connection: the task that owns it.
    fn connection(self: Rc<Self>, token: Token) -> impl Future<Output = ()> {
        self.context.speaks_http1();
        self.stats().inc(ClusterStat::UpstreamCxHttp1Total);
        // Counted from here, not from the first poll, which comes a turn later.
        let existence = Existence::begin(&self.context.reactor, &self.counts, token);
        let open = Counted::new(&self, &self.open);
        let connecting = Counted::new(&self, &self.connecting);
        async move {
            let connected = self.context.connector.connect(&self.address).await;
            drop(connecting);
            match connected {
                Ok(socket) => {
                    let age = existence.age();
                    self.stats().record_duration(ClusterStat::UpstreamCxConnectMs, age);
                    self.serve(socket, existence).await;
                }
                Err(error) => {
                    let failure = connect::failed(&error, &self.counts, &existence, &self.address);
                    drop(existence);
                    self.waiters.fail_all(|| failure.again());
                }
            }
            drop(open);
            // A waiter whom only this connection could have served needs another one.
            self.connect_for_waiters();
        }
    }

    async fn serve(self: &Rc<Self>, socket: Socket, existence: Existence) {
        let config = self.context.shared.config();
        let stream = self.context.stream(socket);
        if let Some(header) = &self.header {
            stream.outbox().write(|out| out.extend_from_slice(header));
        }
        let connection = Rc::new(HttpConnection::new(
            stream,
            existence,
            config.http.common.max_requests_per_connection,
            self.context.reactor.now(),
        ));
        self.make_ready(Rc::clone(&connection));
        let end = self.watch(&connection).await;
        self.stats().record(ClusterStat::UpstreamRqPerCx, connection.requests());
        self.stats().add(ClusterStat::UpstreamCxRxBytesTotal, connection.take_received());
        self.idle.borrow_mut().retain(|other| !Rc::ptr_eq(other, &connection));
        match end {
            End::Closed | End::HostClosed => {}
            End::UnaskedBytes => self.stats().inc(ClusterStat::UpstreamCxProtocolError),
            End::IdleTimeout => self.stats().inc(ClusterStat::UpstreamCxIdleTimeout),
        }
        if !matches!(end, End::Closed) {
            connection.close(ClosedBy::Local);
        }
    }

    /// Watches a connection while nobody has it.
    async fn watch(&self, connection: &HttpConnection) -> End {
        let reactor = &self.context.reactor;
        let idle_timeout = self.context.shared.config().http.common.idle_timeout;
        let mut sleep = pin!(idle_timeout.map(|timeout| reactor.sleep(timeout)));
        poll_fn(|context| {
            connection.owned_by(context.waker());
            match connection.holder() {
                Holder::Closed => return Poll::Ready(End::Closed),
                // Reading is the exchange's business.
                Holder::Exchange => {}
                Holder::Idle => match connection.stream().receiver().poll_recv(context, CREDIT) {
                    Poll::Ready(Ok(Received::Data(_))) => return Poll::Ready(End::UnaskedBytes),
                    Poll::Ready(Ok(Received::End) | Err(_)) => {
                        return Poll::Ready(End::HostClosed);
                    }
                    Poll::Pending => {}
                },
            }
            let Some(timeout) = idle_timeout else { return Poll::Pending };
            while let Some(timer) = sleep.as_mut().as_pin_mut()
                && timer.poll(context).is_ready()
            {
                let idle = connection.holder() == Holder::Idle;
                let since = if idle { connection.idle_since() } else { reactor.now() };
                if since + timeout <= reactor.now() {
                    return Poll::Ready(End::IdleTimeout);
                }
                sleep.set(Some(reactor.sleep_until(since + timeout)));
            }
            Poll::Pending
        })
        .await
    }
}
