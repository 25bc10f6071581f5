//! Counting what is sent on a stream: a total, and a gauge of what waits.
//!
//! Which stats these are is the caller's business.

use observe::{Scope, Stat};
use reactor::OutboxMeter;

/// Counts the bytes of an outbox into two stats of a scope.
#[derive(Debug)]
pub struct SendMeter<S: Stat> {
    scope: Scope<S>,
    total: S,
    buffered: S,
}

impl<S: Stat> SendMeter<S> {
    /// Adds what is sent to the counter `total`, and keeps what waits in the gauge `buffered`.
    #[must_use]
    pub fn new(scope: Scope<S>, total: S, buffered: S) -> Self {
        Self { scope, total, buffered }
    }
}

impl<S: Stat> OutboxMeter for SendMeter<S> {
    fn queued(&self, bytes: usize) {
        self.scope.gauge_add(self.buffered, bytes as u64);
    }

    fn sent(&self, bytes: usize) {
        self.scope.gauge_sub(self.buffered, bytes as u64);
        self.scope.add(self.total, bytes as u64);
    }

    fn dropped(&self, bytes: usize) {
        self.scope.gauge_sub(self.buffered, bytes as u64);
    }

    fn passed(&self, bytes: usize) {
        self.scope.add(self.total, bytes as u64);
    }
}
