//! Filter chains: their matches, which must tell them apart, and their filters.

use std::sync::Arc;

use base::Cidr;
use prost::Message as _;

use super::Lower;
use crate::document::clipped;
use crate::model::{self, SourceType};
use crate::typed::envoy::config::core::v3 as core;
use crate::typed::envoy::config::listener::v3 as pb;
use crate::typed::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use crate::typed::envoy::extensions::filters::network::tcp_proxy::v3 as tcp_proxy;
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
        let mut filters = Vec::with_capacity(message.filters.len());
        for (index, filter) in message.filters.iter().enumerate() {
            filters.push(self.filter(filter, &format!("{path}.filters[{index}]")));
        }
        if filters.is_empty() {
            let hint = "Envoy accepts such a chain and closes every connection";
            self.not_yet(&format!("{path}.filters"), "a filter chain without filters", Some(hint));
        }
        // All filters known so far are terminal.
        let terminal = filters.pop()??;
        for (index, filter) in filters.iter().enumerate().filter(|(_, filter)| filter.is_some()) {
            let text = format!(
                "terminal filter named {} of type {} must be the last filter in a network filter \
                 chain",
                message.filters[index].name,
                filter.as_ref().map_or("", terminal_filter_type),
            );
            self.invalid(&format!("{path}.filters[{index}]"), text, None);
        }
        let (name, matches) = (message.name.clone(), matches?);
        filters.is_empty().then_some(model::FilterChain { name, matches, terminal })
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
    fn filter(&mut self, message: &pb::Filter, path: &str) -> Option<model::TerminalFilter> {
        // Without one it was reported before.
        let Some(ConfigType::TypedConfig(any)) = &message.config_type else {
            return None;
        };
        let path = format!("{path}.typed_config");
        match any.type_url.rsplit_once('/').map(|(_, name)| name) {
            Some("envoy.extensions.filters.network.echo.v3.Echo") => {
                Some(model::TerminalFilter::Echo)
            }
            Some("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy") => {
                let message = tcp_proxy::TcpProxy::decode(any.value.as_slice()).ok()?;
                let filter = self.tcp_proxy(&message, &path);
                Some(model::TerminalFilter::TcpProxy(filter))
            }
            Some(
                "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            ) => {
                let message = hcm::HttpConnectionManager::decode(any.value.as_slice()).ok()?;
                let manager = self.http_connection_manager(&message, &path)?;
                Some(model::TerminalFilter::Http(Arc::new(manager)))
            }
            // Reported before: absent, or not supported.
            _ => None,
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

/// Envoy's name of the filter's factory.
fn terminal_filter_type(filter: &model::TerminalFilter) -> &'static str {
    match filter {
        model::TerminalFilter::Echo => "envoy.filters.network.echo",
        model::TerminalFilter::TcpProxy(_) => "envoy.filters.network.tcp_proxy",
        model::TerminalFilter::Http(_) => "envoy.filters.network.http_connection_manager",
    }
}
