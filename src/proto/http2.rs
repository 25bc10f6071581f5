//! HTTP/2 (RFC 9113), both roles, without input or output.
//!
//! A connection task gives received bytes to a [`Connection`], piece by piece as they come, and
//! gets [`Step`]s back: how many bytes were used, and what they were. What is to be sent it takes
//! from [`Connection::write`]:
//!
//! ```text
//!  receive_*  ->  Head | Interim | Body | Trailers | End | Reset | ...       then consumed()
//!  open() | send_head() | offer() | send_trailers() | reset()  ->  write() ... then sent()
//! ```
//!
//! Bodies are never copied: received ones are ranges of the input, sent ones are lengths of what
//! their owners keep. Heads are the same types as those of HTTP/1, so one exchange serves both.
//!
//! Flow control is the owner's: bytes return to a window when the owner says that they were taken.
//! Frames count as outbound until the owner says that they have left. Everything that a peer may
//! do often or much has a limit in [`Options`] or a constant with a reason; the rules and numbers
//! are those of Envoy 1.40, which runs nghttp2. Where this codec differs, src/ARCHITECTURE.md says
//! so.

mod body;
mod connection;
mod control;
mod error;
mod event;
mod flood;
mod flow;
mod frame;
pub mod hpack;
mod keepalive;
mod messages;
mod metadata;
mod options;
mod reader;
mod receive;
mod schedule;
mod section;
mod send;
mod settings;
mod stream;
mod streams;

pub use connection::Connection;
pub use error::{Error, ErrorCode, ErrorKind, Scope};
pub use event::{Counts, Event, MessageStart, ResetReason, Step};
pub use frame::PREFACE;
pub use options::{KeepaliveOptions, Options};
pub use schedule::DataSpan;
pub use send::{OpenError, SendError};
pub use settings::PeerSettings;
pub use stream::Meter;
