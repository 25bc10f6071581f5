//! Listeners, their filter chain, and network filters.

use std::sync::Arc;

use prost::Message as _;

use super::{Lower, address};
use crate::model;
use crate::typed::envoy::config::core::v3::TrafficDirection;
use crate::typed::envoy::config::listener::v3 as pb;
use crate::typed::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use crate::typed::envoy::extensions::filters::network::tcp_proxy::v3 as tcp_proxy;
use pb::filter::ConfigType;

/// Envoy's default of `per_connection_buffer_limit_bytes`, listeners and clusters alike.
pub(super) const BUFFER_LIMIT_BYTES: u32 = 1 << 20;

impl Lower<'_> {
    pub(super) fn listener(
        &mut self,
        message: &pb::Listener,
        path: &str,
    ) -> Option<model::Listener> {
        let address = match &message.address {
            Some(address) => self.address(address, &format!("{path}.address"), address::Use::Bind),
            // An internal listener has none; it was reported before.
            None if self.problems.is_reported(&format!("{path}.internal_listener")) => None,
            None => {
                self.absent(path, "address", "address is necessary");
                None
            }
        };
        let pipe_mode = match &message.address {
            Some(address) => self.pipe_mode(address, &format!("{path}.address")),
            None => None,
        };
        let access_logs = self.access_logs(&message.access_log, &format!("{path}.access_log"));
        let filter_chain = self.only_filter_chain(message, path);
        let limit = self.buffer_limit(message.per_connection_buffer_limit_bytes, path);
        Some(model::Listener {
            name: message.name.clone(),
            stat_prefix: Some(message.stat_prefix.clone()).filter(|prefix| !prefix.is_empty()),
            address: address?,
            pipe_mode,
            inbound: message.traffic_direction() == TrafficDirection::Inbound,
            per_connection_buffer_limit_bytes: limit,
            tcp_backlog_size: message.tcp_backlog_size,
            access_logs,
            filter_chain: filter_chain?,
        })
    }

    /// `per_connection_buffer_limit_bytes` of a listener or cluster.
    pub(super) fn buffer_limit(&mut self, limit: Option<u32>, path: &str) -> u32 {
        if limit == Some(0) {
            let path = format!("{path}.per_connection_buffer_limit_bytes");
            let hint = "Envoy reads 0 as no limit; name the bytes one connection may hold";
            self.not_yet(&path, "buffers without a limit", Some(hint));
        }
        limit.unwrap_or(BUFFER_LIMIT_BYTES)
    }

    fn only_filter_chain(
        &mut self,
        message: &pb::Listener,
        path: &str,
    ) -> Option<model::FilterChain> {
        match (message.filter_chains.as_slice(), &message.default_filter_chain) {
            // UDP, reported before, needs none.
            ([], None) if self.problems.is_reported(&format!("{path}.address")) => None,
            ([], None) => {
                self.absent(path, "filter_chains", "no filter chains specified");
                None
            }
            ([chain], None) => self.filter_chain(chain, &format!("{path}.filter_chains[0]")),
            ([], Some(chain)) => self.filter_chain(chain, &format!("{path}.default_filter_chain")),
            ([_], Some(_)) => {
                let path = format!("{path}.default_filter_chain");
                self.not_yet(&path, "a default filter chain beside another one", None);
                None
            }
            ([_, _, ..], _) => {
                let path = format!("{path}.filter_chains[1]");
                self.not_yet(&path, "a listener with several filter chains", None);
                None
            }
        }
    }

    fn filter_chain(
        &mut self,
        message: &pb::FilterChain,
        path: &str,
    ) -> Option<model::FilterChain> {
        let mut filters = Vec::with_capacity(message.filters.len());
        for (index, filter) in message.filters.iter().enumerate() {
            filters.push(self.filter(filter, &format!("{path}.filters[{index}]")));
        }
        if filters.is_empty() {
            let hint = "Envoy accepts such a chain and closes every connection";
            self.not_yet(&format!("{path}.filters"), "a filter chain without filters", Some(hint));
        }
        // Both filters known so far are terminal.
        let last = filters.pop()??;
        for (index, filter) in filters.iter().enumerate().filter(|(_, filter)| filter.is_some()) {
            let text = format!(
                "terminal filter named {} of type {} must be the last filter in a network filter \
                 chain",
                message.filters[index].name,
                filter.as_ref().map_or("", model_filter_type),
            );
            self.invalid(&format!("{path}.filters[{index}]"), text, None);
        }
        filters
            .is_empty()
            .then_some(model::FilterChain { name: message.name.clone(), filter: last })
    }

    /// A network filter; None when it was reported, here or by the support table.
    fn filter(&mut self, message: &pb::Filter, path: &str) -> Option<model::NetworkFilter> {
        // Without one it was reported before.
        let Some(ConfigType::TypedConfig(any)) = &message.config_type else {
            return None;
        };
        let path = format!("{path}.typed_config");
        match any.type_url.rsplit_once('/').map(|(_, name)| name) {
            Some("envoy.extensions.filters.network.echo.v3.Echo") => {
                Some(model::NetworkFilter::Echo)
            }
            Some("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy") => {
                let message = tcp_proxy::TcpProxy::decode(any.value.as_slice()).ok()?;
                let filter = self.tcp_proxy(&message, &path);
                Some(model::NetworkFilter::TcpProxy(filter))
            }
            Some(
                "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            ) => {
                let message = hcm::HttpConnectionManager::decode(any.value.as_slice()).ok()?;
                let manager = self.http_connection_manager(&message, &path)?;
                Some(model::NetworkFilter::Http(Arc::new(manager)))
            }
            // Reported before: absent, or not supported.
            _ => None,
        }
    }
}

/// Envoy's name of the filter's factory.
fn model_filter_type(filter: &model::NetworkFilter) -> &'static str {
    match filter {
        model::NetworkFilter::Echo => "envoy.filters.network.echo",
        model::NetworkFilter::TcpProxy(_) => "envoy.filters.network.tcp_proxy",
        model::NetworkFilter::Http(_) => "envoy.filters.network.http_connection_manager",
    }
}
