//! A cluster as one worker sees it, and the table of all of them.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use base::Address;
use config::model;
use net::SendMeter;
use observe::names::{ClusterStat, HostStat, UpstreamProxyProtocolStat};
use observe::{Scope, Shard};
use proto::Version;
use reactor::Reactor;

use crate::balancer::Balancer;
use crate::breaker::Resource;
use crate::connect::{self, ConnectFailure, Waiting};
use crate::connection::UpstreamConnection;
use crate::context::Context;
use crate::existence::Counts;
use crate::http_pool::{HttpHost, HttpPools};
use crate::introduction::{self, Client};
use crate::outlier::Monitor;
use crate::shared::Shared;
use crate::tcp_pool::{TcpPool, TcpPools, Turn};

/// One cluster on one worker.
#[derive(Debug)]
pub struct Cluster {
    context: Rc<Context>,
    shard: Shard,
    /// The hosts that this worker has met.
    hosts: Box<[OnceCell<MetHost>]>,
    balancer: RefCell<Balancer>,
    /// Made when the first HTTP request comes.
    http: OnceCell<HttpPools>,
    /// By host; only where connections are made ahead, or hosts have limits of their own.
    tcp: Option<TcpPools>,
    /// If connections begin with a header of the PROXY protocol.
    proxy_protocol_stats: Option<Scope<UpstreamProxyProtocolStat>>,
}

impl Cluster {
    /// The view of the worker that owns `shard` and `reactor`. `seed` chooses where its rotation
    /// of hosts begins; workers should have different ones.
    #[must_use]
    pub fn new(shared: Arc<Shared>, reactor: Reactor, shard: &Shard, seed: u64) -> Rc<Self> {
        let config = shared.config();
        let balancer = Balancer::new(config, shared.panic(), shared.watched().cloned(), seed);
        let hosts = shared.hosts().map(|_| OnceCell::new()).collect();
        let needs_pools =
            config.preconnect_per_mille > 1000 || config.host_connections_max.is_some();
        let proxy_protocol_stats = shared.proxy_protocol().map(|stats| stats.on(shard));
        let context = Context::new(shared, reactor, shard, seed);
        Rc::new(Self {
            tcp: needs_pools.then(|| TcpPools::new(&context)),
            context,
            shard: shard.clone(),
            hosts,
            balancer: RefCell::new(balancer),
            http: OnceCell::new(),
            proxy_protocol_stats,
        })
    }

    /// Counts what is sent to the cluster's hosts.
    #[must_use]
    pub fn send_meter(&self) -> Rc<SendMeter<ClusterStat>> {
        Rc::clone(&self.context.send_meter)
    }

    /// What a connection for a client has to begin with: a header of the PROXY protocol, if the
    /// cluster is configured so.
    #[must_use]
    pub fn proxy_header<'a>(&self, client: impl FnOnce() -> Client<'a>) -> Option<Box<[u8]>> {
        let config = self.config().proxy_protocol.as_ref()?;
        let stats = self.proxy_protocol_stats.as_ref()?;
        Some(introduction::header(config, stats, &client()))
    }

    /// The next host in turn, for one HTTP exchange. `request` is the version of its request, if
    /// it has one. Connections that begin with a [`Cluster::proxy_header`] are shared only by
    /// those who have the same one.
    ///
    /// # Errors
    /// [`ConnectFailure::NoHealthyHost`]; it has been counted.
    pub fn http_host(
        &self,
        request: Option<Version>,
        proxy_header: Option<Box<[u8]>>,
    ) -> Result<HttpHost, ConnectFailure> {
        let Picked { index, host, met } = self.pick()?;
        let pools = self.http.get_or_init(|| HttpPools::new(&self.context));
        let counts = || self.counts(&met.stats);
        let pool = pools.host(index, &host.address, request, proxy_header, counts);
        let pool = pool.ok_or(ConnectFailure::NoHealthyHost)?;
        Ok(HttpHost::new(pool, met.monitor.clone()))
    }

    /// As [`Cluster::http_host`], for an exchange that keeps its connection to itself: a tunnel.
    /// Like a connection of its own it is refused where the connection breaker is at its limit,
    /// instead of waiting for one that comes free.
    ///
    /// # Errors
    /// [`ConnectFailure::Overflow`] or [`ConnectFailure::NoHealthyHost`]; it has been counted.
    pub fn tunnel_host(&self, proxy_header: Option<Box<[u8]>>) -> Result<HttpHost, ConnectFailure> {
        if self.context.limits.try_acquire(Resource::Connections).is_none() {
            self.stats().inc(ClusterStat::UpstreamCxOverflow);
            return Err(ConnectFailure::Overflow);
        }
        self.http_host(None, proxy_header)
    }

    /// Whether several users of TCP connections have to do with each other: who connects is to
    /// tell those apart that do not share any, by [`Way::likeness`].
    #[must_use]
    pub fn pools_tcp(&self) -> bool {
        self.tcp.is_some()
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
    /// which `picked` is told about, with what is known of it, before it is connected to. What
    /// comes of it is the caller's to tell the host's monitor.
    ///
    /// Checks as Envoy does: first the connection breaker (row C9), then whether there is a host
    /// (row C14), then whether there is room to wait for it (row D7), then the connect itself,
    /// which `connect_timeout` bounds. At a host with a limit of its own it waits for room first,
    /// without end. `way` is for users with needs of their own. Dropping the future gives the
    /// attempt up and leaves every gauge as it was.
    ///
    /// # Errors
    /// [`ConnectFailure`] says which of these failed. It has been counted, except the attempts:
    /// who gives up after the last one counts `upstream_cx_connect_attempts_exceeded`.
    pub async fn connect(
        &self,
        way: Option<Box<Way>>,
        picked: impl FnOnce(&Address, &MetHost),
    ) -> Result<UpstreamConnection, ConnectFailure> {
        let limits = &self.context.limits;
        let Some(token) = limits.try_connection() else {
            self.stats().inc(ClusterStat::UpstreamCxOverflow);
            return Err(ConnectFailure::Overflow);
        };
        let Picked { index, host, met } = self.pick()?;
        let counts = self.counts(&met.stats);
        picked(&host.address, met);
        let (address, likeness): (_, &[u8]) = match way.as_deref() {
            None => (&host.address, &[]),
            Some(way) => (way.proxy.as_ref().unwrap_or(&host.address), &way.likeness),
        };
        let pools = self.tcp.as_ref();
        let pool = pools.and_then(|pools| pools.host(index, address, &counts, likeness));
        let pool = pool.as_ref();
        let connected = |stream, existence| {
            let used = pool.map(TcpPool::used);
            UpstreamConnection::new(stream, host.address.clone(), existence, used)
        };
        if let Some(pool) = pool
            && let Some((stream, existence)) = pool.take()
        {
            drop(token);
            let connection = connected(stream, existence);
            pool.connect_ahead(0);
            return Ok(connection);
        }
        let Some(pending) = limits.try_acquire(Resource::Pending) else {
            self.stats().inc(ClusterStat::UpstreamRqPendingOverflow);
            return Err(ConnectFailure::PendingOverflow { host: address.clone() });
        };
        let waiting = Waiting::begin(counts.clone(), pending);
        let (token, dialling) = match pool {
            None => (token, None),
            Some(pool) => match pool.turn(token).await {
                Turn::Dial(token, dialling) => (token, Some(dialling)),
                Turn::Connected(stream, existence) => {
                    waiting.end(None);
                    return Ok(connected(stream, existence));
                }
            },
        };
        let context = &self.context;
        let dialled = connect::connect(context, &counts, token, address, waiting).await;
        let (stream, existence) = dialled?;
        let connection = connected(stream, existence);
        drop(dialling);
        Ok(connection)
    }

    /// Drains the pools of the hosts that were ejected since the last call. To be called on each
    /// [`Detector`](crate::Detector)'s ejection: connections to such a host may be its only
    /// trouble, and are not used again once it is let back in.
    pub fn drain_ejected(&self) {
        let Some(watched) = self.context.shared.watched() else { return };
        for (index, met) in self.hosts.iter().enumerate() {
            let Some(met) = met.get() else { continue };
            let ejections = watched.ejections(index);
            if met.ejections.replace(ejections) == ejections {
                continue;
            }
            if let Some(pools) = self.http.get() {
                pools.drain(index);
            }
            if let Some(pools) = &self.tcp {
                pools.drain(index);
            }
        }
    }

    /// The next host in turn.
    fn pick(&self) -> Result<Picked<'_>, ConnectFailure> {
        let shared = &self.context.shared;
        let pick = self.balancer.borrow_mut().pick(shared.config(), shared.panic());
        if pick.is_panic {
            self.stats().inc(ClusterStat::LbHealthyPanic);
        }
        pick.host.and_then(|index| self.host(index)).ok_or_else(|| {
            self.stats().inc(ClusterStat::UpstreamCxNoneHealthy);
            ConnectFailure::NoHealthyHost
        })
    }

    fn host(&self, index: usize) -> Option<Picked<'_>> {
        let shared = &self.context.shared;
        let host = shared.config().endpoints.get(index)?;
        let (met, stats) = (self.hosts.get(index)?, shared.host(index)?);
        let met = met.get_or_init(|| MetHost {
            stats: stats.on(&self.shard),
            monitor: shared.watched().and_then(|all| Monitor::new(all, index, &self.shard)),
            ejections: Cell::new(shared.watched().map_or(0, |all| all.ejections(index))),
        });
        Some(Picked { index, host, met })
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
    met: &'a MetHost,
}

/// A host that this worker has picked before.
#[derive(Debug)]
pub struct MetHost {
    /// What this worker counts of it.
    stats: Scope<HostStat>,
    /// With `outlier_detection` only.
    monitor: Option<Rc<Monitor>>,
    /// How often it had been ejected when its pools were last drained for that.
    ejections: Cell<u64>,
}

impl MetHost {
    /// What this worker counts of it.
    #[must_use]
    pub fn stats(&self) -> &Scope<HostStat> {
        &self.stats
    }

    /// What is to be told what comes of asking it, if outliers are detected.
    #[must_use]
    pub fn monitor(&self) -> Option<&Rc<Monitor>> {
        self.monitor.as_ref()
    }
}

/// How a connection of a user with needs of its own is made.
#[derive(Debug, Default)]
pub struct Way {
    /// What it has in common with those whom it may share a pool with; empty for no needs.
    pub likeness: Box<[u8]>,
    /// Where to connect to in the place of the host.
    pub proxy: Option<Address>,
}

/// Every cluster of the configuration on one worker, by name.
#[derive(Debug, Clone, Default)]
pub struct Clusters {
    by_name: Rc<HashMap<String, Rc<Cluster>>>,
}

impl Clusters {
    /// The cluster called `name`, which the configuration may lack (row C6).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Rc<Cluster>> {
        self.find(name).cloned()
    }

    /// As [`Clusters::get`].
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Rc<Cluster>> {
        self.by_name.get(name)
    }

    /// Those whose hosts may be ejected.
    #[must_use]
    pub fn watched(&self) -> Vec<Rc<Cluster>> {
        let is_watched = |cluster: &&Rc<Cluster>| cluster.context.shared.watched().is_some();
        self.by_name.values().filter(is_watched).cloned().collect()
    }
}

impl FromIterator<Rc<Cluster>> for Clusters {
    /// Names are unique in a checked configuration; of two equal ones the later would count.
    fn from_iter<T: IntoIterator<Item = Rc<Cluster>>>(clusters: T) -> Self {
        let named = |cluster: Rc<Cluster>| (cluster.config().name.clone(), cluster);
        Self { by_name: Rc::new(clusters.into_iter().map(named).collect()) }
    }
}

#[cfg(test)]
mod http2_tests;
#[cfg(test)]
mod pool_tests;
#[cfg(test)]
mod tests;
