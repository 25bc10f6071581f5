//! What is told about each ejection and each end of one.

use std::time::Duration;

use base::Address;

use super::rates::Comparison;

/// Envoy's `data.cluster.v3.OutlierDetectionEvent`, but for its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The cluster's name.
    pub cluster: String,
    /// The host.
    pub host: Address,
    /// How often it was ejected, this time included.
    pub ejections: u32,
    /// How long ago it was let back in, or ejected, as the case may be.
    pub since_last: Option<Duration>,
    /// What has happened.
    pub kind: EventKind,
}

/// What has happened to a host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EventKind {
    /// It was found to be an outlier.
    Eject {
        /// By what.
        cause: Cause,
        /// It is left out; otherwise it would have been if a percentage did not say otherwise.
        enforced: bool,
        /// Its rate of success in percent, if there were enough requests.
        success_rate: Option<f64>,
        /// How it was compared, if it was.
        comparison: Option<Comparison>,
    },
    /// It is used again.
    Uneject,
}

/// Why a host is an outlier: Envoy's `OutlierEjectionType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// 5xx in a row.
    Consecutive5xx,
    /// 502, 503 and 504 in a row.
    ConsecutiveGatewayFailure,
    /// A rate of success far below the others'.
    SuccessRate,
    /// Failed connects in a row.
    ConsecutiveLocalOriginFailure,
    /// A rate of successful connects far below the others'.
    SuccessRateLocalOrigin,
    /// Too many failures of a hundred requests.
    FailurePercentage,
    /// Too many failures of a hundred connects.
    FailurePercentageLocalOrigin,
}

impl Cause {
    /// Envoy's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Consecutive5xx => "CONSECUTIVE_5XX",
            Self::ConsecutiveGatewayFailure => "CONSECUTIVE_GATEWAY_FAILURE",
            Self::SuccessRate => "SUCCESS_RATE",
            Self::ConsecutiveLocalOriginFailure => "CONSECUTIVE_LOCAL_ORIGIN_FAILURE",
            Self::SuccessRateLocalOrigin => "SUCCESS_RATE_LOCAL_ORIGIN",
            Self::FailurePercentage => "FAILURE_PERCENTAGE",
            Self::FailurePercentageLocalOrigin => "FAILURE_PERCENTAGE_LOCAL_ORIGIN",
        }
    }
}
