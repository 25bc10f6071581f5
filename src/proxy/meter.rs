//! Turning bytes that move into stats.

use std::rc::Rc;

use net::PumpObserver;
use observe::names::{ClusterStat, TcpProxyStat};
use observe::{Scope, Stat};
use reactor::OutboxMeter;

use crate::connection_log::ConnectionLog;

/// Counts what is sent on a stream: a total and a gauge of what waits.
#[derive(Debug)]
pub(crate) struct SendMeter<S: Stat> {
    scope: Scope<S>,
    total: S,
    buffered: S,
}

impl<S: Stat> OutboxMeter for SendMeter<S> {
    fn queued(&self, bytes: usize) {
        self.scope.gauge_add(self.buffered, bytes as u64);
    }

    fn sent(&self, bytes: usize) {
        self.scope.gauge_sub(self.buffered, bytes as u64);
        self.scope.add(self.total, bytes as u64);
    }

    fn dropped(&self, bytes: usize) {
        self.scope.gauge_sub(self.buffered, bytes as u64);
    }
}

/// Counts what is sent to downstream by a `tcp_proxy`.
pub(crate) fn to_downstream(scope: &Scope<TcpProxyStat>) -> Rc<SendMeter<TcpProxyStat>> {
    Rc::new(SendMeter {
        scope: scope.clone(),
        total: TcpProxyStat::DownstreamCxTxBytesTotal,
        buffered: TcpProxyStat::DownstreamCxTxBytesBuffered,
    })
}

/// Counts what is sent to the hosts of a cluster.
pub(crate) fn to_upstream(scope: &Scope<ClusterStat>) -> Rc<SendMeter<ClusterStat>> {
    Rc::new(SendMeter {
        scope: scope.clone(),
        total: ClusterStat::UpstreamCxTxBytesTotal,
        buffered: ClusterStat::UpstreamCxTxBytesBuffered,
    })
}

/// Counts nothing: for filters without stats of their own.
#[derive(Debug)]
pub(crate) struct Uncounted;

impl OutboxMeter for Uncounted {
    fn queued(&self, _bytes: usize) {}
    fn sent(&self, _bytes: usize) {}
    fn dropped(&self, _bytes: usize) {}
}

/// Counts what is read from downstream, and the pauses that a slow upstream causes.
#[derive(Debug)]
pub(crate) struct FromDownstream<'a> {
    pub(crate) filter: &'a Scope<TcpProxyStat>,
    pub(crate) cluster: &'a Scope<ClusterStat>,
    pub(crate) log: &'a ConnectionLog<'a>,
}

impl PumpObserver for FromDownstream<'_> {
    fn received(&self, bytes: usize) {
        self.log.received(bytes);
        self.filter.add(TcpProxyStat::DownstreamCxRxBytesTotal, bytes as u64);
    }

    fn paused(&self) {
        self.filter.inc(TcpProxyStat::DownstreamFlowControlPausedReadingTotal);
        self.cluster.inc(ClusterStat::UpstreamFlowControlBackedUpTotal);
    }

    fn resumed(&self) {
        self.filter.inc(TcpProxyStat::DownstreamFlowControlResumedReadingTotal);
        self.cluster.inc(ClusterStat::UpstreamFlowControlDrainedTotal);
    }
}

/// Counts what is read from upstream, and the pauses that a slow downstream causes.
#[derive(Debug)]
pub(crate) struct FromUpstream<'a> {
    pub(crate) cluster: &'a Scope<ClusterStat>,
    pub(crate) log: &'a ConnectionLog<'a>,
}

impl PumpObserver for FromUpstream<'_> {
    fn received(&self, bytes: usize) {
        self.log.sent(bytes);
        self.cluster.add(ClusterStat::UpstreamCxRxBytesTotal, bytes as u64);
    }

    fn paused(&self) {
        self.cluster.inc(ClusterStat::UpstreamFlowControlPausedReadingTotal);
    }

    fn resumed(&self) {
        self.cluster.inc(ClusterStat::UpstreamFlowControlResumedReadingTotal);
    }
}
