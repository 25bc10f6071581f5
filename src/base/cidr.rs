//! A range of IP addresses by its prefix: RFC 4632 section 3.1.

use std::fmt;
use std::net::IpAddr;

/// All addresses that begin with the same bits. Two ranges are equal if they hold the same
/// addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// Its lowest address.
    ip: IpAddr,
    len: u8,
}

impl Cidr {
    /// The range of `ip` with a prefix of so many bits; of more than the address has, it is that
    /// one address.
    #[must_use]
    pub fn new(ip: IpAddr, len: u8) -> Self {
        let len = len.min(if ip.is_ipv4() { 32 } else { 128 });
        let ip = match ip {
            IpAddr::V4(ip) => IpAddr::V4((ip.to_bits() & mask_v4(len)).into()),
            IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & mask_v6(len)).into()),
        };
        Self { ip, len }
    }

    /// Whether the range holds `ip`. An IPv4 address is never in a range of IPv6 addresses, and
    /// the other way round.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.ip, ip) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => ip.to_bits() & mask_v4(self.len) == own.to_bits(),
            (IpAddr::V6(own), IpAddr::V6(ip)) => ip.to_bits() & mask_v6(self.len) == own.to_bits(),
            _ => false,
        }
    }

    /// Bits of the prefix.
    #[must_use]
    pub const fn prefix_len(&self) -> u8 {
        self.len
    }
}

/// `127.0.0.0/8`
impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.len)
    }
}

fn mask_v4(len: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0)
}

fn mask_v6(len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(ip: &str, len: u8) -> Cidr {
        Cidr::new(ip.parse().unwrap(), len)
    }

    #[test]
    fn a_range_holds_the_addresses_of_its_prefix_and_family() {
        for (ip, len, inside, outside) in [
            ("10.1.2.3", 8, "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3", 32, "10.1.2.3", "10.1.2.2"),
            ("10.1.2.3", 0, "255.255.255.255", "::1"),
            ("0.0.0.1", 31, "0.0.0.0", "0.0.0.2"),
            ("2001:db8::", 32, "2001:db8:1::", "2001:db9::"),
            ("::1", 128, "::1", "::2"),
            ("::", 0, "ffff::", "1.2.3.4"),
            ("::ffff:0:0", 96, "::ffff:1.2.3.4", "1.2.3.4"),
        ] {
            let range = range(ip, len);
            assert!(range.contains(inside.parse().unwrap()), "{inside} in {range}");
            assert!(!range.contains(outside.parse().unwrap()), "{outside} in {range}");
        }
    }

    #[test]
    fn ranges_of_the_same_addresses_are_equal() {
        assert_eq!(range("10.1.2.3", 8), range("10.9.9.9", 8));
        assert_ne!(range("10.0.0.0", 8), range("10.0.0.0", 9));
        assert_eq!(range("1.2.3.4", 200), range("1.2.3.4", 32));
        assert_eq!(range("10.1.2.3", 8).to_string(), "10.0.0.0/8");
    }
}
