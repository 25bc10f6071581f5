//! What may be tolerated, and how much.

/// For decoding requests: Envoy's `Http1ProtocolOptions` and the limits of its connection manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestOptions {
    /// Bytes of a head from the first of the method to the empty line, line ends included.
    /// Envoy: `max_request_headers_kb`, 60 KiB. Trailers have the same limit.
    pub head_bytes_max: usize,
    /// Field lines of a head, `host` included. Envoy: `max_headers_count`, 100. Trailers have the
    /// same limit.
    pub headers_max: usize,
    /// What happens to a field whose name contains an underscore.
    /// Envoy: `headers_with_underscores_action`, `ALLOW`.
    pub underscores: UnderscoreAction,
    /// Whether a target in absolute form is split into scheme, authority and path. Where not, it
    /// stays in the path as it is, and no route will match it. Envoy: `allow_absolute_url`, true.
    pub allow_absolute_url: bool,
    /// Whether a target in absolute form may say `https`. Envoy refuses that with 403 on a
    /// connection without TLS where it is the edge (`use_remote_address`).
    pub allow_https: bool,
    /// Whether HTTP/1.0 is served instead of refused with 426. Envoy: `accept_http_10`, false.
    pub accept_http_10: bool,
    /// Whether methods that Envoy does not know are accepted, as long as they are a token.
    /// Envoy: `allow_custom_methods`, false.
    pub allow_custom_methods: bool,
    /// Whether trailers become an event instead of being checked and dropped.
    /// Envoy: `enable_trailers`, false.
    pub enable_trailers: bool,
    /// Whether `content-length` is dropped where the body is chunked, instead of the message being
    /// refused. Envoy: `allow_chunked_length`, false.
    pub allow_chunked_length: bool,
    /// What happens to a line that ends without a carriage return.
    pub bare_line_feeds: BareLineFeeds,
}

impl Default for RequestOptions {
    fn default() -> Self {
        Self {
            head_bytes_max: 60 * 1024,
            headers_max: 100,
            underscores: UnderscoreAction::Allow,
            allow_absolute_url: true,
            allow_https: true,
            accept_http_10: false,
            allow_custom_methods: false,
            enable_trailers: false,
            allow_chunked_length: false,
            bare_line_feeds: BareLineFeeds::Refuse,
        }
    }
}

/// For decoding responses: the same of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseOptions {
    /// Bytes of a head, as in [`RequestOptions::head_bytes_max`].
    /// Envoy: `max_response_headers_kb`, 80 KiB.
    pub head_bytes_max: usize,
    /// Field lines of a head. Envoy: `max_headers_count`, 100.
    pub headers_max: usize,
    /// As in [`RequestOptions::enable_trailers`].
    pub enable_trailers: bool,
    /// As in [`RequestOptions::allow_chunked_length`].
    pub allow_chunked_length: bool,
    /// What happens to a line that ends without a carriage return.
    pub bare_line_feeds: BareLineFeeds,
}

impl Default for ResponseOptions {
    fn default() -> Self {
        Self {
            head_bytes_max: 80 * 1024,
            headers_max: 100,
            enable_trailers: false,
            allow_chunked_length: false,
            bare_line_feeds: BareLineFeeds::Refuse,
        }
    }
}

/// What happens to a request field whose name contains an underscore. (CGI and its descendants map
/// both `-` and `_` to `_`, so such a name can pose as another.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnderscoreAction {
    /// It is a field like others.
    #[default]
    Allow,
    /// The request is refused with 400.
    Reject,
    /// The field is dropped and counted.
    Drop,
}

/// What happens to a line of a head or trailer that ends with a line feed alone. RFC 9112 section
/// 2.2 allows to accept it; two recipients that differ here split a stream at different places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BareLineFeeds {
    /// The message is refused.
    #[default]
    Refuse,
    /// It ends the line, as in Envoy 1.40. The lines of the chunked coding stay strict.
    Accept,
}
