//! `envoy.filters.network.local_ratelimit`: a token for each new connection.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/network_filters/local_rate_limit_filter>

use std::sync::Arc;
use std::time::Instant;

use config::model;
use observe::names::{LocalRateLimitStat, local_rate_limit_prefix};
use observe::{Registry, ResponseFlag, Scope, Shard};

use super::switch::Switch;
use super::token_bucket::TokenBucket;
use super::{Close, Verdict};

/// The filter on one worker.
#[derive(Debug)]
pub(super) struct LocalRateLimit {
    switch: Arc<Switch>,
    bucket: Arc<TokenBucket>,
    stats: Scope<LocalRateLimitStat>,
}

impl LocalRateLimit {
    pub(super) fn new(
        config: &model::LocalRateLimit,
        (switch, bucket): (&Arc<Switch>, &Arc<TokenBucket>),
        registry: &Registry,
        shard: &Shard,
    ) -> Self {
        Self {
            switch: Arc::clone(switch),
            bucket: Arc::clone(bucket),
            stats: registry.scope(&local_rate_limit_prefix(&config.stat_prefix)).on(shard),
        }
    }

    pub(super) fn on_new_connection(&self, now: Instant) -> Verdict {
        if !self.switch.is_on() || self.bucket.take(now) {
            return Verdict::Continue;
        }
        self.stats.inc(LocalRateLimitStat::RateLimited);
        let close = Close {
            // Envoy's choice of a flag.
            flag: Some(ResponseFlag::UpstreamRetryLimitExceeded),
            reason: "local_ratelimit_close_over_limit",
            details: None,
        };
        Verdict::Close(None, close)
    }
}
