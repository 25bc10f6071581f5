//! `envoy.filters.network.local_ratelimit`: a token for each new connection.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/network_filters/local_rate_limit_filter>

use std::sync::Arc;
use std::time::Instant;

use config::model;
use observe::names::{LocalRateLimitStat, local_rate_limit_prefix};
use observe::{Registry, ResponseFlag, Scope, Shard};

use super::token_bucket::TokenBucket;
use super::{Close, Verdict};

/// The filter on one worker.
#[derive(Debug)]
pub(super) struct LocalRateLimit {
    enabled: bool,
    bucket: Arc<TokenBucket>,
    stats: Scope<LocalRateLimitStat>,
}

impl LocalRateLimit {
    pub(super) fn new(
        config: &model::LocalRateLimit,
        bucket: &Arc<TokenBucket>,
        registry: &Registry,
        shard: &Shard,
    ) -> Self {
        Self {
            enabled: config.enabled,
            bucket: Arc::clone(bucket),
            stats: registry.scope(&local_rate_limit_prefix(&config.stat_prefix)).on(shard),
        }
    }

    pub(super) fn on_new_connection(&self, now: Instant) -> Verdict {
        if !self.enabled || self.bucket.take(now) {
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
