//! Sockets of listeners and of clusters: where they are bound, what they are set to, how many
//! connections come in, and whom the PROXY protocol names to an upstream.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::{UnixListener, UnixStream};

use super::Scenario;
use super::plan::{Endpoint, Plan, Template, Texts};
use super::stage::Stage;
use crate::patience::{PATIENCE, wait_for};
use crate::peer::{Ending, Peer};

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = of_listeners();
    all.extend(of_clusters());
    all.extend(proxy_protocol());
    all
}

fn of_listeners() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "sockets_pipes",
            shows: "sockets: a listener and an endpoint on Unix-domain sockets, with a mode",
            plan: || Plan::template(with_chain(PIPES, ""), Vec::new()),
            script: pipes,
        },
        Scenario {
            name: "sockets_abstract_pipe",
            shows: "sockets: a listener in the abstract namespace",
            plan: || Plan::template(with_chain(ABSTRACT, ""), one_endpoint()),
            script: abstract_pipe,
        },
        Scenario {
            name: "sockets_pipe_missing",
            shows: "sockets: an endpoint whose Unix-domain socket is not there",
            plan: || Plan::template(with_chain(PIPE_MISSING, ""), Vec::new()),
            script: one_refusal,
        },
        Scenario {
            name: "sockets_listener_options",
            shows: "sockets: socket_options, keep-alive, freebind and transparent of a listener",
            plan: || Plan::template(with_chain(LISTENER_OPTIONS, ""), one_endpoint()),
            script: listener_options,
        },
        Scenario {
            name: "sockets_one_for_all",
            shows: "sockets: enable_reuse_port off, port 0",
            plan: || Plan::template(with_chain(ONE_FOR_ALL, ""), one_endpoint()),
            script: one_for_all,
        },
        Scenario {
            name: "sockets_unbound",
            shows: "sockets: bind_to_port off",
            plan: || Plan::template(with_chain(UNBOUND, ""), Vec::new()),
            script: unbound,
        },
        Scenario {
            name: "sockets_dual_stack",
            shows: "sockets: ipv4_compat",
            plan: || Plan::template(with_chain(DUAL_STACK, ""), one_endpoint()),
            script: dual_stack,
        },
        Scenario {
            name: "sockets_listener_limit",
            shows: "limits: connection_limit of a listener; downstream_cx_overflow",
            plan: || Plan::template(with_chain(LISTENER_LIMIT, ""), one_endpoint()),
            script: limited,
        },
        Scenario {
            name: "sockets_global_limit",
            shows: "limits: global_downstream_max_connections; downstream_global_cx_overflow",
            plan: || Plan::template(with_chain(GLOBAL_LIMIT, ""), one_endpoint()),
            script: limited_but_for_one,
        },
    ]
}

fn of_clusters() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "sockets_source_address",
            shows: "A3: connections from source_address",
            plan: || {
                let bind = "upstream_bind_config: {source_address: {address: 127.0.0.9, \
                            port_value: 0}}";
                Plan::template(with_chain(RELAY, bind), one_endpoint())
            },
            script: from_source,
        },
        Scenario {
            name: "sockets_source_address_of_the_bootstrap",
            shows: "A3: connections from the bootstrap's source_address",
            plan: || Plan::template(with_chain(BOOTSTRAP_SOURCE, ""), one_endpoint()),
            script: from_source,
        },
        Scenario {
            name: "sockets_extra_source_address",
            shows: "A3: the source address of the host's version of IP, with its own options",
            plan: || {
                let bind = "upstream_bind_config: {source_address: {address: '::1', \
                            port_value: 0}, extra_source_addresses: [{address: \
                            {address: 127.0.0.8, port_value: 0}, socket_options: \
                            {socket_options: [{level: 1, name: 12, int_value: 3}]}}], \
                            socket_options: [{level: 1, name: 12, int_value: 2}]}";
                Plan::template(with_chain(RELAY, bind), one_endpoint())
            },
            script: from_source,
        },
        Scenario {
            name: "sockets_source_address_elsewhere",
            shows: "A3: a source address that is not to be had; bind_errors, URX",
            plan: || {
                let bind = "upstream_bind_config: {source_address: {address: 192.0.2.3, \
                            port_value: 0}}";
                Plan::template(with_chain(RELAY, bind), one_endpoint())
            },
            script: one_refusal,
        },
        Scenario {
            name: "sockets_upstream_option_refused",
            shows: "A3: a socket option that the kernel refuses; no bind_errors, URX",
            plan: || {
                let bind = "upstream_bind_config: {socket_options: [{level: 1, name: 9999, \
                            int_value: 2}]}";
                Plan::template(with_chain(RELAY, bind), one_endpoint())
            },
            script: one_refusal,
        },
        Scenario {
            name: "sockets_upstream_keepalive",
            shows: "sockets: tcp_keepalive, freebind and socket_options of a cluster",
            plan: || {
                let fields = "upstream_connection_options: {tcp_keepalive: {keepalive_probes: 2, \
                              keepalive_time: 11}}\n  upstream_bind_config: {freebind: true, \
                              socket_options: [{level: 1, name: 12, int_value: 2}]}";
                Plan::template(with_chain(RELAY, fields), one_endpoint())
            },
            script: from_source,
        },
        Scenario {
            name: "sockets_unreachable",
            shows: "A6: an address that nobody can connect to",
            plan: || Plan::template(with_chain(UNREACHABLE, ""), Vec::new()),
            script: one_refusal,
        },
        Scenario {
            name: "sockets_upstream_resets_at_once",
            shows: "A6: an upstream that accepts and resets",
            plan: || Plan::template(with_chain(RELAY, ""), one_endpoint()),
            script: resets_at_once,
        },
    ]
}

fn one_endpoint() -> Vec<Endpoint> {
    vec![Endpoint::serving()]
}

fn proxy_protocol() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "proxy_protocol_v1_upstream",
            shows: "C11: the upstream is told the client's addresses, version 1",
            plan: || Plan::template(with_chain(RELAY, PROXY_V1), one_endpoint()),
            script: header_first,
        },
        Scenario {
            name: "proxy_protocol_v2_upstream",
            shows: "C11: the upstream is told the client's addresses, version 2 with TLVs",
            plan: || Plan::template(with_chain(RELAY, PROXY_V2), one_endpoint()),
            script: header_first,
        },
        Scenario {
            name: "proxy_protocol_http_upstream",
            shows: "C11, C12, D16: HTTP clients do not share a connection that names one of them",
            plan: || Plan::template(with_chain(HTTP, ""), one_endpoint()),
            script: header_per_client,
        },
    ]
}

fn pipes(stage: &mut Stage<'_>) {
    let upstream = UnixListener::bind(stage.path("up.sock")).unwrap();
    let path = stage.path("in.sock");
    let mode = std::fs::metadata(&path).unwrap().permissions();
    let mode = std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777;
    stage.note("the mode of the listener's socket", format!("{mode:o}"));
    let mut client = UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"hello").unwrap();
    let (mut server, _) = upstream.accept().unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = [0; 5];
    server.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
    server.write_all(b"there").unwrap();
    drop(server);
    let mut back = Vec::new();
    client.read_to_end(&mut back).unwrap();
    stage.note("the client received", back.escape_ascii());
    drop(client);
    stage.note_access_log(1);
}

fn abstract_pipe(stage: &mut Stage<'_>) {
    let name = format!("\0{}", stage.path("abstract").display());
    let address = socket2::SockAddr::unix(name).unwrap();
    let client = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    client.connect(&address).unwrap();
    let mut client = UnixStream::from(std::os::fd::OwnedFd::from(client));
    client.write_all(b"hello").unwrap();
    let mut upstream = stage.accept();
    assert_eq!(upstream.receive(5), b"hello");
    drop(upstream);
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    drop(client);
    stage.note_access_log(1);
}

/// What no peer did any wrong in: the client's end and its line in the log.
fn one_refusal(stage: &mut Stage<'_>) {
    stage.note("the client ended by", stage.connect().ending());
    stage.note_access_log(1);
}

fn exchange(client: &mut Peer, upstream: &mut Peer) {
    client.send(b"hello");
    assert_eq!(upstream.receive(5), b"hello");
    upstream.send(b"there");
    assert_eq!(client.receive(5), b"there");
}

fn listener_options(stage: &mut Stage<'_>) {
    for (index, name) in ["the first", "the second", "the third"].into_iter().enumerate() {
        for socket in stage.listening_sockets(index) {
            stage.note(&format!("{name} address"), options(&socket));
        }
        let (mut client, mut upstream) = (stage.connect_to(index), stage.accept());
        exchange(&mut client, &mut upstream);
        close((client, upstream));
    }
}

/// What a socket of the proxy is set to.
fn options(socket: &socket2::Socket) -> String {
    format!(
        "keepalive {} time {:?} interval {:?} probes {}, freebind {}, transparent {}, \
         priority {}, tos {}, reuse port {}",
        socket.keepalive().unwrap(),
        socket.tcp_keepalive_time().unwrap(),
        socket.tcp_keepalive_interval().unwrap(),
        socket.tcp_keepalive_retries().unwrap(),
        socket.freebind_v4().unwrap(),
        socket.ip_transparent_v4().unwrap(),
        socket.priority().unwrap(),
        socket.tos_v4().unwrap(),
        socket.reuse_port().unwrap(),
    )
}

/// The address that the kernel chose, as the admin page tells it.
fn chosen_address(stage: &Stage<'_>, name: &str) -> SocketAddr {
    let answer = stage.ask("GET /listeners");
    let address = answer.body.lines().find_map(|line| line.strip_prefix(&format!("{name}::")));
    address.unwrap_or_else(|| panic!("no {name} in {}", answer.body)).parse().unwrap()
}

fn one_for_all(stage: &mut Stage<'_>) {
    let address = chosen_address(stage, "sockets_one_for_all");
    let (mut client, mut upstream) = (Peer::connect(address), stage.accept());
    exchange(&mut client, &mut upstream);
    let sockets = stage.sockets_at(address);
    let listening = sockets.iter().filter(|socket| socket.peer_addr().is_err());
    stage.note("sockets that listen", listening.count());
    stage.note("the socket shares its port", sockets[0].reuse_port().unwrap());
    close((client, upstream));
}

fn unbound(stage: &mut Stage<'_>) {
    stage.note("listening sockets", stage.listening_sockets(0).len());
}

fn dual_stack(stage: &mut Stage<'_>) {
    let port = chosen_address(stage, "sockets_dual_stack").port();
    for host in ["127.0.0.1", "[::1]"] {
        let address: SocketAddr = format!("{host}:{port}").parse().unwrap();
        let (mut client, mut upstream) = (Peer::connect(address), stage.accept());
        exchange(&mut client, &mut upstream);
        close((client, upstream));
    }
    stage.note_access_log(2);
}

/// Two connections are within the limit.
fn limited(stage: &mut Stage<'_>) {
    let mut kept = Vec::new();
    for _ in 0..2 {
        let (mut client, mut upstream) = stage.relayed();
        exchange(&mut client, &mut upstream);
        kept.push((client, upstream));
    }
    for _ in 0..3 {
        stage.note("a client over the limit ended by", stage.connect().ending());
    }
    close(kept.pop().unwrap());
    stage.expect_stat("listener.downstream_cx_active", 1);
    let (mut client, mut upstream) = stage.relayed();
    exchange(&mut client, &mut upstream);
    kept.push((client, upstream));
    kept.into_iter().for_each(close);
}

/// The client first: who is first shows in the stats.
fn close((client, mut upstream): (Peer, Peer)) {
    drop(client);
    assert_eq!(upstream.ending(), Ending::Fin);
}

fn limited_but_for_one(stage: &mut Stage<'_>) {
    limited(stage);
    stage.expect_stat("listener.downstream_cx_active", 0);
    let mut kept = Vec::new();
    for _ in 0..4 {
        let (mut client, mut upstream) = (stage.connect_to(1), stage.accept());
        exchange(&mut client, &mut upstream);
        kept.push((client, upstream));
    }
    // They do not count for the others either.
    kept.push({
        let (mut client, mut upstream) = stage.relayed();
        exchange(&mut client, &mut upstream);
        (client, upstream)
    });
    kept.into_iter().for_each(close);
}

fn from_source(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    exchange(&mut client, &mut upstream);
    let from = upstream.stream().peer_addr().unwrap();
    stage.note("the upstream is connected to from", from.ip());
    let sockets = stage.sockets_at(from);
    assert_eq!(sockets.len(), 1);
    stage.note("the socket", options(&sockets[0]));
    drop(client);
    assert_eq!(upstream.ending(), Ending::Fin);
    drop(upstream);
    stage.note_access_log(1);
}

fn resets_at_once(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    let upstream = stage.accept();
    // Before that it would be a failed connect.
    stage.expect_stat("cluster.upstream_rq_active", 1);
    upstream.reset();
    stage.note("the client ended by", client.ending());
    stage.note_access_log(1);
}

/// The header without the client's port, which is chance.
fn note_header(stage: &Stage<'_>, client: &Peer, upstream: &mut Peer, name: &str) {
    let (from, to) = (client.stream().local_addr().unwrap(), client.stream().peer_addr().unwrap());
    let mut header = upstream.receive(5);
    if header == b"PROXY" {
        while !header.ends_with(b"\r\n") {
            header.extend(upstream.receive(1));
        }
        let text = String::from_utf8(header).unwrap();
        let text = text.replace(&from.port().to_string(), "FROM");
        stage.note(name, text.replace(&to.port().to_string(), "TO").escape_debug());
        return;
    }
    header.extend(upstream.receive(11));
    let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
    let mut rest = upstream.receive(length);
    assert_eq!(rest[8..10], from.port().to_be_bytes());
    assert_eq!(rest[10..12], to.port().to_be_bytes());
    rest[8..12].fill(0);
    stage.note(name, [header, rest].concat().escape_ascii());
}

fn header_first(stage: &mut Stage<'_>) {
    // Before the client sends anything.
    let (mut client, mut upstream) = stage.relayed();
    note_header(stage, &client, &mut upstream, "the upstream received first");
    exchange(&mut client, &mut upstream);
    drop(client);
    assert_eq!(upstream.ending(), Ending::Fin);
    drop(upstream);
    stage.note_access_log(1);
}

fn header_per_client(stage: &mut Stage<'_>) {
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let mut clients = Vec::new();
    for name in ["the first client's", "the second client's"] {
        let mut client = stage.connect();
        client.send(REQUEST);
        let mut upstream = stage.accept();
        note_header(stage, &client, &mut upstream, &format!("{name} connection began with"));
        upstream.answer(RESPONSE);
        client.receive_response("GET");
        clients.push((client, upstream));
    }
    // Each one's connection is kept for it alone.
    for (client, upstream) in &mut clients {
        client.send(REQUEST);
        upstream.answer(RESPONSE);
        client.receive_response("GET");
    }
    stage.expect_stat("cluster.upstream_cx_total", 2);
    for (client, mut upstream) in clients {
        drop(client);
        // Nobody else could use it; how long it is kept is not compared.
        upstream.finish_sending();
        wait_for("the proxy to close", || match upstream.is_open_and_quiet() {
            true => Err("it is open".to_owned()),
            false => Ok(()),
        });
    }
}

/// The template with a chain of `tcp_proxy`, and further fields of its cluster.
fn with_chain(template: Template, cluster: &str) -> Texts {
    let mut texts = Texts::from(template);
    // What a pipe has for one; elsewhere it is chance.
    let port = if texts.listeners.contains("pipe") { "port <%DOWNSTREAM_LOCAL_PORT%>" } else { "" };
    texts.listeners = texts.listeners.replace("$CHAIN", CHAIN).replace("$PORT", port);
    texts.clusters = texts.clusters.replace("$FIELDS", cluster);
    for text in [&mut texts.listeners, &mut texts.clusters, &mut texts.bootstrap] {
        *text = text.replace("$EXTENSIONS", "type.googleapis.com/envoy.extensions");
    }
    texts
}

const CHAIN: &str = r#"filter_chains:
  - filters:
    - name: envoy.filters.network.tcp_proxy
      typed_config:
        "@type": $EXTENSIONS.filters.network.tcp_proxy.v3.TcpProxy
        stat_prefix: $NAME
        cluster: $NAME
        access_log:
        - name: file
          typed_config:
            "@type": $EXTENSIONS.access_loggers.file.v3.FileAccessLog
            path: $FOLDER/$NAME.log
            log_format:
              text_format_source:
                inline_string: >
                  from %DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%
                  to %DOWNSTREAM_LOCAL_ADDRESS% $PORT
                  host %UPSTREAM_HOST% %UPSTREAM_REMOTE_ADDRESS%
                  from %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% flags %RESPONSE_FLAGS%
                  reason %UPSTREAM_TRANSPORT_FAILURE_REASON%
                  tried %UPSTREAM_HOSTS_ATTEMPTED% %UPSTREAM_REQUEST_ATTEMPT_COUNT%
                  bytes %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_WIRE_BYTES_SENT%
"#;

const CLUSTER: &str = r#"
- name: $NAME
  type: STATIC
  $FIELDS
  load_assignment:
    cluster_name: $NAME
    endpoints:
    - lb_endpoints: [{endpoint: {address: $UPSTREAM}}]
"#;

const RELAY: Template = Template {
    listeners: "- name: $NAME\n  address: $LISTENER\n  $CHAIN",
    clusters: CLUSTER,
    bootstrap: "",
};

const BOOTSTRAP_SOURCE: Template = Template {
    bootstrap: "cluster_manager: {upstream_bind_config: {source_address: {address: 127.0.0.5, \
                port_value: 0}, socket_options: [{level: 1, name: 12, int_value: 2}]}}\n",
    ..RELAY
};

const PIPES: Template = Template {
    listeners: "- name: $NAME\n  stat_prefix: $NAME\n  \
                address: {pipe: {path: $FOLDER/in.sock, mode: 384}}\n  $CHAIN",
    clusters: r"
- name: $NAME
  type: STATIC
  $FIELDS
  load_assignment:
    cluster_name: $NAME
    endpoints:
    - lb_endpoints: [{endpoint: {address: {pipe: {path: $FOLDER/up.sock}}}}]
",
    bootstrap: "",
};

const ABSTRACT: Template = Template {
    listeners: "- name: $NAME\n  stat_prefix: $NAME\n  \
                address: {pipe: {path: '@$FOLDER/abstract'}}\n  $CHAIN",
    clusters: CLUSTER,
    bootstrap: "",
};

const PIPE_MISSING: Template = Template {
    listeners: "- name: $NAME\n  address: $LISTENER\n  $CHAIN",
    clusters: r"
- name: $NAME
  type: STATIC
  $FIELDS
  load_assignment:
    cluster_name: $NAME
    endpoints:
    - lb_endpoints: [{endpoint: {address: {pipe: {path: $FOLDER/none.sock}}}}]
",
    bootstrap: "",
};

/// TCP has no broadcast: the kernel refuses this address without asking anybody.
const UNREACHABLE: Template = Template {
    listeners: "- name: $NAME\n  address: $LISTENER\n  $CHAIN",
    clusters: r"
- name: $NAME
  type: STATIC
  $FIELDS
  load_assignment:
    cluster_name: $NAME
    endpoints:
    - lb_endpoints:
      - endpoint: {address: {socket_address: {address: 255.255.255.255, port_value: 9}}}
",
    bootstrap: "",
};

const LISTENER_OPTIONS: Template = Template {
    listeners: r"
- name: $NAME
  address: $LISTENER
  additional_addresses:
  - address: $LISTENER1
    socket_options: {socket_options: [{level: 1, name: 12, int_value: 2}]}
  - address: $LISTENER2
    socket_options: {}
    tcp_keepalive: {keepalive_time: 9}
  tcp_keepalive: {keepalive_probes: 3, keepalive_time: 7, keepalive_interval: 5}
  freebind: true
  transparent: true
  tcp_fast_open_queue_length: 5
  tcp_backlog_size: 10
  max_connections_to_accept_per_socket_event: 2
  socket_options:
  - {description: a priority, level: 1, name: 12, int_value: 4, state: STATE_BOUND}
  - {level: 0, name: 1, buf_value: EAAAAA==, state: STATE_LISTENING}
  - {level: 41, name: 67, int_value: 3, ip_version: SOCKET_IP_VERSION_IPV6}
  - {level: 1, name: 99999, int_value: 3, type: {datagram: {}}}
  $CHAIN",
    clusters: CLUSTER,
    bootstrap: "",
};

const ONE_FOR_ALL: Template = Template {
    listeners: "- name: $NAME\n  stat_prefix: $NAME\n  enable_reuse_port: false\n  address: \
                {socket_address: {address: 127.0.0.1, port_value: 0}}\n  $CHAIN",
    clusters: CLUSTER,
    bootstrap: "",
};

const UNBOUND: Template = Template {
    listeners: "- name: $NAME\n  address: $LISTENER\n  bind_to_port: false\n  $CHAIN",
    clusters: "",
    bootstrap: "",
};

const DUAL_STACK: Template = Template {
    listeners: "- name: $NAME\n  stat_prefix: $NAME\n  address: {socket_address: {address: '::', \
                port_value: 0, ipv4_compat: true}}\n  $CHAIN",
    clusters: CLUSTER,
    bootstrap: "",
};

const LISTENER_LIMIT: Template = Template {
    bootstrap: "layered_runtime: {layers: [{name: s, static_layer: {envoy: {resource_limits: \
                {listener: {$NAME: {connection_limit: 2}}}}}}]}\n",
    ..RELAY
};

const GLOBAL_LIMIT: Template = Template {
    listeners: "- name: $NAME\n  address: $LISTENER\n  $CHAIN\n- name: $NAME-second\n  address: \
                $LISTENER1\n  ignore_global_conn_limit: true\n  $CHAIN",
    bootstrap: r#"
overload_manager:
  refresh_interval: 1s
  resource_monitors:
  - name: envoy.resource_monitors.global_downstream_max_connections
    typed_config:
      "@type": $EXTENSIONS.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig
      max_active_downstream_connections: 2
"#,
    ..RELAY
};

const PROXY_V1: &str = r#"transport_socket:
    name: envoy.transport_sockets.upstream_proxy_protocol
    typed_config:
      "@type": $EXTENSIONS.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport
      config: {version: V1}
      transport_socket:
        name: envoy.transport_sockets.raw_buffer
        typed_config:
          "@type": $EXTENSIONS.transport_sockets.raw_buffer.v3.RawBuffer
"#;

const PROXY_V2: &str = r#"transport_socket:
    name: envoy.transport_sockets.upstream_proxy_protocol
    typed_config:
      "@type": $EXTENSIONS.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport
      config: {version: V2, added_tlvs: [{type: 226, value: b25l}, {type: 227, value: dHdv}]}
      transport_socket:
        name: envoy.transport_sockets.raw_buffer
        typed_config:
          "@type": $EXTENSIONS.transport_sockets.raw_buffer.v3.RawBuffer
"#;

const HTTP: Template = Template {
    listeners: r#"
- name: $NAME
  address: $LISTENER
  filter_chains:
  - filters:
    - name: envoy.filters.network.http_connection_manager
      typed_config:
        "@type": $EXTENSIONS.filters.network.http_connection_manager.v3.HttpConnectionManager
        stat_prefix: $NAME
        route_config:
          virtual_hosts:
          - name: all
            domains: ["*"]
            routes: [{match: {prefix: /}, route: {cluster: $NAME}}]
        http_filters:
        - name: envoy.filters.http.router
          typed_config:
            "@type": $EXTENSIONS.filters.http.router.v3.Router
            # A time would stand in the head, and its digits in the count of bytes.
            suppress_envoy_headers: true
"#,
    clusters: r#"
- name: $NAME
  type: STATIC
  transport_socket:
    name: envoy.transport_sockets.upstream_proxy_protocol
    typed_config:
      "@type": $EXTENSIONS.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport
      config: {version: V1}
      transport_socket:
        name: envoy.transport_sockets.raw_buffer
        typed_config:
          "@type": $EXTENSIONS.transport_sockets.raw_buffer.v3.RawBuffer
  load_assignment:
    cluster_name: $NAME
    endpoints:
    - lb_endpoints: [{endpoint: {address: $UPSTREAM}}]
"#,
    bootstrap: "",
};
