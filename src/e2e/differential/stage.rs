//! What a script works with: one proxy, the listener and upstreams of its scenario, and the list
//! of what it saw.

use std::cell::RefCell;
use std::fmt::Display;
use std::net::SocketAddr;

use crate::address::{ListenerAddress, RefusingAddress, SilentAddress};
use crate::configuration::{Filter, More, Route};
use crate::patience::wait_for;
use crate::peer::{Ending, Peer};
use crate::proxy::{Answer, Proxy};
use crate::stats::{self, Stats};
use crate::upstream::Upstream;

/// The configuration of one scenario, its addresses held.
pub(super) struct Plan {
    listener: ListenerAddress,
    filter: Filter,
    endpoints: Option<Vec<Endpoint>>,
    more: More,
}

/// How an endpoint of the scenario's cluster treats the proxy.
pub(super) enum Endpoint {
    /// Accepts; the script plays the accepted connections.
    Serving(Upstream),
    /// Refuses connections.
    Refusing(RefusingAddress),
    /// Never answers a connection attempt.
    Silent(SilentAddress),
}

impl Endpoint {
    pub(super) fn serving() -> Self {
        Self::Serving(Upstream::listen())
    }

    pub(super) fn refusing() -> Self {
        Self::Refusing(RefusingAddress::reserve())
    }

    pub(super) fn silent() -> Self {
        Self::Silent(SilentAddress::reserve())
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Serving(upstream) => upstream.address(),
            Self::Refusing(refusing) => refusing.address,
            Self::Silent(silent) => silent.address,
        }
    }
}

impl Plan {
    /// `tcp_proxy` to one serving endpoint.
    pub(super) fn relay() -> Self {
        Self::to(vec![Endpoint::serving()])
    }

    /// `tcp_proxy` to a cluster of these endpoints.
    pub(super) fn to(endpoints: Vec<Endpoint>) -> Self {
        Self {
            listener: ListenerAddress::reserve(),
            filter: Filter::TcpProxy,
            endpoints: Some(endpoints),
            more: More::NONE,
        }
    }

    /// `tcp_proxy` to a cluster that the configuration does not have.
    pub(super) fn to_unknown_cluster() -> Self {
        Self { endpoints: None, ..Self::to(Vec::new()) }
    }

    /// The echo filter; no cluster.
    pub(super) fn echo() -> Self {
        Self { filter: Filter::Echo, ..Self::to_unknown_cluster() }
    }

    pub(super) fn with(self, more: More) -> Self {
        Self { more, ..self }
    }

    pub(super) fn route(&self, name: &str) -> Route {
        let endpoints = self.endpoints.as_ref();
        Route {
            name: name.to_owned(),
            listener: self.listener.address,
            filter: self.filter,
            endpoints: endpoints.map(|all| all.iter().map(Endpoint::address).collect()),
            more: self.more,
        }
    }
}

/// What was seen, in order: a name and a value each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Observed(Vec<(String, String)>);

impl Observed {
    /// `self`, then `more`.
    pub(super) fn with(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    /// What the script itself saw.
    pub(super) fn without_stats(&self) -> Self {
        let scripted = |(name, _): &&(String, String)| !name.starts_with(STAT);
        Self(self.0.iter().filter(scripted).cloned().collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// One line per observation, for a person; stats that are zero are left out.
pub(super) fn list(observed: &Observed) -> String {
    let shown = |(name, value): &(&str, &str)| !(name.starts_with(STAT) && *value == "0");
    observed.iter().filter(shown).map(|(name, value)| format!("  {name}: {value}\n")).collect()
}

/// Marks the observations that are stats at the end of the scenario.
const STAT: &str = "stat ";

/// One scenario on one proxy.
pub(super) struct Stage<'a> {
    proxy: &'a Proxy,
    plan: &'a Plan,
    route: Route,
    // Scripts borrow upstreams while they note what they see.
    observed: RefCell<Observed>,
    /// Counters begin here; empty unless the script asks for a later beginning.
    baseline: RefCell<Stats>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(proxy: &'a Proxy, name: &str, plan: &'a Plan) -> Self {
        Self {
            proxy,
            plan,
            route: plan.route(name),
            observed: RefCell::default(),
            baseline: RefCell::default(),
        }
    }

    /// A client of the scenario's listener.
    pub(super) fn connect(&self) -> Peer {
        Peer::connect(self.route.listener)
    }

    /// A client with a small receive buffer.
    pub(super) fn connect_with_receive_buffer(&self, bytes: usize) -> Peer {
        Peer::connect_with_receive_buffer(self.route.listener, bytes)
    }

    /// The proxy's next connection to the first serving endpoint.
    pub(super) fn accept(&self) -> Peer {
        self.upstreams().next().expect("the plan has a serving endpoint").accept()
    }

    /// The serving endpoints, in the order of the plan.
    pub(super) fn upstreams(&self) -> impl Iterator<Item = &'a Upstream> {
        let all = self.plan.endpoints.iter().flatten();
        all.filter_map(|endpoint| match endpoint {
            Endpoint::Serving(upstream) => Some(upstream),
            Endpoint::Refusing(_) | Endpoint::Silent(_) => None,
        })
    }

    /// A client and the upstream connection that the proxy opened for it.
    pub(super) fn relayed(&self) -> (Peer, Peer) {
        let client = self.connect();
        (client, self.accept())
    }

    /// Asks the proxy's admin server.
    pub(super) fn ask(&self, request: &str) -> Answer {
        self.proxy.ask(request)
    }

    /// The scenario's listener, as its stats are called.
    pub(super) fn listener_scope(&self) -> String {
        self.route.listener_stat("")
    }

    /// Notes something seen, to be compared.
    pub(super) fn note(&self, name: &str, value: impl Display) {
        self.observed.borrow_mut().0.push((name.to_owned(), value.to_string()));
    }

    /// Notes bytes and ending that one side saw.
    pub(super) fn note_end(&self, side: &str, (bytes, ending): &(Vec<u8>, Ending)) {
        self.note(&format!("{side} received"), bytes.escape_ascii());
        self.note(&format!("{side} ended by"), ending);
    }

    /// Waits until a stat of this scenario has this value, and notes it. Names begin with
    /// `listener.`, `tcp.` or `cluster.`, the scope left out.
    pub(super) fn expect_stat(&self, name: &str, value: u64) {
        self.proxy.wait_for_stat(&self.full_name(name), value);
        self.note(&format!("during the script, {name}"), value);
    }

    /// Waits until a counter of this scenario moved, and notes that it did.
    pub(super) fn expect_stat_above_zero(&self, name: &str) {
        let full_name = self.full_name(name);
        wait_for(&format!("{full_name} to move"), || match self.proxy.stats().value(&full_name) {
            Some(1..) => Ok(()),
            other => Err(format!("it is {other:?}")),
        });
        self.note(&format!("during the script, {name}"), "above zero");
    }

    /// Of two hosts, the first of which fails and counts so in `failures`: relays connections
    /// until that one was met. A worker starts its turn at a random host; after this the failing
    /// host is the next one, and the stats count from here.
    pub(super) fn meet_failing_host(&self, failures: &str) {
        let failures = self.full_name(failures);
        while self.proxy.stats().value(&failures) == Some(0) {
            let (mut client, upstream) = self.relayed();
            drop(upstream);
            assert_eq!(client.ending(), Ending::Fin);
        }
        self.stats_at_rest();
        *self.baseline.borrow_mut() = self.proxy.stats();
    }

    pub(super) fn take_observed(&self) -> Observed {
        self.observed.take()
    }

    /// The stats of this scenario once all its connections are gone and two looks agree.
    pub(super) fn stats_at_rest(&self) -> Observed {
        let mut last = Stats::default();
        wait_for("the stats to rest", || {
            let stats = self.proxy.stats();
            let active: Vec<_> =
                ACTIVE.iter().filter(|name| stats.value(&self.full_name(name)) > Some(0)).collect();
            if !active.is_empty() {
                return Err(format!("still above zero: {active:?}"));
            }
            // Other scenarios move other scopes all the time.
            let now = self.chosen(&stats);
            if now == self.chosen(&last) {
                return Ok(now);
            }
            last = stats;
            Err("they still change".to_owned())
        })
    }

    /// The stats of this scenario that are compared.
    pub(super) fn stats(&self) -> Observed {
        self.chosen(&self.proxy.stats())
    }

    fn chosen(&self, stats: &Stats) -> Observed {
        let mut names: Vec<String> =
            stats::LISTENER.iter().map(|name| format!("listener.{name}")).collect();
        if self.route.filter == Filter::TcpProxy {
            names.extend(stats::TCP_PROXY.iter().map(|name| format!("tcp.{name}")));
        }
        if self.route.endpoints.is_some() {
            names.extend(stats::CLUSTER.iter().map(|name| format!("cluster.{name}")));
        }
        let observation = |name: String| {
            let full_name = self.full_name(&name);
            let start = self.baseline.borrow().value(&full_name).unwrap_or(0);
            let value = stats.value(&full_name).map(|value| value.saturating_sub(start));
            let value = value.map_or_else(|| "absent".to_owned(), |value| value.to_string());
            (format!("{STAT}{name}"), value)
        };
        Observed(names.into_iter().map(observation).collect())
    }

    fn full_name(&self, name: &str) -> String {
        match name.split_once('.') {
            Some(("listener", stat)) => self.route.listener_stat(stat),
            Some(("tcp", stat)) => self.route.tcp_proxy_stat(stat),
            Some(("cluster", stat)) => self.route.cluster_stat(stat),
            _ => panic!("'{name}' is in no scope of a scenario"),
        }
    }
}

/// Gauges that are zero when a scenario has ended.
const ACTIVE: &[&str] = &[
    "listener.downstream_cx_active",
    "tcp.downstream_cx_rx_bytes_buffered",
    "tcp.downstream_cx_tx_bytes_buffered",
    "tcp.upstream_flush_active",
    "cluster.upstream_cx_active",
    "cluster.upstream_cx_rx_bytes_buffered",
    "cluster.upstream_cx_tx_bytes_buffered",
    "cluster.upstream_rq_active",
    "cluster.upstream_rq_pending_active",
    "cluster.circuit_breakers.default.cx_open",
];
