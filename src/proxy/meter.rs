//! Turning bytes that move into stats.

use std::rc::Rc;

use net::{PumpObserver, SendMeter};
use observe::Scope;
use observe::names::{ClusterStat, TcpProxyStat};
use reactor::OutboxMeter;

use crate::connection_log::ConnectionLog;
use crate::tcp_tunnel::Tunnel;

/// Counts what is sent to downstream by a `tcp_proxy`.
pub(crate) fn to_downstream(scope: &Scope<TcpProxyStat>) -> Rc<SendMeter<TcpProxyStat>> {
    Rc::new(SendMeter::new(
        scope.clone(),
        TcpProxyStat::DownstreamCxTxBytesTotal,
        TcpProxyStat::DownstreamCxTxBytesBuffered,
    ))
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

/// As [`FromUpstream`], of a connection of a pool, which counts by itself what it receives.
#[derive(Debug)]
pub(crate) struct FromTunnel<'a> {
    pub(crate) tunnel: &'a Tunnel<'a>,
    pub(crate) upstream: FromUpstream<'a>,
}

impl PumpObserver for FromTunnel<'_> {
    fn received(&self, bytes: usize) {
        self.upstream.log.sent(bytes);
        self.tunnel.count_received();
    }

    fn paused(&self) {
        self.upstream.paused();
    }

    fn resumed(&self) {
        self.upstream.resumed();
    }
}
