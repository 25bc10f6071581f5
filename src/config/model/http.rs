//! What a connection that carries HTTP is told: the HTTP connection manager of a listener, and the
//! HTTP options of a cluster.

use std::sync::Arc;
use std::time::Duration;

use super::{AccessLog, Http2Options, RouteConfiguration, Upgrade};

/// Envoy's `HttpConnectionManager`, with a route configuration of its own and no HTTP filter but
/// the router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConnectionManager {
    /// `stat_prefix`: stats are `http.<stat_prefix>.*`.
    pub stat_prefix: String,
    /// `codec_type`.
    pub codec: HttpCodec,
    /// `route_config`.
    pub route_config: Arc<RouteConfiguration>,
    /// `http_protocol_options`.
    pub http1: Http1Options,
    /// `http2_protocol_options`.
    pub http2: Http2Options,
    /// `common_http_protocol_options`; its `idle_timeout` is 1 hour unless set.
    pub common: HttpOptions,
    /// `max_request_headers_kb`: how many KiB the head of a request may have, 60 unless set.
    pub max_request_headers_kb: u32,
    /// `stream_idle_timeout`: 5 minutes unless set, `None` when the file switches it off with `0s`.
    pub stream_idle_timeout: Option<Duration>,
    /// `request_timeout`: how long a whole request may take to arrive; off unless set.
    pub request_timeout: Option<Duration>,
    /// `request_headers_timeout`: how long the head of a request may take, from its first byte;
    /// off unless set.
    pub request_headers_timeout: Option<Duration>,
    /// `drain_timeout`: between telling the peer that the connection ends and ending it, 5 seconds
    /// unless set.
    pub drain_timeout: Duration,
    /// `delayed_close_timeout`: how long a connection that Nuncio wants to end waits for the peer
    /// to end it, so that the last bytes are not lost to a reset; 1 second unless set, `None` when
    /// the file switches it off.
    pub delayed_close_timeout: Option<Duration>,
    /// `server_name`: the value of the `server` header, "envoy" unless set.
    pub server_name: String,
    /// `server_header_transformation`.
    pub server_header: ServerHeader,
    /// `generate_request_id`: whether to set `x-request-id`, true unless set.
    pub generate_request_id: bool,
    /// `preserve_external_request_id`: keep the `x-request-id` of a client outside.
    pub preserve_external_request_id: bool,
    /// `always_set_request_id_in_response`.
    pub always_set_request_id_in_response: bool,
    /// `use_remote_address`: take the peer's address for the client's, false unless set.
    pub use_remote_address: bool,
    /// `xff_num_trusted_hops`.
    pub xff_num_trusted_hops: u32,
    /// `skip_xff_append`.
    pub skip_xff_append: bool,
    /// `via`: appended to the `via` header of requests and responses; empty leaves it alone.
    pub via: String,
    /// `suppress_envoy_headers` of the router: neither requests nor responses get the `x-envoy-`
    /// fields that the router adds.
    pub suppress_envoy_headers: bool,
    /// `upgrade_configs`: no two are of one kind, in whatever case.
    pub upgrades: Vec<Upgrade>,
    /// `access_log`, in file order.
    pub access_log: Vec<AccessLog>,
}

/// `codec_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpCodec {
    /// `AUTO`: by what the client speaks. Without TLS that is HTTP/2 when its first bytes are
    /// HTTP/2's preface, and HTTP/1 otherwise.
    Auto,
    /// `HTTP1`, whatever the client sends.
    Http1,
    /// `HTTP2`, whatever the client sends.
    Http2,
}

/// `server_header_transformation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerHeader {
    /// `OVERWRITE`: the response carries `server_name`. The default.
    Overwrite,
    /// `APPEND_IF_ABSENT`: the upstream's `server` if it sent one.
    AppendIfAbsent,
    /// `PASS_THROUGH`: the upstream's `server`, or none.
    PassThrough,
}

/// Envoy's `config.core.v3.Http1ProtocolOptions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http1Options {
    /// `allow_absolute_url`: true unless set.
    pub allow_absolute_url: bool,
    /// `accept_http_10`: false unless set.
    pub accept_http_10: bool,
    /// `default_host_for_http_10`: the host of an HTTP/1.0 request that names none.
    pub default_host_for_http_10: Option<String>,
    /// `enable_trailers`: false unless set; trailers are dropped then.
    pub enable_trailers: bool,
    /// `allow_chunked_length`: take a message with both `content-length` and
    /// `transfer-encoding: chunked` as chunked, instead of refusing it; false unless set.
    pub allow_chunked_length: bool,
}

impl Default for Http1Options {
    fn default() -> Self {
        Self {
            allow_absolute_url: true,
            accept_http_10: false,
            default_host_for_http_10: None,
            enable_trailers: false,
            allow_chunked_length: false,
        }
    }
}

/// Envoy's `config.core.v3.HttpProtocolOptions`: what all HTTP versions share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// `idle_timeout`: of a connection without requests; 1 hour unless set, `None` when the file
    /// switches it off with `0s`.
    pub idle_timeout: Option<Duration>,
    /// `max_connection_duration`: off unless set.
    pub max_connection_duration: Option<Duration>,
    /// `max_stream_duration`: of a request with its response; off unless set.
    pub max_stream_duration: Option<Duration>,
    /// `max_headers_count`: in one head, 100 unless set.
    pub max_headers_count: u32,
    /// `max_requests_per_connection`: no limit unless set.
    pub max_requests_per_connection: Option<u32>,
    /// `headers_with_underscores_action`.
    pub headers_with_underscores: HeadersWithUnderscores,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            idle_timeout: Some(Duration::from_secs(3600)),
            max_connection_duration: None,
            max_stream_duration: None,
            max_headers_count: 100,
            max_requests_per_connection: None,
            headers_with_underscores: HeadersWithUnderscores::Allow,
        }
    }
}

/// What happens to a request with a header name that has an underscore in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadersWithUnderscores {
    /// `ALLOW`: nothing. The default.
    Allow,
    /// `REJECT_REQUEST`: it is answered with 400.
    RejectRequest,
    /// `DROP_HEADER`: it goes on without that header.
    DropHeader,
}

/// How a cluster's hosts are spoken to in HTTP: `extensions.upstreams.http.v3.HttpProtocolOptions`,
/// or the older fields of the cluster; a cluster without either speaks HTTP/1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamHttp {
    /// Which version.
    pub protocol: UpstreamProtocol,
    /// `http_protocol_options` of what says the version.
    pub http1: Http1Options,
    /// `http2_protocol_options` of what says the version.
    pub http2: Http2Options,
    /// `common_http_protocol_options`.
    pub common: HttpOptions,
}

/// Which version of HTTP a cluster's hosts are spoken to in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// `explicit_http_config.http_protocol_options`.
    #[default]
    Http1,
    /// `explicit_http_config.http2_protocol_options`.
    Http2,
    /// `use_downstream_protocol_config`: that of the request, and HTTP/1.1 for one of HTTP/1.0.
    Downstream {
        /// Whether `http2_protocol_options` stands in it: what has no request, such as a tunnel of
        /// `tcp_proxy`, speaks HTTP/2 then, and HTTP/1 otherwise.
        names_http2: bool,
    },
}
