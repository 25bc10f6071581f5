//! Polling the parts of a task apart: only those that something has happened to.
//!
//! A future that joins others is polled whenever any of them may go on, and would poll them all,
//! touching the memory of each. Wakers carry a branch number, so that it can poll just those that
//! were woken.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::executor::Executor;
use super::waker::{BRANCHES_MAX, Target, WHOLE_TASK};

/// Splits a future of a task into branches that are woken and polled apart.
///
/// It is safe to use anywhere: where the wakes cannot be told apart (in the root future, below
/// another split, under a foreign executor's waker) every branch counts as woken.
pub struct Branches {
    executor: Rc<Executor>,
}

/// Which branches are to be polled now, and how each is waited in.
#[derive(Debug)]
pub struct Woken {
    /// The task, if its wakes can be told apart.
    task: Option<Target>,
    bits: u16,
}

impl Branches {
    pub(crate) fn new(executor: Rc<Executor>) -> Self {
        Self { executor }
    }

    /// To be asked at the beginning of each poll.
    pub fn woken(&self, context: &Context<'_>) -> Woken {
        let task = Target::of(context.waker()).filter(|target| {
            target.branch == WHOLE_TASK && self.executor.is_polled(target.worker, target.key)
        });
        Woken { task, bits: self.executor.woken() }
    }
}

impl Woken {
    /// Polls branch `number`, counted from 0, if something has happened to it.
    ///
    /// # Panics
    /// From branch 15 on.
    pub fn poll<F: Future>(
        &self,
        context: &mut Context<'_>,
        number: u8,
        future: Pin<&mut F>,
    ) -> Poll<F::Output> {
        assert!(number < BRANCHES_MAX, "a task has {BRANCHES_MAX} branches at most");
        let Some(task) = self.task else { return future.poll(context) };
        if self.bits & (1 << WHOLE_TASK | 1 << (number + 1)) == 0 {
            return Poll::Pending;
        }
        let waker = Target { branch: number + 1, ..task }.waker();
        future.poll(&mut Context::from_waker(&waker))
    }
}

impl fmt::Debug for Branches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Branches")
    }
}
