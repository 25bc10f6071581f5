//! Clusters, their circuit breakers and endpoints.

use std::time::Duration;

use super::{Lower, address, outlier_detection};
use crate::model;
use crate::problem::ProblemKind;
use crate::typed::envoy::config::cluster::v3 as pb;
use crate::typed::envoy::config::core::v3::{self as core, RoutingPriority};
use crate::typed::envoy::config::endpoint::v3 as endpoint;
use endpoint::lb_endpoint::HostIdentifier;

/// Envoy's default of `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Lower<'_> {
    pub(super) fn cluster(
        &mut self,
        message: &pb::Cluster,
        bind: Option<&core::BindConfig>,
        path: &str,
    ) -> model::Cluster {
        let connect_timeout = match &message.connect_timeout {
            None => CONNECT_TIMEOUT,
            Some(duration) => self.milliseconds(duration, &format!("{path}.connect_timeout")),
        };
        let limit = self.buffer_limit(message.per_connection_buffer_limit_bytes, path);
        let stat_name = match message.alt_stat_name.as_str() {
            "" => &message.name,
            name => name,
        };
        let breakers_path = format!("{path}.circuit_breakers");
        let (thresholds, high_thresholds) = self.thresholds(message, &breakers_path);
        let options = self.protocol_options(message, path);
        if message.close_connections_on_host_health_failure {
            let path = format!("{path}.close_connections_on_host_health_failure");
            if message.outlier_detection.is_some() {
                let hint = "remove it: idle connections are closed, those in use live on";
                self.not_yet(&path, "closing the connections of an ejected host", Some(hint));
            } else {
                let text = "no health check and no outlier detection is configured";
                self.report(ProblemKind::Ignored, &path, text, None);
            }
        }
        model::Cluster {
            name: message.name.clone(),
            // Envoy's stat names keep ':' for itself.
            stat_name: stat_name.replace(':', "_"),
            connect_timeout,
            per_connection_buffer_limit_bytes: limit,
            thresholds,
            high_thresholds,
            host_connections_max: self.host_connections_max(message, &breakers_path),
            preconnect_per_mille: preconnect_per_mille(message),
            http: options.http,
            tcp: options.tcp,
            sockets: self.upstream_sockets(message, bind, path),
            proxy_protocol: self.upstream_proxy_protocol(message.transport_socket.as_ref(), path),
            outlier_detection: message.outlier_detection.as_ref().map(|message| {
                self.outlier_detection(message, &format!("{path}.outlier_detection"))
            }),
            panic: outlier_detection::panic(message),
            endpoints: match &message.load_assignment {
                // Another type, reported before, may well take host names.
                Some(_) if self.is_of_another_type(path) => Vec::new(),
                Some(assignment) => self.endpoints(assignment, &format!("{path}.load_assignment")),
                None => Vec::new(),
            },
        }
    }

    fn is_of_another_type(&self, path: &str) -> bool {
        ["type", "cluster_type"]
            .iter()
            .any(|field| self.problems.is_reported(&format!("{path}.{field}")))
    }

    /// The thresholds of priority `DEFAULT`, and of `HIGH`: the first of each count, as in Envoy.
    fn thresholds(
        &mut self,
        message: &pb::Cluster,
        path: &str,
    ) -> (model::Thresholds, model::Thresholds) {
        let all = message.circuit_breakers.iter().flat_map(|breakers| &breakers.thresholds);
        let [of_default, of_high] = self.by_priority(all, &format!("{path}.thresholds"));
        let lower = |of_priority: Option<&pb::circuit_breakers::Thresholds>| {
            of_priority.map(lower_thresholds).unwrap_or_default()
        };
        (lower(of_default), lower(of_high))
    }

    /// Of the thresholds for each host Envoy takes this one.
    fn host_connections_max(&mut self, message: &pb::Cluster, path: &str) -> Option<u32> {
        let path = format!("{path}.per_host_thresholds");
        let all = || message.circuit_breakers.iter().flat_map(|all| &all.per_host_thresholds);
        for (index, thresholds) in all().enumerate() {
            for (field, is_set) in [
                ("max_pending_requests", thresholds.max_pending_requests.is_some()),
                ("max_requests", thresholds.max_requests.is_some()),
                ("max_retries", thresholds.max_retries.is_some()),
                ("max_connection_pools", thresholds.max_connection_pools.is_some()),
            ] {
                if is_set {
                    let text = "Unsupported field in per_host_thresholds";
                    self.invalid(&format!("{path}[{index}].{field}"), text, None);
                }
            }
            if thresholds.track_remaining {
                let text = "what is left of each host's connections is on no page, as in Envoy";
                let path = format!("{path}[{index}].track_remaining");
                self.report(ProblemKind::Ignored, &path, text, None);
            }
        }
        let [of_default, of_high] = self.by_priority(all(), &path);
        if of_high.is_some() {
            let text = "thresholds of priority HIGH: nothing is sent at it";
            self.report(ProblemKind::Ignored, &path, text, None);
        }
        of_default?.max_connections
    }

    /// The first of priority `DEFAULT`, and of `HIGH`.
    fn by_priority<'t>(
        &mut self,
        all: impl Iterator<Item = &'t pb::circuit_breakers::Thresholds>,
        path: &str,
    ) -> [Option<&'t pb::circuit_breakers::Thresholds>; 2] {
        let [mut of_default, mut of_high] = [None; 2];
        for (index, thresholds) in all.enumerate() {
            let of_priority = match thresholds.priority() {
                RoutingPriority::Default => &mut of_default,
                RoutingPriority::High => &mut of_high,
            };
            if of_priority.is_none() {
                *of_priority = Some(thresholds);
            } else {
                let text = "thresholds after the first of their priority, as in Envoy";
                self.report(ProblemKind::Ignored, &format!("{path}[{index}]"), text, None);
            }
        }
        [of_default, of_high]
    }

    fn endpoints(
        &mut self,
        message: &endpoint::ClusterLoadAssignment,
        path: &str,
    ) -> Vec<model::Endpoint> {
        let mut endpoints = Vec::new();
        for (locality_index, locality) in message.endpoints.iter().enumerate() {
            let path = format!("{path}.endpoints[{locality_index}]");
            for (index, lb_endpoint) in locality.lb_endpoints.iter().enumerate() {
                let path = format!("{path}.lb_endpoints[{index}]");
                let weight = lb_endpoint.load_balancing_weight.unwrap_or(1);
                if let Some(address) = self.endpoint_address(lb_endpoint, &path) {
                    endpoints.push(model::Endpoint { address, weight });
                }
            }
        }
        endpoints
    }

    fn endpoint_address(
        &mut self,
        message: &endpoint::LbEndpoint,
        path: &str,
    ) -> Option<base::Address> {
        let Some(HostIdentifier::Endpoint(host)) = &message.host_identifier else {
            self.absent(path, "endpoint", "Address must be set");
            return None;
        };
        let path = format!("{path}.endpoint");
        let Some(address) = &host.address else {
            self.absent(&path, "address", "Address must be set");
            return None;
        };
        self.address(address, &format!("{path}.address"), address::Use::StaticEndpoint)
    }
}

fn lower_thresholds(message: &pb::circuit_breakers::Thresholds) -> model::Thresholds {
    let default = model::Thresholds::default();
    model::Thresholds {
        max_connections: message.max_connections.unwrap_or(default.max_connections),
        max_pending_requests: message.max_pending_requests.unwrap_or(default.max_pending_requests),
        max_requests: message.max_requests.unwrap_or(default.max_requests),
        max_retries: message.max_retries.unwrap_or(default.max_retries),
        max_connection_pools: message.max_connection_pools,
        track_remaining: message.track_remaining,
    }
}

fn preconnect_per_mille(message: &pb::Cluster) -> u32 {
    let policy = message.preconnect_policy.as_ref();
    let ratio = policy.and_then(|policy| policy.per_upstream_preconnect_ratio).unwrap_or(1.0);
    // As a time it is in thousandths at once; the rules keep it between 1 and 3.
    let thousandths = Duration::try_from_secs_f64(ratio).unwrap_or_default().as_millis();
    u32::try_from(thousandths).unwrap_or(1000).clamp(1000, 3000)
}
