//! When an exchange is given up: its timeouts as moments.
//!
//! It reads no clock.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/timeouts>

use std::time::{Duration, Instant};

use super::failure::Failure;

/// When an exchange is given up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    /// `request_headers_timeout`, until the head is there.
    pub(super) head: Option<Instant>,
    /// `request_timeout`, until the request is complete.
    pub(super) request: Option<Instant>,
    /// The route's timeout, from the end of the request on.
    pub(super) response: Option<Instant>,
    /// `max_stream_duration`.
    pub(super) duration: Option<Instant>,
    /// `max_stream_duration` of the cluster.
    pub(super) upstream: Option<Instant>,
    /// The route's `idle_timeout`, or `stream_idle_timeout`.
    pub(super) idle_timeout: Option<Duration>,
    /// From here on that runs; moved by every byte.
    pub(super) last_progress: Instant,
}

impl Deadlines {
    pub(super) fn next(&self) -> Option<Instant> {
        let idle = self.idle_timeout.map(|timeout| self.last_progress + timeout);
        let all = [self.head, self.request, self.response, self.duration, self.upstream, idle];
        all.into_iter().flatten().min()
    }

    /// Which one has passed.
    pub(super) fn passed(&self, now: Instant) -> Failure {
        let is_past = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        if is_past(self.head) {
            Failure::HeaderTimeout
        } else if is_past(self.request) {
            Failure::RequestTimeout
        } else if is_past(self.response) {
            Failure::ResponseTimeout
        } else if is_past(self.duration) {
            Failure::MaxDuration
        } else if is_past(self.upstream) {
            Failure::UpstreamMaxDuration
        } else {
            Failure::StreamIdleTimeout
        }
    }
}
