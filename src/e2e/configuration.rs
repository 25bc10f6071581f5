//! Envoy configurations written by tests: listeners that each relay to a cluster of the same name.

use std::fmt::Write;
use std::net::SocketAddr;

/// One listener with one terminal filter, and its cluster.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// Name of listener, `tcp_proxy` stat prefix and cluster.
    pub(crate) name: String,
    pub(crate) listener: SocketAddr,
    pub(crate) filter: Filter,
    /// Endpoints of the cluster; `None` leaves the cluster out of the file.
    pub(crate) endpoints: Option<Vec<SocketAddr>>,
    /// More fields of the listener, of the filter and of the cluster, in YAML's flow style.
    pub(crate) more: More,
}

/// Further fields, each as `name: value`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct More {
    pub(crate) listener: &'static [&'static str],
    pub(crate) tcp_proxy: &'static [&'static str],
    pub(crate) cluster: &'static [&'static str],
    /// `load_balancing_weight` of each endpoint in turn; endpoints beyond the list have none.
    pub(crate) weights: &'static [u32],
}

impl More {
    pub(crate) const NONE: Self =
        Self { listener: &[], tcp_proxy: &[], cluster: &[], weights: &[] };

    pub(crate) const fn tcp_proxy(fields: &'static [&'static str]) -> Self {
        Self { tcp_proxy: fields, ..Self::NONE }
    }

    pub(crate) const fn cluster(fields: &'static [&'static str]) -> Self {
        Self { cluster: fields, ..Self::NONE }
    }
}

/// Which filter ends the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    Echo,
    TcpProxy,
}

impl Route {
    /// A listener that relays to `endpoints`.
    pub(crate) fn relay(name: &str, listener: SocketAddr, endpoints: &[SocketAddr]) -> Self {
        Self {
            name: name.to_owned(),
            listener,
            filter: Filter::TcpProxy,
            endpoints: Some(endpoints.to_vec()),
            more: More::NONE,
        }
    }

    /// The same, for more connections at once than a circuit breaker allows by default.
    pub(crate) fn with_a_million_connections(self) -> Self {
        let cluster = &["circuit_breakers: {thresholds: [{max_connections: 1000000}]}"];
        Self { more: More { cluster, ..self.more }, ..self }
    }

    /// The stat called `stat` in this listener's scope.
    pub(crate) fn listener_stat(&self, stat: &str) -> String {
        format!("listener.{}.{stat}", self.listener.to_string().replace(':', "_"))
    }

    /// The stat called `stat` in this cluster's scope.
    pub(crate) fn cluster_stat(&self, stat: &str) -> String {
        format!("cluster.{}.{stat}", self.name)
    }
}

/// The parts that a bootstrap is put together from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Fields of the bootstrap itself; without `admin`, an admin page is added.
    pub(crate) top: String,
    /// Items of `static_resources.listeners`.
    pub(crate) listeners: String,
    /// Items of `static_resources.clusters`.
    pub(crate) clusters: String,
}

impl Parts {
    pub(crate) fn add(&mut self, route: &Route) {
        self.listeners.push_str(&listener(route));
        if let Some(endpoints) = &route.endpoints {
            self.clusters.push_str(&cluster(route, endpoints));
        }
    }

    /// A whole bootstrap, with an admin page on a port that the proxy chooses.
    pub(crate) fn bootstrap(&self) -> String {
        let mut text = self.top.clone();
        if !text.lines().any(|line| line.starts_with("admin:")) {
            text.push_str(
                "admin:\n  address: {socket_address: {address: 127.0.0.1, port_value: 0}}\n",
            );
        }
        text.push_str("static_resources:\n");
        for (name, items) in [("listeners", &self.listeners), ("clusters", &self.clusters)] {
            if !items.is_empty() {
                write!(text, "  {name}:\n{items}").unwrap();
            }
        }
        text
    }
}

/// A whole bootstrap with an admin page on a port that the proxy chooses.
pub(crate) fn bootstrap(routes: &[Route]) -> String {
    let mut parts = Parts::default();
    for route in routes {
        parts.add(route);
    }
    parts.bootstrap()
}

/// Text with each line moved to the right.
pub(crate) fn indented(columns: usize, text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| format!("{:columns$}{line}\n", "")).collect()
}

fn listener(route: &Route) -> String {
    let (name, address) = (&route.name, socket_address(route.listener));
    let mut text = format!("  - name: {name}\n    address: {address}\n");
    text.push_str(&fields(4, route.more.listener));
    text.push_str("    filter_chains:\n    - filters:\n");
    let (filter, message) = match route.filter {
        Filter::Echo => ("echo", "echo.v3.Echo"),
        Filter::TcpProxy => ("tcp_proxy", "tcp_proxy.v3.TcpProxy"),
    };
    write!(
        text,
        "      - name: envoy.filters.network.{filter}\n        typed_config:\n          \
         \"@type\": type.googleapis.com/envoy.extensions.filters.network.{message}\n"
    )
    .unwrap();
    if route.filter == Filter::TcpProxy {
        write!(text, "          stat_prefix: {name}\n          cluster: {name}\n").unwrap();
        text.push_str(&fields(10, route.more.tcp_proxy));
    }
    text
}

fn cluster(route: &Route, endpoints: &[SocketAddr]) -> String {
    let endpoint = |(index, endpoint): (usize, &SocketAddr)| {
        let weight = route.more.weights.get(index);
        let weight = weight.map(|weight| format!(", load_balancing_weight: {weight}"));
        let (address, weight) = (socket_address(*endpoint), weight.unwrap_or_default());
        format!("{{endpoint: {{address: {address}}}{weight}}}")
    };
    let endpoints: Vec<String> = endpoints.iter().enumerate().map(endpoint).collect();
    let mut text = format!("  - name: {}\n    type: STATIC\n", route.name);
    text.push_str(&fields(4, route.more.cluster));
    write!(
        text,
        "    load_assignment:\n      cluster_name: {}\n      endpoints:\n      \
         - lb_endpoints: [{}]\n",
        route.name,
        endpoints.join(", ")
    )
    .unwrap();
    text
}

/// An address in YAML's flow style.
pub(crate) fn socket_address(address: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!("{{socket_address: {{address: {ip}, port_value: {port}}}}}")
}

fn fields(indent: usize, fields: &[&str]) -> String {
    fields.iter().map(|field| indented(indent, field)).collect()
}

/// A listener called `http` that serves HTTP from one host.
pub(crate) fn http(listener: SocketAddr, host: SocketAddr) -> String {
    let extensions = "type.googleapis.com/envoy.extensions.filters";
    format!(
        "admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
static_resources:
  listeners:
  - name: http
    address: {{socket_address: {{address: {}, port_value: {}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': {extensions}.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          route_config:
            virtual_hosts:
            - name: all
              domains: ['*']
              routes: [{{match: {{prefix: /}}, route: {{cluster: host}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{'@type': {extensions}.http.router.v3.Router}}
  clusters:
  - name: host
    type: STATIC
    load_assignment:
      cluster_name: host
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: {}, port_value: {}}}}}}}
",
        listener.ip(),
        listener.port(),
        host.ip(),
        host.port()
    )
}
