//! What a scenario needs: the configuration of its part of the proxy, and the addresses in it.

use std::net::SocketAddr;

use crate::address::{ListenerAddress, RefusingAddress, SilentAddress};
use crate::configuration::{Filter, More, Parts, Route, indented, socket_address};
use crate::proxy::Scratch;
use crate::upstream::Upstream;

/// The configuration of one scenario, its addresses held.
pub(super) struct Plan {
    pub(super) listeners: Vec<ListenerAddress>,
    pub(super) endpoints: Vec<Endpoint>,
    config: Config,
    /// Whether the scenario has processes of its own, which it may change and end.
    pub(super) alone: bool,
}

/// Where the configuration comes from.
enum Config {
    /// One listener with one terminal filter.
    Route {
        filter: Filter,
        has_cluster: bool,
        more: More,
    },
    Template(Texts),
}

/// A template's parts, which may have been put together.
pub(super) struct Texts {
    pub(super) listeners: String,
    pub(super) clusters: String,
    pub(super) bootstrap: String,
}

impl From<Template> for Texts {
    fn from(template: Template) -> Self {
        Self {
            listeners: template.listeners.to_owned(),
            clusters: template.clusters.to_owned(),
            bootstrap: template.bootstrap.to_owned(),
        }
    }
}

/// Parts of an Envoy bootstrap as a person writes them. In them stand
///
/// - `$NAME` for the name of the scenario. Clusters and stat prefixes are called so, or `$NAME-x`:
///   that is how a scenario's stats are found among those of others;
/// - `$LISTENER`, `$LISTENER1`, .. for the addresses of the listeners;
/// - `$UPSTREAM`, `$UPSTREAM1`, .. for the addresses of the endpoints;
/// - `$FOLDER` for a folder of the process, for access logs (`$FOLDER/$NAME.log`).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Template {
    /// Items of `static_resources.listeners`.
    pub(super) listeners: &'static str,
    /// Items of `static_resources.clusters`.
    pub(super) clusters: &'static str,
    /// Fields of the bootstrap itself; the scenario has processes of its own then.
    pub(super) bootstrap: &'static str,
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

    pub(super) fn address(&self) -> SocketAddr {
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
        Self::route(endpoints, Filter::TcpProxy, true)
    }

    /// `tcp_proxy` to a cluster that the configuration does not have.
    pub(super) fn to_unknown_cluster() -> Self {
        Self::route(Vec::new(), Filter::TcpProxy, false)
    }

    /// The echo filter; no cluster.
    pub(super) fn echo() -> Self {
        Self::route(Vec::new(), Filter::Echo, false)
    }

    fn route(endpoints: Vec<Endpoint>, filter: Filter, has_cluster: bool) -> Self {
        Self {
            listeners: vec![ListenerAddress::reserve()],
            endpoints,
            config: Config::Route { filter, has_cluster, more: More::NONE },
            alone: false,
        }
    }

    /// What `template` says, with as many listeners as it names.
    pub(super) fn template(template: impl Into<Texts>, endpoints: Vec<Endpoint>) -> Self {
        let template = template.into();
        let named = (0..).take_while(|index| template.listeners.contains(&LISTENER.at(*index)));
        Self {
            listeners: named.map(|_| ListenerAddress::reserve()).collect(),
            endpoints,
            alone: !template.bootstrap.is_empty(),
            config: Config::Template(template),
        }
    }

    /// With further fields.
    pub(super) fn with(mut self, further: More) -> Self {
        match &mut self.config {
            Config::Route { more, .. } => *more = further,
            Config::Template(_) => panic!("a template says everything itself"),
        }
        self
    }

    /// With processes of its own, which the script may change and end.
    pub(super) fn alone(self) -> Self {
        Self { alone: true, ..self }
    }

    /// Adds the configuration of the scenario called `name` to `parts`.
    pub(super) fn add_to(&self, parts: &mut Parts, name: &str, folder: &Scratch) {
        match &self.config {
            Config::Route { filter, has_cluster, more } => {
                let endpoints = has_cluster.then(|| self.endpoints.iter().map(Endpoint::address));
                parts.add(&Route {
                    name: name.to_owned(),
                    listener: self.listeners[0].address,
                    filter: *filter,
                    endpoints: endpoints.map(Iterator::collect),
                    more: *more,
                });
            }
            Config::Template(template) => {
                let fill = |text: &str| indented(0, &self.filled(text, name, folder));
                parts.top.push_str(&fill(&template.bootstrap));
                parts.listeners.push_str(&indented(2, &fill(&template.listeners)));
                parts.clusters.push_str(&indented(2, &fill(&template.clusters)));
            }
        }
    }

    /// `text` with what its marks stand for.
    fn filled(&self, text: &str, name: &str, folder: &Scratch) -> String {
        let folder = folder.path("");
        let mut text = text.replace("$NAME", name);
        text = text.replace("$FOLDER", folder.to_str().unwrap().trim_end_matches('/'));
        // From the last: `$LISTENER1` begins with the mark of the first.
        for (index, listener) in self.listeners.iter().enumerate().rev() {
            text = text.replace(&LISTENER.at(index), &socket_address(listener.address));
        }
        for (index, endpoint) in self.endpoints.iter().enumerate().rev() {
            text = text.replace(&UPSTREAM.at(index), &socket_address(endpoint.address()));
        }
        assert!(!text.contains('$'), "something is not filled in:\n{text}");
        text
    }
}

/// A numbered mark of a template; the first one goes without a number.
pub(super) struct Mark(&'static str);

pub(super) const LISTENER: Mark = Mark("$LISTENER");
pub(super) const UPSTREAM: Mark = Mark("$UPSTREAM");

impl Mark {
    pub(super) fn at(&self, index: usize) -> String {
        match index {
            0 => self.0.to_owned(),
            _ => format!("{}{index}", self.0),
        }
    }
}

#[test]
fn a_template_is_filled_in_with_numbered_addresses() {
    let template = Template {
        listeners: "- name: $NAME\n  a: $LISTENER\n  b: $LISTENER1\n",
        clusters: "- name: $NAME-x\n  a: [$UPSTREAM, $UPSTREAM1]\n  log: $FOLDER/$NAME.log\n",
        bootstrap: "",
    };
    let plan = Plan::template(template, vec![Endpoint::refusing(), Endpoint::refusing()]);
    assert_eq!(plan.listeners.len(), 2);
    let (mut parts, folder) = (Parts::default(), Scratch::new());
    plan.add_to(&mut parts, "one", &folder);
    let address = |index: usize| socket_address(plan.listeners[index].address);
    assert_eq!(
        parts.listeners,
        format!("  - name: one\n    a: {}\n    b: {}\n", address(0), address(1))
    );
    let address = |index: usize| socket_address(plan.endpoints[index].address());
    let log = folder.path("one.log");
    assert_eq!(
        parts.clusters,
        format!(
            "  - name: one-x\n    a: [{}, {}]\n    log: {}\n",
            address(0),
            address(1),
            log.display()
        )
    );
}
