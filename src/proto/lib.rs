//! Floor 1: codecs without input or output.
//!
//! [`http1`] and [`http2`] turn received bytes into heads, body ranges, trailers and ends, and
//! write the same as bytes to send. [`proxy_protocol`] does so with the header by which a proxy
//! passes on whose connection it is. [`HeaderList`] and the heads ([`RequestHead`],
//! [`ResponseHead`]) are what every floor above means by a message, whichever protocol it came in.
//!
//! **Invariant:** proto does no I/O, reads no clock and draws no randomness.
//!
//! **Invariant:** what a peer sends is either refused with an `ErrorKind` of its protocol or
//! has one reading, and the reading does not depend on how the bytes were cut into pieces.
//!
//! **Invariant:** bodies are never copied: a decoder says where in the input they are.
//!
//! **Invariant:** what a peer can make a codec keep is bounded by the limits in its options.
#![forbid(unsafe_code)]

mod head;
mod headers;
pub mod http1;
pub mod http2;
pub mod proxy_protocol;

pub use head::{Method, RequestHead, ResponseHead, Scheme, Version};
pub use headers::{HeaderList, Iter, Joins, KnownName, Name, Values};
