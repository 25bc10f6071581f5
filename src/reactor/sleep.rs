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

/// A timer wheel entry. Before the deadline it cannot have fired, so a poll need not look.
#[derive(Debug)]
struct Armed {
    key: TimerKey,
    waker: Waker,
}

impl Sleep {
    pub(crate) fn new(core: Rc<Core>, deadline: Instant) -> Self {
        Self { core, deadline, armed: None }
    }

    /// When it is ready.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Sleeps on, or anew, until `deadline`.
    pub fn put_off(&mut self, deadline: Instant) {
        self.disarm();
        self.deadline = deadline;
    }

    fn disarm(&mut self) {
        if let Some(armed) = self.armed.take() {
            self.core.cancel_timer(armed.key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.core.await_point();
        if self.core.now() >= self.deadline {
            self.disarm();
            return Poll::Ready(());
        }
        if let Some(armed) = &self.armed
            && armed.waker.will_wake(context.waker())
        {
            return Poll::Pending;
        }
        self.disarm();
        let waker = context.waker().clone();
        let key = self.core.set_timer(self.deadline, waker.clone());
        self.armed = Some(Armed { key, waker });
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}

/// Lets other ready tasks have their turn first.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
