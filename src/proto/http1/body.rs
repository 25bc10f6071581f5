//! The body of a message in either direction: lengths, chunks and trailers (RFC 9112 sections 6
//! and 7).
//!
//! Nothing is buffered but trailers: the state between two bytes of a chunk line is a number, so a
//! body may be cut anywhere.
//!
//! ```text
//!  Length(n)  => (Length(n - k) | Done)
//!  ChunkSize  => (ChunkExtension | ChunkSizeLf)
//!  ChunkExtension => ChunkSizeLf
//!  ChunkSizeLf    => (ChunkData | TrailerStart)
//!  ChunkData => ChunkDataCr => ChunkDataLf => ChunkSize
//!  TrailerStart   => (LastLf | Trailer)
//!  LastLf | Trailer => Done
//! ```
//!
//! **Invariant:** a chunk ends with CR LF right behind its data, and its size is hexadecimal digits
//! right behind the CR LF before it. There is no other reading.

use crate::headers::{HeaderList, KnownName};
use crate::http1::error::{Error, ErrorKind};
use crate::http1::fields::{self, FieldRules};
use crate::http1::head_buffer::HeadBuffer;
use crate::http1::step::{Event, Finish, Framing, Step};

/// The body of the message that is being decoded.
#[derive(Debug)]
pub(crate) struct Body {
    state: State,
    /// The size of the chunk, as far as its digits came.
    chunk_size: u64,
    /// Bytes of chunk extensions that no data made up for yet.
    extension_excess: u64,
    trailer_bytes: HeadBuffer,
    trailers: HeaderList,
}

/// What is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes of a body of known length; not 0.
    Length(u64),
    /// The first digit of a chunk size.
    ChunkSizeStart,
    /// More digits, or what ends them.
    ChunkSize,
    /// White space behind the digits: a semicolon or the end of the line.
    ChunkSizeSpace,
    /// The end of an extension.
    ChunkExtension,
    /// The line feed that ends the line of a chunk size.
    ChunkSizeLf,
    /// So many bytes of a chunk; not 0.
    ChunkData(u64),
    /// The carriage return behind the data.
    ChunkDataCr,
    /// The line feed behind that.
    ChunkDataLf,
    /// The first byte behind the last chunk.
    TrailerStart,
    /// The line feed of the empty line, where there are no trailers.
    LastLf,
    /// The end of the trailer section.
    Trailer,
    /// The end of the connection.
    UntilClose,
    /// The end of the connection, as a tunnel.
    Tunnel,
    /// Nothing.
    Done,
}

/// What a trailer section may be like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrailerRules {
    pub(crate) bytes_max: usize,
    pub(crate) fields: FieldRules,
    /// Whether trailers are told, or only checked.
    pub(crate) are_told: bool,
}

impl Body {
    /// Forgets the body of a message that did not come to its end.
    #[inline]
    pub(crate) fn reset(&mut self) {
        self.trailer_bytes.clear();
        if !self.trailers.is_empty() {
            self.trailers.clear();
        }
    }

    pub(crate) const fn new() -> Self {
        Self {
            state: State::Done,
            chunk_size: 0,
            extension_excess: 0,
            trailer_bytes: HeadBuffer::new(),
            trailers: HeaderList::new(),
        }
    }

    /// Starts the body of a message.
    #[inline]
    pub(crate) fn start(&mut self, framing: Framing) {
        self.state = match framing {
            Framing::Empty => State::Done,
            #[cfg(planted = "http1_request_length_off_by_one")]
            Framing::Length(length) => State::Length(length + 1),
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => {
                self.extension_excess = 0;
                #[cfg(not(planted = "http1_connection_stale_trailers"))]
                self.trailers.clear();
                State::ChunkSizeStart
            }
            Framing::UntilClose => State::UntilClose,
            Framing::Tunnel => State::Tunnel,
        };
    }

    pub(crate) const fn trailers(&self) -> &HeaderList {
        &self.trailers
    }

    pub(crate) fn swap_trailers(&mut self, other: &mut HeaderList) {
        std::mem::swap(&mut self.trailers, other);
    }

    /// Decodes a piece of the body.
    ///
    /// # Errors
    ///
    /// A chunk or trailer that is not what RFC 9112 section 7.1 says, or above a limit.
    #[inline]
    pub(crate) fn decode(
        &mut self,
        rules: impl FnOnce() -> TrailerRules,
        input: &[u8],
    ) -> Result<Step, Error> {
        match self.state {
            State::Length(left) => {
                if input.is_empty() {
                    return Ok(Step { consumed: 0, event: Event::NeedMore });
                }
                let (length, left) = take(left, input.len());
                self.state = if left == 0 { State::Done } else { State::Length(left) };
                Ok(Step { consumed: length, event: Event::Body(0..length) })
            }
            State::UntilClose | State::Tunnel if input.is_empty() => {
                Ok(Step { consumed: 0, event: Event::NeedMore })
            }
            State::UntilClose | State::Tunnel => {
                Ok(Step { consumed: input.len(), event: Event::Body(0..input.len()) })
            }
            State::Done => Ok(Step { consumed: 0, event: Event::End }),
            _ => self.decode_chunked(rules, input),
        }
    }

    fn decode_chunked(
        &mut self,
        rules: impl FnOnce() -> TrailerRules,
        input: &[u8],
    ) -> Result<Step, Error> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            self.state = match self.state {
                State::ChunkData(left) => {
                    let (length, left) = take(left, input.len() - at);
                    self.state =
                        if left == 0 { State::ChunkDataCr } else { State::ChunkData(left) };
                    self.extension_excess = self.extension_excess.saturating_sub(length as u64);
                    let end = at + length;
                    return Ok(Step { consumed: end, event: Event::Body(at..end) });
                }
                State::Trailer => return self.decode_trailer(rules(), input, at),
                State::TrailerStart if byte != b'\r' => {
                    self.state = State::Trailer;
                    continue;
                }
                State::LastLf if byte == b'\n' => {
                    self.state = State::Done;
                    return Ok(Step { consumed: at + 1, event: Event::End });
                }
                state => self.next_in_line(state, byte)?,
            };
            at += 1;
        }
        Ok(Step { consumed: input.len(), event: Event::NeedMore })
    }

    /// One byte of what is between the data of two chunks.
    fn next_in_line(&mut self, state: State, byte: u8) -> Result<State, Error> {
        Ok(match (state, byte) {
            (State::ChunkSizeStart, _) => {
                self.chunk_size = hex_digit(byte).ok_or(ErrorKind::InvalidChunkSize)?;
                State::ChunkSize
            }
            (State::ChunkSize | State::ChunkSizeSpace, b'\r') => State::ChunkSizeLf,
            (State::ChunkSize | State::ChunkSizeSpace, b';') => State::ChunkExtension,
            (State::ChunkSize | State::ChunkSizeSpace, b' ' | b'\t') => {
                self.count_extension_byte()?;
                State::ChunkSizeSpace
            }
            (State::ChunkSize, _) => {
                let digit = hex_digit(byte).ok_or(ErrorKind::InvalidChunkSize)?;
                if self.chunk_size > u64::MAX >> 4 && !cfg!(planted = "http1_chunked_overflow") {
                    return Err(ErrorKind::InvalidChunkSize.into());
                }
                // A line of zeros has no end of its own.
                if self.chunk_size == 0 {
                    self.count_extension_byte()?;
                }
                self.chunk_size = self.chunk_size << 4 | digit;
                State::ChunkSize
            }
            (State::ChunkSizeSpace, _) => return Err(ErrorKind::InvalidChunkExtension.into()),
            (State::ChunkExtension, b'\r') => State::ChunkSizeLf,
            (State::ChunkExtension, _) => {
                if byte.is_ascii_control() && byte != b'\t' {
                    return Err(ErrorKind::InvalidChunkExtension.into());
                }
                self.count_extension_byte()?;
                State::ChunkExtension
            }
            (State::ChunkSizeLf, b'\n') if self.chunk_size == 0 => State::TrailerStart,
            #[cfg(planted = "http1_chunked_off_by_one")]
            (State::ChunkSizeLf, b'\n') => State::ChunkData(self.chunk_size + 1),
            (State::ChunkSizeLf, b'\n') => State::ChunkData(self.chunk_size),
            (State::ChunkSizeLf, _) => return Err(ErrorKind::InvalidChunkExtension.into()),
            (State::ChunkDataCr, b'\r') => State::ChunkDataLf,
            (State::ChunkDataLf, b'\n') => State::ChunkSizeStart,
            (State::TrailerStart, b'\r') => State::LastLf,
            _ => return Err(ErrorKind::InvalidChunkEnd.into()),
        })
    }

    fn count_extension_byte(&mut self) -> Result<(), Error> {
        self.extension_excess += 1;
        if self.extension_excess > EXTENSION_EXCESS_MAX {
            return Err(ErrorKind::ChunkExtensionsTooLong.into());
        }
        Ok(())
    }

    #[cold]
    fn decode_trailer(
        &mut self,
        rules: TrailerRules,
        input: &[u8],
        at: usize,
    ) -> Result<Step, Error> {
        let bare = rules.fields.bare_line_feeds;
        let Some(length) =
            self.trailer_bytes.fill(&input[at..], rules.bytes_max, bare, |_| Ok(()))?
        else {
            return Ok(Step { consumed: input.len(), event: Event::NeedMore });
        };
        let parsed = parse_trailers(self.trailer_bytes.bytes(), rules.fields, &mut self.trailers);
        self.trailer_bytes.clear();
        parsed?;
        let consumed = at + length;
        if rules.are_told {
            self.state = State::Done;
            Ok(Step { consumed, event: Event::Trailers })
        } else {
            self.trailers.clear();
            self.state = State::Done;
            Ok(Step { consumed, event: Event::End })
        }
    }

    /// What is left of a body of known length; without end of a tunnel; `None` for any other, and
    /// behind the end.
    pub(crate) const fn length_left(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            State::Tunnel => Some(u64::MAX),
            _ => None,
        }
    }

    /// Bytes of such a body went another way: at most those that are left.
    pub(crate) fn skip(&mut self, bytes: u64) {
        if let State::Length(left) = self.state {
            debug_assert!(bytes <= left, "{bytes} bytes of a body with {left} left");
            let left = left.saturating_sub(bytes);
            self.state = if left == 0 { State::Done } else { State::Length(left) };
        }
    }

    /// The connection has ended.
    ///
    /// # Errors
    ///
    /// The message was not over.
    pub(crate) fn finish(&mut self) -> Result<Finish, Error> {
        match self.state {
            State::UntilClose | State::Tunnel | State::Done => {
                self.state = State::Done;
                Ok(Finish::End)
            }
            _ => Err(ErrorKind::PrematureEnd.into()),
        }
    }
}

/// How much of `left` a piece of `available` bytes holds, and what is left then.
#[inline]
fn take(left: u64, available: usize) -> (usize, u64) {
    match usize::try_from(left) {
        Ok(left) if left <= available => (left, 0),
        _ => (available, left - available as u64),
    }
}

fn hex_digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

/// The lines of a complete trailer section. Fields that would say something about framing or
/// routing are dropped: RFC 9110 section 6.5.1.
fn parse_trailers(bytes: &[u8], rules: FieldRules, trailers: &mut HeaderList) -> Result<(), Error> {
    let mut lines = fields::lines_on_heap(bytes, rules.headers_max);
    let lines = match httparse::parse_headers(bytes, &mut lines) {
        Ok(httparse::Status::Complete((length, lines))) if length == bytes.len() => lines,
        Ok(_) => return Err(fields::judge(bytes, ErrorKind::InvalidHeaderName)),
        Err(error) => {
            return Err(fields::judge(bytes, fields::kind_of(error, ErrorKind::InvalidHeaderName)));
        }
    };
    fields::copy(bytes, lines, rules, false, trailers)?;
    for name in NOT_IN_TRAILERS {
        trailers.remove(name);
    }
    Ok(())
}

/// Fields that would change how a message is framed or routed, or that are about one connection.
const NOT_IN_TRAILERS: [KnownName; 9] = [
    KnownName::Connection,
    KnownName::ContentLength,
    KnownName::Host,
    KnownName::KeepAlive,
    KnownName::ProxyConnection,
    KnownName::Te,
    KnownName::Trailer,
    KnownName::TransferEncoding,
    KnownName::Upgrade,
];

/// Bytes of chunk extensions (and of zeros and white space in chunk lines) that may come without
/// data; each byte of data makes up for one. Envoy has no such limit; Go and hyper draw it at 16
/// KiB too, for CVE-2023-39326: a peer must not keep a connection busy with bytes that nobody sees.
const EXTENSION_EXCESS_MAX: u64 = 16 * 1024;
