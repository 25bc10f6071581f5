//! Decoding responses: the client's side of a connection.

use crate::head::{Method, ResponseHead, Version};
use crate::headers::{HeaderList, Joins, KnownName};
use crate::http1::body::{Body, TrailerRules};
use crate::http1::connection;
use crate::http1::error::{Error, ErrorKind};
use crate::http1::fields::{self, FieldRules};
use crate::http1::head_buffer::HeadBuffer;
use crate::http1::options::{ResponseOptions, UnderscoreAction};
use crate::http1::step::{Event, Finish, Framing, MessageStart, Step};

/// What the response to a request depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The response to HEAD: without a body, whatever its head says.
    Head,
    /// The response to CONNECT: a tunnel, where it is 2xx.
    Connect,
    /// The response to a request that asks for an upgrade: a tunnel, where it is 101.
    Upgrade,
    /// Any other.
    Usual,
}

impl Expect {
    /// For a request of this method that asks for no upgrade.
    #[must_use]
    pub const fn of(method: Method) -> Self {
        match method {
            Method::Head => Self::Head,
            Method::Connect => Self::Connect,
            _ => Self::Usual,
        }
    }
}

/// Decodes the responses of one connection, each after [`expect`](Self::expect).
#[derive(Debug)]
pub struct ResponseDecoder {
    phase: Phase,
    partial: HeadBuffer,
    body: Body,
    /// Of the interim responses before this one.
    interim_field_bytes: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No request is outstanding.
    Idle,
    Head(Expect),
    Body,
}

impl ResponseDecoder {
    /// A decoder for a new connection. Allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            phase: Phase::Idle,
            partial: HeadBuffer::new(),
            body: Body::new(),
            interim_field_bytes: 0,
        }
    }

    /// A request is being sent: the next bytes are the response to it. To be called on a new
    /// connection, or after [`Event::End`].
    pub fn expect(&mut self, expect: Expect) {
        self.phase = Phase::Head(expect);
        self.interim_field_bytes = 0;
    }

    /// Forgets everything but the memory: the next bytes are of another connection.
    #[inline]
    pub fn reset(&mut self) {
        self.phase = Phase::Idle;
        self.partial.clear();
        self.body.reset();
    }

    /// Decodes the next part of `input`. `head` is written when the event is [`Event::Interim`] or
    /// [`Event::Head`], and may have been touched before; it is not looked at otherwise. Behind
    /// the end of a response the answer is [`Event::End`] and nothing is consumed; bytes that are
    /// there make the connection useless for another request.
    ///
    /// # Errors
    ///
    /// What is wrong with the response. The decoder must not be used after that.
    #[inline]
    pub fn decode(
        &mut self,
        options: &ResponseOptions,
        input: &[u8],
        head: &mut ResponseHead,
    ) -> Result<Step, Error> {
        match self.phase {
            Phase::Idle if input.is_empty() => Ok(Step { consumed: 0, event: Event::NeedMore }),
            Phase::Idle => Err(ErrorKind::UnexpectedResponse.into()),
            Phase::Head(expect) => self.decode_head(options, expect, input, head),
            Phase::Body => self.body.decode(|| trailer_rules(options), input),
        }
    }

    /// As [`decode`](Self::decode) behind the head, when no other head can come.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode).
    #[inline]
    pub fn decode_body(&mut self, options: &ResponseOptions, input: &[u8]) -> Result<Step, Error> {
        debug_assert_eq!(self.phase, Phase::Body, "the head comes first");
        self.body.decode(|| trailer_rules(options), input)
    }

    /// What is left of a body whose length was announced. `None` for any other body, and once
    /// nothing is left.
    #[must_use]
    pub const fn body_length_left(&self) -> Option<u64> {
        self.body.length_left()
    }

    /// Notes that so many bytes of the body went another way than through this decoder. To be
    /// called with no more than [`body_length_left`](Self::body_length_left).
    pub fn skip_body(&mut self, bytes: u64) {
        self.body.skip(bytes);
    }

    /// The trailers, after [`Event::Trailers`] and until the next response.
    #[must_use]
    pub const fn trailers(&self) -> &HeaderList {
        self.body.trailers()
    }

    /// Takes the trailers and leaves `list` to be filled by another message.
    pub fn swap_trailers(&mut self, list: &mut HeaderList) {
        self.body.swap_trailers(list);
    }

    /// The server has ended its side of the connection.
    ///
    /// # Errors
    ///
    /// A response was under way: [`ErrorKind::PrematureEnd`]. Where not even a byte of it has come,
    /// the answer is [`Finish::Idle`], and the caller knows that it was waiting.
    pub fn finish(&mut self) -> Result<Finish, Error> {
        match self.phase {
            Phase::Idle => Ok(Finish::Idle),
            Phase::Head(_) if self.partial.is_empty() => Ok(Finish::Idle),
            Phase::Head(_) => Err(ErrorKind::PrematureEnd.into()),
            Phase::Body => self.body.finish(),
        }
    }

    #[inline]
    fn decode_head(
        &mut self,
        options: &ResponseOptions,
        expect: Expect,
        input: &[u8],
        head: &mut ResponseHead,
    ) -> Result<Step, Error> {
        if self.partial.is_empty() && input.first() == Some(&b'H') {
            // As for requests: what is incomplete or wrong is judged by the slow path.
            if let Ok(Some((length, start))) = parse(options, expect, input, head)
                && length <= options.head_bytes_max
            {
                return Ok(self.started(length, start, head));
            }
        }
        self.decode_partial(options, expect, input, head)
    }

    #[inline]
    fn started(&mut self, consumed: usize, mut start: MessageStart, head: &ResponseHead) -> Step {
        if head.is_interim() {
            self.interim_field_bytes = self.interim_field_bytes.saturating_add(start.field_bytes);
            return Step { consumed, event: Event::Interim };
        }
        start.field_bytes = start.field_bytes.saturating_add(self.interim_field_bytes);
        self.phase = Phase::Body;
        self.body.start(start.framing);
        Step { consumed, event: Event::Head(start) }
    }

    #[cold]
    fn decode_partial(
        &mut self,
        options: &ResponseOptions,
        expect: Expect,
        input: &[u8],
        head: &mut ResponseHead,
    ) -> Result<Step, Error> {
        if self.partial.is_empty() && input.first().is_some_and(|&byte| byte != b'H') {
            return Err(ErrorKind::InvalidStatusLine.into());
        }
        let bare = options.bare_line_feeds;
        let filled = self.partial.fill(input, options.head_bytes_max, bare, judge_status_line)?;
        let Some(consumed) = filled else {
            return Ok(Step { consumed: input.len(), event: Event::NeedMore });
        };
        let parsed = parse(options, expect, self.partial.bytes(), head);
        self.partial.clear();
        let (_, start) = parsed?.ok_or(ErrorKind::InvalidStatusLine)?;
        Ok(self.started(consumed, start, head))
    }
}

impl Default for ResponseDecoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Parses a head at the start of `input`. `None` when it is incomplete.
#[inline]
fn parse(
    options: &ResponseOptions,
    expect: Expect,
    input: &[u8],
    head: &mut ResponseHead,
) -> Result<Option<(usize, MessageStart)>, Error> {
    let mut lines = fields::lines();
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let parsed = config.parse_response_with_uninit_headers(&mut response, input, &mut lines);
    match parsed {
        Ok(httparse::Status::Complete(length)) => {
            let start = interpret(options, expect, &input[..length], &response, head)?;
            Ok(Some((length, start)))
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) if options.headers_max >= fields::LINES_ON_STACK => {
            parse_many(options, expect, input, head)
        }
        Err(error) => {
            Err(fields::judge(input, fields::kind_of(error, ErrorKind::InvalidStatusLine)))
        }
    }
}

/// [`parse`] for limits that the stack has no room for.
#[cold]
fn parse_many(
    options: &ResponseOptions,
    expect: Expect,
    input: &[u8],
    head: &mut ResponseHead,
) -> Result<Option<(usize, MessageStart)>, Error> {
    let mut lines = fields::lines_on_heap(input, options.headers_max);
    let mut response = httparse::Response::new(&mut lines);
    match response.parse(input) {
        Ok(httparse::Status::Complete(length)) => {
            let start = interpret(options, expect, &input[..length], &response, head)?;
            Ok(Some((length, start)))
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(error) => {
            Err(fields::judge(input, fields::kind_of(error, ErrorKind::InvalidStatusLine)))
        }
    }
}

/// Makes a head of what `httparse` found.
#[inline]
fn interpret(
    options: &ResponseOptions,
    expect: Expect,
    bytes: &[u8],
    response: &httparse::Response<'_, '_>,
    head: &mut ResponseHead,
) -> Result<MessageStart, Error> {
    head.clear();
    head.version = if response.version == Some(0) { Version::Http10 } else { Version::Http11 };
    head.status = response.code.unwrap_or_default();
    if head.status < 100 {
        return Err(ErrorKind::InvalidStatusLine.into());
    }
    let noticed =
        fields::copy(bytes, response.headers, field_rules(options), false, &mut head.headers)?;
    let framing = framing(options, expect, head)?;
    let is_coded_in_http_10 = head.version == Version::Http10 && framing == Framing::Chunked;
    let announces_close = !connection::keeps_alive(head.version, &head.headers);
    let keep_alive = !matches!(framing, Framing::UntilClose | Framing::Tunnel)
        && !is_coded_in_http_10
        && !announces_close;
    connection::remove_hop_by_hop(&mut head.headers, head.status == 101);
    let fields::Noticed { dropped_underscores, field_bytes, .. } = noticed;
    Ok(MessageStart { framing, keep_alive, announces_close, dropped_underscores, field_bytes })
}

/// How the body ends: RFC 9112 section 6.3. Removes what must not be forwarded.
#[inline]
fn framing(
    options: &ResponseOptions,
    expect: Expect,
    head: &mut ResponseHead,
) -> Result<Framing, Error> {
    let headers = &mut head.headers;
    let length = headers.get(KnownName::ContentLength).map(fields::content_length).transpose()?;
    let is_chunked = fields::is_chunked(headers, options.allow_chunked_length)?;
    if head.status < 200 || head.status == 204 {
        if is_chunked {
            return Err(ErrorKind::TransferEncodingNotAllowed.into());
        }
        if length.is_some_and(|length| length > 0) {
            return Err(ErrorKind::ContentLengthNotAllowed.into());
        }
        headers.remove(KnownName::ContentLength);
    }
    if head.status == 101 {
        if expect != Expect::Upgrade || !connection::asks_for_upgrade(headers) {
            return Err(ErrorKind::UnexpectedUpgrade.into());
        }
        return Ok(Framing::Tunnel);
    }
    if expect == Expect::Connect && (200..300).contains(&head.status) {
        // RFC 9110 section 9.3.6: a client ignores both here.
        headers.remove(KnownName::ContentLength);
        return Ok(Framing::Tunnel);
    }
    let has_no_body = expect == Expect::Head && !cfg!(planted = "http1_response_head_body")
        || head.status < 200
        || matches!(head.status, 204 | 304);
    Ok(match length {
        _ if has_no_body => Framing::Empty,
        _ if is_chunked => Framing::Chunked,
        Some(0) => Framing::Empty,
        Some(length) => Framing::Length(length),
        None => Framing::UntilClose,
    })
}

/// What is wrong with a status line, if anything is.
#[cold]
fn judge_status_line(line: &[u8]) -> Result<(), Error> {
    let (Some(b"HTTP/1.1 " | b"HTTP/1.0 "), Some(rest)) = (line.get(..9), line.get(9..)) else {
        return Err(fields::judge(line, ErrorKind::InvalidStatusLine));
    };
    match rest {
        [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9']
        | [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9', b' ', ..] => Ok(()),
        _ => Err(fields::judge(line, ErrorKind::InvalidStatusLine)),
    }
}

#[inline]
const fn field_rules(options: &ResponseOptions) -> FieldRules {
    FieldRules {
        headers_max: options.headers_max,
        underscores: UnderscoreAction::Allow,
        bare_line_feeds: options.bare_line_feeds,
        joins: joins_in_responses,
    }
}

fn trailer_rules(options: &ResponseOptions) -> TrailerRules {
    TrailerRules {
        bytes_max: options.head_bytes_max,
        fields: field_rules(options),
        are_told: options.enable_trailers,
    }
}

const fn joins_in_responses(name: KnownName) -> bool {
    matches!(name.joins(), Joins::Response | Joins::Both)
}
