//! How long a connection may be used: `idle_timeout`, `max_connection_duration`, and the drain that
//! follows either.
//!
//! A connection that has carried a request is not closed when its time is up: for `drain_timeout`
//! it still answers, and says that it will close, so that a request on its way is not lost.
//!
//! It reads no clock and counts nothing.

use std::cell::Cell;
use std::time::{Duration, Instant};

use config::model::HttpConnectionManager;

/// Where a connection stands.
#[derive(Debug)]
pub(super) struct Lifetime {
    started: Instant,
    idle_since: Cell<Instant>,
    /// `idle_timeout` has passed since then.
    is_idle: Cell<bool>,
    /// `max_connection_duration` has passed.
    is_old: Cell<bool>,
    drains_until: Cell<Option<Instant>>,
}

/// What comes next if no request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// `idle_timeout` passes.
    Idle,
    /// `max_connection_duration` passes.
    Old,
    /// The drain is over.
    Drained,
}

impl Lifetime {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            started: now,
            idle_since: Cell::new(now),
            is_idle: Cell::new(false),
            is_old: Cell::new(false),
            drains_until: Cell::new(None),
        }
    }

    /// Since it was accepted.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    /// A request has come to its end.
    pub(super) fn request_ended(&self, now: Instant) {
        self.idle_since.set(now);
        self.is_idle.set(false);
    }

    /// When `max_connection_duration` passes, unless it has been told.
    fn old_at(&self, config: &HttpConnectionManager) -> Option<Instant> {
        let longest = config.common.max_connection_duration.filter(|_| !self.is_old.get())?;
        Some(self.started + longest)
    }

    /// The next thing to be told with [`Lifetime::tell`], and when. `rests` says that no request
    /// is under way.
    pub(super) fn next(
        &self,
        config: &HttpConnectionManager,
        rests: bool,
    ) -> Option<(Instant, Due)> {
        let idle_timeout = config.common.idle_timeout.filter(|_| rests && !self.is_idle.get());
        let idle = idle_timeout.map(|timeout| (self.idle_since.get() + timeout, Due::Idle));
        let old = self.old_at(config).map(|at| (at, Due::Old));
        let drained = self.drains_until.get().map(|at| (at, Due::Drained));
        [drained, old, idle].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// As [`Lifetime::next`], for while a request is under way: what has come by now.
    pub(super) fn next_in_request(
        &self,
        config: &HttpConnectionManager,
        now: Instant,
    ) -> Option<(Instant, Due)> {
        self.old_at(config).filter(|at| *at <= now).map(|at| (at, Due::Old))
    }

    /// This has happened then: the drain begins, unless it has.
    pub(super) fn tell(&self, (at, due): (Instant, Due), config: &HttpConnectionManager) {
        match due {
            Due::Idle => self.is_idle.set(true),
            Due::Old => self.is_old.set(true),
            Due::Drained => {}
        }
        self.drain(at, config);
    }

    /// The drain begins then, unless it has.
    pub(super) fn drain(&self, at: Instant, config: &HttpConnectionManager) {
        if self.drains_until.get().is_none() {
            self.drains_until.set(Some(at + config.drain_timeout));
        }
    }

    /// Whether responses are to say that the connection closes.
    pub(super) fn is_draining(&self) -> bool {
        self.drains_until.get().is_some()
    }

    /// Whether it may carry no other request.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.drains_until.get().is_some_and(|end| end <= now)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any moment will do")]
mod tests {
    use super::super::tests::manager_config;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn config(idle: u32, longest: Option<u32>) -> HttpConnectionManager {
        let mut config = manager_config(Vec::new());
        config.common.idle_timeout = Some(idle * SECOND);
        config.common.max_connection_duration = longest.map(|longest| longest * SECOND);
        config.drain_timeout = 5 * SECOND;
        config
    }

    #[test]
    fn an_idle_connection_drains_and_idles_anew_after_each_request() {
        let start = Instant::now();
        let config = config(10, None);
        let lifetime = Lifetime::new(start);
        assert_eq!(lifetime.next(&config, true), Some((start + 10 * SECOND, Due::Idle)));
        lifetime.request_ended(start + SECOND);
        let idle = (start + 11 * SECOND, Due::Idle);
        assert_eq!(lifetime.next(&config, true), Some(idle));
        assert!(!lifetime.is_draining());
        lifetime.tell(idle, &config);
        assert!(lifetime.is_draining() && !lifetime.is_over(start + 15 * SECOND));
        let drained = (start + 16 * SECOND, Due::Drained);
        assert_eq!(lifetime.next(&config, true), Some(drained));
        lifetime.request_ended(start + 2 * SECOND);
        let idle_again = (start + 12 * SECOND, Due::Idle);
        assert_eq!(lifetime.next(&config, true), Some(idle_again));
        lifetime.tell(idle_again, &config);
        assert_eq!(lifetime.next(&config, true), Some(drained), "the drain is not drawn out");
        assert!(lifetime.is_over(start + 16 * SECOND));
    }

    #[test]
    fn an_old_connection_drains_from_the_moment_it_became_old() {
        let start = Instant::now();
        let config = config(100, Some(3));
        let lifetime = Lifetime::new(start);
        assert_eq!(lifetime.next_in_request(&config, start + 2 * SECOND), None);
        let old = (start + 3 * SECOND, Due::Old);
        assert_eq!(lifetime.next_in_request(&config, start + 7 * SECOND), Some(old));
        assert_eq!(lifetime.next(&config, true), Some(old));
        lifetime.tell(old, &config);
        assert_eq!(lifetime.next_in_request(&config, start + 7 * SECOND), None);
        assert_eq!(lifetime.next(&config, true), Some((start + 8 * SECOND, Due::Drained)));
        assert_eq!(lifetime.age(start + SECOND), SECOND);
    }
}
