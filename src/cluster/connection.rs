//! A connection to a host, and what its end changes.

use std::cell::Cell;
use std::time::{Duration, Instant};

use base::Address;
use net::Stream;
use observe::names::{ClusterStat, HostStat};
use observe::{GaugeGuard, Scope};
use reactor::Reactor;

use crate::breaker::{Resource, Token, WorkerLimits};
use crate::tally::Tallied;

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

/// A connection to a host, in use by one downstream connection and by nobody after it.
///
/// While it lives it counts in `upstream_cx_active` and `upstream_rq_active` and holds its place
/// in the cluster's connection limit. Its end is counted when it is dropped.
#[derive(Debug)]
pub struct UpstreamConnection {
    stream: Stream,
    host: Address,
    existence: Existence,
    /// Where it counts among what is used, if connections are made ahead.
    _use: Option<Tallied>,
    _request: GaugeGuard<ClusterStat>,
    _request_at_host: GaugeGuard<HostStat>,
}

impl UpstreamConnection {
    pub(crate) fn new(
        stream: Stream,
        host: Address,
        existence: Existence,
        use_of_host: Option<Tallied>,
    ) -> Self {
        let (cluster, at_host) = (existence.cluster(), existence.host());
        cluster.inc(ClusterStat::UpstreamRqTotal);
        at_host.inc(HostStat::RqTotal);
        // It counts as a request, which holds up nobody but requests of HTTP.
        existence.limits().take(Resource::Requests);
        let guard = cluster.guard(ClusterStat::UpstreamRqActive);
        let request_at_host = at_host.guard(HostStat::RqActive);
        Self {
            stream,
            host,
            existence,
            _use: use_of_host,
            _request: guard,
            _request_at_host: request_at_host,
        }
    }

    /// The connection itself.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The host at the other end.
    #[must_use]
    pub fn host(&self) -> &Address {
        &self.host
    }

    /// The stats of the cluster on this worker, for the bytes that go through.
    #[must_use]
    pub fn stats(&self) -> &Scope<ClusterStat> {
        self.existence.cluster()
    }

    /// Says which side ended the connection, to be counted when it is dropped. Until the first
    /// call it is [`ClosedBy::Local`]; the last call counts.
    pub fn set_closed_by(&self, side: ClosedBy) {
        self.existence.set_closed_by(side);
    }
}

impl Drop for UpstreamConnection {
    fn drop(&mut self) {
        self.existence.limits().give_back(Resource::Requests);
        let stats = self.existence.cluster();
        stats.inc(ClusterStat::UpstreamCxDestroyWithActiveRq);
        stats.inc(match self.existence.closed_by.get() {
            ClosedBy::Local => ClusterStat::UpstreamCxDestroyLocalWithActiveRq,
            ClosedBy::Remote => ClusterStat::UpstreamCxDestroyRemoteWithActiveRq,
        });
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
    token: Token,
}

impl Existence {
    pub(crate) fn begin(reactor: &Reactor, counts: &Counts, token: Token) -> Self {
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

    fn cluster(&self) -> &Scope<ClusterStat> {
        self.active.scope()
    }

    fn host(&self) -> &Scope<HostStat> {
        self.active_at_host.scope()
    }

    fn limits(&self) -> &WorkerLimits {
        self.token.limits()
    }

    /// How long ago the connect began.
    pub(crate) fn age(&self) -> Duration {
        self.reactor.now().saturating_duration_since(self.started)
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
