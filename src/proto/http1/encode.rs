//! Writing heads, chunks and trailers: the bytes, their order and their case are Envoy 1.40's.
//!
//! Only what is around a body is written here; the body itself goes out from where it lies.
//!
//! ```text
//!  encode_*_head -> BodyEncoder: (before_data, the data itself, after_data)* end
//! ```
//!
//! **Invariant:** whoever put a value into the head vouches that it holds no line end.

use crate::head::{Method, RequestHead, ResponseHead, Version};
use crate::headers::{HeaderList, KnownName};
use crate::http1::connection;
use crate::http1::reason::reason_phrase;

/// Appends the head of a request to `out`. `is_whole` says that no body and no trailers follow.
///
/// `host` comes first, then the fields in order, then `content-length: 0` or `transfer-encoding:
/// chunked`, where the fields say no length and the method calls for one of them.
pub fn encode_request_head(head: &RequestHead, is_whole: bool, out: &mut Vec<u8>) -> BodyEncoder {
    let method = head.method();
    out.extend_from_slice(head.method_text());
    out.push(b' ');
    let target = match head.authority() {
        Some(authority) if method == Method::Connect => authority,
        _ => head.path(),
    };
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if let Some(authority) = head.authority() {
        encode_field(b"host", authority, out);
    }
    encode_fields(&head.headers, out);
    let is_tunnel = method == Method::Connect || connection::asks_for_upgrade(&head.headers);
    let encoder = if is_tunnel || head.headers.contains(KnownName::ContentLength) {
        BodyEncoder::Plain
    } else if is_whole {
        if !matches!(method, Method::Get | Method::Head | Method::Delete | Method::Trace) {
            out.extend_from_slice(NO_LENGTH);
        }
        BodyEncoder::Plain
    } else {
        out.extend_from_slice(CHUNKED);
        BodyEncoder::Chunked
    };
    out.extend_from_slice(b"\r\n");
    encoder
}

/// What the form of a response depends on: the request it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseTo {
    /// The version of the request.
    pub version: Version,
    /// The method of the request.
    pub method: Method,
}

/// Appends the head of a response to `out`, interim ones included. `is_whole` says that no body
/// and no trailers follow.
///
/// The fields come in order, then `content-length: 0` or `transfer-encoding: chunked`, where the
/// fields say no length and the response calls for one of them. `date`, `server` and `connection`
/// are fields like others: who answers has put them into the head.
pub fn encode_response_head(
    head: &ResponseHead,
    to: ResponseTo,
    is_whole: bool,
    out: &mut Vec<u8>,
) -> BodyEncoder {
    encode_status_line(head.status, to.version, out);
    encode_fields(&head.headers, out);
    let is_tunnel = to.method == Method::Connect && head.status < 300;
    let encoder = if head.status < 200 || matches!(head.status, 204 | 304) {
        if head.status == 101 { BodyEncoder::Plain } else { BodyEncoder::Nothing }
    } else if to.method == Method::Head {
        // A length that is not known is told as chunks, which never come.
        if !head.headers.contains(KnownName::ContentLength) && to.version != Version::Http10 {
            out.extend_from_slice(CHUNKED);
        }
        BodyEncoder::Nothing
    } else if is_tunnel || head.headers.contains(KnownName::ContentLength) {
        BodyEncoder::Plain
    } else if is_whole {
        out.extend_from_slice(NO_LENGTH);
        BodyEncoder::Plain
    } else if to.version == Version::Http10 {
        BodyEncoder::Plain
    } else {
        out.extend_from_slice(CHUNKED);
        BodyEncoder::Chunked
    };
    out.extend_from_slice(b"\r\n");
    encoder
}

/// Appends the interim response that lets a client send its body: RFC 9110 section 10.1.1.
pub fn encode_continue(version: Version, out: &mut Vec<u8>) {
    encode_status_line(100, version, out);
    out.extend_from_slice(b"\r\n");
}

/// The field lines of an encoded head: what is between its first line and the empty one.
#[must_use]
pub fn field_lines(head: &[u8]) -> &[u8] {
    let first_line = head.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let end = head.len().saturating_sub(b"\r\n".len());
    head.get(first_line..end).unwrap_or_default()
}

/// What is to be written around the data of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEncoder {
    /// The message has no body: data must not be sent.
    Nothing,
    /// Nothing: a body of known length, or one that ends with the connection.
    Plain,
    /// The chunked coding: RFC 9112 section 7.1.
    Chunked,
}

impl BodyEncoder {
    /// Appends what comes before `length` bytes of data.
    #[inline]
    pub fn before_data(self, length: usize, out: &mut Vec<u8>) {
        // A chunk without data would be the end of the body.
        if self == Self::Chunked && length > 0 {
            let mut digits = [0; CHUNK_HEAD_BYTES_MAX];
            out.extend_from_slice(chunk_head(length, &mut digits));
        }
    }

    /// Appends what comes behind `length` bytes of data.
    #[inline]
    pub fn after_data(self, length: usize, out: &mut Vec<u8>) {
        if self == Self::Chunked && length > 0 {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Appends the end of the body.
    #[inline]
    pub fn end(self, out: &mut Vec<u8>) {
        if self == Self::Chunked {
            out.extend_from_slice(b"0\r\n\r\n");
        }
    }

    /// Appends the end of the body and the trailers, which only the chunked coding can carry.
    /// (Envoy sends them only where `enable_trailers` is set: use [`end`](Self::end) where not.)
    pub fn end_with_trailers(self, trailers: &HeaderList, out: &mut Vec<u8>) {
        if self == Self::Chunked {
            out.extend_from_slice(b"0\r\n");
            encode_fields(trailers, out);
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn encode_status_line(status: u16, version: Version, out: &mut Vec<u8>) {
    let version: &[u8] = match version {
        Version::Http11 | Version::Http2 => b"HTTP/1.1 ",
        Version::Http10 => b"HTTP/1.0 ",
    };
    out.extend_from_slice(version);
    let digit = |number: u16| b'0' + (number % 10) as u8;
    out.extend_from_slice(&[digit(status / 100), digit(status / 10), digit(status), b' ']);
    out.extend_from_slice(reason_phrase(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[inline]
fn encode_fields(headers: &HeaderList, out: &mut Vec<u8>) {
    out.reserve(headers.byte_size() + 4 * headers.len() + TAIL_BYTES_MAX);
    for (name, value) in headers {
        encode_field(name, value, out);
    }
}

#[inline]
fn encode_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The size of a chunk and its line end. `length` is not 0.
fn chunk_head(length: usize, digits: &mut [u8; CHUNK_HEAD_BYTES_MAX]) -> &[u8] {
    digits[CHUNK_HEAD_BYTES_MAX - 2..].copy_from_slice(b"\r\n");
    let mut start = CHUNK_HEAD_BYTES_MAX - 2;
    let mut left =
        if cfg!(planted = "http1_connection_chunk_digits") { length & 0xF } else { length };
    while left > 0 {
        start -= 1;
        digits[start] = b"0123456789abcdef"[left & 0xF];
        left >>= 4;
    }
    &digits[start..]
}

/// Bytes before the data of a chunk: sixteen digits and a line end.
pub const CHUNK_HEAD_BYTES_MAX: usize = 18;

const NO_LENGTH: &[u8] = b"content-length: 0\r\n";
const CHUNKED: &[u8] = b"transfer-encoding: chunked\r\n";

/// What may follow the fields of a head.
const TAIL_BYTES_MAX: usize = CHUNKED.len() + 2;
