//! The mailbox of a worker: how other threads hand it messages and wake it.
//!
//! Many senders, one receiver, a fixed number of messages at most. A burst costs one wake-up: the
//! first sender sets `notified` and signals, the others find it set and know that the worker has
//! still to look. It does not order messages of different senders, does not wait for room, and is
//! not for the bytes of connections: those stay on their worker.
//!
//! The protocol, and why no message is left lying while the worker sleeps:
//!
//! ```text
//! sender                                  receiver, when its notification is readable
//!   1. push the message                     1. drain the notification
//!   2. if notified was clear, set it        2. clear notified
//!      and signal                           3. pop as many messages as are queued now
//! ```
//!
//! Both step 2 are one atomic exchange each, so one of them comes first. If the sender's does, the
//! receiver's clear reads what it wrote, hence sees its push and pops it. If the receiver's does,
//! the sender finds the flag clear and signals, and the next round pops it. Draining after clearing
//! would be wrong: it would swallow the signal of a sender that came in between and leave the flag
//! set, so that nobody ever signals again. `mailbox/loom_tests.rs` runs every interleaving.
//!
//! **Invariant:** while a message is queued and no sender or receiver is inside a call, the
//! notification is signalled.
#![forbid(unsafe_code)]

#[cfg(test)]
#[cfg(loom)]
mod loom_tests;
mod queue;

use std::fmt;
use std::sync::Arc;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering};

use crate::sys::eventfd::EventFd;

use queue::{PushError, Queue};

/// Wakes a receiver that waits for it; in use an [`EventFd`] that the worker's ring polls.
pub(crate) trait Notify: Send + Sync {
    /// Makes the receiver wake up, or keeps it from falling asleep. Must not block.
    fn signal(&self);

    /// Takes back all signals up to now, so that the receiver can wait for the next one.
    fn drain(&self);
}

impl Notify for EventFd {
    fn signal(&self) {
        Self::signal(self);
    }

    fn drain(&self) {
        Self::drain(self);
    }
}

impl<N: Notify + ?Sized> Notify for Arc<N> {
    fn signal(&self) {
        (**self).signal();
    }

    fn drain(&self) {
        (**self).drain();
    }
}

/// Makes a mailbox for at most `messages_max` queued messages (at least one).
///
/// `notify` is the receiver's notification; a worker keeps the other half of its `Arc<EventFd>` to
/// poll it.
pub(crate) fn channel<T: Send>(
    messages_max: usize,
    notify: impl Notify + 'static,
) -> (Sender<T>, Receiver<T>) {
    let (push, pop) = queue::bounded(messages_max.max(1));
    let wake_up = Arc::new(WakeUp { notified: AtomicBool::new(false), notify: Box::new(notify) });
    (Sender { queue: push, wake_up: Arc::clone(&wake_up) }, Receiver { queue: pop, wake_up })
}

/// Why a message was not sent. Both give it back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SendError<T> {
    /// As many messages as the mailbox holds are waiting. The worker is behind; it has been woken.
    Full(T),
    /// The receiver was dropped: its worker has ended.
    Closed(T),
}

/// The sending half. Clones send to the same receiver.
pub struct Sender<T> {
    queue: queue::Push<T>,
    wake_up: Arc<WakeUp>,
}

/// The receiving half, owned by one worker. Dropping it drops what is queued; a message that is
/// sent in that very moment is dropped with the last sender.
pub(crate) struct Receiver<T> {
    queue: queue::Pop<T>,
    wake_up: Arc<WakeUp>,
}

struct WakeUp {
    /// Set by the sender that signals, cleared by the receiver before it pops.
    notified: AtomicBool,
    notify: Box<dyn Notify>,
}

impl<T> Sender<T> {
    /// Queues a message and wakes the receiver if nobody has yet. Never waits.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] and [`SendError::Closed`], with the message.
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.queue.push(message).map_err(|error| match error {
            PushError::Full(message) => SendError::Full(message),
            PushError::Closed(message) => SendError::Closed(message),
        })?;
        // Release publishes the push to the receiver's clear. Acquire is not needed for that, but
        // keeps the signal from being ordered before the exchange that decided on it.
        if !self.wake_up.notified.swap(true, Ordering::AcqRel) {
            self.wake_up.notify.signal();
        }
        Ok(())
    }
}

impl<T> Receiver<T> {
    /// Takes the messages out, oldest first, and makes the notification unreadable.
    ///
    /// To be called whenever the notification became readable. What is sent meanwhile signals
    /// again, so that a fast sender cannot keep the worker here: it handles at most the number of
    /// messages that were queued when it began, which is at most the limit of the mailbox. Returns
    /// that number.
    pub(crate) fn receive(&mut self, mut handle: impl FnMut(T)) -> usize {
        self.wake_up.notify.drain();
        // Acquire pairs with the release of the senders whose signal is saved by this clear.
        self.wake_up.notified.swap(false, Ordering::AcqRel);
        let queued = self.queue.len();
        for received in 0..queued {
            let Some(message) = self.queue.pop() else {
                return received;
            };
            handle(message);
        }
        queued
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), wake_up: Arc::clone(&self.wake_up) }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Receiver")
            .field("queued", &self.queue.len())
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Full(_) => "the mailbox of the worker is full",
            Self::Closed(_) => "the worker has ended",
        })
    }
}

impl<T> std::error::Error for SendError<T> {}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
