//! Filter state: what `set_filter_state` leaves on a connection, how logs show it, and what
//! `tcp_proxy` and the pools make of it.

use super::Scenario;
use super::plan::{Endpoint, Plan, Texts};
use super::stage::Stage;
use super::tcp_texts::cluster;
use crate::peer::{Ending, Peer};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "filter_state_objects",
            shows: "filter state: every factory and odd texts; plain, typed, cut, fields, JSON",
            plan: objects,
            script: one_connection,
        },
        Scenario {
            name: "filter_state_rules",
            shows: "filter state: the last object stays, a text that is none does not; operators",
            plan: rules,
            script: one_connection,
        },
        Scenario {
            name: "filter_state_cluster",
            shows: "C5, C6: a filter steers tcp_proxy, also to a cluster that does not exist (NC)",
            plan: steered,
            script: steered_connections,
        },
        Scenario {
            name: "filter_state_weighted",
            shows: "C3, C5: weighted_clusters are drawn whatever a filter says",
            plan: || {
                let rule = [rule("envoy.tcp_proxy.cluster", "$NAME-b", "")];
                let weighted = "weighted_clusters: {clusters: [{name: $NAME, weight: 1}]}";
                plan(&[listener("", &new(&rule), weighted)], &["", "-b"], 2)
            },
            script: one_connection,
        },
        Scenario {
            name: "filter_state_moments",
            shows: "filter state: on_downstream_data, and on_downstream_tls_handshake without TLS",
            plan: moments,
            script: each_listener,
        },
        Scenario {
            name: "filter_state_idle_timeout",
            shows: "C21: per_connection_idle_timeout_ms goes before idle_timeout",
            plan: || {
                let key = "envoy.tcp_proxy.per_connection_idle_timeout_ms";
                let shared = "factory_key: envoy.string, shared_with_upstream: ONCE";
                let rules = [rule(key, "300", ""), rule("k", "a", shared)];
                let short = listener("", &new(&rules), TO_ONE);
                let other = [rule(key, "1", "factory_key: envoy.string")];
                let idle = format!("{TO_ONE}, idle_timeout: 0.4s");
                plan(&[short, listener("1", &new(&other), &idle)], &[""], 1)
            },
            script: idle,
        },
        Scenario {
            name: "filter_state_no_tunnel",
            shows: "filter state: disable_tunneling sends the connection as it is",
            plan: || {
                let key = "envoy.tcp_proxy.disable_tunneling";
                let tunnel = format!("{TO_ONE}, tunneling_config: {{hostname: 'a:1'}}");
                let listeners = [("", "true"), ("1", "TRUE")]
                    .map(|(mark, text)| listener(mark, &new(&[rule(key, text, "")]), &tunnel));
                plan(&listeners, &[""], 1)
            },
            script: no_tunnel,
        },
        Scenario {
            name: "filter_state_pools",
            shows: "C12: server name, names, protocols and shared objects part pools",
            plan: pools,
            script: parted,
        },
        Scenario {
            name: "filter_state_proxy_header_pools",
            shows: "C11, C12: connections that a PROXY header tells apart share no pool",
            plan: || plan_with(&[listener("", "", TO_ONE)], &[cluster("", &told(), &[0])], 1),
            script: told_apart,
        },
        Scenario {
            name: "filter_state_http_proxy",
            shows: "C12: http_11_proxy.info is where upstream connections go, by every transport",
            plan: http_proxy,
            script: through_proxy,
        },
        Scenario {
            name: "filter_state_socket_options",
            shows: "C13: nothing makes upstream_socket_options; another object there does nothing",
            plan: || {
                let key = "envoy.network.upstream_socket_options";
                let other = "envoy.network.proxy_protocol_options";
                let text = "factory_key: envoy.string, read_only: true";
                let rules = [rule(key, "a", text), rule(other, "b", text)];
                plan(&[listener("", &new(&rules), TO_ONE)], &[""], 1)
            },
            script: one_connection,
        },
        Scenario {
            name: "filter_state_http",
            shows: "filter state: lines of requests show what network filters left",
            plan: http,
            script: request,
        },
    ]
}

const TO_ONE: &str = "cluster: $NAME";

/// A rule with these fields besides.
fn rule(key: &str, text: &str, more: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "{{object_key: '{key}', format_string: {{text_format_source: {{inline_string: \"{text}\"}}\
         }}, {more}}}"
    )
}

/// Of a key of no factory.
fn text_rule(key: &str, text: &str) -> String {
    rule(key, text, "factory_key: envoy.string")
}

fn new(rules: &[String]) -> String {
    format!("on_new_connection: [{}]", rules.join(", "))
}

/// The keys that rules of scenarios set, each plain and typed.
const SHOWN: &str = "k %FILTER_STATE(k:PLAIN)% %FILTER_STATE(k)% j %FILTER_STATE(j:PLAIN)% \
     cluster %FILTER_STATE(envoy.tcp_proxy.cluster:PLAIN)% \
     options %FILTER_STATE(envoy.network.upstream_socket_options:PLAIN)% \
     proxy %FILTER_STATE(envoy.network.proxy_protocol_options:PLAIN)% \
     headers %FILTER_STATE(envoy.tcp_proxy.propagate_response_headers)% \
     upstream %UPSTREAM_FILTER_STATE(k:PLAIN)% to %UPSTREAM_CLUSTER% flags %RESPONSE_FLAGS% \
     because %DOWNSTREAM_LOCAL_CLOSE_REASON%\\n";

fn log(word: &str, shown: &str) -> String {
    format!(
        "[{{name: file, typed_config: {{\"@type\": \
         type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, \
         path: $FOLDER/$NAME.log, log_format: {{text_format_source: {{inline_string: \
         \"{word} {shown}\"}}}}}}}}]"
    )
}

fn listener(mark: &str, state: &str, tcp_proxy: &str) -> String {
    listener_showing(mark, state, tcp_proxy, SHOWN)
}

/// A listener of this number whose chain leaves `state`, if that says something, before
/// `tcp_proxy`. It and `tcp_proxy` write a line each.
fn listener_showing(mark: &str, state: &str, tcp_proxy: &str, shown: &str) -> String {
    let mut filters = Vec::new();
    if !state.is_empty() {
        filters.push(set_filter_state(state));
    }
    filters.push(format!(
        "{{name: tcp, typed_config: {{\"@type\": \
         type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, \
         stat_prefix: $NAME, {tcp_proxy}, access_log: {}}}}}",
        log("filter", shown)
    ));
    format!(
        "- name: $NAME{mark}\n  address: $LISTENER{mark}\n  access_log: {}\n  \
         filter_chains: [{{name: chain, filters: [{}]}}]\n",
        log("listener", shown),
        filters.join(", ")
    )
}

fn set_filter_state(state: &str) -> String {
    format!(
        "{{name: state, typed_config: {{\"@type\": \
         type.googleapis.com/envoy.extensions.filters.network.set_filter_state.v3.Config, \
         {state}}}}}"
    )
}

/// Each cluster has an endpoint of its own.
fn plan(listeners: &[String], clusters: &[&str], endpoints: usize) -> Plan {
    let each = clusters.iter().enumerate();
    let clusters: Vec<_> = each.map(|(index, name)| cluster(name, "", &[index])).collect();
    plan_with(listeners, &clusters, endpoints)
}

fn plan_with(listeners: &[String], clusters: &[String], endpoints: usize) -> Plan {
    let texts = Texts {
        listeners: listeners.concat(),
        clusters: clusters.concat(),
        bootstrap: String::new(),
    };
    Plan::template(texts, (0..endpoints).map(|_| Endpoint::serving()).collect())
}

/// Each factory, by the name it has for a key, and texts for it.
const OBJECTS: &[(&str, &[&str])] = &[
    ("envoy.string", &["a b\"\\,c<", "", "é"]),
    ("envoy.hashable_string", &["a\"b", ""]),
    ("envoy.upstream.dynamic_host", &["a.com"]),
    ("envoy.ai.model.request", &["x", ""]),
    ("envoy.tcp_proxy.cluster", &["a\"b"]),
    ("envoy.network.upstream_server_name", &["a.com", ""]),
    ("envoy.network.upstream_subject_alt_names", &["a.com,b.com"]),
    ("envoy.network.network_namespace", &["/a"]),
    ("envoy.network.application_protocols", &["h2,http/1.1"]),
    ("envoy.network.transport_socket.http_11_proxy.info", &["a:1,1.2.3.4:5"]),
    ("envoy.router.debug_config", &[""]),
    ("envoy.bool", &["true", "YES", "0", "on"]),
    ("envoy.tcp_proxy.disable_tunneling", &["true", "1"]),
    ("envoy.upstream.dynamic_port", &["80", "65536", "4294967296"]),
    ("envoy.ratelimit.hits_addend", &["7"]),
    ("envoy.tcp_proxy.per_connection_idle_timeout_ms", &["18446744073709551615", " 7 ", "-1"]),
    ("envoy.network.transport_socket.original_dst_address", &["1.2.3.4:080", "[::1]:443", "1:2"]),
    ("envoy.filters.listener.original_dst.local_ip", &["1.2.3.4:5"]),
    ("envoy.filters.listener.original_dst.remote_ip", &["1.2.3.4:5"]),
    ("envoy.network.ip", &["1.2.3.4", "2001:DB8::1", "1.2.3.4:5"]),
];

/// All of them on one connection, under keys of their own.
fn objects() -> Plan {
    let (mut rules, mut text, mut json) = (Vec::new(), String::new(), String::new());
    for (factory, texts) in OBJECTS {
        for object in *texts {
            let key = format!("k{}", rules.len());
            rules.push(rule(&key, object, &format!("factory_key: {factory}")));
            let operators = ["PLAIN)", "PLAIN):3", "FIELD:ip)", "FIELD:port)", "FIELD:x)"];
            let operators: Vec<_> =
                operators.iter().map(|form| format!("%FILTER_STATE({key}:{form}%")).collect();
            // What Envoy escapes in a text of JSON is more than in a line of JSON.
            if !object.contains('<') {
                let typed = format!("%FILTER_STATE({key})% %FILTER_STATE({key}:TYPED):3%");
                text.push_str(&format!("{typed} "));
            }
            text.push_str(&format!("{}\\n{key} ", operators.join(" ")));
            for (index, form) in
                [")", ":TYPED):3", ":PLAIN)", ":PLAIN):3", ":FIELD:port)"].into_iter().enumerate()
            {
                json.push_str(&format!("{key}-{index}: \"%FILTER_STATE({key}{form}%\", "));
            }
        }
    }
    let more = format!(
        "\n  access_log: [{{name: json, typed_config: {{\"@type\": \
         type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, \
         path: $FOLDER/$NAME.log, log_format: {{json_format: {{{json}}}}}}}}}, "
    );
    let listener = listener_showing("", &new(&rules), TO_ONE, &format!("{text}\\n"));
    let listener = listener.replacen("\n  access_log: [", &more, 1);
    plan(&[listener], &[""], 1)
}

fn rules() -> Plan {
    let key = |index: usize| format!("k{index}");
    let (string, skips) = ("factory_key: envoy.string", "skip_if_empty: true");
    let omits = |text: &str, key: &str| {
        format!(
            "{{object_key: {key}, {string}, {skips}, format_string: {{text_format_source: \
             {{inline_string: '{text}'}}, omit_empty_values: true}}}}"
        )
    };
    let rules = [
        text_rule(&key(0), "1"),
        text_rule(&key(0), "2"),
        text_rule(&key(1), "1"),
        rule(&key(1), "", &format!("{string}, {skips}")),
        text_rule(&key(2), "1"),
        text_rule(&key(2), ""),
        text_rule(&key(3), "1"),
        rule(&key(3), "x", "factory_key: envoy.network.ip"),
        rule(&key(4), "1", &format!("{string}, read_only: true")),
        text_rule(&key(4), "2"),
        text_rule(&key(5), "one"),
        text_rule(&key(6), "[%FILTER_STATE(k5:PLAIN)% %FILTER_STATE(k5)% %FILTER_STATE(no)%]"),
        text_rule(&key(7), "%PROTOCOL%"),
        text_rule(&key(8), "1"),
        omits("%PROTOCOL%", &key(8)),
        format!(
            "{{object_key: k9, {string}, \
             format_string: {{json_format: {{b: '%PROTOCOL%', a: 1}}}}}}"
        ),
        text_rule(
            &key(10),
            "%BYTES_RECEIVED% %BYTES_SENT% %RESPONSE_FLAGS% %UPSTREAM_HOST% %UPSTREAM_CLUSTER% \
             %RESPONSE_CODE% %REQ(a)% %ACCESS_LOG_TYPE% %FILTER_CHAIN_NAME% %STREAM_ID% \
             %REQUESTED_SERVER_NAME% %DOWNSTREAM_DETECTED_CLOSE_TYPE% %ROUTE_NAME% \
             %CONNECTION_TERMINATION_DETAILS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% \
             %UPSTREAM_REQUEST_ATTEMPT_COUNT% %UPSTREAM_CONNECTION_ID% %DOWNSTREAM_LOCAL_ADDRESS% \
             %COMMON_DURATION(DS_CX_BEG:DS_CX_END:ms)% %DOWNSTREAM_WIRE_BYTES_RECEIVED%",
        ),
        text_rule(&key(11), "%FILTER_STATE(k5:PLAIN):2%"),
        rule(&key(12), "a", &format!("{string}, shared_with_upstream: TRANSITIVE")),
        text_rule("envoy.tcp_proxy.propagate_response_headers", "b"),
        text_rule("envoy.network.proxy_protocol.tlv", "c"),
    ];
    let mut shown: String =
        (0..13).map(|index| format!("{0} %FILTER_STATE({0}:PLAIN)% ", key(index))).collect();
    shown.push_str(
        "headers %FILTER_STATE(envoy.tcp_proxy.propagate_response_headers)% \
         %FILTER_STATE(envoy.tcp_proxy.propagate_response_headers:PLAIN)% \
         tlv %FILTER_STATE(envoy.network.proxy_protocol.tlv)% \
         upstream %UPSTREAM_FILTER_STATE(k12)% %UPSTREAM_FILTER_STATE(k12:PLAIN)% \
         not %UPSTREAM_FILTER_STATE(k0:PLAIN)%\\n",
    );
    plan(&[listener_showing("", &new(&rules), TO_ONE, &shown)], &[""], 1)
}

/// By its address a client does not go elsewhere, but by its listener it does.
fn steered() -> Plan {
    let key = "envoy.tcp_proxy.cluster";
    let rules = [
        rule(key, "$NAME-b", ""),
        rule(key, "$NAME%FILTER_STATE(k:PLAIN)%", ""),
        rule(key, "$NAME-none", ""),
        rule(key, "", ""),
        rule(key, "", "skip_if_empty: true"),
        rule(key, "$NAME-b", "factory_key: envoy.string"),
        rule("other", "$NAME-b", &format!("factory_key: {key}")),
    ];
    let listeners: Vec<_> = rules
        .into_iter()
        .enumerate()
        .map(|(index, rule)| {
            let mark = if index == 0 { String::new() } else { index.to_string() };
            listener(&mark, &new(&[text_rule("k", "-b"), rule]), TO_ONE)
        })
        .collect();
    plan(&listeners, &["", "-b"], 2)
}

fn moments() -> Plan {
    let late = format!(
        "on_downstream_data: [{}, {}]",
        rule("envoy.tcp_proxy.cluster", "$NAME-b", ""),
        text_rule("k", "%FILTER_STATE(k:PLAIN)%late"),
    );
    let delayed =
        format!("{TO_ONE}, upstream_connect_mode: ON_DOWNSTREAM_DATA, max_early_data_bytes: 100");
    let tls = format!(
        "on_downstream_tls_handshake: [{}], on_new_connection: [{}]",
        text_rule("k", "%FILTER_STATE(k:PLAIN)% handshake"),
        text_rule("k", "new"),
    );
    let listeners =
        [listener("", &late, TO_ONE), listener("1", &late, &delayed), listener("2", &tls, TO_ONE)];
    plan(&listeners, &["", "-b"], 2)
}

/// Each client has something of its own: in its listener's rule, if that counts.
fn pools() -> Plan {
    let own = "%DOWNSTREAM_REMOTE_PORT%";
    let address = format!("1.2.3.4:{own}");
    let shared = |factory: &str| format!("factory_key: {factory}, shared_with_upstream: ONCE");
    let rules = [
        rule("envoy.network.upstream_server_name", own, ""),
        rule("envoy.network.upstream_subject_alt_names", own, ""),
        rule("envoy.network.application_protocols", own, ""),
        rule("k", own, &shared("envoy.hashable_string")),
        rule("k", &address, &shared("envoy.network.transport_socket.original_dst_address")),
        // These do not count.
        rule("envoy.network.upstream_server_name", "same", ""),
        rule("envoy.network.upstream_server_name", own, "factory_key: envoy.string"),
        rule("k", own, &shared("envoy.string")),
        rule("k", own, &shared("envoy.network.upstream_server_name")),
        rule("k", own, "factory_key: envoy.hashable_string"),
        rule("envoy.network.transport_socket.original_dst_address", &address, ""),
    ];
    let (mut listeners, mut clusters) = (Vec::new(), Vec::new());
    for (index, rule) in rules.into_iter().enumerate() {
        let mark = if index == 0 { String::new() } else { index.to_string() };
        let (name, route) = (format!("-{index}"), format!("cluster: $NAME-{index}"));
        listeners.push(listener(&mark, &new(&[rule]), &route));
        clusters.push(cluster(&name, ONE_EACH, &[index]));
    }
    plan_with(&listeners, &clusters, 11)
}

/// How many of the listeners of [`pools`] give each client a pool of its own.
const PARTED: usize = 5;

const ONE_EACH: &str = "circuit_breakers: {per_host_thresholds: [{max_connections: 1}]}";

fn told() -> String {
    format!(
        "{ONE_EACH}\ntransport_socket:\n  name: proxy\n  typed_config:\n    \"@type\": \
         type.googleapis.com/envoy.extensions.transport_sockets.proxy_protocol.v3.\
         ProxyProtocolUpstreamTransport\n    config: {{version: V1}}\n    transport_socket:\n      \
         name: raw\n      typed_config: {{\"@type\": \
         type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer}}"
    )
}

/// The cluster's endpoint refuses; the proxy is another one.
fn http_proxy() -> Plan {
    let key = "envoy.network.transport_socket.http_11_proxy.info";
    let shown = "host %UPSTREAM_HOST% remote %UPSTREAM_REMOTE_ADDRESS% attempted \
         %UPSTREAM_HOSTS_ATTEMPTED% flags %RESPONSE_FLAGS%\\n";
    let proxy = Endpoint::serving();
    let rule = rule(key, &format!("a.com:443, {} ", proxy.address()), "");
    let listener = listener_showing("", &new(&[rule]), TO_ONE, shown);
    let texts =
        Texts { listeners: listener, clusters: cluster("", "", &[1]), bootstrap: String::new() };
    Plan::template(texts, vec![proxy, Endpoint::refusing()])
}

fn http() -> Plan {
    let manager = format!(
        "{{name: http, typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.filters.\
         network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: $NAME, \
         access_log: {}, route_config: {{virtual_hosts: [{{name: all, domains: ['*'], routes: \
         [{{match: {{prefix: /}}, direct_response: {{status: 200}}}}]}}]}}, \
         http_filters: [{{name: router, typed_config: {{\"@type\": \
         type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}]}}}}",
        log("request", SHOWN)
    );
    let state = format!(
        "{}, on_downstream_data: [{}]",
        new(&[text_rule("k", "a")]),
        text_rule("j", "%FILTER_STATE(k:PLAIN)%b")
    );
    let listener = format!(
        "- name: $NAME\n  address: $LISTENER\n  access_log: {}\n  \
         filter_chains: [{{name: chain, filters: [{}, {manager}]}}]\n",
        log("listener", SHOWN),
        set_filter_state(&state),
    );
    plan_with(&[listener], &[], 0)
}

/// A byte each way, and the ends.
fn relay(mut client: Peer, mut upstream: Peer) {
    client.send(b"a");
    assert_eq!(upstream.receive(1), b"a");
    upstream.send(b"b");
    assert_eq!(client.receive(1), b"b");
    client.finish_sending();
    assert_eq!(upstream.ending(), Ending::Fin);
    upstream.finish_sending();
    assert_eq!(client.ending(), Ending::Fin);
}

fn one_connection(stage: &mut Stage<'_>) {
    let (client, upstream) = stage.relayed();
    relay(client, upstream);
    stage.note_access_log_up_to("filter");
}

fn steered_connections(stage: &mut Stage<'_>) {
    let upstreams: Vec<_> = stage.upstreams().collect();
    for (listener, to) in
        [Some(1), Some(1), None, None, Some(0), Some(0), Some(0)].into_iter().enumerate()
    {
        let client = stage.connect_to(listener);
        match to {
            Some(to) => relay(client, upstreams[to].accept()),
            None => {
                let mut client = client;
                stage.note_end(&format!("listener {listener}"), &client.receive_to_end());
            }
        }
    }
    stage.note_access_log(14);
}

fn each_listener(stage: &mut Stage<'_>) {
    let upstream = stage.upstreams().next().unwrap();
    for listener in 0..3 {
        let mut client = stage.connect_to(listener);
        client.send(b"x");
        let mut upstream = upstream.accept();
        assert_eq!(upstream.receive(1), b"x");
        relay(client, upstream);
    }
    stage.note_access_log(6);
}

fn idle(stage: &mut Stage<'_>) {
    for listener in 0..2 {
        let mut client = stage.connect_to(listener);
        let upstream = stage.accept();
        stage.note_end(&format!("listener {listener}"), &client.receive_to_end());
        drop(upstream);
    }
    stage.expect_stat("tcp.idle_timeout", 2);
    stage.note_access_log(4);
}

fn no_tunnel(stage: &mut Stage<'_>) {
    let (client, upstream) = stage.relayed();
    relay(client, upstream);
    let mut client = stage.connect_to(1);
    let mut upstream = stage.accept();
    assert_eq!(upstream.receive(7), b"CONNECT");
    upstream.send(b"HTTP/1.1 200 OK\r\n\r\n");
    upstream.send(b"b");
    assert_eq!(client.receive(1), b"b");
    drop(upstream);
    stage.note_end("the tunnel", &client.receive_to_end());
    stage.note_access_log(4);
}

/// A host that may have one connection has one from each pool.
fn parted(stage: &mut Stage<'_>) {
    for (listener, upstream) in stage.upstreams().enumerate() {
        let mut first = (stage.connect_to(listener), upstream.accept());
        // The proxy knows that it is connected, too.
        first.0.send(b"x");
        assert_eq!(first.1.receive(1), b"x");
        let second = stage.connect_to(listener);
        if listener < PARTED {
            relay(second, upstream.accept());
            relay(first.0, first.1);
        } else {
            stage.expect_stat(&format!("cluster-{listener}.upstream_cx_overflow"), 1);
            let (mut client, upstream_of_first) = first;
            drop(upstream_of_first);
            assert_eq!(client.ending(), Ending::Fin);
            drop(client);
            relay(second, upstream.accept());
        }
    }
}

fn told_apart(stage: &mut Stage<'_>) {
    let first = stage.relayed();
    let second = stage.relayed();
    for (mut client, mut upstream) in [first, second] {
        client.send(b"x");
        client.finish_sending();
        let port = client.stream().local_addr().unwrap().port();
        let header = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {port} {}", stage.listener_port(0));
        assert_eq!(upstream.receive_to_end(), (format!("{header}\r\nx").into_bytes(), Ending::Fin));
        upstream.finish_sending();
        assert_eq!(client.ending(), Ending::Fin);
    }
    stage.note_access_log(4);
}

fn through_proxy(stage: &mut Stage<'_>) {
    let (client, upstream) = stage.relayed();
    relay(client, upstream);
    stage.note_access_log(2);
}

fn request(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let message = client.receive_response("GET");
    stage.note_message("the client", &message);
    client.finish_sending();
    assert_eq!(client.ending(), Ending::Fin);
    stage.note_access_log(2);
}
