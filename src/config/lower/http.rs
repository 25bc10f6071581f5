//! The HTTP connection manager of a listener, and the options that all versions of HTTP share.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;

use super::Lower;
use crate::document::clipped;
use crate::model;
use crate::typed::envoy::config::core::v3 as core;
use crate::typed::envoy::extensions::filters::http::router::v3::Router;
use crate::typed::envoy::extensions::filters::network::http_connection_manager::v3 as pb;
use core::http_protocol_options::HeadersWithUnderscoresAction;
use pb::http_connection_manager::{CodecType, RouteSpecifier, ServerHeaderTransformation};

/// The HTTP filter that ends a chain.
const ROUTER: &str = "envoy.extensions.filters.http.router.v3.Router";

/// Envoy's default of `stream_idle_timeout`.
const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// Envoy's default of `drain_timeout`.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Envoy's default of `delayed_close_timeout`.
const DELAYED_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Envoy's default of `max_request_headers_kb`.
const MAX_REQUEST_HEADERS_KB: u32 = 60;

/// Envoy's default of `server_name`.
const SERVER_NAME: &str = "envoy";

impl Lower<'_> {
    /// None when it was reported, here or before.
    pub(super) fn http_connection_manager(
        &mut self,
        message: &pb::HttpConnectionManager,
        path: &str,
    ) -> Option<model::HttpConnectionManager> {
        let codec = match message.codec_type() {
            CodecType::Auto => Some(model::HttpCodec::Auto),
            CodecType::Http1 => Some(model::HttpCodec::Http1),
            CodecType::Http2 => Some(model::HttpCodec::Http2),
            CodecType::Http3 => None,
        };
        let route_config = message.route_specifier.as_ref();
        let route_config = route_config.map(|RouteSpecifier::RouteConfig(routes)| {
            self.route_configuration(routes, &format!("{path}.route_config"))
        });
        let common_path = format!("{path}.common_http_protocol_options");
        let common = message.common_http_protocol_options.as_ref();
        if common.is_some_and(|common| common.max_response_headers_kb.is_some()) {
            let path = format!("{common_path}.max_response_headers_kb");
            let text = "max_response_headers_kb cannot be set on http_connection_manager";
            self.invalid(&path, text, None);
        }
        let common = self.http_options(common, &common_path);
        let http2 = self.http2_options(
            message.http2_protocol_options.as_ref(),
            message.stream_error_on_invalid_http_message,
            &format!("{path}.http2_protocol_options"),
        );
        let timeout = |lower: &mut Self, field: &str, duration: &Option<_>, default| {
            let timeout = match duration {
                None => default,
                Some(duration) => lower.milliseconds(duration, &format!("{path}.{field}")),
            };
            Some(timeout).filter(|timeout| !timeout.is_zero())
        };
        let stream_idle_timeout =
            timeout(self, "stream_idle_timeout", &message.stream_idle_timeout, STREAM_IDLE_TIMEOUT);
        let request_timeout =
            timeout(self, "request_timeout", &message.request_timeout, Duration::ZERO);
        let request_headers_timeout = timeout(
            self,
            "request_headers_timeout",
            &message.request_headers_timeout,
            Duration::ZERO,
        );
        let drain_timeout = timeout(self, "drain_timeout", &message.drain_timeout, DRAIN_TIMEOUT);
        let delayed_close_timeout = timeout(
            self,
            "delayed_close_timeout",
            &message.delayed_close_timeout,
            DELAYED_CLOSE_TIMEOUT,
        );
        let access_log = self.access_logs(&message.access_log, &format!("{path}.access_log"));
        let upgrades = self.manager_upgrades(
            &message.upgrade_configs,
            &message.http_filters,
            &format!("{path}.upgrade_configs"),
        );
        let router = self.http_filters(&message.http_filters, &format!("{path}.http_filters"));
        let server_name = match message.server_name.as_str() {
            "" => SERVER_NAME,
            name => name,
        };
        Some(model::HttpConnectionManager {
            stat_prefix: message.stat_prefix.clone(),
            codec: codec?,
            route_config: Arc::new(route_config?),
            http1: http1_options(message.http_protocol_options.as_ref()),
            http2,
            common,
            max_request_headers_kb: message
                .max_request_headers_kb
                .unwrap_or(MAX_REQUEST_HEADERS_KB),
            stream_idle_timeout,
            request_timeout,
            request_headers_timeout,
            drain_timeout: drain_timeout.unwrap_or(Duration::ZERO),
            delayed_close_timeout,
            server_name: server_name.to_owned(),
            server_header: match message.server_header_transformation() {
                ServerHeaderTransformation::Overwrite => model::ServerHeader::Overwrite,
                ServerHeaderTransformation::AppendIfAbsent => model::ServerHeader::AppendIfAbsent,
                ServerHeaderTransformation::PassThrough => model::ServerHeader::PassThrough,
            },
            generate_request_id: message.generate_request_id.unwrap_or(true),
            preserve_external_request_id: message.preserve_external_request_id,
            always_set_request_id_in_response: message.always_set_request_id_in_response,
            use_remote_address: message.use_remote_address.unwrap_or(false),
            xff_num_trusted_hops: message.xff_num_trusted_hops,
            skip_xff_append: message.skip_xff_append,
            via: message.via.clone(),
            suppress_envoy_headers: router.suppress_envoy_headers,
            upgrades,
            access_log,
        })
    }

    /// The router is the only one so far, and ends the chain. Answers its options.
    fn http_filters(&mut self, filters: &[pb::HttpFilter], path: &str) -> Router {
        use pb::http_filter::ConfigType;

        let Some((last, before)) = filters.split_last() else {
            let hint = "Envoy accepts such a chain and answers no request; add the router";
            self.not_yet(path, "an HTTP filter chain without filters", Some(hint));
            return Router::default();
        };
        for (index, filter) in before.iter().enumerate() {
            let Some(ConfigType::TypedConfig(any)) = &filter.config_type else {
                continue;
            };
            if any.type_url.rsplit_once('/').is_some_and(|(_, name)| name == ROUTER) {
                let text = format!(
                    "terminal filter named {} of type envoy.filters.http.router must be the last \
                     filter in a http filter chain",
                    clipped(&filter.name)
                );
                self.invalid(&format!("{path}[{index}]"), text, None);
            }
        }
        // What is wrong with its options was reported before.
        match &last.config_type {
            Some(ConfigType::TypedConfig(any)) => {
                Router::decode(any.value.as_slice()).unwrap_or_default()
            }
            None => Router::default(),
        }
    }

    pub(super) fn http_options(
        &mut self,
        message: Option<&core::HttpProtocolOptions>,
        path: &str,
    ) -> model::HttpOptions {
        let mut options = model::HttpOptions::default();
        let Some(message) = message else {
            return options;
        };
        if let Some(timeout) = &message.idle_timeout {
            let timeout = self.milliseconds(timeout, &format!("{path}.idle_timeout"));
            options.idle_timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
        }
        if let Some(duration) = &message.max_connection_duration {
            let path = format!("{path}.max_connection_duration");
            let duration = self.milliseconds(duration, &path);
            if duration.is_zero() {
                let hint = "Envoy ends each connection at once; leave the field out for no limit";
                self.not_yet(&path, "connections without duration", Some(hint));
            }
            options.max_connection_duration = Some(duration);
        }
        if let Some(duration) = &message.max_stream_duration {
            let duration = self.milliseconds(duration, &format!("{path}.max_stream_duration"));
            options.max_stream_duration = Some(duration).filter(|duration| !duration.is_zero());
        }
        options.max_headers_count = message.max_headers_count.unwrap_or(options.max_headers_count);
        options.max_requests_per_connection =
            message.max_requests_per_connection.filter(|count| *count != 0);
        options.headers_with_underscores = match message.headers_with_underscores_action() {
            HeadersWithUnderscoresAction::Allow => model::HeadersWithUnderscores::Allow,
            HeadersWithUnderscoresAction::RejectRequest => {
                model::HeadersWithUnderscores::RejectRequest
            }
            HeadersWithUnderscoresAction::DropHeader => model::HeadersWithUnderscores::DropHeader,
        };
        options
    }
}

pub(super) fn http1_options(message: Option<&core::Http1ProtocolOptions>) -> model::Http1Options {
    let Some(message) = message else {
        return model::Http1Options::default();
    };
    let host = &message.default_host_for_http_10;
    model::Http1Options {
        allow_absolute_url: message.allow_absolute_url.unwrap_or(true),
        accept_http_10: message.accept_http_10,
        default_host_for_http_10: Some(host.clone()).filter(|host| !host.is_empty()),
        enable_trailers: message.enable_trailers,
        allow_chunked_length: message.allow_chunked_length,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Report;
    use crate::lower::read_yaml;

    const MANAGER: &str =
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

    /// Lowers a connection manager in a file with a cluster named `app`.
    fn lower(yaml: &str) -> (Option<model::HttpConnectionManager>, Report) {
        let (message, places, incomplete, mut problems) = read_yaml(yaml, MANAGER);
        let typed: pb::HttpConnectionManager = message.transcode_to().unwrap();
        let mut lower = Lower {
            places: &places,
            incomplete: &incomplete,
            problems: &mut problems,
            cluster_names: ["app"].into(),
        };
        let manager = lower.http_connection_manager(&typed, "");
        (manager, problems.into_report())
    }

    /// The same with the router, and these fields of the route configuration.
    fn lower_routes(routes: &str) -> (model::RouteConfiguration, String) {
        let (manager, report) =
            lower(&format!("http_filters: [{ROUTER_FILTER}]\nroute_config: {routes}"));
        ((*manager.unwrap().route_config).clone(), report.to_string())
    }

    /// The routes of one virtual host for every domain.
    fn lower_route(route: &str) -> (Vec<model::Route>, String) {
        let (mut table, report) =
            lower_routes(&format!("{{virtual_hosts: [{{domains: ['*'], routes: [{route}]}}]}}"));
        (table.virtual_hosts.remove(0).routes, report)
    }

    const ROUTER_FILTER: &str =
        "{name: r, typed_config: {'@type': x/envoy.extensions.filters.http.router.v3.Router}}";

    #[test]
    fn what_is_not_set_has_envoys_defaults() {
        let (manager, report) =
            lower(&format!("http_filters: [{ROUTER_FILTER}]\nroute_config: {{}}"));
        assert!(report.is_empty(), "{report}");
        let manager = manager.unwrap();
        assert_eq!(manager.codec, model::HttpCodec::Auto);
        assert_eq!(manager.http1, model::Http1Options::default());
        assert_eq!(manager.http2, model::Http2Options::default());
        assert_eq!(manager.common, model::HttpOptions::default());
        assert_eq!(manager.max_request_headers_kb, 60);
        assert_eq!(manager.stream_idle_timeout, Some(Duration::from_secs(300)));
        assert_eq!((manager.request_timeout, manager.request_headers_timeout), (None, None));
        assert_eq!(manager.drain_timeout, Duration::from_secs(5));
        assert_eq!(manager.delayed_close_timeout, Some(Duration::from_secs(1)));
        assert_eq!(manager.server_name, "envoy");
        assert!(manager.generate_request_id && !manager.use_remote_address);
        assert!(!manager.suppress_envoy_headers);
        assert_eq!(manager.route_config.virtual_hosts, []);
    }

    #[test]
    fn every_field_reaches_the_model() {
        let (manager, report) = lower(&format!(
            "
stat_prefix: in
codec_type: HTTP1
stream_idle_timeout: 0s
request_timeout: 30s
request_headers_timeout: 1.0005s
drain_timeout: 2s
delayed_close_timeout: 0s
max_request_headers_kb: 96
server_name: edge
server_header_transformation: PASS_THROUGH
generate_request_id: false
use_remote_address: true
http_protocol_options:
  accept_http_10: true
  default_host_for_http_10: h
common_http_protocol_options:
  idle_timeout: 0s
  max_headers_count: 5
  max_requests_per_connection: 0
  max_stream_duration: 0s
  headers_with_underscores_action: DROP_HEADER
access_log:
- name: file
  typed_config:
    '@type': x/envoy.extensions.access_loggers.file.v3.FileAccessLog
    path: /dev/null
    log_format: {{text_format_source: {{inline_string: '%PROTOCOL%'}}}}
- name: out
  typed_config: {{'@type': x/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog}}
http_filters: [{ROUTER_FILTER}]
route_config: {{name: table}}
"
        ));
        assert!(report.is_empty(), "{report}");
        let manager = manager.unwrap();
        assert_eq!((manager.stat_prefix.as_str(), manager.codec), ("in", model::HttpCodec::Http1));
        assert_eq!((manager.stream_idle_timeout, manager.delayed_close_timeout), (None, None));
        assert_eq!(manager.request_timeout, Some(Duration::from_secs(30)));
        assert_eq!(manager.request_headers_timeout, Some(Duration::from_secs(1)));
        assert_eq!(manager.drain_timeout, Duration::from_secs(2));
        assert_eq!(manager.max_request_headers_kb, 96);
        assert_eq!(manager.server_name, "edge");
        assert_eq!(manager.server_header, model::ServerHeader::PassThrough);
        assert!(!manager.generate_request_id && manager.use_remote_address);
        assert!(manager.http1.accept_http_10);
        assert_eq!(manager.http1.default_host_for_http_10.as_deref(), Some("h"));
        let common = manager.common;
        assert_eq!((common.idle_timeout, common.max_stream_duration), (None, None));
        assert_eq!((common.max_headers_count, common.max_requests_per_connection), (5, None));
        assert_eq!(common.headers_with_underscores, model::HeadersWithUnderscores::DropHeader);
        let sinks: Vec<_> = manager.access_log.iter().map(|log| log.sink.clone()).collect();
        let file = model::AccessLogSink::File("/dev/null".to_owned());
        assert_eq!(sinks, [file, model::AccessLogSink::Stdout]);
        assert_eq!(manager.route_config.name, "table");
    }

    #[test]
    fn routes_reach_the_model() {
        let (routes, report) = lower_route(
            "{match: {prefix: /a}, route: {cluster: app}},
             {name: second, match: {path: /b}, route: {cluster: app, timeout: 0s}},
             {match: {prefix: /c}, redirect: {https_redirect: true, port_redirect: 8443,
              host_redirect: h, prefix_rewrite: /d, response_code: SEE_OTHER, strip_query: true}},
             {match: {prefix: /e}, direct_response: {status: 204, body: {inline_bytes: aGk=}}}",
        );
        assert_eq!(report, "");
        let forward = |timeout| {
            let cluster = "app".to_owned();
            let (max_grpc_timeout, max_stream_duration) = (None, None);
            model::RouteAction::Forward(model::ForwardAction {
                cluster,
                timeout,
                max_grpc_timeout,
                max_stream_duration,
                idle_timeout: None,
                upgrades: Vec::new(),
                connect: None,
            })
        };
        assert_eq!(routes[0].action, forward(Some(Duration::from_secs(15))));
        assert_eq!(routes[1].action, forward(None));
        assert_eq!(routes[1].name, "second");
        assert_eq!(routes[1].path, model::PathMatch::Exact("/b".to_owned()));
        let redirect = model::RedirectAction {
            scheme: model::RedirectScheme::Https,
            host: Some("h".to_owned()),
            port: Some(8443),
            path: model::RedirectPath::Prefix("/d".to_owned()),
            status: 303,
            strip_query: true,
        };
        assert_eq!(routes[2].action, model::RouteAction::Redirect(redirect));
        let direct = model::DirectResponse { status: 204, body: b"hi".to_vec() };
        assert_eq!(routes[3].action, model::RouteAction::DirectResponse(direct));
    }

    #[test]
    fn durations_of_routes_reach_the_model() {
        let (routes, report) = lower_route(
            "{match: {prefix: /a}, route: {cluster: app, max_grpc_timeout: 2s,
              grpc_timeout_offset: 0.5s}},
             {match: {prefix: /b}, route: {cluster: app, max_stream_duration:
              {max_stream_duration: 0s, grpc_timeout_header_max: 3s}}}",
        );
        assert_eq!(report, "");
        let action = |index: usize| {
            let model::RouteAction::Forward(action) = &routes[index].action else { panic!() };
            (action.max_grpc_timeout, action.max_stream_duration)
        };
        let limits = |max, offset| model::GrpcTimeout {
            max: Duration::from_secs(max),
            offset: Duration::from_millis(offset),
        };
        assert_eq!(action(0), (Some(limits(2, 500)), None));
        let durations = model::StreamDuration {
            max_stream_duration: Some(Duration::ZERO),
            grpc_timeout_header: Some(limits(3, 0)),
        };
        assert_eq!(action(1), (None, Some(durations)));
    }

    #[test]
    fn upgrades_reach_the_model() {
        let upgrade = |kind: &str, enabled| model::Upgrade { kind: kind.to_owned(), enabled };
        let (manager, report) = lower(&format!(
            "http_filters: [{ROUTER_FILTER}]\nroute_config: {{}}\nupgrade_configs: \
             [{{upgrade_type: websocket}}, {{upgrade_type: CONNECT, enabled: false}}, \
             {{upgrade_type: foo, filters: [{ROUTER_FILTER}]}}]"
        ));
        assert!(report.is_empty(), "{report}");
        let expected =
            [upgrade("websocket", true), upgrade("CONNECT", false), upgrade("foo", true)];
        assert_eq!(manager.unwrap().upgrades, expected);

        let (routes, report) = lower_route(
            "{match: {connect_matcher: {}}, route: {cluster: app, idle_timeout: 0s, upgrade_configs:
              [{upgrade_type: foo, enabled: false}, {upgrade_type: connect, connect_config:
              {proxy_protocol_config: {version: V2}, allow_post: true}}]}},
             {match: {prefix: /}, route: {cluster: app, upgrade_configs:
              [{upgrade_type: CONNECT, connect_config: {}}]}}",
        );
        assert_eq!(report, "");
        assert_eq!(routes[0].path, model::PathMatch::Connect);
        let forward = |index: usize| {
            let model::RouteAction::Forward(action) = &routes[index].action else { panic!() };
            action
        };
        assert_eq!(forward(0).idle_timeout, Some(Duration::ZERO));
        assert_eq!(forward(0).upgrades, [upgrade("foo", false), upgrade("connect", true)]);
        let version = Some(model::ProxyProtocolVersion::V2);
        let connect = model::ConnectConfig { proxy_protocol: version, allow_post: true };
        assert_eq!(forward(0).connect, Some(connect));
        let connect = model::ConnectConfig { proxy_protocol: None, allow_post: false };
        assert_eq!((forward(1).idle_timeout, &forward(1).connect), (None, &Some(connect)));
    }

    #[test]
    fn upgrades_that_cannot_be_are_refused() {
        let of_manager = |upgrades: &str| {
            let filters = format!("http_filters: [{ROUTER_FILTER}]\nroute_config: {{}}");
            lower(&format!("{filters}\nupgrade_configs: [{upgrades}]")).1.to_string()
        };
        let twice = of_manager("{upgrade_type: websocket}, {upgrade_type: WebSocket}");
        let text = "upgrade_configs[1].upgrade_type: Error: multiple upgrade configs with the same \
                    name: 'WebSocket'";
        assert!(twice.contains(text), "{twice}");
        let filters = of_manager(&format!(
            "{{upgrade_type: a, filters: [{ROUTER_FILTER}, {ROUTER_FILTER}]}}"
        ));
        let text = "upgrade_configs[0].filters: not supported yet: other filters for an upgrade";
        assert!(filters.contains(text), "{filters}");
        let of_route = |upgrades: &str| {
            let route = format!("route: {{cluster: app, upgrade_configs: [{upgrades}]}}");
            lower_route(&format!("{{match: {{prefix: /}}, {route}}}")).1
        };
        let twice = of_route("{upgrade_type: websocket}, {upgrade_type: WebSocket}");
        assert!(twice.contains("Duplicate upgrade WebSocket"), "{twice}");
        let config = of_route("{upgrade_type: websocket, connect_config: {}}");
        let text = "connect_config: Non-CONNECT upgrade type websocket has ConnectConfig";
        assert!(config.contains(text), "{config}");
        let tlvs = of_route(
            "{upgrade_type: CONNECT, connect_config: {proxy_protocol_config:
              {version: V2, added_tlvs: [{type: 5, value: YQ==}]}}}",
        );
        let text = "added_tlvs: ignored: as in Envoy, the header before a tunnel has no TLVs";
        assert!(tlvs.contains(text), "{tlvs}");
        let udp = of_manager("{upgrade_type: connect-udp}");
        assert!(udp.contains("upgrade_type: not supported yet: UDP through a proxy"), "{udp}");
        let udp = of_route("{upgrade_type: CONNECT-UDP}");
        assert!(udp.contains("upgrade_type: not supported yet: UDP through a proxy"), "{udp}");
    }

    #[test]
    fn domains_are_read_as_envoy_reads_them() {
        use model::Domain;

        let (table, report) = lower_routes(
            "{virtual_hosts: [{domains: ['*', '*.A.com', 'b-*', 'C.com:80', 'x*y']}]}",
        );
        assert_eq!(report, "");
        let expected = [
            Domain::Any,
            Domain::Suffix(".a.com".to_owned()),
            Domain::Prefix("b-".to_owned()),
            Domain::Exact("c.com:80".to_owned()),
            Domain::Exact("x*y".to_owned()),
        ];
        assert_eq!(table.virtual_hosts[0].domains, expected);
    }

    #[test]
    fn what_envoy_refuses_is_refused_in_its_words() {
        let host = |domains| lower_routes(&format!("{{name: t, virtual_hosts: [{domains}]}}")).1;
        let twice = host("{domains: ['*']}, {domains: ['*']}");
        assert!(twice.contains("Only a single wildcard domain is permitted in route t"), "{twice}");
        let twice = host("{domains: [X.com, x.com]}");
        let text = "domains[1]: Only unique values for domains are permitted. Duplicate entry of \
                    domain x.com in route t";
        assert!(twice.contains(text), "{twice}");
        let unknown = lower_route("{match: {prefix: /}, route: {cluster: apq}}").1;
        let text = "route.cluster: route: unknown cluster 'apq'; did you mean 'app'?";
        assert!(unknown.contains(text), "{unknown}");
        let long = "x".repeat(4097);
        let body = format!("direct_response: {{status: 200, body: {{inline_string: {long}}}}}");
        let body = lower_route(&format!("{{match: {{prefix: /}}, {body}}}")).1;
        assert!(body.contains("body: response body size is 4097 bytes; maximum is 4096"), "{body}");
        let negative = lower("request_timeout: -1s").1.to_string();
        assert!(negative.contains("request_timeout: Expected positive duration"), "{negative}");
        let twice =
            lower(&format!("http_filters: [{ROUTER_FILTER}, {ROUTER_FILTER}]")).1.to_string();
        assert!(twice.contains("http_filters[0]: terminal filter named r of type"), "{twice}");
        let response = "common_http_protocol_options: {max_response_headers_kb: 9}";
        let response = lower(response).1.to_string();
        assert!(response.contains("max_response_headers_kb cannot be set on"), "{response}");
    }

    #[test]
    fn what_is_not_carried_out_is_named() {
        let file = "direct_response: {status: 200, body: {filename: /x}}";
        let file = lower_route(&format!("{{match: {{prefix: /}}, {file}}}")).1;
        assert!(file.contains("body.filename: not supported yet: text in another"), "{file}");
        let port = lower_route("{match: {prefix: /}, redirect: {port_redirect: 70000}}").1;
        assert!(port.contains("port_redirect: not supported yet: port 70000"), "{port}");
        let none = lower("http_filters: []").1.to_string();
        assert!(none.contains("not supported yet: an HTTP filter chain without filters"), "{none}");
    }
}
