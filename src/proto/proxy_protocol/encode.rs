//! Writing a header.

use std::fmt;
use std::io::Write as _;
use std::net::IpAddr;

use super::{Addresses, Tlv, V2_SIGNATURE};

/// Version and command of version 2.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// Family and transport of version 2.
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// Appends a header of version 1. `None` says that it is not known whose connection it is.
pub fn encode_v1(addresses: Option<&Addresses>, out: &mut Vec<u8>) {
    let Some(addresses) = addresses else {
        return out.extend_from_slice(b"PROXY UNKNOWN\r\n");
    };
    let Addresses { source, destination } = addresses;
    let protocol = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (source_ip, destination_ip) = (source.ip(), destination.ip());
    let (source_port, destination_port) = (source.port(), destination.port());
    // Writing to memory does not fail.
    let _ = write!(
        out,
        "PROXY {protocol} {source_ip} {destination_ip} {source_port} {destination_port}\r\n"
    );
}

/// Appends a header of version 2. `None` says that the connection is the proxy's own (`LOCAL`).
///
/// # Errors
/// [`TlvsTooLong`] if the extensions are longer than a header can say; nothing is appended then.
pub fn encode_v2<'a>(
    addresses: Option<&Addresses>,
    tlvs: impl IntoIterator<Item = Tlv<'a>>,
    out: &mut Vec<u8>,
) -> Result<(), TlvsTooLong> {
    let start = out.len();
    out.extend_from_slice(V2_SIGNATURE);
    out.extend_from_slice(&match addresses {
        None => [LOCAL, UNSPECIFIED],
        Some(Addresses { source, .. }) if source.is_ipv4() => [PROXY, TCP_OVER_IPV4],
        Some(_) => [PROXY, TCP_OVER_IPV6],
    });
    let length_at = out.len();
    out.extend_from_slice(&[0; 2]);
    if let Some(Addresses { source, destination }) = addresses {
        for address in [source, destination] {
            match address.ip() {
                IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
                IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
            }
        }
        out.extend_from_slice(&source.port().to_be_bytes());
        out.extend_from_slice(&destination.port().to_be_bytes());
    }
    for Tlv { kind, value } in tlvs {
        let Ok(len) = u16::try_from(value.len()) else {
            out.truncate(start);
            return Err(TlvsTooLong);
        };
        out.push(kind);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(value);
    }
    let Ok(len) = u16::try_from(out.len() - length_at - 2) else {
        out.truncate(start);
        return Err(TlvsTooLong);
    };
    out[length_at..length_at + 2].copy_from_slice(&len.to_be_bytes());
    Ok(())
}

/// The extensions do not fit into a header: 65535 bytes less the addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlvsTooLong;

impl fmt::Display for TlvsTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the extensions do not fit into a PROXY header")
    }
}

impl std::error::Error for TlvsTooLong {}
