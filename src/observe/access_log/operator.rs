//! The operators of Envoy 1.40: which there are, what arguments they take, and what they yield.
//!
//! Every name that Envoy knows is in one of the tables below. An operator whose value cannot exist
//! yet (TLS, tracing) yields nothing, as Envoy does on a connection without it.
//! One whose value does exist but is not known here is refused as not supported yet.

use base::{Address, Cidr};

use super::duration::CommonDuration;
use super::error::FormatError;
use super::filter_state::ObjectText;
use super::found_text::FoundText;
use super::http_value::{GrpcStatus, Header, Path};
use super::record::{Protocol, Record, TimePoint};
use super::time_format::TimeFormat;
use super::tunnel_state::TunnelState;
use super::value::Value;

/// What a format takes from the process, once, when it is compiled.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The host's name, for `%HOSTNAME%`.
    pub hostname: Option<&'a str>,
    /// The environment, for `%ENVIRONMENT(X)%`.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("hostname", &self.hostname).finish_non_exhaustive()
    }
}

/// A command as it stands in a format string: `%NAME(argument):length_max%`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Command<'a> {
    pub(super) name: &'a str,
    pub(super) argument: &'a str,
    pub(super) length_max: Option<usize>,
    /// Where its `%` stands.
    pub(super) position: usize,
}

/// A compiled command.
#[derive(Debug, Clone)]
pub(super) enum Operator {
    /// A value of the record.
    Plain(Yield),
    /// The value of this operator is the same for ever.
    Constant(Option<String>),
    StartTime(TimeFormat),
    EmitTime(TimeFormat),
    CommonDuration(CommonDuration),
    ResponseCodeDetails {
        keeps_blanks: bool,
    },
    RequestHeader(Header),
    ResponseHeader(Header),
    ResponseTrailer(Header),
    GrpcStatus(GrpcStatus),
    Path(Path),
    /// An address without its port.
    Ip(OneAddress),
    /// The range of addresses with a prefix of so many bits that an address is in.
    AddressRange(OneAddress, u8),
    DynamicMetadata(FoundText),
    FilterState(ObjectText),
    UpstreamFilterState(ObjectText),
    /// What a tunnel left, or else an object of this key.
    TunnelState(TunnelState, ObjectText),
}

type Yield = for<'r> fn(&'r Record<'r>) -> Value<'r>;
type OneAddress = for<'r> fn(&Record<'r>) -> Option<&'r Address>;

impl Operator {
    /// Compiles a command.
    pub(super) fn compile(
        command: Command<'_>,
        surroundings: Surroundings<'_>,
    ) -> Result<Self, FormatError> {
        let name = command.name;
        if let Some((_, value)) = PLAIN.iter().find(|(known, _)| *known == name) {
            command.expect_bare()?;
            return Ok(Self::Plain(*value));
        }
        if let Some((_, address)) = WITHOUT_PORT.iter().find(|(known, _)| *known == name) {
            return command.address_without_port(*address);
        }
        if NEVER.contains(&name) {
            command.expect_bare()?;
            return Ok(Self::Constant(None));
        }
        if let Some((_, reason)) = NOT_YET.iter().find(|(known, _)| *known == name) {
            return Err(command.not_yet(format!("%{name}%: {reason}")));
        }
        Self::compile_with_argument(command, surroundings)
    }

    fn compile_with_argument(
        command: Command<'_>,
        surroundings: Surroundings<'_>,
    ) -> Result<Self, FormatError> {
        match command.name {
            "REQ" | "REQUEST_HEADER" => command.header().map(Self::RequestHeader),
            "RESP" | "RESPONSE_HEADER" => command.header().map(Self::ResponseHeader),
            "TRAILER" | "RESPONSE_TRAILER" => command.header().map(Self::ResponseTrailer),
            "START_TIME" => command.time().map(Self::StartTime),
            "EMIT_TIME" => command.time().map(Self::EmitTime),
            "COMMON_DURATION" => {
                command.expect_argument()?;
                command.refuse_length()?;
                let duration = CommonDuration::parse(command.argument);
                duration.map(Self::CommonDuration).map_err(|text| command.invalid(text))
            }
            "RESPONSE_CODE_DETAILS" => {
                command.refuse_length()?;
                let keeps_blanks = command.argument == "ALLOW_WHITESPACES";
                Ok(Self::ResponseCodeDetails { keeps_blanks })
            }
            "GRPC_STATUS" => {
                command.refuse_length()?;
                let status = GrpcStatus::parse(command.argument);
                status.map(Self::GrpcStatus).map_err(|text| command.invalid(text))
            }
            "GRPC_STATUS_NUMBER" => {
                command.expect_bare()?;
                Ok(Self::GrpcStatus(GrpcStatus::Number))
            }
            "PATH" => {
                let path = Path::parse(command.argument, command.length_max);
                path.map(Self::Path).map_err(|text| command.invalid(text))
            }
            "HOSTNAME" => {
                command.expect_bare()?;
                Ok(Self::Constant(surroundings.hostname.map(str::to_owned)))
            }
            "ENVIRONMENT" => {
                command.expect_argument()?;
                let value = (surroundings.environment)(command.argument);
                let mut value = value.unwrap_or_else(|| "-".to_owned());
                let end = command.length_max.unwrap_or(usize::MAX).min(value.len());
                value.truncate(value.floor_char_boundary(end));
                Ok(Self::Constant(Some(value)))
            }
            "REQUESTED_SERVER_NAME" => command.requested_server_name(),
            "DYNAMIC_METADATA" => {
                command.expect_argument()?;
                Ok(Self::DynamicMetadata(FoundText::in_namespace(
                    command.argument,
                    command.length_max,
                )))
            }
            "FILTER_STATE" => {
                let (object, tunnel) = command.filter_state()?;
                Ok(match tunnel {
                    Some(tunnel) => Self::TunnelState(tunnel, object),
                    None => Self::FilterState(object),
                })
            }
            "UPSTREAM_FILTER_STATE" => {
                command.filter_state().map(|(object, _)| Self::UpstreamFilterState(object))
            }
            "DOWNSTREAM_PEER_CERT_V_START"
            | "DOWNSTREAM_PEER_CERT_V_END"
            | "UPSTREAM_PEER_CERT_V_START"
            | "UPSTREAM_PEER_CERT_V_END" => {
                command.time()?;
                Ok(Self::Constant(None))
            }
            name => Err(command.invalid(format!("Not supported field in StreamInfo: {name}"))),
        }
    }

    /// What the operator yields for a record.
    pub(super) fn value<'r>(&'r self, record: &'r Record<'r>) -> Value<'r> {
        match self {
            Self::Plain(value) => value(record),
            Self::Constant(text) => Value::text(text.as_deref()),
            Self::StartTime(format) => Value::Time(record.start, format),
            Self::EmitTime(format) => Value::Time(record.now, format),
            Self::CommonDuration(duration) => duration.value(record),
            Self::ResponseCodeDetails { keeps_blanks } => match record.response_code_details {
                None => Value::Missing,
                Some(details) if *keeps_blanks => Value::Text(details.as_bytes()),
                Some(details) => Value::Underscored(details),
            },
            Self::RequestHeader(header) => {
                header.value(|name| record.http.and_then(|http| http.request_header(name)))
            }
            Self::ResponseHeader(header) => {
                header.value(|name| record.http.and_then(|http| http.response_header(name)))
            }
            Self::ResponseTrailer(header) => {
                header.value(|name| record.http.and_then(|http| http.response_trailer(name)))
            }
            Self::GrpcStatus(status) => status.value(record),
            Self::Path(path) => path.value(record),
            Self::Ip(address) => ip(address(record)),
            Self::AddressRange(address, bits) => match address(record) {
                None => Value::Missing,
                Some(Address::Ip(address)) => Value::Range(Cidr::new(address.ip(), *bits)),
                // What has no bits is in no range.
                Some(Address::Pipe(_)) => Value::Text(b""),
            },
            Self::DynamicMetadata(text) => text.value(record.dynamic_metadata),
            Self::FilterState(text) => text.value(record.filter_state),
            Self::UpstreamFilterState(text) => text.value(record.upstream.filter_state),
            Self::TunnelState(tunnel, object) => match tunnel.value(record) {
                Value::Missing => object.value(record.filter_state),
                value => value,
            },
        }
    }
}

impl Command<'_> {
    fn invalid(&self, message: impl Into<String>) -> FormatError {
        FormatError::invalid(self.position, message)
    }

    fn not_yet(&self, message: impl Into<String>) -> FormatError {
        FormatError::not_yet(self.position, message)
    }

    /// Envoy does not tell `%DURATION()%` from `%DURATION%`.
    fn expect_bare(&self) -> Result<(), FormatError> {
        if self.argument.is_empty() && self.length_max.is_none() {
            return Ok(());
        }
        Err(self.invalid(format!("{} does not take any parameters or length", self.name)))
    }

    fn expect_argument(&self) -> Result<(), FormatError> {
        if self.argument.is_empty() {
            return Err(self.invalid(format!("{} requires parameters", self.name)));
        }
        Ok(())
    }

    fn refuse_length(&self) -> Result<(), FormatError> {
        if self.length_max.is_some() {
            let text = format!("{} does not allow length to be specified.", self.name);
            return Err(self.invalid(text));
        }
        Ok(())
    }

    fn header(&self) -> Result<Header, FormatError> {
        self.expect_argument()?;
        Header::parse(self.argument, self.length_max).map_err(|text| self.invalid(text))
    }

    fn time(&self) -> Result<TimeFormat, FormatError> {
        self.refuse_length()?;
        TimeFormat::parse(self.argument, self.position)
    }

    fn requested_server_name(&self) -> Result<Operator, FormatError> {
        let kind = self.argument.split(':').next().unwrap_or_default();
        match kind {
            "" | "SNI_ONLY" => {
                Ok(Operator::Plain(|record| Value::text(record.requested_server_name)))
            }
            "SNI_FIRST" | "HOST_FIRST" => {
                Err(self.not_yet(format!("%REQUESTED_SERVER_NAME({kind})%")))
            }
            _ => Err(self.invalid(format!(
                "Invalid REQUESTED_SERVER_NAME option: '{kind}', only \
                 'SNI_ONLY'/'SNI_FIRST'/'HOST_FIRST' are allowed"
            ))),
        }
    }

    fn address_without_port(&self, address: OneAddress) -> Result<Operator, FormatError> {
        self.refuse_length()?;
        if self.argument.is_empty() {
            return Ok(Operator::Ip(address));
        }
        let bits: Result<u32, _> = self.argument.trim().parse();
        let bits = bits.map_err(|_| {
            let Self { name, argument, .. } = self;
            self.invalid(format!("{name}: '{argument}' is no number of bits"))
        })?;
        Ok(Operator::AddressRange(address, u8::try_from(bits).unwrap_or(u8::MAX)))
    }

    /// An object of the filter state, and what tunnels leave under its key.
    fn filter_state(&self) -> Result<(ObjectText, Option<TunnelState>), FormatError> {
        let mut parts = self.argument.splitn(3, ':');
        let key = parts.next().unwrap_or_default();
        if key.is_empty() {
            let text = "Invalid filter state configuration, key cannot be empty.";
            return Err(self.invalid(text));
        }
        let kind = parts.next().unwrap_or("TYPED");
        if !matches!(kind, "PLAIN" | "TYPED" | "FIELD") {
            let text = "Invalid filter state serialize type, only support PLAIN/TYPED/FIELD.";
            return Err(self.invalid(text));
        }
        let field = parts.next().filter(|field| !field.is_empty());
        if (kind == "FIELD") != field.is_some() {
            let text =
                "Invalid filter state serialize type, FIELD should be used with the field name.";
            return Err(self.invalid(text));
        }
        let object = match field {
            Some(field) => ObjectText::field(key, field, self.length_max),
            None => ObjectText::whole(key, kind == "TYPED", self.length_max),
        };
        Ok((object, TunnelState::find(key, kind, self.length_max)))
    }
}

fn address(address: Option<&Address>) -> Value<'_> {
    address.map_or(Value::Missing, Value::Address)
}

fn ip(address: Option<&Address>) -> Value<'_> {
    address.map_or(Value::Missing, Value::Ip)
}

/// The port of an IP address; what has none prints as nothing, not as missing.
fn port(address: Option<&Address>) -> Value<'static> {
    match address {
        None => Value::Missing,
        Some(Address::Ip(address)) => Value::Number(u64::from(address.port())),
        Some(Address::Pipe(_)) => Value::Text(b""),
    }
}

/// The endpoint id of Envoy's internal addresses: any other has an empty one.
fn endpoint_id(address: Option<&Address>) -> Value<'static> {
    address.map_or(Value::Missing, |_| Value::Text(b""))
}

fn milliseconds(duration: Option<std::time::Duration>) -> Value<'static> {
    let whole = |duration: std::time::Duration| u64::try_from(duration.as_millis());
    duration.map_or(Value::Missing, |duration| Value::Number(whole(duration).unwrap_or(u64::MAX)))
}

/// Addresses without their ports, whose argument is the length of a prefix in bits.
const WITHOUT_PORT: &[(&str, OneAddress)] = &[
    ("DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT", |record| record.direct_local_address),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", |record| record.direct_remote_address),
    ("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", |record| record.local_address),
    ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", |record| record.remote_address),
    ("UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", |record| record.upstream.local_address),
    ("UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", |record| record.upstream.remote_address),
];

/// Operators without argument.
const PLAIN: &[(&str, Yield)] = &[
    ("ACCESS_LOG_TYPE", |record| Value::name(record.log_type.name())),
    ("BYTES_RECEIVED", |record| Value::Number(record.bytes_received)),
    // QUIC's; on a TCP connection always 0.
    ("BYTES_RETRANSMITTED", |_| Value::Number(0)),
    ("BYTES_SENT", |record| Value::Number(record.bytes_sent)),
    ("CONNECTION_ID", |record| Value::Number(record.connection_id)),
    ("CONNECTION_TERMINATION_DETAILS", |record| Value::text(record.connection_termination_details)),
    // Set by filters, and none does.
    ("CUSTOM_FLAGS", |_| Value::Text(b"")),
    ("DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", |record| {
        Value::Number(record.header_bytes_received)
    }),
    ("DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", |record| Value::Number(record.header_bytes_sent)),
    ("DOWNSTREAM_DETECTED_CLOSE_TYPE", |record| Value::name(record.close_type.name())),
    ("DOWNSTREAM_DIRECT_LOCAL_ADDRESS", |record| address(record.direct_local_address)),
    ("DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID", |record| {
        endpoint_id(record.direct_local_address)
    }),
    ("DOWNSTREAM_DIRECT_LOCAL_PORT", |record| port(record.direct_local_address)),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS", |record| address(record.direct_remote_address)),
    ("DOWNSTREAM_DIRECT_REMOTE_PORT", |record| port(record.direct_remote_address)),
    ("DOWNSTREAM_HEADER_BYTES_RECEIVED", |record| Value::Number(record.header_bytes_received)),
    ("DOWNSTREAM_HEADER_BYTES_SENT", |record| Value::Number(record.header_bytes_sent)),
    ("DOWNSTREAM_LOCAL_ADDRESS", |record| address(record.local_address)),
    ("DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID", |record| endpoint_id(record.local_address)),
    ("DOWNSTREAM_LOCAL_CLOSE_REASON", |record| Value::text(record.local_close_reason)),
    ("DOWNSTREAM_LOCAL_PORT", |record| port(record.local_address)),
    ("DOWNSTREAM_REMOTE_ADDRESS", |record| address(record.remote_address)),
    ("DOWNSTREAM_REMOTE_PORT", |record| port(record.remote_address)),
    ("DOWNSTREAM_TRANSPORT_FAILURE_REASON", |record| {
        record.transport_failure_reason.map_or(Value::Missing, Value::Underscored)
    }),
    ("DOWNSTREAM_WIRE_BYTES_RECEIVED", |record| Value::Number(record.wire_bytes_received)),
    ("DOWNSTREAM_WIRE_BYTES_SENT", |record| Value::Number(record.wire_bytes_sent)),
    ("DURATION", |record| milliseconds(Some(record.duration))),
    ("FILTER_CHAIN_NAME", |record| Value::name(record.filter_chain_name)),
    ("LISTENER_NAME", |record| Value::name(record.listener_name)),
    ("LOCAL_REPLY_BODY", |record| Value::Text(record.local_reply_body)),
    // QUIC's; on a TCP connection always 0.
    ("PACKETS_RETRANSMITTED", |_| Value::Number(0)),
    ("PROTOCOL", |record| Value::text(record.protocol.map(Protocol::name))),
    ("REQUEST_DURATION", |record| milliseconds(record.timing.get(TimePoint::DownstreamReceiveEnd))),
    ("REQUEST_HEADERS_BYTES", |record| {
        Value::Number(record.http.map_or(0, |http| http.request_headers_bytes()))
    }),
    ("REQUEST_TX_DURATION", |record| milliseconds(record.timing.get(TimePoint::UpstreamSendEnd))),
    ("RESPONSE_CODE", |record| Value::Number(u64::from(record.response_code))),
    ("RESPONSE_DURATION", |record| {
        milliseconds(record.timing.get(TimePoint::UpstreamReceiveBegin))
    }),
    ("RESPONSE_FLAGS", |record| Value::ShortFlags(&record.flags)),
    ("RESPONSE_FLAGS_LONG", |record| Value::LongFlags(&record.flags)),
    ("RESPONSE_HEADERS_BYTES", |record| {
        Value::Number(record.http.map_or(0, |http| http.response_headers_bytes()))
    }),
    ("RESPONSE_TRAILERS_BYTES", |record| {
        Value::Number(record.http.map_or(0, |http| http.response_trailers_bytes()))
    }),
    ("RESPONSE_TX_DURATION", |record| {
        let sent = record.timing.get(TimePoint::DownstreamSendEnd);
        let received = record.timing.get(TimePoint::UpstreamReceiveBegin);
        let both = sent.zip(received);
        milliseconds(both.map(|(sent, received)| sent.saturating_sub(received)))
    }),
    ("ROUTE_NAME", |record| Value::name(record.route_name)),
    ("STREAM_ID", |record| Value::text(record.stream_id)),
    ("UPSTREAM_CLUSTER", |record| Value::text(record.upstream.cluster_observability_name)),
    ("UPSTREAM_CLUSTER_RAW", |record| Value::text(record.upstream.cluster)),
    ("UPSTREAM_CONNECTION_ID", |record| Value::Number(record.upstream.connection_id)),
    ("UPSTREAM_CONNECTION_IDS_ATTEMPTED", |record| {
        match record.upstream.connection_ids_attempted {
            [] => Value::Missing,
            ids => Value::Numbers(ids),
        }
    }),
    ("UPSTREAM_CONNECTION_POOL_READY_DURATION", |record| milliseconds(record.upstream.pool_ready)),
    ("UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", |record| {
        Value::Number(record.upstream.header_bytes_received)
    }),
    ("UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", |record| {
        Value::Number(record.upstream.header_bytes_sent)
    }),
    ("UPSTREAM_DETECTED_CLOSE_TYPE", |record| {
        Value::text(record.upstream.close_type.map(super::record::CloseType::name))
    }),
    ("UPSTREAM_HEADER_BYTES_RECEIVED", |record| {
        Value::Number(record.upstream.header_bytes_received)
    }),
    ("UPSTREAM_HEADER_BYTES_SENT", |record| Value::Number(record.upstream.header_bytes_sent)),
    ("UPSTREAM_HOST", |record| address(record.upstream.host)),
    ("UPSTREAM_HOSTS_ATTEMPTED", |record| match record.upstream.hosts_attempted {
        [] => Value::Missing,
        hosts => Value::Addresses(hosts),
    }),
    ("UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT", |record| match record.upstream.hosts_attempted {
        [] => Value::Missing,
        hosts => Value::Ips(hosts),
    }),
    ("UPSTREAM_LOCAL_ADDRESS", |record| address(record.upstream.local_address)),
    ("UPSTREAM_LOCAL_CLOSE_REASON", |record| Value::text(record.upstream.local_close_reason)),
    ("UPSTREAM_LOCAL_PORT", |record| port(record.upstream.local_address)),
    ("UPSTREAM_PROTOCOL", |record| Value::text(record.upstream.protocol.map(Protocol::name))),
    ("UPSTREAM_REMOTE_ADDRESS", |record| address(record.upstream.remote_address)),
    ("UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID", |record| endpoint_id(record.upstream.remote_address)),
    ("UPSTREAM_REMOTE_PORT", |record| port(record.upstream.remote_address)),
    ("UPSTREAM_REQUEST_ATTEMPT_COUNT", |record| Value::Number(record.upstream.attempts)),
    ("UPSTREAM_TRANSPORT_FAILURE_REASON", |record| {
        record.upstream.transport_failure_reason.map_or(Value::Missing, Value::Underscored)
    }),
    ("UPSTREAM_WIRE_BYTES_RECEIVED", |record| Value::Number(record.upstream.wire_bytes_received)),
    ("UPSTREAM_WIRE_BYTES_SENT", |record| Value::Number(record.upstream.wire_bytes_sent)),
    ("VIRTUAL_CLUSTER_NAME", |record| Value::text(record.virtual_cluster_name)),
];

/// Operators without argument whose value cannot exist yet: there is no TLS, no QUIC and no
/// tracing, and Envoy yields nothing for them on a connection without.
const NEVER: &[&str] = &[
    "DOWNSTREAM_HANDSHAKE_DURATION",
    "DOWNSTREAM_LOCAL_DNS_SAN",
    "DOWNSTREAM_LOCAL_EMAIL_SAN",
    "DOWNSTREAM_LOCAL_IP_SAN",
    "DOWNSTREAM_LOCAL_OTHERNAME_SAN",
    "DOWNSTREAM_LOCAL_SUBJECT",
    "DOWNSTREAM_LOCAL_URI_SAN",
    "DOWNSTREAM_PEER_CERT",
    "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1",
    "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256",
    "DOWNSTREAM_PEER_CHAIN_SERIALS",
    "DOWNSTREAM_PEER_DNS_SAN",
    "DOWNSTREAM_PEER_EMAIL_SAN",
    "DOWNSTREAM_PEER_FINGERPRINT_1",
    "DOWNSTREAM_PEER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_IP_SAN",
    "DOWNSTREAM_PEER_ISSUER",
    "DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_ISSUER_SERIAL",
    "DOWNSTREAM_PEER_OTHERNAME_SAN",
    "DOWNSTREAM_PEER_SERIAL",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_TLS_CIPHER",
    "DOWNSTREAM_TLS_GROUP",
    "DOWNSTREAM_TLS_SESSION_ID",
    "DOWNSTREAM_TLS_VERSION",
    "ROUNDTRIP_DURATION",
    "SPAN_ID",
    "TLS_JA3_FINGERPRINT",
    "TLS_JA4_FINGERPRINT",
    "TRACE_ID",
    "UPSTREAM_LOCAL_DNS_SAN",
    "UPSTREAM_LOCAL_IP_SAN",
    "UPSTREAM_LOCAL_URI_SAN",
    "UPSTREAM_PEER_CERT",
    "UPSTREAM_PEER_DNS_SAN",
    "UPSTREAM_PEER_IP_SAN",
    "UPSTREAM_PEER_ISSUER",
    "UPSTREAM_PEER_SUBJECT",
    "UPSTREAM_PEER_URI_SAN",
    "UPSTREAM_SERVER_NAME",
    "UPSTREAM_TLS_CIPHER",
    "UPSTREAM_TLS_GROUP",
    "UPSTREAM_TLS_SESSION_ID",
    "UPSTREAM_TLS_VERSION",
];

/// Operators that Envoy has and Nuncio has not yet, with the reason.
const NOT_YET: &[(&str, &str)] = &[
    ("CEL", "there are no CEL expressions yet"),
    ("CLUSTER_METADATA", METADATA),
    ("COALESCE", "operators inside operators are not evaluated yet"),
    ("DOWNSTREAM_CX_RTT", "the round trip time is not measured yet"),
    ("EMIT_TIME_LOCAL", LOCAL_TIME),
    ("METADATA", METADATA),
    ("QUERY_PARAM", QUERY),
    ("QUERY_PARAMS", QUERY),
    ("ROUTE_RESOLUTION_COUNT", "route lookups are not counted yet"),
    ("ROUTE_RESOLUTION_TIME_US", "route lookups are not measured yet"),
    ("START_TIME_LOCAL", LOCAL_TIME),
    ("UNIQUE_ID", "use %STREAM_ID%, which is the same for all lines of a request"),
    ("UPSTREAM_HOST_NAME", HOST_NAME),
    ("UPSTREAM_HOST_NAMES_ATTEMPTED", HOST_NAME),
    ("UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT", HOST_NAME),
    ("UPSTREAM_HOST_NAME_WITHOUT_PORT", HOST_NAME),
    ("UPSTREAM_METADATA", METADATA),
    ("XFCC_VALUE", "x-forwarded-client-cert is not read yet"),
];

const HOST_NAME: &str = "an endpoint's hostname is not kept yet; use %UPSTREAM_HOST%";
const LOCAL_TIME: &str = "times are in UTC only";
const METADATA: &str = "the configuration's metadata is not kept yet";
const QUERY: &str = "use %PATH% or %REQ(:PATH)%";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_stands_in_one_table() {
        let plain = PLAIN.iter().map(|(name, _)| *name);
        let not_yet = NOT_YET.iter().map(|(name, _)| *name);
        let addresses = WITHOUT_PORT.iter().map(|(name, _)| *name);
        let never = NEVER.iter().copied();
        let all: Vec<&str> = plain.chain(addresses).chain(never).chain(not_yet).collect();
        let unique: BTreeSet<&str> = all.iter().copied().collect();
        assert_eq!(unique.len(), all.len());
    }
}
