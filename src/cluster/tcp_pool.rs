//! The TCP connections of one worker to one host, where somebody must know them all: to connect
//! some ahead of their users (`preconnect_policy`), or to keep to a limit of the host's own
//! (`per_host_thresholds`).
//!
//! A connection belongs to whoever it was given to, for good. One that was made ahead is a task
//! from its connect until it is taken, and watches for the host's end; what the host sends
//! meanwhile waits for who takes it (row C18). Any other is dialled by its user, who waits before
//! that until there is room at the host, as Envoy's users wait in their pool.
//!
//! ```text
//! connecting --connected--> ready --taken--> an UpstreamConnection
//!      \--refused, late--> gone  \--host closed, idle_timeout--> closed
//! ```
//! **Invariant:** while one user has a connection, or dials one, no more are connected ahead than
//! the ratio says.
//! **Invariant:** nobody waits for room at a host to which this worker has no connection.

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Poll, Waker};

use base::{Address, Limit};
use net::Stream;
use observe::names::ClusterStat;

use crate::breaker::ConnectionToken;
use crate::connect;
use crate::context::Context;
use crate::existence::{ClosedBy, Counts, Existence};
use crate::preconnect::{CONNECTS_MAX, wants_connection};
use crate::tally::{Tallied, Tally};
use crate::waiters::Waiters;

/// The pools of a cluster's hosts on one worker.
#[derive(Debug)]
pub(crate) struct TcpPools {
    context: Rc<Context>,
    /// Made when the host is first picked.
    hosts: Box<[OnceCell<Rc<TcpPool>>]>,
    /// Those of clients that share connections only with their like. A pool without connections
    /// and without waiting users is gone.
    by_likeness: RefCell<HashMap<PoolKey, Weak<TcpPool>>>,
}

/// A host's place in the configuration, and what users of the pool have in common.
type PoolKey = (usize, Box<[u8]>);

impl TcpPools {
    pub(crate) fn new(context: &Rc<Context>) -> Self {
        let hosts = context.shared.hosts().map(|_| OnceCell::new()).collect();
        Self { context: Rc::clone(context), hosts, by_likeness: RefCell::default() }
    }

    /// Closes the connections to the host at this place of the configuration that nobody has.
    pub(crate) fn drain(&self, index: usize) {
        if let Some(pool) = self.hosts.get(index).and_then(OnceCell::get) {
            pool.drain();
        }
        let by_likeness = self.by_likeness.borrow();
        let of_host = by_likeness.iter().filter(|((of, _), _)| *of == index);
        let pools: Vec<_> = of_host.filter_map(|(_, pool)| pool.upgrade()).collect();
        drop(by_likeness);
        pools.iter().for_each(|pool| pool.drain());
    }

    /// The pool of the host at this place of the configuration, which is at `address` and counted
    /// in `counts`; of several pools the one of users with this likeness.
    pub(crate) fn host(
        &self,
        index: usize,
        address: &Address,
        counts: &Counts,
        likeness: &[u8],
    ) -> Option<Rc<TcpPool>> {
        let new = || {
            let (address, counts) = (address.clone(), counts.clone());
            let limit = self.context.shared.host_limit(index).cloned();
            Rc::new(TcpPool::new(&self.context, address, counts, limit))
        };
        if likeness.is_empty() {
            return Some(Rc::clone(self.hosts.get(index)?.get_or_init(new)));
        }
        let key = (index, Box::from(likeness));
        let mut pools = self.by_likeness.borrow_mut();
        if let Some(pool) = pools.get(&key).and_then(Weak::upgrade) {
            return Some(pool);
        }
        // Each client may bring a key of its own; those that are gone make room.
        if pools.len() == pools.capacity() {
            pools.retain(|_, pool| pool.strong_count() > 0);
        }
        let pool = new();
        pools.insert(key, Rc::downgrade(&pool));
        Some(pool)
    }
}

#[cfg(test)]
impl TcpPools {
    /// How many pools of users with a likeness are known.
    pub(crate) fn alike(&self) -> usize {
        self.by_likeness.borrow().len()
    }
}

/// The pool of one host.
#[derive(Debug)]
pub(crate) struct TcpPool {
    context: Rc<Context>,
    address: Address,
    counts: Counts,
    /// The longest connected first.
    ready: RefCell<VecDeque<Rc<Spare>>>,
    connecting: Tally,
    /// Users that dial a connection of their own.
    dialling: Tally,
    /// Users that have one.
    used: Tally,
    /// Users that may not dial yet.
    waiters: Waiters<Turn>,
    /// How many connections all workers together may have to the host.
    limit: Option<Arc<Limit>>,
}

/// What a user gets.
#[derive(Debug)]
pub(crate) enum Turn {
    /// It may dial a connection, and counts among those who do.
    Dial(ConnectionToken, InPool),
    /// One that was made ahead.
    Connected(Stream, Existence),
}

/// One more in a tally of a pool, until it is dropped: those who wait hear of its end.
#[derive(Debug)]
pub(crate) struct InPool {
    pool: Rc<TcpPool>,
    tallied: Option<Tallied>,
}

impl InPool {
    fn new(pool: &Rc<TcpPool>, tally: &Tally) -> Self {
        Self { pool: Rc::clone(pool), tallied: Some(tally.one()) }
    }
}

impl Drop for InPool {
    fn drop(&mut self) {
        self.tallied = None;
        self.pool.connect_for_waiters();
    }
}

/// A connected one; empty once it was taken.
#[derive(Debug)]
struct Spare {
    connection: RefCell<Option<(Stream, Existence)>>,
    task: RefCell<Option<Waker>>,
}

/// Why the task of a spare ends.
enum End {
    Taken,
    HostClosed,
    IdleTimeout,
}

impl TcpPool {
    fn new(
        context: &Rc<Context>,
        address: Address,
        counts: Counts,
        limit: Option<Arc<Limit>>,
    ) -> Self {
        Self {
            context: Rc::clone(context),
            address,
            counts,
            ready: RefCell::default(),
            connecting: Tally::default(),
            dialling: Tally::default(),
            used: Tally::default(),
            waiters: Waiters::default(),
            limit,
        }
    }

    /// The one that has been ready for longest, and about which there is no news.
    pub(crate) fn take(&self) -> Option<(Stream, Existence)> {
        while let Some(spare) = self.ready.borrow_mut().pop_front() {
            let taken = spare.connection.take();
            if let Some(task) = spare.task.take() {
                task.wake();
            }
            // A banner is no end; whoever takes the connection reads it.
            if let Some((stream, existence)) = taken {
                if !stream.receiver().is_ended() {
                    return Some((stream, existence));
                }
                existence.set_closed_by(ClosedBy::Remote);
            }
        }
        None
    }

    #[cfg(test)]
    pub(crate) fn ready_connections(&self) -> usize {
        self.ready.borrow().len()
    }

    fn drain(&self) {
        let ready = std::mem::take(&mut *self.ready.borrow_mut());
        for spare in ready {
            drop(spare.connection.take());
            if let Some(task) = spare.task.take() {
                task.wake();
            }
        }
    }

    /// Waits until a user who has `token` may dial. Until then the token is others'.
    pub(crate) async fn turn(self: &Rc<Self>, token: ConnectionToken) -> Turn {
        match self.turn_now(token) {
            Some(turn) => turn,
            None => self.turn_later().await,
        }
    }

    fn turn_now(self: &Rc<Self>, token: ConnectionToken) -> Option<Turn> {
        if self.waiters.len() > 0 {
            return None;
        }
        let token = match token.at_host(self.limit.as_ref()) {
            Ok(token) => token,
            Err(token) if self.is_empty() => {
                self.counts.cluster.inc(ClusterStat::UpstreamCxOverflow);
                token.at_host_anyway(self.limit.as_ref())
            }
            Err(_) => return None,
        };
        let dialling = InPool::new(self, &self.dialling);
        self.connect_ahead(1);
        Some(Turn::Dial(token, dialling))
    }

    async fn turn_later(self: &Rc<Self>) -> Turn {
        let give_back = |turn| {
            drop(turn);
            self.connect_for_waiters();
        };
        let mut wait = pin!(self.waiters.wait(give_back));
        let mut asked = false;
        poll_fn(|context| {
            let polled = wait.as_mut().poll(context);
            // Once there is one more in the queue.
            if !std::mem::replace(&mut asked, true) {
                self.connect_ahead(0);
            }
            polled
        })
        .await
    }

    /// A user has a connection, for as long as the answer lives.
    pub(crate) fn used(self: &Rc<Self>) -> Box<InPool> {
        Box::new(InPool::new(self, &self.used))
    }

    /// Whether this worker has no connection to the host, and dials none.
    fn is_empty(&self) -> bool {
        let open = self.connecting.get() + self.dialling.get() + self.used.get();
        open + self.ready.borrow().len() == 0
    }

    /// Lets those dial who wait for it, as far as there is room.
    fn connect_for_waiters(self: &Rc<Self>) {
        if self.waiters.len() > 0 {
            self.connect_ahead(0);
        }
    }

    /// Lets users dial and starts connects, as the ratio says and the limits allow. `dialled` were
    /// started for the same event already.
    pub(crate) fn connect_ahead(self: &Rc<Self>, dialled: usize) {
        let Context { limits, shared, tasks, .. } = &*self.context;
        let per_mille = shared.config().preconnect_per_mille;
        for _ in dialled..CONNECTS_MAX {
            let dialling = self.dialling.get();
            let unused = dialling + self.connecting.get() + self.ready.borrow().len();
            let waiting = dialling + self.waiters.len();
            if !wants_connection(waiting, self.used.get(), unused, per_mille) {
                return;
            }
            let limit = self.limit.as_ref();
            let token = limits.try_connection().and_then(|token| token.at_host(limit).ok());
            let token = match token {
                Some(token) => token,
                None => {
                    self.counts.cluster.inc(ClusterStat::UpstreamCxOverflow);
                    if !self.is_empty() {
                        return;
                    }
                    limits.connection_anyway().at_host_anyway(limit)
                }
            };
            let turn = Turn::Dial(token, InPool::new(self, &self.dialling));
            if let Some(Turn::Dial(token, dialling)) = self.waiters.serve(turn) {
                drop(dialling);
                tasks.spawn(Rc::clone(self).spare(token));
            }
        }
    }

    /// The life of one spare.
    fn spare(self: Rc<Self>, token: ConnectionToken) -> impl Future<Output = ()> {
        // Counted from here, not from the first poll, which comes a turn later.
        let existence = Existence::begin(&self.context.reactor, &self.counts, token);
        let connecting = self.connecting.one();
        async move {
            let connected = self.context.connector.connect(&self.address).await;
            drop(connecting);
            match connected {
                Ok(socket) => {
                    let age = existence.age();
                    self.counts.cluster.record_duration(ClusterStat::UpstreamCxConnectMs, age);
                    let turn = Turn::Connected(self.context.stream(socket), existence);
                    if let Some(Turn::Connected(stream, existence)) = self.waiters.serve(turn) {
                        self.keep(stream, existence).await;
                    }
                }
                Err(error) => {
                    // It is counted; nobody waits to be told.
                    connect::failed(&error, &self.counts, &existence, &self.address);
                    drop(existence);
                }
            }
            self.connect_for_waiters();
        }
    }

    /// Keeps a connection until it is taken or ends.
    async fn keep(&self, stream: Stream, existence: Existence) {
        let connection = RefCell::new(Some((stream, existence)));
        let spare = Rc::new(Spare { connection, task: RefCell::default() });
        self.ready.borrow_mut().push_back(Rc::clone(&spare));
        let idle_timeout = self.context.shared.config().tcp.idle_timeout;
        let mut expiry = pin!(idle_timeout.map(|timeout| self.context.reactor.sleep(timeout)));
        let end = poll_fn(|context| {
            let connection = spare.connection.borrow();
            let Some((stream, _)) = &*connection else { return Poll::Ready(End::Taken) };
            *spare.task.borrow_mut() = Some(context.waker().clone());
            if stream.receiver().poll_end(context).is_ready() {
                return Poll::Ready(End::HostClosed);
            }
            match expiry.as_mut().as_pin_mut() {
                Some(expiry) => expiry.poll(context).map(|()| End::IdleTimeout),
                None => Poll::Pending,
            }
        });
        let end = end.await;
        self.ready.borrow_mut().retain(|other| !Rc::ptr_eq(other, &spare));
        let connection = spare.connection.take();
        match (end, &connection) {
            (End::HostClosed, Some((_, existence))) => existence.set_closed_by(ClosedBy::Remote),
            (End::IdleTimeout, _) => self.counts.cluster.inc(ClusterStat::UpstreamCxIdleTimeout),
            (End::Taken | End::HostClosed, _) => {}
        }
    }
}
