//! That a connection to a host exists, whoever has it: what it counts in, and what its end changes.

use std::cell::Cell;
use std::time::{Duration, Instant};

use observe::names::{ClusterStat, HostStat};
use observe::{GaugeGuard, Scope};
use reactor::Reactor;

use crate::breaker::{ConnectionToken, WorkerLimits};

/// Which side ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedBy {
    /// We did: its downstream was gone, a timeout passed, or the process drains.
    Local,
    /// The host did, with a FIN that ended the last open direction, or with a reset.
    Remote,
}

/// Where a connection to a host is counted.
#[derive(Debug, Clone)]
pub(crate) struct Counts {
    pub(crate) cluster: Scope<ClusterStat>,
    pub(crate) host: Scope<HostStat>,
}

impl Counts {
    pub(crate) fn connect_failed(&self) {
        self.cluster.inc(ClusterStat::UpstreamCxConnectFail);
        self.host.inc(HostStat::CxConnectFail);
    }
}

/// That a connection exists, from its first SYN to its end, connected or not.
#[derive(Debug)]
pub(crate) struct Existence {
    reactor: Reactor,
    /// When the connect began.
    started: Instant,
    closed_by: Cell<ClosedBy>,
    active: GaugeGuard<ClusterStat>,
    active_at_host: GaugeGuard<HostStat>,
    token: ConnectionToken,
}

impl Existence {
    pub(crate) fn begin(reactor: &Reactor, counts: &Counts, token: ConnectionToken) -> Self {
        counts.cluster.inc(ClusterStat::UpstreamCxTotal);
        counts.host.inc(HostStat::CxTotal);
        Self {
            closed_by: Cell::new(ClosedBy::Local),
            active: counts.cluster.guard(ClusterStat::UpstreamCxActive),
            active_at_host: counts.host.guard(HostStat::CxActive),
            reactor: reactor.clone(),
            started: reactor.now(),
            token,
        }
    }

    pub(crate) fn cluster(&self) -> &Scope<ClusterStat> {
        self.active.scope()
    }

    pub(crate) fn host(&self) -> &Scope<HostStat> {
        self.active_at_host.scope()
    }

    pub(crate) fn limits(&self) -> &WorkerLimits {
        self.token.limits()
    }

    /// How long ago the connect began.
    pub(crate) fn age(&self) -> Duration {
        self.reactor.now().saturating_duration_since(self.started)
    }

    pub(crate) fn closed_by(&self) -> ClosedBy {
        self.closed_by.get()
    }

    pub(crate) fn set_closed_by(&self, side: ClosedBy) {
        self.closed_by.set(side);
    }
}

impl Drop for Existence {
    fn drop(&mut self) {
        let stats = self.cluster();
        stats.record_duration(ClusterStat::UpstreamCxLengthMs, self.age());
        stats.inc(ClusterStat::UpstreamCxDestroy);
        stats.inc(match self.closed_by.get() {
            ClosedBy::Local => ClusterStat::UpstreamCxDestroyLocal,
            ClosedBy::Remote => ClusterStat::UpstreamCxDestroyRemote,
        });
    }
}
