//! Clusters, their circuit breakers and endpoints.

use std::time::Duration;

use super::{Lower, address};
use crate::model;
use crate::problem::ProblemKind;
use crate::typed::envoy::config::cluster::v3 as pb;
use crate::typed::envoy::config::core::v3::RoutingPriority;
use crate::typed::envoy::config::endpoint::v3 as endpoint;
use endpoint::lb_endpoint::HostIdentifier;

/// Envoy's default of `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Envoy's default of `max_connections`.
const MAX_CONNECTIONS: u32 = 1024;

/// Envoy's default of `max_requests`.
const MAX_REQUESTS: u32 = 1024;

/// Envoy's default of `max_pending_requests`.
const MAX_PENDING_REQUESTS: u32 = 1024;

impl Lower<'_> {
    pub(super) fn cluster(&mut self, message: &pb::Cluster, path: &str) -> model::Cluster {
        let connect_timeout = match &message.connect_timeout {
            None => CONNECT_TIMEOUT,
            Some(duration) => self.milliseconds(duration, &format!("{path}.connect_timeout")),
        };
        let limit = self.buffer_limit(message.per_connection_buffer_limit_bytes, path);
        let stat_name = match message.alt_stat_name.as_str() {
            "" => &message.name,
            name => name,
        };
        let thresholds = self.thresholds(message, &format!("{path}.circuit_breakers"));
        let max_connections = thresholds.and_then(|thresholds| thresholds.max_connections);
        let max_pending = thresholds.and_then(|thresholds| thresholds.max_pending_requests);
        let options = self.protocol_options(message, path);
        model::Cluster {
            name: message.name.clone(),
            // Envoy's stat names keep ':' for itself.
            stat_name: stat_name.replace(':', "_"),
            connect_timeout,
            per_connection_buffer_limit_bytes: limit,
            max_connections: max_connections.unwrap_or(MAX_CONNECTIONS),
            max_pending_requests: max_pending.unwrap_or(MAX_PENDING_REQUESTS),
            max_requests: thresholds
                .and_then(|thresholds| thresholds.max_requests)
                .unwrap_or(MAX_REQUESTS),
            http: options.http,
            tcp: options.tcp,
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

    /// The thresholds of the default priority: the first ones count, as in Envoy.
    fn thresholds<'m>(
        &mut self,
        message: &'m pb::Cluster,
        path: &str,
    ) -> Option<&'m pb::circuit_breakers::Thresholds> {
        let breakers = message.circuit_breakers.as_ref()?;
        let mut of_default = None;
        for (index, thresholds) in breakers.thresholds.iter().enumerate() {
            let path = format!("{path}.thresholds[{index}]");
            match thresholds.priority() {
                RoutingPriority::High => {
                    let text =
                        "thresholds of priority HIGH; only HTTP routes send at that priority";
                    self.report(ProblemKind::Ignored, &path, text, None);
                }
                RoutingPriority::Default if of_default.is_some() => {
                    let text = "thresholds after the first of their priority, as in Envoy";
                    self.report(ProblemKind::Ignored, &path, text, None);
                }
                RoutingPriority::Default => of_default = Some(thresholds),
            }
        }
        of_default
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
