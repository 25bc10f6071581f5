//! What a worker lends to what runs on it.
//!
//! It does nothing itself, and it knows neither listeners nor protocols: both are built from it.
//! **Invariant:** all of it belongs to one worker.

use std::net::IpAddr;
use std::rc::Rc;

use base::ConnectionIds;
use cluster::Clusters;
use observe::names::WorkerStat;
use observe::{Registry, Scope, Shard};
use reactor::Reactor;

use crate::access_log::WorkerLogs;
use crate::drain::Drain;
use crate::random::Random;

/// What a worker has that its listeners need.
#[derive(Debug, Clone, Copy)]
pub struct WorkerContext<'a> {
    /// The worker's engine.
    pub reactor: &'a Reactor,
    /// The worker's view of the clusters.
    pub clusters: &'a Clusters,
    /// Where stats are registered.
    pub registry: &'a Registry,
    /// The worker's shard of them.
    pub shard: &'a Shard,
    /// The worker's own stats.
    pub worker_stats: &'a Scope<WorkerStat>,
    /// The worker's access logs.
    pub access_logs: &'a WorkerLogs,
    /// Where the worker's connections get their ids.
    pub connection_ids: &'a Rc<ConnectionIds>,
    /// Whether the worker drains: connections are to end as soon as their protocol allows.
    pub drain: &'a Drain,
    /// An address of this host by which others know it.
    pub local_address: IpAddr,
    /// The worker's randomness.
    pub random: &'a Rc<Random>,
}
