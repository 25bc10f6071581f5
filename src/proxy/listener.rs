//! A listener on one worker: gives each connection its task.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use base::Address;
use config::model::{self, TerminalFilter};
use filter::{ChainIndex, ChainMatch, NetworkFilters};
use observe::names::{
    ListenerDormantStat, ListenerStat, TcpProxyDormantStat, TcpProxyStat, listener_prefix,
    tcp_proxy_prefix,
};
use observe::{GaugeGuard, Scope};
use reactor::{Reactor, Socket, TaskSet};

use crate::admission::{Admission, ListenerShared};
use crate::connection_context::ConnectionContext;
use crate::connection_log::{ConnectionLog, ConnectionLogging};
use crate::gate::ends_of;
use crate::http::{HttpManager, Names};
use crate::tcp_proxy::TcpProxy;
use crate::upstream_flush::UpstreamFlush;
use crate::worker_context::WorkerContext;
use crate::{direct_response, echo};

/// One listener on one worker.
#[derive(Debug)]
pub struct Listener {
    reactor: Reactor,
    config: Arc<model::Listener>,
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
    filters: NetworkFilters,
    /// The last filter.
    filter: Filter,
    logging: ConnectionLogging,
}

#[derive(Debug)]
enum Filter {
    DirectResponse(Vec<u8>),
    Echo,
    TcpProxy(Rc<TcpProxy>),
    Http(Rc<HttpManager>),
}

impl Listener {
    /// Builds the listener's filters and finds its stats. `bound` is the address it listens on,
    /// which names the stats when the configuration gives no prefix.
    pub fn new(
        config: &Arc<model::Listener>,
        shared: &ListenerShared,
        bound: &Address,
        context: WorkerContext<'_>,
    ) -> Rc<Self> {
        let prefix = listener_prefix(config.stat_prefix.as_deref(), bound);
        let logging = |filter_chain_name: &str, of_filter: &[model::AccessLog]| ConnectionLogging {
            reactor: context.reactor.clone(),
            listener_name: config.name.clone(),
            filter_chain_name: filter_chain_name.to_owned(),
            of_listener: context.access_logs.logs(&config.access_logs),
            of_filter: context.access_logs.logs(of_filter),
            ids: Rc::clone(context.connection_ids),
            random: Rc::clone(context.random),
        };
        let chain = |(index, chain): (usize, &model::FilterChain)| {
            let of_filter: &[_] = match &chain.terminal {
                TerminalFilter::TcpProxy(tcp_proxy) => &tcp_proxy.access_logs,
                // HTTP writes a line for each request.
                TerminalFilter::DirectResponse(_)
                | TerminalFilter::Echo
                | TerminalFilter::Http(_) => &[],
            };
            let logging = logging(&chain.name, of_filter);
            let ListenerShared { filters, managers, .. } = shared;
            let filters = NetworkFilters::new(index, filters, context.registry, context.shard);
            let names = Names { listener: config.name.clone(), filter_chain: chain.name.clone() };
            let manager = managers.get(index).and_then(Option::as_ref);
            let manager = |prefix| Some(HttpManager::new(manager?, names, prefix, context));
            let filter = Filter::new(&chain.terminal, manager(&prefix), context);
            Chain { filters, filter, logging }
        };
        context.registry.declare::<ListenerDormantStat>(&prefix);
        Rc::new(Self {
            reactor: context.reactor.clone(),
            config: Arc::clone(config),
            chain_match: ChainMatch::new(config),
            chains: config.chains().enumerate().map(chain).collect(),
            logging: logging("", &[]),
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

    /// Gives a connection its task, of `connections`.
    pub(crate) fn start(
        self: &Rc<Self>,
        socket: Socket,
        admission: Admission,
        connections: &TaskSet,
    ) {
        let Some(index) =
            self.chain_match.only().or_else(|| self.chain_match.find(&ends_of(&socket)))
        else {
            self.stats.inc(ListenerStat::NoFilterChainMatch);
            return ConnectionLog::begin(&self.logging, &socket).no_filter_chain();
        };
        // Two kinds of tasks, so that an idle HTTP connection does not keep room for a relay.
        match &self.chains[index.0].filter {
            Filter::Http(manager) => {
                let manager = Rc::clone(manager);
                connections
                    .spawn(Rc::clone(self).http_connection(index, manager, socket, admission));
            }
            Filter::DirectResponse(_) | Filter::Echo | Filter::TcpProxy(_) => {
                connections.spawn(Rc::clone(self).connection(index, socket, admission));
            }
        }
    }

    /// The life of one connection. Its size is what an idle connection costs besides its streams.
    pub(crate) fn connection(
        self: Rc<Self>,
        chain: ChainIndex,
        socket: Socket,
        admission: Admission,
    ) -> impl Future<Output = ()> {
        // Counted from here, not from the first poll, which may come a turn later.
        let presence = Presence::begin(self, chain, admission);
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
        chain: ChainIndex,
        manager: Rc<HttpManager>,
        socket: Socket,
        admission: Admission,
    ) -> impl Future<Output = ()> {
        let presence = Presence::begin(self, chain, admission);
        async move {
            let listener = &presence.listener;
            let Chain { filters, logging, .. } = presence.chain();
            let log = ConnectionLog::begin(logging, &socket);
            let limit = listener.config.per_connection_buffer_limit_bytes;
            manager.serve(socket, limit, filters, &log).await;
        }
    }

    #[cfg(test)]
    pub(crate) fn http(
        self: Rc<Self>,
        socket: Socket,
        admission: Admission,
    ) -> Option<impl Future<Output = ()>> {
        let Filter::Http(manager) = &self.chains[0].filter else { return None };
        let manager = Rc::clone(manager);
        Some(self.http_connection(ChainIndex(0), manager, socket, admission))
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
                let random = Rc::clone(context.random);
                let config = tcp_proxy.clone();
                let filter = TcpProxy::new(config, context.clusters, stats, random);
                Self::TcpProxy(Rc::new(filter))
            }
            TerminalFilter::Http(_) => {
                Self::Http(manager.expect("every chain that ends with HTTP has one"))
            }
        }
    }
}

/// That a connection is there, in the listener's stats.
struct Presence {
    listener: Rc<Listener>,
    chain: ChainIndex,
    started: Instant,
    _active: GaugeGuard<ListenerStat>,
    _admission: Admission,
}

impl Presence {
    fn begin(listener: Rc<Listener>, chain: ChainIndex, admission: Admission) -> Self {
        listener.stats.inc(ListenerStat::DownstreamCxTotal);
        let active = listener.stats.guard(ListenerStat::DownstreamCxActive);
        let started = listener.reactor.now();
        Self { started, chain, _active: active, _admission: admission, listener }
    }

    fn chain(&self) -> &Chain {
        &self.listener.chains[self.chain.0]
    }

    /// Serves a connection to its end, and answers what is left of it.
    async fn serve(&self, socket: Socket) -> Option<UpstreamFlush> {
        let Listener { reactor, config, .. } = &*self.listener;
        let Chain { filters, filter, logging } = self.chain();
        let context = ConnectionContext {
            reactor,
            buffer_limit: config.per_connection_buffer_limit_bytes,
            filters,
            log: ConnectionLog::begin(logging, &socket),
        };
        match filter {
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
