//! What is known of an exchange when its line is written, and the logs it goes to.

use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use base::Address;
use cluster::{Cluster, ConnectFailure, HttpStream};
use observe::access_log::{
    AccessLogType, HttpMessages, Protocol, Record, TimePoint, Timing, UpstreamRecord,
};
use observe::{ResponseFlag, ResponseFlags};
use proto::{HeaderList, KnownName, Name, RequestHead, ResponseHead, Version};

use super::connection::HttpConnection;
use super::failure::Failure;
use super::manager::{Heads, HttpManager};
use crate::connection_log::connect_error;

/// The story of one exchange.
#[derive(Debug)]
pub(super) struct Journal {
    started: Instant,
    started_wall: SystemTime,
    timing: Timing,
    request_ended: Option<Instant>,
    flags: ResponseFlags,
    details: Option<&'static str>,
    status: u16,
    protocol: Protocol,
    bytes_received: u64,
    bytes_sent: u64,
    /// Nothing is known of the request: its head did not come.
    headless: bool,
    cluster: Option<Rc<Cluster>>,
    timeout: Option<Duration>,
    host: Option<Address>,
    transport_failure: Option<String>,
    attempts: u64,
}

impl Journal {
    pub(super) fn new(started: Instant, started_wall: SystemTime) -> Self {
        Self {
            started,
            started_wall,
            timing: Timing::default(),
            request_ended: None,
            flags: ResponseFlags::default(),
            details: None,
            status: 0,
            protocol: Protocol::Http11,
            bytes_received: 0,
            bytes_sent: 0,
            headless: true,
            cluster: None,
            timeout: None,
            host: None,
            transport_failure: None,
            attempts: 0,
        }
    }

    fn note(&mut self, point: TimePoint, now: Instant) {
        self.timing.set_first(point, now.duration_since(self.started));
    }

    pub(super) fn head_received(&mut self, request: &RequestHead) {
        self.headless = false;
        self.protocol = match request.version {
            Version::Http10 => Protocol::Http10,
            Version::Http11 => Protocol::Http11,
        };
    }

    pub(super) fn request_ended(&mut self, now: Instant) {
        self.request_ended = Some(now);
        self.note(TimePoint::DownstreamReceiveEnd, now);
    }

    pub(super) fn details(&mut self, details: &'static str) {
        self.details = Some(details);
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

    pub(super) fn connect_failed(&mut self, failure: &ConnectFailure) {
        match failure {
            ConnectFailure::Refused { host, source } => {
                self.host = Some(host.clone());
                self.transport_failure = Some(connect_error(source));
            }
            ConnectFailure::Timeout { host } => self.host = Some(host.clone()),
            _ => {}
        }
    }

    pub(super) fn connected(&mut self, stream: &HttpStream, now: Instant) {
        self.host = Some(stream.host().clone());
        self.note(TimePoint::UpstreamSendBegin, now);
    }

    pub(super) fn upstream_responded(&mut self, now: Instant) {
        self.details = Some("via_upstream");
        self.note(TimePoint::UpstreamReceiveBegin, now);
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

    /// Since the request began.
    pub(super) fn since_start(&self, now: Instant) -> Duration {
        now.duration_since(self.started)
    }

    /// Since the request ended, or began if it has not.
    pub(super) fn since_request(&self, now: Instant) -> Duration {
        now.duration_since(self.request_ended.unwrap_or(self.started))
    }

    /// The exchange is answered by us.
    pub(super) fn failed(&mut self, failure: Failure) {
        self.details = Some(failure.details());
        self.flag(failure);
    }

    /// The response ended before its end.
    pub(super) fn cut(&mut self, failure: Failure) {
        self.flag(failure);
    }

    fn flag(&mut self, failure: Failure) {
        if let Some(flag) = failure.flag() {
            self.flags.set(flag);
        }
    }

    pub(super) fn client_gone(&mut self) {
        self.details = Some("downstream_remote_disconnect");
        self.flags.set(ResponseFlag::DownstreamConnectionTermination);
    }

    /// Writes the exchange's lines.
    pub(super) fn write(
        &mut self,
        manager: &HttpManager,
        connection: &HttpConnection,
        heads: &Heads,
        route_name: &str,
    ) {
        if manager.logs.is_empty() {
            return;
        }
        let now = manager.reactor.now();
        self.note(TimePoint::DownstreamSendEnd, now);
        let messages = Messages { request: &heads.request, response: &heads.response };
        let cluster = self.cluster.as_ref().map(|cluster| cluster.config());
        let record = Record {
            log_type: AccessLogType::DownstreamEnd,
            start: self.started_wall,
            now: manager.reactor.wall_now(),
            duration: self.since_start(now),
            timing: self.timing,
            flags: self.flags,
            bytes_received: self.bytes_received,
            bytes_sent: self.bytes_sent,
            response_code: self.status,
            response_code_details: self.details,
            protocol: Some(self.protocol),
            http: (!self.headless).then_some(&messages),
            connection_id: connection.id,
            remote_address: connection.peer(),
            direct_remote_address: connection.peer(),
            local_address: connection.local_address(),
            direct_local_address: connection.local_address(),
            route_name,
            upstream: UpstreamRecord {
                cluster: cluster.map(|cluster| cluster.name.as_str()),
                cluster_observability_name: cluster.map(|cluster| cluster.stat_name.as_str()),
                host: self.host.as_ref(),
                attempts: self.attempts,
                transport_failure_reason: self.transport_failure.as_deref(),
                protocol: self.host.as_ref().map(|_| Protocol::Http11),
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

/// The heads of an exchange, for the operators that print headers.
struct Messages<'a> {
    request: &'a RequestHead,
    response: &'a ResponseHead,
}

fn field<'a>(headers: &'a HeaderList, name: &str) -> Option<&'a [u8]> {
    headers.get(Name::from(name.as_bytes()))
}

impl HttpMessages for Messages<'_> {
    fn request_header(&self, name: &str) -> Option<&[u8]> {
        match name {
            ":method" => Some(self.request.method_text()),
            ":path" => Some(self.request.path()).filter(|path| !path.is_empty()),
            ":authority" | "host" => self.request.authority(),
            ":scheme" => Some(super::headers::scheme(self.request).as_bytes()),
            _ => field(&self.request.headers, name),
        }
    }

    fn response_header(&self, name: &str) -> Option<&[u8]> {
        field(&self.response.headers, name)
    }

    fn response_trailer(&self, _name: &str) -> Option<&[u8]> {
        None
    }

    fn request_headers_bytes(&self) -> u64 {
        let request = self.request;
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
        (":status".len() + 3 + self.response.headers.byte_size()) as u64
    }

    fn response_trailers_bytes(&self) -> u64 {
        0
    }
}
