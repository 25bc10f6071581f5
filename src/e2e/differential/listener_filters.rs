//! Listener filters: whose connection it is, as a header of the PROXY protocol says, and what
//! becomes of that.

use std::net::Shutdown;

use super::Scenario;
use super::plan::{Endpoint, Plan, Texts};
use super::proxy_headers::{self, Beginning, tlv};
use super::stage::Stage;
use crate::peer::Peer;

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = headers();
    all.extend(addresses());
    all.extend(times());
    all
}

fn headers() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "listener_headers",
            shows: "proxy_protocol: every corner of a header: outcome, bytes, stats and log line",
            plan: || behind(RULES, WAITS, ECHO),
            script: every_beginning,
        },
        Scenario {
            name: "listener_headers_optional",
            shows: "proxy_protocol: the same where allow_requests_without_proxy_protocol is set",
            plan: || behind("allow_requests_without_proxy_protocol: true", WAITS, ECHO),
            script: every_beginning,
        },
        Scenario {
            name: "listener_headers_no_v1",
            shows: "proxy_protocol: the same with disallowed_versions: [V1]",
            plan: || behind("disallowed_versions: [V1]", WAITS, ECHO),
            script: every_beginning,
        },
        Scenario {
            name: "listener_headers_no_v2",
            shows: "proxy_protocol: the same with disallowed_versions: [V2]",
            plan: || behind("disallowed_versions: [V2]", WAITS, ECHO),
            script: every_beginning,
        },
        Scenario {
            name: "listener_headers_optional_no_v2",
            shows: "proxy_protocol: V2 disallowed where no header is necessary counts as none",
            plan: || {
                let both = "disallowed_versions: [V2], allow_requests_without_proxy_protocol: true";
                behind(both, WAITS, ECHO)
            },
            script: every_beginning,
        },
        Scenario {
            name: "listener_headers_in_pieces",
            shows: "proxy_protocol: headers that come byte by byte",
            plan: || behind(RULES, "", ECHO),
            script: in_pieces,
        },
        Scenario {
            name: "listener_headers_alone",
            shows: "proxy_protocol: headers with nothing behind them",
            plan: || behind("", "", ECHO),
            script: alone,
        },
        Scenario {
            name: "listener_header_left",
            shows: "proxy_protocol: a client that ends its side within its header",
            plan: || behind("", "", ECHO),
            script: leaves_within,
        },
        Scenario {
            name: "listener_header_reset",
            shows: "proxy_protocol: a client that resets the connection within its header",
            plan: || behind("", "listener_filters_timeout: 1s", ECHO),
            script: reset_within,
        },
        Scenario {
            name: "listener_headers_two_filters",
            shows: "proxy_protocol: two filters read two headers; one is disabled by its port",
            plan: two_filters,
            script: two_headers,
        },
    ]
}

fn addresses() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "listener_addresses",
            shows: "proxy_protocol: filter chains, rbac and logs see the client, direct ones the \
                    peer",
            plan: chains,
            script: matched,
        },
        Scenario {
            name: "listener_upstream_header",
            shows: "C11, proxy_protocol: the upstream is told what the client's header said, with \
                    TLVs",
            plan: || relayed(RULES, "V2", ""),
            script: told_again,
        },
        Scenario {
            name: "listener_upstream_header_v1",
            shows: "C11, proxy_protocol: the same in version 1",
            plan: || relayed(RULES, "V1", ""),
            script: told_again,
        },
        Scenario {
            name: "listener_http",
            shows: "proxy_protocol: x-forwarded-for, upstream header and log of HTTP requests",
            plan: || http_plan("use_remote_address: true", ""),
            script: requests,
        },
        Scenario {
            name: "listener_http_inside",
            shows: "proxy_protocol: the same without use_remote_address",
            plan: || http_plan("use_remote_address: false", ""),
            script: requests,
        },
        Scenario {
            name: "listener_filter_state",
            shows: "proxy_protocol: TLVs in the filter state, for connections and requests",
            plan: || http_plan("use_remote_address: true", "tlv_location: FILTER_STATE, "),
            script: requests,
        },
        Scenario {
            name: "listener_hand_off",
            shows: "use_original_dst: a restored local address leads to the listener that has it",
            plan: hand_off,
            script: handed_off,
        },
    ]
}

fn times() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "listener_timeout",
            shows: "listener_filters_timeout: closed, with a reset if something was sent",
            plan: || behind("", "listener_filters_timeout: 0.2s", ECHO),
            script: too_late,
        },
        Scenario {
            name: "listener_timeout_continues",
            shows: "continue_on_listener_filters_timeout: what was sent comes first",
            plan: || {
                let more = "listener_filters_timeout: 0.2s\n  \
                            continue_on_listener_filters_timeout: true";
                behind("", more, ECHO)
            },
            script: goes_on,
        },
        Scenario {
            name: "listener_timeout_off",
            shows: "listener_filters_timeout: 0s waits for any time; pre_cx_active meanwhile",
            plan: || behind("", "listener_filters_timeout: 0s", ECHO),
            script: waits,
        },
    ]
}

/// What never becomes a header ends so.
const WAITS: &str = "listener_filters_timeout: 2s";

const ECHO: &str = "{\"@type\": type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo}";

const TCP_PROXY: &str = "{\"@type\": \
     type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, \
     stat_prefix: $NAME, cluster: $NAME}";

/// Values of two types, one of them in a namespace of its own; two types for upstreams.
const RULES: &str = "rules: [{tlv_type: 0xE1, on_tlv_present: {key: first}}, \
     {tlv_type: 0xE3, on_tlv_present: {key: first}}, \
     {tlv_type: 0xE4, on_tlv_present: {metadata_namespace: other, key: b, \
     value_string_encoding: BASE64}}, {tlv_type: 0xE5}], \
     pass_through_tlvs: {match_type: INCLUDE, tlv_type: [0xE1, 5]}";

const FORMAT: &str = "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS% \
     %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_DIRECT_LOCAL_ADDRESS% \
     chain %FILTER_CHAIN_NAME% flags %RESPONSE_FLAGS% bytes %BYTES_RECEIVED% %BYTES_SENT% \
     all %DYNAMIC_METADATA(envoy.filters.listener.proxy_protocol)% \
     cut %DYNAMIC_METADATA(envoy.filters.listener.proxy_protocol):7% \
     first %DYNAMIC_METADATA(envoy.filters.listener.proxy_protocol:first)% \
     three %DYNAMIC_METADATA(envoy.filters.listener.proxy_protocol:first):3% \
     below %DYNAMIC_METADATA(envoy.filters.listener.proxy_protocol:first:x)% \
     other %DYNAMIC_METADATA(other:b)% \
     state %FILTER_STATE(envoy.network.proxy_protocol.tlv:FIELD:first)% \
     none %FILTER_STATE(envoy.network.proxy_protocol.tlv:FIELD:none):2% \
     close %DOWNSTREAM_LOCAL_CLOSE_REASON% %CONNECTION_TERMINATION_DETAILS%";

const JSON_FORMAT: &str = "{all: \"%DYNAMIC_METADATA(envoy.filters.listener.proxy_protocol)%\", \
     cut: \"%DYNAMIC_METADATA(envoy.filters.listener.proxy_protocol):7%\", \
     first: \"%DYNAMIC_METADATA(envoy.filters.listener.proxy_protocol:first):4%\", \
     within: \"x%DYNAMIC_METADATA(envoy.filters.listener.proxy_protocol)%\", \
     state: \"%FILTER_STATE(envoy.network.proxy_protocol.tlv)%\"}";

/// Two lines for each connection or request, of the listener or of HTTP.
fn access_log(word: &str) -> String {
    let one = |format: &str| {
        format!(
            "{{name: file, typed_config: {{\"@type\": \
             type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, \
             path: $FOLDER/$NAME.log, log_format: {{{format}}}}}}}"
        )
    };
    let text = format!("text_format_source: {{inline_string: \"{word} {FORMAT}\\n\"}}");
    format!("[{}, {}]", one(&text), one(&format!("json_format: {JSON_FORMAT}")))
}

fn proxy_protocol(options: &str) -> String {
    format!(
        "{{name: proxy, typed_config: {{\"@type\": \
         type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol, \
         stat_prefix: $NAME, {options}}}}}"
    )
}

/// One listener with these listener filters, fields and filter chains.
fn listener(number: &str, filters: &[String], more: &str, chains: &str) -> String {
    format!(
        "- name: $NAME{number}\n  address: $LISTENER{number}\n  {more}\n  access_log: {}\n  \
         listener_filters: [{}]\n  filter_chains: [{chains}]\n",
        access_log("L"),
        filters.join(", ")
    )
}

fn chain(name: &str, more: &str, filters: &[&str]) -> String {
    let filters: Vec<_> = filters
        .iter()
        .enumerate()
        .map(|(index, filter)| format!("{{name: f{index}, typed_config: {filter}}}"))
        .collect();
    format!("{{name: {name}, {more} filters: [{}]}}", filters.join(", "))
}

/// `proxy_protocol` with these options before one chain of one filter.
fn behind(options: &str, more: &str, filter: &str) -> Plan {
    let chain = chain("chain", "", &[filter]);
    let listeners = listener("", &[proxy_protocol(options)], more, &chain);
    Plan::template(Texts { listeners, clusters: String::new(), bootstrap: String::new() }, vec![])
}

/// A cluster whose connections begin with a header.
fn cluster(version: &str) -> String {
    format!(
        "- name: $NAME
  type: STATIC
  connect_timeout: 5s
  transport_socket:
    name: envoy.transport_sockets.upstream_proxy_protocol
    typed_config:
      \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.proxy_protocol.v3.\
         ProxyProtocolUpstreamTransport
      config:
        version: {version}
        pass_through_tlvs: {{match_type: INCLUDE_ALL}}
        added_tlvs: [{{type: 0xF1, value: AAEC}}, {{type: 0xE7, value: b3du}}]
      transport_socket:
        name: envoy.transport_sockets.raw_buffer
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer
  load_assignment:
    cluster_name: $NAME
    endpoints:
    - lb_endpoints: [{{endpoint: {{address: $UPSTREAM}}}}]
"
    )
}

fn relayed(options: &str, version: &str, more: &str) -> Plan {
    let chain = chain("chain", "", &[TCP_PROXY]);
    let listeners = listener("", &[proxy_protocol(options)], more, &chain);
    let clusters = cluster(version);
    let texts = Texts { listeners, clusters, bootstrap: String::new() };
    Plan::template(texts, vec![Endpoint::serving()])
}

/// HTTP behind `proxy_protocol`, with a field of the connection manager and one of the filter.
fn http_plan(manager: &str, location: &str) -> Plan {
    let manager = format!(
        "{{\"@type\": type.googleapis.com/envoy.extensions.filters.network.\
         http_connection_manager.v3.HttpConnectionManager, stat_prefix: $NAME, {manager}, \
         generate_request_id: false, access_log: {}, \
         route_config: {{virtual_hosts: [{{name: all, domains: ['*'], routes: [{{match: \
         {{prefix: /}}, route: {{cluster: $NAME}}}}]}}]}}, \
         http_filters: [{{name: router, typed_config: {{\"@type\": \
         type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, \
         suppress_envoy_headers: true}}}}]}}",
        access_log("H")
    );
    let chain = chain("chain", "", &[&manager]);
    let filter = proxy_protocol(&format!("{location}{RULES}"));
    let listeners = listener("", &[filter], "", &chain);
    let texts = Texts { listeners, clusters: cluster("V2"), bootstrap: String::new() };
    Plan::template(texts, vec![Endpoint::serving()])
}

fn two_filters() -> Plan {
    let disabled = |range: &str| {
        let filter = proxy_protocol("");
        let fields = format!("filter_disabled: {{destination_port_range: {range}}}, typed_config");
        filter.replacen("typed_config", &fields, 1)
    };
    let filters = [
        proxy_protocol(""),
        // The first one has restored another port than the socket's.
        disabled("{start: 4, end: 5}"),
        disabled("{start: 1024, end: 65536}"),
    ];
    let listeners = listener("", &filters, "", &chain("chain", "", &[ECHO]));
    let texts = Texts { listeners, clusters: String::new(), bootstrap: String::new() };
    Plan::template(texts, vec![])
}

/// Chains by each of the addresses, one of which lets in only whom the header names.
fn chains() -> Plan {
    let rbac = |principal: &str, address: &str| {
        format!(
            "{{\"@type\": type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC, \
             stat_prefix: rbac.$NAME, rules: {{policies: {{one: {{permissions: \
             [{{destination_ip: {{address_prefix: 10.9.0.0, prefix_len: 16}}}}], principals: \
             [{{{principal}: {{address_prefix: {address}, prefix_len: 32}}}}]}}}}}}}}"
        )
    };
    let matches = |text: &str| format!("filter_chain_match: {{{text}}},");
    let prefix = |field: &str, ip: &str| {
        matches(&format!("{field}: [{{address_prefix: {ip}, prefix_len: 16}}]"))
    };
    let chains = [
        chain("local", &prefix("prefix_ranges", "10.1.0.0"), &[ECHO]),
        chain("port", &matches("destination_port: 4321"), &[ECHO]),
        chain("remote", &prefix("source_prefix_ranges", "10.2.0.0"), &[ECHO]),
        chain("remote-port", &matches("source_ports: [1234]"), &[ECHO]),
        chain("direct", &prefix("direct_source_prefix_ranges", "10.3.0.0"), &[ECHO]),
        chain(
            "rbac-remote",
            &prefix("prefix_ranges", "10.9.0.0"),
            &[&rbac("remote_ip", "10.8.0.1"), ECHO],
        ),
        chain(
            "rbac-direct",
            &matches("destination_port: 99"),
            &[&rbac("direct_remote_ip", "127.0.0.1"), ECHO],
        ),
        chain("inside", &matches("source_type: SAME_IP_OR_LOOPBACK"), &[ECHO]),
    ];
    let listeners = listener("", &[proxy_protocol("")], "", &chains.join(", "));
    let texts = Texts { listeners, clusters: String::new(), bootstrap: String::new() };
    Plan::template(texts, vec![])
}

fn hand_off() -> Plan {
    let own = chain("own", "", &[ECHO]);
    let first = listener("", &[proxy_protocol(RULES)], "use_original_dst: true", &own);
    let direct = "{\"@type\": \
         type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config, \
         response: {inline_string: handed}}";
    let second = listener("1", &[], "", &chain("other", "", &[direct]));
    let listeners = format!("{first}{second}");
    let texts = Texts { listeners, clusters: String::new(), bootstrap: String::new() };
    Plan::template(texts, vec![])
}

/// Sends these bytes, and FIN once something came back; notes what did.
fn send_all(stage: &mut Stage<'_>, name: &str, bytes: &[u8]) {
    let mut client = stage.connect();
    client.send_even_if_closed(bytes);
    note_answer(stage, name, client);
}

/// Notes what comes back, the client's FIN in between: with a header, Envoy would take it for the
/// client's leave.
fn note_answer(stage: &mut Stage<'_>, name: &str, mut client: Peer) {
    if client.answers() {
        // Who answers may have closed already.
        let _ = client.stream().shutdown(Shutdown::Write);
    }
    let (received, ending) = client.receive_to_end();
    let shown = &received[..received.len().min(60)];
    let shown = format!("{} {}", received.len(), shown.escape_ascii());
    stage.note(&format!("{name}: received"), shown);
    stage.note(&format!("{name}: ended by"), ending);
}

/// All at once, so that those that wait for their time to be over do so together.
fn every_beginning(stage: &mut Stage<'_>) {
    let all = proxy_headers::all();
    let send = |beginning: &Beginning| {
        let mut client = stage.connect();
        client.send_even_if_closed(&beginning.bytes);
        client
    };
    let clients: Vec<_> = all.iter().map(send).collect();
    for (beginning, client) in all.iter().zip(clients) {
        note_answer(stage, beginning.name, client);
    }
    let mut lines = stage.access_log_lines(2 * all.len());
    lines.sort_by_cached_key(|line| without_ports(line));
    for (index, line) in lines.iter().enumerate() {
        let line = stage.shown(line.as_bytes());
        stage.note(&format!("log line {index}"), String::from_utf8_lossy(&line));
    }
}

/// A line without what differs from run to run, by which it must not be sorted.
fn without_ports(line: &str) -> String {
    let word =
        |word: &str| word.strip_prefix("127.0.0.1:").map_or(word, |_| "127.0.0.1").to_owned();
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn in_pieces(stage: &mut Stage<'_>) {
    let tlvs = [tlv(0xe1, b"value"), tlv(2, b"x")];
    for (name, header) in [
        ("v1", b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000\r\n".to_vec()),
        ("v2", proxy_headers::v2(&tlvs)),
        ("local", proxy_headers::v2_local()),
        ("a wrong one", b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 99999\r\n".to_vec()),
        ("none", b"PROXI TCP4 1.2.3.4 5.6.7.8\r\n".to_vec()),
    ] {
        let mut client = stage.connect();
        for byte in [&header[..], b"t"].concat() {
            client.send_even_if_closed(&[byte]);
        }
        note_answer(stage, name, client);
    }
    stage.note_access_log(10);
}

/// A header and nothing behind it.
fn alone(stage: &mut Stage<'_>) {
    let v1 = b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000\r\n".to_vec();
    for (name, header) in [("v1", v1), ("v2", proxy_headers::v2(&[]))] {
        let mut client = stage.connect();
        client.send(&header);
        stage.expect_stat("listener.downstream_cx_active", 1);
        client.finish_sending();
        stage.note_end(name, &client.receive_to_end());
        stage.expect_stat("listener.downstream_cx_active", 0);
    }
    stage.note_access_log(4);
}

fn leaves_within(stage: &mut Stage<'_>) {
    for (name, bytes) in [("something", &b"PROXY TCP4 1.2.3.4"[..]), ("nothing", b"")] {
        let mut client = stage.connect();
        client.send(bytes);
        stage.expect_stat("listener.downstream_pre_cx_active", 1);
        client.finish_sending();
        stage.note_end(name, &client.receive_to_end());
        stage.expect_stat("listener.downstream_pre_cx_active", 0);
    }
    stage.note_access_log(4);
}

fn reset_within(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(b"PROXY TCP4 1.2.3.4 ");
    stage.expect_stat("listener.downstream_pre_cx_active", 1);
    client.reset();
    stage.note_access_log(2);
}

fn two_headers(stage: &mut Stage<'_>) {
    let one = "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n";
    for (name, bytes) in [
        ("two", format!("{one}PROXY TCP4 3.3.3.3 4.4.4.4 3 3\r\nPROXY UNKNOWN\r\ntail")),
        ("the second is disabled", "PROXY TCP4 3.3.3.3 4.4.4.4 3 4\r\nPROXY UNKNOWN\r\nt".into()),
        ("the third is disabled", format!("{one}PROXY TCP4 3.3.3.3 4.4.4.4 3 5000\r\ntail")),
        ("one of two", format!("{one}tail of a connection\r\n")),
    ] {
        send_all(stage, name, bytes.as_bytes());
    }
    stage.note_access_log(8);
}

fn matched(stage: &mut Stage<'_>) {
    let all = [
        "10.5.0.1 10.1.0.1 5000 80",
        "10.5.0.1 10.6.0.1 5000 4321",
        "10.2.0.1 10.6.0.1 5000 80",
        "10.5.0.1 10.6.0.1 1234 80",
        "10.3.0.1 10.6.0.1 5000 80",
        "10.8.0.1 10.9.0.1 5000 80",
        "10.8.0.2 10.9.0.1 5000 80",
        "10.8.0.1 10.9.0.1 5000 99",
        "10.8.0.1 10.6.0.1 5000 99",
        "10.6.0.1 10.6.0.1 5000 80",
        "127.0.0.1 10.6.0.1 5000 80",
        "10.5.0.1 10.6.0.1 5000 80",
    ];
    for ends in all {
        send_all(stage, ends, format!("PROXY TCP4 {ends}\r\nhello").as_bytes());
    }
    send_all(stage, "no addresses", b"PROXY UNKNOWN\r\nhello");
    stage.note_access_log(2 * (all.len() + 1));
}

fn extensions() -> Vec<Vec<u8>> {
    vec![
        tlv(0xe1, b"one"),
        tlv(5, b"unique id"),
        tlv(0xe1, b"two"),
        tlv(0xe2, b"not passed"),
        tlv(0xe3, b"three"),
        tlv(0xe4, b"\0\xff"),
        tlv(0xe5, b"no key"),
        tlv(0xe7, b"not passed"),
    ]
}

fn told_again(stage: &mut Stage<'_>) {
    let v1 = b"PROXY TCP6 2001:db8::1 2001:db8::2 1000 2000\r\n".to_vec();
    for (name, header) in [("v1", v1), ("v2", proxy_headers::v2(&extensions()))] {
        let mut client = stage.connect();
        client.send(&[&header[..], b"hello"].concat());
        let mut upstream = stage.accept();
        client.finish_sending();
        stage.note_end(&format!("{name}: the upstream"), &upstream.receive_to_end());
        upstream.send(b"there");
        drop(upstream);
        stage.note_end(&format!("{name}: the client"), &client.receive_to_end());
    }
    stage.note_access_log(4);
}

fn requests(stage: &mut Stage<'_>) {
    let request = b"GET /a HTTP/1.1\r\nhost: h\r\n\r\n";
    for (name, header) in [
        ("v1", b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000\r\n".to_vec()),
        ("v2", proxy_headers::v2(&extensions())),
    ] {
        let mut client = stage.connect();
        client.send(&[&header[..], request].concat());
        let mut upstream = stage.accept();
        // The header's length follows from the first bytes; the request's end is an empty line.
        let mut bytes = upstream.receive(16);
        let rest = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
        bytes.extend(upstream.receive(rest));
        stage.note(&format!("{name}: the upstream was told"), bytes.escape_ascii());
        let message = upstream.answer(b"HTTP/1.1 204 No Content\r\n\r\n");
        stage.note_message(&format!("{name}: the upstream"), &message);
        let message = client.receive_response("GET");
        stage.note_message(&format!("{name}: the client"), &message);
    }
    stage.note_access_log(8);
}

fn handed_off(stage: &mut Stage<'_>) {
    let ends =
        |port: u16| format!("PROXY TCP4 127.0.0.7 127.0.0.1 5000 {port}\r\nhello").into_bytes();
    let ports = [stage.listener_port(1), stage.listener_port(0), 1];
    for (name, port) in ["another", "the same", "nobody"].into_iter().zip(ports) {
        send_all(stage, name, &ends(port));
    }
    stage.note_access_log(6);
}

fn too_late(stage: &mut Stage<'_>) {
    for (name, bytes) in [("something", &b"PROX"[..]), ("nothing", b"")] {
        let mut client = stage.connect();
        client.send(bytes);
        stage.note_end(name, &client.receive_to_end());
    }
    stage.note_access_log(4);
}

fn goes_on(stage: &mut Stage<'_>) {
    for (name, bytes) in [("something", &b"PROX"[..]), ("nothing", b"")] {
        let mut client: Peer = stage.connect();
        client.send(bytes);
        stage.expect_stat("listener.downstream_cx_active", 1);
        client.send(b"and more");
        stage.note(name, client.receive(bytes.len() + 8).escape_ascii());
        client.finish_sending();
        stage.note_end(name, &client.receive_to_end());
        stage.expect_stat("listener.downstream_cx_active", 0);
    }
    stage.note_access_log(4);
}

fn waits(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(b"PROXY TCP4 1.2.3.4");
    stage.expect_stat("listener.downstream_pre_cx_active", 1);
    client.send(b" 5.6.7.8 1 2\r\ntail");
    assert_eq!(client.receive(4), b"tail");
    stage.expect_stat("listener.downstream_pre_cx_active", 0);
    client.finish_sending();
    stage.note_end("the client", &client.receive_to_end());
    stage.note_access_log(2);
}
