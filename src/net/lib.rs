//! Floor 2: bytes to and from peers.
//!
//! Listening sockets are bound here (on the control side, before a worker starts), connections
//! become [`Stream`]s, [`relay`] moves bytes between two of them, and [`http2`] lets many messages
//! share one.
//!
//! **Invariant:** net knows no filter, no cluster and no stat names but those of the codec it runs:
//! what moves is told to observers that the floors above hand in.
//! **Invariant:** reading is not resumed before the write was accepted: that is all the flow
//! control there is.
#![forbid(unsafe_code)]

mod bulk;
mod deadline_timer;
pub mod http2;
pub mod listener;
mod pump;
#[cfg(test)]
mod random_relays;
mod relay;
mod send_meter;
pub mod socket_options;
mod stream;

pub use bulk::{BulkWatch, splice};
pub use deadline_timer::{DeadlineTimer, Progress};
pub use pump::{PumpFailure, PumpObserver, PumpSink, PumpSource, pump};
pub use relay::{Flushed, HalfClose, RelayEnd, RelayPeer, RelayRules, Side, flush, relay};
pub use send_meter::SendMeter;
pub use stream::Stream;
