//! A listener on one worker: accepts, and gives each connection its task.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Address;
use config::model::{self, NetworkFilter};
use observe::names::{
    ListenerDormantStat, ListenerStat, TcpProxyDormantStat, TcpProxyStat, WorkerStat,
    listener_prefix, tcp_proxy_prefix,
};
use observe::{GaugeGuard, Scope};
use reactor::{Acceptor, Reactor, Socket, TaskSet};

use crate::connection_log::{ConnectionLog, ConnectionLogging};
use crate::echo;
use crate::http::{HttpManager, Prepared};
use crate::tcp_proxy::TcpProxy;
use crate::worker_context::WorkerContext;

/// One listener on one worker.
#[derive(Debug)]
pub struct Listener {
    reactor: Reactor,
    config: Arc<model::Listener>,
    filter: Filter,
    logging: ConnectionLogging,
    stats: Scope<ListenerStat>,
    worker_stats: Scope<WorkerStat>,
}

#[derive(Debug)]
enum Filter {
    Echo,
    TcpProxy(Rc<TcpProxy>),
    Http(Rc<HttpManager>),
}

/// How long a listener waits after it could not accept.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

impl Listener {
    /// Builds the listener's filter and finds its stats. `bound` is the address it listens on,
    /// which names the stats when the configuration gives no prefix.
    pub fn new(
        config: &Arc<model::Listener>,
        bound: &Address,
        context: WorkerContext<'_>,
    ) -> Rc<Self> {
        let prefix = listener_prefix(config.stat_prefix.as_deref(), bound);
        let filter = match &config.filter_chain.filter {
            NetworkFilter::Echo => Filter::Echo,
            NetworkFilter::TcpProxy(tcp_proxy) => {
                let of_filter = tcp_proxy_prefix(&tcp_proxy.stat_prefix);
                context.registry.declare::<TcpProxyDormantStat>(&of_filter);
                let stats = context.registry.scope::<TcpProxyStat>(&of_filter).on(context.shard);
                let random = context.access_logs.random();
                let config = tcp_proxy.clone();
                let filter = TcpProxy::new(config, context.clusters, stats, random);
                Filter::TcpProxy(Rc::new(filter))
            }
            NetworkFilter::Http(manager) => {
                let prepared = Arc::new(Prepared::new(manager));
                Filter::Http(HttpManager::new(prepared, config, &prefix, context))
            }
        };
        let of_filter = match &config.filter_chain.filter {
            NetworkFilter::Echo | NetworkFilter::Http(_) => context.access_logs.logs(&[]),
            NetworkFilter::TcpProxy(tcp_proxy) => context.access_logs.logs(&tcp_proxy.access_logs),
        };
        let logging = ConnectionLogging {
            reactor: context.reactor.clone(),
            listener_name: config.name.clone(),
            filter_chain_name: config.filter_chain.name.clone(),
            of_listener: context.access_logs.logs(&config.access_logs),
            of_filter,
            ids: Rc::clone(context.connection_ids),
            random: context.access_logs.random(),
        };
        context.registry.declare::<ListenerDormantStat>(&prefix);
        Rc::new(Self {
            reactor: context.reactor.clone(),
            config: Arc::clone(config),
            filter,
            logging,
            stats: context.registry.scope::<ListenerStat>(&prefix).on(context.shard),
            worker_stats: context.worker_stats.clone(),
        })
    }

    /// Accepts until the future is dropped; each connection becomes a task of `connections`.
    pub async fn accept_loop(self: Rc<Self>, acceptor: &Acceptor, connections: &TaskSet) {
        loop {
            match acceptor.accept().await {
                Ok(socket) => self.start(socket, connections),
                // Descriptors or memory have run out, which time may mend. The connection stays
                // queued, so trying again at once would spin.
                Err(_) => {
                    self.worker_stats.inc(WorkerStat::AcceptErrors);
                    self.reactor.sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    /// Takes the connections that the kernel has queued: for the moment before the listener
    /// closes, which would reset them.
    pub fn accept_queued(self: &Rc<Self>, acceptor: &Acceptor, connections: &TaskSet) {
        loop {
            match acceptor.accept_queued() {
                Ok(Some(socket)) => self.start(socket, connections),
                Ok(None) => return,
                Err(_) => return self.worker_stats.inc(WorkerStat::AcceptErrors),
            }
        }
    }

    fn start(self: &Rc<Self>, socket: Socket, connections: &TaskSet) {
        self.worker_stats.inc(WorkerStat::Accepted);
        // Two kinds of tasks, so that an idle HTTP connection does not keep room for a relay.
        match &self.filter {
            Filter::Http(manager) => {
                let manager = Rc::clone(manager);
                connections.spawn(Rc::clone(self).http_connection(manager, socket));
            }
            Filter::Echo | Filter::TcpProxy(_) => {
                connections.spawn(Rc::clone(self).connection(socket));
            }
        }
    }

    /// The life of one connection. Its size is what an idle connection costs besides its streams.
    pub(crate) fn connection(self: Rc<Self>, socket: Socket) -> impl Future<Output = ()> {
        // Counted from here, not from the first poll, which may come a turn later.
        let presence = Presence::begin(self);
        async move { presence.listener.serve(socket).await }
    }

    /// As [`Listener::connection`], of a connection that carries HTTP.
    pub(crate) fn http_connection(
        self: Rc<Self>,
        manager: Rc<HttpManager>,
        socket: Socket,
    ) -> impl Future<Output = ()> {
        let presence = Presence::begin(self);
        async move {
            let listener = &presence.listener;
            let _log = ConnectionLog::begin(&listener.logging, &socket);
            let limit = listener.config.per_connection_buffer_limit_bytes;
            manager.serve(socket, limit).await;
        }
    }

    #[cfg(test)]
    pub(crate) fn http(self: Rc<Self>, socket: Socket) -> Option<impl Future<Output = ()>> {
        let Filter::Http(manager) = &self.filter else { return None };
        let manager = Rc::clone(manager);
        Some(self.http_connection(manager, socket))
    }

    async fn serve(&self, socket: Socket) {
        let limit = self.config.per_connection_buffer_limit_bytes;
        let log = ConnectionLog::begin(&self.logging, &socket);
        match &self.filter {
            Filter::Echo => echo::serve(&self.reactor, socket, limit, &log).await,
            Filter::TcpProxy(filter) => {
                let interval = filter.log_interval().filter(|_| log.is_filter_logged());
                let connection = || filter.serve(&self.reactor, socket, limit, &log);
                match (interval, filter.max_duration()) {
                    (None, None) => connection().await,
                    (Some(interval), None) => {
                        Box::pin(log.with_periodic_lines(interval, connection())).await;
                    }
                    (None, Some(limit)) => {
                        let end = filter.end_within(&self.reactor, limit, &log, connection());
                        Box::pin(end).await;
                    }
                    (Some(interval), Some(limit)) => {
                        let lasting = log.with_periodic_lines(interval, connection());
                        Box::pin(filter.end_within(&self.reactor, limit, &log, lasting)).await;
                    }
                }
            }
            // Served by a task of its own kind.
            Filter::Http(_) => {}
        }
    }
}

/// That a connection is there, in the listener's stats.
struct Presence {
    listener: Rc<Listener>,
    started: Instant,
    _active: GaugeGuard<ListenerStat>,
}

impl Presence {
    fn begin(listener: Rc<Listener>) -> Self {
        listener.stats.inc(ListenerStat::DownstreamCxTotal);
        let active = listener.stats.guard(ListenerStat::DownstreamCxActive);
        Self { started: listener.reactor.now(), _active: active, listener }
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
