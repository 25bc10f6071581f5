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

    /// The stat called `stat` in this `tcp_proxy`'s scope.
    pub(crate) fn tcp_proxy_stat(&self, stat: &str) -> String {
        format!("tcp.{}.{stat}", self.name)
    }

    /// The stat called `stat` in this cluster's scope.
    pub(crate) fn cluster_stat(&self, stat: &str) -> String {
        format!("cluster.{}.{stat}", self.name)
    }
}

/// A whole bootstrap with an admin page on a port that the proxy chooses.
pub(crate) fn bootstrap(routes: &[Route]) -> String {
    let mut text = String::from(
        "admin:\n  address: {socket_address: {address: 127.0.0.1, port_value: 0}}\n\
         static_resources:\n  listeners:\n",
    );
    for route in routes {
        text.push_str(&listener(route));
    }
    if routes.iter().any(|route| route.endpoints.is_some()) {
        text.push_str("  clusters:\n");
    }
    for route in routes {
        if let Some(endpoints) = &route.endpoints {
            text.push_str(&cluster(route, endpoints));
        }
    }
    text
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
    fields.iter().map(|field| format!("{:indent$}{field}\n", "")).collect()
}
