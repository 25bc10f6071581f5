//! A connection that an exchange has.

use std::rc::Rc;

use net::Stream;
use observe::GaugeGuard;
use observe::names::{ClusterStat, HostStat};

use super::connection::HttpConnection;
use super::host::HostPool;
use crate::breaker::Token;
use crate::existence::ClosedBy;
use crate::tally::Tallied;

/// A connection to a host, for one request and its response. It counts in `upstream_rq_active` and
/// in the cluster's request limit until it is given back.
///
/// Dropped without [`HttpStream::give_back`] the connection is closed: nobody knows what is still
/// on the way on it.
#[derive(Debug)]
pub struct HttpStream {
    pool: Rc<HostPool>,
    connection: Rc<HttpConnection>,
    /// That it is lent; nothing once it was given back.
    lent: Option<Tallied>,
    _active: GaugeGuard<ClusterStat>,
    _active_at_host: GaugeGuard<HostStat>,
    _token: Token,
}

impl HttpStream {
    pub(super) fn new(pool: &Rc<HostPool>, connection: Rc<HttpConnection>, token: Token) -> Self {
        Self {
            pool: Rc::clone(pool),
            connection,
            lent: Some(pool.lent()),
            _active: pool.counts().cluster.guard(ClusterStat::UpstreamRqActive),
            _active_at_host: pool.counts().host.guard(HostStat::RqActive),
            _token: token,
        }
    }

    /// The connection's stream. The request is written to its outbox, the response read from its
    /// receiver.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        self.connection.stream()
    }

    /// Counts what has been received since the last call; the rest is counted at the end.
    pub fn count_received(&self) {
        let stats = &self.pool.counts().cluster;
        stats.add(ClusterStat::UpstreamCxRxBytesTotal, self.connection.take_received());
    }

    /// The exchange is complete in both directions. With `reusable` the next request may have the
    /// connection; without, it is closed: the host said so, or its response ended with it.
    pub fn give_back(mut self, reusable: bool) {
        let lent = self.lent.take();
        if reusable && !self.connection.is_used_up() {
            self.pool.take_back(&self.connection);
        } else {
            self.connection.close(ClosedBy::Local);
        }
        drop(lent);
    }
}

impl Drop for HttpStream {
    fn drop(&mut self) {
        self.count_received();
        if self.lent.is_none() {
            return;
        }
        let stats = &self.pool.counts().cluster;
        stats.inc(ClusterStat::UpstreamCxDestroyWithActiveRq);
        stats.inc(match self.connection.close(ClosedBy::Local) {
            ClosedBy::Local => ClusterStat::UpstreamCxDestroyLocalWithActiveRq,
            ClosedBy::Remote => ClusterStat::UpstreamCxDestroyRemoteWithActiveRq,
        });
    }
}
