//! What is known of one TCP connection while it lasts, and the log lines it writes.
//!
//! The facts exist only if somebody logs; without a log every note costs one comparison. The last
//! lines are written when the value is dropped, so that a connection that was cut or whose task
//! panicked has its line too. The listener's line comes before the filter's, as in Envoy.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use base::{Address, ConnectionIds};
use cluster::{Cluster, ConnectFailure, UpstreamConnection};
use config::model;
use filter::{Close, Origin, StateHolder, Subject};
use net::Stream;
use observe::access_log::{
    AccessLogType, CloseType, FilterObject, FilterState, Protocol, Record, Sharing, TimePoint,
    Timing, UpstreamRecord,
};
use observe::{ResponseFlag, ResponseFlags};
use proto::http2::Meter;
use reactor::{Reactor, Socket};

use crate::access_log::AccessLogs;
use crate::beginning::Beginning;
use crate::connection_state::ConnectionState;
use crate::random::Random;

/// What the connections of one listener have in common in their lines.
#[derive(Debug)]
pub(crate) struct ConnectionLogging {
    pub(crate) reactor: Reactor,
    pub(crate) listener_name: String,
    pub(crate) filter_chain_name: String,
    /// The listener's own logs.
    pub(crate) of_listener: AccessLogs,
    /// Its filter's logs.
    pub(crate) of_filter: AccessLogs,
    /// Whether the filter asks about its connections though nobody logs.
    pub(crate) of_tunnel: bool,
    /// Whether filters leave something on its connections.
    pub(crate) leaves_state: bool,
    pub(crate) ids: Rc<ConnectionIds>,
    /// Where stream ids are drawn from.
    pub(crate) random: Rc<Random>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct ConnectionLog<'a> {
    logging: &'a ConnectionLogging,
    /// By which the log of the process names the connection.
    id: u64,
    facts: Option<Box<Facts>>,
}

#[derive(Debug)]
struct Facts {
    id: u64,
    start: SystemTime,
    started: Instant,
    remote_address: Option<Address>,
    local_address: Option<Address>,
    protocol: Cell<Option<Protocol>>,
    /// What listener filters found out, if there are any.
    origin: Option<Rc<Origin>>,
    /// What filters left, or may leave.
    state: Option<Rc<ConnectionState>>,
    bytes_received: Cell<u64>,
    bytes_sent: Cell<u64>,
    changing: RefCell<Changing>,
}

/// What happens to a connection once or a few times.
#[derive(Debug, Default)]
struct Changing {
    flags: ResponseFlags,
    timing: Timing,
    close_type: CloseType,
    response_code_details: Option<&'static str>,
    termination_details: Option<String>,
    local_close_reason: Option<&'static str>,
    /// Set by a filter that has an upstream.
    upstream: Option<Upstream>,
}

#[derive(Debug, Default)]
struct Upstream {
    stream_id: String,
    cluster: Option<Rc<Cluster>>,
    host: Option<Address>,
    hosts_attempted: Vec<Address>,
    local_address: Option<Address>,
    remote_address: Option<Address>,
    connection_ids: Vec<u64>,
    attempts: u64,
    failure_reason: Option<String>,
    close_type: CloseType,
    local_close_reason: Option<&'static str>,
    connect_began: Option<Duration>,
    pool_ready: Option<Duration>,
    tunnel: Option<Tunnel>,
    /// What filters left for the connection to the host, when it was there.
    state: Option<FilterState>,
}

/// What is known of the requests that ask for a tunnel, all attempts together.
#[derive(Debug, Default)]
struct Tunnel {
    /// The last one has not been answered.
    awaits_response: bool,
    head_bytes_sent: u64,
    head_bytes_received: u64,
    field_bytes_sent: u64,
    field_bytes_received: u64,
    /// The counts above have the bodies, too.
    has_bodies: bool,
    response_headers: Option<Vec<u8>>,
    response_trailers: Option<Vec<u8>>,
}

impl<'a> ConnectionLog<'a> {
    /// Begins to note what happens to the connection on `socket`, if anybody logs.
    /// `beginning` is there if it passed listener filters.
    pub(crate) fn begin(
        logging: &'a ConnectionLogging,
        socket: &Socket,
        beginning: Option<&Beginning>,
    ) -> Self {
        let id = logging.ids.next();
        tracing::debug!(
            target: "conn_handler",
            connection_id = id,
            phase = "accepted",
            peer = ?socket.peer_address().ok(),
            listener = logging.listener_name,
            "new connection"
        );
        let is_logged = !logging.of_listener.is_empty() || !logging.of_filter.is_empty();
        let left = beginning.and_then(|beginning| beginning.state.clone());
        let state = left.or_else(|| logging.leaves_state.then(Rc::default));
        if !is_logged && !logging.of_tunnel && state.is_none() {
            return Self { logging, id, facts: None };
        }
        let facts = match beginning {
            Some(beginning) => Facts { state, ..Facts::known(id, beginning) },
            None => Facts {
                id,
                start: logging.reactor.wall_now(),
                started: logging.reactor.now(),
                // Both fail only if the peer has reset the connection already.
                remote_address: socket.peer_address().ok(),
                local_address: socket.local_address().ok(),
                origin: None,
                state,
                protocol: Cell::new(None),
                bytes_received: Cell::new(0),
                bytes_sent: Cell::new(0),
                changing: RefCell::default(),
            },
        };
        Self { logging, id, facts: Some(Box::new(facts)) }
    }

    /// Whether anybody logs the connection.
    pub(crate) fn is_kept(&self) -> bool {
        self.facts.is_some()
    }

    /// What the connection carried in all, and in which protocol of requests if it came to that.
    pub(crate) fn carried(&self, received: u64, sent: u64, protocol: Option<Protocol>) {
        if let Some(facts) = &self.facts {
            facts.bytes_received.set(received);
            facts.bytes_sent.set(sent);
            facts.protocol.set(protocol);
        }
    }

    /// Of a connection that listener filters do not let pass: it never gets a number.
    pub(crate) fn never_begun(logging: &'a ConnectionLogging, beginning: &Beginning) -> Self {
        if logging.of_listener.is_empty() {
            return Self { logging, id: 0, facts: None };
        }
        Self { logging, id: 0, facts: Some(Box::new(Facts::known(0, beginning))) }
    }

    /// No filter chain matches the connection.
    pub(crate) fn no_filter_chain(&self) {
        tracing::debug!(connection_id = self.id, phase = "accepted", "no filter chain matches");
        self.note(|changing, _| {
            changing.flags.set(ResponseFlag::NoRouteFound);
            changing.response_code_details = Some("filter_chain_not_found");
        });
    }

    /// A filter will close the connection, now or later.
    fn refused_by_filter(&self, close: &Close) {
        let reason = close.reason;
        tracing::debug!(connection_id = self.id, phase = "filters", reason, "refused by a filter");
        self.note(|changing, _| {
            if let Some(flag) = close.flag {
                changing.flags.set(flag);
            }
            changing.termination_details.clone_from(&close.details);
        });
    }

    /// A filter closes the connection.
    pub(crate) fn closed_by_filter(&self, close: &Close) {
        self.note(|changing, _| changing.local_close_reason = Some(close.reason));
    }

    /// The connection gets so many bytes and is closed.
    pub(crate) fn direct_response(&self, bytes: usize) {
        self.sent(bytes);
        self.note(|changing, _| changing.response_code_details = Some("direct_response"));
    }

    /// Bytes came from downstream.
    pub(crate) fn received(&self, bytes: usize) {
        if let Some(facts) = &self.facts {
            facts.bytes_received.set(facts.bytes_received.get() + bytes as u64);
        }
    }

    /// Bytes are on their way to downstream.
    pub(crate) fn sent(&self, bytes: usize) {
        if let Some(facts) = &self.facts {
            facts.bytes_sent.set(facts.bytes_sent.get() + bytes as u64);
        }
    }

    /// The filter sends its connections to an upstream.
    pub(crate) fn begin_upstream(&self) {
        let Some(facts) = &self.facts else { return };
        facts.changing.borrow_mut().upstream = Some(Upstream::default());
    }

    /// The filters before have let the connection in.
    pub(crate) fn let_in(&self) {
        let random = &self.logging.random;
        self.note_upstream(|upstream, _| upstream.stream_id = random.uuid().to_string());
    }

    /// What filters left on the connection, or may leave yet.
    pub(crate) fn state(&self) -> Option<&Rc<ConnectionState>> {
        self.facts.as_ref()?.state.as_ref()
    }

    /// The cluster does not exist.
    pub(crate) fn no_cluster(&self) {
        tracing::debug!(connection_id = self.id, phase = "routing", "the cluster does not exist");
        self.note(|changing, _| {
            changing.flags.set(ResponseFlag::NoClusterFound);
            changing.local_close_reason = Some("tcp_initializion_failure:3");
        });
    }

    /// An attempt to connect to a host of this cluster begins.
    pub(crate) fn connecting(&self, cluster: &Rc<Cluster>) {
        tracing::debug!(connection_id = self.id, phase = "connecting", "connecting to upstream");
        self.note_upstream(|upstream, age| {
            upstream.cluster = Some(Rc::clone(cluster));
            upstream.connect_began.get_or_insert(age);
        });
    }

    /// This is the host that the attempt is made at.
    pub(crate) fn trying(&self, host: &Address) {
        self.note_upstream(|upstream, _| {
            upstream.attempts += 1;
            upstream.hosts_attempted.push(host.clone());
        });
    }

    /// An attempt to connect failed.
    pub(crate) fn connect_failed(&self, failure: &ConnectFailure) {
        tracing::debug!(connection_id = self.id, phase = "connecting", "{failure}");
        self.note(|Changing { flags, local_close_reason, upstream, .. }, age| {
            let Some(upstream) = upstream else { return };
            upstream.pool_ready = upstream.connect_began.map(|began| age.saturating_sub(began));
            match failure {
                ConnectFailure::Overflow => {
                    flags.set(ResponseFlag::UpstreamOverflow);
                    *local_close_reason = Some("tcp_initializion_failure:2");
                }
                ConnectFailure::NoHealthyHost => {
                    flags.set(ResponseFlag::NoHealthyUpstream);
                    *local_close_reason = Some("tcp_initializion_failure:1");
                }
                ConnectFailure::PendingOverflow { .. } => {}
                ConnectFailure::RequestOverflow { host } => upstream.host = Some(host.clone()),
                ConnectFailure::Refused { host, source } => {
                    flags.set(ResponseFlag::UpstreamConnectionFailure);
                    upstream.host = Some(host.clone());
                    upstream.failure_reason = Some(connect_error(host, source));
                }
                ConnectFailure::Timeout { host } => {
                    flags.set(ResponseFlag::UpstreamConnectionFailure);
                    upstream.host = Some(host.clone());
                }
                ConnectFailure::Local { host, reason } => {
                    upstream.host = Some(host.clone());
                    upstream.failure_reason.clone_from(reason);
                }
                // A kind of failure that this floor does not know yet has no words of its own.
                _ => flags.set(ResponseFlag::UpstreamConnectionFailure),
            }
        });
    }

    /// No attempt is left.
    pub(crate) fn attempts_exceeded(&self) {
        tracing::debug!(connection_id = self.id, phase = "connecting", "no attempt is left");
        self.note(|changing, _| {
            changing.flags.set(ResponseFlag::UpstreamRetryLimitExceeded);
            changing.local_close_reason = Some("tcp_initializion_failure:0");
        });
    }

    /// The upstream is connected. Writes a line if `writes_line`.
    pub(crate) fn connected(&self, connection: &UpstreamConnection, writes_line: bool) {
        tracing::debug!(
            connection_id = self.id,
            phase = "relaying",
            host = %connection.host(),
            "connected to upstream"
        );
        self.at_host(connection.host());
        self.note_ready(connection.stream());
        if writes_line {
            self.connected_line();
        }
    }

    /// There is a connection to `host`, whatever it is for.
    fn at_host(&self, host: &Address) {
        let id = self.logging.ids.next();
        self.note_upstream(|upstream, _| {
            upstream.host = Some(host.clone());
            upstream.connection_ids.push(id);
        });
    }

    /// From now on bytes are relayed.
    fn note_ready(&self, stream: &Stream) {
        self.note(|Changing { timing, upstream, .. }, age| {
            let Some(upstream) = upstream else { return };
            let began = upstream.connect_began.unwrap_or(age);
            timing.set(TimePoint::UpstreamConnectBegin, began);
            timing.set(TimePoint::UpstreamConnectEnd, age);
            upstream.pool_ready = Some(age.saturating_sub(began));
            let local_address = stream.socket().local_address().ok();
            upstream.local_address = local_address.filter(|address| !address.is_unnamed());
            let state = self.state();
            let proxy = state.and_then(|state| state.proxy());
            upstream.remote_address = proxy.or_else(|| upstream.host.clone());
            upstream.state = state.and_then(|state| state.borrow().of_upstream());
        });
    }

    fn connected_line(&self) {
        self.write(&self.logging.of_filter, AccessLogType::TcpUpstreamConnected);
    }

    /// The host is about to be asked for a tunnel.
    pub(crate) fn tunnel_begun(&self, host: &Address) {
        tracing::debug!(connection_id = self.id, phase = "connecting", %host, "asks for a tunnel");
        self.at_host(host);
        self.note_tunnel(|tunnel| {
            tunnel.awaits_response = true;
            tunnel.has_bodies = false;
        });
    }

    /// The request for a tunnel was sent: so many bytes, so many of them fields.
    pub(crate) fn tunnel_head_sent(&self, bytes: u64, fields: u64) {
        self.note_tunnel(|tunnel| {
            tunnel.head_bytes_sent += bytes;
            tunnel.field_bytes_sent += fields;
        });
    }

    /// So much came in answer to it.
    pub(crate) fn tunnel_head_received(&self, bytes: u64, fields: u64) {
        self.note_tunnel(|tunnel| {
            tunnel.awaits_response = false;
            tunnel.head_bytes_received += bytes;
            tunnel.field_bytes_received += fields;
        });
    }

    /// The head of the answer, for those who ask for it.
    pub(crate) fn tunnel_response_headers(&self, document: impl FnOnce() -> Vec<u8>) {
        self.note_tunnel(|tunnel| tunnel.response_headers = Some(document()));
    }

    /// The trailers behind what came through the tunnel, for those who ask for them.
    pub(crate) fn tunnel_response_trailers(&self, document: impl FnOnce() -> Vec<u8>) {
        self.note_tunnel(|tunnel| tunnel.response_trailers = Some(document()));
    }

    /// A stream that carried a tunnel, or asked for one, is over. `noted` of its bytes is known.
    pub(crate) fn tunnel_carried(&self, all: &Meter, noted: &Meter) {
        self.note_tunnel(|tunnel| {
            tunnel.has_bodies = true;
            tunnel.head_bytes_sent += all.wire_bytes_sent - noted.wire_bytes_sent;
            tunnel.head_bytes_received += all.wire_bytes_received - noted.wire_bytes_received;
            tunnel.field_bytes_sent += all.header_bytes_sent - noted.header_bytes_sent;
            tunnel.field_bytes_received += all.header_bytes_received - noted.header_bytes_received;
        });
    }

    /// The host has not agreed, with this status if it has said one.
    pub(crate) fn tunnel_refused(&self, status: Option<u16>) {
        tracing::debug!(connection_id = self.id, phase = "connecting", ?status, "no tunnel");
        self.note(|Changing { flags, upstream, .. }, age| {
            flags.set(ResponseFlag::UpstreamConnectionFailure);
            let Some(upstream) = upstream else { return };
            upstream.pool_ready = upstream.connect_began.map(|began| age.saturating_sub(began));
            upstream.failure_reason = status.map(|status| format!("tunnel_response:{status}"));
        });
    }

    /// The host has agreed. Writes a line if `writes_line`.
    pub(crate) fn tunnel_opened(&self, stream: &Stream, writes_line: bool) {
        tracing::debug!(connection_id = self.id, phase = "relaying", "there is a tunnel");
        self.note_ready(stream);
        if writes_line {
            self.connected_line();
        }
    }

    fn note_tunnel(&self, change: impl FnOnce(&mut Tunnel)) {
        self.note_upstream(|upstream, _| change(upstream.tunnel.get_or_insert_default()));
    }

    /// The downstream was seen to be reset.
    pub(crate) fn downstream_reset(&self) {
        tracing::debug!(connection_id = self.id, phase = "relaying", "reset by downstream");
        self.note(|changing, _| changing.close_type = CloseType::RemoteReset);
    }

    /// The upstream was seen to be reset, which is passed on.
    pub(crate) fn upstream_reset(&self) {
        tracing::debug!(connection_id = self.id, phase = "relaying", "reset by upstream");
        self.note(|changing, _| {
            changing.flags.set(ResponseFlag::UpstreamRemoteReset);
            changing.close_type = CloseType::LocalReset;
            if let Some(upstream) = &mut changing.upstream {
                upstream.close_type = CloseType::RemoteReset;
            }
        });
    }

    /// The idle timeout has passed.
    pub(crate) fn idle(&self) {
        tracing::debug!(connection_id = self.id, phase = "relaying", "idle for too long");
        self.note(|changing, _| {
            changing.local_close_reason = Some(IDLE);
            changing.cut_upstream(IDLE);
        });
    }

    /// The connection has lasted for as long as it may.
    pub(crate) fn max_duration(&self) {
        tracing::debug!(connection_id = self.id, phase = "relaying", "open for too long");
        self.note(|changing, _| {
            changing.flags.set(ResponseFlag::DurationTimeout);
            changing.local_close_reason = Some(MAX_DURATION);
            changing.cut_upstream(MAX_DURATION);
        });
    }

    /// Whether the filter has logs.
    pub(crate) fn is_filter_logged(&self) -> bool {
        self.facts.is_some() && !self.logging.of_filter.is_empty()
    }

    /// Runs `connection` to its end, with a line of the filter's logs at each interval. Boxed by
    /// the caller, so that connections without such lines do not pay for it.
    pub(crate) async fn with_periodic_lines<T>(
        &self,
        interval: Duration,
        connection: impl Future<Output = T>,
    ) -> T {
        let mut connection = pin!(connection);
        loop {
            let mut time = pin!(self.logging.reactor.sleep(interval));
            let ended = poll_fn(|context| {
                if let Poll::Ready(output) = connection.as_mut().poll(context) {
                    return Poll::Ready(Some(output));
                }
                time.as_mut().poll(context).map(|()| None)
            })
            .await;
            if let Some(output) = ended {
                return output;
            }
            self.write(&self.logging.of_filter, AccessLogType::TcpPeriodic);
        }
    }

    fn note(&self, change: impl FnOnce(&mut Changing, Duration)) {
        if let Some(facts) = &self.facts {
            let age = self.logging.reactor.now().saturating_duration_since(facts.started);
            change(&mut facts.changing.borrow_mut(), age);
        }
    }

    fn note_upstream(&self, change: impl FnOnce(&mut Upstream, Duration)) {
        self.note(|changing, age| {
            if let Some(upstream) = &mut changing.upstream {
                change(upstream, age);
            }
        });
    }

    /// Shows what is known of the connection by now; nothing, if nobody wants to know.
    pub(crate) fn with_record(&self, see: impl FnOnce(&Record<'_>)) {
        match &self.facts {
            Some(facts) => self.record(facts, Line::None, see),
            None => see(&Record::default()),
        }
    }

    fn write(&self, logs: &AccessLogs, log_type: AccessLogType) {
        if let Some(facts) = &self.facts
            && !logs.is_empty()
        {
            self.record(facts, Line::Of(log_type), |record| logs.log(record));
        }
    }

    fn record(&self, facts: &Facts, line: Line, see: impl FnOnce(&Record<'_>)) {
        let changing = facts.changing.borrow();
        let (received, sent) = (facts.bytes_received.get(), facts.bytes_sent.get());
        let upstream = changing.upstream.as_ref();
        let age = self.logging.reactor.now().saturating_duration_since(facts.started);
        let (log_type, is_last) = match line {
            Line::None => (AccessLogType::NotSet, false),
            Line::Of(kind @ (AccessLogType::NotSet | AccessLogType::TcpConnectionEnd)) => {
                (kind, true)
            }
            Line::Of(kind) => (kind, false),
        };
        // As Envoy, which learns of it from the filter that has an upstream.
        let is_over = is_last && upstream.is_some();
        let origin = facts.origin.as_deref();
        let ends = origin.map(Origin::ends);
        let state = facts.state.as_deref().map(ConnectionState::borrow);
        see(&Record {
            log_type,
            start: facts.start,
            now: self.logging.reactor.wall_now(),
            duration: age,
            timing: changing.timing,
            connection_begin: Some(Duration::ZERO),
            connection_end: is_over.then_some(age),
            protocol: facts.protocol.get(),
            flags: changing.flags,
            bytes_received: received,
            bytes_sent: sent,
            // Envoy counts these on the way to and from an upstream only.
            wire_bytes_received: upstream.map_or(0, |_| received),
            wire_bytes_sent: upstream.map_or(0, |_| sent),
            response_code_details: changing.response_code_details,
            connection_termination_details: changing.termination_details.as_deref(),
            connection_id: facts.id,
            stream_id: upstream.map(|it| it.stream_id.as_str()).filter(|id| !id.is_empty()),
            remote_address: facts.remote_address.as_ref(),
            direct_remote_address: ends
                .map_or(facts.remote_address.as_ref(), |ends| Some(&ends.direct_remote)),
            local_address: facts.local_address.as_ref(),
            direct_local_address: ends
                .map_or(facts.local_address.as_ref(), |ends| Some(&ends.direct_local)),
            dynamic_metadata: origin.map(|origin| &origin.dynamic_metadata),
            filter_state: state.as_deref(),
            close_type: changing.close_type,
            local_close_reason: changing.local_close_reason,
            filter_chain_name: &self.logging.filter_chain_name,
            listener_name: &self.logging.listener_name,
            upstream: upstream
                .map_or_else(UpstreamRecord::default, |upstream| upstream.record(received, sent)),
            ..Record::default()
        });
    }
}

/// What a record is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// A line of this kind.
    Of(AccessLogType),
    /// Something else, while the connection lasts.
    None,
}

impl Facts {
    /// Of a connection about which listener filters have found out.
    fn known(id: u64, beginning: &Beginning) -> Self {
        let Beginning { origin, accepted, state, .. } = beginning;
        Self {
            id,
            start: accepted.wall,
            started: accepted.at,
            remote_address: Some(origin.ends().remote.clone()),
            local_address: Some(origin.ends().local.clone()),
            origin: Some(Rc::clone(origin)),
            state: state.clone(),
            protocol: Cell::new(None),
            bytes_received: Cell::new(0),
            bytes_sent: Cell::new(0),
            changing: RefCell::default(),
        }
    }
}

impl Subject for ConnectionLog<'_> {
    fn refusing(&self, close: &Close) {
        self.refused_by_filter(close);
    }

    fn state(&self) -> impl StateHolder {
        Holder(self)
    }
}

/// A connection that filters leave something on.
struct Holder<'a>(&'a ConnectionLog<'a>);

impl StateHolder for Holder<'_> {
    fn show(&self, see: &mut dyn FnMut(&Record<'_>)) {
        self.0.with_record(see);
    }

    fn keep(&mut self, key: &str, object: FilterObject, sharing: Sharing) {
        if let Some(state) = self.0.state() {
            state.set(key, object, sharing);
        }
    }
}

impl Drop for ConnectionLog<'_> {
    fn drop(&mut self) {
        let id = self.id;
        tracing::debug!(target: "conn_handler", connection_id = id, phase = "closed", "closed");
        self.write(&self.logging.of_listener, AccessLogType::NotSet);
        self.write(&self.logging.of_filter, AccessLogType::TcpConnectionEnd);
    }
}

impl Changing {
    /// We close the connection to the upstream for this reason.
    fn cut_upstream(&mut self, reason: &'static str) {
        let Some(upstream) = &mut self.upstream else { return };
        match &upstream.tunnel {
            None if upstream.is_connected() => upstream.local_close_reason = Some(reason),
            // As Envoy, for which the tunnel fails that is not there yet.
            Some(tunnel) if tunnel.awaits_response => {
                self.flags.set(ResponseFlag::UpstreamConnectionFailure);
            }
            None | Some(_) => {}
        }
    }
}

impl Upstream {
    fn is_connected(&self) -> bool {
        self.remote_address.is_some()
    }

    fn record(&self, received: u64, sent: u64) -> UpstreamRecord<'_> {
        let of_tunnel = |part: fn(&Tunnel) -> u64| self.tunnel.as_ref().map_or(0, part);
        let document = |part: fn(&Tunnel) -> &Option<Vec<u8>>| {
            self.tunnel.as_ref().and_then(|tunnel| part(tunnel).as_deref())
        };
        let has_bodies = self.tunnel.as_ref().is_some_and(|tunnel| tunnel.has_bodies);
        // What was read for an upstream that never came was not sent to it.
        let adds_bodies = self.is_connected() && !has_bodies;
        let config = self.cluster.as_ref().map(|cluster| cluster.config());
        UpstreamRecord {
            cluster: config.map(|config| config.name.as_str()),
            cluster_observability_name: config.map(observability_name),
            host: self.host.as_ref(),
            hosts_attempted: &self.hosts_attempted,
            local_address: self.local_address.as_ref(),
            remote_address: self.remote_address.as_ref(),
            connection_id: self.connection_ids.last().copied().unwrap_or(0),
            connection_ids_attempted: &self.connection_ids,
            attempts: self.attempts,
            transport_failure_reason: self.failure_reason.as_deref(),
            close_type: Some(self.close_type),
            local_close_reason: self.local_close_reason,
            protocol: None,
            wire_bytes_received: if adds_bodies { sent } else { 0 }
                + of_tunnel(|tunnel| tunnel.head_bytes_received),
            wire_bytes_sent: if adds_bodies { received } else { 0 }
                + of_tunnel(|tunnel| tunnel.head_bytes_sent),
            header_bytes_received: of_tunnel(|tunnel| tunnel.field_bytes_received),
            header_bytes_sent: of_tunnel(|tunnel| tunnel.field_bytes_sent),
            pool_ready: self.pool_ready,
            tunnel_response_headers: document(|tunnel| &tunnel.response_headers),
            tunnel_response_trailers: document(|tunnel| &tunnel.response_trailers),
            filter_state: self.state.as_ref(),
        }
    }
}

/// Why Envoy closes both ends when the idle timeout has passed.
const IDLE: &str = "tcp_session_idle_timeout";

/// And when the connection has lasted for too long.
const MAX_DURATION: &str = "max_connection_duration_reached";

/// `alt_stat_name`, or the name. The model keeps what stats are called, without colons.
pub(crate) fn observability_name(config: &model::Cluster) -> &str {
    let in_stats = config.name.bytes().map(|byte| if byte == b':' { b'_' } else { byte });
    let is_name = config.stat_name.bytes().eq(in_stats);
    if is_name { &config.name } else { &config.stat_name }
}

/// Envoy's words for a failed connect, with the kernel's text. Most errors come after a while;
/// those that connect(2) gives at once have words of their own.
pub(crate) fn connect_error(host: &Address, error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let is_immediate = match error.kind() {
        ErrorKind::NetworkUnreachable
        | ErrorKind::AddrNotAvailable
        | ErrorKind::PermissionDenied
        | ErrorKind::InvalidInput => true,
        // A Unix-domain socket answers at once.
        _ => host.is_pipe(),
    };
    if is_immediate {
        format!("immediate connect error: {text}|remote_address:{host}")
    } else {
        format!("delayed connect error: {text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_errors_are_told_in_envoys_words() {
        let refused = std::io::Error::from_raw_os_error(111);
        let host = Address::Ip("127.0.0.1:9".parse().unwrap());
        assert_eq!(connect_error(&host, &refused), "delayed connect error: Connection refused");
        let unreachable = std::io::Error::from_raw_os_error(101);
        assert_eq!(
            connect_error(&host, &unreachable),
            "immediate connect error: Network is unreachable|remote_address:127.0.0.1:9"
        );
        assert_eq!(
            connect_error(&Address::Pipe("/a".into()), &refused),
            "immediate connect error: Connection refused|remote_address:/a"
        );
    }
}
