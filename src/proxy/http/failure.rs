//! What a client gets when it cannot get what it asked for: the one table of local replies.
//!
//! Statuses, bodies, flags and details are Envoy 1.40's, each found by provoking it there.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/response_code_details>

use observe::ResponseFlag;
use proto::http1;

use super::grpc;

macro_rules! reset_before_headers {
    () => {
        "upstream connect error or disconnect/reset before headers. reset reason: "
    };
}
macro_rules! reset_details {
    ($started:expr, $reason:literal) => {
        if $started {
            concat!("upstream_reset_after_response_started{", $reason, "}")
        } else {
            concat!("upstream_reset_before_response_started{", $reason, "}")
        }
    };
}

/// Why an exchange was answered by the proxy itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The client broke the protocol, in a way that it can be told.
    Codec(http1::ErrorKind),
    /// A request of HTTP/1.1 without `host`.
    MissingHost,
    /// The target is neither a path nor something that a route could match.
    NotAPath,
    /// The path has a fragment.
    Fragment,
    /// An upgrade that no route allows.
    Upgrade,
    /// No route matches.
    NoRoute,
    /// The route names a cluster that does not exist.
    NoCluster,
    /// The cluster has no host that may be used.
    NoHealthyHost,
    /// A circuit breaker of the cluster is at its limit.
    Overflow,
    /// The connect failed.
    ConnectFailed,
    /// The connect took too long.
    ConnectTimeout,
    /// The upstream ended the connection before it answered.
    UpstreamClosed,
    /// The upstream broke its protocol before it answered.
    UpstreamProtocol,
    /// The upstream has reset the stream before it answered.
    UpstreamRemoteReset,
    /// The same, and says that it did nothing with the request.
    UpstreamRefusedStream,
    /// The same of a tunnel, which it could not connect.
    UpstreamConnectError,
    /// The route's timeout passed before the upstream answered.
    ResponseTimeout,
    /// Nothing moved for `stream_idle_timeout`.
    StreamIdleTimeout,
    /// The request took longer than `request_timeout` to arrive.
    RequestTimeout,
    /// The head took longer than `request_headers_timeout` to arrive.
    HeaderTimeout,
    /// The exchange took longer than `max_stream_duration`.
    MaxDuration,
    /// The upstream's part of it took longer than `max_stream_duration` of the cluster.
    UpstreamMaxDuration,
}

impl Failure {
    /// The status of the reply. A timeout is the client's fault as long as its request is not
    /// complete, and the gateway's after that.
    pub(crate) fn status(self, request_complete: bool) -> u16 {
        match self {
            Self::Codec(kind) => kind.status(),
            Self::MissingHost | Self::Fragment => 400,
            Self::Upgrade => 403,
            Self::NotAPath | Self::NoRoute => 404,
            Self::UpstreamProtocol => 502,
            Self::NoCluster
            | Self::NoHealthyHost
            | Self::Overflow
            | Self::ConnectFailed
            | Self::ConnectTimeout
            | Self::UpstreamClosed
            | Self::UpstreamRemoteReset
            | Self::UpstreamRefusedStream
            | Self::UpstreamConnectError => 503,
            Self::ResponseTimeout => 504,
            Self::StreamIdleTimeout
            | Self::RequestTimeout
            | Self::HeaderTimeout
            | Self::MaxDuration
            | Self::UpstreamMaxDuration => {
                if request_complete {
                    504
                } else {
                    408
                }
            }
        }
    }

    /// The body of the reply: plain text, or nothing.
    pub(crate) fn body(self) -> &'static str {
        match self {
            Self::Codec(kind) => http1::reason_phrase(kind.status()),
            Self::MissingHost
            | Self::Fragment
            | Self::Upgrade
            | Self::NotAPath
            | Self::NoRoute
            | Self::NoCluster => "",
            Self::NoHealthyHost => "no healthy upstream",
            Self::Overflow => concat!(reset_before_headers!(), "overflow"),
            Self::ConnectFailed => concat!(reset_before_headers!(), "remote connection failure"),
            Self::ConnectTimeout => concat!(reset_before_headers!(), "connection timeout"),
            Self::UpstreamClosed => concat!(reset_before_headers!(), "connection termination"),
            Self::UpstreamProtocol => concat!(reset_before_headers!(), "protocol error"),
            Self::UpstreamRemoteReset => concat!(reset_before_headers!(), "remote reset"),
            Self::UpstreamRefusedStream => {
                concat!(reset_before_headers!(), "remote refused stream reset")
            }
            Self::UpstreamConnectError => {
                concat!(reset_before_headers!(), "remote error with CONNECT request")
            }
            Self::ResponseTimeout => "upstream request timeout",
            Self::StreamIdleTimeout => "stream timeout",
            Self::RequestTimeout => "request timeout",
            Self::HeaderTimeout => "request header timeout",
            Self::MaxDuration => "downstream duration timeout",
            Self::UpstreamMaxDuration => "upstream max stream duration reached",
        }
    }

    /// The response flag of the access log, if it has one.
    pub(crate) fn flag(self) -> Option<ResponseFlag> {
        Some(match self {
            Self::MissingHost
            | Self::Fragment
            | Self::Upgrade
            | Self::NotAPath
            | Self::RequestTimeout
            | Self::HeaderTimeout
            | Self::MaxDuration => {
                return None;
            }
            Self::Codec(_) => ResponseFlag::DownstreamProtocolError,
            Self::NoRoute => ResponseFlag::NoRouteFound,
            Self::NoCluster => ResponseFlag::NoClusterFound,
            Self::NoHealthyHost => ResponseFlag::NoHealthyUpstream,
            Self::Overflow => ResponseFlag::UpstreamOverflow,
            Self::ConnectFailed | Self::ConnectTimeout => ResponseFlag::UpstreamConnectionFailure,
            Self::UpstreamClosed => ResponseFlag::UpstreamConnectionTermination,
            Self::UpstreamProtocol => ResponseFlag::UpstreamProtocolError,
            Self::UpstreamRemoteReset
            | Self::UpstreamRefusedStream
            | Self::UpstreamConnectError => ResponseFlag::UpstreamRemoteReset,
            Self::ResponseTimeout => ResponseFlag::UpstreamRequestTimeout,
            Self::StreamIdleTimeout => ResponseFlag::StreamIdleTimeout,
            Self::UpstreamMaxDuration => ResponseFlag::UpstreamMaxStreamDurationReached,
        })
    }

    /// `%RESPONSE_CODE_DETAILS%`. `response_started` says that an upstream has begun to respond.
    pub(crate) fn details(self, response_started: bool) -> &'static str {
        match self {
            Self::Codec(kind) => kind.details(),
            Self::MissingHost => "missing_host_header",
            Self::Fragment => "path_normalization_failed",
            Self::Upgrade => "upgrade_failed",
            Self::NotAPath => "absolute_path_rejected",
            Self::NoRoute => "route_not_found",
            Self::NoCluster => "cluster_not_found",
            Self::NoHealthyHost => "no_healthy_upstream",
            Self::Overflow => reset_details!(response_started, "overflow"),
            Self::ConnectFailed => reset_details!(response_started, "remote_connection_failure"),
            Self::ConnectTimeout => reset_details!(response_started, "connection_timeout"),
            Self::UpstreamClosed => reset_details!(response_started, "connection_termination"),
            Self::UpstreamProtocol => reset_details!(response_started, "protocol_error"),
            Self::UpstreamRemoteReset => reset_details!(response_started, "remote_reset"),
            Self::UpstreamRefusedStream => {
                reset_details!(response_started, "remote_refused_stream_reset")
            }
            Self::UpstreamConnectError => {
                reset_details!(response_started, "remote_error_with_CONNECT_request")
            }
            Self::ResponseTimeout => "response_timeout",
            Self::StreamIdleTimeout => "stream_idle_timeout",
            Self::RequestTimeout => "request_overall_timeout",
            Self::HeaderTimeout => "request_header_timeout",
            Self::MaxDuration => "max_duration_timeout",
            Self::UpstreamMaxDuration => "upstream_max_stream_duration_reached",
        }
    }

    /// What a gRPC client is told, where that is not what the status says.
    pub(crate) fn grpc_status(self) -> Option<u8> {
        (self == Self::MaxDuration).then_some(grpc::DEADLINE_EXCEEDED)
    }

    /// Whether the cluster's stats count it as the upstream's answer.
    pub(crate) fn is_of_upstream(self) -> bool {
        matches!(
            self,
            Self::NoHealthyHost
                | Self::Overflow
                | Self::ConnectFailed
                | Self::ConnectTimeout
                | Self::UpstreamClosed
                | Self::UpstreamProtocol
                | Self::UpstreamRemoteReset
                | Self::UpstreamRefusedStream
                | Self::UpstreamConnectError
                | Self::ResponseTimeout
        )
    }

    /// Whether there is no connection to the upstream, or none any more.
    pub(crate) fn is_of_connection(self) -> bool {
        matches!(self, Self::ConnectFailed | Self::ConnectTimeout | Self::UpstreamClosed)
    }

    /// Whether the client learns that the cluster is overloaded (`x-envoy-overloaded: true`).
    pub(crate) fn is_overload(self) -> bool {
        self == Self::Overflow
    }

    /// Whether the connection cannot go on after the reply.
    pub(crate) fn closes(self) -> bool {
        matches!(self, Self::Codec(_) | Self::MissingHost | Self::Fragment)
    }
}
