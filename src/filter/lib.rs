//! Floor 4: decisions about connections: which filter chain gets one, and what its filters say.
//!
//! [`ListenerFilter`]s find out where a connection comes from, [`ChainMatch`] finds its filter
//! chain, and [`NetworkFilters`] are the filters of a chain before the one that keeps the
//! connection.
//!
//! **Invariant:** a filter decides and does not act: whoever runs it sends, holds and closes.
#![forbid(unsafe_code)]

mod chain_match;
mod ends;
mod filter_state;
mod listener;
mod network;
mod origin;

pub use chain_match::{ChainIndex, ChainMatch};
pub use ends::Ends;
pub use filter_state::{StateFormats, StateHolder};
pub use listener::{Inspection, ListenerFilter, ProxyProtocolFilter, Wish};
pub use network::{BucketsByKey, Close, ConnectionToken, NetworkFilters, SharedFilters, Subject};
pub use origin::{Introduction, Origin};
