//! `envoy.filters.network.tcp_proxy`: one upstream connection for each downstream connection.
//!
//! ```text
//! accepted --no such cluster-----------------------> closed (downstream_cx_no_route)
//!    |  \----breaker open, no host, attempts spent-> closed
//!    +--> connected --> relaying --both ended, reset, idle--> closed
//! ```
//! `max_downstream_connection_duration` closes it wherever it is.
//!
//! Nothing is read from downstream before upstream is connected (row C1): early bytes wait in the
//! kernel.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/network_filters/tcp_proxy_filter>

use std::future::{Future, poll_fn, ready};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use cluster::{ClosedBy, Cluster, Clusters, UpstreamConnection};
use config::model::{self, MaxDuration};
use net::{Flushed, PumpObserver as _, RelayEnd, SendMeter, Side, Stream, flush, relay};
use observe::Scope;
use observe::names::{ClusterStat, TcpProxyStat};
use reactor::{Reactor, Socket};

use crate::connection_context::ConnectionContext;
use crate::connection_log::ConnectionLog;
use crate::gate::{self, Held, Passage};
use crate::meter::{self, FromDownstream, FromUpstream};
use crate::random::Random;
use crate::tcp_route::{Route, Waits, random_below};

/// A `tcp_proxy` filter on one worker.
#[derive(Debug)]
pub(crate) struct TcpProxy {
    config: model::TcpProxy,
    route: Route,
    stats: Scope<TcpProxyStat>,
    to_downstream: Rc<SendMeter<TcpProxyStat>>,
    random: Rc<Random>,
}

impl TcpProxy {
    /// A filter whose connections go to some of `clusters`. `random` is where its chances are
    /// drawn from.
    pub(crate) fn new(
        config: model::TcpProxy,
        clusters: &Clusters,
        stats: Scope<TcpProxyStat>,
        random: Rc<Random>,
    ) -> Self {
        let to_downstream = meter::to_downstream(&stats);
        let route = Route::new(&config.route, clusters);
        Self { config, route, stats, to_downstream, random }
    }

    /// Serves one connection to its end.
    pub(crate) async fn serve(&self, socket: Socket, context: &ConnectionContext<'_>) {
        self.stats.inc(TcpProxyStat::DownstreamCxTotal);
        context.log.begin_upstream();
        let mut held = Held::default();
        if !context.filters.is_empty() {
            let Some(holds) = Box::pin(enter(context)).await else { return };
            held = holds;
        }
        let Some((cluster, upstream)) = self.connect(context.reactor, &context.log).await else {
            return;
        };
        context.log.connected(&upstream, self.config.access_log_options.flush_on_connected);
        self.relay(socket, cluster, &upstream, context).await;
        drop(held);
    }

    /// How long the next connection may last.
    pub(crate) fn max_duration(&self) -> Option<Duration> {
        let MaxDuration { base, jitter } = self.config.max_duration?;
        Some(base + random_below(jitter, &self.random))
    }

    /// Serves a connection until `limit` has passed. Boxed by the caller, so that connections
    /// without a limit do not keep room for it.
    pub(crate) async fn end_within(
        &self,
        reactor: &Reactor,
        limit: Duration,
        log: &ConnectionLog<'_>,
        connection: impl Future<Output = ()>,
    ) {
        let (mut connection, mut expiry) = (pin!(connection), pin!(reactor.sleep(limit)));
        let has_ended = poll_fn(|context| {
            if connection.as_mut().poll(context).is_ready() {
                return Poll::Ready(true);
            }
            expiry.as_mut().poll(context).map(|()| false)
        });
        if !has_ended.await {
            self.stats.inc(TcpProxyStat::MaxDownstreamConnectionDuration);
            log.max_duration();
        }
    }

    /// How often a connection that lasts writes a line.
    pub(crate) fn log_interval(&self) -> Option<Duration> {
        self.config.access_log_options.flush_interval
    }

    /// Tries up to `max_connect_attempts` hosts.
    async fn connect(
        &self,
        reactor: &Reactor,
        log: &ConnectionLog<'_>,
    ) -> Option<(&Cluster, UpstreamConnection)> {
        let mut waits = None;
        for attempt in 1.. {
            let Some(cluster) = self.route.pick(&self.random) else {
                self.stats.inc(TcpProxyStat::DownstreamCxNoRoute);
                log.no_cluster();
                return None;
            };
            log.connecting(cluster);
            let failure = match cluster.connect(|host| log.trying(host)).await {
                Ok(upstream) => return Some((cluster, upstream)),
                Err(failure) => failure,
            };
            log.connect_failed(&failure);
            if !failure.may_retry() {
                return None;
            }
            if attempt >= self.config.max_connect_attempts {
                cluster.stats().inc(ClusterStat::UpstreamCxConnectAttemptsExceeded);
                log.attempts_exceeded();
                return None;
            }
            if let Some(backoff) = self.config.backoff {
                let waits = waits.get_or_insert_with(|| Waits::new(backoff));
                reactor.sleep(waits.next(&self.random)).await;
            }
        }
        None
    }

    async fn relay(
        &self,
        socket: Socket,
        cluster: &Cluster,
        connection: &UpstreamConnection,
        context: &ConnectionContext<'_>,
    ) {
        let upstream = connection.stream();
        introduce(&socket, cluster, upstream);
        let (limit, meter) = (context.buffer_limit, self.to_downstream.clone());
        let downstream = Stream::new(context.reactor, socket, limit, meter);
        let from_downstream =
            FromDownstream { filter: &self.stats, cluster: cluster.stats(), log: &context.log };
        let from_upstream = FromUpstream { cluster: cluster.stats(), log: &context.log };
        let idle = self.config.idle_timeout;
        let end = if context.filters.awaits_data() {
            let observers = (&from_downstream, &from_upstream);
            relay_after_first_data((&downstream, upstream), observers, idle, context).await
        } else {
            let begins = ready(true);
            let (down, up) = (&downstream, upstream);
            relay(context.reactor, down, up, &from_downstream, &from_upstream, idle, begins).await
        };
        match end {
            RelayEnd::Finished { last: Side::Upstream } => {
                connection.set_closed_by(ClosedBy::Remote);
            }
            RelayEnd::Finished { last: Side::Downstream } => {}
            RelayEnd::Failed { side: Side::Downstream, error } => {
                // What waits for upstream is dropped, as in Envoy (row C22).
                if is_reset(&error) {
                    context.log.downstream_reset();
                    reset(upstream);
                }
            }
            RelayEnd::Failed { side: Side::Upstream, error } => {
                connection.set_closed_by(ClosedBy::Remote);
                match flush(context.reactor, &downstream, self.config.idle_timeout).await {
                    Flushed::Sent if is_reset(&error) => {
                        context.log.upstream_reset();
                        reset(&downstream);
                    }
                    Flushed::Sent | Flushed::Failed => {}
                    Flushed::Idle => self.idle(&context.log),
                }
            }
            RelayEnd::Idle => self.idle(&context.log),
            RelayEnd::Refused => {}
        }
    }

    fn idle(&self, log: &ConnectionLog<'_>) {
        self.stats.inc(TcpProxyStat::IdleTimeout);
        log.idle();
    }
}

/// Tells the upstream first whose connection it is, if the cluster is configured so (row C11).
fn introduce(client: &Socket, cluster: &Cluster, upstream: &Stream) {
    let ends = || (client.peer_address().ok(), client.local_address().ok());
    if let Some(header) = cluster.proxy_header(ends) {
        upstream.outbox().write(|out| out.extend_from_slice(&header));
    }
}

/// Shows a new connection to the filters before this one.
async fn enter(context: &ConnectionContext<'_>) -> Option<Held> {
    gate::enter(context.filters, context.reactor, &context.log).await
}

/// Relays once the first bytes of downstream have passed the filters that wait for them. Boxed, so
/// that a connection without such filters keeps no room for them.
fn relay_after_first_data<'a>(
    (downstream, upstream): (&'a Stream, &'a Stream),
    observers: (&'a FromDownstream<'a>, &'a FromUpstream<'a>),
    idle_timeout: Option<Duration>,
    context: &'a ConnectionContext<'a>,
) -> Pin<Box<dyn Future<Output = RelayEnd> + 'a>> {
    Box::pin(async move {
        let ConnectionContext { reactor, filters, log, .. } = context;
        let (from_downstream, from_upstream) = observers;
        let client = (downstream.socket(), downstream.receiver());
        let received = |bytes| from_downstream.received(bytes);
        let first_data = gate::first_data(filters, reactor, client, log, received, true);
        let begins = async { first_data.await == Passage::Open };
        let (down, up) = (downstream, upstream);
        relay(reactor, down, up, from_downstream, from_upstream, idle_timeout, begins).await
    })
}

fn is_reset(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionReset
}

/// Passes a reset on to the other side.
fn reset(other: &Stream) {
    // A peer that is gone already needs no reset.
    let _ = other.socket().reset_on_close();
}
