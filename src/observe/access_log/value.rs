//! What an operator yields, and how it is printed: as text, or typed as JSON.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::SystemTime;

use base::{Address, Cidr};

use super::digits::write_unsigned;
use super::filter_state::Shown;
use super::metadata::write_object;
use super::time_format::TimeFormat;
use crate::ResponseFlags;

/// A value on its way into a line; it borrows from the record and the format.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    /// There is none: `-` as text, `null` in JSON.
    Missing,
    Text(&'a [u8]),
    /// Text in which blanks print as `_`.
    Underscored(&'a str),
    Number(u64),
    /// A number that is a text in JSON too.
    Digits(u64),
    Time(SystemTime, &'a TimeFormat),
    ShortFlags(&'a ResponseFlags),
    LongFlags(&'a ResponseFlags),
    /// Address and port.
    Address(&'a Address),
    /// Address only.
    Ip(&'a Address),
    /// A range of addresses.
    Range(Cidr),
    /// Addresses and ports, separated by commas.
    Addresses(&'a [Address]),
    /// Addresses only, separated by commas.
    Ips(&'a [Address]),
    /// Numbers, separated by commas: text, also in JSON.
    Numbers(&'a [u64]),
    /// Texts by name, as JSON, in a text cut after so many bytes.
    Object(&'a [(String, String)], Option<usize>),
    /// An object of the filter state, or a part of it.
    Shown(Shown<'a>),
    /// A JSON document; as text, so many bytes of it.
    Json(&'a [u8], Option<usize>),
}

impl<'a> Value<'a> {
    pub(super) fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Missing, |text| Self::Text(text.as_bytes()))
    }

    /// Text that counts as missing when it is empty.
    pub(super) fn name(name: &'a str) -> Self {
        if name.is_empty() { Self::Missing } else { Self::Text(name.as_bytes()) }
    }

    pub(super) fn bytes(bytes: Option<&'a [u8]>, length_max: Option<usize>) -> Self {
        let cut = |bytes: &'a [u8]| &bytes[..length_max.unwrap_or(usize::MAX).min(bytes.len())];
        bytes.map_or(Self::Missing, |bytes| Self::Text(cut(bytes)))
    }

    pub(super) fn is_missing(self) -> bool {
        matches!(self, Self::Missing)
    }

    /// Appends the value as plain text; nothing when it is missing.
    pub(super) fn write_text(self, out: &mut Vec<u8>) {
        match self {
            Self::Missing => {}
            Self::Text(text) => out.extend_from_slice(text),
            Self::Underscored(text) => {
                out.extend(text.bytes().map(|byte| if byte == b' ' { b'_' } else { byte }));
            }
            Self::Number(number) | Self::Digits(number) => write_unsigned(number, out),
            Self::Time(time, format) => format.write(time, out),
            Self::ShortFlags(flags) => write_flags(flags, |flag| flag.short(), out),
            Self::LongFlags(flags) => write_flags(flags, |flag| flag.long(), out),
            Self::Address(address) => write_address(address, out),
            Self::Ip(address) => write_ip(address, out),
            // Writing to a Vec cannot fail.
            Self::Range(range) => drop(write!(out, "{range}")),
            Self::Addresses(all) => write_list(all, write_address, out),
            Self::Ips(all) => write_list(all, write_ip, out),
            Self::Numbers(all) => write_list(all, |one, out| write_unsigned(*one, out), out),
            Self::Shown(shown) => shown.write_text(out),
            Self::Object(fields, length_max) => {
                let start = out.len();
                write_object(fields, out);
                out.truncate(start.saturating_add(length_max.unwrap_or(usize::MAX)));
            }
            Self::Json(document, length_max) => {
                let end = length_max.unwrap_or(usize::MAX).min(document.len());
                out.extend_from_slice(&document[..end]);
            }
        }
    }

    /// Appends the value as JSON: numbers stay numbers, a missing one is `null`.
    pub(super) fn write_json(self, out: &mut Vec<u8>) {
        match self {
            Self::Missing => out.extend_from_slice(b"null"),
            Self::Number(number) => write_unsigned(number, out),
            Self::Object(fields, _) => write_object(fields, out),
            Self::Json(document, _) => out.extend_from_slice(document),
            Self::Shown(shown) if shown.write_json(out) => {}
            _ => {
                out.push(b'"');
                self.write_json_inner(out);
                out.push(b'"');
            }
        }
    }

    /// Appends the value as a part of a JSON string; nothing when it is missing.
    pub(super) fn write_json_inner(self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => write_escaped(text, out),
            Self::Underscored(text) if needs_escape(text.as_bytes()) => {
                let start = out.len();
                write_escaped(text.as_bytes(), out);
                let blanks = out[start..].iter_mut().filter(|byte| **byte == b' ');
                blanks.for_each(|byte| *byte = b'_');
            }
            Self::Address(Address::Pipe(path)) | Self::Ip(Address::Pipe(path)) => {
                write_escaped(path.as_bytes(), out);
            }
            Self::Addresses(_)
            | Self::Ips(_)
            | Self::Object(..)
            | Self::Shown(_)
            | Self::Json(..) => {
                let start = out.len();
                self.write_text(out);
                escape_from(start, out);
            }
            // No other kind has anything that JSON escapes, a time's own text aside.
            Self::Time(time, format) => {
                let start = out.len();
                format.write(time, out);
                escape_from(start, out);
            }
            _ => self.write_text(out),
        }
    }
}

fn write_list<T>(all: &[T], write: impl Fn(&T, &mut Vec<u8>), out: &mut Vec<u8>) {
    for (index, one) in all.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(one, out);
    }
}

fn write_flags(
    flags: &ResponseFlags,
    name: impl Fn(crate::ResponseFlag) -> &'static str,
    out: &mut Vec<u8>,
) {
    if flags.is_empty() {
        out.push(b'-');
    }
    write_list(flags.as_slice(), |flag, out| out.extend_from_slice(name(*flag).as_bytes()), out);
}

fn write_address(address: &Address, out: &mut Vec<u8>) {
    let Address::Ip(ip) = address else { return write_ip(address, out) };
    if ip.is_ipv6() {
        out.push(b'[');
        write_ip(address, out);
        out.push(b']');
    } else {
        write_ip(address, out);
    }
    out.push(b':');
    write_unsigned(u64::from(ip.port()), out);
}

/// The address without its port; the path of a Unix-domain socket has none.
fn write_ip(address: &Address, out: &mut Vec<u8>) {
    match address {
        Address::Ip(SocketAddr::V4(address)) => {
            write_list_of_octets(address.ip().octets(), out);
        }
        // Writing to a Vec cannot fail.
        Address::Ip(SocketAddr::V6(address)) => drop(write!(out, "{}", address.ip())),
        Address::Pipe(path) => out.extend_from_slice(path.as_bytes()),
    }
}

fn write_list_of_octets(octets: [u8; 4], out: &mut Vec<u8>) {
    for (index, octet) in octets.into_iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        write_unsigned(u64::from(octet), out);
    }
}

/// Appends the shortest decimal spelling of a finite double: plain or with an exponent, whichever
/// has fewer characters, plain if both have as many. The exponent has two digits at least.
pub(super) fn write_double(number: f64, out: &mut Vec<u8>) {
    let start = out.len();
    // Writing to a Vec cannot fail.
    drop(write!(out, "{number}"));
    let plain = out.len() - start;
    drop(write!(out, "{number:e}"));
    let exponent = out[start + plain..].iter().rposition(|byte| *byte == b'e');
    let Some(exponent) = exponent.map(|at| start + plain + at + 1) else { return };
    // "1e5" becomes "1e+05", "1e-7" becomes "1e-07".
    if out.get(exponent) != Some(&b'-') {
        out.insert(exponent, b'+');
    }
    if out.len() - exponent < 3 {
        out.insert(exponent + 1, b'0');
    }
    if out.len() - start - plain < plain {
        out.drain(start..start + plain);
    } else {
        out.truncate(start + plain);
    }
}

/// Whether JSON does not take these bytes as they are.
fn needs_escape(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, 0..=0x1f | b'"' | b'\\' | 0x7f..=0xff))
}

/// Appends text as the inside of a JSON string. Bytes that are no UTF-8 make Envoy escape every
/// byte that is not plain ASCII, each as if it were a character of its own.
pub(super) fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    if !needs_escape(text) {
        out.extend_from_slice(text);
        return;
    }
    let valid = std::str::from_utf8(text).is_ok();
    for &byte in text {
        match byte {
            b'"' if valid => out.extend_from_slice(b"\\\""),
            b'\\' if valid => out.extend_from_slice(b"\\\\"),
            0x08 if valid => out.extend_from_slice(b"\\b"),
            b'\t' if valid => out.extend_from_slice(b"\\t"),
            b'\n' if valid => out.extend_from_slice(b"\\n"),
            0x0c if valid => out.extend_from_slice(b"\\f"),
            b'\r' if valid => out.extend_from_slice(b"\\r"),
            0..=0x1f => write_unicode_escape(byte, out),
            b'"' | b'\\' | 0x7f..=0xff if !valid => write_unicode_escape(byte, out),
            _ => out.push(byte),
        }
    }
}

fn write_unicode_escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"\\u00");
    out.push(HEX[usize::from(byte >> 4)]);
    out.push(HEX[usize::from(byte & 15)]);
}

/// Escapes what was appended from `start` on. Only unusual text pays for the copy.
fn escape_from(start: usize, out: &mut Vec<u8>) {
    if needs_escape(&out[start..]) {
        let text = out.split_off(start);
        write_escaped(&text, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// Numbers as they stood in a `json_format`, and what Envoy 1.40 made of them.
    #[test]
    fn doubles_are_spelled_as_short_as_can_be() {
        for (number, expected) in [
            (0.0, "0"),
            (100_000.0, "1e+05"),
            (120_000.0, "120000"),
            (1_000_000.0, "1e+06"),
            (123_456_789_012.0, "123456789012"),
            (1e20, "1e+20"),
            (0.1, "0.1"),
            (-5.0, "-5"),
            (1.5e-7, "1.5e-07"),
            (1e100, "1e+100"),
        ] {
            assert_eq!(written(|out| write_double(number, out)), expected);
        }
        assert_eq!(written(|out| Value::Number(100_000).write_json(out)), "100000");
    }

    /// Strings that Envoy 1.40 printed in a JSON line.
    #[test]
    fn strings_are_escaped_as_envoy_does() {
        let escaped = |text: &[u8]| written(|out| write_escaped(text, out));
        assert_eq!(escaped("café €".as_bytes()), "café €");
        assert_eq!(escaped(b"bad\xff\xc3"), "bad\\u00ff\\u00c3");
        assert_eq!(escaped(b"tab\there \xed\xa0\x80"), "tab\\u0009here \\u00ed\\u00a0\\u0080");
        assert_eq!(escaped(b"q\"\\\n\t\x01"), "q\\\"\\\\\\n\\t\\u0001");
    }

    #[test]
    fn addresses_print_with_and_without_their_port() {
        let ip = |text: &str| Address::from(text.parse::<SocketAddr>().unwrap());
        let address = ip("[::1]:80");
        assert_eq!(written(|out| Value::Address(&address).write_text(out)), "[::1]:80");
        assert_eq!(written(|out| Value::Ip(&address).write_text(out)), "::1");
        let address = ip("127.0.0.1:8080");
        assert_eq!(written(|out| Value::Address(&address).write_json(out)), "\"127.0.0.1:8080\"");
        let pipe = Address::Pipe("/a\"b".into());
        assert_eq!(written(|out| Value::Address(&pipe).write_text(out)), "/a\"b");
        assert_eq!(written(|out| Value::Ip(&pipe).write_json(out)), "\"/a\\\"b\"");
        let list = [address.clone(), address];
        assert_eq!(written(|out| Value::Ips(&list).write_text(out)), "127.0.0.1,127.0.0.1");
    }
}
