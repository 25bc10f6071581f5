//! Writing: heads, trailers and METADATA.

use std::fmt;
use std::time::Instant;

use base::Key;

use crate::head::{Method, RequestHead, ResponseHead, Scheme};
use crate::headers::{HeaderList, KnownName};
use crate::http2::connection::{Connection, Role};
use crate::http2::frame::{self, FRAME_HEADER_BYTES, FrameHeader, FrameKind, STREAM_ID_MAX, flag};
use crate::http2::hpack::{Encoder, NameKind, Pseudo};
use crate::http2::metadata;
use crate::http2::stream::{Half, RequestKind};

/// Why something cannot be sent on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// The stream is over.
    StreamClosed,
    /// The head comes first, the end comes last, and nothing comes twice; trailers come when all
    /// that was offered has been asked for.
    OutOfOrder,
    /// The head has no meaning in HTTP/2: a status below 100 or above 999, or 101 without an
    /// upgrade.
    InvalidHead,
    /// METADATA is not allowed: [`allow_metadata`](crate::http2::Options::allow_metadata).
    MetadataNotAllowed,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StreamClosed => "the stream is over",
            Self::OutOfOrder => "this does not come next in the message",
            Self::InvalidHead => "the head has no meaning in HTTP/2",
            Self::MetadataNotAllowed => "METADATA is not allowed",
        })
    }
}

impl std::error::Error for SendError {}

/// Why a client cannot open a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenError {
    /// As many are open as the peer or we allow.
    StreamLimit,
    /// The peer takes no more, or the identifiers are used up: another connection is needed.
    GoingAway,
    /// The peer has not announced extended CONNECT, which an upgrade needs: RFC 8441 section 3.
    NoConnectProtocol,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StreamLimit => "too many concurrent streams",
            Self::GoingAway => "the connection takes no more streams",
            Self::NoConnectProtocol => "the peer does not accept extended CONNECT",
        })
    }
}

impl std::error::Error for OpenError {}

impl Connection {
    /// Opens a stream, as a client, with the head of a request. `is_whole` says that neither body
    /// nor trailers follow. An upgrade as in HTTP/1.1 becomes an extended CONNECT.
    ///
    /// # Errors
    ///
    /// The connection takes no more streams now, or at all.
    pub fn open(
        &mut self,
        now: Instant,
        head: &RequestHead,
        is_whole: bool,
    ) -> Result<Key, OpenError> {
        debug_assert_eq!(self.role, Role::Client, "a server opens no streams");
        if self.failure.is_some() || self.goaway_received.is_some() || self.next_id > STREAM_ID_MAX
        {
            return Err(OpenError::GoingAway);
        }
        if self.streams.active_len() >= self.streams_max() as usize {
            return Err(OpenError::StreamLimit);
        }
        let upgrade = head.headers.get(KnownName::Upgrade).filter(|_| is_upgrade(&head.headers));
        // As Envoy, a peer that has not said anything yet is taken to accept it.
        let is_refused = self.has_peer_settings && !self.peer.enable_connect_protocol;
        if upgrade.is_some() && is_refused {
            return Err(OpenError::NoConnectProtocol);
        }
        if let Some(options) = &self.options.keepalive
            && self.keepalive.before_stream(options, now)
        {
            self.queue(FrameKind::PING, 0, 0, &[0; 8]);
        }
        let id = self.next_id;
        self.next_id += 2;
        let mut stream = self.new_stream(id, Half::Head);
        stream.request = match head.method() {
            _ if upgrade.is_some() => RequestKind::Upgrade,
            Method::Connect => RequestKind::Connect,
            Method::Head => RequestKind::Head,
            _ => RequestKind::Usual,
        };
        stream.upgrade = upgrade.map(Into::into);
        let stream = self.streams.open(stream);
        self.inbound.stream_opened();
        self.send_section(stream, id, is_whole, |encoder, out| {
            encode_request(encoder, head, upgrade, out);
        });
        self.head_sent(stream, is_whole);
        Ok(stream)
    }

    /// Sends the head of a response, as a server: interim ones, and then the final one. `is_whole`
    /// says that neither body nor trailers follow.
    ///
    /// # Errors
    ///
    /// The stream is over, or the final head was sent, or the head has no meaning in HTTP/2.
    pub fn send_head(
        &mut self,
        stream: Key,
        head: &ResponseHead,
        is_whole: bool,
    ) -> Result<(), SendError> {
        debug_assert_eq!(self.role, Role::Server, "a client opens streams with a head");
        let state = self.streams.get(stream).filter(|state| !state.is_closed);
        let state = state.ok_or(SendError::StreamClosed)?;
        if state.send != Half::Head {
            return Err(SendError::OutOfOrder);
        }
        let status = match head.status {
            101 if state.request == RequestKind::Upgrade => 200,
            status @ (100 | 102..=999) => status,
            _ => return Err(SendError::InvalidHead),
        };
        let is_interim = status < 200;
        if is_interim && is_whole {
            return Err(SendError::InvalidHead);
        }
        let id = state.id;
        self.send_section(stream, id, is_whole, |encoder, out| {
            encoder.encode_pseudo(Pseudo::Status, &status_text(status), out);
            encode_fields(encoder, &head.headers, out);
        });
        if !is_interim {
            self.head_sent(stream, is_whole);
        }
        Ok(())
    }

    /// Sends the trailers, which end the message, once all that was offered has been asked for.
    ///
    /// # Errors
    ///
    /// The stream is over, or this does not come next.
    pub fn send_trailers(&mut self, stream: Key, trailers: &HeaderList) -> Result<(), SendError> {
        let state = self.streams.get(stream).filter(|state| !state.is_closed);
        let state = state.ok_or(SendError::StreamClosed)?;
        if state.send != Half::Body || state.offered > 0 || state.ends_behind {
            return Err(SendError::OutOfOrder);
        }
        if trailers.is_empty() {
            return self.offer(stream, 0, true);
        }
        let id = state.id;
        let ends_stream = !cfg!(planted = "http2_differential_endless_trailers");
        self.send_section(stream, id, ends_stream, |encoder, out| {
            encode_fields(encoder, trailers, out);
        });
        self.end_send(stream);
        Ok(())
    }

    /// Sends a map of METADATA.
    ///
    /// # Errors
    ///
    /// It is not allowed, or the stream is over or ended.
    pub fn send_metadata(&mut self, stream: Key, map: &HeaderList) -> Result<(), SendError> {
        if !self.options.allow_metadata {
            return Err(SendError::MetadataNotAllowed);
        }
        let state = self.streams.get(stream).filter(|state| !state.is_closed);
        let state = state.ok_or(SendError::StreamClosed)?;
        if state.send == Half::Done {
            return Err(SendError::OutOfOrder);
        }
        let id = state.id;
        let mut block = Vec::new();
        metadata::frames(map, &mut block, |flags, payload| {
            self.queue(FrameKind::METADATA, flags, id, payload);
        });
        Ok(())
    }

    fn head_sent(&mut self, stream: Key, is_whole: bool) {
        if is_whole {
            self.end_send(stream);
        } else if let Some(state) = self.streams.get_mut(stream) {
            state.send = Half::Body;
        }
    }

    /// Writes a header block as HEADERS and, if the peer's frames are too short for it,
    /// CONTINUATION.
    fn send_section(
        &mut self,
        stream: Key,
        id: u32,
        ends_stream: bool,
        encode: impl FnOnce(&mut Encoder, &mut Vec<u8>),
    ) {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
        self.encoder.start_block(&mut self.out);
        encode(&mut self.encoder, &mut self.out);
        let length = self.out.len() - start - FRAME_HEADER_BYTES;
        let flags = if ends_stream { flag::END_STREAM } else { 0 };
        let wire_bytes = if length <= self.payload_max() {
            let flags = flags | flag::END_HEADERS;
            self.set_header(start, length, FrameKind::HEADERS, flags, id);
            self.count_outbound(FRAME_HEADER_BYTES + length, false);
            FRAME_HEADER_BYTES + length
        } else {
            self.split_block(start, flags, id)
        };
        if let Some(state) = self.streams.get_mut(stream) {
            state.meter.wire_bytes_sent += wire_bytes as u64;
            state.meter.header_bytes_sent += wire_bytes as u64;
        }
    }

    /// A block that is longer than a frame. Returns how many bytes it takes.
    #[cold]
    fn split_block(&mut self, start: usize, flags: u8, id: u32) -> usize {
        let payload_max = self.payload_max();
        let rest = self.out.split_off(start + FRAME_HEADER_BYTES + payload_max);
        self.set_header(start, payload_max, FrameKind::HEADERS, flags, id);
        self.count_outbound(FRAME_HEADER_BYTES + payload_max, false);
        let mut pieces = rest.chunks(payload_max).peekable();
        while let Some(piece) = pieces.next() {
            let flags = if pieces.peek().is_none() { flag::END_HEADERS } else { 0 };
            frame::encode(FrameKind::CONTINUATION, flags, id, piece, &mut self.out);
            self.count_outbound(FRAME_HEADER_BYTES + piece.len(), false);
        }
        self.out.len() - start
    }

    fn set_header(&mut self, start: usize, length: usize, kind: FrameKind, flags: u8, id: u32) {
        #[expect(clippy::cast_possible_truncation, reason = "at most payload_max")]
        let header = FrameHeader { length: length as u32, kind, flags, stream_id: id };
        self.out[start..start + FRAME_HEADER_BYTES].copy_from_slice(&header.encode());
    }
}

/// RFC 9113 section 8.3.1 and 8.5, and RFC 8441 section 4 for an upgrade.
fn encode_request(
    encoder: &mut Encoder,
    head: &RequestHead,
    upgrade: Option<&[u8]>,
    out: &mut Vec<u8>,
) {
    if let Some(authority) = head.authority() {
        encoder.encode_pseudo(Pseudo::Authority, authority, out);
    }
    let is_connect = head.method() == Method::Connect && upgrade.is_none();
    if !is_connect {
        encoder.encode_pseudo(Pseudo::Path, head.path(), out);
    }
    let method = if upgrade.is_some() { b"CONNECT" } else { head.method_text() };
    encoder.encode_pseudo(Pseudo::Method, method, out);
    if !is_connect {
        let scheme = head.scheme.unwrap_or(Scheme::Http).as_str();
        encoder.encode_pseudo(Pseudo::Scheme, scheme.as_bytes(), out);
    }
    if let Some(protocol) = upgrade {
        encoder.encode_pseudo(Pseudo::Protocol, protocol, out);
    }
    encode_fields(encoder, &head.headers, out);
}

/// All fields but those that section 8.2.2 keeps out of HTTP/2.
#[inline]
fn encode_fields(encoder: &mut Encoder, headers: &HeaderList, out: &mut Vec<u8>) {
    for field in headers.encoded() {
        let kind = match field.known {
            Some(
                KnownName::Connection
                | KnownName::Host
                | KnownName::KeepAlive
                | KnownName::ProxyConnection
                | KnownName::TransferEncoding
                | KnownName::Upgrade,
            ) => continue,
            Some(KnownName::Te) if !field.value.eq_ignore_ascii_case(b"trailers") => continue,
            Some(known) => NameKind::Known(known),
            None => NameKind::Other,
        };
        encoder.encode(kind, field.name, field.value, field.is_never_indexed, out);
    }
}

/// Whether `connection` names `upgrade`.
fn is_upgrade(headers: &HeaderList) -> bool {
    let value = headers.get(KnownName::Connection).unwrap_or_default();
    value.split(|&byte| byte == b',').any(|it| it.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

fn status_text(status: u16) -> [u8; 3] {
    let digit = |number: u16| b'0' + (number % 10) as u8;
    [digit(status / 100), digit(status / 10), digit(status)]
}
