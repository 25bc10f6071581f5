//! The requests, in the order in which they are sent.

/// One request to the admin server.
pub(super) struct Request {
    /// Method and path.
    pub(super) line: &'static str,
    pub(super) body: Body,
}

/// How the bodies of the answers are compared.
#[derive(Clone, Copy)]
pub(super) enum Body {
    /// Byte for byte.
    Equal,
    /// The same lines, in any order.
    Lines,
    /// The same names, types and values.
    Json,
    /// Not at all: a text for people, or of a part that one of the two does not have. The reason.
    Different(#[expect(dead_code, reason = "for whoever reads the list")] &'static str),
}

const fn equal(line: &'static str) -> Request {
    Request { line, body: Body::Equal }
}

const fn lines(line: &'static str) -> Request {
    Request { line, body: Body::Lines }
}

const fn json(line: &'static str) -> Request {
    Request { line, body: Body::Json }
}

const fn different(line: &'static str, reason: &'static str) -> Request {
    Request { line, body: Body::Different(reason) }
}

const REGEX: &str = "the two regular expression engines word their errors differently";
const ALLOCATOR: &str = "there is no tcmalloc here to speak of";
const DEBUG_TEXT: &str = "protobuf's C++ library changes this text on purpose from start to start";

pub(super) const REQUESTS: &[Request] = &[
    // Paths and methods.
    different("GET /", "the home page is laid out differently"),
    lines("GET /help"),
    lines("GET /no/such/page"),
    lines("POST /no/such/page"),
    lines("GET /tap"),
    equal("GET /quitquitquit"),
    equal("PUT /quitquitquit"),
    equal("GET /healthcheck/fail"),
    equal("DELETE /healthcheck/ok"),
    equal("GET /drain_listeners"),
    equal("GET /runtime_modify?a=1"),
    equal("GET /logging"),
    equal("GET /reopen_logs"),
    equal("GET /cpuprofiler?enable=y"),
    equal("GET /heapprofiler?enable=y"),
    equal("GET /allocprofiler?enable=y"),
    equal("POST /ready"),
    // State.
    equal("GET /ready"),
    equal("POST /healthcheck/fail"),
    equal("GET /ready"),
    json("GET /server_info"),
    equal("GET /stats?filter=^server.live$"),
    equal("POST /healthcheck/fail"),
    equal("POST /healthcheck/ok"),
    equal("GET /ready"),
    equal("GET /stats?filter=^server.live$"),
    json("GET /server_info"),
    json("GET /memory"),
    different("GET /memory/tcmalloc", ALLOCATOR),
    json("GET /certs"),
    different("GET /hot_restart_version", "there is no hot restart yet"),
    json("GET /init_dump"),
    json("GET /init_dump?mask=listener"),
    json("GET /init_dump?mask=nonsense"),
    different("GET /contention", "there is no option to name in the answer"),
    equal("POST /cpuprofiler"),
    equal("POST /cpuprofiler?enable=n"),
    equal("POST /cpuprofiler?enable=maybe"),
    equal("POST /heapprofiler"),
    equal("POST /heapprofiler?enable=n"),
    equal("POST /heapprofiler?enable=y"),
    equal("POST /allocprofiler"),
    equal("POST /allocprofiler?enable=maybe"),
    // Listeners and clusters.
    lines("GET /listeners"),
    lines("GET /listeners?format=text"),
    lines("GET /listeners?format=nonsense"),
    json("GET /listeners?format=json"),
    lines("GET /clusters"),
    lines("GET /clusters?format=nonsense"),
    lines("GET /clusters?filter=back"),
    lines("GET /clusters?filter="),
    equal("GET /clusters?filter=nobody"),
    equal("GET /clusters?filter=["),
    json("GET /clusters?format=json"),
    json("GET /clusters?format=json&filter=^none$"),
    json("GET /clusters?format=json&filter=nobody"),
    // The configuration.
    json("GET /config_dump"),
    json("GET /config_dump?include_eds"),
    json("GET /config_dump?name_regex=back.*"),
    json("GET /config_dump?name_regex=back"),
    json("GET /config_dump?name_regex="),
    different("GET /config_dump?name_regex=[", REGEX),
    json("GET /config_dump?mask=bootstrap"),
    json("GET /config_dump?mask=bootstrap.node.id"),
    json("GET /config_dump?mask=bootstrap,bootstrap.node.id"),
    json("GET /config_dump?mask=bootstrap.node.id,bootstrap.admin.address"),
    json("GET /config_dump?mask=bootstrap.static_resources.clusters"),
    json("GET /config_dump?mask=last_updated"),
    json("GET /config_dump?mask=static_clusters"),
    json("GET /config_dump?mask=dynamic_listeners"),
    json("GET /config_dump?mask="),
    json("GET /config_dump?mask=static_endpoint_configs&include_eds"),
    equal("GET /config_dump?mask=foo"),
    equal("GET /config_dump?mask=bootstrap.foo"),
    equal("GET /config_dump?mask=static_clusters.cluster.name"),
    equal("GET /config_dump?mask=bootstrap.static_resources.clusters.name"),
    equal("GET /config_dump?mask=bootstrap.node.id,static_clusters"),
    json("GET /config_dump?resource=static_clusters"),
    json("GET /config_dump?resource=static_listeners"),
    json("GET /config_dump?resource=static_listeners&name_regex=relay"),
    json("GET /config_dump?resource=static_secrets"),
    json("GET /config_dump?resource=dynamic_active_clusters"),
    json("GET /config_dump?resource=static_clusters&name_regex=nobody"),
    json("GET /config_dump?resource=static_clusters&mask=cluster.name"),
    json("GET /config_dump?resource=static_clusters&mask=last_updated,cluster.type"),
    json("GET /config_dump?resource=static_clusters&mask=cluster.load_assignment"),
    json("GET /config_dump?resource=static_clusters&mask=last_updated"),
    json("GET /config_dump?resource=static_endpoint_configs&include_eds"),
    json("GET /config_dump?resource=static_endpoint_configs&include_eds&name_regex=none"),
    equal("GET /config_dump?resource=static_endpoint_configs"),
    json("GET /config_dump?resource=static_route_configs"),
    json("GET /config_dump?resource=static_route_configs&name_regex=local"),
    json("GET /config_dump?resource=static_route_configs&name_regex=loc"),
    json("GET /config_dump?resource=static_route_configs&mask=route_config.name"),
    json("GET /config_dump?resource=dynamic_route_configs"),
    json("GET /config_dump?resource=inline_scoped_route_configs"),
    json("GET /config_dump?resource=dynamic_scoped_route_configs"),
    json("GET /config_dump?mask=static_route_configs"),
    equal("GET /config_dump?resource=foo"),
    equal("GET /config_dump?resource=bootstrap"),
    equal("GET /config_dump?resource=version_info"),
    different("GET /config_dump?resource=static_clusters&mask=foo", DEBUG_TEXT),
    different("GET /config_dump?resource=static_clusters&mask=cluster", DEBUG_TEXT),
    different("GET /config_dump?resource=static_clusters&mask=cluster.foo", DEBUG_TEXT),
    // The runtime.
    json("GET /runtime"),
    json("GET /runtime?format=json"),
    equal("POST /runtime_modify?yes=false&new=7&words=other%20words"),
    json("GET /runtime"),
    equal("GET /stats?filter=^runtime.(admin|num)_"),
    equal("POST /runtime_modify?yes=&new=&never="),
    json("GET /runtime"),
    equal("GET /stats?filter=^runtime.(admin|num)_"),
    equal("POST /runtime_modify"),
    equal("POST /runtime_modify?alone"),
    // The log.
    lines("POST /logging"),
    lines("POST /logging?level=error"),
    lines("POST /logging?level=loud"),
    lines("POST /logging?level="),
    lines("POST /logging?level=info&paths=admin:info"),
    lines("POST /logging?admin=critical"),
    lines("POST /logging?admin=loud"),
    lines("POST /logging?nobody=error"),
    lines("POST /logging?paths=admin:error,config:critical"),
    lines("POST /logging?paths=admin:critical,nobody:error"),
    lines("POST /logging?paths=admin"),
    lines("POST /logging?group=admin:error"),
    lines("POST /logging?level=warning"),
    equal("POST /reopen_logs"),
];
