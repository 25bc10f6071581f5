//! Finding a header at the start of a connection.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str;

use super::{
    Addresses, Tlv, V1_LEN_MAX, V1_SIGNATURE, V2_FIXED_LEN, V2_IPV4_LEN, V2_IPV6_LEN, V2_SIGNATURE,
    Version,
};

/// What a receiver takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Whether version 1 is taken.
    pub v1: bool,
    /// Whether version 2 is taken.
    pub v2: bool,
    /// What a connection without a header is.
    pub absence: Absence,
}

impl Default for Rules {
    /// What the specification asks for: either version, and never none.
    fn default() -> Self {
        Self { v1: true, v2: true, absence: Absence::Refused }
    }
}

/// What a connection without a header is. The specification knows no such connections: whoever can
/// connect can then pretend to be anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// Refused.
    Refused,
    /// Taken as it is. Versions that are not taken count as no header then.
    Allowed,
}

/// What the bytes so far are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// The beginning of a header, or too little to tell. So many bytes more can belong to it at
    /// most: who takes in no more has taken nothing of what follows the header.
    NeedMore(usize),
    /// No header, which is allowed: all of the bytes belong to the connection.
    Absent,
    /// A header.
    Header(Header<'a>),
}

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its form.
    pub version: Version,
    /// Bytes of it at the start of the input.
    pub len: usize,
    /// Whose connection it is. `None` if the proxy speaks for itself (`LOCAL`, a health check for
    /// example) or does not know (`UNKNOWN`): the connection's own addresses hold then.
    pub addresses: Option<Addresses>,
    /// The extensions. Those of `LOCAL` are left out, as the specification asks.
    pub tlvs: Tlvs<'a>,
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no header.
    Absent,
    /// It is of a version that is not taken.
    Disallowed(Version),
    /// It is a header, and wrong.
    Malformed(Version, Malformed),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("there is no PROXY header"),
            Self::Disallowed(version) => write!(f, "a PROXY header of version {version:?}"),
            Self::Malformed(version, what) => {
                write!(f, "a PROXY header of version {version:?}: {what}")
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// What is wrong with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// The line does not end within 108 bytes.
    LineTooLong,
    /// The line has not the six parts of `TCP4` and `TCP6`, or is not ASCII.
    Line,
    /// The second part is neither `TCP4` nor `TCP6` nor `UNKNOWN`.
    Protocol,
    /// An address is no IP address of that family.
    Address,
    /// A port is no number up to 65535.
    Port,
    /// The upper half of the 13th byte is not 2.
    Revision,
    /// The command is neither `LOCAL` nor `PROXY`.
    Command,
    /// The family is neither `AF_INET` nor `AF_INET6`, or the transport neither stream nor
    /// datagram.
    Family,
    /// The length has no room for the addresses.
    Length,
    /// An address that no connection can have: unspecified, multicast or broadcast.
    NotUnicast,
    /// An extension is longer than what is left.
    Tlv,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LineTooLong => "no end of line within 108 bytes",
            Self::Line => "not six parts",
            Self::Protocol => "neither TCP4 nor TCP6 nor UNKNOWN",
            Self::Address => "not an address of its family",
            Self::Port => "not a port",
            Self::Revision => "unknown revision of the binary header",
            Self::Command => "neither LOCAL nor PROXY",
            Self::Family => "neither IPv4 nor IPv6",
            Self::Length => "too short for its addresses",
            Self::NotUnicast => "an address that no connection can have",
            Self::Tlv => "an extension longer than the header",
        })
    }
}

/// Looks for a header at the start of `input`, which is everything that has come on a connection
/// so far.
///
/// # Errors
/// [`Refusal`]: the connection is to be closed.
pub fn decode(input: &[u8], rules: Rules) -> Result<Decoded<'_>, Refusal> {
    let is_allowed = rules.absence == Absence::Allowed;
    // Where none is needed, versions that are not taken are not looked for.
    let (v1, v2) = (rules.v1 || !is_allowed, rules.v2 || !is_allowed);
    let may_be = |signature: &[u8]| {
        let len = signature.len().min(input.len());
        input[..len] == signature[..len]
    };
    let (may_be_v1, may_be_v2) = (v1 && may_be(V1_SIGNATURE), v2 && may_be(V2_SIGNATURE));
    if may_be_v2 && input.len() >= V2_FIXED_LEN {
        return if rules.v2 { binary(input) } else { Err(Refusal::Disallowed(Version::V2)) };
    }
    if may_be_v1 && input.len() >= V1_SIGNATURE.len() {
        return match line(input)? {
            None => Ok(Decoded::NeedMore(V1_LEN_MAX - input.len())),
            Some(line) if rules.v1 => text(line),
            Some(_) => Err(Refusal::Disallowed(Version::V1)),
        };
    }
    if is_allowed && !may_be_v1 && !may_be_v2 {
        return Ok(Decoded::Absent);
    }
    // Without a header Envoy waits for as many bytes as the shortest binary one has, or a line.
    if !may_be_v1 && !may_be_v2 && (input.len() >= V2_FIXED_LEN || has_line(input)) {
        return Err(Refusal::Absent);
    }
    Ok(Decoded::NeedMore(V2_FIXED_LEN - input.len()))
}

/// Whether a line that is not empty ends in `input`.
fn has_line(input: &[u8]) -> bool {
    find_line_end(input).is_some_and(|end| end > 2)
}

/// Where the first line ends, its CRLF included.
fn find_line_end(input: &[u8]) -> Option<usize> {
    input.windows(2).position(|pair| pair == b"\r\n").map(|start| start + 2)
}

/// The whole first line of a header of version 1.
fn line(input: &[u8]) -> Result<Option<&[u8]>, Refusal> {
    let too_long = Refusal::Malformed(Version::V1, Malformed::LineTooLong);
    match find_line_end(&input[..input.len().min(V1_LEN_MAX)]) {
        Some(end) => Ok(Some(&input[..end])),
        None if input.len() >= V1_LEN_MAX => Err(too_long),
        None => Ok(None),
    }
}

/// Version 1: `line` is the whole line.
fn text(line: &[u8]) -> Result<Decoded<'static>, Refusal> {
    let addresses = text_addresses(line).map_err(|what| Refusal::Malformed(Version::V1, what))?;
    Ok(Decoded::Header(Header {
        version: Version::V1,
        len: line.len(),
        addresses,
        tlvs: Tlvs { bytes: &[] },
    }))
}

fn text_addresses(line: &[u8]) -> Result<Option<Addresses>, Malformed> {
    // Envoy forgives white space before the end.
    let mut parts = line.trim_ascii_end().split(|&byte| byte == b' ').skip(1);
    let protocol = parts.next().ok_or(Malformed::Line)?;
    let ip: fn(&str) -> Option<IpAddr> = match protocol {
        b"UNKNOWN" => return Ok(None),
        b"TCP4" => |text| text.parse().ok().map(|ip: Ipv4Addr| ip.into()),
        b"TCP6" => |text| text.parse().ok().map(|ip: Ipv6Addr| ip.into()),
        _ => return Err(Malformed::Protocol),
    };
    let mut part = || parts.next().ok_or(Malformed::Line);
    let [source, destination, source_port, destination_port] = [part()?, part()?, part()?, part()?];
    if parts.next().is_some() {
        return Err(Malformed::Line);
    }
    let ip = |text: &[u8]| -> Result<IpAddr, Malformed> {
        ip(str::from_utf8(text).map_err(|_| Malformed::Line)?).ok_or(Malformed::Address)
    };
    let source = SocketAddr::new(ip(source)?, port(source_port)?);
    let destination = SocketAddr::new(ip(destination)?, port(destination_port)?);
    unicast(Addresses { source, destination }).map(Some)
}

/// As Envoy reads it: white space around it, a plus sign and leading zeros do not matter.
fn port(text: &[u8]) -> Result<u16, Malformed> {
    let text = str::from_utf8(text.trim_ascii()).map_err(|_| Malformed::Port)?;
    text.parse().map_err(|_| Malformed::Port)
}

/// TCP and UDP both have one sender and one recipient.
fn unicast(addresses: Addresses) -> Result<Addresses, Malformed> {
    let is_unicast = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
    };
    let both = is_unicast(addresses.source) && is_unicast(addresses.destination);
    if both { Ok(addresses) } else { Err(Malformed::NotUnicast) }
}

const COMMAND_LOCAL: u8 = 0;
const COMMAND_PROXY: u8 = 1;
const FAMILY_INET: u8 = 1;
const FAMILY_INET6: u8 = 2;
const TRANSPORT_STREAM: u8 = 1;
const TRANSPORT_DATAGRAM: u8 = 2;

/// Version 2: `input` has its signature and its fixed part.
fn binary(input: &[u8]) -> Result<Decoded<'_>, Refusal> {
    let refuse = |what| Err(Refusal::Malformed(Version::V2, what));
    let (revision, command) = (input[12] >> 4, input[12] & 0xf);
    let (family, transport) = (input[13] >> 4, input[13] & 0xf);
    let body_len = usize::from(u16::from_be_bytes([input[14], input[15]]));
    if revision != 2 {
        return refuse(Malformed::Revision);
    }
    let addresses_len = match (command, family, transport) {
        (COMMAND_LOCAL, ..) => 0,
        (COMMAND_PROXY, FAMILY_INET, TRANSPORT_STREAM | TRANSPORT_DATAGRAM) => V2_IPV4_LEN,
        (COMMAND_PROXY, FAMILY_INET6, TRANSPORT_STREAM | TRANSPORT_DATAGRAM) => V2_IPV6_LEN,
        (COMMAND_PROXY, ..) => return refuse(Malformed::Family),
        _ => return refuse(Malformed::Command),
    };
    if body_len < addresses_len {
        return refuse(Malformed::Length);
    }
    let len = V2_FIXED_LEN + body_len;
    if input.len() < len {
        return Ok(Decoded::NeedMore(len - input.len()));
    }
    let (encoded, extensions) = input[V2_FIXED_LEN..len].split_at(addresses_len);
    let (addresses, tlvs) = match command {
        COMMAND_LOCAL => (None, Tlvs { bytes: &[] }),
        _ => match (binary_addresses(encoded), Tlvs::new(extensions)) {
            (Ok(addresses), Ok(tlvs)) => (Some(addresses), tlvs),
            (Err(what), _) | (_, Err(what)) => return refuse(what),
        },
    };
    Ok(Decoded::Header(Header { version: Version::V2, len, addresses, tlvs }))
}

/// `encoded` is 12 or 36 bytes: both addresses, then both ports.
fn binary_addresses(encoded: &[u8]) -> Result<Addresses, Malformed> {
    let (ips, ports) = encoded.split_at(encoded.len() - 4);
    let (source, destination) = ips.split_at(ips.len() / 2);
    let ip = |bytes: &[u8]| -> Result<IpAddr, Malformed> {
        if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
            return Ok(v4.into());
        }
        <[u8; 16]>::try_from(bytes).map(IpAddr::from).map_err(|_| Malformed::Length)
    };
    let at = if cfg!(planted = "proxy_protocol_one_port") { 0 } else { 2 };
    let destination_port = u16::from_be_bytes([ports[at], ports[at + 1]]);
    unicast(Addresses {
        source: SocketAddr::new(ip(source)?, u16::from_be_bytes([ports[0], ports[1]])),
        destination: SocketAddr::new(ip(destination)?, destination_port),
    })
}

/// The extensions of a header, whole ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tlvs<'a> {
    bytes: &'a [u8],
}

impl<'a> Tlvs<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut rest = bytes;
        let shortest = if cfg!(planted = "proxy_protocol_loose_end") { 3 } else { 1 };
        while rest.len() >= shortest {
            rest = split_tlv(rest).ok_or(Malformed::Tlv)?.1;
        }
        Ok(Self { bytes })
    }

    /// One after the other, as they were sent.
    #[must_use]
    pub const fn iter(self) -> TlvIter<'a> {
        TlvIter { rest: self.bytes }
    }
}

impl<'a> IntoIterator for Tlvs<'a> {
    type Item = Tlv<'a>;
    type IntoIter = TlvIter<'a>;

    fn into_iter(self) -> TlvIter<'a> {
        self.iter()
    }
}

/// Extensions, one after the other.
#[derive(Debug, Clone)]
pub struct TlvIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for TlvIter<'a> {
    type Item = Tlv<'a>;

    fn next(&mut self) -> Option<Tlv<'a>> {
        let (tlv, rest) = split_tlv(self.rest)?;
        self.rest = rest;
        Some(tlv)
    }
}

/// The first extension and what is behind it; `None` if it is not whole.
fn split_tlv(bytes: &[u8]) -> Option<(Tlv<'_>, &[u8])> {
    let (&[kind, high, low], rest) = bytes.split_first_chunk::<3>()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
    Some((Tlv { kind, value }, rest))
}
