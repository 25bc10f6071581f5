//! HTTP connections of one worker to one cluster, kept open and lent to exchanges.
//!
//! There is a pool for each host and protocol. Whatever the protocol, every connection is a task of
//! its pool from its connect to its close; who finds no room waits in a queue; connects are
//! started, bounded and counted alike ([`pool`]). What a connection carries is its protocol's
//! matter: [`http1`] lends it to one exchange at a time, [`http2`] shares it.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/connection_pooling>

mod http1;
mod http2;
mod pool;
mod table;

use std::rc::Rc;

use base::Address;
use config::model::UpstreamProtocol;
use observe::Scope;
use observe::names::{ClusterStat, HostStat};
use proto::Version;

pub use http1::Http1Stream;
pub use http2::Http2Stream;

use crate::breaker::Resource;
use crate::connect::ConnectFailure;
use crate::context::Context;
use crate::existence::Counts;
use crate::outlier::Monitor;
use http1::Http1Pool;
use http2::Http2Pool;
use pool::{Pool, PoolBase};
use table::PoolTable;

/// A host that was picked for an exchange.
#[derive(Debug)]
pub struct HttpHost {
    pool: PickedPool,
    monitor: Option<Rc<Monitor>>,
}

/// The pool of a host, which counts as picked.
#[derive(Debug)]
pub(crate) struct PickedPool(HostPool);

impl Drop for PickedPool {
    fn drop(&mut self) {
        match &self.0 {
            HostPool::Http1(pool) => pool.base().leave(),
            HostPool::Http2(pool) => pool.base().leave(),
        }
    }
}

#[derive(Debug)]
enum HostPool {
    Http1(Rc<Http1Pool>),
    Http2(Rc<Http2Pool>),
}

/// What an exchange sends its request by, and gets its response by.
#[derive(Debug)]
pub enum HttpStream {
    /// A connection of its own.
    Http1(Http1Stream),
    /// A stream of a connection that carries others too.
    Http2(Http2Stream),
}

impl HttpHost {
    pub(crate) fn new(pool: PickedPool, monitor: Option<Rc<Monitor>>) -> Self {
        Self { pool, monitor }
    }

    /// What is to be told what comes of the exchange, if outliers are detected.
    #[must_use]
    pub fn monitor(&self) -> Option<&Rc<Monitor>> {
        self.monitor.as_ref()
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &Address {
        match &self.pool.0 {
            HostPool::Http1(pool) => &pool.base().address,
            HostPool::Http2(pool) => &pool.base().address,
        }
    }

    /// The host's stats on this worker.
    #[must_use]
    pub fn stats(&self) -> &Scope<HostStat> {
        match &self.pool.0 {
            HostPool::Http1(pool) => &pool.base().counts.host,
            HostPool::Http2(pool) => &pool.base().counts.host,
        }
    }

    /// A stream to it: at once if a connection has room, or when one is connected or has room
    /// again.
    ///
    /// # Errors
    /// [`ConnectFailure`] says what forbade it; it has been counted.
    pub async fn stream(&self) -> Result<HttpStream, ConnectFailure> {
        match &self.pool.0 {
            HostPool::Http1(pool) => pool.stream().await.map(HttpStream::Http1),
            HostPool::Http2(pool) => pool.stream().await.map(HttpStream::Http2),
        }
    }
}

/// The pools of a cluster's hosts on one worker.
#[derive(Debug)]
pub(crate) struct HttpPools {
    context: Rc<Context>,
    http1: PoolTable<Http1Pool>,
    http2: PoolTable<Http2Pool>,
}

impl HttpPools {
    /// Pools for the cluster's hosts; nothing is connected yet.
    pub(crate) fn new(context: &Rc<Context>) -> Self {
        let hosts = context.shared.hosts().count();
        let (http1, http2) = (PoolTable::new(hosts), PoolTable::new(hosts));
        Self { context: Rc::clone(context), http1, http2 }
    }

    /// The host at this place of the configuration, which is at `address` and counted in `counts`.
    /// Connections that begin with `header` are shared only by those who have the same one.
    /// `request` is what the request came in, if there is one. None if that would be one pool too
    /// many, which has been counted.
    pub(crate) fn host(
        &self,
        index: usize,
        address: &Address,
        request: Option<Version>,
        header: Option<Box<[u8]>>,
        counts: impl FnOnce() -> Counts,
    ) -> Option<PickedPool> {
        let is_http2 = match self.context.shared.config().http.protocol {
            UpstreamProtocol::Http1 => false,
            UpstreamProtocol::Http2 => true,
            UpstreamProtocol::Downstream { names_http2 } => {
                request.map_or(names_http2, |version| version == Version::Http2)
            }
        };
        let (context, address) = (Rc::clone(&self.context), address.clone());
        let limit = context.shared.host_limit(index).cloned();
        let pool = if is_http2 {
            let base = |header| PoolBase::new(context, address, header, counts(), limit);
            let pool = self.http2.host(index, header, |header| Http2Pool::new(base(header)))?;
            HostPool::Http2(self.enter(index, pool)?)
        } else {
            let base = |header| PoolBase::new(context, address, header, counts(), limit);
            let pool = self.http1.host(index, header, |header| Http1Pool::new(base(header)))?;
            HostPool::Http1(self.enter(index, pool)?)
        };
        Some(PickedPool(pool))
    }

    /// Closes the connections to the host at this place of the configuration, each once nobody has
    /// it.
    pub(crate) fn drain(&self, index: usize) {
        self.http1.drain(index);
        self.http2.drain(index);
    }

    /// Books that a pool of the host is picked. None if it would be one pool too many, which is
    /// counted.
    fn enter<P: Pool>(&self, index: usize, pool: Rc<P>) -> Option<Rc<P>> {
        let base = pool.base();
        if !base.counts_as_one() {
            let limits = &self.context.limits;
            let end_one = || self.http1.end_one(index).or_else(|| self.http2.end_one(index));
            let Some(token) = limits.try_acquire(Resource::Pools).or_else(end_one) else {
                self.context.stats.inc(ClusterStat::UpstreamCxPoolOverflow);
                return None;
            };
            base.count_as_one(token);
        }
        base.enter();
        Some(pool)
    }
}
