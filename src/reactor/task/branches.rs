//! Polling the parts of a task apart: only those that something has happened to.
//!
//! A future that joins others is polled whenever any of them may go on, and would poll them all,
//! touching the memory of each. Wakers carry a branch number, so that it can poll just those that
//! were woken.
#![forbid(unsafe_code)]

use std::fmt;
use std::rc::Rc;
use std::task::{Context, Waker};

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
        Woken { task, bits: if task.is_some() { self.executor.woken() } else { 1 << WHOLE_TASK } }
    }
}

impl Woken {
    /// Whether branch `number`, counted from 0, is to be polled.
    pub fn includes(&self, number: u8) -> bool {
        self.bits & (1 << WHOLE_TASK | 1 << (number + 1)) != 0
    }

    /// The waker to poll branch `number` with.
    ///
    /// # Panics
    /// From branch 15 on.
    pub fn waker(&self, context: &Context<'_>, number: u8) -> Waker {
        assert!(number < BRANCHES_MAX, "a task has {BRANCHES_MAX} branches at most");
        match self.task {
            Some(task) => Target { branch: number + 1, ..task }.waker(),
            None => context.waker().clone(),
        }
    }
}

impl fmt::Debug for Branches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Branches")
    }
}
