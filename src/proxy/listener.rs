//! A listener on one worker: leads each connection past the listener filters, and gives it its
//! task.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use base::Address;
use config::model::{self, TerminalFilter};
use filter::{ChainIndex, ChainMatch, ListenerFilter, NetworkFilters};
use observe::names::{
    ListenerDormantStat, ListenerStat, TcpProxyDormantStat, TcpProxyStat, TcpTunnelDormantStat,
    listener_prefix, tcp_proxy_prefix,
};
use observe::{GaugeGuard, Scope};
use reactor::{Reactor, Socket, TaskSet};

use crate::admission::{Admission, ListenerShared};
use crate::beginning::Beginning;
use crate::connection_context::{ChainContext, ConnectionContext};
use crate::connection_log::{ConnectionLog, ConnectionLogging};
use crate::gate::ends_of;
use crate::http::{HttpManager, Names};
use crate::listener_stage::{Closed, HandedOff, ListenerStage, Passed, StageContext};
use crate::tcp_proxy::TcpProxy;
use crate::tcp_tunnel::TcpTunnel;
use crate::upstream_flush::UpstreamFlush;
use crate::worker_context::WorkerContext;
use crate::{direct_response, echo};

/// One listener on one worker.
#[derive(Debug)]
pub struct Listener {
    reactor: Reactor,
    config: Arc<model::Listener>,
    filters: Box<[ListenerFilter]>,
    /// Where connections can be handed off to; only if the listener does that.
    others: OnceCell<Box<dyn HandOff>>,
    chain_match: ChainMatch,
    /// In the order of [`model::Listener::chains`].
    chains: Box<[Chain]>,
    /// For connections that no chain matches.
    logging: ConnectionLogging,
    stats: Scope<ListenerStat>,
}

/// A filter chain on one worker.
#[derive(Debug)]
struct Chain {
    context: ChainContext,
    /// The last filter.
    filter: Filter,
}

/// Listeners to which connections can be handed off.
pub(crate) trait HandOff: std::fmt::Debug {
    /// Gives a connection to the listener at its local address, which is a task of `connections`
    /// from then on. Returns it if there is no other listener.
    fn hand_off(
        &self,
        stage: ListenerStage,
        from: &Listener,
        connections: &Rc<TaskSet>,
    ) -> Option<ListenerStage>;
}

#[derive(Debug)]
enum Filter {
    DirectResponse(Vec<u8>),
    Echo,
    TcpProxy(Rc<TcpProxy>),
    Http(Rc<HttpManager>),
}

impl Listener {
    /// Builds the listener's filters and finds its stats. `bound` are the addresses it listens
    /// on, the first of which names the stats when the configuration gives no prefix.
    pub fn new(
        config: &Arc<model::Listener>,
        shared: &ListenerShared,
        bound: &[Address],
        context: WorkerContext<'_>,
    ) -> Rc<Self> {
        // A listener has an address.
        let first = bound.first().unwrap_or(&config.sockets.address.address);
        let prefix = listener_prefix(config.stat_prefix.as_deref(), first);
        let logging = |filter_chain_name: &str, terminal: Option<&TerminalFilter>, leaves_state| {
            let (of_filter, of_tunnel): (&[_], _) = match terminal {
                Some(TerminalFilter::TcpProxy(tcp_proxy)) => {
                    (&tcp_proxy.access_logs, tcp_proxy.tunneling.is_some())
                }
                // HTTP writes a line for each request.
                _ => (&[], false),
            };
            ConnectionLogging {
                reactor: context.reactor.clone(),
                listener_name: config.name.clone(),
                filter_chain_name: filter_chain_name.to_owned(),
                of_listener: context.access_logs.logs(&config.access_logs),
                of_filter: context.access_logs.logs(of_filter),
                of_tunnel,
                leaves_state,
                ids: Rc::clone(context.connection_ids),
                random: Rc::clone(context.random),
            }
        };
        let chain = |(index, chain): (usize, &model::FilterChain)| {
            let ListenerShared { filters, managers, .. } = shared;
            let formats = |value: &model::FilterStateValue| context.access_logs.state(value);
            let (registry, shard) = (context.registry, context.shard);
            let filters = NetworkFilters::new(index, filters, &formats, registry, shard);
            let logging = logging(&chain.name, Some(&chain.terminal), filters.leaves_state());
            let chain_context = ChainContext {
                reactor: context.reactor.clone(),
                buffer_limit: config.per_connection_buffer_limit_bytes,
                filters,
                logging,
            };
            let names = Names { listener: config.name.clone(), filter_chain: chain.name.clone() };
            let manager = managers.get(index).and_then(Option::as_ref);
            let manager = |prefix| Some(HttpManager::new(manager?, names, prefix, context));
            let filter = Filter::new(&chain.terminal, manager(&prefix), context);
            Chain { context: chain_context, filter }
        };
        context.registry.declare::<ListenerDormantStat>(&prefix);
        Rc::new(Self {
            reactor: context.reactor.clone(),
            config: Arc::clone(config),
            filters: ListenerFilter::all(&config.listener_filters, context.registry, context.shard),
            others: OnceCell::new(),
            chain_match: ChainMatch::new(config),
            chains: config.chains().enumerate().map(chain).collect(),
            logging: logging("", None, false),
            stats: context.registry.scope::<ListenerStat>(&prefix).on(context.shard),
        })
    }

    /// The configuration.
    pub(crate) fn config(&self) -> &model::Listener {
        &self.config
    }

    /// The stats of this worker.
    pub(crate) fn stats(&self) -> &Scope<ListenerStat> {
        &self.stats
    }

    /// Says where connections can be handed off to. To be called once at most.
    pub(crate) fn set_others(&self, others: Box<dyn HandOff>) {
        // A second call would change nothing.
        let _ = self.others.set(others);
    }

    /// Gives a connection its task, of `connections`.
    pub(crate) fn start(
        self: &Rc<Self>,
        socket: Socket,
        admission: Admission,
        connections: &Rc<TaskSet>,
    ) {
        if self.filters.is_empty() {
            return self.begin(socket, admission, None, connections);
        }
        self.lead(ListenerStage::accepted(socket), admission, HandsOff::Yes, connections);
    }

    /// As [`Listener::start`], of a connection that another listener hands off.
    pub(crate) fn start_handed_off(
        self: &Rc<Self>,
        connection: HandedOff,
        admission: Admission,
        connections: &Rc<TaskSet>,
    ) {
        self.lead(connection, admission, HandsOff::No, connections);
    }

    /// Leads a connection past the listener filters. Those that need no data are asked at once; a
    /// task waits for the others, and is gone when the connection goes on.
    fn lead(
        self: &Rc<Self>,
        connection: HandedOff,
        admission: Admission,
        hands_off: HandsOff,
        connections: &Rc<TaskSet>,
    ) {
        let mut stage = ListenerStage::new(connection, admission, &self.reactor, &self.stats);
        if stage.next_reader(&self.filters).is_none() {
            return self.go_on(stage, hands_off, connections);
        }
        // The set owns the task.
        let set = Rc::downgrade(connections);
        let listener = Rc::clone(self);
        connections.spawn(async move {
            let result = stage.pass(listener.stage_context()).await;
            match (result, set.upgrade()) {
                (Ok(()), Some(connections)) => listener.go_on(stage, hands_off, &connections),
                (Err(Closed), _) => {
                    let Passed { beginning, .. } = stage.into_passed();
                    ConnectionLog::never_begun(&listener.logging, &beginning);
                }
                // The worker ends.
                (Ok(()), None) => {}
            }
        });
    }

    fn stage_context(&self) -> StageContext<'_> {
        StageContext {
            reactor: &self.reactor,
            filters: &self.filters,
            config: &self.config.listener_filters,
            stats: &self.stats,
            listener: &self.config.name,
        }
    }

    /// The connection has passed the listener filters.
    fn go_on(
        self: &Rc<Self>,
        mut stage: ListenerStage,
        hands_off: HandsOff,
        connections: &Rc<TaskSet>,
    ) {
        if hands_off == HandsOff::Yes
            && stage.origin().is_local_restored()
            && let Some(others) = self.others.get()
        {
            match others.hand_off(stage, self, connections) {
                None => return,
                Some(back) => stage = back,
            }
        }
        let Passed { socket, admission, beginning } = stage.into_passed();
        self.begin(socket, admission, Some(beginning), connections);
    }

    /// Gives a connection to its filter chain.
    fn begin(
        self: &Rc<Self>,
        socket: Socket,
        admission: Admission,
        beginning: Option<Box<Beginning>>,
        connections: &TaskSet,
    ) {
        let origin = beginning.as_ref().map(|beginning| &*beginning.origin);
        let chain = self.chain_match.only();
        let chain = chain.or_else(|| self.chain_match.find(&ends_of(&socket, origin)));
        let Some(index) = chain else {
            self.stats.inc(ListenerStat::NoFilterChainMatch);
            let log = ConnectionLog::begin(&self.logging, &socket, beginning.as_deref());
            return log.no_filter_chain();
        };
        let arrival = Arrival::new(index, admission, beginning);
        // Two kinds of tasks, so that an idle HTTP connection does not keep room for a relay.
        match &self.chains[index.0].filter {
            Filter::Http(manager) => {
                let manager = Rc::clone(manager);
                connections.spawn(Rc::clone(self).http_connection(manager, socket, arrival));
            }
            Filter::DirectResponse(_) | Filter::Echo | Filter::TcpProxy(_) => {
                connections.spawn(Rc::clone(self).connection(socket, arrival));
            }
        }
    }

    /// The life of one connection. Its size is what an idle connection costs besides its streams.
    pub(crate) fn connection(
        self: Rc<Self>,
        socket: Socket,
        arrival: Arrival,
    ) -> impl Future<Output = ()> {
        // Counted from here, not from the first poll, which may come a turn later.
        let presence = Presence::begin(self, arrival);
        async move {
            if let Some(left) = presence.serve(socket).await {
                drop(presence);
                left.await;
            }
        }
    }

    /// As [`Listener::connection`], of a connection that carries HTTP.
    pub(crate) fn http_connection(
        self: Rc<Self>,
        manager: Rc<HttpManager>,
        socket: Socket,
        arrival: Arrival,
    ) -> impl Future<Output = ()> {
        let presence = Presence::begin(self, arrival);
        async move {
            let context = presence.context(&socket);
            manager.serve(socket, &context).await;
        }
    }

    #[cfg(test)]
    pub(crate) fn http(
        self: Rc<Self>,
        socket: Socket,
        arrival: Arrival,
    ) -> Option<impl Future<Output = ()>> {
        let Filter::Http(manager) = &self.chains[0].filter else { return None };
        let manager = Rc::clone(manager);
        Some(self.http_connection(manager, socket, arrival))
    }
}

impl Filter {
    /// `terminal` on the worker of `context`; `manager` is its connection manager, if it is one.
    fn new(
        terminal: &TerminalFilter,
        manager: Option<Rc<HttpManager>>,
        context: WorkerContext<'_>,
    ) -> Self {
        match terminal {
            TerminalFilter::DirectResponse(response) => Self::DirectResponse(response.clone()),
            TerminalFilter::Echo => Self::Echo,
            TerminalFilter::TcpProxy(tcp_proxy) => {
                let of_filter = tcp_proxy_prefix(&tcp_proxy.stat_prefix);
                context.registry.declare::<TcpProxyDormantStat>(&of_filter);
                let stats = context.registry.scope::<TcpProxyStat>(&of_filter).on(context.shard);
                if tcp_proxy.tunneling.is_some() {
                    let of_tunnels = format!("{of_filter}.tcpproxy_tunneling");
                    context.registry.declare::<TcpTunnelDormantStat>(&of_tunnels);
                }
                let random = Rc::clone(context.random);
                let config = tcp_proxy.clone();
                let tunnel = config.tunneling.as_ref().and_then(|tunneling| {
                    let head = context.access_logs.tunnel(tunneling)?;
                    Some(TcpTunnel {
                        head,
                        propagate_response_headers: tunneling.propagate_response_headers,
                        propagate_response_trailers: tunneling.propagate_response_trailers,
                    })
                });
                let filter = TcpProxy::new(config, tunnel, context.clusters, stats, random);
                Self::TcpProxy(Rc::new(filter))
            }
            TerminalFilter::Http(_) => {
                Self::Http(manager.expect("every chain that ends with HTTP has one"))
            }
        }
    }
}

/// Whether a connection whose local address was restored goes to the listener at that address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HandsOff {
    /// If there is one.
    Yes,
    /// It was handed off already.
    No,
}

/// What a connection comes with.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// The chain it goes to.
    chain: ChainIndex,
    /// If it has passed listener filters.
    beginning: Option<Box<Beginning>>,
    _admission: Admission,
}

impl Arrival {
    pub(crate) fn new(
        chain: ChainIndex,
        admission: Admission,
        beginning: Option<Box<Beginning>>,
    ) -> Self {
        Self { chain, beginning, _admission: admission }
    }
}

/// That a connection is there, in the listener's stats.
struct Presence {
    listener: Rc<Listener>,
    arrival: Arrival,
    started: Instant,
    _active: GaugeGuard<ListenerStat>,
}

impl Presence {
    fn begin(listener: Rc<Listener>, arrival: Arrival) -> Self {
        listener.stats.inc(ListenerStat::DownstreamCxTotal);
        let active = listener.stats.guard(ListenerStat::DownstreamCxActive);
        let started = listener.reactor.now();
        Self { started, arrival, _active: active, listener }
    }

    fn context(&self, socket: &Socket) -> ConnectionContext<'_> {
        let beginning = self.arrival.beginning.as_deref();
        ConnectionContext::new(&self.chain().context, socket, beginning)
    }

    fn chain(&self) -> &Chain {
        &self.listener.chains[self.arrival.chain.0]
    }

    /// Serves a connection to its end, and answers what is left of it.
    async fn serve(&self, socket: Socket) -> Option<UpstreamFlush> {
        let reactor = &self.listener.reactor;
        let context = self.context(&socket);
        match &self.chain().filter {
            Filter::DirectResponse(response) => {
                Box::pin(direct_response::serve(response, socket, &context)).await;
                None
            }
            Filter::Echo => {
                echo::serve(socket, &context).await;
                None
            }
            Filter::TcpProxy(filter) => {
                let log = &context.log;
                let interval = filter.log_interval().filter(|_| log.is_filter_logged());
                let connection = || filter.serve(socket, &context);
                match (interval, filter.max_duration()) {
                    (None, None) => connection().await,
                    (Some(interval), None) => {
                        Box::pin(log.with_periodic_lines(interval, connection())).await
                    }
                    (None, Some(limit)) => {
                        let end = filter.end_within(reactor, limit, log, connection());
                        Box::pin(end).await
                    }
                    (Some(interval), Some(limit)) => {
                        let lasting = log.with_periodic_lines(interval, connection());
                        Box::pin(filter.end_within(reactor, limit, log, lasting)).await
                    }
                }
            }
            // Served by a task of its own kind.
            Filter::Http(_) => None,
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let Listener { stats, reactor, .. } = &*self.listener;
        stats.inc(ListenerStat::DownstreamCxDestroy);
        let age = reactor.now().saturating_duration_since(self.started);
        stats.record_duration(ListenerStat::DownstreamCxLengthMs, age);
    }
}
