//! `tcp_proxy` through a tunnel: each connection becomes an HTTP request that asks the upstream to
//! connect it on, and is relayed once that has agreed.
//!
//! ```text
//! host --none, overflow--> refused
//!   \--> stream --refused, late--> refused
//!          \--> CONNECT or POST --agreed--> relayed, until the ends come
//!                 \--another answer, none--> refused
//! ```
//! Whether there is another attempt is `tcp_proxy`'s business. The pool's protocol is the
//! cluster's: a connection of HTTP/1 carries one tunnel (`http1.rs`), one of HTTP/2 many
//! (`http2.rs`). Either way the relay of `net` moves the bytes, with the [`Tunnel`] as its other
//! end.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/http/upgrades#tunneling-tcp-over-http>

mod http1;
mod http2;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use cluster::{ClosedBy, Cluster, ConnectFailure, HttpStream, Outcome};
use net::{HalfClose, PumpSink, PumpSource, RelayPeer, Stream};
use reactor::{Outbox, Received, Receiver, Socket, Span};

use self::http1::Http1Tunnel;
use self::http2::Http2Tunnel;
use crate::connection_context::ConnectionContext;
use crate::gate::client_of;
use crate::tunnel_head::TunnelHead;

/// How the connections of a `tcp_proxy` are tunnelled.
#[derive(Debug)]
pub(crate) struct TcpTunnel {
    pub(crate) head: Arc<TunnelHead>,
    pub(crate) propagate_response_headers: bool,
    pub(crate) propagate_response_trailers: bool,
}

/// Why an attempt gave no upstream. It was noted in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoUpstream {
    /// Another attempt may do better.
    MayRetry,
    /// Another attempt now would meet the same.
    Final,
}

impl From<&ConnectFailure> for NoUpstream {
    fn from(failure: &ConnectFailure) -> Self {
        if failure.may_retry() { Self::MayRetry } else { Self::Final }
    }
}

impl TcpTunnel {
    /// Asks a host of `cluster` for a tunnel for the client on `socket`. One call is one attempt.
    pub(crate) async fn open<'a>(
        &self,
        cluster: &Rc<Cluster>,
        socket: &Socket,
        context: &'a ConnectionContext<'_>,
    ) -> Result<Tunnel<'a>, NoUpstream> {
        let log = &context.log;
        let client = || client_of(socket, context.origin().map(Rc::as_ref));
        let refused = |failure: ConnectFailure| {
            log.connect_failed(&failure);
            NoUpstream::from(&failure)
        };
        let host = cluster.tunnel_host(cluster.proxy_header(client)).map_err(refused)?;
        log.trying(host.address());
        let report = |outcome| {
            if let (Some(monitor), Some(outcome)) = (host.monitor(), outcome) {
                monitor.report(outcome);
            }
        };
        let stream = host.stream().await.map_err(|failure| {
            report(failure.outcome());
            refused(failure)
        })?;
        log.tunnel_begun(host.address());
        let opened = match stream {
            HttpStream::Http1(stream) => {
                self.ask_http1(stream, cluster, log).await.map(Tunnel::Http1)
            }
            HttpStream::Http2(stream) => self.ask_http2(stream, log).await.map(Tunnel::Http2),
        };
        // A host that refuses the tunnel is one that cannot be connected to.
        let is_open = opened.is_ok();
        report(Some(if is_open { Outcome::ConnectedFinal } else { Outcome::ConnectFailed }));
        opened
    }
}

/// A tunnel that a host has agreed to: the far end of a relay.
#[derive(Debug)]
pub(crate) enum Tunnel<'a> {
    Http1(Http1Tunnel<'a>),
    Http2(Http2Tunnel<'a>),
}

impl Tunnel<'_> {
    /// The connection that carries it.
    pub(crate) fn carrier(&self) -> &Stream {
        match self {
            Self::Http1(tunnel) => tunnel.carrier(),
            Self::Http2(tunnel) => tunnel.port().endpoint().stream(),
        }
    }

    /// What the end of one direction means for the other: HTTP/1 has no half close (row C16).
    pub(crate) const fn half_close(&self) -> HalfClose {
        match self {
            Self::Http1(_) => HalfClose::EndsBoth,
            Self::Http2(_) => HalfClose::PassedOn,
        }
    }

    /// Counts what its connection has received by now.
    pub(crate) fn count_received(&self) {
        match self {
            Self::Http1(tunnel) => tunnel.count_received(),
            // The task of the connection does.
            Self::Http2(_) => {}
        }
    }

    /// Whether the host has reset it, and the client is to see that.
    pub(crate) fn is_reset(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::Http2(tunnel) => tunnel.is_reset(),
        }
    }

    /// The client's end was the last one, which no relay passes on.
    pub(crate) fn end_request(&self) {
        match self {
            Self::Http1(tunnel) => tunnel.end_request(),
            Self::Http2(tunnel) => tunnel.port().finish(),
        }
    }

    /// Closes it: the connection of HTTP/1, by `side`; the stream of HTTP/2.
    pub(crate) fn close(self, side: ClosedBy) {
        match self {
            Self::Http1(tunnel) => tunnel.close(side),
            Self::Http2(tunnel) => drop(tunnel),
        }
    }
}

impl PumpSource for Tunnel<'_> {
    fn poll_recv(&self, context: &Context<'_>, bytes_max: usize) -> Poll<io::Result<Received>> {
        match self {
            Self::Http1(tunnel) => tunnel.poll_recv(context, bytes_max),
            Self::Http2(tunnel) => tunnel.port().poll_recv(context, bytes_max),
        }
    }

    fn receiver(&self) -> Option<&Receiver> {
        match self {
            Self::Http1(tunnel) => tunnel.plain().map(Stream::receiver),
            Self::Http2(_) => None,
        }
    }
}

impl PumpSink for Tunnel<'_> {
    fn poll_room(&self, context: &Context<'_>) -> Poll<io::Result<usize>> {
        match self {
            Self::Http1(tunnel) => tunnel.carrier().poll_room(context),
            Self::Http2(tunnel) => PumpSink::poll_room(tunnel.port(), context),
        }
    }

    fn poll_failure(&self, context: &Context<'_>) -> Poll<io::Error> {
        match self {
            Self::Http1(tunnel) => tunnel.carrier().poll_failure(context),
            Self::Http2(tunnel) => tunnel.port().poll_failure(context),
        }
    }

    fn push(&self, bytes: Span) {
        match self {
            Self::Http1(tunnel) => tunnel.push(bytes),
            Self::Http2(tunnel) => tunnel.port().push(bytes),
        }
    }

    fn finish(&self) {
        match self {
            Self::Http1(tunnel) => tunnel.carrier().finish(),
            Self::Http2(tunnel) => tunnel.port().finish(),
        }
    }

    fn poll_drained(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Http1(tunnel) => tunnel.carrier().poll_drained(context),
            Self::Http2(tunnel) => tunnel.port().poll_drained(context),
        }
    }

    fn outbox(&self) -> Option<&Outbox> {
        match self {
            Self::Http1(tunnel) => tunnel.plain().map(Stream::outbox),
            Self::Http2(_) => None,
        }
    }
}

impl RelayPeer for Tunnel<'_> {
    fn last_activity(&self) -> Option<Instant> {
        match self {
            Self::Http1(tunnel) => RelayPeer::last_activity(tunnel.carrier()),
            Self::Http2(tunnel) => tunnel.port().last_activity(),
        }
    }
}
