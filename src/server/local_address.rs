//! The address by which others know this host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::options::IpVersion;

/// The first address of an interface that is not a loopback address, as in Envoy; the loopback
/// address if there is none.
pub(crate) fn find(version: IpVersion) -> IpAddr {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!("cannot list the addresses of this host: {error}");
        Vec::new()
    });
    choose(version, interfaces.iter().map(if_addrs::Interface::ip))
}

fn choose(version: IpVersion, addresses: impl IntoIterator<Item = IpAddr>) -> IpAddr {
    let loopback = match version {
        IpVersion::V4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpVersion::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let mut addresses = addresses.into_iter();
    let found =
        addresses.find(|address| address.is_ipv4() == loopback.is_ipv4() && *address != loopback);
    found.unwrap_or(loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(version: IpVersion, addresses: &[&str]) -> String {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        choose(version, addresses).to_string()
    }

    #[test]
    fn the_first_address_of_the_version_counts_that_is_not_loopback() {
        let all = ["127.0.0.1", "::1", "2001:db8::1", "192.0.2.2", "192.0.2.3"];
        assert_eq!(chosen(IpVersion::V4, &all), "192.0.2.2");
        assert_eq!(chosen(IpVersion::V6, &all), "2001:db8::1");
        assert_eq!(chosen(IpVersion::V4, &all[..3]), "127.0.0.1");
        assert_eq!(chosen(IpVersion::V6, &[]), "::1");
    }

    #[test]
    fn this_host_has_an_address_of_the_version_that_was_asked_for() {
        assert!(find(IpVersion::V4).is_ipv4() && find(IpVersion::V6).is_ipv6());
    }
}
