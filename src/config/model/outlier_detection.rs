//! What makes a host of a cluster an outlier, and for how long it is left out then.

use std::time::Duration;

/// Envoy's `config.cluster.v3.OutlierDetection`. The runtime may say otherwise, by the keys that
/// [`OutlierDetection::RUNTIME_PREFIX`] begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlierDetection {
    /// `consecutive_5xx`: as many answers 5xx in a row, 5 unless set. 0 is never reached.
    pub consecutive_5xx: u32,
    /// `consecutive_gateway_failure`: the same of 502, 503 and 504.
    pub consecutive_gateway_failure: u32,
    /// `consecutive_local_origin_failure`: the same of connects that fail, if errors are split.
    pub consecutive_local_origin_failure: u32,
    /// `split_external_local_origin_errors`: what happens on the way to a host counts apart from
    /// what the host says.
    pub split_local_origin: bool,
    /// `interval`: how long the detector counts before it looks at all hosts; 10 seconds unless
    /// set.
    pub interval: Duration,
    /// `base_ejection_time`: how long a host is left out, for each time that it was in a row; 30
    /// seconds unless set.
    pub base_ejection_time: Duration,
    /// `max_ejection_time`: the longest; 300 seconds, or `base_ejection_time` if that is longer.
    pub max_ejection_time: Duration,
    /// `max_ejection_time_jitter`: up to so much longer; 0 unless set.
    pub max_ejection_time_jitter: Duration,
    /// `max_ejection_percent`: as many of the hosts may be left out at a time, 10 unless set.
    pub max_ejection_percent: u32,
    /// `always_eject_one_host`: one may be, however few there are.
    pub always_eject_one_host: bool,
    /// `success_rate_minimum_hosts`: hosts with enough requests that there must be to compare
    /// them; 5 unless set.
    pub success_rate_minimum_hosts: u32,
    /// `success_rate_request_volume`: what is enough within an interval; 100 unless set.
    pub success_rate_request_volume: u32,
    /// `success_rate_stdev_factor`, in thousandths: how many standard deviations below the average
    /// is too low; 1900 unless set.
    pub success_rate_stdev_factor: u32,
    /// `failure_percentage_threshold`: as many failures of 100 requests are too many; 85 unless
    /// set.
    pub failure_percentage_threshold: u32,
    /// `failure_percentage_minimum_hosts`: as `success_rate_minimum_hosts`.
    pub failure_percentage_minimum_hosts: u32,
    /// `failure_percentage_request_volume`: as `success_rate_request_volume`; 50 unless set.
    pub failure_percentage_request_volume: u32,
    /// In how many of 100 cases what was detected leads to an ejection.
    pub enforcing: Enforcing,
}

/// The `enforcing_*` percentages: 100 is always, 0 is only counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enforcing {
    /// `enforcing_consecutive_5xx`, 100 unless set.
    pub consecutive_5xx: u32,
    /// `enforcing_consecutive_gateway_failure`, 0 unless set.
    pub consecutive_gateway_failure: u32,
    /// `enforcing_consecutive_local_origin_failure`, 100 unless set.
    pub consecutive_local_origin_failure: u32,
    /// `enforcing_success_rate`, 100 unless set.
    pub success_rate: u32,
    /// `enforcing_local_origin_success_rate`, 100 unless set.
    pub local_origin_success_rate: u32,
    /// `enforcing_failure_percentage`, 0 unless set.
    pub failure_percentage: u32,
    /// `enforcing_failure_percentage_local_origin`, 0 unless set.
    pub failure_percentage_local_origin: u32,
}

impl OutlierDetection {
    /// What the names of the runtime's values begin with.
    pub const RUNTIME_PREFIX: &str = "outlier_detection.";

    /// Those names, without [`OutlierDetection::RUNTIME_PREFIX`].
    pub(crate) const RUNTIME_KEYS: [&str; 21] = [
        "base_ejection_time_ms",
        "consecutive_5xx",
        "consecutive_gateway_failure",
        "consecutive_local_origin_failure",
        "enforcing_consecutive_5xx",
        "enforcing_consecutive_gateway_failure",
        "enforcing_consecutive_local_origin_failure",
        "enforcing_failure_percentage",
        "enforcing_failure_percentage_local_origin",
        "enforcing_local_origin_success_rate",
        "enforcing_success_rate",
        "failure_percentage_minimum_hosts",
        "failure_percentage_request_volume",
        "failure_percentage_threshold",
        "interval_ms",
        "max_ejection_percent",
        "max_ejection_time_jitter_ms",
        "max_ejection_time_ms",
        "success_rate_minimum_hosts",
        "success_rate_request_volume",
        "success_rate_stdev_factor",
    ];
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            consecutive_5xx: 5,
            consecutive_gateway_failure: 5,
            consecutive_local_origin_failure: 5,
            split_local_origin: false,
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_secs(300),
            max_ejection_time_jitter: Duration::ZERO,
            max_ejection_percent: 10,
            always_eject_one_host: false,
            success_rate_minimum_hosts: 5,
            success_rate_request_volume: 100,
            success_rate_stdev_factor: 1900,
            failure_percentage_threshold: 85,
            failure_percentage_minimum_hosts: 5,
            failure_percentage_request_volume: 50,
            enforcing: Enforcing {
                consecutive_5xx: 100,
                consecutive_gateway_failure: 0,
                consecutive_local_origin_failure: 100,
                success_rate: 100,
                local_origin_success_rate: 100,
                failure_percentage: 0,
                failure_percentage_local_origin: 0,
            },
        }
    }
}
