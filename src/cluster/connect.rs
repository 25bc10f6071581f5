//! One attempt to connect to one host, and how Envoy counts it.
//!
//! ```text
//! Connecting --connected--> a socket
//!            --refused----> connect_fail, destroy_remote, pending_failure_eject
//!            --no socket--> connect_fail, destroy_local, bind_errors, pending_failure_eject
//!            --timeout----> connect_fail, connect_timeout, destroy_local, pending_failure_eject
//!            --dropped----> destroy_local, cancelled
//! ```
//! Measured against Envoy 1.40's `tcp_proxy`: its pool counts the waiting user as a pending
//! request, also where the breaker leaves no room for a second one.

use std::{fmt, io};

use base::Address;
use net::Stream;
use observe::GaugeGuard;
use observe::names::{ClusterStat, HostStat};

use crate::breaker::{ConnectionToken, Token};
use crate::connector::ConnectError;
use crate::context::Context;
use crate::existence::{ClosedBy, Counts, Existence};
use crate::outlier::Outcome;

/// Why [`crate::Cluster::connect`] gave no connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// The connection breaker is at its limit (`UO`). Another attempt now would meet it again.
    Overflow,
    /// As many requests are under way as may be (`UO`). They may be fewer in a moment.
    RequestOverflow {
        /// The host that was to be asked.
        host: Address,
    },
    /// As many wait for a connect as may (`UO`). They may be fewer in a moment.
    PendingOverflow {
        /// The host that was to be tried.
        host: Address,
    },
    /// The cluster has no host, or no room for a pool of connections to it (`UH`).
    NoHealthyHost,
    /// The host refused, reset, or could not be reached (`UF`).
    Refused {
        /// The host that was tried.
        host: Address,
        /// What the kernel said.
        source: io::Error,
    },
    /// There was no socket to reach the host with: its source address or an option of it is not to
    /// be had.
    Local {
        /// The host that was to be tried.
        host: Address,
        /// Why, in Envoy's words, where it has some.
        reason: Option<String>,
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
            Self::Overflow | Self::NoHealthyHost => false,
            Self::RequestOverflow { .. }
            | Self::PendingOverflow { .. }
            | Self::Refused { .. }
            | Self::Local { .. }
            | Self::Timeout { .. } => true,
        }
    }
}

impl ConnectFailure {
    /// What it says about the host to somebody who wanted no more than a connection. A limit, and a
    /// socket that was not to be had, say nothing.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Refused { .. } => Some(Outcome::ConnectFailed),
            Self::Timeout { .. } => Some(Outcome::Timeout),
            Self::Overflow
            | Self::RequestOverflow { .. }
            | Self::PendingOverflow { .. }
            | Self::NoHealthyHost
            | Self::Local { .. } => None,
        }
    }
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overflow => f.write_str("the cluster's connection limit is reached"),
            Self::RequestOverflow { .. } => f.write_str("the cluster's request limit is reached"),
            Self::PendingOverflow { .. } => {
                f.write_str("too many wait for a connect to the cluster")
            }
            Self::NoHealthyHost => f.write_str("the cluster has no host"),
            Self::Refused { host, source } => write!(f, "connecting to {host}: {source}"),
            Self::Local { host, reason } => {
                let reason = reason.as_deref().unwrap_or("a socket option could not be set");
                write!(f, "connecting to {host}: {reason}")
            }
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
            | Self::RequestOverflow { .. }
            | Self::NoHealthyHost
            | Self::Local { .. }
            | Self::Timeout { .. } => None,
        }
    }
}

/// Connects to `host` for somebody who waits, and counts how it went.
// No `async fn`: the future of one keeps its arguments twice.
pub(crate) fn connect<'a>(
    context: &'a Context,
    counts: &'a Counts,
    token: ConnectionToken,
    host: &'a Address,
    waiting: Waiting,
) -> impl Future<Output = Result<(Stream, Existence), ConnectFailure>> + use<'a> {
    let existence = Existence::begin(&context.reactor, counts, token);
    async move {
        match context.connector.connect(host).await {
            Ok(socket) => {
                counts.cluster.record_duration(ClusterStat::UpstreamCxConnectMs, existence.age());
                waiting.end(None);
                Ok((context.stream(socket), existence))
            }
            Err(error) => {
                waiting.end(Some(ClusterStat::UpstreamRqPendingFailureEject));
                Err(failed(&error, counts, &existence, host))
            }
        }
    }
}

/// Counts a connect that failed.
pub(crate) fn failed(
    error: &ConnectError,
    counts: &Counts,
    existence: &Existence,
    host: &Address,
) -> ConnectFailure {
    counts.connect_failed();
    let host = host.clone();
    match error {
        ConnectError::Bind(address, error) => {
            counts.cluster.inc(ClusterStat::BindErrors);
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            let reason = Some(format!("failed to bind to {address}: {text}"));
            ConnectFailure::Local { host, reason }
        }
        ConnectError::SocketOption => ConnectFailure::Local { host, reason: None },
        ConnectError::Connect(source) => {
            // Envoy books every error of connect(2) on the host, a missing route too.
            existence.set_closed_by(ClosedBy::Remote);
            ConnectFailure::Refused { host, source: same_error(source) }
        }
        ConnectError::Timeout => {
            counts.cluster.inc(ClusterStat::UpstreamCxConnectTimeout);
            ConnectFailure::Timeout { host }
        }
    }
}

impl ConnectFailure {
    /// The same failure, for the next one who waited.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Overflow => Self::Overflow,
            Self::RequestOverflow { host } => Self::RequestOverflow { host: host.clone() },
            Self::NoHealthyHost => Self::NoHealthyHost,
            Self::PendingOverflow { host } => Self::PendingOverflow { host: host.clone() },
            Self::Refused { host, source } => {
                Self::Refused { host: host.clone(), source: same_error(source) }
            }
            Self::Local { host, reason } => {
                Self::Local { host: host.clone(), reason: reason.clone() }
            }
            Self::Timeout { host } => Self::Timeout { host: host.clone() },
        }
    }
}

fn same_error(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
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
