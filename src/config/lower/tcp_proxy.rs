//! `envoy.filters.network.tcp_proxy`.

use std::time::Duration;

use super::Lower;
use crate::model;
use crate::typed::envoy::extensions::filters::network::tcp_proxy::v3 as pb;

/// Envoy's default of `idle_timeout`.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

impl Lower<'_> {
    pub(super) fn tcp_proxy(&mut self, message: &pb::TcpProxy, path: &str) -> model::TcpProxy {
        let idle_timeout = match &message.idle_timeout {
            None => IDLE_TIMEOUT,
            Some(duration) => self.milliseconds(duration, &format!("{path}.idle_timeout")),
        };
        let cluster = match &message.cluster_specifier {
            Some(pb::tcp_proxy::ClusterSpecifier::Cluster(name)) => name.clone(),
            // Reported before: by the rules when absent, by the support table when weighted.
            Some(pb::tcp_proxy::ClusterSpecifier::WeightedClusters(_)) | None => String::new(),
        };
        model::TcpProxy {
            stat_prefix: message.stat_prefix.clone(),
            cluster,
            idle_timeout: Some(idle_timeout).filter(|timeout| !timeout.is_zero()),
            max_connect_attempts: message.max_connect_attempts.unwrap_or(1),
            access_logs: self.access_logs(&message.access_log, &format!("{path}.access_log")),
            access_log_options: self.tcp_access_log_options(message, path),
        }
    }
}
