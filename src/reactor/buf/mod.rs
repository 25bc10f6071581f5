//! Receive memory: the pool of provided buffers, and the counted leases on what landed there.

mod lease;
mod pool;
mod queue;
mod span;

pub use lease::Lease;
pub(crate) use pool::{BufferPool, FilledBuffer};
pub(crate) use queue::SpanQueue;
pub use span::Span;
