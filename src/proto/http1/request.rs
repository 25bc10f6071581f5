//! Decoding requests: the server's side of a connection.

use crate::head::{Method, RequestHead, Scheme, Version};
use crate::headers::{HeaderList, Joins, KnownName};
use crate::http1::body::{Body, TrailerRules};
use crate::http1::error::{Error, ErrorKind};
use crate::http1::fields::{self, FieldRules};
use crate::http1::head_buffer::HeadBuffer;
use crate::http1::options::RequestOptions;
use crate::http1::step::{Event, Finish, Framing, MessageStart, Step};
use crate::http1::{authority, connection};

/// Decodes the requests of one connection, one after the other.
///
/// ```
/// use nuncio_proto::RequestHead;
/// use nuncio_proto::http1::{Event, RequestDecoder, RequestOptions};
///
/// let options = RequestOptions::default();
/// let mut decoder = RequestDecoder::new();
/// let mut head = RequestHead::new();
/// let input = b"GET / HTTP/1.1\r\nHost: example\r\n\r\nGET /next";
/// let step = decoder.decode(&options, input, &mut head)?;
/// assert!(matches!(step.event, Event::Head(start) if start.keep_alive));
/// assert_eq!((head.path(), head.authority()), (&b"/"[..], Some(&b"example"[..])));
/// let rest = &input[step.consumed..];
/// assert_eq!(decoder.decode(&options, rest, &mut head)?.event, Event::End);
/// decoder.next_request();
/// # Ok::<(), nuncio_proto::http1::Error>(())
/// ```
#[derive(Debug)]
pub struct RequestDecoder {
    phase: Phase,
    partial: HeadBuffer,
    /// Bytes of empty lines before the request line.
    skipped: usize,
    body: Body,
    scratch: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Head,
    Body,
}

impl RequestDecoder {
    /// A decoder for a new connection. Allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            phase: Phase::Head,
            partial: HeadBuffer::new(),
            skipped: 0,
            body: Body::new(),
            scratch: Vec::new(),
        }
    }

    /// Decodes the next part of `input`. `head` is written when the event is [`Event::Head`], and
    /// may have been touched before; it is not looked at otherwise. Behind the end of a request
    /// the answer is [`Event::End`], and nothing is consumed, until
    /// [`next_request`](Self::next_request).
    ///
    /// # Errors
    ///
    /// What is wrong with the request. The decoder must not be used after that.
    #[inline]
    pub fn decode(
        &mut self,
        options: &RequestOptions,
        input: &[u8],
        head: &mut RequestHead,
    ) -> Result<Step, Error> {
        match self.phase {
            Phase::Head => self.decode_head(options, input, head),
            Phase::Body => self.body.decode(|| trailer_rules(options), input),
        }
    }

    /// As [`decode`](Self::decode) behind the head, when no other head can come.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode).
    #[inline]
    pub fn decode_body(&mut self, options: &RequestOptions, input: &[u8]) -> Result<Step, Error> {
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

    /// Lets the next request of the connection be decoded. To be called after [`Event::End`].
    #[inline]
    pub fn next_request(&mut self) {
        self.phase = Phase::Head;
        self.skipped = 0;
    }

    /// Forgets everything but the memory: the next bytes are of another connection.
    #[inline]
    pub fn reset(&mut self) {
        self.next_request();
        self.partial.clear();
        self.body.reset();
    }

    /// Whether a request has begun to arrive and its head is not complete. (Envoy's
    /// `request_headers_timeout` runs meanwhile.)
    #[must_use]
    pub fn is_within_head(&self) -> bool {
        self.phase == Phase::Head && !self.partial.is_empty()
    }

    /// The trailers, after [`Event::Trailers`] and until the next request.
    #[must_use]
    pub const fn trailers(&self) -> &HeaderList {
        self.body.trailers()
    }

    /// Takes the trailers and leaves `list` to be filled by another message.
    pub fn swap_trailers(&mut self, list: &mut HeaderList) {
        self.body.swap_trailers(list);
    }

    /// The client has ended its side of the connection.
    ///
    /// # Errors
    ///
    /// A request was under way: [`ErrorKind::PrematureEnd`].
    pub fn finish(&mut self) -> Result<Finish, Error> {
        match self.phase {
            Phase::Head if self.partial.is_empty() => Ok(Finish::Idle),
            Phase::Head => Err(ErrorKind::PrematureEnd.into()),
            Phase::Body => self.body.finish(),
        }
    }

    #[inline]
    fn decode_head(
        &mut self,
        options: &RequestOptions,
        input: &[u8],
        head: &mut RequestHead,
    ) -> Result<Step, Error> {
        let starts_line = input.first().is_some_and(|&byte| byte > b' ');
        if self.partial.is_empty() && starts_line {
            // Nearly always the head is there in one piece and right. Whatever is not is judged by
            // the slow path, so that the answer does not depend on the pieces.
            if let Ok(Some((length, start))) = parse(options, input, head, &mut self.scratch)
                && length <= options.head_bytes_max
            {
                return Ok(self.started(length, start));
            }
        }
        self.decode_partial(options, input, head)
    }

    #[inline]
    fn started(&mut self, consumed: usize, start: MessageStart) -> Step {
        self.phase = Phase::Body;
        self.body.start(start.framing);
        Step { consumed, event: Event::Head(start) }
    }

    #[cold]
    fn decode_partial(
        &mut self,
        options: &RequestOptions,
        input: &[u8],
        head: &mut RequestHead,
    ) -> Result<Step, Error> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            if self.partial.is_empty() && byte <= b' ' && !matches!(byte, b'\r' | b'\n') {
                return Err(ErrorKind::InvalidMethod.into());
            }
            let judge = |line: &[u8]| judge_request_line(options, line);
            let bytes_max = options.head_bytes_max;
            let bare = options.bare_line_feeds;
            let Some(length) = self.partial.fill(&input[at..], bytes_max, bare, judge)? else {
                break;
            };
            at += length;
            if matches!(self.partial.bytes(), b"\r\n" | b"\n") {
                self.skipped += self.partial.bytes().len();
                self.partial.clear();
                if self.skipped > bytes_max {
                    return Err(ErrorKind::HeadersTooLarge.into());
                }
                continue;
            }
            let parsed = parse(options, self.partial.bytes(), head, &mut self.scratch);
            self.partial.clear();
            // A complete head that `httparse` finds incomplete has an empty line too early, and
            // that is a line of a kind that it refuses.
            let (_, start) = parsed?.ok_or(ErrorKind::InvalidRequestLine)?;
            return Ok(self.started(at, start));
        }
        Ok(Step { consumed: input.len(), event: Event::NeedMore })
    }
}

impl Default for RequestDecoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Parses a head at the start of `input`. `None` when it is incomplete.
#[inline]
fn parse(
    options: &RequestOptions,
    input: &[u8],
    head: &mut RequestHead,
    scratch: &mut Vec<u8>,
) -> Result<Option<(usize, MessageStart)>, Error> {
    let mut lines = fields::lines();
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(input, &mut lines) {
        Ok(httparse::Status::Complete(length)) => {
            let start = interpret(options, &input[..length], &request, head, scratch)?;
            Ok(Some((length, start)))
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) if options.headers_max >= fields::LINES_ON_STACK => {
            parse_many(options, input, head, scratch)
        }
        Err(error) => {
            Err(fields::judge(input, fields::kind_of(error, ErrorKind::InvalidRequestLine)))
        }
    }
}

/// [`parse`] for limits that the stack has no room for.
#[cold]
fn parse_many(
    options: &RequestOptions,
    input: &[u8],
    head: &mut RequestHead,
    scratch: &mut Vec<u8>,
) -> Result<Option<(usize, MessageStart)>, Error> {
    let mut lines = fields::lines_on_heap(input, options.headers_max);
    let mut request = httparse::Request::new(&mut lines);
    match request.parse(input) {
        Ok(httparse::Status::Complete(length)) => {
            let start = interpret(options, &input[..length], &request, head, scratch)?;
            Ok(Some((length, start)))
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(error) => {
            Err(fields::judge(input, fields::kind_of(error, ErrorKind::InvalidRequestLine)))
        }
    }
}

/// Makes a head of what `httparse` found. The order of the checks is Envoy's, so that a request
/// with several faults gets the same answer.
#[inline]
fn interpret(
    options: &RequestOptions,
    bytes: &[u8],
    request: &httparse::Request<'_, '_>,
    head: &mut RequestHead,
    scratch: &mut Vec<u8>,
) -> Result<MessageStart, Error> {
    head.clear();
    let method = request.method.unwrap_or_default().as_bytes();
    let target = request.path.unwrap_or_default().as_bytes();
    head.version = if request.version == Some(0) { Version::Http10 } else { Version::Http11 };
    head.set_method(method);
    if head.method() == Method::Other && !options.allow_custom_methods {
        return Err(ErrorKind::InvalidMethod.into());
    }
    if !target.is_ascii() {
        return Err(ErrorKind::InvalidTarget.into());
    }
    let noticed =
        fields::copy(bytes, request.headers, field_rules(options), true, &mut head.headers)?;
    let framing = framing(options, head)?;
    let is_tunnel = framing == Framing::Tunnel;
    let announces_close = !connection::keeps_alive(head.version, &head.headers);
    let is_upgrade = is_tunnel && head.method() != Method::Connect;
    if !is_upgrade {
        connection::remove_nominated(&mut head.headers, scratch)?;
    }
    // RFC 9112 section 6.1: transfer codings in HTTP/1.0 are a faulty framing, after which the
    // connection closes.
    let is_coded_in_http_10 = head.version == Version::Http10 && framing == Framing::Chunked;
    let keep_alive = !is_tunnel && !is_coded_in_http_10 && !announces_close;
    connection::remove_hop_by_hop(&mut head.headers, is_upgrade);
    if let Some(host) = noticed.host {
        head.set_authority(host);
    }
    split_target(options, target, head)?;
    if head.version == Version::Http10 && !options.accept_http_10 {
        return Err(ErrorKind::UnsupportedVersion.into());
    }
    if !head.authority().is_none_or(authority::is_authority) {
        return Err(ErrorKind::InvalidAuthority.into());
    }
    let fields::Noticed { dropped_underscores, field_bytes, .. } = noticed;
    Ok(MessageStart { framing, keep_alive, announces_close, dropped_underscores, field_bytes })
}

/// How the body ends: RFC 9112 section 6.3. Removes what must not be forwarded.
#[inline]
fn framing(options: &RequestOptions, head: &mut RequestHead) -> Result<Framing, Error> {
    let is_connect = head.method() == Method::Connect;
    let headers = &mut head.headers;
    let length = headers.get(KnownName::ContentLength).map(fields::content_length).transpose()?;
    let mut is_upgrade = head.version == Version::Http11 && connection::asks_for_upgrade(headers);
    if is_upgrade
        && headers.get(KnownName::Upgrade).is_some_and(|it| it.eq_ignore_ascii_case(b"h2c"))
    {
        // Envoy ignores this upgrade, and so do the rules below once it is gone.
        headers.remove(KnownName::Upgrade);
        headers.remove(KnownName::Http2Settings);
        is_upgrade = false;
    }
    if is_connect {
        if length.is_some_and(|length| length > 0) {
            return Err(ErrorKind::BodyDisallowed.into());
        }
        headers.remove(KnownName::ContentLength);
    }
    let is_chunked = fields::is_chunked(headers, options.allow_chunked_length)?;
    if is_chunked && is_connect {
        return Err(ErrorKind::InvalidTransferEncoding.into());
    }
    Ok(match length {
        _ if is_connect || is_upgrade => Framing::Tunnel,
        _ if is_chunked => Framing::Chunked,
        None | Some(0) => Framing::Empty,
        Some(length) => Framing::Length(length),
    })
}

/// The four forms of a target: RFC 9112 section 3.2.
#[inline]
fn split_target(
    options: &RequestOptions,
    target: &[u8],
    head: &mut RequestHead,
) -> Result<(), Error> {
    match (target, head.method()) {
        (_, Method::Connect) => authority::authority_form(target, head),
        ([b'/', ..], _) | ([b'*', ..], Method::Options) => {
            head.set_path(target);
            Ok(())
        }
        ([b'*', ..], _) if options.allow_absolute_url => Err(ErrorKind::InvalidUrl.into()),
        _ if options.allow_absolute_url => {
            authority::absolute_form(target, head)?;
            if head.scheme == Some(Scheme::Https) && !options.allow_https {
                return Err(ErrorKind::SchemeMismatch.into());
            }
            Ok(())
        }
        _ => {
            head.set_path(target);
            Ok(())
        }
    }
}

/// What is wrong with a request line, if anything is: as soon as it is complete, because a client
/// of HTTP/0.9 sends nothing more.
#[cold]
fn judge_request_line(options: &RequestOptions, line: &[u8]) -> Result<(), Error> {
    let mut words = line.split(|&byte| byte == b' ');
    let method = words.next().unwrap_or_default();
    let is_known = Method::from_text(method) != Method::Other;
    let is_custom = options.allow_custom_methods && is_token(method);
    if !is_known && !is_custom {
        return Err(fields::judge(line, ErrorKind::InvalidMethod));
    }
    let (target, version, rest) = (words.next(), words.next(), words.next());
    let is_target = |target: &[u8]| !target.is_empty() && target.iter().all(u8::is_ascii_graphic);
    match (target, version, rest) {
        (Some(target), _, None) if !is_target(target) => {
            Err(fields::judge(line, ErrorKind::InvalidTarget))
        }
        (Some(_), Some(b"HTTP/1.1" | b"HTTP/1.0"), None) => Ok(()),
        (Some(_), None, None) => Err(ErrorKind::UnsupportedVersion.into()),
        (Some(_), Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None)
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(ErrorKind::UnsupportedVersion.into())
        }
        _ => Err(fields::judge(line, ErrorKind::InvalidRequestLine)),
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &[u8]) -> bool {
    let is_token_byte =
        |&byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.iter().all(is_token_byte)
}

#[inline]
const fn field_rules(options: &RequestOptions) -> FieldRules {
    FieldRules {
        headers_max: options.headers_max,
        underscores: options.underscores,
        bare_line_feeds: options.bare_line_feeds,
        joins: joins_in_requests,
    }
}

fn trailer_rules(options: &RequestOptions) -> TrailerRules {
    TrailerRules {
        bytes_max: options.head_bytes_max,
        fields: field_rules(options),
        are_told: options.enable_trailers,
    }
}

const fn joins_in_requests(name: KnownName) -> bool {
    matches!(name.joins(), Joins::Request | Joins::Both)
}
