//! What is known of one connection or request when its line is written.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base::Address;

use super::filter_state::FilterState;
use super::metadata::Metadata;
use crate::ResponseFlags;

/// When in the life of a connection or request a line is written: Envoy's `AccessLogType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessLogType {
    /// A listener's own log, at the end of the connection.
    #[default]
    NotSet,
    /// `tcp_proxy`, once the upstream is connected.
    TcpUpstreamConnected,
    /// `tcp_proxy`, again and again while the connection lasts.
    TcpPeriodic,
    /// `tcp_proxy`, at the end.
    TcpConnectionEnd,
    /// HTTP, when the request head has come.
    DownstreamStart,
    /// HTTP, again and again while the exchange lasts.
    DownstreamPeriodic,
    /// HTTP, at the end of the exchange.
    DownstreamEnd,
}

impl AccessLogType {
    const ALL: [Self; 7] = [
        Self::NotSet,
        Self::TcpUpstreamConnected,
        Self::TcpPeriodic,
        Self::TcpConnectionEnd,
        Self::DownstreamStart,
        Self::DownstreamPeriodic,
        Self::DownstreamEnd,
    ];

    /// The type that Envoy spells `name`; `None` for those that no line can have yet.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Envoy's spelling.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotSet => "NotSet",
            Self::TcpUpstreamConnected => "TcpUpstreamConnected",
            Self::TcpPeriodic => "TcpPeriodic",
            Self::TcpConnectionEnd => "TcpConnectionEnd",
            Self::DownstreamStart => "DownstreamStart",
            Self::DownstreamPeriodic => "DownstreamPeriodic",
            Self::DownstreamEnd => "DownstreamEnd",
        }
    }
}

/// A protocol as Envoy's logs spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
    /// HTTP/3.
    Http3,
}

impl Protocol {
    /// `HTTP/1.1`, say.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::Http3 => "HTTP/3",
        }
    }
}

/// How a TCP connection was seen to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CloseType {
    /// With FIN, or not yet.
    #[default]
    Normal,
    /// We sent a reset.
    LocalReset,
    /// The peer sent a reset.
    RemoteReset,
}

impl CloseType {
    /// Envoy's spelling.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::LocalReset => "LocalReset",
            Self::RemoteReset => "RemoteReset",
        }
    }
}

/// The headers of an exchange, as a record reads them. Names come in lower case; of several
/// headers of one name the first counts.
pub trait HttpMessages {
    /// A header of the request; pseudo-headers are `:method`, `:path`, `:authority`, `:scheme`.
    fn request_header(&self, name: &str) -> Option<&[u8]>;
    /// A header of the response; the status is `:status`.
    fn response_header(&self, name: &str) -> Option<&[u8]>;
    /// A trailer of the response.
    fn response_trailer(&self, name: &str) -> Option<&[u8]>;
    /// Names and values of the request's headers, pseudo-headers too, in bytes.
    fn request_headers_bytes(&self) -> u64;
    /// Names and values of the response's headers, `:status` too, in bytes.
    fn response_headers_bytes(&self) -> u64;
    /// Names and values of the response's trailers, in bytes.
    fn response_trailers_bytes(&self) -> u64;
}

/// A moment that durations are measured between. Names and meaning are those of
/// `%COMMON_DURATION%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimePoint {
    /// `DS_RX_BEG`: the start of the connection or request.
    DownstreamReceiveBegin,
    /// `DS_RX_END`: the last byte of the request.
    DownstreamReceiveEnd,
    /// `US_CX_BEG`: the connect to the upstream began.
    UpstreamConnectBegin,
    /// `US_CX_END`: the upstream connection was there.
    UpstreamConnectEnd,
    /// `US_HS_END`: the upstream TLS handshake was done.
    UpstreamHandshakeEnd,
    /// `US_TX_BEG`: the first byte went to the upstream.
    UpstreamSendBegin,
    /// `US_TX_END`: the last byte went to the upstream.
    UpstreamSendEnd,
    /// `US_RX_BEG`: the first byte came from the upstream.
    UpstreamReceiveBegin,
    /// `US_RX_BODY_BEG`: the first byte of the response body came.
    UpstreamReceiveBodyBegin,
    /// `US_RX_END`: the last byte came from the upstream.
    UpstreamReceiveEnd,
    /// `DS_TX_BEG`: the first byte went to the downstream.
    DownstreamSendBegin,
    /// `DS_TX_END`: the last byte went to the downstream.
    DownstreamSendEnd,
}

impl TimePoint {
    const ALL: [(&'static str, Self); 12] = [
        ("DS_RX_BEG", Self::DownstreamReceiveBegin),
        ("DS_RX_END", Self::DownstreamReceiveEnd),
        ("US_CX_BEG", Self::UpstreamConnectBegin),
        ("US_CX_END", Self::UpstreamConnectEnd),
        ("US_HS_END", Self::UpstreamHandshakeEnd),
        ("US_TX_BEG", Self::UpstreamSendBegin),
        ("US_TX_END", Self::UpstreamSendEnd),
        ("US_RX_BEG", Self::UpstreamReceiveBegin),
        ("US_RX_BODY_BEG", Self::UpstreamReceiveBodyBegin),
        ("US_RX_END", Self::UpstreamReceiveEnd),
        ("DS_TX_BEG", Self::DownstreamSendBegin),
        ("DS_TX_END", Self::DownstreamSendEnd),
    ];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, point)| *point)
    }
}

/// When the moments of a connection or request came, each measured from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// In nanoseconds, or [`NEVER`]: every exchange carries one.
    points: [u64; TimePoint::ALL.len()],
}

/// What did not come. A moment that is this late (585 years) is not told from it.
const NEVER: u64 = u64::MAX;

impl Timing {
    /// Notes that `point` came `after_start`. Of several calls the last counts.
    pub fn set(&mut self, point: TimePoint, after_start: Duration) {
        self.points[point as usize] = nanoseconds(after_start);
    }

    /// Notes the first time only.
    pub fn set_first(&mut self, point: TimePoint, after_start: Duration) {
        let noted = &mut self.points[point as usize];
        if *noted == NEVER {
            *noted = nanoseconds(after_start);
        }
    }

    /// When `point` came, if it has. The start itself is always there.
    #[must_use]
    pub fn get(&self, point: TimePoint) -> Option<Duration> {
        match point {
            TimePoint::DownstreamReceiveBegin => Some(Duration::ZERO),
            _ => {
                let noted = self.points[point as usize];
                (noted != NEVER).then(|| Duration::from_nanos(noted))
            }
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self { points: [NEVER; TimePoint::ALL.len()] }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NEVER)
}

/// What is known of the upstream side. All of it is empty until a host was picked.
#[derive(Debug, Clone, Copy, Default)]
pub struct UpstreamRecord<'a> {
    /// The cluster's name, once the route has named one that exists.
    pub cluster: Option<&'a str>,
    /// The name the cluster's stats go by: `alt_stat_name`, or its name.
    pub cluster_observability_name: Option<&'a str>,
    /// The host that was picked last.
    pub host: Option<&'a Address>,
    /// Every host that was picked, in order.
    pub hosts_attempted: &'a [Address],
    /// Our end of the connection.
    pub local_address: Option<&'a Address>,
    /// The host's end of the connection.
    pub remote_address: Option<&'a Address>,
    /// The connection's id; 0 when there was none.
    pub connection_id: u64,
    /// The ids of the connections that were used, in order.
    pub connection_ids_attempted: &'a [u64],
    /// How often the upstream was tried.
    pub attempts: u64,
    /// Why the transport failed: `delayed connect error: Connection refused`.
    pub transport_failure_reason: Option<&'a str>,
    /// How the connection was seen to end; `None` when there was none to a host.
    pub close_type: Option<CloseType>,
    /// Why we closed the connection, if we did.
    pub local_close_reason: Option<&'a str>,
    /// The protocol spoken to the host.
    pub protocol: Option<Protocol>,
    /// Bytes received from the host for this stream, framing too.
    pub wire_bytes_received: u64,
    /// Bytes sent to the host for this stream, framing too.
    pub wire_bytes_sent: u64,
    /// Of the received bytes, headers.
    pub header_bytes_received: u64,
    /// Of the sent bytes, headers.
    pub header_bytes_sent: u64,
    /// How long it took to get a connection.
    pub pool_ready: Option<Duration>,
    /// The head of the response that opened a tunnel, as a JSON document.
    pub tunnel_response_headers: Option<&'a [u8]>,
    /// The trailers of that response, likewise.
    pub tunnel_response_trailers: Option<&'a [u8]>,
    /// The filter state that the upstream connection began with, if there was any.
    pub filter_state: Option<&'a FilterState>,
}

/// One connection or request, as its log line sees it. Values that do not exist are `None` or 0
/// and print as Envoy prints them then: `-` or `0`.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// Which line of the connection or request this is.
    pub log_type: AccessLogType,
    /// When it began, on the wall clock.
    pub start: SystemTime,
    /// Now, on the wall clock.
    pub now: SystemTime,
    /// How long it has lasted.
    pub duration: Duration,
    /// The moments in between.
    pub timing: Timing,
    /// When the connection that the record is about was accepted, from `start`.
    pub connection_begin: Option<Duration>,
    /// When it was over, from `start`.
    pub connection_end: Option<Duration>,
    /// Why it went as it did.
    pub flags: ResponseFlags,
    /// Body bytes (TCP: bytes) received from downstream.
    pub bytes_received: u64,
    /// Body bytes (TCP: bytes) sent to downstream.
    pub bytes_sent: u64,
    /// Bytes received from downstream for this stream, framing too.
    pub wire_bytes_received: u64,
    /// Bytes sent to downstream for this stream, framing too.
    pub wire_bytes_sent: u64,
    /// Of the received bytes, headers.
    pub header_bytes_received: u64,
    /// Of the sent bytes, headers.
    pub header_bytes_sent: u64,
    /// The HTTP status; 0 for TCP and when there was no response.
    pub response_code: u16,
    /// Who decided on the response, and why.
    pub response_code_details: Option<&'a str>,
    /// Why the connection was ended, for endings on L4.
    pub connection_termination_details: Option<&'a str>,
    /// The protocol spoken to downstream.
    pub protocol: Option<Protocol>,
    /// The headers, for HTTP.
    pub http: Option<&'a dyn HttpMessages>,
    /// The body of a response that we made ourselves.
    pub local_reply_body: &'a [u8],
    /// The downstream connection's id.
    pub connection_id: u64,
    /// The id of the request or connection: its request id, if it has one.
    pub stream_id: Option<&'a str>,
    /// Who the downstream is: the peer, or whom a trusted proxy named.
    pub remote_address: Option<&'a Address>,
    /// The peer of the downstream connection.
    pub direct_remote_address: Option<&'a Address>,
    /// The address that the downstream connected to.
    pub local_address: Option<&'a Address>,
    /// The local end of the socket, whatever was restored as its address.
    pub direct_local_address: Option<&'a Address>,
    /// How the downstream connection was seen to end.
    pub close_type: CloseType,
    /// Why we closed the downstream connection, if we did.
    pub local_close_reason: Option<&'a str>,
    /// Why the downstream transport failed.
    pub transport_failure_reason: Option<&'a str>,
    /// The server name of the TLS handshake.
    pub requested_server_name: Option<&'a str>,
    /// The route's name; empty when it has none.
    pub route_name: &'a str,
    /// The virtual cluster's name.
    pub virtual_cluster_name: Option<&'a str>,
    /// The filter chain's name; empty when it has none.
    pub filter_chain_name: &'a str,
    /// The listener's name; empty when it has none.
    pub listener_name: &'a str,
    /// The connection's or request's dynamic metadata, if there is any.
    pub dynamic_metadata: Option<&'a Metadata>,
    /// The connection's filter state, if there is any.
    pub filter_state: Option<&'a FilterState>,
    /// The upstream side.
    pub upstream: UpstreamRecord<'a>,
}

impl Default for Record<'_> {
    /// A record of nothing, from 1970.
    fn default() -> Self {
        Self {
            log_type: AccessLogType::NotSet,
            start: UNIX_EPOCH,
            now: UNIX_EPOCH,
            duration: Duration::ZERO,
            timing: Timing::default(),
            connection_begin: None,
            connection_end: None,
            flags: ResponseFlags::NONE,
            bytes_received: 0,
            bytes_sent: 0,
            wire_bytes_received: 0,
            wire_bytes_sent: 0,
            header_bytes_received: 0,
            header_bytes_sent: 0,
            response_code: 0,
            response_code_details: None,
            connection_termination_details: None,
            protocol: None,
            http: None,
            local_reply_body: b"",
            connection_id: 0,
            stream_id: None,
            remote_address: None,
            direct_remote_address: None,
            local_address: None,
            direct_local_address: None,
            close_type: CloseType::Normal,
            local_close_reason: None,
            transport_failure_reason: None,
            requested_server_name: None,
            route_name: "",
            virtual_cluster_name: None,
            filter_chain_name: "",
            listener_name: "",
            dynamic_metadata: None,
            filter_state: None,
            upstream: UpstreamRecord::default(),
        }
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("log_type", &self.log_type)
            .field("connection_id", &self.connection_id)
            .field("response_code", &self.response_code)
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}
