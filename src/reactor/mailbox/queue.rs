//! The queue inside a mailbox: crossbeam's array queue, and a plain one for loom.
//!
//! Loom explores only its own primitives, so under `cfg(loom)` the queue is a `VecDeque` behind
//! loom's mutex with the same contract. What loom then proves is the mailbox's wake-up protocol;
//! the queue itself is crossbeam's to prove.
#![forbid(unsafe_code)]

#[cfg(not(loom))]
pub(super) use array::{Pop, Push, bounded};
#[cfg(loom)]
pub(super) use modelled::{Pop, Push, bounded};

/// The message comes back.
pub(super) enum PushError<T> {
    Full(T),
    /// The popping half was dropped.
    Closed(T),
}

/// What both queues can do, spelled out so that they cannot drift apart.
pub(super) trait Queue {
    type Message;
    /// Takes the oldest message.
    fn pop(&mut self) -> Option<Self::Message>;
    /// How many messages are queued now; counts every push that happened before this call.
    fn len(&self) -> usize;
}

#[cfg(not(loom))]
mod array {
    use crossbeam_channel::TrySendError;

    use super::{PushError, Queue};

    pub(crate) struct Push<T>(crossbeam_channel::Sender<T>);
    pub(crate) struct Pop<T>(crossbeam_channel::Receiver<T>);

    pub(crate) fn bounded<T: Send>(messages_max: usize) -> (Push<T>, Pop<T>) {
        let (push, pop) = crossbeam_channel::bounded(messages_max);
        (Push(push), Pop(pop))
    }

    impl<T> Push<T> {
        pub(crate) fn push(&self, message: T) -> Result<(), PushError<T>> {
            self.0.try_send(message).map_err(|error| match error {
                TrySendError::Full(message) => PushError::Full(message),
                TrySendError::Disconnected(message) => PushError::Closed(message),
            })
        }
    }

    impl<T> Clone for Push<T> {
        fn clone(&self) -> Self {
            Self(self.0.clone())
        }
    }

    impl<T> Drop for Pop<T> {
        fn drop(&mut self) {
            // crossbeam keeps what is queued until the last sender is gone, but the messages hold
            // sockets and snapshots. One pushed between this and the disconnection waits that long.
            while self.pop().is_some() {}
        }
    }

    impl<T> Queue for Pop<T> {
        type Message = T;

        fn pop(&mut self) -> Option<T> {
            self.0.try_recv().ok()
        }

        fn len(&self) -> usize {
            self.0.len()
        }
    }
}

#[cfg(loom)]
mod modelled {
    use std::collections::VecDeque;

    use loom::sync::{Arc, Mutex};

    use super::{PushError, Queue};

    struct Shared<T> {
        messages: VecDeque<T>,
        messages_max: usize,
        closed: bool,
    }

    pub(crate) struct Push<T>(Arc<Mutex<Shared<T>>>);
    pub(crate) struct Pop<T>(Arc<Mutex<Shared<T>>>);

    pub(crate) fn bounded<T: Send>(messages_max: usize) -> (Push<T>, Pop<T>) {
        let shared = Shared { messages: VecDeque::new(), messages_max, closed: false };
        let shared = Arc::new(Mutex::new(shared));
        (Push(Arc::clone(&shared)), Pop(shared))
    }

    impl<T> Push<T> {
        pub(crate) fn push(&self, message: T) -> Result<(), PushError<T>> {
            let mut shared = self.0.lock().expect("loom's mutex is never poisoned");
            if shared.closed {
                return Err(PushError::Closed(message));
            }
            if shared.messages.len() == shared.messages_max {
                return Err(PushError::Full(message));
            }
            shared.messages.push_back(message);
            Ok(())
        }
    }

    impl<T> Clone for Push<T> {
        fn clone(&self) -> Self {
            Self(Arc::clone(&self.0))
        }
    }

    impl<T> Queue for Pop<T> {
        type Message = T;

        fn pop(&mut self) -> Option<T> {
            self.0.lock().expect("loom's mutex is never poisoned").messages.pop_front()
        }

        fn len(&self) -> usize {
            self.0.lock().expect("loom's mutex is never poisoned").messages.len()
        }
    }

    impl<T> Drop for Pop<T> {
        fn drop(&mut self) {
            let mut shared = self.0.lock().expect("loom's mutex is never poisoned");
            shared.closed = true;
            shared.messages.clear();
        }
    }
}
