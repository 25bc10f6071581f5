//! Owners of tasks: nobody spawns without one.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

use base::Key;

use super::executor::Executor;

/// Which tasks a set has, shared with the executor, which reports ends.
#[derive(Debug, Default)]
pub(crate) struct Membership {
    keys: RefCell<HashSet<Key>>,
    empty_waiter: RefCell<Option<Waker>>,
}

impl Membership {
    pub(super) fn leave(&self, key: Key) {
        let mut keys = self.keys.borrow_mut();
        keys.remove(&key);
        if keys.is_empty()
            && let Some(waiter) = self.empty_waiter.borrow_mut().take()
        {
            waiter.wake();
        }
    }
}

/// Tasks with one owner. Dropping the set ends those that are left.
pub struct TaskSet {
    executor: Rc<Executor>,
    membership: Rc<Membership>,
}

impl TaskSet {
    pub(crate) fn new(executor: Rc<Executor>) -> Self {
        Self { executor, membership: Rc::default() }
    }

    /// Starts a task in this set. A panic in it ends it and nothing else; it is counted.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let membership = Rc::clone(&self.membership);
        let key = self.executor.spawn(Box::pin(future), membership);
        self.membership.keys.borrow_mut().insert(key);
    }

    /// Number of tasks that have not ended.
    pub fn len(&self) -> usize {
        self.membership.keys.borrow().len()
    }

    /// Whether every task has ended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until every task has ended. One waiter at a time; a later one replaces it.
    pub async fn wait_empty(&self) {
        poll_fn(|context| {
            if self.is_empty() {
                return Poll::Ready(());
            }
            *self.membership.empty_waiter.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Has every task polled once, whatever it waits for: something that it looks at has changed.
    pub fn wake_all(&self) {
        for key in self.membership.keys.borrow().iter() {
            self.executor.wake(*key);
        }
    }

    /// Ends every task now.
    pub fn abort_all(&self) {
        let keys: Vec<Key> = self.membership.keys.borrow().iter().copied().collect();
        for key in keys {
            self.executor.abort(key);
        }
    }
}

impl fmt::Debug for TaskSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskSet").field("tasks", &self.len()).finish_non_exhaustive()
    }
}

impl Drop for TaskSet {
    fn drop(&mut self) {
        self.abort_all();
    }
}
