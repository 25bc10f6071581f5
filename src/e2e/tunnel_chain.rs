//! Two proxies in a row: the first makes a tunnel of a connection, the second a connection of the
//! tunnel. Nuncio is either of them, or both; the other is Envoy.

use std::thread;

use crate::address::ListenerAddress;
use crate::configuration::{Parts, indented, socket_address};
use crate::environment::{self, Program};
use crate::payload;
use crate::peer::{Ending, Peer};
use crate::proxy::Proxy;
use crate::upstream::Upstream;

/// Tunnels that are open at once.
const TUNNELS: usize = 4;

/// What goes each way through each of them.
const BYTES: u64 = 2 * 1024 * 1024;

/// How the first proxy speaks to the second one, and what its client says first.
struct Way {
    what: &'static str,
    /// The terminal filter of the first proxy.
    filter: &'static str,
    /// Fields of its cluster.
    cluster: &'static str,
    /// The client asks for the tunnel itself.
    asks: bool,
    /// The end of one side reaches the other one while that goes on.
    half_closes: bool,
}

const TCP_PROXY: &str = "\
- name: tcp
  typed_config:
    '@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
    stat_prefix: chain
    cluster: next
    tunneling_config: {hostname: 'chain.test:80'}
";

const TCP_PROXY_POST: &str = "\
- name: tcp
  typed_config:
    '@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
    stat_prefix: chain
    cluster: next
    tunneling_config: {hostname: 'chain.test:80', use_post: true, post_path: /tunnel}
";

const FORWARDS: &str = "\
- name: http
  typed_config:
    '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.\
HttpConnectionManager
    stat_prefix: chain
    delayed_close_timeout: 0.1s
    upgrade_configs: [{upgrade_type: CONNECT}]
    route_config: {virtual_hosts: [{name: all, domains: ['*'], routes:
      [{match: {connect_matcher: {}}, route: {cluster: next}}]}]}
    http_filters: [{name: router, typed_config: {'@type':
      type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
";

/// The second proxy, which takes both versions of HTTP.
const ENDS: &str = "\
- name: http
  typed_config:
    '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.\
HttpConnectionManager
    stat_prefix: chain
    delayed_close_timeout: 0.1s
    route_config: {virtual_hosts: [{name: all, domains: ['*'], routes:
      [{match: {connect_matcher: {}}, route: {cluster: next, upgrade_configs:
        [{upgrade_type: CONNECT, connect_config: {}}]}},
       {match: {prefix: /tunnel}, route: {cluster: next, upgrade_configs:
        [{upgrade_type: CONNECT, connect_config: {allow_post: true}}]}}]}]}
    http_filters: [{name: router, typed_config: {'@type':
      type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
";

const HTTP2: &str = "\
typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    explicit_http_config: {http2_protocol_options: {}}
";

const WAYS: [Way; 5] = [
    Way {
        what: "TCP in CONNECT of HTTP/1",
        filter: TCP_PROXY,
        cluster: "",
        asks: false,
        half_closes: false,
    },
    Way {
        what: "TCP in CONNECT of HTTP/2",
        filter: TCP_PROXY,
        cluster: HTTP2,
        asks: false,
        half_closes: true,
    },
    Way {
        what: "TCP in POST of HTTP/2",
        filter: TCP_PROXY_POST,
        cluster: HTTP2,
        asks: false,
        half_closes: true,
    },
    Way {
        what: "CONNECT of HTTP/1 passed on in HTTP/1",
        filter: FORWARDS,
        cluster: "",
        asks: true,
        half_closes: false,
    },
    Way {
        what: "CONNECT of HTTP/1 passed on in HTTP/2",
        filter: FORWARDS,
        cluster: HTTP2,
        asks: true,
        half_closes: false,
    },
];

/// A proxy with one listener, this filter, and one host.
fn start(
    program: &Program,
    listener: &ListenerAddress,
    filter: &str,
    (host, cluster): (std::net::SocketAddr, &str),
) -> Proxy {
    let parts = Parts {
        listeners: format!(
            "  - name: chain\n    address: {}\n    filter_chains:\n    - filters:\n{}",
            socket_address(listener.address),
            indented(6, filter)
        ),
        clusters: format!(
            "  - name: next\n    type: STATIC\n{}    load_assignment: {{cluster_name: next, \
             endpoints: [{{lb_endpoints: [{{endpoint: {{address: {}}}}}]}}]}}\n",
            indented(4, cluster),
            socket_address(host)
        ),
        ..Parts::default()
    };
    Proxy::start(program, &parts.bootstrap(), &["--concurrency", "1"])
}

/// If this fails, a tunnel loses or changes bytes, or does not end, between two proxies of which
/// one at least is Nuncio.
#[test]
fn tunnels_pass_whole_through_two_proxies_in_a_row() {
    let subject = environment::subject();
    let mut pairs = vec![(subject.clone(), subject.clone())];
    if let Ok(envoy) = environment::reference() {
        pairs.push((subject.clone(), envoy.clone()));
        pairs.push((envoy, subject));
    }
    for (first, second) in &pairs {
        for way in &WAYS {
            println!("{}: {first:?} and {second:?}", way.what);
            through(first, second, way);
        }
    }
}

/// Sends so much in each of these directions at once, and expects it on the other side.
fn pass(directions: Vec<(&Peer, &Peer)>) {
    thread::scope(|scope| {
        let transfers: Vec<_> = directions
            .into_iter()
            .zip(1..)
            .map(|((from, to), seed)| {
                let sent = scope.spawn(move || payload::send(from.stream(), seed, BYTES));
                (sent, scope.spawn(move || payload::receive(to.stream(), BYTES)))
            })
            .collect();
        for (sent, received) in transfers {
            assert_eq!(sent.join().unwrap(), received.join().unwrap());
        }
    });
}

fn through(first: &Program, second: &Program, way: &Way) {
    let upstream = Upstream::listen();
    let (outer, inner) = (ListenerAddress::reserve(), ListenerAddress::reserve());
    let end = start(second, &inner, ENDS, (upstream.address(), ""));
    let begin = start(first, &outer, way.filter, (inner.address, way.cluster));
    let open = || {
        let mut client = Peer::connect(outer.address);
        if way.asks {
            client.send(b"CONNECT chain.test:80 HTTP/1.1\r\nhost: chain.test:80\r\n\r\n");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.extend(client.receive(1));
            }
            assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", head.escape_ascii());
        }
        (client, upstream.accept())
    };

    let pairs: Vec<(Peer, Peer)> = (0..TUNNELS).map(|_| open()).collect();
    let directions = pairs.iter().flat_map(|(client, host)| [(client, host), (host, client)]);
    pass(directions.collect());
    begin.wait_for_stat("cluster.next.upstream_rq_active", TUNNELS as u64);
    let connections = if way.cluster == HTTP2 { 1 } else { TUNNELS as u64 };
    begin.wait_for_stat("cluster.next.upstream_cx_total", connections);
    for (client, mut host) in pairs {
        drop(client);
        assert_eq!(host.ending(), Ending::Fin, "{}", way.what);
    }

    let (mut client, mut host) = open();
    client.send(b"last words");
    client.finish_sending();
    assert_eq!(host.receive_to_end(), (b"last words".to_vec(), Ending::Fin), "{}", way.what);
    if way.half_closes {
        pass(vec![(&host, &client)]);
    }
    drop(host);
    assert_eq!(client.receive_to_end(), (Vec::new(), Ending::Fin), "{}", way.what);
    drop(client);

    let (mut client, mut host) = open();
    host.send(b"last words");
    assert_eq!(client.receive(10), b"last words");
    drop(host);
    assert_eq!(client.receive_to_end().0, b"", "{}", way.what);
    drop(client);
    // A connection of HTTP/2 stays for others.
    begin.wait_for_stat("cluster.next.upstream_rq_active", 0);
    end.wait_for_stat("cluster.next.upstream_cx_active", 0);
}
