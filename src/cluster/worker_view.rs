//! A cluster as one worker sees it, and the table of all of them.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use base::Address;
use config::model;
use net::SendMeter;
use observe::names::{ClusterStat, HostStat};
use observe::{Scope, Shard};
use reactor::Reactor;

use crate::breaker::Resource;
use crate::connect::{self, ConnectFailure, Tokens};
use crate::connection::{Counts, UpstreamConnection};
use crate::connector;
use crate::context::Context;
use crate::http_pool::{HttpHost, HttpPools};
use crate::round_robin::RoundRobin;
use crate::shared::Shared;
use crate::spares::AllSpares;

/// One cluster on one worker.
#[derive(Debug)]
pub struct Cluster {
    context: Rc<Context>,
    shard: Shard,
    /// What this worker counts of each host it has met.
    hosts: Box<[OnceCell<Scope<HostStat>>]>,
    balancer: RefCell<RoundRobin>,
    /// Made when the first HTTP request comes.
    http: OnceCell<HttpPools>,
    /// TCP connections made ahead, by host; only with a ratio above one.
    spares: Option<AllSpares>,
}

impl Cluster {
    /// The view of the worker that owns `shard` and `reactor`. `seed` chooses where its rotation
    /// of hosts begins; workers should have different ones.
    #[must_use]
    pub fn new(shared: Arc<Shared>, reactor: Reactor, shard: &Shard, seed: u64) -> Rc<Self> {
        let config = shared.config();
        let weights = config.endpoints.iter().map(|endpoint| endpoint.weight);
        let balancer = RefCell::new(RoundRobin::new(weights, seed));
        let hosts = shared.hosts().map(|_| OnceCell::new()).collect();
        let preconnects = config.preconnect_per_mille > 1000;
        let context = Context::new(shared, reactor, shard);
        Rc::new(Self {
            spares: preconnects.then(|| AllSpares::new(&context)),
            context,
            shard: shard.clone(),
            hosts,
            balancer,
            http: OnceCell::new(),
        })
    }

    /// Counts what is sent to the cluster's hosts.
    #[must_use]
    pub fn send_meter(&self) -> Rc<SendMeter<ClusterStat>> {
        Rc::clone(&self.context.send_meter)
    }

    /// What a connection for a client has to begin with: a header of the PROXY protocol, if the
    /// cluster is configured so. `ends` gives the client's address and the one it connected to.
    #[must_use]
    pub fn proxy_header(
        &self,
        ends: impl FnOnce() -> (Option<Address>, Option<Address>),
    ) -> Option<Box<[u8]>> {
        let config = self.config().proxy_protocol.as_ref()?;
        let (remote, local) = ends();
        Some(connector::proxy_header(config, remote.as_ref(), local.as_ref()))
    }

    /// The next host in turn, for one HTTP/1 exchange. Connections that begin with a
    /// [`Cluster::proxy_header`] are shared only by those who have the same one.
    ///
    /// # Errors
    /// [`ConnectFailure::NoHealthyHost`]; it has been counted.
    pub fn http_host(&self, proxy_header: Option<Box<[u8]>>) -> Result<HttpHost, ConnectFailure> {
        let Picked { index, host, stats } = self.pick()?;
        let pools = self.http.get_or_init(|| HttpPools::new(&self.context));
        let pool = pools.host(index, &host.address, proxy_header, || self.counts(stats));
        Ok(HttpHost::new(&pool.ok_or(ConnectFailure::NoHealthyHost)?))
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &model::Cluster {
        self.context.shared.config()
    }

    /// The stats of this worker.
    #[must_use]
    pub fn stats(&self) -> &Scope<ClusterStat> {
        &self.context.stats
    }

    /// Connects to the next host in turn. One call is one attempt; each may meet another host,
    /// which `picked` is told about before it is connected to.
    ///
    /// Checks as Envoy does: first the connection breaker (row C9), then whether there is a host
    /// (row C14), then whether there is room to wait for it (row D7), then the connect itself,
    /// which `connect_timeout` bounds. Dropping the future
    /// gives the attempt up and leaves every gauge as it was.
    ///
    /// # Errors
    /// [`ConnectFailure`] says which of these failed. It has been counted, except the attempts:
    /// who gives up after the last one counts `upstream_cx_connect_attempts_exceeded`.
    pub async fn connect(
        &self,
        picked: impl FnOnce(&Address),
    ) -> Result<UpstreamConnection, ConnectFailure> {
        let limits = &self.context.limits;
        let Some(token) = limits.try_acquire(Resource::Connections) else {
            self.stats().inc(ClusterStat::UpstreamCxOverflow);
            return Err(ConnectFailure::Overflow);
        };
        let Picked { index, host, stats } = self.pick()?;
        let counts = self.counts(stats);
        let address = &host.address;
        picked(address);
        let spares = self.spares.as_ref();
        let spares = spares.and_then(|spares| spares.host(index, address, &counts));
        if let Some(spares) = spares
            && let Some((stream, existence)) = spares.take()
        {
            drop(token);
            let used = spares.used();
            spares.connect_ahead(0);
            return Ok(UpstreamConnection::new(stream, address.clone(), existence, Some(used)));
        }
        let Some(waiting) = limits.try_acquire(Resource::Pending) else {
            self.stats().inc(ClusterStat::UpstreamRqPendingOverflow);
            return Err(ConnectFailure::PendingOverflow { host: address.clone() });
        };
        let tokens = Tokens { connection: token, waiting };
        let dialling = spares.map(|spares| spares.dialling());
        if let Some(spares) = spares {
            spares.connect_ahead(1);
        }
        let (stream, existence) = connect::connect(&self.context, counts, tokens, address).await?;
        drop(dialling);
        let used = spares.map(|spares| spares.used());
        Ok(UpstreamConnection::new(stream, address.clone(), existence, used))
    }

    /// The next host in turn.
    fn pick(&self) -> Result<Picked<'_>, ConnectFailure> {
        let index = self.balancer.borrow_mut().pick();
        index.and_then(|index| self.host(index)).ok_or_else(|| {
            // Envoy finds an empty cluster to be in panic before it finds no host in it.
            self.stats().inc(ClusterStat::LbHealthyPanic);
            self.stats().inc(ClusterStat::UpstreamCxNoneHealthy);
            ConnectFailure::NoHealthyHost
        })
    }

    fn host(&self, index: usize) -> Option<Picked<'_>> {
        let shared = &self.context.shared;
        let host = shared.config().endpoints.get(index)?;
        let (stats, scope) = (self.hosts.get(index)?, shared.host(index)?);
        let stats = stats.get_or_init(|| scope.on(&self.shard));
        Some(Picked { index, host, stats })
    }

    fn counts(&self, host: &Scope<HostStat>) -> Counts {
        Counts { cluster: self.stats().clone(), host: host.clone() }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.context.tasks.abort_all();
    }
}

/// A host that was picked.
struct Picked<'a> {
    /// Its place in the configuration.
    index: usize,
    host: &'a model::Endpoint,
    stats: &'a Scope<HostStat>,
}

/// Every cluster of the configuration on one worker, by name.
#[derive(Debug, Default)]
pub struct Clusters {
    by_name: HashMap<String, Rc<Cluster>>,
}

impl Clusters {
    /// The cluster called `name`, which the configuration may lack (row C6).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Rc<Cluster>> {
        self.by_name.get(name).cloned()
    }
}

impl FromIterator<Rc<Cluster>> for Clusters {
    /// Names are unique in a checked configuration; of two equal ones the later would count.
    fn from_iter<T: IntoIterator<Item = Rc<Cluster>>>(clusters: T) -> Self {
        let named = |cluster: Rc<Cluster>| (cluster.config().name.clone(), cluster);
        Self { by_name: clusters.into_iter().map(named).collect() }
    }
}

#[cfg(test)]
mod tests;
