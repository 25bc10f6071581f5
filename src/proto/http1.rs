//! HTTP/1.1 and HTTP/1.0 (RFC 9112), both roles, without input or output.
//!
//! A connection task gives received bytes to a decoder, piece by piece as they come, and gets
//! [`Step`]s back: how many bytes were used, and what they were.
//!
//! ```text
//!  RequestDecoder    Head (Body* Trailers? End) next_request()  Head ...
//!  ResponseDecoder   expect(..)  Interim* Head (Body* Trailers? End)  expect(..) ...
//! ```
//!
//! A decoder stops after `End`: what follows stays with the caller, who decides when the next
//! pipelined request may be read, or that a response with bytes behind it ends the connection.
//! After an error a decoder must not be used again; the peer gets what [`ErrorKind`] says and the
//! connection closes.
//!
//! Where the two readings of a message could differ between us and the next recipient (bare line
//! feeds, folded lines, bytes between chunks, repeated `host` or `content-length`), the message is
//! refused. Where Envoy 1.40 refuses, the status and the words for the access log are Envoy's.
//! What it forwards and we refuse is listed in src/ARCHITECTURE.md.
//!
//! Hop-by-hop fields end here, as Envoy's connection manager ends them before its filters run:
//! `connection` and what it names, `keep-alive`, `proxy-connection`, `te` other than `trailers`,
//! `transfer-encoding`, `upgrade`. An upgrade keeps `connection` and `upgrade`.

mod authority;
mod body;
mod connection;
mod encode;
mod error;
mod fields;
mod head_buffer;
mod options;
mod reason;
mod request;
mod response;
mod step;

pub(crate) use authority::is_authority;
pub use encode::{
    BodyEncoder, CHUNK_HEAD_BYTES_MAX, ResponseTo, encode_continue, encode_request_head,
    encode_response_head, field_lines,
};
pub use error::{Error, ErrorKind};
pub(crate) use fields::content_length;
pub use options::{BareLineFeeds, RequestOptions, ResponseOptions, UnderscoreAction};
pub use reason::reason_phrase;
pub use request::RequestDecoder;
pub use response::{Expect, ResponseDecoder};
pub use step::{Event, Finish, Framing, MessageStart, Step};
