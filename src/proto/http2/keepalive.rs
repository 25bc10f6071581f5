//! PING frames that look after a connection: Envoy's `connection_keepalive`.
//!
//! Time is an argument, and so is the seed of the jitter. The owner of the connection keeps one
//! timer, for [`Keepalive::deadline`].

use std::time::{Duration, Instant};

use crate::http2::options::KeepaliveOptions;

/// When to send the next PING, and how long to wait for the answer to the last.
#[derive(Debug)]
pub(crate) struct Keepalive {
    /// When the next PING is due. It is put off while an answer is awaited.
    next: Option<Instant>,
    /// When the answer is late.
    late: Option<Instant>,
    last_received: Instant,
    seed: u64,
}

/// What a deadline means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Ping,
    Timeout,
}

impl Keepalive {
    pub(crate) fn new(options: Option<&KeepaliveOptions>, now: Instant, seed: u64) -> Self {
        let mut keepalive = Self { next: None, late: None, last_received: now, seed: seed | 1 };
        if let Some(options) = options {
            keepalive.schedule(options, now);
        }
        keepalive
    }

    /// When [`tick`](Self::tick) has something to do.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        match self.late {
            Some(late) => Some(late),
            None => self.next,
        }
    }

    /// What is due now. After [`Due::Ping`] a PING is to be sent.
    pub(crate) fn tick(&mut self, options: &KeepaliveOptions, now: Instant) -> Due {
        if self.late.is_some_and(|late| now >= late) {
            return Due::Timeout;
        }
        if self.late.is_none() && self.next.is_some_and(|next| now >= next) {
            self.ping(options, now);
            return Due::Ping;
        }
        Due::Nothing
    }

    /// A stream is about to be opened. Whether a PING is to be sent first.
    pub(crate) fn before_stream(&mut self, options: &KeepaliveOptions, now: Instant) -> bool {
        let is_idle = options
            .idle_interval
            .is_some_and(|idle| now.saturating_duration_since(self.last_received) > idle);
        if !is_idle || self.late.is_some() {
            return false;
        }
        self.ping(options, now);
        true
    }

    /// A frame has come: whoever sends is alive, even if the answer stands in a queue.
    #[inline]
    pub(crate) fn received(&mut self, options: Option<&KeepaliveOptions>, now: Instant) {
        self.last_received = now;
        if self.late.is_some()
            && let Some(options) = options
        {
            self.late = Some(now + options.timeout);
        }
    }

    /// The answer to a PING has come.
    pub(crate) fn acknowledged(&mut self, options: &KeepaliveOptions, now: Instant) {
        self.late = None;
        self.schedule(options, now);
    }

    fn ping(&mut self, options: &KeepaliveOptions, now: Instant) {
        self.late = Some(now + options.timeout);
        self.next = None;
    }

    fn schedule(&mut self, options: &KeepaliveOptions, now: Instant) {
        let Some(interval) = options.interval else {
            return;
        };
        let jitter = interval.mul_f64((options.jitter_percent / 100.0).max(0.0));
        let jitter_ms = u64::try_from(jitter.as_millis()).unwrap_or(u64::MAX);
        let extra = self.random().checked_rem(jitter_ms).unwrap_or(0);
        self.next = Some(now + interval + Duration::from_millis(extra));
    }

    /// Xorshift, which never comes to zero.
    fn random(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: KeepaliveOptions = KeepaliveOptions {
        interval: Some(Duration::from_secs(10)),
        timeout: Duration::from_secs(2),
        jitter_percent: 15.0,
        idle_interval: Some(Duration::from_secs(5)),
    };

    #[expect(clippy::disallowed_methods, reason = "an instant to count from; no test looks at it")]
    fn an_instant() -> Instant {
        Instant::now()
    }

    // Rows: F2
    #[test]
    fn pings_come_after_the_interval_and_a_jitter_within_its_percentage() {
        let start = an_instant();
        let mut extras = Vec::new();
        for seed in 0..200 {
            let keepalive = Keepalive::new(Some(&OPTIONS), start, seed);
            let interval = keepalive.deadline().expect("there is an interval") - start;
            assert!((10_000..11_500).contains(&interval.as_millis()), "{interval:?}");
            extras.push(interval.as_millis());
        }
        extras.sort_unstable();
        extras.dedup();
        assert!(extras.len() > 50, "the jitter is no constant");
        let exact = KeepaliveOptions { jitter_percent: 0.0, ..OPTIONS };
        let keepalive = Keepalive::new(Some(&exact), start, 1);
        assert_eq!(keepalive.deadline(), Some(start + Duration::from_secs(10)));
    }

    // Rows: F3, F4
    #[test]
    fn an_answer_is_late_unless_anything_comes() {
        let exact = KeepaliveOptions { jitter_percent: 0.0, ..OPTIONS };
        let start = an_instant();
        let at = |ms| start + Duration::from_millis(ms);
        let mut keepalive = Keepalive::new(Some(&exact), start, 1);
        assert_eq!(keepalive.tick(&exact, at(9_999)), Due::Nothing);
        assert_eq!(keepalive.tick(&exact, at(10_000)), Due::Ping);
        assert_eq!(keepalive.deadline(), Some(at(12_000)));
        assert_eq!(keepalive.tick(&exact, at(11_999)), Due::Nothing);
        // Any frame puts the deadline off: row F4 of Envoy's behaviour.
        keepalive.received(Some(&exact), at(11_999));
        assert_eq!(keepalive.tick(&exact, at(13_998)), Due::Nothing);
        assert_eq!(keepalive.tick(&exact, at(13_999)), Due::Timeout);
        keepalive.acknowledged(&exact, at(14_000));
        assert_eq!(keepalive.deadline(), Some(at(24_000)));
    }

    // Rows: F5
    #[test]
    fn a_stream_on_a_silent_connection_is_preceded_by_a_ping() {
        let idle_only = KeepaliveOptions { interval: None, ..OPTIONS };
        let start = an_instant();
        let at = |ms| start + Duration::from_millis(ms);
        let mut keepalive = Keepalive::new(Some(&idle_only), start, 1);
        assert_eq!(keepalive.deadline(), None);
        assert!(!keepalive.before_stream(&idle_only, at(5_000)));
        assert!(keepalive.before_stream(&idle_only, at(5_001)));
        assert!(!keepalive.before_stream(&idle_only, at(5_002)), "one is outstanding");
        assert_eq!(keepalive.deadline(), Some(at(7_001)));
        keepalive.acknowledged(&idle_only, at(6_000));
        assert_eq!(keepalive.deadline(), None);
    }
}
