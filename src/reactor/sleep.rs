//! Waiting for a time.
#![forbid(unsafe_code)]

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::core::Core;
use crate::timer_wheel::TimerKey;

/// Ready at its deadline, within a millisecond after it; made by [`crate::Reactor::sleep_until`].
/// It costs one timer wheel entry while it waits.
#[derive(Debug)]
pub struct Sleep {
    core: Rc<Core>,
    deadline: Instant,
    armed: Option<Armed>,
}

/// A timer wheel entry. While its time has not come it cannot have fired, so a poll need not look.
#[derive(Debug)]
struct Armed {
    key: TimerKey,
    at: Instant,
    waker: Waker,
}

impl Sleep {
    pub(crate) fn new(core: Rc<Core>, deadline: Instant) -> Self {
        Self { core, deadline, armed: None }
    }

    /// Moves the deadline. A later one costs nothing until the earlier one passes.
    pub fn reset(&mut self, deadline: Instant) {
        if deadline < self.deadline {
            self.disarm();
        }
        self.deadline = deadline;
    }

    fn disarm(&mut self) {
        if let Some(armed) = self.armed.take() {
            // One that has fired is gone already.
            self.core.cancel_timer(armed.key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.core.await_point();
        let now = self.core.now();
        if now >= self.deadline {
            self.disarm();
            return Poll::Ready(());
        }
        if let Some(armed) = &self.armed
            && now < armed.at
            && armed.waker.will_wake(context.waker())
        {
            return Poll::Pending;
        }
        self.disarm();
        let (at, waker) = (self.deadline, context.waker().clone());
        let key = self.core.set_timer(at, waker.clone());
        self.armed = Some(Armed { key, at, waker });
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}
