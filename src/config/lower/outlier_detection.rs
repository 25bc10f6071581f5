//! Outlier detection, and what is done when too few hosts are left.

use std::time::Duration;

use super::Lower;
use crate::model::{Enforcing, OutlierDetection, Panic};
use crate::typed::envoy::config::cluster::v3 as pb;

impl Lower<'_> {
    pub(super) fn outlier_detection(
        &mut self,
        message: &pb::OutlierDetection,
        path: &str,
    ) -> OutlierDetection {
        let default = OutlierDetection::default();
        let mut time = |value: &Option<_>, field: &str| {
            value.as_ref().map(|time| self.milliseconds(time, &format!("{path}.{field}")))
        };
        let base_ejection_time = time(&message.base_ejection_time, "base_ejection_time");
        let base_ejection_time = base_ejection_time.unwrap_or(default.base_ejection_time);
        let max_ejection_time = time(&message.max_ejection_time, "max_ejection_time");
        let max_ejection_time =
            max_ejection_time.unwrap_or(default.max_ejection_time.max(base_ejection_time));
        let jitter = time(&message.max_ejection_time_jitter, "max_ejection_time_jitter");
        let interval = time(&message.interval, "interval").unwrap_or(default.interval);
        if max_ejection_time < base_ejection_time {
            let text = "outlier detector's max_ejection_time cannot be smaller than \
                        base_ejection_time";
            self.invalid(&format!("{path}.max_ejection_time"), text, None);
        }
        if interval == Duration::ZERO {
            // Envoy looks again at once then, for ever; less than a millisecond is no time there.
            let hint = Some("give a millisecond or more");
            self.not_yet(&format!("{path}.interval"), "an interval without time", hint);
        }
        let enforcing = Enforcing {
            consecutive_5xx: message
                .enforcing_consecutive_5xx
                .unwrap_or(default.enforcing.consecutive_5xx),
            consecutive_gateway_failure: message
                .enforcing_consecutive_gateway_failure
                .unwrap_or(default.enforcing.consecutive_gateway_failure),
            consecutive_local_origin_failure: message
                .enforcing_consecutive_local_origin_failure
                .unwrap_or(default.enforcing.consecutive_local_origin_failure),
            success_rate: message.enforcing_success_rate.unwrap_or(default.enforcing.success_rate),
            local_origin_success_rate: message
                .enforcing_local_origin_success_rate
                .unwrap_or(default.enforcing.local_origin_success_rate),
            failure_percentage: message
                .enforcing_failure_percentage
                .unwrap_or(default.enforcing.failure_percentage),
            failure_percentage_local_origin: message
                .enforcing_failure_percentage_local_origin
                .unwrap_or(default.enforcing.failure_percentage_local_origin),
        };
        OutlierDetection {
            consecutive_5xx: message.consecutive_5xx.unwrap_or(default.consecutive_5xx),
            consecutive_gateway_failure: message
                .consecutive_gateway_failure
                .unwrap_or(default.consecutive_gateway_failure),
            consecutive_local_origin_failure: message
                .consecutive_local_origin_failure
                .unwrap_or(default.consecutive_local_origin_failure),
            split_local_origin: message.split_external_local_origin_errors,
            interval,
            base_ejection_time,
            max_ejection_time,
            max_ejection_time_jitter: jitter.unwrap_or(default.max_ejection_time_jitter),
            max_ejection_percent: message
                .max_ejection_percent
                .unwrap_or(default.max_ejection_percent),
            always_eject_one_host: message.always_eject_one_host.unwrap_or(false),
            success_rate_minimum_hosts: message
                .success_rate_minimum_hosts
                .unwrap_or(default.success_rate_minimum_hosts),
            success_rate_request_volume: message
                .success_rate_request_volume
                .unwrap_or(default.success_rate_request_volume),
            success_rate_stdev_factor: message
                .success_rate_stdev_factor
                .unwrap_or(default.success_rate_stdev_factor),
            failure_percentage_threshold: message
                .failure_percentage_threshold
                .unwrap_or(default.failure_percentage_threshold),
            failure_percentage_minimum_hosts: message
                .failure_percentage_minimum_hosts
                .unwrap_or(default.failure_percentage_minimum_hosts),
            failure_percentage_request_volume: message
                .failure_percentage_request_volume
                .unwrap_or(default.failure_percentage_request_volume),
            enforcing,
        }
    }
}

/// When a cluster has too few healthy hosts to do without the others.
pub(super) fn panic(message: &pb::Cluster) -> Panic {
    let default = Panic::default();
    let common = message.common_lb_config.as_ref();
    let threshold = common.and_then(|common| common.healthy_panic_threshold);
    let policy = message.load_assignment.as_ref().and_then(|all| all.policy.as_ref());
    Panic {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rule keeps it between 0 and 100"
        )]
        threshold: threshold.map_or(default.threshold, |percent| percent.value.round() as u32),
        overprovisioning_factor: policy
            .and_then(|policy| policy.overprovisioning_factor)
            .unwrap_or(default.overprovisioning_factor),
        weighted_health: policy.is_some_and(|policy| policy.weighted_priority_health),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::lower_yaml;

    fn cluster(fields: &str) -> (crate::model::Cluster, String) {
        let yaml = format!("static_resources: {{clusters: [{{name: c, {fields}}}]}}");
        let (bootstrap, report) = lower_yaml(&yaml);
        ((*bootstrap.clusters[0]).clone(), report.to_string())
    }

    #[test]
    fn what_is_not_set_has_envoys_default() {
        let (cluster, report) = cluster("outlier_detection: {}");
        assert!(report.is_empty(), "{report}");
        assert_eq!(cluster.outlier_detection, Some(OutlierDetection::default()));
        assert_eq!(cluster.panic, Panic::default());
        let (cluster, report) = self::cluster(
            "outlier_detection: {base_ejection_time: 400s, enforcing_success_rate: 7}, \
             common_lb_config: {healthy_panic_threshold: {value: 33.5}}, load_assignment: \
             {cluster_name: c, policy: {overprovisioning_factor: 100, \
             weighted_priority_health: true}}",
        );
        assert!(report.is_empty(), "{report}");
        let found = cluster.outlier_detection.unwrap();
        assert_eq!(found.max_ejection_time, Duration::from_secs(400));
        assert_eq!(found.enforcing.success_rate, 7);
        let panic = Panic { threshold: 34, overprovisioning_factor: 100, weighted_health: true };
        assert_eq!(cluster.panic, panic);
    }

    #[test]
    fn times_that_cannot_be_are_refused() {
        let (_, report) =
            cluster("outlier_detection: {base_ejection_time: 3s, max_ejection_time: 2s}");
        assert!(report.contains("cannot be smaller than base_ejection_time"), "{report}");
        let (_, report) = cluster("outlier_detection: {interval: 0.0005s}");
        assert!(report.contains("outlier_detection.interval: not supported yet"), "{report}");
    }

    #[test]
    fn connections_of_ejected_hosts_are_closed_only_when_idle() {
        let field = "close_connections_on_host_health_failure: true";
        let (_, report) = cluster(&format!("outlier_detection: {{}}, {field}"));
        assert!(report.contains("not supported yet"), "{report}");
        let (_, report) = cluster(field);
        assert!(report.contains("ignored"), "{report}");
    }

    #[test]
    fn the_runtime_may_have_what_detectors_read() {
        for (key, is_read) in [
            ("outlier_detection.interval_ms", true),
            ("outlier_detection.enforcing_local_origin_success_rate", true),
            ("upstream.healthy_panic_threshold", true),
            ("outlier_detection.enforcing_extension.x", false),
        ] {
            let layers = format!("{{name: s, static_layer: {{{key}: 3}}}}");
            let (_, report) = lower_yaml(&format!("layered_runtime: {{layers: [{layers}]}}"));
            assert_eq!(report.is_empty(), is_read, "{key}: {report}");
        }
    }
}
