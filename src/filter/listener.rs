//! Listener filters: what is found out about a connection before it gets its filter chain.
//!
//! They say what they need and what they found; reading and closing is their caller's business.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/listener_filters/listener_filters>

mod proxy_protocol;

use base::Address;
use config::model::{self, ConnectionPredicate, ListenerFilterKind};
use observe::{Registry, Shard};

use crate::origin::Origin;

pub use proxy_protocol::{Inspection, ProxyProtocolFilter};

/// A listener filter on one worker.
#[derive(Debug)]
pub struct ListenerFilter {
    disabled: Option<ConnectionPredicate>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    OriginalDestination,
    ProxyProtocol(ProxyProtocolFilter),
}

/// What a filter wants for one connection.
#[derive(Debug, Clone, Copy)]
pub enum Wish<'a> {
    /// Nothing: the connection passes by.
    Nothing,
    /// To know what the client connected to: [`Origin::restore_local`].
    OriginalDestination,
    /// To see how the connection begins.
    Beginning(&'a ProxyProtocolFilter),
}

impl ListenerFilter {
    /// The filters of a listener, in order. Their stats are those of `shard`.
    #[must_use]
    pub fn all(config: &model::ListenerFilters, registry: &Registry, shard: &Shard) -> Box<[Self]> {
        let filter = |filter: &model::ListenerFilter| Self {
            disabled: filter.disabled.clone(),
            kind: match &filter.kind {
                ListenerFilterKind::OriginalDestination => Kind::OriginalDestination,
                ListenerFilterKind::ProxyProtocol(config) => {
                    Kind::ProxyProtocol(ProxyProtocolFilter::new(config, registry, shard))
                }
            },
        };
        config.filters.iter().map(filter).collect()
    }

    /// What it wants of a connection about which the filters before it found out `origin`.
    #[must_use]
    pub fn wish(&self, origin: &Origin) -> Wish<'_> {
        let is_disabled = self.disabled.as_ref().is_some_and(|it| holds(it, &origin.ends().local));
        match &self.kind {
            _ if is_disabled => Wish::Nothing,
            Kind::OriginalDestination => Wish::OriginalDestination,
            Kind::ProxyProtocol(filter) => Wish::Beginning(filter),
        }
    }
}

fn holds(predicate: &ConnectionPredicate, local: &Address) -> bool {
    match predicate {
        ConnectionPredicate::Any => true,
        ConnectionPredicate::All(all) => all.iter().all(|one| holds(one, local)),
        ConnectionPredicate::OneOf(all) => all.iter().any(|one| holds(one, local)),
        ConnectionPredicate::Not(one) => !holds(one, local),
        // A Unix-domain socket has no port.
        ConnectionPredicate::DestinationPortRange(start, end) => {
            local.ip().is_some_and(|local| (*start..*end).contains(&i32::from(local.port())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predicates_are_about_the_port_that_was_connected_to() {
        let (yes, no) = (
            ConnectionPredicate::DestinationPortRange(80, 81),
            ConnectionPredicate::DestinationPortRange(70, 80),
        );
        let local = Address::Ip("127.0.0.1:80".parse().unwrap());
        for (predicate, expected) in [
            (ConnectionPredicate::Any, true),
            (yes.clone(), true),
            (no.clone(), false),
            (ConnectionPredicate::DestinationPortRange(90, 70), false),
            (ConnectionPredicate::All(vec![yes.clone(), no.clone()]), false),
            (ConnectionPredicate::OneOf(vec![no.clone(), yes.clone()]), true),
            (ConnectionPredicate::Not(Box::new(no)), true),
        ] {
            assert_eq!(holds(&predicate, &local), expected, "{predicate:?}");
        }
        let everywhere = ConnectionPredicate::DestinationPortRange(0, 65_536);
        assert!(!holds(&everywhere, &Address::Pipe("/a".into())));
    }
}
