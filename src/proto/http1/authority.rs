//! Request targets that name a server, and `host`: which are accepted, measured on Envoy 1.40.

use crate::head::{RequestHead, Scheme};
use crate::http1::error::{Error, ErrorKind};

/// Splits a target in absolute form (RFC 9112 section 3.2.2) into scheme, authority and path.
/// User information is dropped, an empty path becomes `/`.
///
/// # Errors
///
/// No scheme, one other than http and https, or an invalid host or port.
pub(crate) fn absolute_form(target: &[u8], head: &mut RequestHead) -> Result<(), Error> {
    let is_scheme_byte =
        |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let (scheme, rest) = target.split_at(target.iter().take_while(is_scheme_byte).count());
    let rest = match rest.strip_prefix(b"://") {
        Some(rest) if scheme.first().is_some_and(u8::is_ascii_alphabetic) => rest,
        _ => return Err(ErrorKind::InvalidTarget.into()),
    };
    let authority_len =
        rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_len);
    if !authority.iter().all(|&byte| is_authority_byte(byte)) {
        return Err(ErrorKind::InvalidTarget.into());
    }
    let host_and_port = match authority.iter().position(|&byte| byte == b'@') {
        Some(at) => &authority[at + 1..],
        None => authority,
    };
    if !is_host_and_port(host_and_port, Port::Optional) {
        return Err(ErrorKind::InvalidUrl.into());
    }
    let scheme = if scheme.eq_ignore_ascii_case(b"http") {
        Scheme::Http
    } else if scheme.eq_ignore_ascii_case(b"https") {
        Scheme::Https
    } else {
        return Err(ErrorKind::InvalidScheme.into());
    };
    head.scheme = Some(scheme);
    head.set_authority(host_and_port);
    head.set_path(if path.is_empty() { b"/" } else { path });
    Ok(())
}

/// The target of CONNECT: host and port (RFC 9112 section 3.2.3).
///
/// # Errors
///
/// Anything else; the port must be there.
pub(crate) fn authority_form(target: &[u8], head: &mut RequestHead) -> Result<(), Error> {
    if !is_host_and_port(target, Port::Required) {
        return Err(ErrorKind::InvalidUrl.into());
    }
    head.set_authority(target);
    Ok(())
}

/// Whether `host` may say this: bytes of RFC 3986 section 3.2, without user information. Empty is
/// allowed.
pub(crate) fn is_authority(value: &[u8]) -> bool {
    value.iter().all(|&byte| HOST_BYTES[usize::from(byte)])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    Optional,
    Required,
}

/// A name, an IPv4 address or an IPv6 address in brackets, and a port of 16 bits.
fn is_host_and_port(text: &[u8], port: Port) -> bool {
    let host_len = match text {
        [b'[', ..] => match text.iter().position(|&byte| byte == b']') {
            Some(end) if is_ipv6(&text[1..end]) => end + 1,
            _ => return false,
        },
        _ => text
            .iter()
            .take_while(|&&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
            .count(),
    };
    let (host, rest) = text.split_at(host_len);
    match rest {
        _ if host.is_empty() => false,
        [] => port == Port::Optional,
        [b':', digits @ ..] => is_port(digits),
        _ => false,
    }
}

fn is_ipv6(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}

/// Digits of a number of 16 bits.
fn is_port(digits: &[u8]) -> bool {
    let number = digits.iter().try_fold(0_u32, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        Some((number * 10 + digit).min(u32::from(u16::MAX) + 1))
    });
    !digits.is_empty() && number.is_some_and(|number| number <= u32::from(u16::MAX))
}

const fn is_authority_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b'-'
                | b'.'
                | b':'
                | b';'
                | b'='
                | b'@'
                | b'['
                | b']'
                | b'_'
                | b'~'
        )
}

/// Bytes of `host`: not the one behind which others would look for it.
static HOST_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = is_authority_byte(byte) && byte != b'@';
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};
