//! HPACK: RFC 7541.
//!
//! [`Decoder`] and [`Encoder`] hold the state of one direction of a connection each. They know
//! what a field is and nothing of messages.

mod decoder;
mod dynamic_table;
mod encoder;
mod huffman;
mod integer;
mod name;
mod static_table;
mod validity;

pub use decoder::{Decoder, Field, HpackError};
pub use encoder::Encoder;
pub(crate) use encoder::encode_plain;
pub use name::{NameKind, Pseudo};
pub(crate) use validity::is_token;
