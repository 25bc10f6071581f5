//! Receive memory: the pool of provided buffers, and the counted leases on what landed there.

mod lease;
mod pool;
mod span;

pub use lease::Lease;
pub(crate) use pool::{BufferPool, FilledBuffer};
pub use span::Span;
