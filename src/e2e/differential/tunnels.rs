//! `tcp_proxy` through tunnels (rows C15, C16): those over HTTP/1, and what both kinds share.

mod over_http2;

use super::Scenario;
use super::plan::{Endpoint, Plan, Texts};
use super::stage::Stage;
use crate::peer::{Ending, Peer};

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut scenarios = over_http1();
    scenarios.extend(over_http2::scenarios());
    scenarios
}

fn over_http1() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "tunnel",
            shows: "C15, C16: CONNECT, nothing before the 2xx, then bytes both ways",
            plan: || tunnel(HOST, "", ""),
            script: relayed,
        },
        Scenario {
            name: "tunnel_ends",
            shows: "C16: no half close and no reset through HTTP/1: either end ends both sides",
            plan: || tunnel(HOST, "", ""),
            script: ends,
        },
        Scenario {
            name: "tunnel_formats",
            shows: "C15: hostname and headers_to_add, with operators and append actions",
            plan: || tunnel(FORMATS, "", ""),
            script: formats,
        },
        Scenario {
            name: "tunnel_refused",
            shows: "C16: other answers than 2xx: UF, URX, tunnel_response",
            plan: || tunnel(HOST, "", ""),
            script: refused,
        },
        Scenario {
            name: "tunnel_retries",
            shows: "C10, C16: a refused tunnel is an attempt; the third one is made",
            plan: || tunnel(PROPAGATES, "max_connect_attempts: 3", ""),
            script: retries,
        },
        Scenario {
            name: "tunnel_attempts_exceeded",
            shows: "C10, C16: refused, closed and answered with what is no HTTP",
            plan: || tunnel(PROPAGATES, "max_connect_attempts: 3", ""),
            script: attempts_exceeded,
        },
        Scenario {
            name: "tunnel_idle",
            shows: "C15, C21: idle_timeout, before the answer and after it",
            plan: || tunnel(HOST, "idle_timeout: 0.5s", ""),
            script: idle,
        },
        Scenario {
            name: "tunnel_too_long",
            shows: "C15: max_downstream_connection_duration before the answer: DT, UF",
            plan: || tunnel(HOST, "max_downstream_connection_duration: 0.5s", ""),
            script: ended_unanswered,
        },
        Scenario {
            name: "tunnel_one_connection",
            shows: "C9, C15: the connection breaker refuses at once: UO",
            plan: || {
                let breaker = "circuit_breakers: {thresholds: [{max_connections: 1}]}";
                tunnel(HOST, "", breaker)
            },
            script: second_is_refused,
        },
        Scenario {
            name: "tunnel_one_request",
            shows: "C15, D7: the request breaker counts as a failed attempt: URX alone",
            plan: || tunnel(HOST, "", "circuit_breakers: {thresholds: [{max_requests: 1}]}"),
            script: second_is_refused,
        },
        Scenario {
            name: "tunnel_nobody_waits",
            shows: "C15, D7: the pending breaker counts as a failed attempt: URX alone",
            plan: || {
                let breaker = "circuit_breakers: {thresholds: [{max_pending_requests: 0}]}";
                tunnel(HOST, "", breaker)
            },
            script: closed,
        },
        Scenario {
            name: "tunnel_host_refuses",
            shows: "A6, C10, C15: a refused connect, twice",
            plan: || tunnel_to(HOST, "max_connect_attempts: 2", "", vec![Endpoint::refusing()]),
            script: closed,
        },
        Scenario {
            name: "tunnel_no_host",
            shows: "C14, C15: no host: UH",
            plan: || tunnel_to(HOST, "", "", Vec::new()),
            script: closed,
        },
        Scenario {
            name: "tunnel_line_when_open",
            shows: "C15: flush_access_log_on_connected writes once the tunnel is open",
            plan: || tunnel(HOST, "access_log_options: {flush_access_log_on_connected: true}", ""),
            script: line_when_open,
        },
        Scenario {
            name: "tunnel_post",
            shows: "C15, C16: POST over HTTP/1: chunks, and the client's end ends both sides",
            plan: || tunnel("hostname: 'h.example:80', use_post: true, post_path: '/a'", "", ""),
            script: posted,
        },
        Scenario {
            name: "tunnel_post_refused",
            shows: "C16: POST over HTTP/1: other answers than 2xx",
            plan: || tunnel("hostname: 'h.example:80', use_post: true", "", ""),
            script: refused,
        },
        Scenario {
            name: "tunnel_proxy_protocol",
            shows: "C11, C15: the PROXY header goes before CONNECT",
            plan: || tunnel(HOST, "", PROXY_PROTOCOL),
            script: proxy_protocol,
        },
    ]
}

const HOST: &str = "hostname: 'h.example:80'";

const PROPAGATES: &str = "hostname: 'h.example:80', propagate_response_headers: true";

const FORMATS: &str = "\
    hostname: '%REQUESTED_SERVER_NAME%.%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%:80', \
    propagate_response_headers: true, headers_to_add: [\
    {header: {key: x-a, value: '%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%'}}, \
    {header: {key: x-b, value: b}}, {header: {key: X-B, value: b2}}, \
    {header: {key: x-b, value: b3}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}, \
    {header: {key: x-b, value: b4}, append: false}, \
    {header: {key: x-empty, value: ''}}, \
    {header: {key: x-kept, value: ''}, keep_empty_value: true}, \
    {header: {key: x-missing, value: '%REQ(nope)%'}}, \
    {header: {key: x-c, value: c}, append_action: ADD_IF_ABSENT}, \
    {header: {key: x-b, value: c}, append_action: ADD_IF_ABSENT}, \
    {header: {key: x-d, value: d}, append_action: OVERWRITE_IF_EXISTS}, \
    {header: {key: x-more, value: '[%PROTOCOL%] 100%% %UPSTREAM_CLUSTER%'}}]";

const PROXY_PROTOCOL: &str = "transport_socket: {name: proxy, typed_config: {\"@type\": \
    type.googleapis.com/envoy.extensions.transport_sockets.proxy_protocol.v3.\
    ProxyProtocolUpstreamTransport, config: {version: V1}, transport_socket: {name: raw, \
    typed_config: {\"@type\": \
    type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer}}}}";

/// Everything that does not depend on how fast the machine is. Of what went to and came from the
/// upstream Envoy counts the bytes behind the heads twice, so only the fields are compared.
const LINE: &str = "%ACCESS_LOG_TYPE% flags %RESPONSE_FLAGS% bytes %BYTES_RECEIVED% %BYTES_SENT% \
    wire %DOWNSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_WIRE_BYTES_SENT% \
    fields %UPSTREAM_HEADER_BYTES_SENT% %UPSTREAM_HEADER_BYTES_RECEIVED% \
    failure %UPSTREAM_TRANSPORT_FAILURE_REASON% details %RESPONSE_CODE_DETAILS% \
    host %UPSTREAM_HOST% of %UPSTREAM_HOSTS_ATTEMPTED% at %UPSTREAM_REMOTE_ADDRESS% \
    from %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% cluster %UPSTREAM_CLUSTER% \
    attempts %UPSTREAM_REQUEST_ATTEMPT_COUNT% protocol %UPSTREAM_PROTOCOL% \
    close %DOWNSTREAM_DETECTED_CLOSE_TYPE% %UPSTREAM_DETECTED_CLOSE_TYPE% \
    because %DOWNSTREAM_LOCAL_CLOSE_REASON% %UPSTREAM_LOCAL_CLOSE_REASON% \
    answered %FILTER_STATE(envoy.tcp_proxy.propagate_response_headers)% \
    %FILTER_STATE(envoy.tcp_proxy.propagate_response_trailers)%\\n";

fn tunnel(tunneling: &str, filter: &str, cluster: &str) -> Plan {
    tunnel_to(tunneling, filter, cluster, vec![Endpoint::serving()])
}

fn tunnel_to(tunneling: &str, filter: &str, cluster: &str, endpoints: Vec<Endpoint>) -> Plan {
    logged_tunnel(LINE, tunneling, filter, cluster, endpoints)
}

fn logged_tunnel(
    line: &str,
    tunneling: &str,
    filter: &str,
    cluster: &str,
    endpoints: Vec<Endpoint>,
) -> Plan {
    let filter = if filter.is_empty() { String::new() } else { format!(", {filter}") };
    let listeners = format!(
        "- name: $NAME\n  address: $LISTENER\n  filter_chains:\n  - filters:\n    - name: tcp\n      \
         typed_config: {{\"@type\": \
         type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, \
         stat_prefix: $NAME, cluster: $NAME, tunneling_config: {{{tunneling}}}{filter}, \
         access_log: [{{name: file, typed_config: {{\"@type\": \
         type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, \
         path: $FOLDER/$NAME.log, log_format: {{text_format_source: \
         {{inline_string: \"{line}\"}}}}}}}}]}}\n"
    );
    let hosts = if endpoints.is_empty() { "" } else { "{endpoint: {address: $UPSTREAM}}" };
    let clusters = format!(
        "- name: $NAME\n  type: STATIC\n  {cluster}\n  load_assignment:\n    cluster_name: $NAME\n    \
         endpoints: [{{lb_endpoints: [{hosts}]}}]\n"
    );
    Plan::template(Texts { listeners, clusters, bootstrap: String::new() }, endpoints)
}

/// The head that a peer sent, to its empty line.
fn head(peer: &mut Peer) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(peer.receive(1));
    }
    String::from_utf8(head).unwrap()
}

const AGREED: &[u8] = b"HTTP/1.1 200 OK\r\nx-a: 1\r\n\r\n";

/// A client and what its tunnel leads to.
fn open(stage: &Stage<'_>) -> (Peer, Peer) {
    let client = stage.connect();
    let mut upstream = stage.accept();
    stage.note("the upstream is asked", head(&mut upstream).escape_debug());
    upstream.send(AGREED);
    (client, upstream)
}

fn relayed(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(b"early");
    let mut upstream = stage.accept();
    assert_eq!(head(&mut upstream), "CONNECT h.example:80 HTTP/1.1\r\nhost: h.example:80\r\n\r\n");
    upstream.send(b"HTTP/1.1 100 Continue\r\nx-i: 1\r\n\r\n");
    assert!(!upstream.has_bytes());
    // What comes with the answer is the tunnel's.
    upstream.send(b"HTTP/1.1 299 Why not\r\nx-a: 1\r\ncontent-length: 5\r\n\r\nhello");
    assert_eq!(client.receive(5), b"hello");
    assert_eq!(upstream.receive(5), b"early");
    stage.expect_stat("cluster.upstream_rq_active", 1);
    client.send(b"more");
    assert_eq!(upstream.receive(4), b"more");
    drop(client);
    stage.note_end("the upstream", &upstream.receive_to_end());
    drop(upstream);
    stage.note_access_log(1);
}

/// Ends that the upstream's message comes to are left out: they crash Envoy 1.40.
fn posted(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(b"early");
    let mut upstream = stage.accept();
    stage.note("the upstream is asked", head(&mut upstream).escape_debug());
    assert!(!upstream.has_bytes());
    upstream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhello");
    assert_eq!(client.receive(5), b"hello");
    assert_eq!(upstream.receive(10), b"5\r\nearly\r\n");
    client.send(b"more");
    assert_eq!(upstream.receive(9), b"4\r\nmore\r\n");
    client.finish_sending();
    stage.note_end("the upstream", &upstream.receive_to_end());
    stage.note("the client's end", client.ending());
    drop((client, upstream));
    stage.note_access_log(1);

    // Chunks of the upstream are its own business.
    let mut client = stage.connect();
    let mut upstream = stage.accept();
    head(&mut upstream);
    upstream.send(b"HTTP/1.1 201 Yes\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n");
    assert_eq!(client.receive(5), b"abcde");
    client.reset();
    stage.note("the upstream, whose client was reset, ended by", upstream.ending());
    drop(upstream);
    stage.note_access_log(2);
}

fn ends(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = open(stage);
    upstream.send(b"tail");
    upstream.finish_sending();
    let end = client.receive_to_end();
    assert_eq!(end, (b"tail".to_vec(), Ending::Fin));
    stage.note("the upstream, whose end came first, ended by", upstream.ending());
    drop(client);
    stage.note_access_log(1);

    let (mut client, mut upstream) = open(stage);
    client.send(b"last words");
    client.finish_sending();
    let end = upstream.receive_to_end();
    assert_eq!(end, (b"last words".to_vec(), Ending::Fin));
    stage.note("the client, whose end came first, ended by", client.ending());
    drop(upstream);
    stage.note_access_log(2);

    let (mut client, mut upstream) = open(stage);
    upstream.send(b"tail");
    assert_eq!(client.receive(4), b"tail");
    upstream.reset();
    stage.note("the client, whose upstream was reset, ended by", client.ending());
    stage.note_access_log(3);

    let (client, mut upstream) = open(stage);
    upstream.send(b"tail");
    stage.expect_stat("tcp.downstream_cx_tx_bytes_total", 12);
    client.reset();
    stage.note("the upstream, whose client was reset, ended by", upstream.ending());
    drop(upstream);
    stage.note_access_log(4);
}

fn formats(stage: &mut Stage<'_>) {
    let (client, mut upstream) = open(stage);
    upstream.send(b"x");
    stage.expect_stat("tcp.downstream_cx_tx_bytes_total", 1);
    drop(client);
    stage.note("the upstream ended by", upstream.ending());
    stage.note_access_log(1);
}

fn refused(stage: &mut Stage<'_>) {
    for (index, status) in ["300 M", "404 No", "503 S", "700 X"].iter().enumerate() {
        let mut client = stage.connect();
        let mut upstream = stage.accept();
        head(&mut upstream);
        upstream.send(format!("HTTP/1.1 {status}\r\nx-a: 5\r\n\r\n").as_bytes());
        let end = client.receive_to_end();
        assert_eq!(end, (Vec::new(), Ending::Fin), "{status}");
        stage.note(&format!("after {status} the upstream ended by"), upstream.ending());
        stage.note_access_log(index + 1);
    }
}

fn retries(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    for attempt in 0..2 {
        let mut upstream = stage.accept();
        head(&mut upstream);
        let answer = format!("HTTP/1.1 503 No\r\nx-a: {attempt}\r\ncontent-length: 0\r\n\r\n");
        upstream.send(answer.as_bytes());
        stage.note("the upstream that refused ended by", upstream.ending());
    }
    let mut upstream = stage.accept();
    head(&mut upstream);
    upstream.send(AGREED);
    upstream.send(b"fine");
    assert_eq!(client.receive(4), b"fine");
    drop(client);
    stage.note("the upstream ended by", upstream.ending());
    stage.note_access_log(1);
}

fn attempts_exceeded(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    for attempt in 0..3 {
        let mut upstream = stage.accept();
        head(&mut upstream);
        match attempt {
            0 => upstream.send(b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n"),
            1 => drop(upstream),
            _ => upstream.send(b"garbage\r\n\r\n"),
        }
    }
    let end = client.receive_to_end();
    assert_eq!(end, (Vec::new(), Ending::Fin));
    stage.note_access_log(1);
}

fn idle(stage: &mut Stage<'_>) {
    ended_unanswered(stage);
    let (mut client, mut upstream) = open(stage);
    upstream.send(b"x");
    let end = client.receive_to_end();
    assert_eq!(end, (b"x".to_vec(), Ending::Fin));
    stage.note("the upstream ended by", upstream.ending());
    stage.note_access_log(2);
}

fn ended_unanswered(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    let mut upstream = stage.accept();
    head(&mut upstream);
    let end = client.receive_to_end();
    assert_eq!(end, (Vec::new(), Ending::Fin));
    stage.note("the upstream that was asked ended by", upstream.ending());
    stage.note_access_log(1);
}

fn second_is_refused(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = open(stage);
    upstream.send(b"x");
    assert_eq!(client.receive(1), b"x");
    let mut second = stage.connect();
    stage.note_end("the second", &second.receive_to_end());
    drop(second);
    stage.note_access_log(1);
    drop(client);
    stage.note("the upstream ended by", upstream.ending());
    drop(upstream);
    // Where the breaker let it connect first, that connection waits for somebody else.
    while let Some(unused) = stage.upstreams().find_map(crate::upstream::Upstream::waiting) {
        drop(unused);
    }
    stage.note_access_log(2);
}

fn closed(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    stage.note_end("the client", &client.receive_to_end());
    stage.note_access_log(1);
}

fn line_when_open(stage: &mut Stage<'_>) {
    let client = stage.connect();
    let mut upstream = stage.accept();
    head(&mut upstream);
    upstream.send(AGREED);
    stage.note_access_log(1);
    drop(client);
    stage.note("the upstream ended by", upstream.ending());
    stage.note_access_log(2);
}

fn proxy_protocol(stage: &mut Stage<'_>) {
    let client = stage.connect();
    let mut upstream = stage.accept();
    let head = head(&mut upstream);
    let (header, head) = head.split_once("\r\n").unwrap();
    assert!(header.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "), "{header}");
    stage.note("the upstream is asked", head.escape_debug());
    upstream.send(AGREED);
    drop(client);
    stage.note("the upstream ended by", upstream.ending());
    stage.note_access_log(1);
}
