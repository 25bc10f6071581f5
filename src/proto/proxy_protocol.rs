//! The PROXY protocol, versions 1 and 2: the header by which a proxy tells the next one whose
//! connection this is.
//!
//! [`decode`] looks for a header at the start of a connection, [`encode_v1`] and [`encode_v2`]
//! write one. What is done with the addresses is the business of the floors above.
//!
//! **Invariant:** whether a header is complete, refused or absent depends on the bytes alone, not
//! on how they were cut; and nobody needs more than [`HEADER_LEN_MAX`] bytes to tell.
//!
//! <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>

mod decode;
mod encode;

use std::net::{IpAddr, SocketAddr};

pub use decode::{Absence, Decoded, Header, Malformed, Refusal, Rules, TlvIter, Tlvs, decode};
pub use encode::{TlvsTooLong, encode_v1, encode_v2};

/// What every header of version 1 begins with.
const V1_SIGNATURE: &[u8] = b"PROXY ";

/// What every header of version 2 begins with.
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of a version 2 header before its addresses.
const V2_FIXED_LEN: usize = 16;

/// Bytes of two IPv4 addresses with their ports.
const V2_IPV4_LEN: usize = 12;

/// Bytes of two IPv6 addresses with their ports.
const V2_IPV6_LEN: usize = 36;

/// Longest line of version 1, its CRLF included. The specification counts 107 bytes and Envoy one
/// more.
const V1_LEN_MAX: usize = 108;

/// Longest header: version 2 with as much as its length can say.
pub const HEADER_LEN_MAX: usize = V2_FIXED_LEN + u16::MAX as usize;

/// Which form a header has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary, with room for extensions (TLVs).
    V2,
}

/// Whose connection it is: both ends, as the first proxy saw them. Both are of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    source: SocketAddr,
    destination: SocketAddr,
}

impl Addresses {
    /// The header has room for two addresses of one family: where they differ, the IPv4 one
    /// becomes an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2).
    #[must_use]
    pub fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        if source.is_ipv4() == destination.is_ipv4() {
            return Self { source, destination };
        }
        Self { source: as_v6(source), destination: as_v6(destination) }
    }

    /// Who connected.
    #[must_use]
    pub const fn source(&self) -> SocketAddr {
        self.source
    }

    /// Bytes they take in a header of version 2.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        if self.source.is_ipv4() { V2_IPV4_LEN } else { V2_IPV6_LEN }
    }

    /// What it connected to.
    #[must_use]
    pub const fn destination(&self) -> SocketAddr {
        self.destination
    }
}

fn as_v6(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// An extension of version 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// `PP2_TYPE_*`.
    pub kind: u8,
    /// At most 65535 bytes.
    pub value: &'a [u8],
}
