//! `cluster.<name>.circuit_breakers.<priority>.*`
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/upstream/cluster_manager/cluster_stats>

crate::stats! {
    /// Which limits of a priority are reached.
    pub enum BreakerStat {
        /// 1 while the breaker for connections is at its limit.
        CxOpen => gauge "cx_open",
        /// 1 while the breaker for pools is at its limit.
        CxPoolOpen => gauge "cx_pool_open",
        /// 1 while the breaker for requests is at its limit.
        RqOpen => gauge "rq_open",
        /// 1 while the breaker for waiting users is at its limit.
        RqPendingOpen => gauge "rq_pending_open",
        /// 1 while the breaker for retries is at its limit.
        RqRetryOpen => gauge "rq_retry_open",
    }
}

crate::stats! {
    /// What is left of the limits of a priority with `track_remaining`.
    pub enum RemainingStat {
        /// Connections that may still be made.
        RemainingCx => gauge "remaining_cx",
        /// Pools that may still be made.
        RemainingCxPools => gauge "remaining_cx_pools",
        /// Users that may still wait.
        RemainingPending => gauge "remaining_pending",
        /// Retries that may still begin.
        RemainingRetries => gauge "remaining_retries",
        /// Requests that may still begin.
        RemainingRq => gauge "remaining_rq",
    }
}

/// The prefix of the breakers of a priority: `default` or `high`.
#[must_use]
pub fn breaker_prefix(cluster: &str, priority: &str) -> String {
    format!("{}.circuit_breakers.{priority}", super::cluster_prefix(cluster))
}
