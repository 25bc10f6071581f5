//! Which filter chain a connection gets.
//!
//! Envoy's order: destination port, destination address, transport protocol, address of the peer
//! itself, kind of source, source address, source port. At each step only the chains that match
//! best go on: those that name the port, the longest prefix, and so on; chains that name nothing
//! match worst. There is no way back: if the chains that were left at one step match no further,
//! others that were dropped before do not return, and the default chain gets the connection.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/listener/v3/listener_components.proto>

use std::net::{IpAddr, Ipv4Addr};

use base::{Address, Cidr};
use config::model::{FilterChainMatch, Listener, SourceType};

use crate::ends::Ends;

/// Place of a filter chain in [`Listener::chains`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainIndex(pub usize);

/// The matches of a listener's filter chains.
#[derive(Debug)]
pub struct ChainMatch {
    matches: Box<[FilterChainMatch]>,
    default: Option<ChainIndex>,
}

impl ChainMatch {
    /// The matches of `listener`.
    #[must_use]
    pub fn new(listener: &Listener) -> Self {
        let matches: Box<[_]> =
            listener.filter_chains.iter().map(|chain| chain.matches.clone()).collect();
        let default = listener.default_filter_chain.as_ref().map(|_| ChainIndex(matches.len()));
        Self { matches, default }
    }

    /// The chain that gets every connection, if there is one: then nobody needs to ask where a
    /// connection comes from.
    #[must_use]
    pub fn only(&self) -> Option<ChainIndex> {
        match &*self.matches {
            [] => self.default,
            [only] if *only == FilterChainMatch::default() => Some(ChainIndex(0)),
            _ => None,
        }
    }

    /// The chain for a connection; `None` if it is to be closed.
    #[must_use]
    pub fn find(&self, ends: &Ends) -> Option<ChainIndex> {
        self.best(ends).or(self.default)
    }

    fn best(&self, ends: &Ends) -> Option<ChainIndex> {
        let mut left = Candidates::of(&self.matches);
        if let Some(local) = ends.local.ip() {
            left.keep_best(|chain| named(chain.destination_port, local.port()));
        } else {
            left.keep_best(|chain| chain.destination_port.is_none().then_some(0));
        }
        let destination = ip(&ends.local);
        left.keep_best(|chain| longest_prefix(&chain.prefix_ranges, destination));
        left.keep_best(|chain| Some(u8::from(chain.raw_buffer)));
        let peer = ip(&ends.direct_remote);
        left.keep_best(|chain| longest_prefix(&chain.direct_source_prefix_ranges, peer));
        let is_local = ends.is_same_ip_or_loopback();
        left.keep_best(|chain| match chain.source_type {
            SourceType::Any => Some(0),
            SourceType::SameIpOrLoopback => is_local.then_some(1),
            SourceType::External => (!is_local).then_some(1),
        });
        let source = ip(&ends.remote);
        left.keep_best(|chain| longest_prefix(&chain.source_prefix_ranges, source));
        let port = ends.remote.ip().map_or(0, |remote| remote.port());
        left.keep_best(|chain| match &*chain.source_ports {
            [] => Some(0),
            ports => ports.contains(&port).then_some(1),
        });
        // No two chains match equally well: the configuration was checked for that.
        left.first()
    }
}

/// How well a chain matches at one step; the higher the better.
type Rank = u8;

/// The chains that are still in question.
struct Candidates<'a> {
    matches: &'a [FilterChainMatch],
    left: Vec<usize>,
}

impl<'a> Candidates<'a> {
    fn of(matches: &'a [FilterChainMatch]) -> Self {
        Self { matches, left: (0..matches.len()).collect() }
    }

    /// Drops all but those that match best; `None` is no match at all.
    fn keep_best(&mut self, rank: impl Fn(&FilterChainMatch) -> Option<Rank>) {
        let ranks = self.left.iter().map(|&index| rank(&self.matches[index]));
        let best = ranks.max().flatten();
        self.left.retain(|&index| best.is_some() && rank(&self.matches[index]) == best);
    }

    fn first(&self) -> Option<ChainIndex> {
        self.left.first().copied().map(ChainIndex)
    }
}

fn named(asked: Option<u16>, port: u16) -> Option<Rank> {
    match asked {
        None => Some(0),
        Some(asked) => (asked == port).then_some(1),
    }
}

/// The bits of the longest range that holds `ip`, and one more: no range at all is the worst match.
fn longest_prefix(ranges: &[Cidr], ip: IpAddr) -> Option<Rank> {
    if ranges.is_empty() {
        return Some(0);
    }
    let holding = ranges.iter().filter(|range| range.contains(ip));
    holding.map(|range| range.prefix_len() + 1).max()
}

/// What stands for a Unix-domain socket where an IP address is asked for, as in Envoy.
fn ip(address: &Address) -> IpAddr {
    address.ip().map_or(Ipv4Addr::UNSPECIFIED.into(), |address| address.ip())
}

#[cfg(test)]
mod tests;
