//! HTTP/2 connections on streams, of either side: the codec of [`proto::http2`] at work.
//!
//! ```text
//!   socket --spans--> Endpoint --bytes, trailers, end, reset--> StreamPort (inbox) --> its owner
//!   socket <--frames-- Endpoint <--head, bytes, trailers, reset-- StreamPort (outgoing) <--|
//! ```
//! One task drives an [`Endpoint`]: it reads, keeps time, and looks after what could not be sent at
//! once. Whoever owns a stream has a [`StreamPort`], in whatever task, and is woken for that stream
//! only. What a port sends is framed at once and leaves with the turn; what windows or a full
//! socket hold back stays with the port, and is bounded there.
//!
//! **Invariant:** the window of a stream grows only by what its owner took.

mod endpoint;
mod metadata;
mod meter;
mod options;
mod pending;
mod port;
mod relayed;
#[cfg(test)]
mod tests;

pub use endpoint::{ConnectionEnd, Endpoint, Role};
pub use meter::CodecMeter;
pub use options::codec_options;
pub use port::{PortEnd, PortPart, StreamPort};
