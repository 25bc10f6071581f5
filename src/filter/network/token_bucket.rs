//! A token bucket that all workers share without a lock.
//!
//! It fills all the time, not at intervals, as Envoy's does: `tokens_per_fill` in each
//! `fill_interval`. Instead of a number of tokens it keeps the moment at which it was empty: the
//! tokens are what has come in since. Taking one moves that moment on by what one token needs.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use config::model;

/// Tokens, at most `max` of them.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    /// Nanoseconds in which one token comes in, at least 1.
    per_token: u64,
    /// Nanoseconds in which the bucket fills up.
    full_after: u64,
    /// When the bucket was empty, in nanoseconds of its own clock, which begins full.
    empty_at: AtomicU64,
    /// The first moment it was asked for a token.
    epoch: OnceLock<Instant>,
}

impl TokenBucket {
    pub(super) fn new(config: &model::TokenBucket) -> Self {
        let interval = u64::try_from(config.fill_interval.as_nanos()).unwrap_or(u64::MAX);
        let per_token = (interval / u64::from(config.tokens_per_fill.max(1))).max(1);
        let full_after = per_token.saturating_mul(config.max_tokens.into());
        Self { per_token, full_after, empty_at: AtomicU64::new(0), epoch: OnceLock::new() }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&self, now: Instant) -> bool {
        let epoch = *self.epoch.get_or_init(|| now);
        // Another worker may have begun a little later than this one's `now`.
        let age = now.saturating_duration_since(epoch).as_nanos();
        let now = self.full_after.saturating_add(u64::try_from(age).unwrap_or(u64::MAX));
        // Relaxed: the moment guards no other memory, and each of its changes is atomic.
        let take = |empty_at: u64| {
            let empty_at = empty_at.max(now - self.full_after);
            let taken = empty_at.checked_add(self.per_token)?;
            (taken <= now).then_some(taken)
        };
        self.empty_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a moment to count from")]
mod tests {
    use std::time::Duration;

    use super::*;

    fn bucket(max_tokens: u32, tokens_per_fill: u32, fill_interval_ms: u64) -> TokenBucket {
        TokenBucket::new(&model::TokenBucket {
            max_tokens,
            tokens_per_fill,
            fill_interval: Duration::from_millis(fill_interval_ms),
        })
    }

    #[test]
    fn a_bucket_begins_full_and_fills_all_the_time() {
        let bucket = bucket(2, 5, 1000);
        let start = Instant::now();
        let take = |after_ms: u64| bucket.take(start + Duration::from_millis(after_ms));
        assert_eq!([take(0), take(0), take(0)], [true, true, false]);
        assert_eq!([take(199), take(200), take(200)], [false, true, false]);
        // A token that was nearly there is not lost.
        assert_eq!([take(590), take(600), take(600)], [true, true, false]);
        // No more than the bucket holds.
        assert_eq!([take(90_000), take(90_000), take(90_000)], [true, true, false]);
    }

    #[test]
    fn a_bucket_without_room_never_has_a_token() {
        let bucket = bucket(0, 1, 50);
        let start = Instant::now();
        assert!(!bucket.take(start));
        assert!(!bucket.take(start + Duration::from_secs(3600)));
    }

    #[test]
    fn a_clock_that_lags_behind_takes_nothing_twice() {
        let bucket = bucket(1, 1, 1000);
        let start = Instant::now() + Duration::from_secs(10);
        assert!(bucket.take(start));
        assert!(!bucket.take(start - Duration::from_secs(5)));
        assert!(bucket.take(start + Duration::from_secs(1)));
    }
}
