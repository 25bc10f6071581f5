//! Whole-floor tests: files in, model or report out, with the places asserted.
//!
//! Every verdict on what Envoy accepts was checked by hand against Envoy 1.40 `--mode validate`.

use std::fmt::Write as _;
use std::time::Duration;

use proptest::prelude::*;

use crate::model::{TcpAccessLogOptions, TcpProxy, TcpRoute, TerminalFilter};
use crate::{Loaded, ProblemKind, Report, Source, UnknownFields, load, load_with};

fn load_yaml(yaml: &str) -> Result<Loaded, Report> {
    load(&[Source::file("envoy.yaml", yaml.as_bytes().to_vec())])
}

fn lines(report: &Report) -> Vec<String> {
    report.problems().iter().map(ToString::to_string).collect()
}

/// Asserts that `yaml` is refused with exactly these problems, each given by its beginning.
#[track_caller]
fn refused(yaml: &str, expected: &[&str]) {
    assert_beginnings(&load_yaml(yaml).expect_err("refused"), expected);
}

#[track_caller]
fn assert_beginnings(report: &Report, expected: &[&str]) {
    let lines = lines(report);
    let fits = lines.len() == expected.len()
        && lines.iter().zip(expected).all(|(line, start)| line.starts_with(start));
    assert!(fits, "expected\n  {}\ngot\n  {}", expected.join("\n  "), lines.join("\n  "));
}

/// A bootstrap of one listener on one line each, so that columns are easy to count.
fn with_filter(filter: &str) -> String {
    format!(
        "static_resources:\n  listeners:\n  - name: l\n    \
         address: {{socket_address: {{address: 127.0.0.1, port_value: 1}}}}\n    \
         filter_chains:\n    - filters:\n      - {filter}\n"
    )
}

const ECHO: &str = "{name: e, typed_config: {\"@type\": \
    type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo}}";

fn tcp_proxy(fields: &str) -> String {
    with_filter(&format!(
        "name: t\n        typed_config:\n          \
         \"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy\n\
         \x20         \
         {fields}"
    ))
}

fn cluster(fields: &str) -> String {
    format!("static_resources:\n  clusters:\n  - name: c\n    {fields}\n")
}

#[test]
fn a_whole_bootstrap_becomes_the_model() {
    let yaml = r#"
node: {id: front, cluster: edge}
admin:
  address: {socket_address: {address: 127.0.0.1, port_value: 9901}}
static_resources:
  listeners:
  - name: ingress
    address:
      socket_address: {address: "::", port_value: 8000}
    stat_prefix: in
    per_connection_buffer_limit_bytes: 32768
    tcp_backlog_size: 512
    enable_reuse_port: true
    filter_chains:
    - name: only
      filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: tcp
          cluster: "service:web"
          idle_timeout: 90.5s
          max_connect_attempts: 3
  clusters:
  - name: "service:web"
    type: STATIC
    connect_timeout: 0.25s
    lb_policy: ROUND_ROBIN
    per_connection_buffer_limit_bytes: 65536
    circuit_breakers:
      thresholds:
      - priority: DEFAULT
        max_connections: 7
        max_pending_requests: 0
        max_connection_pools: 2
      per_host_thresholds: [{max_connections: 5}]
    load_assignment:
      cluster_name: "service:web"
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 80}}}
          load_balancing_weight: 3
        - endpoint: {address: {socket_address: {address: "::1", port_value: 81}}}
"#;
    let loaded = load_yaml(yaml).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let bootstrap = loaded.bootstrap;
    assert_eq!((bootstrap.node.id.as_str(), bootstrap.node.cluster.as_str()), ("front", "edge"));
    assert_eq!(bootstrap.admin.unwrap().address.to_string(), "127.0.0.1:9901");

    let listener = &bootstrap.listeners[0];
    assert_eq!(listener.name, "ingress");
    assert_eq!(listener.sockets.address.address.to_string(), "[::]:8000");
    assert_eq!(listener.stat_prefix.as_deref(), Some("in"));
    assert_eq!(listener.per_connection_buffer_limit_bytes, 32_768);
    assert_eq!(listener.sockets.tcp_backlog_size, Some(512));
    assert_eq!(listener.filter_chains[0].name, "only");
    assert_eq!(
        listener.filter_chains[0].terminal,
        TerminalFilter::TcpProxy(TcpProxy {
            stat_prefix: "tcp".to_owned(),
            route: TcpRoute::Cluster("service:web".to_owned()),
            idle_timeout: Some(Duration::from_millis(90_500)),
            max_connect_attempts: 3,
            backoff: None,
            early_data: None,
            max_duration: None,
            tunneling: None,
            access_logs: Vec::new(),
            access_log_options: TcpAccessLogOptions::default(),
        })
    );

    let cluster = &bootstrap.clusters[0];
    assert_eq!((cluster.name.as_str(), cluster.stat_name.as_str()), ("service:web", "service_web"));
    assert_eq!(cluster.connect_timeout, Duration::from_millis(250));
    assert_eq!(cluster.per_connection_buffer_limit_bytes, 65_536);
    assert_eq!(
        (cluster.thresholds.max_connections, cluster.thresholds.max_pending_requests),
        (7, 0)
    );
    assert_eq!(cluster.thresholds.max_connection_pools, Some(2));
    assert_eq!(cluster.host_connections_max, Some(5));
    let endpoints: Vec<_> =
        cluster.endpoints.iter().map(|e| (e.address.to_string(), e.weight)).collect();
    assert_eq!(endpoints, [("127.0.0.1:80".to_owned(), 3), ("[::1]:81".to_owned(), 1)]);
}

#[test]
fn defaults_are_envoys() {
    let loaded = load_yaml(&tcp_proxy("stat_prefix: s\n          cluster: c")).unwrap();
    let listener = &loaded.bootstrap.listeners[0];
    assert_eq!(listener.per_connection_buffer_limit_bytes, 1 << 20);
    assert_eq!((&listener.stat_prefix, listener.sockets.tcp_backlog_size), (&None, None));
    let TerminalFilter::TcpProxy(proxy) = &listener.filter_chains[0].terminal else {
        panic!("{listener:?}");
    };
    assert_eq!(proxy.idle_timeout, Some(Duration::from_secs(3600)));
    assert_eq!(proxy.max_connect_attempts, 1);

    let loaded = load_yaml(&cluster("type: STATIC")).unwrap();
    let cluster = &loaded.bootstrap.clusters[0];
    assert_eq!(cluster.connect_timeout, Duration::from_secs(5));
    assert_eq!(cluster.per_connection_buffer_limit_bytes, 1 << 20);
    assert_eq!(cluster.thresholds, crate::model::Thresholds::default());
    assert!(cluster.endpoints.is_empty());

    let loaded = load_yaml("{}").unwrap();
    assert_eq!(loaded.bootstrap, crate::model::Bootstrap::default());
}

#[test]
fn an_idle_timeout_of_zero_means_none() {
    for zero in ["0s", "0.0009s"] {
        let yaml = tcp_proxy(&format!(
            "stat_prefix: s\n          cluster: c\n          idle_timeout: {zero}"
        ));
        let loaded = load_yaml(&yaml).unwrap();
        let TerminalFilter::TcpProxy(proxy) =
            &loaded.bootstrap.listeners[0].filter_chains[0].terminal
        else {
            panic!("tcp_proxy");
        };
        assert_eq!(proxy.idle_timeout, None);
    }
}

/// Each of these Envoy 1.40 accepts, so Nuncio must.
#[test]
fn spellings_that_envoy_accepts() {
    let good = [
        // Either spelling of a field name.
        "staticResources: {clusters: [{name: c, connectTimeout: 1s}]}",
        // A single value for a list, nested lists, and null items.
        "static_resources: {clusters: {name: c}}",
        "static_resources: {clusters: [[{name: a}], [{name: b}]]}",
        // Enum names in any case, enum numbers, numbers as strings.
        "static_resources: {clusters: [{name: c, lb_policy: round_robin, type: 0}]}",
        "static_resources: {clusters: [{name: c, lb_policy: '0'}]}",
        // Integers in every dress.
        "static_resources: {clusters: [{name: c, per_connection_buffer_limit_bytes: 0x50}]}",
        "static_resources: {clusters: [{name: c, per_connection_buffer_limit_bytes: '80'}]}",
        "static_resources: {clusters: [{name: c, per_connection_buffer_limit_bytes: 1e3}]}",
        // Well-known types field by field.
        "static_resources: {clusters: [{name: c, connect_timeout: {seconds: 3}}]}",
        "static_resources: {clusters: [{name: c, per_connection_buffer_limit_bytes: {value: 3}}]}",
        // Null is unset, also beside a set alternative.
        "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 80, named_port: ~}}}",
        "static_resources: ~",
        // Booleans as strings; integers beyond 32 bits are strings.
        "static_resources: {clusters: [{name: c, respect_dns_ttl: 'no'}]}",
        "node: {id: 3000000000, cluster: 1.5}",
        "node: {id: !  123, cluster: 'yes'}",
        // Anchors, and keys tagged to be ignored.
        "!ignore anchors: &a {address: 127.0.0.1, port_value: 80}\nadmin: {address: {socket_address: *a}}",
        // Only the first document counts, and what follows may be broken.
        "node: {id: a, cluster: b}\n---\nunknown: [",
        "%YAML 1.1\n---\nnode: {id: a}\n",
        "\u{feff}node: {id: a}\n",
        // The host of a type URL is free.
        &with_filter(
            "{name: e, typed_config: {'@type': x/envoy.extensions.filters.network.echo.v3.Echo}}",
        ),
        // A chain that matches everything.
        "static_resources: {listeners: [{address: {socket_address: {address: 127.0.0.1, port_value: 1}}, \
         filter_chains: [{filter_chain_match: {}, filters: [{name: e, typed_config: {'@type': \
         x/envoy.extensions.filters.network.echo.v3.Echo}}]}]}]}",
        // Port 0 twice is two ports.
        "static_resources: {listeners: [\
         {address: {socket_address: {address: 127.0.0.1, port_value: 0}}, \
         default_filter_chain: {filters: {name: e, \
         typed_config: {'@type': x/envoy.extensions.filters.network.echo.v3.Echo}}}},\
         {address: {socket_address: {address: 127.0.0.1, port_value: 0}}, \
         default_filter_chain: {filters: {name: e, \
         typed_config: {'@type': x/envoy.extensions.filters.network.echo.v3.Echo}}}}]}",
        // Without an address there is no admin listener.
        "admin: {}",
    ];
    for yaml in good {
        if let Err(report) = load_yaml(yaml) {
            panic!("{yaml}\n{report}");
        }
    }
}

#[test]
fn integers_mean_what_they_mean_to_envoy() {
    let cases = [("0x4E20", 20_000), ("'0x4E20'", 20_000), ("010", 8), ("1e3", 1000), ("80.0", 80)];
    for (text, expected) in cases {
        let yaml = cluster(&format!("per_connection_buffer_limit_bytes: {text}"));
        let loaded = load_yaml(&yaml).unwrap();
        assert_eq!(
            loaded.bootstrap.clusters[0].per_connection_buffer_limit_bytes, expected,
            "{text}"
        );
    }
}

#[test]
fn wrong_types_are_named_with_their_place_and_cure() {
    refused(
        "node:\n  id: yes\n",
        &["envoy.yaml:2:7: node.id: expected a string, got the boolean yes; quote it: \"yes\""],
    );
    refused(
        "node: {id: 12}",
        &["envoy.yaml:1:12: node.id: expected a string, got the number 12; quote it: \"12\""],
    );
    refused(
        &cluster("connect_timeout: 3"),
        &["envoy.yaml:4:22: static_resources.clusters[0].connect_timeout: expected a duration, \
         got the number 3; a bare number has no unit: write 3s"],
    );
    refused(
        &cluster("connect_timeout: 5 seconds"),
        &["envoy.yaml:4:22: static_resources.clusters[0].connect_timeout: invalid duration: \
         a duration ends with the unit 's', got \"5 seconds\""],
    );
    refused(
        &cluster("respect_dns_ttl: 1"),
        &[
            "envoy.yaml:4:22: static_resources.clusters[0].respect_dns_ttl: expected true or false, got the number 1",
        ],
    );
    refused(
        &cluster("lb_policy: ROUND_ROBBIN"),
        &["envoy.yaml:4:16: static_resources.clusters[0].lb_policy: no value of \
         envoy.config.cluster.v3.Cluster.LbPolicy, got \"ROUND_ROBBIN\"; \
         did you mean ROUND_ROBIN?"],
    );
    refused(
        &cluster("per_connection_buffer_limit_bytes: -1"),
        &["envoy.yaml:4:40: static_resources.clusters[0].per_connection_buffer_limit_bytes: \
         expected an integer from 0 to 4294967295, got the number -1"],
    );
    refused(
        "[]",
        &["envoy.yaml:1:1: expected a mapping of envoy.config.bootstrap.v3.Bootstrap, got a list"],
    );
    refused(
        "hello",
        &[
            "envoy.yaml:1:1: expected a mapping of envoy.config.bootstrap.v3.Bootstrap, got \"hello\"",
        ],
    );
    refused(
        "node: 5",
        &[
            "envoy.yaml:1:7: node: expected a mapping of envoy.config.core.v3.Node, got the number 5",
        ],
    );
}

#[test]
fn unknown_fields_get_a_suggestion() {
    refused(
        "admin:\n  adress: {}\n",
        &[
            "envoy.yaml:2:3: admin.adress: unknown field in envoy.config.bootstrap.v3.Admin; did you mean 'address'?",
        ],
    );
    refused(
        "xyzzy: 1\n",
        &["envoy.yaml:1:1: xyzzy: unknown field in envoy.config.bootstrap.v3.Bootstrap"],
    );
    refused(
        &cluster("<<: {a: b}"),
        &[
            "envoy.yaml:4:5: static_resources.clusters[0].<<: unknown field in envoy.config.cluster.v3.Cluster; \
         merge keys are not supported, as in Envoy",
        ],
    );
    // The misspelled field is not called missing as well.
    refused(
        "static_resources:\n  listeners:\n  - adress: {}\n    filter_chans: []\n",
        &[
            "envoy.yaml:3:5: static_resources.listeners[0].adress: unknown field",
            "envoy.yaml:4:5: static_resources.listeners[0].filter_chans: unknown field",
        ],
    );
}

#[test]
fn alternatives_and_spellings_set_twice_are_refused() {
    refused(
        "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 80, named_port: x}}}",
        &[
            "envoy.yaml:1:72: admin.address.socket_address.named_port: 'port_value' and 'named_port' are \
         alternatives, only one may be set",
        ],
    );
    refused(
        "static_resources: {}\nstaticResources: {}\n",
        &["envoy.yaml:2:1: static_resources: already set, as 'static_resources'"],
    );
}

#[test]
fn envoys_value_rules_hold() {
    refused(
        "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 99999}}}",
        &[
            "envoy.yaml:1:68: admin.address.socket_address.port_value: value 99999 must be at most 65535",
        ],
    );
    refused(
        "admin: {address: {socket_address: {address: 127.0.0.1}}}",
        &[
            "envoy.yaml:1:35: admin.address.socket_address: one of port_value, named_port is required",
        ],
    );
    refused(
        "static_resources: {clusters: [{connect_timeout: 1s}]}",
        &["envoy.yaml:1:31: static_resources.clusters[0].name: has 0, needs at least 1 character"],
    );
    refused(
        &cluster("connect_timeout: 0s"),
        &[
            "envoy.yaml:4:22: static_resources.clusters[0].connect_timeout: value 0s must be greater than 0s",
        ],
    );
    refused(
        &cluster("lb_policy: 77"),
        &[
            "envoy.yaml:4:5: static_resources.clusters[0].lb_policy: not supported yet: the value 77",
            "envoy.yaml:4:16: static_resources.clusters[0].lb_policy: 77 is no value of",
        ],
    );
    refused(
        &tcp_proxy("stat_prefix: s\n          cluster: c\n          max_connect_attempts: 0"),
        &[
            "envoy.yaml:12:33: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.\
         max_connect_attempts: value 0 must be at least 1",
        ],
    );
    refused(
        &tcp_proxy(
            "stat_prefix: s\n          cluster: c\n          \
             upstream_connect_mode: ON_DOWNSTREAM_DATA",
        ),
        &[
            "envoy.yaml:12:34: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.\
         upstream_connect_mode: max_early_data_bytes must be set when upstream_connect_mode is not \
         IMMEDIATE",
        ],
    );
    refused(
        &cluster(
            "circuit_breakers: {per_host_thresholds: [{max_connections: 1, max_requests: 3}]}",
        ),
        &["envoy.yaml:4:81: static_resources.clusters[0].circuit_breakers.per_host_thresholds[0].\
         max_requests: Unsupported field in per_host_thresholds"],
    );
    refused(
        &tcp_proxy("stat_prefix: s"),
        &[
            "envoy.yaml:9:11: static_resources.listeners[0].filter_chains[0].filters[0].typed_config: one of \
         cluster, weighted_clusters is required",
        ],
    );
    refused(
        &cluster("load_assignment: {endpoints: []}"),
        &[
            "envoy.yaml:4:22: static_resources.clusters[0].load_assignment.cluster_name: has 0, needs at least 1",
        ],
    );
}

#[test]
fn what_the_schema_cannot_say_is_checked_as_in_envoy() {
    let endpoint = |address: &str| {
        cluster(&format!(
            "load_assignment: {{cluster_name: c, endpoints: {{lb_endpoints: {{endpoint: {{address: \
             {{socket_address: {{address: {address}, port_value: 80}}}}}}}}}}}}"
        ))
    };
    let path = "static_resources.clusters[0].load_assignment.endpoints[0].lb_endpoints[0].endpoint.\
                address.socket_address.address";
    refused(
        &endpoint("foo.example"),
        &[&format!(
            "envoy.yaml:4:114: {path}: malformed IP address: foo.example; a STATIC cluster takes IP addresses only"
        )],
    );
    refused(
        &endpoint("127.1"),
        &[&format!("envoy.yaml:4:114: {path}: malformed IP address: 127.1")],
    );
    refused(
        &endpoint("\"[::1]\""),
        &[&format!("envoy.yaml:4:114: {path}: malformed IP address: [::1]")],
    );
    refused(
        "static_resources:\n  clusters:\n  - name: c\n  - name: d\n  - name: c\n",
        &[
            "envoy.yaml:5:11: static_resources.clusters[2].name: duplicate cluster 'c', as in static_resources.clusters[0]",
        ],
    );
    refused(
        &with_filter("name: x"),
        &[
            "envoy.yaml:7:9: static_resources.listeners[0].filter_chains[0].filters[0].typed_config: missing",
        ],
    );
    refused(
        &with_filter(&format!("{ECHO}\n      - {ECHO}")),
        &[
            "envoy.yaml:7:9: static_resources.listeners[0].filter_chains[0].filters[0]: terminal filter named e of \
         type envoy.filters.network.echo must be the last filter",
        ],
    );
    refused(
        &cluster("connect_timeout: 9223372036s"),
        &["envoy.yaml:4:22: static_resources.clusters[0].connect_timeout: Duration out-of-range"],
    );
    refused(
        &tcp_proxy("stat_prefix: s\n          cluster: c\n          idle_timeout: -1s"),
        &[
            "envoy.yaml:12:25: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.\
         idle_timeout: Expected positive duration",
        ],
    );
    refused(
        "static_resources: {listeners: [{address: {socket_address: {address: 127.0.0.1, port_value: 1}}}]}",
        &[
            "envoy.yaml:1:32: static_resources.listeners[0].filter_chains: no filter chains specified",
        ],
    );
}

#[test]
fn two_listeners_on_one_address_are_refused_and_of_one_name_the_first_runs() {
    let mut yaml = with_filter(ECHO);
    let listener = |name: &str, port: u16| {
        format!(
            "  - name: {name}\n    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}\n    \
             filter_chains: {{filters: {ECHO}}}\n"
        )
    };
    yaml.push_str(&listener("m", 1));
    refused(
        &yaml,
        &[
            "envoy.yaml:9:14: static_resources.listeners[1].address: duplicate address 127.0.0.1:1 as in \
         static_resources.listeners[0]",
        ],
    );
    let loaded = load_yaml(&(with_filter(ECHO) + &listener("l", 2))).unwrap();
    assert_eq!(loaded.bootstrap.listeners.len(), 1);
    assert_eq!(loaded.bootstrap.listeners[0].sockets.address.address.ip().unwrap().port(), 1);
    assert_beginnings(
        &loaded.warnings,
        &[
            "envoy.yaml:8:11: static_resources.listeners[1].name: ignored: a second listener named 'l'",
        ],
    );
}

#[test]
fn type_urls_are_resolved_through_the_schema() {
    let path = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config";
    let with_type = |type_url: &str| {
        with_filter(&format!("name: x\n        typed_config:\n          \"@type\": {type_url}"))
    };
    refused(
        &with_type("type.googleapis.com/envoy.extensions.filters.network.echo.v3.Ecko"),
        &[&format!(
            "envoy.yaml:9:20: {path}.@type: unknown type \
         \"type.googleapis.com/envoy.extensions.filters.network.echo.v3.Ecko\", got"
        )
        .replace(
            ", got",
            "; did you mean type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo?",
        )],
    );
    refused(
        &with_type("envoy.extensions.filters.network.echo.v3.Echo"),
        &[&format!(
            "envoy.yaml:9:20: {path}.@type: '@type' \"envoy.extensions.filters.network.echo.v3.Echo\" has no host"
        )],
    );
    refused(
        &with_filter("{name: x, typed_config: {a: b}}"),
        &[&format!("envoy.yaml:7:33: {path}: '@type' is missing")],
    );
    refused(
        &with_filter("{name: x, typed_config: {}}"),
        &[&format!("envoy.yaml:7:33: {path}: empty; Envoy finds an extension")],
    );
    let transport =
        |socket: &str| format!("static_resources: {{clusters: [{{name: c, {socket}}}]}}");
    let socket_path = "static_resources.clusters[0].transport_socket.typed_config";
    for config in ["", ", typed_config: {}"] {
        let named = transport(&format!("transport_socket: {{name: tls{config}}}"));
        let report = load_yaml(&named).unwrap_err().to_string();
        assert!(report.contains(&format!("{socket_path}: ")), "{report}");
        assert!(report.contains("Envoy finds an extension by the '@type' in it"), "{report}");
    }
    let raw = "{'@type': x/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer}";
    load_yaml(&transport(&format!("transport_socket: {{name: x, typed_config: {raw}}}"))).unwrap();
    // Known to Envoy, with an error inside: both are told.
    let authorization = "type.googleapis.com/envoy.extensions.filters.network.ext_authz.v3.ExtAuthz\n          \
         stat_prefix: s\n          failure_mode_alow: true";
    refused(
        &with_type(authorization),
        &[
            &format!(
                "envoy.yaml:8:9: {path}: not supported yet: \
                 envoy.extensions.filters.network.ext_authz"
            ),
            &format!("envoy.yaml:11:11: {path}.failure_mode_alow: unknown field"),
        ],
    );
}

#[test]
fn what_envoy_runs_and_nuncio_does_not_is_named_and_fatal() {
    let cases = [
        ("header_prefix: x-acme", "1:1: header_prefix: not supported yet"),
        (
            "admin: {address: {pipe: {path: /x}}}",
            "1:25: admin.address.pipe: not supported yet: admin pages on a Unix-domain socket",
        ),
        (
            "static_resources: {clusters: [{name: c, type: STRICT_DNS}]}",
            "1:41: static_resources.clusters[0].type: not supported yet: the value STRICT_DNS; supported: STATIC",
        ),
        (
            "static_resources: {clusters: [{name: c, lb_policy: MAGLEV}]}",
            "1:41: static_resources.clusters[0].lb_policy: not supported yet: the value MAGLEV; supported: ROUND_ROBIN",
        ),
        (
            "static_resources: {clusters: [{name: c, per_connection_buffer_limit_bytes: 0}]}",
            "1:76: static_resources.clusters[0].per_connection_buffer_limit_bytes: not supported yet: buffers without a limit",
        ),
        (
            "static_resources: {clusters: [{name: c, load_assignment: {cluster_name: c, endpoints: [{priority: 1}]}}]}",
            "1:89: static_resources.clusters[0].load_assignment.endpoints[0].priority: not supported yet",
        ),
        (
            "admin: {address: {socket_address: {address: 'fe80::1%lo', port_value: 3}}}",
            "1:45: admin.address.socket_address.address: not supported yet: IPv6 scope",
        ),
        (
            "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 3, \
             protocol: UDP}}}",
            "1:71: admin.address.socket_address.protocol: not supported yet: the value UDP; supported: TCP",
        ),
    ];
    for (yaml, expected) in cases {
        refused(yaml, &[&format!("envoy.yaml:{expected}")]);
    }
    let listener = |fields: &str| with_filter(ECHO) + "    " + fields + "\n";
    let cases = [
        (
            "bypass_overload_manager: true",
            "8:5: static_resources.listeners[0].bypass_overload_manager: not supported yet: \
             the value true; supported: false",
        ),
        (
            "default_filter_chain: {}",
            "8:27: static_resources.listeners[0].default_filter_chain.filters: not supported yet: \
             a filter chain without filters",
        ),
        (
            "access_log: [{name: x, filter: {traceable_filter: {}}, \
             typed_config: {'@type': \
             t/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog}}]",
            "8:37: static_resources.listeners[0].access_log[0].filter.traceable_filter: \
             not supported yet",
        ),
    ];
    for (fields, expected) in cases {
        refused(&listener(fields), &[&format!("envoy.yaml:{expected}")]);
    }
}

#[test]
fn what_is_left_out_is_told_as_a_warning() {
    let yaml = "node: {id: a, metadata: {x: [1, {y: ~}]}}\n\
                admin: {access_log_path: /dev/null}\nadmin: {access_log_path: /dev/zero}\n";
    let loaded = load_yaml(yaml).unwrap();
    assert_beginnings(
        &loaded.warnings,
        &[
            "envoy.yaml:2:1: ignored: duplicate key 'admin'; the last one, at line 3, wins, as in Envoy",
            "envoy.yaml:3:9: admin.access_log_path: discouraged: it is deprecated",
            "envoy.yaml:3:9: admin.access_log_path: ignored: ",
        ],
    );
    assert!(!loaded.warnings.is_fatal());
    // Left out is not unchecked.
    refused(
        "stats_config: {histogram_bucket_settings: [{match: {prefix: a}, bins: 0}]}\n",
        &[
            "envoy.yaml:1:65: stats_config.histogram_bucket_settings[0].bins: ignored: ",
            "envoy.yaml:1:71: stats_config.histogram_bucket_settings[0].bins: value 0 must be ",
        ],
    );
}

/// Checked against Envoy 1.40: a warning in the bootstrap, an error in an extension, unless the
/// runtime allows it.
#[test]
fn what_envoy_discourages_is_told_and_refused_where_envoy_refuses_it() {
    let filter = "name: h\n        typed_config:\n          \
                  '@type': x/envoy.config.route.v3.RateLimit\n\
                  \x20         actions: {dynamic_metadata: {descriptor_key: k, \
                  metadata_key: {key: a, path: {key: b}}}}";
    let path = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config";
    let refusal = format!(
        "envoy.yaml:10:21: {path}.actions[0].dynamic_metadata: it is deprecated and refused by \
         default"
    );
    let not_yet = format!("envoy.yaml:8:9: {path}: not supported yet: ");
    refused(&with_filter(filter), &[&not_yet, &refusal]);
    let feature =
        "envoy.deprecated_features:envoy.config.route.v3.RateLimit.Action.dynamic_metadata";
    let allowed = format!(
        "{}layered_runtime: {{layers: [{{name: a, static_layer: {{\"{feature}\": true}}}}]}}\n",
        with_filter(filter),
    );
    let report = load_yaml(&allowed).unwrap_err();
    let told = refusal.replace("metadata: it", "metadata: discouraged: it");
    assert!(lines(&report).iter().any(|line| line.starts_with(&told)), "{report}");

    let source = "dynamic_resources: {lds_config: {api_config_source: {grpc_services: []}}}\n";
    let report = load_yaml(source).unwrap_err();
    let told = "envoy.yaml:1:34: dynamic_resources.lds_config.api_config_source.api_type: \
                discouraged: its default is the value DEPRECATED_AND_UNAVAILABLE_DO_NOT_USE";
    assert!(lines(&report).iter().any(|line| line.starts_with(told)), "{report}");
    let unfinished = with_filter(
        "{name: x, typed_config: {'@type': \
        x/envoy.config.core.v3.Http1ProtocolOptions, allow_custom_methods: true}}",
    );
    let report = load_yaml(&unfinished).unwrap_err();
    let told = format!("{path}.allow_custom_methods: discouraged: allow_custom_methods is work in");
    assert!(lines(&report).iter().any(|line| line.contains(&told)), "{report}");
}

#[test]
fn broken_files_are_refused_with_the_place() {
    refused("a: 1\nb: [c\n", &["envoy.yaml:3:1: broken YAML: "]);
    refused("node:\n\tid: a\n", &["envoy.yaml:2:"]);
    refused("node: {id: *x}\n", &["envoy.yaml:1:12: broken YAML: "]);
    refused("node: &n {id: *n}\n", &["envoy.yaml:1:15: alias to a node that contains it"]);
    refused("? [a]\n: b\n", &["envoy.yaml:1:3: a list cannot be a key"]);
    refused("", &["envoy.yaml:1:1: the file is empty; an empty bootstrap is `{}`"]);
    let report = load(&[Source::file("e.yaml", b"node:\n  id: \"\xff\"\n".to_vec())]).unwrap_err();
    assert_beginnings(&report, &["e.yaml:2:8: not UTF-8"]);
    let report = load(&[Source::file("e.pb", Vec::new())]).unwrap_err();
    assert_beginnings(
        &report,
        &["e.pb:1:1: not supported yet: a configuration file in protobuf's own formats"],
    );
}

#[test]
fn bombs_are_refused_before_they_go_off() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    refused(&bomb, &["envoy.yaml:6:45: aliases stand for more than 1000000 values"]);

    let deep = format!("a: {}1{}", "[".repeat(120), "]".repeat(120));
    refused(&deep, &["envoy.yaml:1:103: nested more than 100 levels deep"]);
    let mut deep = String::new();
    for level in 0..5000 {
        writeln!(deep, "{}a:", " ".repeat(level)).unwrap();
    }
    refused(&deep, &["envoy.yaml:101:101: nested more than 100 levels deep"]);
    // Deeper than protobuf can decode, though not deeper than YAML may be.
    let deep_struct = format!("{}1{}", "{a: ".repeat(80), "}".repeat(80));
    refused(
        &with_filter(&format!(
            "{{name: x, typed_config: {{'@type': x/envoy.config.core.v3.Metadata, filter_metadata: {deep_struct}}}}}"
        )),
        &[
            "envoy.yaml:7:19: static_resources.listeners[0].filter_chains[0].filters[0].typed_config: \
             not supported yet: envoy.config.core.v3.Metadata",
            "envoy.yaml:7:19: static_resources.listeners[0].filter_chains[0].filters[0].typed_config: \
             not supported yet: a message nested this deep",
        ],
    );
    let loaded = load_yaml(&format!("node: {{metadata: {deep_struct}}}")).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    // Depth through aliases counts too.
    let mut deep = String::from("a0: &a0 {x: 1}\n");
    for level in 1..200 {
        writeln!(deep, "a{level}: &a{level} {{x: *a{}}}", level - 1).unwrap();
    }
    refused(&deep, &["envoy.yaml:99:"]);

    let large = vec![b' '; crate::FILE_BYTES_MAX + 1];
    let report = load(&[Source::file("envoy.yaml", large)]).unwrap_err();
    assert_beginnings(&report, &["envoy.yaml:1:1: file has 67108865 bytes, the limit is 67108864"]);
}

#[test]
fn a_report_names_a_hundred_problems_and_counts_the_rest() {
    let mut yaml = String::from("admin: {profile_path: /x}\n");
    for index in 0..150 {
        writeln!(yaml, "unknown_{index}: 1").unwrap();
    }
    let report = load_yaml(&yaml).unwrap_err();
    assert_eq!(report.problems().len(), crate::PROBLEMS_MAX);
    assert!(report.problems().iter().all(|problem| problem.kind == ProblemKind::Invalid));
    assert!(report.to_string().ends_with("\nand 51 more"), "{report}");
}

#[test]
fn json_is_read_as_protobuf_reads_it() {
    let load_json = |json: &str| load(&[Source::file("envoy.json", json.as_bytes().to_vec())]);
    let good = [
        "{\"node\": {\"id\": \"a\\u00e9\\/\"}}",
        "{\n\t\"node\": {\n\t\t\"id\": \"a\"\n\t}\n}\n",
        // Protobuf's parser takes these, so Envoy does.
        "{node: {id: 'a\\'\t\n',},}",
        "{\"node\": {\"id\": \"\\ud83d\\ude00\", \"metadata\": {\"x\": [1e3, -0.5,],}}}",
        "{\"static_resources\": {\"clusters\": [{\"name\": \"c\", \"per_connection_buffer_limit_bytes\": 1e3}]}}",
    ];
    for json in good {
        if let Err(report) = load_json(json) {
            panic!("{json}\n{report}");
        }
    }
    let bad = [
        (
            "node: {}",
            "1:1: broken JSON: expected '{'; only files named .yaml or .yml are read as YAML",
        ),
        ("{\"node\": {\"id\": a}}", "1:17: broken JSON: unexpected a; quote it"),
        ("{\"node\": {\"id\": yes}}", "1:17: broken JSON: unexpected yes"),
        ("{\"node\": {\"id\": \"a\"}", "1:21: broken JSON: the file ends too early"),
        ("{\"node\": &a {\"id\": \"a\"}}", "1:"),
        ("{} {}", "1:4: broken JSON: something follows the object"),
        ("\u{feff}{}", "1:1: broken JSON: expected '{'"),
        ("{\n\"a\": \"\\ud83d\"}", "2:14: broken JSON: half of a surrogate pair"),
        ("{\"a\": \"\\ude00\"}", "1:14: broken JSON: half of a surrogate pair"),
        ("{\"a\": \"\\ud83d\\ud83d\"}", "1:20: broken JSON: the second half"),
        ("{\"a\": \"\\x41\"}", "1:10: broken JSON: no escape: \\x"),
        ("{\"a\" \"b\"}", "1:6: broken JSON: expected ':' after a key"),
        ("{\"a\": [,]}", "1:8: broken JSON: unexpected ,"),
        ("{\"a\": 01}", "1:7: broken JSON: unexpected 01; quote it"),
        ("{\"a\": 1e400}", "1:7: broken JSON: unexpected 1e400; quote it"),
        ("{null: 1}", "1:2: broken JSON: null cannot be a key; quote it"),
        ("{\"a\": 1} # b", "1:10: broken JSON: something follows the object"),
        ("{\"a\": \"b", "1:9: broken JSON: a string without its end"),
        ("{\"admin\": {}, \"admin\": {}}", "1:15: not supported yet: duplicate key 'admin'"),
    ];
    for (json, expected) in bad {
        let report = load_json(json).expect_err(json);
        assert_beginnings(&report, &[&format!("envoy.json:{expected}")]);
    }
}

#[test]
fn inline_yaml_is_named_after_its_option() {
    assert!(load(&[Source::inline("node: {id: a}")]).is_ok());
    let report = load(&[Source::inline("node: {id: 1}")]).unwrap_err();
    assert_beginnings(&report, &["--config-yaml:1:12: node.id: "]);
}

fn merged(file: &str, inline: &str) -> Result<Loaded, Report> {
    load(&[Source::file("envoy.yaml", file.as_bytes().to_vec()), Source::inline(inline)])
}

#[test]
fn inline_yaml_is_merged_into_the_file_as_in_envoy() {
    let file = "node: {id: a, cluster: b}\nstatic_resources: {clusters: [{name: c, \
                connect_timeout: 1s}]}\nadmin: {address: {socket_address: {address: 127.0.0.1, \
                port_value: 1}}}\n";
    let inline = "node: {id: x}\nstatic_resources: {clusters: {name: d}}\n\
                  admin: {address: {socket_address: {port_value: 2}}}\n";
    let bootstrap = merged(file, inline).unwrap().bootstrap;
    assert_eq!((bootstrap.node.id.as_str(), bootstrap.node.cluster.as_str()), ("x", "b"));
    let names: Vec<&str> = bootstrap.clusters.iter().map(|cluster| &*cluster.name).collect();
    assert_eq!(names, ["c", "d"]);
    assert_eq!(bootstrap.clusters[0].connect_timeout, Duration::from_secs(1));
    assert_eq!(bootstrap.admin.unwrap().address.to_string(), "127.0.0.1:2");
    // What a rule misses in one file the other may bring; null and a default change nothing.
    let half = "admin: {address: {socket_address: {address: 127.0.0.1}}}";
    assert!(load_yaml(half).is_err());
    assert!(merged(half, "admin: {address: {socket_address: {port_value: 7}}}").is_ok());
    let bootstrap = merged(file, "node: {id: ~, cluster: ''}").unwrap().bootstrap;
    assert_eq!((bootstrap.node.id.as_str(), bootstrap.node.cluster.as_str()), ("a", "b"));
}

#[test]
fn problems_of_merged_files_name_the_file_that_has_the_last_word() {
    let report = merged(
        "static_resources:\n  clusters:\n  - name: c\n  - nam: d\nstats_flush_interval: 0s\n",
        "static_resources: {clusters: [{name: 1}, {name: c}]}\nstats_flush_interval: 0.5ms\n",
    );
    assert_beginnings(
        &report.unwrap_err(),
        &[
            "envoy.yaml:4:5: static_resources.clusters[1].nam: unknown field",
            "--config-yaml:1:38: static_resources.clusters[2].name: expected a string",
            "--config-yaml:1:49: static_resources.clusters[3].name: duplicate cluster 'c'",
            "--config-yaml:2:23: stats_flush_interval: invalid duration",
        ],
    );
    // Each file that cannot be read is named.
    let report = merged("a: [", "b: [").unwrap_err();
    assert_eq!(report.problems().len(), 2, "{report}");
    assert_eq!(&*report.problems()[1].file, "--config-yaml");
}

#[test]
fn later_floors_can_ask_where_a_field_stands() {
    let loaded = load_yaml(&with_filter(ECHO)).unwrap();
    let place =
        loaded.places.find("static_resources.listeners[0].address.socket_address.port_value");
    assert_eq!((place.key.line, place.key.column), (4, 52));
    assert_eq!((place.value.line, place.value.column), (4, 64));
}

/// Words that make YAML-like text reach deep into the schema.
fn yaml_like() -> impl Strategy<Value = String> {
    let words = [
        "static_resources",
        "clusters",
        "listeners",
        "name",
        "node",
        "metadata",
        "admin",
        "address",
        "socket_address",
        "port_value",
        "filter_chains",
        "filters",
        "typed_config",
        "\"@type\"",
        "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "type.googleapis.com/google.protobuf.Duration",
        "connect_timeout",
        "load_assignment",
        "circuit_breakers",
        "thresholds",
        ":",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "&a ",
        "*a",
        "!ignore ",
        "!!str ",
        "1s",
        "0x10",
        "yes",
        "~",
        "\"",
        "'",
        "|\n",
        "? ",
        "---\n",
        "<<",
        "99999999999999999999",
        "-1",
        "1e400",
        "\u{0}",
        "\u{2028}",
        "é",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..60)
        .prop_map(|w| w.concat())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// No bytes may panic, and a refusal always says why.
    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        json: bool,
    ) {
        let name = if json { "a.json" } else { "a.yaml" };
        if let Err(report) = load(&[Source::file(name, bytes)]) {
            prop_assert!(report.is_fatal());
            prop_assert!(!report.to_string().is_empty());
        }
    }

    #[test]
    fn yaml_like_text_never_panics(text in yaml_like(), json: bool) {
        let name = if json { "a.json" } else { "a.yaml" };
        if let Err(report) = load(&[Source::file(name, text.clone().into_bytes())]) {
            prop_assert!(report.is_fatal());
            let last_line = u32::try_from(text.lines().count() + 2).unwrap();
            prop_assert!(report.problems().iter().all(|problem| problem.line <= last_line));
        }
    }
}

#[test]
fn unknown_fields_are_left_out_with_a_warning_if_that_is_asked_for() {
    let yaml = "node: {id: a, idd: b}\nnothing: {such: 1}\nadmin: {address: {port: 1}}\n";
    let sources = [Source::file("e.yaml", yaml.as_bytes().to_vec())];
    let refused = load(&sources).unwrap_err();
    assert_eq!(refused.problems().len(), 3, "{refused}");
    assert!(refused.is_fatal());
    // What is missing then is missing: an address with nothing in it.
    let report = load_with(&sources, UnknownFields::LeftOut).unwrap_err().to_string();
    assert!(report.contains("e.yaml:3:"), "{report}");
    let yaml = yaml.replace("admin: {address: {port: 1}}\n", "");
    let sources = [Source::file("e.yaml", yaml.into_bytes())];
    let loaded = load_with(&sources, UnknownFields::LeftOut).unwrap();
    assert_eq!(loaded.bootstrap.node.id, "a");
    let warnings = loaded.warnings.problems();
    let kinds: Vec<_> = warnings.iter().map(|one| (one.field_path.as_str(), one.kind)).collect();
    assert_eq!(
        kinds,
        [("node.idd", ProblemKind::Ignored), ("nothing", ProblemKind::Ignored)],
        "{}",
        loaded.warnings
    );
}

/// Envoy binds an admin address of IPv4 with `ipv4_compat`, and crashes with one of IPv6 that takes
/// no connections of IPv4.
#[test]
fn an_admin_address_takes_ipv4_too_if_it_says_so_and_can() {
    let load = |address: &str, compat: bool| {
        load_yaml(&format!(
            "admin: {{address: {{socket_address: {{address: '{address}', port_value: 80, \
             ipv4_compat: {compat}}}}}}}"
        ))
    };
    let admin = |address, compat| load(address, compat).unwrap().bootstrap.admin.unwrap();
    assert!(admin("::", true).ipv4_compat && !admin("::", false).ipv4_compat);
    let without_effect = load("127.0.0.1", true).unwrap();
    assert!(!without_effect.bootstrap.admin.unwrap().ipv4_compat);
    let warnings = without_effect.warnings.to_string();
    assert!(warnings.contains("ipv4_compat: ignored: it is about IPv6 addresses"), "{warnings}");
    let refused = load("::1", true).unwrap_err().to_string();
    assert!(refused.contains("Only IPv6 address '::' or valid IPv4-mapped"), "{refused}");
}

#[test]
fn what_envoy_looks_at_with_subsets_and_hashes_only_is_taken_without_a_word() {
    let loaded = load_yaml(
        "static_resources:
  listeners:
  - name: l
    address: {pipe: {path: '@l'}}
    filter_chains:
    - filters:
      - name: t
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: t
          hash_policy: [{source_ip: {}}]
          metadata_match: {filter_metadata: {envoy.lb: {a: b}}}
          weighted_clusters:
            clusters:
            - {name: c, weight: 1, metadata_match: {filter_metadata: {envoy.lb: {a: b}}}}
  clusters:
  - {name: c, load_assignment: {cluster_name: c}}
",
    );
    let warnings = loaded.unwrap().warnings;
    assert!(warnings.is_empty(), "{warnings}");
}
