//! Waiting for a time.
#![forbid(unsafe_code)]

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::core::Core;
use crate::timer_wheel::TimerKey;

/// Ready at its deadline, within a millisecond after it; made by [`crate::Reactor::sleep_until`].
/// It costs one timer wheel entry while it waits.
#[derive(Debug)]
pub struct Sleep {
    core: Rc<Core>,
    deadline: Instant,
    timer: Option<TimerKey>,
}

impl Sleep {
    pub(crate) fn new(core: Rc<Core>, deadline: Instant) -> Self {
        Self { core, deadline, timer: None }
    }

    /// Moves the deadline. A later one costs nothing until the earlier one passes.
    pub fn reset(&mut self, deadline: Instant) {
        if deadline < self.deadline
            && let Some(key) = self.timer.take()
        {
            self.core.cancel_timer(key);
        }
        self.deadline = deadline;
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.core.await_point();
        if self.core.now() >= self.deadline {
            if let Some(key) = self.timer.take() {
                self.core.cancel_timer(key);
            }
            return Poll::Ready(());
        }
        if let Some(key) = self.timer
            && self.core.rewake_timer(key, context.waker())
        {
            return Poll::Pending;
        }
        self.timer = Some(self.core.set_timer(self.deadline, context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.timer.take() {
            self.core.cancel_timer(key);
        }
    }
}
