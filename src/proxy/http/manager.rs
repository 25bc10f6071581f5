//! The HTTP connection manager of a filter chain on one worker: what its connections share.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/http_conn_man>

use std::cell::OnceCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use base::ConnectionIds;
use cluster::Cluster;
use config::model::{self, TerminalFilter};
use net::SendMeter;
use net::http2::codec_options;
use observe::names::{
    HTTP1_PREFIX, HTTP2_PREFIX, Http1CodecStat, Http2CodecDormantStat, Http2CodecStat,
    HttpDormantStat, HttpStat, ListenerHttpStat, cluster_prefix, http_prefix, listener_http_prefix,
};
use observe::{Registry, Scope, Shard};
use proto::http1::{
    BareLineFeeds, RequestDecoder, RequestOptions, ResponseDecoder, ResponseOptions,
};
use proto::{HeaderList, RequestHead, ResponseHead};
use reactor::{Reactor, Socket};

use super::connection::HttpConnection;
use super::date::DateCache;
use super::exchange::http1;
use super::http2::{Runners, RuntimeLimits};
use super::recycle::{Recycler, Shelf};
use super::response_stats::ResponseStats;
use super::route::RouteTable;
use crate::access_log::AccessLogs;
use crate::connection_context::ConnectionContext;
use crate::connection_log::ConnectionLog;
use crate::drain::Drain;
use crate::random::Random;
use crate::worker_context::WorkerContext;

/// What every worker reads of a connection manager: made once.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) config: model::HttpConnectionManager,
    pub(crate) routes: RouteTable,
    pub(crate) requests: RequestOptions,
    pub(crate) http2: Arc<proto::http2::Options>,
    /// From the runtime.
    pub(crate) limits: RuntimeLimits,
}

impl Prepared {
    /// Of the connection manager that a filter chain ends with.
    pub(crate) fn of_chain(chain: &model::FilterChain) -> Option<Arc<Self>> {
        match &chain.terminal {
            TerminalFilter::Http(manager) => Some(Arc::new(Self::new(manager))),
            _ => None,
        }
    }

    fn new(config: &model::HttpConnectionManager) -> Self {
        let mut http2 = codec_options(&config.http2, &config.common, config.max_request_headers_kb);
        let timeouts = [config.request_headers_timeout, config.stream_idle_timeout];
        http2.header_block_timeout = timeouts.into_iter().flatten().min();
        Self {
            routes: RouteTable::new(&config.route_config),
            requests: request_options(config, &http2),
            http2: Arc::new(http2),
            limits: RuntimeLimits::default(),
            config: config.clone(),
        }
    }
}

/// What bounds a head, `http2` has found out.
fn request_options(
    config: &model::HttpConnectionManager,
    http2: &proto::http2::Options,
) -> RequestOptions {
    RequestOptions {
        head_bytes_max: http2.head_bytes_max,
        headers_max: http2.headers_max,
        underscores: http2.underscores,
        allow_absolute_url: config.http1.allow_absolute_url,
        allow_https: !config.use_remote_address,
        accept_http_10: config.http1.accept_http_10,
        allow_custom_methods: false,
        enable_trailers: config.http1.enable_trailers,
        allow_chunked_length: config.http1.allow_chunked_length,
        bare_line_feeds: BareLineFeeds::Refuse,
    }
}

/// A connection manager on one worker.
#[derive(Debug)]
pub(crate) struct HttpManager {
    pub(super) prepared: Arc<Prepared>,
    pub(super) reactor: Reactor,
    /// In the order of [`RouteTable::clusters`]; `None` for one that does not exist.
    pub(super) targets: Box<[Option<Target>]>,
    pub(super) stats: Scope<HttpStat>,
    pub(super) listener_stats: Scope<ListenerHttpStat>,
    pub(super) codec_stats: Scope<Http1CodecStat>,
    /// Known from the first connection of HTTP/2 on.
    http2_codec_stats: OnceCell<Scope<Http2CodecStat>>,
    /// What they are made with.
    stats_home: (Registry, Shard),
    pub(super) send_meter: Rc<SendMeter<HttpStat>>,
    pub(super) date: DateCache,
    pub(super) random: Rc<Random>,
    pub(super) request_decoders: Shelf<RequestDecoder>,
    pub(super) response_decoders: Shelf<ResponseDecoder>,
    pub(super) upstream_trailers: Shelf<HeaderList>,
    pub(super) heads: Shelf<Heads>,
    /// Exchanges of HTTP/1, as parts of their connections' tasks.
    pub(super) exchanges: Recycler<http1::Start, http1::Next>,
    /// Exchanges of HTTP/2, as tasks.
    pub(super) runners: Runners,
    pub(super) logs: AccessLogs,
    pub(super) connection_ids: Rc<ConnectionIds>,
    pub(super) names: Names,
    /// Of this host, for clients on it.
    pub(super) local_address: IpAddr,
    drain: Drain,
}

/// Which listener this is, for the lines of access logs.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) listener: String,
    pub(crate) filter_chain: String,
}

/// A cluster that routes lead to.
#[derive(Debug)]
pub(crate) struct Target {
    pub(super) cluster: Rc<Cluster>,
    pub(super) options: ResponseOptions,
    pub(super) stats: ResponseStats,
    /// Known from the first thing on that the codec of HTTP/1 counts.
    http1_codec_stats: OnceCell<Scope<Http1CodecStat>>,
}

/// The heads of one exchange; their memory serves the next one.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    pub(super) request: RequestHead,
    pub(super) response: ResponseHead,
    /// Behind the response's body, if the journal says so.
    pub(super) response_trailers: HeaderList,
    pub(super) scratch: Vec<u8>,
}

impl HttpManager {
    /// The connection manager on the worker of `context`. `listener_prefix` begins the names of
    /// the listener's stats.
    pub(crate) fn new(
        prepared: &Arc<Prepared>,
        names: Names,
        listener_prefix: &str,
        context: WorkerContext<'_>,
    ) -> Rc<Self> {
        let prefix = http_prefix(&prepared.config.stat_prefix);
        context.registry.declare::<HttpDormantStat>(&prefix);
        let of_listener = listener_http_prefix(listener_prefix, &prepared.config.stat_prefix);
        let stats = context.registry.scope::<HttpStat>(&prefix).on(context.shard);
        let send_meter = Rc::new(SendMeter::new(
            stats.clone(),
            HttpStat::DownstreamCxTxBytesTotal,
            HttpStat::DownstreamCxTxBytesBuffered,
        ));
        let target = |name: &String| {
            let cluster = context.clusters.get(name)?;
            let stats = ResponseStats::new(&cluster, context);
            let options = response_options(cluster.config());
            Some(Target { cluster, options, stats, http1_codec_stats: OnceCell::new() })
        };
        Rc::new(Self {
            reactor: context.reactor.clone(),
            targets: prepared.routes.clusters().iter().map(target).collect(),
            stats,
            listener_stats: context.registry.scope(&of_listener).on(context.shard),
            codec_stats: context.registry.scope(HTTP1_PREFIX).on(context.shard),
            http2_codec_stats: OnceCell::new(),
            stats_home: (context.registry.clone(), context.shard.clone()),
            send_meter,
            date: DateCache::default(),
            random: Rc::clone(context.random),
            request_decoders: Shelf::new(),
            response_decoders: Shelf::new(),
            upstream_trailers: Shelf::new(),
            heads: Shelf::new(),
            exchanges: Recycler::new(http1::run),
            runners: Runners::new(context.reactor),
            logs: context.access_logs.logs(&prepared.config.access_log),
            connection_ids: Rc::clone(context.connection_ids),
            names,
            local_address: context.local_address,
            drain: context.drain.clone(),
            prepared: Arc::clone(prepared),
        })
    }

    /// What the codecs of HTTP/2 count.
    pub(super) fn http2_codec_stats(&self) -> &Scope<Http2CodecStat> {
        self.http2_codec_stats.get_or_init(|| {
            let (registry, shard) = &self.stats_home;
            registry.declare::<Http2CodecDormantStat>(HTTP2_PREFIX);
            registry.scope(HTTP2_PREFIX).on(shard)
        })
    }

    /// What the codecs of HTTP/1 towards a cluster count.
    pub(super) fn upstream_http1_stats<'a>(&self, target: &'a Target) -> &'a Scope<Http1CodecStat> {
        target.http1_codec_stats.get_or_init(|| {
            let (registry, shard) = &self.stats_home;
            let prefix = cluster_prefix(&target.cluster.config().stat_name);
            registry.scope(&format!("{prefix}.{HTTP1_PREFIX}")).on(shard)
        })
    }

    /// Whether connections are to end as soon as they can.
    pub(super) fn is_draining(&self) -> bool {
        self.drain.has_begun()
    }

    /// Whether a connection is to end with the response that is about to be sent on it.
    pub(super) fn closes_with_response(&self) -> bool {
        self.drain.closes_with_response()
    }

    /// Serves one connection to its end.
    // No `async fn`: the future of one keeps its arguments twice.
    pub(crate) fn serve<'a>(
        self: &Rc<Self>,
        socket: Socket,
        context: &'a ConnectionContext<'_>,
    ) -> impl Future<Output = ()> + use<'a> {
        let connection = HttpConnection::new(self, socket, context);
        async move {
            if context.filters().is_empty() && !context.log.is_kept() {
                return connection.serve(None).await;
            }
            // Boxed, so that a connection without filters and logs keeps no room for them.
            Box::pin(serve_watched(connection, context)).await;
        }
    }
}

/// Serves a connection that filters or logs know of.
async fn serve_watched(connection: Rc<HttpConnection>, context: &ConnectionContext<'_>) {
    let (filters, log) = (context.filters(), &context.log);
    let _carried = Carried { connection: Rc::clone(&connection), log };
    if let Some(held) = connection.enter(filters, log).await {
        let gate = filters.awaits_data().then_some((filters, log));
        connection.serve(gate).await;
        drop(held);
    }
}

/// Tells the log of a connection what it carried, however it ends.
struct Carried<'a> {
    connection: Rc<HttpConnection>,
    log: &'a ConnectionLog<'a>,
}

impl Drop for Carried<'_> {
    fn drop(&mut self) {
        let stream = &self.connection.stream;
        let (received, sent) = (stream.receiver().bytes_received(), stream.outbox().bytes_sent());
        self.log.carried(received, sent, self.connection.protocol());
    }
}

/// How responses of a cluster's hosts are decoded.
pub(crate) fn response_options(config: &model::Cluster) -> ResponseOptions {
    let http = &config.http;
    ResponseOptions {
        headers_max: usize::try_from(http.common.max_headers_count).unwrap_or(usize::MAX),
        enable_trailers: http.http1.enable_trailers,
        allow_chunked_length: http.http1.allow_chunked_length,
        ..ResponseOptions::default()
    }
}
