//! A connection that an exchange has.

use std::rc::Rc;

use net::Stream;
use observe::names::ClusterStat;

use super::super::pool::{Lease, Pool};
use super::connection::Http1Connection;
use super::host::Http1Pool;
use crate::existence::ClosedBy;

/// A connection to a host, for one request and its response. It counts in `upstream_rq_active` and
/// in the cluster's request limit until it is given back.
///
/// Dropped without [`Http1Stream::give_back`] the connection is closed: nobody knows what is still
/// on the way on it.
#[derive(Debug)]
pub struct Http1Stream {
    pool: Rc<Http1Pool>,
    connection: Rc<Http1Connection>,
    /// That it is lent; nothing once it was given back.
    lease: Option<Lease>,
}

impl Http1Stream {
    pub(super) fn new(pool: &Rc<Http1Pool>, connection: Rc<Http1Connection>, lease: Lease) -> Self {
        Self { pool: Rc::clone(pool), connection, lease: Some(lease) }
    }

    /// The connection's stream. The request is written to its outbox, the response read from its
    /// receiver.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        self.connection.stream()
    }

    /// Counts what has been received since the last call; the rest is counted at the end.
    pub fn count_received(&self) {
        let stats = self.pool.base().stats();
        stats.add(ClusterStat::UpstreamCxRxBytesTotal, self.connection.take_received());
    }

    /// The exchange is complete in both directions. With `reusable` the next request may have the
    /// connection; without, it is closed: the host said so, or its response ended with it.
    pub fn give_back(mut self, reusable: bool) {
        let lease = self.lease.take();
        if reusable && !self.connection.is_used_up() {
            self.pool.take_back(&self.connection);
        } else {
            self.connection.close(ClosedBy::Local);
        }
        drop(lease);
    }

    /// The tunnel that the connection had become is over, and the connection with it. `side` has
    /// ended it.
    pub fn close_tunnel(mut self, side: ClosedBy) {
        drop(self.lease.take());
        self.connection.close_as(side);
        self.count_cut(side);
    }

    /// The connection ends in the middle of an exchange.
    fn count_cut(&self, side: ClosedBy) {
        let stats = self.pool.base().stats();
        stats.inc(ClusterStat::UpstreamCxDestroyWithActiveRq);
        stats.inc(match side {
            ClosedBy::Local => ClusterStat::UpstreamCxDestroyLocalWithActiveRq,
            ClosedBy::Remote => ClusterStat::UpstreamCxDestroyRemoteWithActiveRq,
        });
    }
}

impl Drop for Http1Stream {
    fn drop(&mut self) {
        self.count_received();
        if self.lease.is_some() {
            self.count_cut(self.connection.close(ClosedBy::Local));
        }
    }
}
