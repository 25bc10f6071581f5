//! Filter chains: their matches, which must tell them apart, and their filters.

use std::sync::Arc;

use base::Cidr;

use super::Lower;
use crate::document::clipped;
use crate::model::{self, SourceType};
use crate::typed::envoy::config::core::v3 as core;
use crate::typed::envoy::config::listener::v3 as pb;
use pb::filter::ConfigType;
use pb::filter_chain_match::ConnectionSourceType;

/// What a listener does with its connections.
pub(super) struct FilterChains {
    pub(super) chains: Vec<model::FilterChain>,
    pub(super) default: Option<model::FilterChain>,
}

impl Lower<'_> {
    /// None when something was reported.
    pub(super) fn filter_chains(
        &mut self,
        message: &pb::Listener,
        path: &str,
    ) -> Option<FilterChains> {
        let chains: Vec<_> = message.filter_chains.iter().enumerate().collect();
        let lowered: Vec<_> = chains
            .iter()
            .map(|(index, chain)| {
                self.filter_chain(chain, &format!("{path}.filter_chains[{index}]"))
            })
            .collect();
        let default = message.default_filter_chain.as_ref();
        let default =
            default.map(|chain| self.filter_chain(chain, &format!("{path}.default_filter_chain")));
        // UDP, reported before, needs none.
        let is_udp = self.problems.is_reported(&format!("{path}.address"));
        if lowered.is_empty() && default.is_none() && !is_udp {
            self.absent(path, "filter_chains", "no filter chains specified");
            return None;
        }
        let chains: Vec<_> = lowered.into_iter().collect::<Option<_>>()?;
        self.tell_apart(&chains, path);
        let default = match default {
            Some(default) => Some(default?),
            None => None,
        };
        Some(FilterChains { chains, default })
    }

    /// Two chains that match a connection equally well leave it open which one gets it.
    fn tell_apart(&mut self, chains: &[model::FilterChain], path: &str) {
        for (index, chain) in chains.iter().enumerate() {
            let path = format!("{path}.filter_chains[{index}]");
            if repeats(&chain.matches) {
                let hint = "this one names something twice";
                self.invalid(&format!("{path}.filter_chain_match"), OVERLAP, Some(hint));
            }
            for (other_index, other) in chains[..index].iter().enumerate() {
                if chain.matches == other.matches {
                    let text = format!(
                        "filter chain '{}' has the same matching rules defined as '{}', \
                         filter_chains[{other_index}]",
                        chain.name, other.name
                    );
                    self.invalid(&path, text, None);
                    break;
                }
                if overlap(&chain.matches, &other.matches) {
                    let hint = format!("the other one is filter_chains[{other_index}]");
                    self.invalid(&format!("{path}.filter_chain_match"), OVERLAP, Some(&hint));
                    break;
                }
            }
        }
    }

    fn filter_chain(
        &mut self,
        message: &pb::FilterChain,
        path: &str,
    ) -> Option<model::FilterChain> {
        let matches = match &message.filter_chain_match {
            Some(matches) => {
                let path = format!("{path}.filter_chain_match");
                self.filter_chain_match(matches, &message.name, &path)
            }
            None => Some(model::FilterChainMatch::default()),
        };
        self.no_upstream_transport(message.transport_socket.as_ref(), path);
        let filters: Vec<_> = message.filters.iter().enumerate().collect();
        let filters: Vec<_> = filters
            .iter()
            .map(|(index, filter)| self.filter(filter, &format!("{path}.filters[{index}]")))
            .collect();
        if filters.is_empty() {
            let hint = "Envoy accepts such a chain and closes every connection";
            self.not_yet(&format!("{path}.filters"), "a filter chain without filters", Some(hint));
        }
        self.terminal_is_last(message, &filters, path);
        let mut filters = filters.into_iter().collect::<Option<Vec<_>>>()?;
        let Some(Filter::Terminal(terminal)) = filters.pop() else { return None };
        let before = filters.into_iter().map(|filter| match filter {
            Filter::Network(filter) => Some(filter),
            Filter::Terminal(_) => None,
        });
        let (name, matches) = (message.name.clone(), matches?);
        let filters = before.collect::<Option<_>>()?;
        let chain = model::FilterChain { name, matches, filters, terminal };
        self.state_suits(&chain);
        Some(chain)
    }

    /// `filters` are those of `message`; None for one that was reported.
    fn terminal_is_last(
        &mut self,
        message: &pb::FilterChain,
        filters: &[Option<Filter>],
        path: &str,
    ) {
        for (index, filter) in filters.iter().enumerate() {
            let (Some(filter), name) = (filter, &message.filters[index].name) else { continue };
            let factory = filter.factory();
            let text = match (filter, index + 1 == filters.len()) {
                (Filter::Terminal(_), false) => format!(
                    "terminal filter named {name} of type {factory} must be the last filter in a \
                     network filter chain"
                ),
                (Filter::Network(_), true) => format!(
                    "non-terminal filter named {name} of type {factory} is the last filter in a \
                     network filter chain"
                ),
                _ => continue,
            };
            self.invalid(&format!("{path}.filters[{index}]"), text, None);
        }
    }

    fn filter_chain_match(
        &mut self,
        message: &pb::FilterChainMatch,
        chain: &str,
        path: &str,
    ) -> Option<model::FilterChainMatch> {
        let raw_buffer = match message.transport_protocol.as_str() {
            "" => false,
            "raw_buffer" => true,
            other => {
                let path = format!("{path}.transport_protocol");
                let text = format!("the transport protocol \"{}\"", clipped(other));
                self.not_yet(&path, text, Some("only raw_buffer is known"));
                return None;
            }
        };
        for (is_set, field) in [
            (!message.address_suffix.is_empty(), "address_suffix"),
            (message.suffix_len.is_some(), "suffix_len"),
        ] {
            if is_set {
                let text = format!("filter chain '{chain}' contains unimplemented fields");
                self.invalid(&format!("{path}.{field}"), text, Some("nobody ever carried it out"));
            }
        }
        // The rules have seen to it that these are ports.
        let port = |port: u32| u16::try_from(port).ok().filter(|port| *port != 0);
        Some(model::FilterChainMatch {
            destination_port: message.destination_port.and_then(port),
            prefix_ranges: self.cidrs(&message.prefix_ranges, &format!("{path}.prefix_ranges"))?,
            raw_buffer,
            direct_source_prefix_ranges: self.cidrs(
                &message.direct_source_prefix_ranges,
                &format!("{path}.direct_source_prefix_ranges"),
            )?,
            source_type: match message.source_type() {
                ConnectionSourceType::Any => SourceType::Any,
                ConnectionSourceType::SameIpOrLoopback => SourceType::SameIpOrLoopback,
                ConnectionSourceType::External => SourceType::External,
            },
            source_prefix_ranges: self
                .cidrs(&message.source_prefix_ranges, &format!("{path}.source_prefix_ranges"))?,
            source_ports: message.source_ports.iter().copied().filter_map(port).collect(),
        })
    }

    fn cidrs(&mut self, messages: &[core::CidrRange], path: &str) -> Option<Vec<Cidr>> {
        let ranges: Vec<_> = messages
            .iter()
            .enumerate()
            .map(|(index, message)| self.cidr(message, &format!("{path}[{index}]")))
            .collect();
        ranges.into_iter().collect()
    }

    /// Envoy takes a prefix longer than the address as the whole address, and none as 0.
    pub(super) fn cidr(&mut self, message: &core::CidrRange, path: &str) -> Option<Cidr> {
        let Ok(ip) = message.address_prefix.parse() else {
            let text = format!("malformed IP address: {}", clipped(&message.address_prefix));
            self.invalid(&format!("{path}.address_prefix"), text, None);
            return None;
        };
        let len = message.prefix_len.unwrap_or(0);
        Some(Cidr::new(ip, u8::try_from(len).unwrap_or(u8::MAX)))
    }

    /// A network filter; None when it was reported, here or by the support table.
    fn filter(&mut self, message: &pb::Filter, path: &str) -> Option<Filter> {
        // Without one it was reported before.
        let Some(ConfigType::TypedConfig(any)) = &message.config_type else {
            return None;
        };
        let (_, name) = any.type_url.rsplit_once('/')?;
        let path = format!("{path}.typed_config");
        Some(match name.strip_prefix("envoy.extensions.filters.network.")? {
            "connection_limit.v3.ConnectionLimit" => {
                let message = self.decoded(any, &path)?;
                let filter = self.connection_limit_filter(&message, &path)?;
                Filter::Network(model::NetworkFilter::ConnectionLimit(filter))
            }
            "direct_response.v3.Config" => {
                let message = self.decoded(any, &path)?;
                let response = self.network_direct_response(&message, &path)?;
                Filter::Terminal(model::TerminalFilter::DirectResponse(response))
            }
            "echo.v3.Echo" => Filter::Terminal(model::TerminalFilter::Echo),
            "http_connection_manager.v3.HttpConnectionManager" => {
                let message = self.decoded(any, &path)?;
                let manager = self.http_connection_manager(&message, &path)?;
                Filter::Terminal(model::TerminalFilter::Http(Arc::new(manager)))
            }
            "local_ratelimit.v3.LocalRateLimit" => {
                let message = self.decoded(any, &path)?;
                let filter = self.local_rate_limit(&message, &path)?;
                Filter::Network(model::NetworkFilter::LocalRateLimit(filter))
            }
            "rbac.v3.RBAC" => {
                let message = self.decoded(any, &path)?;
                let filter = self.network_rbac(&message, &path)?;
                Filter::Network(model::NetworkFilter::Rbac(filter))
            }
            "set_filter_state.v3.Config" => {
                let message = self.decoded(any, &path)?;
                let filter = self.set_filter_state(&message, &path)?;
                Filter::Network(model::NetworkFilter::SetFilterState(filter))
            }
            "tcp_proxy.v3.TcpProxy" => {
                let message = self.decoded(any, &path)?;
                let filter = self.tcp_proxy(&message, &path);
                Filter::Terminal(model::TerminalFilter::TcpProxy(filter))
            }
            // Reported before: not supported.
            _ => return None,
        })
    }

    /// The message in an `Any` that the mapper has put together.
    pub(super) fn decoded<M: prost::Message + Default>(
        &mut self,
        any: &prost_types::Any,
        path: &str,
    ) -> Option<M> {
        let decoded = M::decode(any.value.as_slice());
        decoded.inspect_err(|error| self.invalid(path, error.to_string(), None)).ok()
    }
}

/// A filter of a chain.
enum Filter {
    Network(model::NetworkFilter),
    Terminal(model::TerminalFilter),
}

impl Filter {
    /// Envoy's name of the filter's factory.
    fn factory(&self) -> &'static str {
        match self {
            Self::Network(filter) => match filter {
                model::NetworkFilter::ConnectionLimit(_) => {
                    "envoy.filters.network.connection_limit"
                }
                model::NetworkFilter::LocalRateLimit(_) => "envoy.filters.network.local_ratelimit",
                model::NetworkFilter::Rbac(_) => "envoy.filters.network.rbac",
                model::NetworkFilter::SetFilterState(_) => "envoy.filters.network.set_filter_state",
            },
            Self::Terminal(filter) => match filter {
                model::TerminalFilter::DirectResponse(_) => "envoy.filters.network.direct_response",
                model::TerminalFilter::Echo => "envoy.filters.network.echo",
                model::TerminalFilter::TcpProxy(_) => "envoy.filters.network.tcp_proxy",
                model::TerminalFilter::Http(_) => "envoy.filters.network.http_connection_manager",
            },
        }
    }
}

const OVERLAP: &str = "multiple filter chains with overlapping matching rules are defined";

/// Whether some connection is matched equally well by both: they agree in every respect, though
/// one may name more.
fn overlap(one: &model::FilterChainMatch, other: &model::FilterChainMatch) -> bool {
    one.destination_port == other.destination_port
        && meet(&one.prefix_ranges, &other.prefix_ranges)
        && one.raw_buffer == other.raw_buffer
        && meet(&one.direct_source_prefix_ranges, &other.direct_source_prefix_ranges)
        && one.source_type == other.source_type
        && meet(&one.source_prefix_ranges, &other.source_prefix_ranges)
        && meet(&one.source_ports, &other.source_ports)
}

/// Whether two lists have something in common; an empty one has only emptiness.
fn meet<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    (one.is_empty() && other.is_empty()) || one.iter().any(|item| other.contains(item))
}

fn repeats(matches: &model::FilterChainMatch) -> bool {
    fn repeats<T: PartialEq>(list: &[T]) -> bool {
        list.iter().enumerate().any(|(index, item)| list[..index].contains(item))
    }
    repeats(&matches.prefix_ranges)
        || repeats(&matches.direct_source_prefix_ranges)
        || repeats(&matches.source_prefix_ranges)
        || repeats(&matches.source_ports)
}
