//! Whether a worker drains, and whether the operator wants its connections to go elsewhere.
//!
//! It is looked at by those who may end a connection between two requests; who waits is woken by
//! the worker when it begins to drain.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A worker's drain, before and after it has begun. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    begun: Rc<Cell<bool>>,
    health_failed: Arc<AtomicBool>,
}

impl Drain {
    /// One that has not begun. `health_failed` is set while the process is to look unhealthy
    /// (`/healthcheck/fail`).
    #[must_use]
    pub fn new(health_failed: Arc<AtomicBool>) -> Self {
        Self { begun: Rc::default(), health_failed }
    }

    /// Connections are to end from now on. The tasks that wait need a wake to see it.
    pub fn begin(&self) {
        self.begun.set(true);
    }

    /// Whether connections are to end, busy or not.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun.get()
    }

    /// Whether a connection is to end with the response that is about to be sent on it.
    #[must_use]
    pub fn closes_with_response(&self) -> bool {
        self.has_begun() || self.health_failed.load(Ordering::Relaxed)
    }
}
