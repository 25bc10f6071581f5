//! A cluster as one worker sees it, and the table of all of them.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use base::Address;
use config::model;
use net::{SendMeter, Stream};
use observe::names::{ClusterStat, HostStat};
use observe::{Scope, Shard};
use reactor::Reactor;

use crate::breaker::{Resource, WorkerLimits};
use crate::connect::{self, ConnectFailure, Tokens};
use crate::connection::{Counts, UpstreamConnection};
use crate::connector::{self, Connector};
use crate::http_pool::{HostPool, HttpHost, HttpPools};
use crate::round_robin::RoundRobin;
use crate::shared::Shared;
use crate::spares::AllSpares;

/// One cluster on one worker.
#[derive(Debug)]
pub struct Cluster {
    shared: Arc<Shared>,
    reactor: Reactor,
    stats: Scope<ClusterStat>,
    shard: Shard,
    limits: Rc<WorkerLimits>,
    /// What this worker counts of each host it has met.
    hosts: Box<[OnceCell<Scope<HostStat>>]>,
    balancer: RefCell<RoundRobin>,
    send_meter: Rc<SendMeter<ClusterStat>>,
    connector: Rc<Connector>,
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
        let stats = shared.scope().on(shard);
        let weights = shared.config().endpoints.iter().map(|endpoint| endpoint.weight);
        let balancer = RefCell::new(RoundRobin::new(weights, seed));
        let hosts = shared.hosts().map(|_| OnceCell::new()).collect();
        let send_meter = Rc::new(SendMeter::new(
            stats.clone(),
            ClusterStat::UpstreamCxTxBytesTotal,
            ClusterStat::UpstreamCxTxBytesBuffered,
        ));
        let connector = Rc::new(Connector::new(&reactor, shared.config()));
        let limits = WorkerLimits::new(shared.limits(), shard);
        let spares = (shared.config().preconnect_per_mille > 1000)
            .then(|| AllSpares::new(&shared, &limits, &reactor, &send_meter, &connector));
        Rc::new(Self {
            limits,
            spares,
            connector,
            shared,
            reactor,
            stats,
            shard: shard.clone(),
            hosts,
            balancer,
            send_meter,
            http: OnceCell::new(),
        })
    }

    /// Counts what is sent to the cluster's hosts.
    #[must_use]
    pub fn send_meter(&self) -> Rc<SendMeter<ClusterStat>> {
        Rc::clone(&self.send_meter)
    }

    /// What a connection for a client has to begin with: a header of the PROXY protocol, if the
    /// cluster is configured so. `ends` gives the client's address and the one it connected to.
    #[must_use]
    pub fn proxy_header(
        &self,
        ends: impl FnOnce() -> (Option<Address>, Option<Address>),
    ) -> Option<Box<[u8]>> {
        let config = self.shared.config().proxy_protocol.as_ref()?;
        let (remote, local) = ends();
        Some(connector::proxy_header(config, remote.as_ref(), local.as_ref()))
    }

    /// The next host in turn, for one HTTP/1 exchange. Connections that begin with a
    /// [`Cluster::proxy_header`] are shared only by those who have the same one.
    ///
    /// # Errors
    /// [`ConnectFailure::NoHealthyHost`]; it has been counted.
    pub fn http_host(&self, proxy_header: Option<Box<[u8]>>) -> Result<HttpHost, ConnectFailure> {
        let picked = self.balancer.borrow_mut().pick();
        let Some(pool) = picked.and_then(|index| self.http_pool(index, proxy_header)) else {
            // Envoy finds an empty cluster to be in panic before it finds no host in it.
            self.stats.inc(ClusterStat::LbHealthyPanic);
            self.stats.inc(ClusterStat::UpstreamCxNoneHealthy);
            return Err(ConnectFailure::NoHealthyHost);
        };
        Ok(HttpHost::new(&pool))
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &model::Cluster {
        self.shared.config()
    }

    /// The stats of this worker.
    #[must_use]
    pub fn stats(&self) -> &Scope<ClusterStat> {
        &self.stats
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
        let Some(token) = self.limits.try_acquire(Resource::Connections) else {
            self.stats.inc(ClusterStat::UpstreamCxOverflow);
            return Err(ConnectFailure::Overflow);
        };
        let config = self.shared.config();
        let index = self.balancer.borrow_mut().pick();
        let Some((index, (host, host_stats))) =
            index.and_then(|index| Some((index, self.host(index)?)))
        else {
            // Envoy finds an empty cluster to be in panic before it finds no host in it.
            self.stats.inc(ClusterStat::LbHealthyPanic);
            self.stats.inc(ClusterStat::UpstreamCxNoneHealthy);
            return Err(ConnectFailure::NoHealthyHost);
        };
        picked(&host.address);
        let counts = Counts { cluster: self.stats.clone(), host: host_stats.clone() };
        let spares = self.spares.as_ref();
        let spares = spares.and_then(|spares| spares.host(index, &host.address, &counts));
        if let Some(spares) = spares
            && let Some((stream, existence)) = spares.take()
        {
            drop(token);
            let used = spares.used();
            spares.connect_ahead(0);
            let address = host.address.clone();
            return Ok(UpstreamConnection::new(stream, address, existence, Some(used)));
        }
        let Some(waiting) = self.limits.try_acquire(Resource::Pending) else {
            self.stats.inc(ClusterStat::UpstreamRqPendingOverflow);
            return Err(ConnectFailure::PendingOverflow { host: host.address.clone() });
        };
        let tokens = Tokens { connection: token, waiting };
        let timeout = config.connect_timeout;
        let dialling = spares.map(|spares| spares.dialling());
        if let Some(spares) = spares {
            spares.connect_ahead(1);
        }
        let (reactor, connector) = (&self.reactor, &self.connector);
        let address = host.address.clone();
        let connecting = connect::connect(reactor, connector, counts, tokens, address, timeout);
        let (socket, existence) = connecting.await?;
        drop(dialling);
        let limit = config.per_connection_buffer_limit_bytes;
        let stream = Stream::new(reactor, socket, limit, self.send_meter.clone());
        let used = spares.map(|spares| spares.used());
        Ok(UpstreamConnection::new(stream, host.address.clone(), existence, used))
    }

    fn http_pool(&self, index: usize, proxy_header: Option<Box<[u8]>>) -> Option<Rc<HostPool>> {
        let (host, stats) = self.host(index)?;
        let counts = || Counts { cluster: self.stats.clone(), host: stats.clone() };
        let new = || {
            let (shared, limits) = (&self.shared, &self.limits);
            HttpPools::new(shared, limits, &self.reactor, &self.send_meter, &self.connector)
        };
        self.http.get_or_init(new).host(index, &host.address, proxy_header, counts)
    }

    /// The host at this place of the configuration, and what this worker counts of it.
    fn host(&self, index: usize) -> Option<(&model::Endpoint, &Scope<HostStat>)> {
        let host = self.shared.config().endpoints.get(index)?;
        let (stats, scope) = (self.hosts.get(index)?, self.shared.host(index)?);
        Some((host, stats.get_or_init(|| scope.on(&self.shard))))
    }
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
