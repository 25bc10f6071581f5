//! TCP connections to one host that nobody has asked for yet (`preconnect_policy`).
//!
//! A connection belongs to whoever it was given to, for good; so there is no pool, only what was
//! connected ahead. Each is a task from its connect until it is taken, and watches for the host's
//! end. What the host sends meanwhile waits for who takes it (row C18).
//!
//! ```text
//! connecting --connected--> ready --taken--> an UpstreamConnection
//!      \--refused, late--> gone  \--host closed, idle_timeout--> closed
//! ```
//! **Invariant:** while one user has a connection, or dials one, no more are connected ahead than
//! the ratio says.

use std::cell::{OnceCell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use base::Address;
use net::Stream;
use observe::names::ClusterStat;

use crate::breaker::{Resource, Token};
use crate::connect;
use crate::connection::{ClosedBy, Counts, Existence};
use crate::context::Context;
use crate::preconnect::{CONNECTS_MAX, wants_connection};
use crate::tally::{Tallied, Tally};

/// The spares of a cluster's hosts on one worker.
#[derive(Debug)]
pub(crate) struct AllSpares {
    context: Rc<Context>,
    /// Made when the host is first picked.
    hosts: Box<[OnceCell<Rc<Spares>>]>,
}

impl AllSpares {
    pub(crate) fn new(context: &Rc<Context>) -> Self {
        let hosts = context.shared.hosts().map(|_| OnceCell::new()).collect();
        Self { context: Rc::clone(context), hosts }
    }

    /// The spares of the host at this place of the configuration, which is at `address` and counted
    /// in `counts`.
    pub(crate) fn host(
        &self,
        index: usize,
        address: &Address,
        counts: &Counts,
    ) -> Option<&Rc<Spares>> {
        let new = || {
            let (address, counts) = (address.clone(), counts.clone());
            Rc::new(Spares::new(&self.context, address, counts))
        };
        Some(self.hosts.get(index)?.get_or_init(new))
    }
}

/// The spares of one host.
#[derive(Debug)]
pub(crate) struct Spares {
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

impl Spares {
    fn new(context: &Rc<Context>, address: Address, counts: Counts) -> Self {
        Self {
            context: Rc::clone(context),
            address,
            counts,
            ready: RefCell::default(),
            connecting: Tally::default(),
            dialling: Tally::default(),
            used: Tally::default(),
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

    /// A user dials a connection of its own, for as long as the answer lives.
    pub(crate) fn dialling(&self) -> Tallied {
        self.dialling.one()
    }

    /// A user has a connection, for as long as the answer lives.
    pub(crate) fn used(&self) -> Tallied {
        self.used.one()
    }

    /// Starts connects as the ratio says and the limit allows. `dialled` were started for the same
    /// event already.
    pub(crate) fn connect_ahead(self: &Rc<Self>, dialled: usize) {
        let per_mille = self.context.shared.config().preconnect_per_mille;
        for _ in dialled..CONNECTS_MAX {
            let dialling = self.dialling.get();
            let unused = dialling + self.connecting.get() + self.ready.borrow().len();
            if !wants_connection(dialling, self.used.get(), unused, per_mille) {
                return;
            }
            let Some(token) = self.context.limits.try_acquire(Resource::Connections) else {
                return self.counts.cluster.inc(ClusterStat::UpstreamCxOverflow);
            };
            self.context.tasks.spawn(Rc::clone(self).spare(token));
        }
    }

    /// The life of one spare.
    fn spare(self: Rc<Self>, token: Token) -> impl Future<Output = ()> {
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
                    self.keep(self.context.stream(socket), existence).await;
                }
                Err(error) => {
                    // It is counted; nobody waits to be told.
                    connect::failed(&error, &self.counts, &existence, &self.address);
                }
            }
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
