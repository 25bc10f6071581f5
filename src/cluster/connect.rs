//! One attempt to connect to one host, and how Envoy counts it.
//!
//! ```text
//! Connecting --connected--> UpstreamConnection
//!            --refused----> connect_fail, destroy_remote, pending_failure_eject
//!            --timeout----> connect_fail, connect_timeout, destroy_local, pending_failure_eject
//!            --dropped----> destroy_local, cancelled
//! ```
//! Measured against Envoy 1.40's `tcp_proxy`: its pool counts the waiting user as a pending
//! request, also where the breaker leaves no room for a second one.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use std::{fmt, io};

use base::Address;
use observe::GaugeGuard;
use observe::names::{ClusterStat, HostStat};
use reactor::{Reactor, Socket};

use crate::breaker::Token;
use crate::connection::{ClosedBy, Counts, Existence, UpstreamConnection};

/// Why [`crate::Cluster::connect`] gave no connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// The connection breaker is at its limit (`UO`). Another attempt now would meet it again.
    Overflow,
    /// As many requests are under way as may be (`UO`).
    RequestOverflow,
    /// As many wait for a connect as may (`UO`). They may be fewer in a moment.
    PendingOverflow {
        /// The host that was to be tried.
        host: Address,
    },
    /// The cluster has no host (`UH`).
    NoHealthyHost,
    /// The host refused, reset, or could not be reached (`UF`).
    Refused {
        /// The host that was tried.
        host: Address,
        /// What the kernel said.
        source: io::Error,
    },
    /// The host did not answer within `connect_timeout` (`UF`).
    Timeout {
        /// The host that was tried.
        host: Address,
    },
}

impl ConnectFailure {
    /// Whether another attempt, perhaps at another host, may do better: what
    /// `max_connect_attempts` counts.
    #[must_use]
    pub fn may_retry(&self) -> bool {
        match self {
            Self::Overflow | Self::RequestOverflow | Self::NoHealthyHost => false,
            Self::PendingOverflow { .. } | Self::Refused { .. } | Self::Timeout { .. } => true,
        }
    }
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overflow => f.write_str("the cluster's connection limit is reached"),
            Self::RequestOverflow => f.write_str("the cluster's request limit is reached"),
            Self::PendingOverflow { .. } => {
                f.write_str("too many wait for a connect to the cluster")
            }
            Self::NoHealthyHost => f.write_str("the cluster has no host"),
            Self::Refused { host, source } => write!(f, "connecting to {host}: {source}"),
            Self::Timeout { host } => write!(f, "connecting to {host}: no answer in time"),
        }
    }
}

impl std::error::Error for ConnectFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused { source, .. } => Some(source),
            Self::Overflow
            | Self::PendingOverflow { .. }
            | Self::RequestOverflow
            | Self::NoHealthyHost
            | Self::Timeout { .. } => None,
        }
    }
}

/// What an attempt takes out of the cluster's limits.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// For as long as the connection exists.
    pub(crate) connection: Token,
    /// For as long as it is waited for.
    pub(crate) waiting: Token,
}

/// Connects to `host` within `timeout` and counts how it went.
pub(crate) async fn connect(
    reactor: &Reactor,
    counts: Counts,
    tokens: Tokens,
    host: Address,
    timeout: Duration,
) -> Result<UpstreamConnection, ConnectFailure> {
    let existence = Existence::begin(reactor, &counts, tokens.connection);
    let waiting = Waiting::begin(counts.clone(), tokens.waiting);
    match connect_within(reactor, &host, timeout).await {
        Some(Ok(socket)) => {
            counts.cluster.record_duration(ClusterStat::UpstreamCxConnectMs, existence.age());
            waiting.end(None);
            Ok(UpstreamConnection::new(socket, host, existence))
        }
        Some(Err(source)) => {
            waiting.end(Some(ClusterStat::UpstreamRqPendingFailureEject));
            counts.connect_failed();
            // Envoy books every error of connect(2) on the host, a missing route too.
            existence.set_closed_by(ClosedBy::Remote);
            Err(ConnectFailure::Refused { host, source })
        }
        None => {
            waiting.end(Some(ClusterStat::UpstreamRqPendingFailureEject));
            counts.connect_failed();
            counts.cluster.inc(ClusterStat::UpstreamCxConnectTimeout);
            Err(ConnectFailure::Timeout { host })
        }
    }
}

/// `None` when the time is over first.
pub(crate) async fn connect_within(
    reactor: &Reactor,
    host: &Address,
    timeout: Duration,
) -> Option<io::Result<Socket>> {
    let mut connecting = pin!(reactor.connect(host));
    let mut expiry = pin!(reactor.sleep(timeout));
    poll_fn(|context| {
        if let Poll::Ready(result) = connecting.as_mut().poll(context) {
            return Poll::Ready(Some(result));
        }
        expiry.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// A user who waits for a connect. One that is dropped before it has ended was cancelled.
#[derive(Debug)]
pub(crate) struct Waiting {
    counts: Counts,
    /// What the end of the wait counts as.
    counts_as: Option<ClusterStat>,
    _pending: GaugeGuard<ClusterStat>,
    _pending_at_host: GaugeGuard<HostStat>,
    _token: Token,
}

impl Waiting {
    pub(crate) fn begin(counts: Counts, token: Token) -> Self {
        counts.cluster.inc(ClusterStat::UpstreamRqPendingTotal);
        Self {
            counts_as: Some(ClusterStat::UpstreamRqCancelled),
            _pending: counts.cluster.guard(ClusterStat::UpstreamRqPendingActive),
            _pending_at_host: counts.host.guard(HostStat::RqPendingActive),
            counts,
            _token: token,
        }
    }

    pub(crate) fn end(mut self, counts_as: Option<ClusterStat>) {
        self.counts_as = counts_as;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(stat) = self.counts_as {
            self.counts.cluster.inc(stat);
        }
    }
}
