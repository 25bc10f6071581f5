//! Every page of the admin server, asked of Envoy and of Nuncio under the same configuration.
//!
//! One process of each answers the same requests in the same order, reading ones and changing
//! ones, good ones and bad ones; and for each way of draining one process of each is drained with
//! connections open. Statuses, headers and bodies are compared, JSON value by value, text line by
//! line; what may differ is in `masks`, each with its reason.

mod answers;
mod drains;
mod masks;
mod pages;

use std::net::SocketAddr;

use self::answers::Shown;
use crate::address::RefusingAddress;
use crate::configuration::socket_address;
use crate::environment::{self, Program};
use crate::peer::Peer;
use crate::proxy::Proxy;
use crate::upstream::Upstream;

/// The hosts that both proxies are configured with.
struct Hosts {
    serving: Upstream,
    refusing: RefusingAddress,
}

impl Hosts {
    fn new() -> Self {
        Self { serving: Upstream::listen(), refusing: RefusingAddress::reserve() }
    }

    fn yaml(&self) -> String {
        let (serving, refusing) = (self.serving.address(), self.refusing.address);
        CONFIGURATION
            .replace("SERVING", &socket_address(serving))
            .replace("REFUSING", &socket_address(refusing))
    }
}

/// A named listener that relays, an inbound one without a name that echoes, one of HTTP; a cluster
/// of two hosts and one of none; layers of the runtime with values of each kind.
const CONFIGURATION: &str = r#"
node: {id: front-1, cluster: front, locality: {zone: here}}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
layered_runtime:
  layers:
  - name: base
    static_layer:
      yes: true
      many: 1234567
      deep: {er: {still: -3}}
      words: some words
      digits: "42"
      half: 1.5
  - name: operator
    admin_layer: {}
static_resources:
  listeners:
  - name: relay
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: relay
          cluster: backend
  - address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    traffic_direction: INBOUND
    filter_chains:
    - filters:
      - name: envoy.filters.network.echo
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo
  - name: web
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": "type.googleapis.com/envoy.extensions.filters.network.\
            http_connection_manager.v3.HttpConnectionManager"
          stat_prefix: web
          route_config:
            name: local
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - {match: {prefix: "/old"}, redirect: {path_redirect: "/new"}}
              - {match: {prefix: "/"}, route: {cluster: backend, timeout: 3s}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: none
    type: STATIC
    alt_stat_name: nobody
  - name: backend
    type: STATIC
    connect_timeout: 0.25s
    circuit_breakers: {thresholds: [{max_connections: 7, max_pending_requests: 5}]}
    load_assignment:
      cluster_name: backend
      endpoints:
      - lb_endpoints:
        - {endpoint: {address: SERVING}, load_balancing_weight: 1}
        - {endpoint: {address: REFUSING}}
"#;

/// Starts a proxy with one worker: what a host has met is then known.
fn start(program: &Program, hosts: &Hosts) -> Proxy {
    Proxy::start(program, &hosts.yaml(), &["--concurrency", "1", "--drain-time-s", "1"])
}

/// Where the listeners of TCP listen: the relay, then the echo.
fn listening(proxy: &Proxy) -> [SocketAddr; 2] {
    let page = proxy.ask("GET /listeners").body;
    let address = |line: &str| line.rsplit_once("::")?.1.parse().ok();
    let lines = page.lines().filter(|line| !line.starts_with("web::"));
    let addresses: Vec<SocketAddr> = lines.filter_map(address).collect();
    addresses.try_into().unwrap_or_else(|_| panic!("two listeners expected:\n{page}"))
}

/// Lets each host be met by one connection: the one that serves holds it open, the other refused.
fn meet_both_hosts(proxy: &Proxy, hosts: &Hosts) -> (Vec<Peer>, Peer) {
    let [relay, _] = listening(proxy);
    let clients = vec![Peer::connect(relay), Peer::connect(relay)];
    let upstream = hosts.serving.accept();
    proxy.wait_for_stat("cluster.backend.upstream_cx_connect_fail", 1);
    proxy.wait_for_stat("cluster.backend.upstream_rq_active", 1);
    (clients, upstream)
}

/// If this fails, a dashboard, script or probe made for Envoy's admin pages misreads Nuncio's.
#[test]
fn admin_pages_agree_with_envoy() {
    let hosts = Hosts::new();
    let play = |program: &Program| -> Vec<Shown> {
        let proxy = start(program, &hosts);
        let _connections = meet_both_hosts(&proxy, &hosts);
        pages::REQUESTS.iter().map(|request| Shown::ask(&proxy, request)).collect()
    };
    let here = play(&environment::subject());
    let Ok(envoy) = environment::reference() else { return };
    let envoy = play(&envoy);
    let differences: Vec<String> =
        envoy.iter().zip(&here).flat_map(|(envoy, here)| envoy.differences(here)).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
