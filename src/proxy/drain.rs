//! Whether a worker drains.
//!
//! It is looked at by those who may end a connection between two requests; who waits is woken by
//! the worker when it begins.

use std::cell::Cell;
use std::rc::Rc;

/// A worker's drain, before and after it has begun. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    begun: Rc<Cell<bool>>,
}

impl Drain {
    /// Connections are to end from now on. The tasks that wait need a wake to see it.
    pub fn begin(&self) {
        self.begun.set(true);
    }

    /// Whether connections are to end.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun.get()
    }
}
