//! `envoy.filters.network.tcp_proxy`: one upstream connection for each downstream connection.
//!
//! With `tunneling_config` the upstream connection is a tunnel, opened by `tcp_tunnel`.
//!
//! ```text
//! accepted --no such cluster-----------------------> closed (downstream_cx_no_route)
//!    |  \----breaker open, no host, attempts spent-> closed
//!    +--> connected --> relaying --both ended, reset, idle--> closed
//!                                      \--bytes wait for upstream--> flushed, closed
//! ```
//! `max_downstream_connection_duration` closes it wherever it is.
//!
//! Nothing is read from downstream before upstream is connected (row C1): early bytes wait in the
//! kernel. With `max_early_data_bytes` they are read (`early_data.rs`), and with
//! `upstream_connect_mode: ON_DOWNSTREAM_DATA` they are what upstream is connected for.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/network_filters/tcp_proxy_filter>

mod tunnelled;

use std::cell::OnceCell;
use std::future::{Future, poll_fn, ready};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use base::Address;
use cluster::{ClosedBy, Cluster, Clusters, MetHost, Outcome, UpstreamConnection, Way};
use config::model::{self, EarlyDataOptions, MaxDuration};
use net::{
    Flushed, HalfClose, PumpObserver, RelayEnd, RelayPeer, RelayRules, SendMeter, Side, Stream,
    flush, relay,
};
use observe::Scope;
use observe::names::{ClusterStat, TcpProxyStat};
use reactor::{Reactor, Socket};

use crate::connection_context::ConnectionContext;
use crate::connection_log::ConnectionLog;
use crate::connection_state;
use crate::early_data::{self, EarlyData};
use crate::gate::{self, Held, Passage, client_of};
use crate::meter::{self, FromDownstream, FromUpstream};
use crate::random::Random;
use crate::tcp_route::{Route, Waits, random_below};
use crate::tcp_tunnel::{NoUpstream, TcpTunnel};
use crate::upstream_flush::{self, UpstreamFlush};

/// A `tcp_proxy` filter on one worker.
#[derive(Debug)]
pub(crate) struct TcpProxy {
    config: model::TcpProxy,
    tunnel: Option<TcpTunnel>,
    rules: RelayRules,
    route: Route,
    /// For connections that a filter sends elsewhere.
    clusters: Clusters,
    stats: Scope<TcpProxyStat>,
    to_downstream: Rc<SendMeter<TcpProxyStat>>,
    random: Rc<Random>,
}

impl TcpProxy {
    /// A filter whose connections go to some of `clusters`, through a `tunnel` if there is to be
    /// one. `random` is where its chances are drawn from.
    pub(crate) fn new(
        config: model::TcpProxy,
        tunnel: Option<TcpTunnel>,
        clusters: &Clusters,
        stats: Scope<TcpProxyStat>,
        random: Rc<Random>,
    ) -> Self {
        let to_downstream = meter::to_downstream(&stats);
        let route = Route::new(&config.route, clusters);
        let rules = relay_rules(config.idle_timeout);
        let clusters = clusters.clone();
        Self { config, tunnel, rules, route, clusters, stats, to_downstream, random }
    }

    /// Serves one connection to its end, and answers what is left of it.
    // No `async fn`: the future of one keeps its arguments twice.
    pub(crate) fn serve<'a>(
        &'a self,
        socket: Socket,
        context: &'a ConnectionContext<'_>,
    ) -> impl Future<Output = Option<UpstreamFlush>> + use<'a> {
        async move {
            self.stats.inc(TcpProxyStat::DownstreamCxTotal);
            context.log.begin_upstream();
            let mut held = Held::default();
            if !context.filters().is_empty() {
                held = Box::pin(enter(context)).await?;
            }
            context.log.let_in();
            if let Some(tunnel) = self.let_in(context) {
                // Boxed, so that connections without tunnels keep no room for them.
                Box::pin(self.serve_through(tunnel, socket, context)).await;
                drop(held);
                return None;
            }
            let early = self.early_data(context);
            // Boxed: it needs more room than a relay, for a moment.
            let (downstream, cluster, upstream) =
                Box::pin(self.both_ends(socket, early, context)).await?;
            context.log.connected(&upstream, self.config.access_log_options.flush_on_connected);
            let asks_filters = early.is_none() && context.filters().awaits_data();
            let rest = self.relay(downstream, cluster, &upstream, context, asks_filters).await;
            let idle = self.rules(context).idle_timeout;
            drop(held);
            match rest {
                Rest::Dropped => None,
                Rest::Sent => upstream_flush::begin(context.reactor(), upstream, &self.stats, idle),
            }
        }
    }

    /// The filters before have let a connection in, and may have left something on it. Answers
    /// through which tunnel it goes, if through one.
    fn let_in(&self, context: &ConnectionContext<'_>) -> Option<&TcpTunnel> {
        let Some(state) = context.log.state() else { return self.tunnel.as_ref() };
        let tunnel = self.tunnel.as_ref().filter(|_| !state.disables_tunneling());
        let idle_timeout = state.idle_timeout().or(self.config.idle_timeout);
        state.set_relay_rules(relay_rules(idle_timeout));
        tunnel
    }

    fn rules<'a>(&'a self, context: &'a ConnectionContext<'_>) -> &'a RelayRules {
        let own = context.log.state().and_then(|state| state.relay_rules());
        own.unwrap_or(&self.rules)
    }

    /// How long the next connection may last.
    pub(crate) fn max_duration(&self) -> Option<Duration> {
        let MaxDuration { base, jitter } = self.config.max_duration?;
        Some(base + random_below(jitter, &self.random))
    }

    /// Serves a connection until `limit` has passed. Boxed by the caller, so that connections
    /// without a limit do not keep room for it.
    pub(crate) async fn end_within<T>(
        &self,
        reactor: &Reactor,
        limit: Duration,
        log: &ConnectionLog<'_>,
        connection: impl Future<Output = Option<T>>,
    ) -> Option<T> {
        let (mut connection, mut expiry) = (pin!(connection), pin!(reactor.sleep(limit)));
        let ended = poll_fn(|context| {
            if let Poll::Ready(left) = connection.as_mut().poll(context) {
                return Poll::Ready(Some(left));
            }
            expiry.as_mut().poll(context).map(|()| None)
        });
        ended.await.unwrap_or_else(|| {
            self.stats.inc(TcpProxyStat::MaxDownstreamConnectionDuration);
            log.max_duration();
            None
        })
    }

    /// How often a connection that lasts writes a line.
    pub(crate) fn log_interval(&self) -> Option<Duration> {
        self.config.access_log_options.flush_interval
    }

    fn downstream(&self, socket: Socket, context: &ConnectionContext<'_>) -> Stream {
        context.stream(socket, self.to_downstream.clone())
    }

    /// What is to be read before upstream is connected. A filter that waits for the first bytes
    /// may be asked while upstream is connected, as long as nobody else reads.
    fn early_data(&self, context: &ConnectionContext<'_>) -> Option<EarlyDataOptions> {
        let options = self.config.early_data?;
        (options.awaits_first || !context.filters().awaits_data()).then_some(options)
    }

    /// The client's stream, and a connection for it that knows whose it is.
    async fn both_ends<'a>(
        &'a self,
        socket: Socket,
        early: Option<EarlyDataOptions>,
        context: &'a ConnectionContext<'_>,
    ) -> Option<(Stream, &'a Cluster, UpstreamConnection)> {
        if let Some(options) = early {
            return self.connect_with_early_data(socket, options, context).await;
        }
        let connecting = pin!(self.connect(socket.clone(), context));
        let (cluster, upstream) = self.unless_idle(context, connecting).await?;
        introduce(&socket, context, cluster, upstream.stream());
        Some((self.downstream(socket, context), cluster, upstream))
    }

    /// Connects to a host, for the first bytes or beside reading them. They are on their way then.
    async fn connect_with_early_data<'a>(
        &'a self,
        socket: Socket,
        options: EarlyDataOptions,
        context: &'a ConnectionContext<'_>,
    ) -> Option<(Stream, &'a Cluster, UpstreamConnection)> {
        let (reactor, filters, log) = (context.reactor(), context.filters(), &context.log);
        let downstream = self.downstream(socket, context);
        let receiver = downstream.receiver();
        let mut early = EarlyData::new(receiver, &self.stats, log, options.bytes_max);
        let connect = self.connect(downstream.socket().clone(), context);
        let connecting = async {
            if filters.awaits_data() {
                let client = (downstream.socket(), receiver, context.origin().map(Rc::as_ref));
                let received = |bytes| early_data::count(&self.stats, log, bytes);
                let first_data = gate::first_data(filters, reactor, client, log, received, true);
                if first_data.await != Passage::Open {
                    return None;
                }
            }
            if options.awaits_first {
                let first = poll_fn(|context| early.poll_first(context)).await;
                // A client that ends its side without a byte wants nothing of upstream.
                if !first.inspect_err(|error| note_failure(error, log)).unwrap_or(false) {
                    return None;
                }
            }
            let mut connecting = pin!(connect);
            poll_fn(|context| {
                if let Poll::Ready(connected) = connecting.as_mut().poll(context) {
                    return Poll::Ready(connected);
                }
                early.poll_failure(context).map(|error| {
                    note_failure(&error, log);
                    None
                })
            })
            .await
        };
        let (cluster, upstream) = self.unless_idle(context, pin!(connecting)).await?;
        introduce(downstream.socket(), context, cluster, upstream.stream());
        let early = early.into_bytes();
        upstream.stream().outbox().write(|out| out.extend_from_slice(&early));
        Some((downstream, cluster, upstream))
    }

    /// Connects, unless that takes longer than the connection may be idle.
    async fn unless_idle<T>(
        &self,
        context: &ConnectionContext<'_>,
        mut connecting: Pin<&mut impl Future<Output = Option<T>>>,
    ) -> Option<T> {
        let idle = self.rules(context).idle_timeout;
        let mut expiry = pin!(idle.map(|timeout| context.reactor().sleep(timeout)));
        let log = &context.log;
        poll_fn(|context| {
            if let Poll::Ready(connected) = connecting.as_mut().poll(context) {
                return Poll::Ready(connected);
            }
            let Some(expiry) = expiry.as_mut().as_pin_mut() else { return Poll::Pending };
            expiry.poll(context).map(|()| {
                self.idle(log);
                None
            })
        })
        .await
    }

    /// Connects to a host, for the client on `socket`.
    fn connect<'a>(
        &'a self,
        socket: Socket,
        context: &'a ConnectionContext<'_>,
    ) -> impl Future<Output = Option<(&'a Cluster, UpstreamConnection)>> + use<'a> {
        let log = &context.log;
        self.attempts(context, async move |cluster: &'a Rc<Cluster>| {
            let way = way(&socket, context, cluster);
            let monitor = OnceCell::new();
            let picked = |address: &Address, host: &MetHost| {
                log.trying(address);
                if let Some(known) = host.monitor() {
                    let _ = monitor.set(Rc::clone(known));
                }
            };
            let connected = cluster.connect(way, picked).await;
            if let Some(monitor) = monitor.get() {
                let outcome = match &connected {
                    Ok(_) => Some(Outcome::ConnectedFinal),
                    Err(failure) => failure.outcome(),
                };
                outcome.into_iter().for_each(|outcome| monitor.report(outcome));
            }
            connected.map_err(|failure| {
                log.connect_failed(&failure);
                NoUpstream::from(&failure)
            })
        })
    }

    /// Makes up to `max_connect_attempts` attempts.
    fn attempts<'a, U>(
        &'a self,
        context: &'a ConnectionContext<'_>,
        attempt: impl AsyncFn(&'a Rc<Cluster>) -> Result<U, NoUpstream>,
    ) -> impl Future<Output = Option<(&'a Cluster, U)>> {
        let (reactor, log) = (context.reactor(), &context.log);
        // At once, also where the first attempt is made later.
        let mut picked = self.pick(context);
        async move {
            let mut waits = None;
            for number in 1.. {
                let Some(cluster) = picked else {
                    self.stats.inc(TcpProxyStat::DownstreamCxNoRoute);
                    log.no_cluster();
                    return None;
                };
                log.connecting(cluster);
                match attempt(cluster).await {
                    Ok(upstream) => return Some((&**cluster, upstream)),
                    Err(NoUpstream::MayRetry) => {}
                    Err(NoUpstream::Final) => return None,
                }
                if number >= self.config.max_connect_attempts {
                    cluster.stats().inc(ClusterStat::UpstreamCxConnectAttemptsExceeded);
                    log.attempts_exceeded();
                    return None;
                }
                if let Some(backoff) = self.config.backoff {
                    let waits = waits.get_or_insert_with(|| Waits::new(backoff));
                    reactor.sleep(waits.next(&self.random)).await;
                }
                picked = self.pick(context);
            }
            None
        }
    }

    /// The cluster for one attempt.
    fn pick(&self, context: &ConnectionContext<'_>) -> Option<&Rc<Cluster>> {
        let asked = context.log.state().and_then(|state| state.cluster());
        match (&self.route, asked) {
            (Route::One(_), Some(name)) => {
                std::str::from_utf8(&name).ok().and_then(|name| self.clusters.find(name))
            }
            // Clusters with weights are drawn whatever a filter says (row C3).
            _ => self.route.pick(&self.random),
        }
    }

    fn relay<'a>(
        &'a self,
        downstream: Stream,
        cluster: &'a Cluster,
        connection: &'a UpstreamConnection,
        context: &'a ConnectionContext<'_>,
        asks_filters: bool,
    ) -> impl Future<Output = Rest> + use<'a> {
        async move {
            let upstream = connection.stream();
            let from_downstream =
                FromDownstream { filter: &self.stats, cluster: cluster.stats(), log: &context.log };
            let from_upstream = FromUpstream { cluster: cluster.stats(), log: &context.log };
            let rules = self.rules(context);
            let end = if asks_filters {
                let observers = (&from_downstream, &from_upstream);
                relay_after_first_data((&downstream, upstream), observers, rules, context).await
            } else {
                let begins = ready(true);
                let (down, up) = (&downstream, upstream);
                relay(context.reactor(), down, up, &from_downstream, &from_upstream, rules, begins)
                    .await
            };
            match end {
                RelayEnd::Finished { last } => {
                    if last == Side::Upstream && upstream.outbox().bytes_buffered() == 0 {
                        connection.set_closed_by(ClosedBy::Remote);
                    }
                    return Rest::Sent;
                }
                RelayEnd::Failed { side: Side::Downstream, error } if is_reset(&error) => {
                    context.log.downstream_reset();
                    reset(upstream);
                }
                // It took nothing more, but had ended its own side properly.
                RelayEnd::Failed { side: Side::Downstream, .. } => return Rest::Sent,
                RelayEnd::Failed { side: Side::Upstream, error } if is_reset(&error) => {
                    connection.set_closed_by(ClosedBy::Remote);
                    context.log.upstream_reset();
                    // What waits for downstream is dropped, as in Envoy.
                    reset(&downstream);
                }
                RelayEnd::Failed { side: Side::Upstream, .. } => {
                    connection.set_closed_by(ClosedBy::Remote);
                    self.flush(&downstream, context).await;
                }
                RelayEnd::Idle => self.idle(&context.log),
                RelayEnd::Refused => {}
            }
            Rest::Dropped
        }
    }

    async fn flush(&self, downstream: &Stream, context: &ConnectionContext<'_>) {
        let idle = self.rules(context).idle_timeout;
        if flush(context.reactor(), downstream, idle).await == Flushed::Idle {
            self.idle(&context.log);
        }
    }

    fn idle(&self, log: &ConnectionLog<'_>) {
        self.stats.inc(TcpProxyStat::IdleTimeout);
        log.idle();
    }
}

fn relay_rules(idle_timeout: Option<Duration>) -> RelayRules {
    RelayRules { idle_timeout, half_close: HalfClose::PassedOn }
}

/// How the client on `client` is connected to a host of `cluster`, if not as all others.
fn way(client: &Socket, context: &ConnectionContext<'_>, cluster: &Cluster) -> Option<Box<Way>> {
    let state = context.log.state();
    if let Some(state) = state {
        state.begin_upstream();
    }
    let client = || client_of(client, context.origin().map(Rc::as_ref));
    connection_state::way(state.map(Rc::as_ref), cluster, client)
}

/// What becomes of bytes that wait for upstream when downstream is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Sent,
    Dropped,
}

/// Tells the upstream first whose connection it is, if the cluster is configured so (row C11).
fn introduce(
    client: &Socket,
    context: &ConnectionContext<'_>,
    cluster: &Cluster,
    upstream: &Stream,
) {
    let client = || client_of(client, context.origin().map(Rc::as_ref));
    if let Some(header) = cluster.proxy_header(client) {
        upstream.outbox().write(|out| out.extend_from_slice(&header));
    }
}

/// Shows a new connection to the filters before this one.
async fn enter(context: &ConnectionContext<'_>) -> Option<Held> {
    gate::enter(context.filters(), context.reactor(), &context.log).await
}

/// Relays once the first bytes of downstream have passed the filters that wait for them, if any
/// does. Boxed, so that a connection without such filters keeps no room for them.
fn relay_after_first_data<'a>(
    (downstream, upstream): (&'a Stream, &'a impl RelayPeer),
    observers: (&'a FromDownstream<'a>, &'a impl PumpObserver),
    rules: &'a RelayRules,
    context: &'a ConnectionContext<'a>,
) -> Pin<Box<dyn Future<Output = RelayEnd> + 'a>> {
    Box::pin(async move {
        let (reactor, filters, log) = (context.reactor(), context.filters(), &context.log);
        let (from_downstream, from_upstream) = observers;
        let origin = context.origin().map(Rc::as_ref);
        let client = (downstream.socket(), downstream.receiver(), origin);
        let received = |bytes| from_downstream.received(bytes);
        let first_data = gate::first_data(filters, reactor, client, log, received, true);
        let begins = async { !filters.awaits_data() || first_data.await == Passage::Open };
        let (down, up) = (downstream, upstream);
        relay(reactor, down, up, from_downstream, from_upstream, rules, begins).await
    })
}

fn note_failure(error: &io::Error, log: &ConnectionLog<'_>) {
    if is_reset(error) {
        log.downstream_reset();
    }
}

fn is_reset(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionReset
}

/// Passes a reset on to the other side.
fn reset(other: &Stream) {
    // A peer that is gone already needs no reset.
    let _ = other.socket().reset_on_close();
}
