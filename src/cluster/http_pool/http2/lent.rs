//! A stream that an exchange has.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use net::http2::{ConnectionEnd, PortEnd, StreamPort};
use observe::names::ClusterStat;
use proto::RequestHead;
use proto::http2::{ErrorCode, ErrorKind, Meter, OpenError, ResetReason};

use super::super::pool::{Lease, Pool};
use super::connection::Http2Connection;
use super::host::Http2Pool;

/// RFC 9113 section 6.4: a frame header and a code.
const RST_STREAM_BYTES: u64 = 13;

/// Room for one stream on a connection, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    pool: Rc<Http2Pool>,
    connection: Rc<Http2Connection>,
    is_used: Cell<bool>,
}

impl Slot {
    pub(super) fn new(pool: &Rc<Http2Pool>, connection: &Rc<Http2Connection>) -> Self {
        connection.reserve();
        Self { pool: Rc::clone(pool), connection: Rc::clone(connection), is_used: Cell::new(false) }
    }

    /// Whether the connection still takes the stream.
    pub(super) fn is_usable(&self) -> bool {
        !self.connection.is_draining()
            && self.connection.endpoint().end().is_none()
            && self.connection.endpoint().with_codec(|codec| codec.can_open())
    }

    /// A request is sent for it. Returns whether it is the connection's last one.
    pub(super) fn use_it(&self) -> bool {
        self.is_used.set(true);
        self.connection.use_reserved()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let now = self.pool.base().context.reactor.now();
        self.connection.give_back(self.is_used.get(), now);
        self.pool.room_changed(&self.connection);
    }
}

/// A stream to a host, for one request and its response. It counts in `upstream_rq_active` and in
/// the cluster's request limit as long as it lives.
///
/// Dropped before both are complete it is reset; the connection and its other streams go on.
#[derive(Debug)]
pub struct Http2Stream {
    port: OnceCell<StreamPort>,
    slot: Slot,
    _lease: Lease,
}

impl Http2Stream {
    pub(super) fn new(slot: Slot, lease: Lease) -> Self {
        Self { port: OnceCell::new(), slot, _lease: lease }
    }

    /// Opens the stream with the head of the request. To be called once; `is_whole` says that
    /// neither a body nor trailers follow.
    ///
    /// # Errors
    /// The host takes no such stream.
    pub fn open(&self, head: &RequestHead, is_whole: bool) -> Result<(), OpenError> {
        let connection = &self.slot.connection;
        let endpoint = connection.endpoint();
        let deadline = || endpoint.with_codec(|codec| codec.deadline());
        let before = deadline();
        let now = self.slot.pool.base().context.reactor.now();
        let port = endpoint.open(now, head, is_whole)?;
        let _opened_before = self.port.set(port);
        if deadline() != before {
            // A PING has gone first, and its answer may be late.
            endpoint.wake();
        }
        connection.count_codec();
        Ok(())
    }

    /// The stream, once it is open.
    #[must_use]
    pub fn port(&self) -> Option<&StreamPort> {
        self.port.get()
    }

    /// Counts what the connection has received since the last call.
    pub fn count_received(&self) {
        let stats = self.slot.pool.base().stats();
        stats.add(ClusterStat::UpstreamCxRxBytesTotal, self.slot.connection.take_received());
    }

    /// Ends the stream of a tunnel, as dropping it does, but for this: what the host did behind the
    /// end of its message was of interest, and counts. Returns what the stream carried, with the
    /// frame that ended it.
    pub fn end_tunnel(mut self) -> Meter {
        self.finish(true)
    }

    fn finish(&mut self, was_heard_to_the_end: bool) -> Meter {
        let Some(port) = self.port.take() else { return Meter::default() };
        let mut meter = port.meter();
        let reset = match port.ended_by() {
            Some(PortEnd::Reset(ResetReason::Peer(ErrorCode::NO_ERROR)))
                if was_heard_to_the_end && port.is_received() =>
            {
                Some(ClusterStat::UpstreamRqRxResetNoError)
            }
            // What the host does behind a response changes nothing.
            Some(end) if was_heard_to_the_end || !port.is_received() => reset_stat(end),
            None if port.is_complete() => None,
            _ => {
                // The code that Envoy has for whatever it does not want any more.
                port.reset(ErrorCode::INTERNAL_ERROR);
                meter.wire_bytes_sent += RST_STREAM_BYTES;
                Some(ClusterStat::UpstreamRqTxReset)
            }
        };
        if let Some(stat) = reset {
            self.slot.pool.base().stats().inc(stat);
        }
        drop(port);
        self.slot.connection.count_codec();
        meter
    }
}

impl Drop for Http2Stream {
    fn drop(&mut self) {
        self.finish(false);
    }
}

/// What the end of a stream before its time counts as.
fn reset_stat(end: PortEnd) -> Option<ClusterStat> {
    match end {
        PortEnd::Reset(ResetReason::Peer(ErrorCode::REFUSED_STREAM | ErrorCode::CONNECT_ERROR))
        | PortEnd::Reset(ResetReason::GoAway) => None,
        PortEnd::Reset(ResetReason::Peer(ErrorCode::PROTOCOL_ERROR) | ResetReason::Codec(_)) => {
            Some(ClusterStat::UpstreamRqTxReset)
        }
        PortEnd::Reset(ResetReason::Peer(_)) => Some(ClusterStat::UpstreamRqRxReset),
        PortEnd::Connection(ConnectionEnd::Protocol(kind))
            if kind != ErrorKind::KeepaliveTimeout =>
        {
            Some(ClusterStat::UpstreamRqTxReset)
        }
        // As Envoy, which counts those that a lost connection takes along with those that waited
        // for one in vain.
        PortEnd::Connection(_) => Some(ClusterStat::UpstreamRqPendingFailureEject),
    }
}
