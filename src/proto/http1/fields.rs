//! From the lines of a head to fields: the strictness that `httparse` leaves to its caller.
//!
//! `httparse` refuses what is no token before the colon, white space there, folded lines, control
//! characters and lone carriage returns. It accepts lines that end with a line feed alone: that is
//! looked at here.

use std::mem::MaybeUninit;

use crate::headers::{HeaderList, KnownName, Received};
use crate::http1::error::{Error, ErrorKind};
use crate::http1::options::{BareLineFeeds, UnderscoreAction};

/// Room for the lines of a head on the stack. Limits above it are served from the heap.
pub(crate) const LINES_ON_STACK: usize = 128;

/// A place for the lines that `httparse` finds.
pub(crate) type Lines<'b> = [MaybeUninit<httparse::Header<'b>>; LINES_ON_STACK];

/// Room for lines, none of which is written yet.
#[inline]
pub(crate) const fn lines<'b>() -> Lines<'b> {
    [const { MaybeUninit::uninit() }; LINES_ON_STACK]
}

/// Room for the lines of a head that may have more of them, at most as many as `input` can hold.
pub(crate) fn lines_on_heap<'b>(input: &[u8], headers_max: usize) -> Vec<httparse::Header<'b>> {
    let lines_max = memchr::memchr_iter(b'\n', input).count();
    vec![httparse::EMPTY_HEADER; lines_max.min(headers_max.saturating_add(1))]
}

/// What is to be done with the lines of a section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FieldRules {
    pub(crate) headers_max: usize,
    pub(crate) underscores: UnderscoreAction,
    pub(crate) bare_line_feeds: BareLineFeeds,
    /// Whether a repeated known name is joined to one line.
    pub(crate) joins: fn(KnownName) -> bool,
}

/// What was noticed while copying the lines.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Noticed<'b> {
    /// The value of `host`, which is not put into the list.
    pub(crate) host: Option<&'b [u8]>,
    /// Fields dropped for an underscore.
    pub(crate) dropped_underscores: u32,
    /// As [`MessageStart::field_bytes`](crate::http1::MessageStart::field_bytes).
    pub(crate) field_bytes: u32,
}

/// Copies the lines of a section, which is all of `bytes` up to the empty line, into `list`.
/// Where `takes_host` is set, `host` is handed back instead.
///
/// # Errors
///
/// More lines than allowed, a bare line feed, an underscore, a second `host` or `content-length`.
#[inline]
pub(crate) fn copy<'b>(
    bytes: &[u8],
    lines: &[httparse::Header<'b>],
    rules: FieldRules,
    takes_host: bool,
    list: &mut HeaderList,
) -> Result<Noticed<'b>, Error> {
    if lines.len() > rules.headers_max {
        return Err(ErrorKind::TooManyHeaders.into());
    }
    let is_planted = cfg!(planted = "http1_request_bare_lf") && takes_host
        || cfg!(planted = "http1_response_bare_lf") && !takes_host;
    let is_strict = rules.bare_line_feeds == BareLineFeeds::Refuse && !is_planted;
    // The last line may be the only one: a section without fields.
    if is_strict && !bytes.ends_with(b"\r\n\r\n") && bytes != b"\r\n" {
        return Err(ErrorKind::BareLineFeed.into());
    }
    let start = bytes.as_ptr().addr();
    let copy = list.receive(bytes, lines.len());
    let mut noticed = Noticed::default();
    let mut field_bytes = 0;
    for line in lines {
        let name = line.name.as_bytes();
        field_bytes += name.len() + line.value.len() + FIELD_FRAME_BYTES;
        let at = name.as_ptr().addr() - start;
        // `httparse` has found every line, so each line end is before a name, or the last one. A
        // section that starts with a name (a trailer) has no line before it.
        if is_strict && at > 0 && !bytes[..at].ends_with(b"\r\n") {
            return Err(ErrorKind::BareLineFeed.into());
        }
        if rules.underscores != UnderscoreAction::Allow && name.contains(&b'_') {
            if rules.underscores == UnderscoreAction::Reject {
                return Err(ErrorKind::UnexpectedUnderscore.into());
            }
            noticed.dropped_underscores += 1;
            continue;
        }
        if takes_host && name.len() == 4 && name.eq_ignore_ascii_case(b"host") {
            if noticed.host.replace(line.value).is_some() {
                return Err(ErrorKind::DuplicateHost.into());
            }
            continue;
        }
        // An empty value need not lie within the section.
        let value_start = copy.wrapping_add(line.value.as_ptr().addr().wrapping_sub(start));
        let value = match line.value.len() {
            0 => copy..copy,
            length => value_start..value_start + length,
        };
        let received = list.append_received(name, copy + at, value, rules.joins);
        if received == Received::Repeated(KnownName::ContentLength) {
            return Err(ErrorKind::InvalidContentLength.into());
        }
    }
    noticed.field_bytes = u32::try_from(field_bytes).unwrap_or(u32::MAX);
    Ok(noticed)
}

/// The colon and the line end of a field.
const FIELD_FRAME_BYTES: usize = 3;

/// What is wrong with a complete section that `httparse` refused: control characters come first,
/// as Envoy looks for them before anything else.
#[cold]
pub(crate) fn judge(bytes: &[u8], otherwise: ErrorKind) -> Error {
    let is_control = |&byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\r' | b'\n');
    if bytes.iter().any(is_control) {
        ErrorKind::InvalidCharacters.into()
    } else {
        otherwise.into()
    }
}

/// The kind for what `httparse` says about a section.
pub(crate) fn kind_of(error: httparse::Error, first_line: ErrorKind) -> ErrorKind {
    match error {
        httparse::Error::HeaderName => ErrorKind::InvalidHeaderName,
        httparse::Error::HeaderValue => ErrorKind::InvalidHeaderValue,
        httparse::Error::TooManyHeaders => ErrorKind::TooManyHeaders,
        httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token
        | httparse::Error::Version => first_line,
    }
}

/// Whether the body is chunked. Where both length and coding are said and `allows_both` is set,
/// the length is removed.
///
/// # Errors
///
/// Both, or a coding other than `chunked`.
#[inline]
pub(crate) fn is_chunked(headers: &mut HeaderList, allows_both: bool) -> Result<bool, Error> {
    let Some(coding) = headers.get(KnownName::TransferEncoding) else {
        return Ok(false);
    };
    let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
    if headers.contains(KnownName::ContentLength) {
        if !is_chunked || !allows_both {
            return Err(ErrorKind::ContentLengthAndChunked.into());
        }
        headers.remove(KnownName::ContentLength);
    }
    if is_chunked { Ok(true) } else { Err(ErrorKind::InvalidTransferEncoding.into()) }
}

/// A `content-length` value: digits and nothing else (RFC 9110 section 8.6).
///
/// # Errors
///
/// Anything else, and a number of more than 64 bits.
pub(crate) fn content_length(value: &[u8]) -> Result<u64, Error> {
    if value.is_empty() {
        return Err(ErrorKind::InvalidContentLength.into());
    }
    value
        .iter()
        .try_fold(0_u64, |length, byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            length.checked_mul(10)?.checked_add(digit)
        })
        .ok_or_else(|| ErrorKind::InvalidContentLength.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_length_is_digits_within_64_bits() {
        for (text, length) in [("0", 0), ("03", 3), ("18446744073709551615", u64::MAX)] {
            assert_eq!(content_length(text.as_bytes()), Ok(length));
        }
        for text in ["", "+3", "-3", "0x3", "3,3", "3 3", " 3", "3 ", "18446744073709551616", "٣"]
        {
            assert!(content_length(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
