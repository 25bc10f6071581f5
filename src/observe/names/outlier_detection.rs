//! `cluster.<name>.outlier_detection.*`, and what is counted of each host to find outliers.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/upstream/cluster_manager/cluster_stats>

crate::stats! {
    /// Stats of a cluster that has an outlier detector. What is detected is counted whether or not
    /// it leads to an ejection; what is enforced did.
    pub enum OutlierDetectionStat {
        /// Hosts that are ejected now.
        EjectionsActive => gauge "ejections_active",
        /// As `ejections_detected_consecutive_5xx`; an older name.
        EjectionsConsecutive5xx => counter "ejections_consecutive_5xx",
        /// Detected by 5xx in a row.
        DetectedConsecutive5xx => counter "ejections_detected_consecutive_5xx",
        /// Detected by 502, 503 and 504 in a row.
        DetectedConsecutiveGatewayFailure => counter
            "ejections_detected_consecutive_gateway_failure",
        /// Detected by failed connects in a row.
        DetectedConsecutiveLocalOriginFailure => counter
            "ejections_detected_consecutive_local_origin_failure",
        /// Degraded hosts; zero, as `detect_degraded_hosts` is not supported.
        DetectedDegradation => counter "ejections_detected_degradation",
        /// Detected by the percentage of failures.
        DetectedFailurePercentage => counter "ejections_detected_failure_percentage",
        /// Detected by the percentage of failed connects.
        DetectedLocalOriginFailurePercentage => counter
            "ejections_detected_local_origin_failure_percentage",
        /// Detected by a low rate of successful connects.
        DetectedLocalOriginSuccessRate => counter "ejections_detected_local_origin_success_rate",
        /// Detected by a low rate of successes.
        DetectedSuccessRate => counter "ejections_detected_success_rate",
        /// Ejected by 5xx in a row.
        EnforcedConsecutive5xx => counter "ejections_enforced_consecutive_5xx",
        /// Ejected by 502, 503 and 504 in a row.
        EnforcedConsecutiveGatewayFailure => counter
            "ejections_enforced_consecutive_gateway_failure",
        /// Ejected by failed connects in a row.
        EnforcedConsecutiveLocalOriginFailure => counter
            "ejections_enforced_consecutive_local_origin_failure",
        /// Ejected by the percentage of failures.
        EnforcedFailurePercentage => counter "ejections_enforced_failure_percentage",
        /// Ejected by the percentage of failed connects.
        EnforcedLocalOriginFailurePercentage => counter
            "ejections_enforced_local_origin_failure_percentage",
        /// Ejected by a low rate of successful connects.
        EnforcedLocalOriginSuccessRate => counter "ejections_enforced_local_origin_success_rate",
        /// Ejected by a low rate of successes.
        EnforcedSuccessRate => counter "ejections_enforced_success_rate",
        /// Ejected for whatever reason.
        EnforcedTotal => counter "ejections_enforced_total",
        /// Not ejected because as many were as `max_ejection_percent` allows.
        EjectionsOverflow => counter "ejections_overflow",
        /// Detected by either rate of successes; an older name.
        EjectionsSuccessRate => counter "ejections_success_rate",
        /// Found by 5xx in a row or a low rate of successes, where the percentage allowed an
        /// ejection; an older name.
        EjectionsTotal => counter "ejections_total",
    }
}

crate::stats! {
    /// What is counted of one host of such a cluster; on no page. Whoever computes rates takes the
    /// difference to what it was an interval before.
    pub enum OutlierHostStat {
        /// Answers, and what stands for one.
        ExternalTotal => counter "external_total",
        /// Those of them that are no 5xx.
        ExternalSuccess => counter "external_success",
        /// Connects, if they count apart.
        LocalTotal => counter "local_total",
        /// Those of them that did not fail.
        LocalSuccess => counter "local_success",
    }
}

/// The prefix of a cluster's stats.
#[must_use]
pub fn outlier_detection_prefix(cluster: &str) -> String {
    format!("{}.outlier_detection", super::cluster_prefix(cluster))
}
