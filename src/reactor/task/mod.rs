//! The local executor: tasks of one reactor, woken by key, polled within a budget.

mod branches;
mod executor;
mod ready;
mod set;
mod waker;

pub use branches::{Branches, Woken};
pub(crate) use executor::Executor;
pub(crate) use ready::{Remote, enter_thread, leave_thread};
pub use set::TaskSet;
