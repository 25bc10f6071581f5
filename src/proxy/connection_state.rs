//! The filter state of one connection: what filters left on it, and what that means to those who
//! send it on.
//!
//! It exists only where somebody leaves something. An object counts for what it is for only if the
//! factory of that very key has made it; under another name it is shown in logs and nothing else.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/advanced/well_known_filter_state>

use std::cell::{OnceCell, Ref, RefCell};
use std::time::Duration;

use base::Address;
use cluster::{Client, Cluster, Way};
use net::RelayRules;
use observe::access_log::{FilterObject, FilterState, Sharing};

const CLUSTER: &str = "envoy.tcp_proxy.cluster";
const IDLE_TIMEOUT_MS: &str = "envoy.tcp_proxy.per_connection_idle_timeout_ms";
const DISABLE_TUNNELING: &str = "envoy.tcp_proxy.disable_tunneling";
const PROXY_PROTOCOL: &str = "envoy.network.proxy_protocol_options";
const SERVER_NAME: &str = "envoy.network.upstream_server_name";
const SUBJECT_ALT_NAMES: &str = "envoy.network.upstream_subject_alt_names";
const APPLICATION_PROTOCOLS: &str = "envoy.network.application_protocols";
const HTTP_PROXY: &str = "envoy.network.transport_socket.http_11_proxy.info";

/// The longest idle timeout, in milliseconds: a thousand years. Whoever asks for more means never.
const IDLE_TIMEOUT_MS_MAX: u64 = 1000 * 365 * 24 * 3600 * 1000;

/// What filters left on a connection.
#[derive(Debug, Default)]
pub(crate) struct ConnectionState {
    objects: RefCell<FilterState>,
    /// Those of the connection, once it is about to be relayed.
    relay_rules: OnceCell<RelayRules>,
}

impl ConnectionState {
    pub(crate) fn new(state: FilterState) -> Self {
        Self { objects: RefCell::new(state), relay_rules: OnceCell::new() }
    }

    /// All of it, for a line of a log.
    pub(crate) fn borrow(&self) -> Ref<'_, FilterState> {
        self.objects.borrow()
    }

    pub(crate) fn set(&self, key: &str, object: FilterObject, sharing: Sharing) {
        self.objects.borrow_mut().set(key, object, sharing);
    }

    /// Where `tcp_proxy` is to send the connection: the name of a cluster, which there may not be.
    pub(crate) fn cluster(&self) -> Option<Box<[u8]>> {
        match self.borrow().get(CLUSTER) {
            Some(FilterObject::Cluster(name)) => Some(name.clone()),
            _ => None,
        }
    }

    /// How long `tcp_proxy` keeps the connection without a byte. Zero ends it at once.
    pub(crate) fn idle_timeout(&self) -> Option<Duration> {
        match self.borrow().get(IDLE_TIMEOUT_MS) {
            Some(FilterObject::Uint64(milliseconds)) => {
                Some(Duration::from_millis((*milliseconds).min(IDLE_TIMEOUT_MS_MAX)))
            }
            _ => None,
        }
    }

    /// Whether `tcp_proxy` sends the connection as it is, whatever its `tunneling_config`.
    pub(crate) fn disables_tunneling(&self) -> bool {
        self.borrow().get(DISABLE_TUNNELING) == Some(&FilterObject::Bool(true))
    }

    /// To be called once.
    pub(crate) fn set_relay_rules(&self, rules: RelayRules) {
        // A second call would change nothing.
        let _ = self.relay_rules.set(rules);
    }

    /// What `tcp_proxy` relays the connection by, if not by what it has for all.
    pub(crate) fn relay_rules(&self) -> Option<&RelayRules> {
        self.relay_rules.get()
    }

    /// The connection goes to an upstream: as in Envoy this object is what it is told then, and
    /// shows as nothing.
    pub(crate) fn begin_upstream(&self) {
        self.objects.borrow_mut().remove(PROXY_PROTOCOL);
    }

    /// Where upstream connections go in the place of their host.
    pub(crate) fn proxy(&self) -> Option<Address> {
        match self.borrow().get(HTTP_PROXY) {
            Some(FilterObject::HttpProxy { proxy, .. }) => Some(Address::Ip(*proxy)),
            _ => None,
        }
    }

    /// Adds what tells the connection apart from those that it shares no upstream connection with.
    fn write_likeness(&self, out: &mut Vec<u8>) {
        let state = self.borrow();
        let mut add = |key: &str, text: &[u8]| {
            write_part(key.as_bytes(), out);
            // As in Envoy, which does not tell small letters from large ones here.
            write_part(&text.to_ascii_lowercase(), out);
        };
        if let Some(FilterObject::ServerName(name)) = state.get(SERVER_NAME) {
            add(SERVER_NAME, name);
        }
        if let Some(FilterObject::SubjectAltNames(names)) = state.get(SUBJECT_ALT_NAMES) {
            add(SUBJECT_ALT_NAMES, names);
        }
        if let Some(FilterObject::ApplicationProtocols(names)) = state.get(APPLICATION_PROTOCOLS) {
            add(APPLICATION_PROTOCOLS, names);
        }
        if let Some(FilterObject::HttpProxy { target, proxy }) = state.get(HTTP_PROXY) {
            add(HTTP_PROXY, target);
            add("", proxy.to_string().as_bytes());
        }
        for (key, object) in state.shared() {
            let text: Box<[u8]> = match object {
                FilterObject::HashableText(text) => text.clone(),
                FilterObject::Address(address) => address.to_string().into_bytes().into(),
                // No other object tells connections apart in Envoy.
                _ => continue,
            };
            write_part(key.as_bytes(), out);
            write_part(&text, out);
        }
    }
}

fn write_part(part: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&part.len().to_le_bytes());
    out.extend_from_slice(part);
}

/// How an upstream connection of `cluster` is made for a client's connection with this state, if
/// not as for all others (row C12).
pub(crate) fn way<'a>(
    state: Option<&ConnectionState>,
    cluster: &Cluster,
    client: impl FnOnce() -> Client<'a>,
) -> Option<Box<Way>> {
    let is_pooled = cluster.pools_tcp();
    let is_told = is_pooled && cluster.config().proxy_protocol.is_some();
    way_of(state, is_pooled, is_told.then(client))
}

/// `client` is there where upstream is told whose connection it is: nobody else's may be like it.
fn way_of(
    state: Option<&ConnectionState>,
    is_pooled: bool,
    client: Option<Client<'_>>,
) -> Option<Box<Way>> {
    let mut likeness = Vec::new();
    if is_pooled {
        if let Some(state) = state {
            state.write_likeness(&mut likeness);
        }
        if let Some(client) = client {
            let text = |address: Option<Address>| address.map(|address| address.to_string());
            write_part(text(client.remote).unwrap_or_default().as_bytes(), &mut likeness);
            write_part(text(client.local).unwrap_or_default().as_bytes(), &mut likeness);
        }
    }
    let proxy = state.and_then(ConnectionState::proxy);
    if likeness.is_empty() && proxy.is_none() {
        return None;
    }
    Some(Box::new(Way { likeness: likeness.into(), proxy }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Box<[u8]> {
        text.as_bytes().into()
    }

    #[test]
    fn an_object_counts_under_its_own_key_and_of_its_own_type_only() {
        let state = ConnectionState::default();
        state.set(CLUSTER, FilterObject::Text(text("a")), Sharing::None);
        state.set(IDLE_TIMEOUT_MS, FilterObject::Text(text("1")), Sharing::None);
        state.set(DISABLE_TUNNELING, FilterObject::Text(text("true")), Sharing::None);
        state.set("other", FilterObject::Cluster(text("a")), Sharing::None);
        assert_eq!((state.cluster(), state.idle_timeout()), (None, None));
        assert!(!state.disables_tunneling());
        state.set(CLUSTER, FilterObject::Cluster(text("a")), Sharing::None);
        state.set(IDLE_TIMEOUT_MS, FilterObject::Uint64(u64::MAX), Sharing::None);
        state.set(DISABLE_TUNNELING, FilterObject::Bool(true), Sharing::None);
        assert_eq!(state.cluster(), Some(text("a")));
        assert_eq!(state.idle_timeout(), Some(Duration::from_millis(IDLE_TIMEOUT_MS_MAX)));
        assert!(state.disables_tunneling());
    }

    /// What had a pool of its own in Envoy 1.40, with `per_host_thresholds`.
    #[test]
    fn connections_are_alike_unless_their_upstream_would_be_told_of_the_difference() {
        let likeness = |key: &str, object: FilterObject, sharing| {
            let state = ConnectionState::default();
            state.set(key, object, sharing);
            way_of(Some(&state), true, None).map(|way| way.likeness.clone())
        };
        let address = FilterObject::Address("1.2.3.4:5".parse().unwrap());
        for (key, object, sharing) in [
            ("k", FilterObject::HashableText(text("a")), Sharing::None),
            ("k", FilterObject::Text(text("a")), Sharing::Upstream),
            ("k", FilterObject::ServerName(text("a")), Sharing::Upstream),
            ("k", address.clone(), Sharing::None),
            (SERVER_NAME, FilterObject::Text(text("a")), Sharing::None),
        ] {
            assert_eq!(likeness(key, object, sharing), None);
        }
        let name =
            |name: &str| likeness(SERVER_NAME, FilterObject::ServerName(text(name)), Sharing::None);
        assert!(name("a").is_some());
        assert_eq!(name("a"), name("A"));
        let others = [
            name("a"),
            name("b"),
            likeness(SUBJECT_ALT_NAMES, FilterObject::SubjectAltNames(text("a")), Sharing::None),
            likeness(
                APPLICATION_PROTOCOLS,
                FilterObject::ApplicationProtocols(text("a")),
                Sharing::None,
            ),
            likeness("k", FilterObject::HashableText(text("a")), Sharing::Upstream),
            likeness("k", FilterObject::HashableText(text("A")), Sharing::Upstream),
            likeness("k", address, Sharing::Upstream),
        ];
        for (index, one) in others.iter().enumerate() {
            assert!(one.is_some() && !others[..index].contains(one), "{index}");
        }
    }

    #[test]
    fn without_pools_only_a_proxy_makes_a_difference() {
        let state = ConnectionState::default();
        state.set(SERVER_NAME, FilterObject::ServerName(text("a")), Sharing::None);
        assert!(way_of(Some(&state), false, None).is_none());
        let proxy = "1.2.3.4:5".parse().unwrap();
        let object = FilterObject::HttpProxy { target: text("a:1"), proxy };
        state.set(HTTP_PROXY, object, Sharing::None);
        let found = way_of(Some(&state), false, None).unwrap();
        assert_eq!((&*found.likeness, &found.proxy), (&[][..], &Some(Address::Ip(proxy))));
        assert!(way_of(None, true, None).is_none());
        let client = Client { remote: Some(Address::Ip(proxy)), local: None, tlvs: &[] };
        assert!(way_of(None, true, Some(client)).is_some());
    }
}
