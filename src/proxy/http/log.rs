//! What is known of an exchange when its line is written, and the logs it goes to.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use base::Address;
use cluster::{Cluster, ConnectFailure};
use observe::access_log::{
    AccessLogType, HttpMessages, Protocol, Record, TimePoint, Timing, UpstreamRecord,
};
use observe::{ResponseFlag, ResponseFlags};
use proto::http2::{ErrorCode, ErrorKind, ResetReason};
use proto::{HeaderList, KnownName, Name, RequestHead, ResponseHead, Version};

use super::connection::HttpConnection;
use super::failure::Failure;
use super::manager::{Heads, HttpManager};
use super::port::{CodecError, Metered, SourceError};
use crate::connection_log::{connect_error, observability_name};
use crate::connection_state::ConnectionState;

/// The story of one exchange.
#[derive(Debug)]
pub(super) struct Journal {
    started: Instant,
    started_wall: SystemTime,
    timing: Timing,
    request_ended: Option<Instant>,
    flags: ResponseFlags,
    details: Option<Cow<'static, str>>,
    status: u16,
    protocol: Protocol,
    bytes_received: u64,
    bytes_sent: u64,
    /// Request and response on the host's side.
    upstream: (Metered, Metered),
    /// Nothing is known of the request: its head did not come.
    headless: bool,
    /// The response has ended with trailers.
    has_trailers: bool,
    /// Who the client is, if that is not the peer.
    client: Option<IpAddr>,
    cluster: Option<Rc<Cluster>>,
    timeout: Option<Duration>,
    host: Option<Address>,
    /// What the host is spoken to in, once it is.
    upstream_protocol: Option<Protocol>,
    transport_failure: Option<String>,
    attempts: u64,
}

impl Journal {
    /// `version` is what it is taken to be in as long as its head has not come.
    pub(super) fn new(started: Instant, started_wall: SystemTime, version: Version) -> Self {
        Self {
            started,
            started_wall,
            timing: Timing::default(),
            request_ended: None,
            flags: ResponseFlags::default(),
            details: None,
            status: 0,
            protocol: protocol(version),
            bytes_received: 0,
            bytes_sent: 0,
            upstream: Default::default(),
            headless: true,
            has_trailers: false,
            client: None,
            cluster: None,
            timeout: None,
            host: None,
            upstream_protocol: None,
            transport_failure: None,
            attempts: 0,
        }
    }

    fn note(&mut self, point: TimePoint, now: Instant) {
        self.timing.set_first(point, now.duration_since(self.started));
    }

    pub(super) fn head_received(&mut self, request: &RequestHead) {
        self.headless = false;
        self.protocol = protocol(request.version);
    }

    /// Whether the head of the request has come.
    pub(super) fn knows_request(&self) -> bool {
        !self.headless
    }

    /// When the request began.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// A proxy in front of us names the client.
    pub(super) fn client_named(&mut self, client: Option<IpAddr>) {
        self.client = client;
    }

    pub(super) fn request_ended(&mut self, now: Instant) {
        self.request_ended = Some(now);
        self.note(TimePoint::DownstreamReceiveEnd, now);
    }

    pub(super) fn details(&mut self, details: &'static str) {
        self.details = Some(Cow::Borrowed(details));
    }

    /// The route leads to a cluster, which the request does not reach.
    pub(super) fn routed(&mut self, cluster: &Rc<Cluster>) {
        self.cluster = Some(Rc::clone(cluster));
    }

    /// The request goes to a cluster, and its response may take so long.
    pub(super) fn forwarded(&mut self, cluster: &Rc<Cluster>, timeout: Option<Duration>) {
        self.cluster = Some(Rc::clone(cluster));
        self.timeout = timeout;
        self.attempts = 1;
    }

    /// How long a response may take from the end of its request on.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// A host was picked, whether or not a connection to it comes of that.
    pub(super) fn host_picked(&mut self, host: &Address) {
        self.host = Some(host.clone());
    }

    pub(super) fn connect_failed(&mut self, failure: &ConnectFailure) {
        match failure {
            ConnectFailure::Local { reason, .. } => self.transport_failure.clone_from(reason),
            ConnectFailure::Refused { host, source } => {
                self.transport_failure = Some(connect_error(host, source));
            }
            // As Envoy, which has not named the host to the log at that point.
            ConnectFailure::PendingOverflow { .. } => self.host = None,
            _ => {}
        }
    }

    /// `version` is what the host is spoken to in, if that is HTTP.
    pub(super) fn connected(&mut self, now: Instant, version: Option<Version>) {
        self.upstream_protocol = version.map(protocol);
        self.note(TimePoint::UpstreamSendBegin, now);
    }

    pub(super) fn upstream_responded(&mut self, now: Instant) {
        self.details = Some(Cow::Borrowed("via_upstream"));
        self.note(TimePoint::UpstreamReceiveBegin, now);
    }

    /// The response has ended with trailers.
    pub(super) fn trailers_came(&mut self) {
        self.has_trailers = true;
    }

    pub(super) fn responded(&mut self, status: u16) {
        self.status = status;
    }

    pub(super) fn bytes_received(&mut self, bytes: u64) {
        self.bytes_received = bytes;
    }

    pub(super) fn bytes_sent(&mut self, bytes: u64) {
        self.bytes_sent = bytes;
    }

    /// How long request and response were on the host's side.
    pub(super) fn upstream_metered(&mut self, request: Metered, response: Metered) {
        self.upstream = (request, response);
    }

    /// Since the request began.
    pub(super) fn since_start(&self, now: Instant) -> Duration {
        now.duration_since(self.started)
    }

    /// Since the request ended, or began if it has not.
    pub(super) fn since_request(&self, now: Instant) -> Duration {
        now.duration_since(self.request_ended.unwrap_or(self.started))
    }

    /// The exchange is answered by us.
    /// `response_started` says that an upstream has begun to, if only with an interim response.
    pub(super) fn failed(&mut self, failure: Failure, response_started: bool) {
        self.details = Some(match &self.transport_failure {
            Some(reason) if failure == Failure::ConnectFailed => {
                Cow::Owned(connect_failure_details(reason))
            }
            _ => Cow::Borrowed(failure.details(response_started)),
        });
        self.flag(failure);
    }

    /// The response ended before its end.
    pub(super) fn cut(&mut self, failure: Failure) {
        self.details = Some(Cow::Borrowed(failure.details(true)));
        self.flag(failure);
    }

    fn flag(&mut self, failure: Failure) {
        if let Some(flag) = failure.flag() {
            self.flags.set(flag);
        }
    }

    /// The request will not come to its end, or its response has nobody left to go to.
    pub(super) fn client_gone(&mut self, why: SourceError) {
        let (details, flag) = match why {
            SourceError::Protocol(error) => {
                let flag = match error {
                    // As Envoy, whose codec resets the stream for these as if the client had.
                    CodecError::Http2(
                        ErrorKind::TooManyHeaders
                        | ErrorKind::HeadersTooLarge
                        | ErrorKind::UnexpectedUnderscore,
                    ) => ResponseFlag::DownstreamRemoteReset,
                    CodecError::Http2(ErrorKind::KeepaliveTimeout) => {
                        ResponseFlag::DownstreamConnectionTermination
                    }
                    _ => ResponseFlag::DownstreamProtocolError,
                };
                (error.details(), flag)
            }
            // A client that wants no more, and says that nothing is wrong, leaves no trace.
            SourceError::Reset(ErrorCode::NO_ERROR) => return,
            SourceError::Reset(code) => {
                let flag = match code {
                    ErrorCode::PROTOCOL_ERROR => ResponseFlag::DownstreamProtocolError,
                    _ => ResponseFlag::DownstreamRemoteReset,
                };
                (ResetReason::Peer(code).details(), flag)
            }
            SourceError::Ended | SourceError::Failed => {
                ("downstream_remote_disconnect", ResponseFlag::DownstreamConnectionTermination)
            }
        };
        self.details = Some(Cow::Borrowed(details));
        self.flags.set(flag);
    }

    /// Writes the exchange's lines. `request` and `response` are what the client sent and got.
    pub(super) fn write(
        &mut self,
        manager: &HttpManager,
        connection: &HttpConnection,
        heads: &Heads,
        route_name: &str,
        (request, response): (Metered, Metered),
    ) {
        if manager.logs.is_empty() {
            return;
        }
        let now = manager.reactor.now();
        self.note(TimePoint::DownstreamSendEnd, now);
        let known = (!self.headless).then_some(&heads.request);
        let trailers = self.has_trailers.then_some(&heads.response_trailers);
        let messages = Messages { request: known, response: &heads.response, trailers };
        let cluster = self.cluster.as_ref().map(|cluster| cluster.config());
        // Its port is not told.
        let client = self.client.map(|client| Address::Ip(SocketAddr::new(client, 0)));
        let state = connection.state().map(ConnectionState::borrow);
        let record = Record {
            log_type: AccessLogType::DownstreamEnd,
            start: self.started_wall,
            now: manager.reactor.wall_now(),
            duration: self.since_start(now),
            timing: self.timing,
            flags: self.flags,
            bytes_received: self.bytes_received,
            bytes_sent: self.bytes_sent,
            wire_bytes_received: request.wire,
            wire_bytes_sent: response.wire,
            header_bytes_received: request.fields,
            header_bytes_sent: response.fields,
            response_code: self.status,
            response_code_details: self.details.as_deref(),
            protocol: Some(self.protocol),
            http: Some(&messages),
            connection_id: connection.id,
            remote_address: client.as_ref().or(connection.peer()),
            direct_remote_address: connection.direct_peer(),
            local_address: connection.local_address(),
            direct_local_address: connection.direct_local_address(),
            // The connection's dynamic metadata is not the request's.
            filter_state: state.as_deref(),
            route_name,
            upstream: UpstreamRecord {
                cluster: cluster.map(|cluster| cluster.name.as_str()),
                cluster_observability_name: cluster.map(observability_name),
                host: self.host.as_ref(),
                attempts: self.attempts,
                wire_bytes_received: self.upstream.1.wire,
                wire_bytes_sent: self.upstream.0.wire,
                header_bytes_received: self.upstream.1.fields,
                header_bytes_sent: self.upstream.0.fields,
                transport_failure_reason: self.transport_failure.as_deref(),
                protocol: self.upstream_protocol,
                ..UpstreamRecord::default()
            },
            listener_name: &manager.names.listener,
            filter_chain_name: &manager.names.filter_chain,
            stream_id: std::str::from_utf8(
                heads.request.headers.get(KnownName::XRequestId).unwrap_or(b""),
            )
            .ok()
            .filter(|id| !id.is_empty()),
            ..Record::default()
        };
        manager.logs.log(&record);
    }
}

/// A version of HTTP as the log spells it.
fn protocol(version: Version) -> Protocol {
    match version {
        Version::Http10 => Protocol::Http10,
        Version::Http11 => Protocol::Http11,
        Version::Http2 => Protocol::Http2,
    }
}

/// `%RESPONSE_CODE_DETAILS%` of a connect that failed for this reason; they have no blanks.
fn connect_failure_details(reason: &str) -> String {
    let details = Failure::ConnectFailed.details(false).trim_end_matches('}');
    format!("{details}|{}}}", reason.replace(' ', "_"))
}

/// The heads of an exchange, for the operators that print headers.
struct Messages<'a> {
    /// `None` if its head did not come whole, or not right.
    request: Option<&'a RequestHead>,
    response: &'a ResponseHead,
    trailers: Option<&'a HeaderList>,
}

fn field<'a>(headers: &'a HeaderList, name: &str) -> Option<&'a [u8]> {
    headers.get(Name::from(name.as_bytes()))
}

impl HttpMessages for Messages<'_> {
    fn request_header(&self, name: &str) -> Option<&[u8]> {
        let request = self.request?;
        match name {
            ":method" => Some(request.method_text()),
            ":path" => Some(request.path()).filter(|path| !path.is_empty()),
            ":authority" | "host" => request.authority(),
            ":scheme" => Some(super::headers::scheme(request).as_bytes()),
            _ => field(&request.headers, name),
        }
    }

    fn response_header(&self, name: &str) -> Option<&[u8]> {
        field(&self.response.headers, name)
    }

    fn response_trailer(&self, name: &str) -> Option<&[u8]> {
        field(self.trailers?, name)
    }

    fn request_headers_bytes(&self) -> u64 {
        let Some(request) = self.request else { return 0 };
        let pseudo = [
            (":method", request.method_text()),
            (":path", request.path()),
            (":authority", request.authority().unwrap_or(b"")),
            (":scheme", super::headers::scheme(request).as_bytes()),
        ];
        let pseudo: usize = pseudo.iter().map(|(name, value)| name.len() + value.len()).sum();
        (pseudo + request.headers.byte_size()) as u64
    }

    fn response_headers_bytes(&self) -> u64 {
        match self.response.status {
            0 => 0,
            _ => (":status".len() + 3 + self.response.headers.byte_size()) as u64,
        }
    }

    fn response_trailers_bytes(&self) -> u64 {
        self.trailers.map_or(0, |trailers| trailers.byte_size() as u64)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any moment will do")]
mod tests {
    use proto::http2::ErrorKind;

    use super::super::port::CodecError;
    use super::*;

    /// Each line was read off Envoy 1.40.
    #[test]
    fn the_log_says_how_a_client_left() {
        let reset = SourceError::Reset;
        let http2 = |kind| SourceError::Protocol(CodecError::Http2(kind));
        let broken = http2(ErrorKind::InvalidFrameSize);
        let silent = http2(ErrorKind::KeepaliveTimeout);
        let disconnect = "downstream_local_disconnect(http2_ping_timeout)";
        for (why, details, flags) in [
            (SourceError::Ended, Some("downstream_remote_disconnect"), "DC"),
            (SourceError::Failed, Some("downstream_remote_disconnect"), "DC"),
            (reset(ErrorCode::NO_ERROR), None, "-"),
            (reset(ErrorCode::PROTOCOL_ERROR), Some("http2.remote_reset"), "DPE"),
            (reset(ErrorCode::CANCEL), Some("http2.remote_reset"), "DR"),
            (reset(ErrorCode::REFUSED_STREAM), Some("http2.remote_refuse"), "DR"),
            (broken, Some("codec_error:invalid_frame_size"), "DPE"),
            (silent, Some(disconnect), "DC"),
        ] {
            let mut journal = Journal::new(Instant::now(), SystemTime::now(), Version::Http2);
            journal.client_gone(why);
            assert_eq!(journal.details.as_deref(), details, "{why:?}");
            assert_eq!(journal.flags.to_string(), flags, "{why:?}");
        }
    }
}
