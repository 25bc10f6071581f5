//! The HTTP/1 connections of one worker to one cluster: kept open, lent to one exchange at a time.
//!
//! Every connection is a task of the pool, from its connect to its close; while it is idle that
//! task watches it. An exchange borrows it as a [`HttpStream`]. As Envoy does it: a request takes
//! the idle connection that was used last; if there is none it waits, a connect is started if
//! there are more waiting than connecting, and whichever connection is ready first serves whoever
//! has waited longest.
//!
//! ```text
//! connecting --connected--> idle <--given back-- lent --broken, last request--> closed
//!      \--refused, late--> gone     \--host closed, idle_timeout, unasked bytes--> closed
//! ```
//! **Invariant:** a connection is lent to one exchange at most, and only the task that has it
//! reads from it.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/connection_pooling>

mod connection;
mod host;
mod lent;

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use base::Address;
use observe::names::ClusterStat;

pub(crate) use host::HostPool;
pub use lent::HttpStream;

use crate::breaker::{Resource, Token};
use crate::connect::ConnectFailure;
use crate::context::Context;
use crate::existence::Counts;

/// A host that was picked for an exchange.
#[derive(Debug)]
pub struct HttpHost {
    pool: Rc<HostPool>,
}

impl HttpHost {
    fn new(pool: Rc<HostPool>) -> Self {
        pool.enter();
        Self { pool }
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &Address {
        self.pool.address()
    }

    /// A connection to it: an idle one at once, or whichever is connected or given back first.
    ///
    /// # Errors
    /// [`ConnectFailure`] says what forbade it; it has been counted.
    pub async fn stream(&self) -> Result<HttpStream, ConnectFailure> {
        self.pool.stream().await
    }
}

impl Drop for HttpHost {
    fn drop(&mut self) {
        self.pool.leave();
    }
}

/// The pools of a cluster's hosts on one worker.
#[derive(Debug)]
pub(crate) struct HttpPools {
    context: Rc<Context>,
    /// Made when the host is first picked.
    hosts: Box<[OnceCell<Rc<HostPool>>]>,
    /// By host and by what each of their connections began with. A pool without connections and
    /// without waiting exchanges is gone.
    by_header: RefCell<HashMap<PoolKey, Weak<HostPool>>>,
}

/// A host's place in the configuration, and what connections to it begin with.
type PoolKey = (usize, Box<[u8]>);

impl HttpPools {
    /// Pools for the cluster's hosts; nothing is connected yet.
    pub(crate) fn new(context: &Rc<Context>) -> Self {
        let hosts = context.shared.hosts().map(|_| OnceCell::new()).collect();
        Self { context: Rc::clone(context), hosts, by_header: RefCell::default() }
    }

    /// The host at this place of the configuration, which is at `address` and counted in `counts`,
    /// with the pool whose connections begin with `header`. None if that would be one pool too
    /// many, which has been counted.
    pub(crate) fn host(
        &self,
        index: usize,
        address: &Address,
        header: Option<Box<[u8]>>,
        counts: impl FnOnce() -> Counts,
    ) -> Option<HttpHost> {
        let pool = self.pool(index, address, header, counts)?;
        if !pool.counts_as_one() {
            let limits = &self.context.limits;
            let token = limits.try_acquire(Resource::Pools).or_else(|| self.end_one(index));
            let Some(token) = token else {
                self.context.stats.inc(ClusterStat::UpstreamCxPoolOverflow);
                return None;
            };
            pool.count_as_one(token);
        }
        Some(HttpHost::new(pool))
    }

    /// Ends a pool of the host that nobody uses, if there is one. What it counted as is another's
    /// to give back.
    fn end_one(&self, index: usize) -> Option<Token> {
        let plain = self.hosts.get(index)?.get();
        if let Some(token) = plain.and_then(|pool| pool.end_unless_used()) {
            return Some(token);
        }
        let by_header = self.by_header.borrow();
        let of_host = by_header.iter().filter(|((of, _), _)| *of == index);
        of_host.filter_map(|(_, pool)| pool.upgrade()).find_map(|pool| pool.end_unless_used())
    }

    fn pool(
        &self,
        index: usize,
        address: &Address,
        header: Option<Box<[u8]>>,
        counts: impl FnOnce() -> Counts,
    ) -> Option<Rc<HostPool>> {
        let pool = |header| {
            let (context, address) = (Rc::clone(&self.context), address.clone());
            let limit = self.context.shared.host_limit(index).cloned();
            Rc::new(HostPool::new(context, address, header, counts(), limit))
        };
        let Some(header) = header else {
            return Some(Rc::clone(self.hosts.get(index)?.get_or_init(|| pool(None))));
        };
        let mut pools = self.by_header.borrow_mut();
        if let Some(pool) = pools.get(&(index, header.clone())).and_then(Weak::upgrade) {
            return Some(pool);
        }
        // Each client brings a key of its own; those that are gone make room.
        if pools.len() == pools.capacity() {
            pools.retain(|_, pool| pool.strong_count() > 0);
        }
        let pool = pool(Some(header.clone()));
        pools.insert((index, header), Rc::downgrade(&pool));
        Some(pool)
    }
}
