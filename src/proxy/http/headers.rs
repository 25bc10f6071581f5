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

use super::connection::HttpConnection;
use super::failure::Failure;
use super::manager::HttpManager;
use super::request_id::uuid;

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

/// `http` or `https`, as the client said or as it came.
pub(super) fn scheme(request: &RequestHead) -> &'static str {
    request.scheme.map_or("http", Scheme::as_str)
}

/// Headers that only a trusted client may set.
const INTERNAL: [KnownName; 14] = [
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
];

/// Headers that a client at the edge may not set either.
const EDGE: [KnownName; 5] = [
    KnownName::XEnvoyDecoratorOperation,
    KnownName::XEnvoyDownstreamServiceCluster,
    KnownName::XEnvoyDownstreamServiceNode,
    KnownName::XEnvoyOriginalPath,
    KnownName::XEnvoyOriginalHost,
];

/// What the connection manager does to a request before it is routed.
pub(super) fn prepare_request(
    request: &mut RequestHead,
    manager: &HttpManager,
    connection: &HttpConnection,
) {
    let config = &manager.prepared.config;
    let scheme = scheme(request);
    let headers = &mut request.headers;
    let at_edge = config.use_remote_address;
    if at_edge {
        if config.xff_num_trusted_hops == 0 {
            headers.set(KnownName::XForwardedProto, b"http");
        }
        let peer = connection.peer().and_then(Address::ip);
        if let (Some(peer), false) = (peer, config.skip_xff_append) {
            append_address(headers, peer.ip());
        }
    }
    if !headers.contains(KnownName::XForwardedProto) {
        headers.append_known(KnownName::XForwardedProto, scheme.as_bytes());
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
    if at_edge && let Some(client) = client_address(headers, connection.peer(), config) {
        headers.set(KnownName::XEnvoyExternalAddress, client.to_string().as_bytes());
    }
    if config.generate_request_id {
        let keeps = !at_edge || config.preserve_external_request_id;
        if !keeps || !headers.contains(KnownName::XRequestId) {
            let id = uuid(manager.random.borrow_mut().u128(..));
            headers.set(KnownName::XRequestId, &id);
        }
    }
    if !config.via.is_empty() {
        append_via(headers, &config.via);
    }
}

fn append_address(headers: &mut proto::HeaderList, address: IpAddr) {
    let address = address.to_string();
    match headers.get(KnownName::XForwardedFor) {
        Some(before) => {
            let joined = [before, b",", address.as_bytes()].concat();
            headers.set(KnownName::XForwardedFor, &joined);
        }
        None => headers.append_known(KnownName::XForwardedFor, address.as_bytes()),
    }
}

/// Who the client is: the peer, or whom the trusted proxies in front name.
fn client_address(
    headers: &proto::HeaderList,
    peer: Option<&Address>,
    config: &config::model::HttpConnectionManager,
) -> Option<IpAddr> {
    let hops = usize::try_from(config.xff_num_trusted_hops).unwrap_or(usize::MAX);
    if hops == 0 {
        return peer.and_then(Address::ip).map(|peer| peer.ip());
    }
    let value = std::str::from_utf8(headers.get(KnownName::XForwardedFor)?).ok()?;
    // The peer itself was appended last, unless that is switched off.
    let skipped = if config.skip_xff_append { hops - 1 } else { hops };
    value.rsplit(',').nth(skipped)?.trim().parse().ok()
}

fn append_via(headers: &mut proto::HeaderList, via: &str) {
    match headers.get(KnownName::Via) {
        Some(before) => {
            let joined = [before, b", ", via.as_bytes()].concat();
            headers.set(KnownName::Via, &joined);
        }
        None => headers.append_known(KnownName::Via, via.as_bytes()),
    }
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
    if config.always_set_request_id_in_response
        && let Some(id) = request.headers.get(KnownName::XRequestId)
    {
        headers.set(KnownName::XRequestId, id);
    }
    if !config.via.is_empty() {
        append_via(headers, &config.via);
    }
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
    if closes {
        headers.set(KnownName::Connection, b"close");
    } else if request.version == Version::Http10 {
        // In HTTP/1.0 a connection ends unless both sides say otherwise.
        headers.set(KnownName::Connection, b"keep-alive");
    }
}
