//! What the connection manager and the router do to the heads of messages, in Envoy's order.
//!
//! Fields that belong to one connection alone (`connection`, `te`, ...) are the codec's business
//! and are gone already.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers>

use std::net::IpAddr;
use std::time::Duration;

use base::Address;
use config::model::ServerHeader;
use proto::{KnownName, Method, RequestHead, ResponseHead, Scheme, Version};

use super::client::{AddressText, forwarded, is_loopback};
use super::connection::HttpConnection;
use super::failure::Failure;
use super::manager::HttpManager;
use super::referer;

/// Whether the client waits for leave to send its body. Takes the field away: it has been heard.
pub(super) fn take_expect_continue(request: &mut RequestHead) -> bool {
    let expects = request
        .headers
        .get(KnownName::Expect)
        .is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"));
    expects && request.headers.remove(KnownName::Expect)
}

/// Gives a request of HTTP/1.0 that names no host the configured one.
pub(super) fn supply_host(request: &mut RequestHead, manager: &HttpManager) {
    if request.version == Version::Http10
        && request.authority().is_none()
        && let Some(host) = &manager.prepared.config.http1.default_host_for_http_10
    {
        request.set_authority(host.as_bytes());
    }
}

/// Why a request is refused before it is routed.
pub(super) fn refuse(request: &RequestHead) -> Option<Failure> {
    if request.authority().is_none() {
        return Some(Failure::MissingHost);
    }
    let is_path = request.path().first() == Some(&b'/');
    if !is_path && request.method() != Method::Connect {
        return Some(Failure::NotAPath);
    }
    request.path().contains(&b'#').then_some(Failure::Fragment)
}

/// How every connection comes, as long as there is no TLS.
const SCHEME: &str = "http";

/// `http` or `https`, as the client or a trusted proxy said or as it came.
pub(super) fn scheme(request: &RequestHead) -> &'static str {
    request.scheme.map_or(SCHEME, Scheme::as_str)
}

/// Headers that only a trusted client may set.
const INTERNAL: [KnownName; 15] = [
    KnownName::XEnvoyRetriableStatusCodes,
    KnownName::XEnvoyRetriableHeaderNames,
    KnownName::XEnvoyRetryOn,
    KnownName::XEnvoyRetryGrpcOn,
    KnownName::XEnvoyMaxRetries,
    KnownName::XEnvoyUpstreamAltStatName,
    KnownName::XEnvoyUpstreamRqTimeoutMs,
    KnownName::XEnvoyUpstreamRqPerTryTimeoutMs,
    KnownName::XEnvoyUpstreamRqTimeoutAltResponse,
    KnownName::XEnvoyExpectedRqTimeoutMs,
    KnownName::XEnvoyForceTrace,
    KnownName::XEnvoyIpTags,
    KnownName::XEnvoyOriginalUrl,
    KnownName::XEnvoyHedgeOnPerTryTimeout,
    KnownName::XEnvoyUpstreamStreamDurationMs,
];

/// Headers that a client at the edge may not set either.
const EDGE: [KnownName; 5] = [
    KnownName::XEnvoyDecoratorOperation,
    KnownName::XEnvoyDownstreamServiceCluster,
    KnownName::XEnvoyDownstreamServiceNode,
    KnownName::XEnvoyOriginalPath,
    KnownName::XEnvoyOriginalHost,
];

/// What the connection manager does to a request before it is routed. Returns who the client is
/// if that is not the peer.
pub(super) fn prepare_request(
    request: &mut RequestHead,
    manager: &HttpManager,
    connection: &HttpConnection,
) -> Option<IpAddr> {
    let config = &manager.prepared.config;
    let headers = &mut request.headers;
    headers.remove(KnownName::XEnvoyInternal);
    if headers.get(KnownName::Referer).is_some_and(|value| !referer::is_valid(value)) {
        headers.remove(KnownName::Referer);
    }
    let at_edge = config.use_remote_address;
    let peer = connection.peer().filter(|_| at_edge).and_then(Address::ip);
    let peer = peer.map(|peer| peer.ip());
    // Whom the trusted proxies in front name; at the edge the last of them is the peer itself.
    let named = match config.xff_num_trusted_hops.checked_sub(u32::from(at_edge)) {
        Some(hops) => headers.get(KnownName::XForwardedFor).and_then(|all| forwarded(all, hops)),
        None => None,
    };
    if at_edge {
        if let (Some(peer), false) = (peer, config.skip_xff_append) {
            // A client on this host would tell nobody who it is.
            let address = if is_loopback(peer) { manager.local_address } else { peer };
            headers.extend(KnownName::XForwardedFor, b",", AddressText::new(address).bytes());
        }
        if config.xff_num_trusted_hops == 0 {
            headers.set(KnownName::XForwardedProto, SCHEME.as_bytes());
        }
    }
    if !headers.contains(KnownName::XForwardedProto) {
        headers.append_known(KnownName::XForwardedProto, SCHEME.as_bytes());
    }
    if request.scheme.is_none() {
        let forwarded = headers.get(KnownName::XForwardedProto).unwrap_or_default();
        let is_https = forwarded.eq_ignore_ascii_case(Scheme::Https.as_str().as_bytes());
        request.scheme = Some(if is_https { Scheme::Https } else { Scheme::Http });
    }
    // No address counts as internal unless it is configured to, so every client is external.
    if at_edge {
        for name in EDGE {
            headers.remove(name);
        }
    }
    for name in INTERNAL {
        headers.remove(name);
    }
    if !config.via.is_empty() {
        headers.extend(KnownName::Via, b", ", config.via.as_bytes());
    }
    if at_edge && let Some(client) = named.or(peer) {
        headers.set(KnownName::XEnvoyExternalAddress, AddressText::new(client).bytes());
    }
    if config.generate_request_id {
        let keeps = !at_edge || config.preserve_external_request_id;
        if !keeps || !headers.contains(KnownName::XRequestId) {
            headers.set(KnownName::XRequestId, manager.random.uuid().as_bytes());
        }
    }
    // It speaks of the client's certificate, and there is none without TLS.
    headers.remove(KnownName::XForwardedClientCert);
    named
}

/// What the router adds to a request before it goes upstream.
pub(super) fn prepare_forwarding(request: &mut RequestHead, timeout: Option<Duration>) {
    if let Some(timeout) = timeout {
        let ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        request.headers.set_number(KnownName::XEnvoyExpectedRqTimeoutMs, ms);
    }
}

/// What the router adds to the response of an upstream.
pub(super) fn prepare_upstream_response(response: &mut ResponseHead, service_time: Duration) {
    let ms = u64::try_from(service_time.as_millis()).unwrap_or(u64::MAX);
    response.headers.set_number(KnownName::XEnvoyUpstreamServiceTime, ms);
}

/// What the connection manager adds to every response.
pub(super) fn prepare_response(
    response: &mut ResponseHead,
    request: &RequestHead,
    manager: &HttpManager,
    closes: bool,
) {
    let config = &manager.prepared.config;
    let headers = &mut response.headers;
    if !headers.contains(KnownName::Date) {
        let now = manager.reactor.wall_now();
        manager.date.with(now, |date| headers.append_known(KnownName::Date, date));
    }
    match config.server_header {
        ServerHeader::Overwrite => headers.set(KnownName::Server, config.server_name.as_bytes()),
        ServerHeader::AppendIfAbsent if !headers.contains(KnownName::Server) => {
            headers.append_known(KnownName::Server, config.server_name.as_bytes());
        }
        ServerHeader::AppendIfAbsent | ServerHeader::PassThrough => {}
    }
    if config.always_set_request_id_in_response
        && let Some(id) = request.headers.get(KnownName::XRequestId)
    {
        headers.set(KnownName::XRequestId, id);
    }
    if !config.via.is_empty() {
        headers.extend(KnownName::Via, b", ", config.via.as_bytes());
    }
    if closes {
        headers.set(KnownName::Connection, b"close");
    } else if request.version == Version::Http10 {
        // In HTTP/1.0 a connection ends unless both sides say otherwise.
        headers.set(KnownName::Connection, b"keep-alive");
    }
}
