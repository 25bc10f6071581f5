//! `envoy.filters.network.tcp_proxy`.

use std::time::Duration;

use super::Lower;
use crate::model;
use crate::typed::envoy::config::core::v3::BackoffStrategy;
use crate::typed::envoy::extensions::filters::network::tcp_proxy::v3 as pb;
use pb::tcp_proxy::ClusterSpecifier;

/// Envoy's default of `idle_timeout`.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// Envoy's default of a backoff's `max_interval`, in base intervals.
const MAX_INTERVAL_TIMES_BASE: u32 = 10;

impl Lower<'_> {
    pub(super) fn tcp_proxy(&mut self, message: &pb::TcpProxy, path: &str) -> model::TcpProxy {
        let idle_timeout = match &message.idle_timeout {
            None => IDLE_TIMEOUT,
            Some(duration) => self.milliseconds(duration, &format!("{path}.idle_timeout")),
        };
        let route = match &message.cluster_specifier {
            Some(ClusterSpecifier::WeightedClusters(weighted)) => {
                let cluster = |cluster: &pb::tcp_proxy::weighted_cluster::ClusterWeight| {
                    model::ClusterWeight { name: cluster.name.clone(), weight: cluster.weight }
                };
                model::TcpRoute::Weighted(weighted.clusters.iter().map(cluster).collect())
            }
            Some(ClusterSpecifier::Cluster(name)) => model::TcpRoute::Cluster(name.clone()),
            // Reported before, by the rules.
            None => model::TcpRoute::Cluster(String::new()),
        };
        let backoff = message.backoff_options.as_ref();
        let early_data = self.early_data(message, path);
        let tunneling = message.tunneling_config.as_ref().map(|tunneling| {
            let path = format!("{path}.tunneling_config");
            if early_data.is_some() {
                self.not_yet(&path, "bytes that are read before a tunnel is open", None);
            }
            Box::new(self.tunneling(tunneling, &path))
        });
        model::TcpProxy {
            stat_prefix: message.stat_prefix.clone(),
            route,
            idle_timeout: Some(idle_timeout).filter(|timeout| !timeout.is_zero()),
            max_connect_attempts: message.max_connect_attempts.unwrap_or(1),
            backoff: backoff
                .map(|backoff| self.backoff(backoff, &format!("{path}.backoff_options"))),
            early_data,
            max_duration: self.max_duration(message, path),
            tunneling,
            access_logs: self.access_logs(&message.access_log, &format!("{path}.access_log")),
            access_log_options: self.tcp_access_log_options(message, path),
        }
    }

    fn early_data(
        &mut self,
        message: &pb::TcpProxy,
        path: &str,
    ) -> Option<model::EarlyDataOptions> {
        let awaits_first = match message.upstream_connect_mode() {
            pb::UpstreamConnectMode::OnDownstreamData => true,
            // Without TLS on the client's side the latter is as the former.
            pb::UpstreamConnectMode::Immediate
            | pb::UpstreamConnectMode::OnDownstreamTlsHandshake => false,
        };
        let is_immediate = message.upstream_connect_mode() == pb::UpstreamConnectMode::Immediate;
        match message.max_early_data_bytes {
            Some(bytes_max) => Some(model::EarlyDataOptions { bytes_max, awaits_first }),
            None if is_immediate => None,
            None => {
                let text = "max_early_data_bytes must be set when upstream_connect_mode is not \
                            IMMEDIATE";
                self.invalid(&format!("{path}.upstream_connect_mode"), text, None);
                None
            }
        }
    }

    fn max_duration(&mut self, message: &pb::TcpProxy, path: &str) -> Option<model::MaxDuration> {
        let duration = message.max_downstream_connection_duration.as_ref()?;
        let field = format!("{path}.max_downstream_connection_duration");
        let base = self.milliseconds(duration, &field);
        let percentage = message.max_downstream_connection_duration_jitter_percentage;
        let jitter = percentage.map_or(Duration::ZERO, |percentage| {
            // The rules keep it between 0 and 100.
            let milliseconds = (base.as_secs_f64() * 10.0 * percentage.value).ceil();
            Duration::try_from_secs_f64(milliseconds / 1000.0).unwrap_or(Duration::ZERO)
        });
        Some(model::MaxDuration { base, jitter })
    }

    fn backoff(&mut self, message: &BackoffStrategy, path: &str) -> model::Backoff {
        // The rules want a base.
        let base_interval = message.base_interval.as_ref().map_or(Duration::ZERO, |interval| {
            self.milliseconds(interval, &format!("{path}.base_interval"))
        });
        let max_interval = match &message.max_interval {
            None => base_interval * MAX_INTERVAL_TIMES_BASE,
            Some(interval) => self.milliseconds(interval, &format!("{path}.max_interval")),
        };
        if max_interval < base_interval {
            let text = "max_backoff_interval must be greater or equal to base_backoff_interval";
            self.invalid(&format!("{path}.max_interval"), text, None);
        }
        model::Backoff { base_interval, max_interval }
    }
}
