//! What the connections of one worker to one cluster need, made once for all of them.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::Arc;

use net::http2::codec_options;
use net::{SendMeter, Stream};
use observe::names::{ClusterStat, Http2CodecStat};
use observe::{Scope, Shard};
use proto::http2::Options;
use reactor::{Reactor, Socket, TaskSet};

use crate::breaker::WorkerLimits;
use crate::connector::Connector;
use crate::shared::Shared;

/// KiB of a response's head. Envoy: `max_response_headers_kb`, which we have no field for.
const RESPONSE_HEAD_KB_MAX: u32 = 80;

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
    /// Made when the first connection is.
    http2: OnceCell<Http2>,
    shard: Shard,
    seed: u64,
}

/// What HTTP/2 connections need.
#[derive(Debug)]
pub(crate) struct Http2 {
    pub(crate) options: Arc<Options>,
    pub(crate) stats: Scope<Http2CodecStat>,
    /// Of the last connection.
    seed: Cell<u64>,
}

impl Http2 {
    /// For the jitter of a connection's PINGs.
    pub(crate) fn seed(&self) -> u64 {
        // The golden ratio's part of 2^64: seeds in a row differ in all of their bits.
        self.seed.set(self.seed.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        self.seed.get()
    }
}

impl Context {
    pub(crate) fn new(shared: Arc<Shared>, reactor: Reactor, shard: &Shard, seed: u64) -> Rc<Self> {
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
            http2: OnceCell::new(),
            shard: shard.clone(),
            seed,
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

    /// What connections in HTTP/2 need. The first call says that one is made: from now on the
    /// cluster is spoken to in it.
    pub(crate) fn http2(&self) -> &Http2 {
        self.http2.get_or_init(|| {
            let http = &self.shared.config().http;
            let options = codec_options(&http.http2, &http.common, RESPONSE_HEAD_KB_MAX);
            Http2 {
                options: Arc::new(options),
                stats: self.shared.declare_http2().on(&self.shard),
                seed: Cell::new(self.seed),
            }
        })
    }
}
