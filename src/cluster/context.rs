//! What the connections of one worker to one cluster need, made once for all of them.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use net::{SendMeter, Stream};
use observe::names::ClusterStat;
use observe::{Scope, Shard};
use reactor::{Reactor, Socket, TaskSet};

use crate::breaker::WorkerLimits;
use crate::connector::Connector;
use crate::shared::Shared;

/// A cluster on one worker, as its connections see it.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) shared: Arc<Shared>,
    pub(crate) reactor: Reactor,
    pub(crate) limits: Rc<WorkerLimits>,
    pub(crate) stats: Scope<ClusterStat>,
    pub(crate) send_meter: Rc<SendMeter<ClusterStat>>,
    pub(crate) connector: Connector,
    /// The tasks of connections that nobody has asked for, or that several may have one after the
    /// other. They hold what holds them, so the cluster ends them by name.
    pub(crate) tasks: TaskSet,
    /// The stats of the codec are known.
    http1_declared: Cell<bool>,
}

impl Context {
    pub(crate) fn new(shared: Arc<Shared>, reactor: Reactor, shard: &Shard) -> Rc<Self> {
        let stats = shared.scope().on(shard);
        Rc::new(Self {
            limits: WorkerLimits::new(shared.limits(), shard),
            send_meter: Rc::new(SendMeter::new(
                stats.clone(),
                ClusterStat::UpstreamCxTxBytesTotal,
                ClusterStat::UpstreamCxTxBytesBuffered,
            )),
            connector: Connector::new(&reactor, shared.config()),
            tasks: reactor.task_set(),
            http1_declared: Cell::new(false),
            stats,
            reactor,
            shared,
        })
    }

    /// The stream over a socket that is connected to a host.
    pub(crate) fn stream(&self, socket: Socket) -> Stream {
        let limit = self.shared.config().per_connection_buffer_limit_bytes;
        Stream::new(&self.reactor, socket, limit, self.send_meter.clone())
    }

    /// A connection is made: from now on the cluster is spoken to in HTTP/1.
    pub(crate) fn speaks_http1(&self) {
        if !self.http1_declared.replace(true) {
            self.shared.declare_http1();
        }
    }
}
