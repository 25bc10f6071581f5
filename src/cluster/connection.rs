//! A connection to a host that one user has, and what its end changes.

use std::cell::Cell;

use base::Address;
use net::Stream;
use observe::names::{ClusterStat, HostStat};
use observe::{GaugeGuard, Scope};

use crate::breaker::Resource;
use crate::existence::{ClosedBy, Existence};
use crate::tcp_pool::InPool;

/// A connection to a host, in use by one downstream connection and by nobody after it.
///
/// While it lives it counts in `upstream_cx_active` and `upstream_rq_active` and holds its place
/// in the cluster's connection limit. Its end is counted when it is dropped.
#[derive(Debug)]
pub struct UpstreamConnection {
    stream: Stream,
    host: Address,
    existence: Existence,
    is_finished: Cell<bool>,
    /// That it is in use, if its host has a pool. Behind `existence`: its place is free when the
    /// pool hears of its end.
    _use: Option<Box<InPool>>,
    _request: GaugeGuard<ClusterStat>,
    _request_at_host: GaugeGuard<HostStat>,
}

impl UpstreamConnection {
    pub(crate) fn new(
        stream: Stream,
        host: Address,
        existence: Existence,
        use_of_host: Option<Box<InPool>>,
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
            is_finished: Cell::new(false),
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

    /// Says that its user has had all of it, so that its end breaks nothing off: both sides have
    /// ended, the host's last.
    pub fn finish(&self) {
        self.existence.set_closed_by(ClosedBy::Remote);
        self.is_finished.set(true);
    }
}

impl Drop for UpstreamConnection {
    fn drop(&mut self) {
        self.existence.limits().give_back(Resource::Requests);
        if self.is_finished.get() {
            return;
        }
        let stats = self.existence.cluster();
        stats.inc(ClusterStat::UpstreamCxDestroyWithActiveRq);
        stats.inc(match self.existence.closed_by() {
            ClosedBy::Local => ClusterStat::UpstreamCxDestroyLocalWithActiveRq,
            ClosedBy::Remote => ClusterStat::UpstreamCxDestroyRemoteWithActiveRq,
        });
    }
}
