//! One timer for all the deadlines of a connection.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

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
