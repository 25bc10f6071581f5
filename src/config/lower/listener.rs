//! Listeners.

use super::Lower;
use super::filter_chain::FilterChains;
use crate::model;
use crate::typed::envoy::config::core::v3::TrafficDirection;
use crate::typed::envoy::config::listener::v3 as pb;

/// Envoy's default of `per_connection_buffer_limit_bytes`, listeners and clusters alike.
pub(super) const BUFFER_LIMIT_BYTES: u32 = 1 << 20;

impl Lower<'_> {
    pub(super) fn listener(
        &mut self,
        message: &pb::Listener,
        path: &str,
    ) -> Option<model::Listener> {
        let sockets = self.listener_sockets(message, path);
        let access_logs = self.access_logs(&message.access_log, &format!("{path}.access_log"));
        let listener_filters = self.listener_filters(message, path);
        let filter_chains = self.filter_chains(message, path);
        let limit = self.buffer_limit(message.per_connection_buffer_limit_bytes, path);
        let FilterChains { chains, default } = filter_chains?;
        Some(model::Listener {
            name: message.name.clone(),
            stat_prefix: Some(message.stat_prefix.clone()).filter(|prefix| !prefix.is_empty()),
            sockets: sockets?,
            inbound: message.traffic_direction() == TrafficDirection::Inbound,
            per_connection_buffer_limit_bytes: limit,
            ignore_global_connection_limit: message.ignore_global_conn_limit,
            access_logs,
            listener_filters: listener_filters?,
            filter_chains: chains,
            default_filter_chain: default,
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
}
