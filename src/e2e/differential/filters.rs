//! Filter chains, which one a connection gets, and the filters before the last one.

use super::Scenario;
use super::plan::{Endpoint, Plan, Texts};
use super::stage::Stage;
use crate::peer::{Ending, Peer};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "filters_limit_held",
            shows: "B1, B2, B3: a connection too many is held, counted, never read and then closed",
            plan: || behind(&[&limit("delay: 3s")], TCP_PROXY),
            script: held,
        },
        Scenario {
            name: "filters_limit_at_once",
            shows: "B1: connection_limit without a delay; the next one passes after one has gone",
            plan: || behind(&[&limit("")], TCP_PROXY),
            script: refused_at_once,
        },
        Scenario {
            name: "filters_limit_off",
            shows: "B4: connection_limit that runtime_enabled switches off counts nothing",
            plan: || behind(&[&limit("runtime_enabled: {default_value: false}")], TCP_PROXY),
            script: limit_off,
        },
        Scenario {
            name: "filters_rate",
            shows: "rate limit: a token for each connection, then URX",
            plan: || behind(&[RATE], TCP_PROXY),
            script: rate,
        },
        Scenario {
            name: "filters_rbac_denies",
            shows: "rbac: denied by the first bytes, once the upstream is connected; shadow rules",
            plan: || behind(&[&rbac("ALLOW", "direct_remote_ip", "9.9.9.9")], TCP_PROXY),
            script: denied,
        },
        Scenario {
            name: "filters_rbac_denies_the_end",
            shows: "rbac: an end without bytes is denied too",
            plan: || behind(&[&rbac("DENY", "source_ip", "127.0.0.1")], TCP_PROXY),
            script: denied_at_end,
        },
        Scenario {
            name: "filters_in_order",
            shows: "A25, A26: three filters, each asked once; bytes are counted once both ways",
            plan: || {
                behind(&[&rbac("ALLOW", "remote_ip", "127.0.0.1"), &limit(""), RATE], TCP_PROXY)
            },
            script: in_order,
        },
        Scenario {
            name: "filters_direct_response",
            shows: "direct_response: bytes, FIN, direct_response in the log",
            plan: || behind(&[], DIRECT_RESPONSE),
            script: direct_response,
        },
        Scenario {
            name: "filters_chains",
            shows: "filter chains: the best match by prefix, source type, default, none (NR)",
            plan: chains,
            script: chosen,
        },
    ]
}

const TCP_PROXY: &str = "{\"@type\": \
     type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, \
     stat_prefix: $NAME, cluster: $NAME}";

const DIRECT_RESPONSE: &str = "{\"@type\": \
     type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config, \
     response: {inline_string: hello}}";

const RATE: &str = "{\"@type\": \
     type.googleapis.com/envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit, \
     stat_prefix: $NAME, token_bucket: {max_tokens: 2, fill_interval: 600s}}";

fn limit(more: &str) -> String {
    format!(
        "{{\"@type\": \
         type.googleapis.com/envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit, \
         stat_prefix: $NAME, max_connections: 1, {more}}}"
    )
}

/// Rules about clients from this address, as rules and as shadow rules of the opposite action.
fn rbac(action: &str, principal: &str, address: &str) -> String {
    let opposite = if action == "ALLOW" { "DENY" } else { "ALLOW" };
    let rules = |action: &str| {
        format!(
            "{{action: {action}, policies: {{the one: {{permissions: [{{any: true}}], \
             principals: [{{{principal}: {{address_prefix: {address}, prefix_len: 32}}}}]}}}}}}"
        )
    };
    format!(
        "{{\"@type\": type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC, \
         stat_prefix: rbac.$NAME, rules: {}, shadow_rules: {}}}",
        rules(action),
        rules(opposite)
    )
}

/// A listener whose log says how each connection went.
fn logged(listener: &str, more: &str) -> String {
    format!(
        "- name: $NAME{listener}\n  address: $LISTENER{listener}\n  access_log: [{{name: file, \
         typed_config: {{\"@type\": \
         type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, \
         path: $FOLDER/$NAME.log, log_format: {{text_format_source: {{inline_string: \
         \"%FILTER_CHAIN_NAME% flags %RESPONSE_FLAGS% bytes %BYTES_RECEIVED% %BYTES_SENT% \
         details %CONNECTION_TERMINATION_DETAILS% %RESPONSE_CODE_DETAILS% \
         because %DOWNSTREAM_LOCAL_CLOSE_REASON%\\n\"}}}}}}}}]\n  {more}\n"
    )
}

/// One chain of these filters, the last of which is `terminal`, to one serving endpoint.
fn behind(filters: &[&str], terminal: &str) -> Plan {
    let all = filters.iter().copied().chain([terminal]);
    let all: Vec<_> = all.map(|filter| format!("{{name: f, typed_config: {filter}}}")).collect();
    let chain = format!("filter_chains: [{{name: chain, filters: [{}]}}]", all.join(", "));
    let clusters = "- name: $NAME\n  type: STATIC\n  load_assignment:\n    \
                    cluster_name: $NAME\n    endpoints: [{lb_endpoints: \
                    [{endpoint: {address: $UPSTREAM}}]}]\n";
    let texts = Texts {
        listeners: logged("", &chain),
        clusters: clusters.to_owned(),
        bootstrap: String::new(),
    };
    Plan::template(texts, vec![Endpoint::serving()])
}

fn end(stage: &Stage<'_>, side: &str, mut peer: Peer) {
    stage.note_end(side, &peer.receive_to_end());
}

/// A connection that the upstream sees, with a byte each way.
fn relayed(stage: &Stage<'_>) -> (Peer, Peer) {
    let (mut client, mut upstream) = stage.relayed();
    client.send(b"a");
    assert_eq!(upstream.receive(1), b"a");
    upstream.send(b"b");
    assert_eq!(client.receive(1), b"b");
    (client, upstream)
}

/// Ends a relayed connection from the client's side.
fn leave((mut client, mut upstream): (Peer, Peer)) {
    client.finish_sending();
    assert_eq!(upstream.ending(), Ending::Fin);
    upstream.finish_sending();
    assert_eq!(client.ending(), Ending::Fin);
}

fn held(stage: &mut Stage<'_>) {
    let first = relayed(stage);
    let mut second = stage.connect();
    second.send(b"never read");
    stage.expect_stat("connection_limit.active_connections", 2);
    end(stage, "a client that sent something", second);
    end(stage, "a client that sent nothing", stage.connect());
    stage.expect_stat("connection_limit.active_connections", 1);
    leave(first);
    stage.expect_stat("connection_limit.active_connections", 0);
    leave(relayed(stage));
    stage.expect_stat("connection_limit.limited_connections", 2);
    stage.note_access_log(4);
}

fn refused_at_once(stage: &mut Stage<'_>) {
    let first = relayed(stage);
    end(stage, "one too many", stage.connect());
    leave(first);
    stage.expect_stat("connection_limit.active_connections", 0);
    leave(relayed(stage));
    stage.note_access_log(3);
}

fn limit_off(stage: &mut Stage<'_>) {
    let (first, second) = (relayed(stage), relayed(stage));
    stage.expect_stat("connection_limit.active_connections", 0);
    leave(first);
    leave(second);
    stage.note_access_log(2);
}

fn rate(stage: &mut Stage<'_>) {
    leave(relayed(stage));
    leave(relayed(stage));
    end(stage, "one too many", stage.connect());
    stage.expect_stat("local_rate_limit.rate_limited", 1);
    stage.note_access_log(3);
}

fn denied(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    // What the upstream says first is passed on: nothing has been asked yet.
    upstream.send(b"banner");
    assert_eq!(client.receive(6), b"banner");
    client.send(b"hello");
    end(stage, "client", client);
    stage.note("upstream", format!("{:?}", upstream.ending()));
    stage.note_access_log(1);
}

fn denied_at_end(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    client.finish_sending();
    end(stage, "client", client);
    stage.note("upstream", format!("{:?}", upstream.ending()));
    stage.note_access_log(1);
}

fn in_order(stage: &mut Stage<'_>) {
    leave(relayed(stage));
    stage.expect_stat("connection_limit.active_connections", 0);
    let first = relayed(stage);
    // The second filter refuses it, so the third is not asked for a token: there is none left.
    end(stage, "one too many", stage.connect());
    leave(first);
    stage.expect_stat("local_rate_limit.rate_limited", 0);
    stage.note_access_log(3);
}

fn direct_response(stage: &mut Stage<'_>) {
    end(stage, "client", stage.connect());
    stage.note_access_log(1);
}

/// A chain that answers with its name.
fn answering(name: &str, matches: &str) -> String {
    let response = DIRECT_RESPONSE.replace("hello", name);
    format!(
        "{{name: {name}, filter_chain_match: {{{matches}}}, \
         filters: [{{name: f, typed_config: {response}}}]}}"
    )
}

fn chains() -> Plan {
    let range = |field: &str, address: &str, len: u8| {
        format!("{field}: [{{address_prefix: {address}, prefix_len: {len}}}]")
    };
    let (to, from) = ("prefix_ranges", "source_prefix_ranges");
    let listeners: [Vec<String>; 5] = [
        vec![
            answering("any", ""),
            answering("wide", &range(to, "127.0.0.0", 8)),
            answering("narrow", &range(to, "127.0.0.1", 32)),
            answering("other", &range(to, "10.0.0.0", 8)),
        ],
        vec![
            answering("any", ""),
            answering("local", "source_type: SAME_IP_OR_LOOPBACK"),
            answering("external", "source_type: EXTERNAL"),
        ],
        // Where the connection goes to counts more than where it is from, and there is no way
        // back from a chain that matches no further.
        vec![
            answering("to", &format!("{}, source_ports: [1]", range(to, "127.0.0.1", 32))),
            answering("from", &range(from, "127.0.0.1", 32)),
        ],
        vec![
            answering("raw", "transport_protocol: raw_buffer"),
            answering("peer", &range("direct_source_prefix_ranges", "127.0.0.1", 32)),
        ],
        vec![answering("other", "destination_port: 1")],
    ];
    let mut text = String::new();
    for (index, chains) in listeners.iter().enumerate() {
        let mark = if index == 0 { String::new() } else { index.to_string() };
        let mut more = format!("filter_chains: [{}]", chains.join(", "));
        if index == 4 {
            more.push_str(&format!("\n  default_filter_chain: {}", answering("default", "")));
        }
        text.push_str(&logged(&mark, &more));
    }
    let texts = Texts { listeners: text, clusters: String::new(), bootstrap: String::new() };
    Plan::template(texts, Vec::new())
}

fn chosen(stage: &mut Stage<'_>) {
    for (listener, expected) in ["narrow", "local", "", "raw", "default"].into_iter().enumerate() {
        let (bytes, ending) = stage.connect_to(listener).receive_to_end();
        assert_eq!(String::from_utf8_lossy(&bytes), expected, "listener {listener}");
        stage.note_end(&format!("listener {listener}"), &(bytes, ending));
        stage.note_access_log_up_to(if expected.is_empty() { "NR" } else { expected });
    }
}
