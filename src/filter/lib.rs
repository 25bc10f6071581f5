//! Floor 4: decisions about connections: which filter chain gets one, and what its filters say.
//!
//! [`ChainMatch`] finds the filter chain of a connection; [`NetworkFilters`] are the filters of a
//! chain before the one that keeps the connection.
//!
//! **Invariant:** a filter decides and does not act: whoever runs it sends, holds and closes.
#![forbid(unsafe_code)]

mod chain_match;
mod ends;
mod network;

pub use chain_match::{ChainIndex, ChainMatch};
pub use ends::Ends;
pub use network::{BucketsByKey, Close, ConnectionToken, NetworkFilters, SharedFilters};
