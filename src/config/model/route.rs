//! Which request goes where: virtual hosts, routes and what they do.

use std::time::Duration;

use super::{ConnectConfig, Upgrade};

/// Envoy's `config.route.v3.RouteConfiguration`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteConfiguration {
    /// `name`; empty when the file gives none.
    pub name: String,
    /// `virtual_hosts`, in file order. No two have a domain in common.
    pub virtual_hosts: Vec<VirtualHost>,
}

/// Envoy's `config.route.v3.VirtualHost`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualHost {
    /// `name`, unique in its route configuration.
    pub name: String,
    /// `domains`, at least one.
    pub domains: Vec<Domain>,
    /// `routes`: the first one that matches counts.
    pub routes: Vec<Route>,
}

/// What a virtual host's name in `host` may be, in lower case. Envoy asks for an exact domain
/// first, then for the longest suffix, then for the longest prefix, then for any.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Domain {
    /// `www.example.com`, `www.example.com:8080`.
    Exact(String),
    /// `*.example.com` or `*-bar.example.com`, held without the star; at least one character
    /// stands in its place.
    Suffix(String),
    /// `example.*` or `example-*`, held without the star; at least one character stands in its
    /// place.
    Prefix(String),
    /// `*`.
    Any,
}

/// Envoy's `config.route.v3.Route`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `name`, for access logs; empty when the file gives none.
    pub name: String,
    /// `match`.
    pub path: PathMatch,
    /// `route`, `redirect` or `direct_response`.
    pub action: RouteAction,
}

/// What the path of a request, without its query, must be. A CONNECT has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathMatch {
    /// `prefix`, byte for byte.
    Prefix(String),
    /// `path`, byte for byte.
    Exact(String),
    /// `connect_matcher`: any path, or none, of a CONNECT; nothing of another method.
    Connect,
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteAction {
    /// `route`.
    Forward(ForwardAction),
    /// `redirect`.
    Redirect(RedirectAction),
    /// `direct_response`.
    DirectResponse(DirectResponse),
}

/// Envoy's `config.route.v3.RouteAction` with one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardAction {
    /// `cluster`: one of the bootstrap's.
    pub cluster: String,
    /// `timeout`: from the end of the request to the end of the response; 15 seconds unless set,
    /// `None` when the file switches it off with `0s`.
    pub timeout: Option<Duration>,
    /// `max_grpc_timeout` and `grpc_timeout_offset`: calls of gRPC have this instead of `timeout`.
    pub max_grpc_timeout: Option<GrpcTimeout>,
    /// `max_stream_duration`: where it is set, neither `timeout` nor `max_grpc_timeout` counts.
    pub max_stream_duration: Option<StreamDuration>,
    /// `idle_timeout`, instead of the connection manager's `stream_idle_timeout`; zero for none.
    pub idle_timeout: Option<Duration>,
    /// `upgrade_configs`: no two are of one kind, in whatever case.
    pub upgrades: Vec<Upgrade>,
    /// `connect_config` of the one for CONNECT.
    pub connect: Option<ConnectConfig>,
}

/// What becomes of the `grpc-timeout` of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrpcTimeout {
    /// The longest; zero for any.
    pub max: Duration,
    /// Taken off it, so that the proxy gives up before the client does.
    pub offset: Duration,
}

/// Envoy's `config.route.v3.RouteAction.MaxStreamDuration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamDuration {
    /// `max_stream_duration`: of a request with its response. Zero for any; `None` for that of the
    /// connection manager.
    pub max_stream_duration: Option<Duration>,
    /// `grpc_timeout_header_max` and `grpc_timeout_header_offset`: calls that say how long they may
    /// take have this instead.
    pub grpc_timeout_header: Option<GrpcTimeout>,
}

/// Envoy's `config.route.v3.RedirectAction`. What is not set stays as in the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectAction {
    /// `https_redirect` or `scheme_redirect`.
    pub scheme: RedirectScheme,
    /// `host_redirect`.
    pub host: Option<String>,
    /// `port_redirect`.
    pub port: Option<u16>,
    /// `path_redirect` or `prefix_rewrite`.
    pub path: RedirectPath,
    /// `response_code`: 301 unless set.
    pub status: u16,
    /// `strip_query`.
    pub strip_query: bool,
}

/// The scheme of a redirect's location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedirectScheme {
    /// As in the request.
    Keep,
    /// `https_redirect`: https; a port of the other scheme's default goes.
    Https,
    /// `scheme_redirect`.
    Set(String),
}

/// The path of a redirect's location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedirectPath {
    /// As in the request.
    Keep,
    /// `path_redirect`: this path; its own query, if it has one, replaces the request's.
    Set(String),
    /// `prefix_rewrite`: this instead of what the route's match has matched.
    Prefix(String),
}

/// Envoy's `config.route.v3.DirectResponseAction`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectResponse {
    /// `status`, 200 to 599.
    pub status: u16,
    /// `body`, empty when there is none; at most `max_direct_response_body_size_bytes` (4096
    /// unless set) long.
    pub body: Vec<u8>,
}
