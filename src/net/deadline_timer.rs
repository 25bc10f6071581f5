//! One timer for all the deadlines of a connection, and the deadline that progress moves.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use reactor::{Reactor, Sleep};

/// Fires at a deadline that may move at every poll. Moving it to a later time costs nothing: the
/// timer that is set fires early once, and is set again.
#[derive(Debug)]
pub struct DeadlineTimer {
    reactor: Reactor,
    set: Option<(Instant, Sleep)>,
}

impl DeadlineTimer {
    /// A timer that is not set yet.
    #[must_use]
    pub fn new(reactor: Reactor) -> Self {
        Self { reactor, set: None }
    }

    /// Ready once `deadline` has passed.
    pub fn poll(&mut self, context: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        loop {
            if self.reactor.now() >= deadline {
                return Poll::Ready(());
            }
            let (fires, sleep) = match &mut self.set {
                Some(set) if set.0 <= deadline => set,
                _ => self.set.insert((deadline, self.reactor.sleep_until(deadline))),
            };
            if *fires <= self.reactor.now() || Pin::new(sleep).poll(context).is_ready() {
                self.set = None;
                continue;
            }
            return Poll::Pending;
        }
    }
}

/// A count of bytes that should grow, and when it last did.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    bytes: u64,
    since: Instant,
}

impl Progress {
    /// At `bytes`, from `now` on.
    #[must_use]
    pub fn new(bytes: u64, now: Instant) -> Self {
        Self { bytes, since: now }
    }

    /// As if bytes had moved `now`.
    pub fn begin_anew(&mut self, now: Instant) {
        self.since = now;
    }

    /// Ready once the count, which is at `bytes` now, has not grown for `timeout`.
    pub fn poll_stalled(
        &mut self,
        context: &mut Context<'_>,
        timer: &mut DeadlineTimer,
        bytes: u64,
        timeout: Duration,
    ) -> Poll<()> {
        if bytes > self.bytes {
            *self = Self { bytes, since: timer.reactor.now() };
        }
        timer.poll(context, self.since + timeout)
    }
}
