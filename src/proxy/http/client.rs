//! Who the client of a request is, by what proxies in front of us say in `x-forwarded-for`.
//!
//! Whom to believe is the configuration's business, not of this file.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-for>

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that stands last in a list once so many behind it are left out, if it is one.
pub(super) fn forwarded(list: &[u8], left_out: u32) -> Option<IpAddr> {
    let mut rest = list;
    for _ in 0..left_out {
        let comma = rest.iter().rposition(|byte| *byte == b',')?;
        rest = &rest[..comma];
    }
    let start = rest.iter().rposition(|byte| *byte == b',').map_or(0, |comma| comma + 1);
    std::str::from_utf8(rest[start..].trim_ascii()).ok()?.parse().ok()
}

/// Whether it is the address that a host calls itself by: of `127.0.0.0/8` only the first one.
pub(super) fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address == Ipv4Addr::LOCALHOST,
        IpAddr::V6(address) => {
            address == Ipv6Addr::LOCALHOST || address.to_ipv4_mapped() == Some(Ipv4Addr::LOCALHOST)
        }
    }
}

/// An address as text, without memory from the heap.
#[derive(Debug)]
pub(super) struct AddressText {
    bytes: [u8; ADDRESS_BYTES_MAX],
    length: usize,
}

/// The longest is an IPv6 address that ends with an IPv4 address.
const ADDRESS_BYTES_MAX: usize = 45;

impl AddressText {
    pub(super) fn new(address: IpAddr) -> Self {
        let mut bytes = [0; ADDRESS_BYTES_MAX];
        let mut rest = &mut bytes[..];
        write!(rest, "{address}").expect("there is room for the longest address");
        let length = ADDRESS_BYTES_MAX - rest.len();
        Self { bytes, length }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_counts_after_those_of_the_trusted_proxies() {
        let last = |list: &str, left_out| {
            forwarded(list.as_bytes(), left_out).map(|address| address.to_string())
        };
        assert_eq!(last("192.0.2.1", 0).unwrap(), "192.0.2.1");
        assert_eq!(last("192.0.2.1, 192.0.2.2 ", 0).unwrap(), "192.0.2.2");
        assert_eq!(last("192.0.2.1,2001:db8::2, x", 1).unwrap(), "2001:db8::2");
        assert_eq!(last("192.0.2.1, 192.0.2.2", 2), None);
        for no_address in ["", ",", "192.0.2.1,", "192.0.2.1:80", "[::1]", "192.0.2", "a\u{e9}"] {
            assert_eq!(last(no_address, 0), None, "{no_address}");
        }
    }

    #[test]
    fn only_the_first_loopback_address_is_one() {
        for (address, expected) in [
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("::ffff:127.0.0.2", false),
            ("192.0.2.1", false),
        ] {
            assert_eq!(is_loopback(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn every_address_fits() {
        for text in [
            "0.0.0.0",
            "255.255.255.255",
            "::ffff:255.255.255.255",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(AddressText::new(address).bytes(), text.as_bytes());
        }
    }
}
