//! Field sections: what the fields of a header block are in a message, and whether they may be
//! there (RFC 9113 section 8).
//!
//! A section is filled field by field as its block is decoded. After the first fault nothing more
//! is kept, but the block is decoded to its end, since the next one depends on it. What counts as
//! a fault is what Envoy 1.40 refuses, and what RFC 9113 forbids beyond that.
//!
//! As in Envoy, `cookie` fields become one, an extended CONNECT (RFC 8441) becomes an upgrade as
//! in HTTP/1.1, and repeated fields are joined as they are in HTTP/1.1.

use crate::head::{Method, RequestHead, ResponseHead, Scheme, Version};
use crate::headers::{HeaderList, Joins, KnownName};
use crate::http1::{UnderscoreAction, content_length, is_authority};
use crate::http2::error::ErrorKind;
use crate::http2::hpack::{Field, NameKind, Pseudo, is_token};
use crate::http2::options::Options;

/// Where the fields of a block go.
#[derive(Debug)]
pub(crate) enum Target<'a> {
    Request(&'a mut RequestHead),
    Response(&'a mut ResponseHead),
    RequestTrailers(&'a mut HeaderList),
    ResponseTrailers(&'a mut HeaderList),
    /// Nowhere: the block is decoded for the table's sake.
    Nothing,
}

/// Memory that one section lends the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    cookie: Vec<u8>,
    host: Vec<u8>,
    protocol: Vec<u8>,
}

/// A section that is being filled.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    target: Target<'a>,
    options: &'a Options,
    scratch: &'a mut Scratch,
    bytes: usize,
    count: usize,
    /// The pseudo-header fields that came, one bit each.
    seen: u8,
    has_field: bool,
    has_cookie: bool,
    is_cookie_never_indexed: bool,
    has_host: bool,
    content_length: Option<u64>,
    dropped_underscores: u32,
    fault: Option<ErrorKind>,
    /// Whether the rest is for nobody.
    is_over: bool,
}

/// What a complete section says beside its fields.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Summary {
    pub(crate) content_length: Option<u64>,
    pub(crate) dropped_underscores: u32,
    /// Extended CONNECT.
    pub(crate) is_upgrade: bool,
}

impl<'a> Section<'a> {
    pub(crate) fn new(target: Target<'a>, options: &'a Options, scratch: &'a mut Scratch) -> Self {
        let mut section = Self {
            target,
            options,
            scratch,
            bytes: 0,
            count: 0,
            seen: 0,
            has_field: false,
            has_cookie: false,
            is_cookie_never_indexed: false,
            has_host: false,
            content_length: None,
            dropped_underscores: 0,
            fault: None,
            is_over: false,
        };
        match &mut section.target {
            Target::Request(head) => {
                head.clear();
                head.version = Version::Http2;
            }
            Target::Response(head) => {
                head.clear();
                head.version = Version::Http2;
            }
            Target::RequestTrailers(list) | Target::ResponseTrailers(list) => list.clear(),
            Target::Nothing => section.is_over = true,
        }
        section.scratch.cookie.clear();
        section.scratch.protocol.clear();
        section
    }

    /// Takes the next field of the block.
    #[inline]
    pub(crate) fn field(&mut self, field: &Field<'_>) {
        if self.is_over {
            return;
        }
        if let Err(fault) = self.take(field) {
            self.fault = Some(fault);
            self.is_over = true;
        }
    }

    #[inline]
    fn take(&mut self, field: &Field<'_>) -> Result<(), ErrorKind> {
        if !field.is_valid {
            return Err(ErrorKind::InvalidHeaderField);
        }
        self.bytes += field.name.len() + field.value.len();
        match field.kind {
            NameKind::Pseudo(pseudo) => self.pseudo(pseudo, field.value)?,
            NameKind::Known(known) => self.known(known, field)?,
            NameKind::Other => self.other(field)?,
        }
        if self.count > self.options.headers_max {
            return Err(ErrorKind::TooManyHeaders);
        }
        if self.bytes > self.options.head_bytes_max {
            return Err(ErrorKind::HeadersTooLarge);
        }
        Ok(())
    }

    /// Section 8.3: once each, before all others, and not in trailers.
    fn pseudo(&mut self, pseudo: Pseudo, value: &[u8]) -> Result<(), ErrorKind> {
        let bit = 1 << pseudo as u8;
        if self.has_field || self.seen & bit != 0 {
            return Err(ErrorKind::InvalidHeaderField);
        }
        self.seen |= bit;
        self.count += 1;
        match &mut self.target {
            Target::Request(head) => match pseudo {
                Pseudo::Method if is_token(value) => head.set_method(value),
                Pseudo::Scheme if is_scheme(value) => head.scheme = scheme(value),
                Pseudo::Authority if !value.is_empty() && is_authority(value) => {
                    head.set_authority(value);
                }
                Pseudo::Path if is_path(value) => head.set_path(value),
                Pseudo::Protocol if self.options.allow_connect && is_token(value) => {
                    self.scratch.protocol.extend_from_slice(value);
                }
                _ => return Err(ErrorKind::InvalidHeaderField),
            },
            Target::Response(head) if pseudo == Pseudo::Status => {
                head.status = status(value).ok_or(ErrorKind::InvalidHeaderField)?;
            }
            _ => return Err(ErrorKind::InvalidHeaderField),
        }
        Ok(())
    }

    /// A field that the protocol itself may have a rule for.
    #[inline]
    fn known(&mut self, known: KnownName, field: &Field<'_>) -> Result<(), ErrorKind> {
        self.has_field = true;
        match known {
            // Section 8.2.2: connection-specific fields.
            KnownName::Connection
            | KnownName::KeepAlive
            | KnownName::ProxyConnection
            | KnownName::TransferEncoding
            | KnownName::Upgrade => return Err(ErrorKind::InvalidHeaderField),
            KnownName::Te if !field.value.eq_ignore_ascii_case(b"trailers") => {
                return Err(ErrorKind::InvalidHeaderField);
            }
            KnownName::ContentLength => self.content_length(field.value)?,
            KnownName::Host if matches!(self.target, Target::Request(_)) => {
                return self.host(field.value);
            }
            KnownName::Cookie if matches!(self.target, Target::Request(_)) => {
                self.cookie(field);
                return Ok(());
            }
            _ => {}
        }
        self.count += 1;
        self.append(Some(known), field);
        Ok(())
    }

    #[inline]
    fn other(&mut self, field: &Field<'_>) -> Result<(), ErrorKind> {
        if field.name.starts_with(b":") {
            return Err(ErrorKind::InvalidHeaderField);
        }
        self.has_field = true;
        let is_request = matches!(self.target, Target::Request(_) | Target::RequestTrailers(_));
        if is_request
            && self.options.underscores != UnderscoreAction::Allow
            && field.name.contains(&b'_')
        {
            if self.options.underscores == UnderscoreAction::Reject {
                return Err(ErrorKind::UnexpectedUnderscore);
            }
            self.dropped_underscores += 1;
            self.bytes -= field.name.len() + field.value.len();
            return Ok(());
        }
        self.count += 1;
        self.append(None, field);
        Ok(())
    }

    fn append(&mut self, known: Option<KnownName>, field: &Field<'_>) {
        let value = field.value;
        let is_padded = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        // As with HTTP/1.1, white space around a value does not belong to it.
        let value = if is_padded(value.first()) || is_padded(value.last()) {
            value.trim_ascii()
        } else {
            value
        };
        let is_secret = field.is_never_indexed;
        let (list, joins): (&mut HeaderList, fn(KnownName) -> bool) = match &mut self.target {
            Target::Request(head) => (&mut head.headers, joins_in_requests),
            Target::Response(head) => (&mut head.headers, joins_in_responses),
            Target::RequestTrailers(list) => (list, joins_in_requests),
            Target::ResponseTrailers(list) => (list, joins_in_responses),
            Target::Nothing => return,
        };
        list.append_decoded(known, field.name, value, is_secret, joins);
    }

    /// RFC 9110 section 8.6: digits, once.
    fn content_length(&mut self, value: &[u8]) -> Result<(), ErrorKind> {
        if self.content_length.is_some() {
            return Err(ErrorKind::InvalidHeaderField);
        }
        let length = content_length(value).map_err(|_| ErrorKind::InvalidHeaderField)?;
        self.content_length = Some(length);
        Ok(())
    }

    /// RFC 9113 section 8.3.1: it stands for `:authority`, where that is missing.
    fn host(&mut self, value: &[u8]) -> Result<(), ErrorKind> {
        if self.has_host || value.is_empty() || !is_authority(value) {
            return Err(ErrorKind::InvalidHeaderField);
        }
        self.has_host = true;
        self.count += 1;
        self.scratch.host.clear();
        self.scratch.host.extend_from_slice(value);
        Ok(())
    }

    /// RFC 9113 section 8.2.3: pieces of one field, joined as clients write it. As in Envoy, each
    /// piece counts as a field.
    fn cookie(&mut self, field: &Field<'_>) {
        self.count += 1;
        if self.has_cookie {
            // A piece costs what it takes in the joined field.
            self.bytes -= KnownName::Cookie.as_str().len();
            self.bytes += COOKIE_SEPARATOR.len();
            self.scratch.cookie.extend_from_slice(COOKIE_SEPARATOR);
        }
        self.has_cookie = true;
        self.is_cookie_never_indexed |= field.is_never_indexed;
        // What is above the limit is refused behind this, so no more than that is kept.
        if self.bytes <= self.options.head_bytes_max {
            self.scratch.cookie.extend_from_slice(field.value);
        }
    }

    /// The block is over: checks the section as a whole. `ends_stream` says that nothing follows.
    ///
    /// # Errors
    ///
    /// The first fault.
    pub(crate) fn finish(self, ends_stream: bool) -> Result<Summary, ErrorKind> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let mut summary = Summary {
            content_length: self.content_length,
            dropped_underscores: self.dropped_underscores,
            is_upgrade: false,
        };
        match self.target {
            Target::Request(head) => {
                summary.is_upgrade = finish_request(head, self.seen, self.has_host, self.scratch)?;
                if self.has_cookie {
                    head.headers.append_decoded(
                        Some(KnownName::Cookie),
                        b"",
                        &self.scratch.cookie,
                        self.is_cookie_never_indexed,
                        |_| false,
                    );
                }
                let is_tunnel = head.method() == Method::Connect || summary.is_upgrade;
                let has_length = self.content_length.is_some_and(|length| length > 0);
                if has_length && (ends_stream || is_tunnel) {
                    return Err(ErrorKind::InvalidMessage);
                }
                if is_tunnel {
                    head.headers.remove(KnownName::ContentLength);
                }
            }
            Target::Response(head) => {
                // 101 has no place in HTTP/2: section 8.6.
                if head.status == 0 || head.status == 101 || ends_stream && head.is_interim() {
                    return Err(ErrorKind::InvalidMessage);
                }
            }
            Target::RequestTrailers(list) | Target::ResponseTrailers(list) => {
                for name in NOT_IN_TRAILERS {
                    list.remove(name);
                }
            }
            Target::Nothing => {}
        }
        Ok(summary)
    }
}

/// Section 8.3.1, 8.5 and RFC 8441 section 4: which pseudo-header fields must be there. Returns
/// whether it is an upgrade.
fn finish_request(
    head: &mut RequestHead,
    seen: u8,
    has_host: bool,
    scratch: &Scratch,
) -> Result<bool, ErrorKind> {
    let has = |pseudo: Pseudo| seen & 1 << pseudo as u8 != 0;
    let has_protocol = has(Pseudo::Protocol);
    let is_connect = head.method() == Method::Connect;
    if !has(Pseudo::Authority) && has_host {
        head.set_authority(&scratch.host);
    }
    let is_complete = if is_connect && !has_protocol {
        has(Pseudo::Method) && !has(Pseudo::Scheme) && !has(Pseudo::Path) && has(Pseudo::Authority)
    } else {
        has(Pseudo::Method) && has(Pseudo::Scheme) && has(Pseudo::Path)
    };
    if !is_complete || head.authority().is_none() || has_protocol && !is_connect {
        return Err(ErrorKind::InvalidMessage);
    }
    if has(Pseudo::Path) && !head.path().starts_with(b"/") && !head.path().starts_with(b"*") {
        return Err(ErrorKind::InvalidMessage);
    }
    if head.path().starts_with(b"*") && (head.method() != Method::Options || head.path() != b"*") {
        return Err(ErrorKind::InvalidMessage);
    }
    if has_protocol {
        head.set_method(b"GET");
        head.headers.set(KnownName::Upgrade, &scratch.protocol);
        head.headers.set(KnownName::Connection, b"upgrade");
    }
    Ok(has_protocol)
}

/// Anything without white space or control characters; what it begins with is for the whole
/// message to judge.
fn is_path(value: &[u8]) -> bool {
    let is_path_byte = |&byte: &u8| byte > b' ' && byte != 0x7f;
    !value.is_empty() && value.iter().all(is_path_byte)
}

/// RFC 3986 section 3.1.
fn is_scheme(value: &[u8]) -> bool {
    let is_scheme_byte =
        |&byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    value.first().is_some_and(u8::is_ascii_alphabetic) && value.iter().all(is_scheme_byte)
}

fn scheme(value: &[u8]) -> Option<Scheme> {
    if value.eq_ignore_ascii_case(b"https") {
        Some(Scheme::Https)
    } else if value.eq_ignore_ascii_case(b"http") {
        Some(Scheme::Http)
    } else {
        None
    }
}

fn status(value: &[u8]) -> Option<u16> {
    let [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] = value else {
        return None;
    };
    let digit = |byte: &u8| u16::from(byte - b'0');
    Some(digit(a) * 100 + digit(b) * 10 + digit(c))
}

const fn joins_in_requests(name: KnownName) -> bool {
    matches!(name.joins(), Joins::Request | Joins::Both)
}

const fn joins_in_responses(name: KnownName) -> bool {
    matches!(name.joins(), Joins::Response | Joins::Both)
}

/// Fields that would change how a message is framed or routed: RFC 9110 section 6.5.1. Those about
/// a connection are refused already.
const NOT_IN_TRAILERS: [KnownName; 4] =
    [KnownName::ContentLength, KnownName::Host, KnownName::Te, KnownName::Trailer];

const COOKIE_SEPARATOR: &[u8] = b"; ";
