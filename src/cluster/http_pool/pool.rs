//! What the pools of all protocols do alike: who waits, when another connection is wanted, its
//! connect, and what a request takes out of the cluster's limits.
//!
//! **Invariant:** whoever waits is served, told of a failure, or has a connect under way for it or
//! a connection that will have room.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use base::{Address, Limit};
use observe::names::{ClusterStat, HostStat};
use observe::{GaugeGuard, Scope};
use reactor::Socket;

use crate::breaker::{ConnectionToken, Resource, Token};
use crate::connect::{self, ConnectFailure, Waiting};
use crate::context::Context;
use crate::existence::{Counts, Existence};
use crate::preconnect::CONNECTS_MAX;
use crate::tally::{Tallied, Tally};
use crate::waiters::Waiters;

/// One host's pool. What one who waited gets is a `G`.
#[derive(Debug)]
pub(super) struct PoolBase<G> {
    pub(super) context: Rc<Context>,
    pub(super) address: Address,
    /// What each connection begins with.
    pub(super) header: Option<Box<[u8]>>,
    pub(super) counts: Counts,
    pub(super) waiters: Waiters<Result<G, ConnectFailure>>,
    /// How many connections all workers together may have to the host.
    limit: Option<Arc<Limit>>,
    /// How often the host is picked now.
    picked: Cell<usize>,
    /// What counts in `max_connection_pools`, as long as the pool is picked or has connections.
    token: RefCell<Option<Token>>,
    pub(super) connecting: Tally,
    /// Connections, connecting or connected.
    open: Tally,
    /// Exchanges that have what they need.
    pub(super) served: Tally,
    /// How often the pool was drained.
    drains: Cell<u64>,
}

impl<G> PoolBase<G> {
    pub(super) fn new(
        context: Rc<Context>,
        address: Address,
        header: Option<Box<[u8]>>,
        counts: Counts,
        limit: Option<Arc<Limit>>,
    ) -> Self {
        Self {
            context,
            address,
            header,
            counts,
            waiters: Waiters::default(),
            limit,
            picked: Cell::new(0),
            token: RefCell::default(),
            connecting: Tally::default(),
            open: Tally::default(),
            served: Tally::default(),
            drains: Cell::new(0),
        }
    }

    pub(super) fn stats(&self) -> &Scope<ClusterStat> {
        &self.counts.cluster
    }

    /// The pool is drained: connections of an earlier age are not used again.
    pub(super) fn begin_age(&self) {
        self.drains.set(self.drains.get() + 1);
    }

    /// What a connection that is made now is told from older ones by.
    pub(super) fn age(&self) -> u64 {
        self.drains.get()
    }

    /// The host was picked, to be asked for connections until [`PoolBase::leave`].
    pub(super) fn enter(&self) {
        self.picked.set(self.picked.get() + 1);
    }

    pub(super) fn leave(&self) {
        self.picked.set(self.picked.get() - 1);
        self.end_if_empty();
    }

    /// Whether the pool counts as one.
    pub(super) fn counts_as_one(&self) -> bool {
        self.token.borrow().is_some()
    }

    pub(super) fn count_as_one(&self, token: Token) {
        self.token.replace(Some(token));
    }

    fn end_if_empty(&self) {
        if self.picked.get() == 0 && self.open.get() == 0 {
            self.token.take();
        }
    }

    /// Counts a request that is about to be sent, and its limit.
    pub(super) fn lease(&self) -> Result<Lease, ConnectFailure> {
        let stats = self.stats();
        let Some(token) = self.context.limits.try_acquire(Resource::Requests) else {
            stats.inc(ClusterStat::UpstreamRqActiveOverflow);
            return Err(ConnectFailure::RequestOverflow { host: self.address.clone() });
        };
        self.counts.host.inc(HostStat::RqTotal);
        stats.inc(ClusterStat::UpstreamRqTotal);
        Ok(Lease {
            _served: self.served.one(),
            _active: stats.guard(ClusterStat::UpstreamRqActive),
            _active_at_host: self.counts.host.guard(HostStat::RqActive),
            _token: token,
        })
    }
}

/// A request under way: it counts in `upstream_rq_active` and in the cluster's request limit.
#[derive(Debug)]
pub(super) struct Lease {
    _served: Tallied,
    _active: GaugeGuard<ClusterStat>,
    _active_at_host: GaugeGuard<HostStat>,
    _token: Token,
}

/// A pool of one protocol.
pub(super) trait Pool: Sized + 'static {
    /// What one who waited gets.
    type Grant: 'static;

    /// What all pools have.
    fn base(&self) -> &PoolBase<Self::Grant>;

    /// Whether those who wait and those who are expected want another connection.
    fn wants_connection(&self) -> bool;

    /// A connection begins, with its connect.
    fn begins(&self);

    /// Keeps a connection until it is closed.
    fn keep(self: Rc<Self>, socket: Socket, existence: Existence) -> impl Future<Output = ()>;

    /// Whether a grant is worth taking: between the grant and its taking the connection may have
    /// ended.
    fn is_usable(grant: &Self::Grant) -> bool;

    /// Takes a grant back from one who has given the wait up, or who cannot use it.
    fn reclaim(self: &Rc<Self>, grant: Self::Grant);

    /// How many of its connections nobody has.
    fn idle_connections(&self) -> usize;

    /// Closes the connections that nobody has.
    fn close_idle(&self);

    /// Closes the connections that nobody has, and lets those that somebody has go once he is done
    /// with them. Who comes then gets new ones.
    fn drain(self: &Rc<Self>);
}

/// Waits for a grant, and has connects started for that.
pub(super) async fn wait<P: Pool>(pool: &Rc<P>) -> Result<P::Grant, ConnectFailure> {
    let base = pool.base();
    let Some(token) = base.context.limits.try_acquire(Resource::Pending) else {
        base.stats().inc(ClusterStat::UpstreamRqPendingOverflow);
        return Err(ConnectFailure::PendingOverflow { host: base.address.clone() });
    };
    let waiting = Waiting::begin(base.counts.clone(), token);
    let outcome = loop {
        match granted(pool).await {
            Ok(grant) if !P::is_usable(&grant) => pool.reclaim(grant),
            outcome => break outcome,
        }
    };
    let eject = outcome.is_err().then_some(ClusterStat::UpstreamRqPendingFailureEject);
    waiting.end(eject);
    outcome
}

async fn granted<P: Pool>(pool: &Rc<P>) -> Result<P::Grant, ConnectFailure> {
    let mut wait = pin!(pool.base().waiters.wait(|outcome| {
        if let Ok(grant) = outcome {
            pool.reclaim(grant);
        }
    }));
    let mut asked = false;
    poll_fn(|context| {
        let polled = wait.as_mut().poll(context);
        // Once there is one more in the queue.
        if !std::mem::replace(&mut asked, true) {
            connect_if_needed(pool);
        }
        polled
    })
    .await
}

/// Closes what is idle if there is nothing else, and answers what the pool counted as.
pub(super) fn end_unless_used<P: Pool>(pool: &Rc<P>) -> Option<Token> {
    let base = pool.base();
    if base.picked.get() > 0 || base.open.get() > pool.idle_connections() {
        return None;
    }
    pool.close_idle();
    base.token.take()
}

/// Starts connects if anybody waits. Nobody else is reason enough here: a host that refuses is not
/// to be asked without end.
pub(super) fn connect_for_waiters<P: Pool>(pool: &Rc<P>) {
    if pool.base().waiters.len() > 0 {
        connect_if_needed(pool);
    }
}

/// Starts connects for those who wait and for those who are expected, as far as the limit allows.
pub(super) fn connect_if_needed<P: Pool>(pool: &Rc<P>) {
    let base = pool.base();
    for _ in 0..CONNECTS_MAX {
        if !pool.wants_connection() {
            return;
        }
        let (limits, limit) = (&base.context.limits, base.limit.as_ref());
        let token = limits.try_connection().and_then(|token| token.at_host(limit).ok());
        let token = match token {
            Some(token) => token,
            None => {
                base.stats().inc(ClusterStat::UpstreamCxOverflow);
                if base.open.get() > 0 {
                    return;
                }
                limits.connection_anyway().at_host_anyway(limit)
            }
        };
        base.context.tasks.spawn(connection(Rc::clone(pool), token));
    }
}

/// The life of one connection: the task that owns it.
fn connection<P: Pool>(pool: Rc<P>, token: ConnectionToken) -> impl Future<Output = ()> {
    pool.begins();
    let base = pool.base();
    // Counted from here, not from the first poll, which comes a turn later.
    let existence = Existence::begin(&base.context.reactor, &base.counts, token);
    let open = Counted::new(&pool, &base.open);
    let connecting = Counted::new(&pool, &base.connecting);
    async move {
        let base = pool.base();
        let connected = base.context.connector.connect(&base.address).await;
        drop(connecting);
        match connected {
            Ok(socket) => {
                let age = existence.age();
                base.stats().record_duration(ClusterStat::UpstreamCxConnectMs, age);
                Rc::clone(&pool).keep(socket, existence).await;
            }
            Err(error) => {
                let failure = connect::failed(&error, &base.counts, &existence, &base.address);
                drop(existence);
                base.waiters.tell_all(|| Err(failure.again()));
            }
        }
        drop(open);
        // A waiter whom only this connection could have served needs another one.
        connect_for_waiters(&pool);
    }
}

/// One more in a tally of a pool, until it is dropped.
struct Counted<P: Pool> {
    pool: Rc<P>,
    tallied: Option<Tallied>,
}

impl<P: Pool> Counted<P> {
    fn new(pool: &Rc<P>, tally: &Tally) -> Self {
        Self { pool: Rc::clone(pool), tallied: Some(tally.one()) }
    }
}

impl<P: Pool> Drop for Counted<P> {
    fn drop(&mut self) {
        self.tallied = None;
        self.pool.base().end_if_empty();
        // Whoever waited for a connect that ended by a panic must not wait for ever.
        if std::thread::panicking() {
            connect_for_waiters(&self.pool);
        }
    }
}
