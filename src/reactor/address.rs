//! Addresses as the kernel takes and gives them.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt;

use base::Address;
use socket2::{Domain, Protocol, SockAddr};

/// What socket(2) wants to be told for an address of this kind.
pub(crate) fn family(address: &Address) -> (Domain, Option<Protocol>) {
    match address {
        Address::Ip(address) => (Domain::for_address(*address), Some(Protocol::TCP)),
        Address::Pipe(_) => (Domain::UNIX, None),
    }
}

/// The address for bind(2) and connect(2).
///
/// # Errors
/// The path of a Unix-domain socket is longer than the kernel's addresses.
pub fn to_kernel(address: &Address) -> io::Result<SockAddr> {
    match address {
        Address::Ip(address) => Ok(SockAddr::from(*address)),
        Address::Pipe(path) => match path.strip_prefix('@') {
            Some(name) => SockAddr::unix(OsStr::from_bytes(&[b"\0", name.as_bytes()].concat())),
            None => SockAddr::unix(&**path),
        },
    }
}

/// The address that the kernel gave. A name that is not UTF-8 is shown as far as it is.
pub(crate) fn of(address: &SockAddr) -> io::Result<Address> {
    if let Some(address) = address.as_socket() {
        // A socket of both versions shows IPv4 peers as IPv4-mapped addresses (RFC 4291 section
        // 2.5.5.2). Nobody means those: as in Envoy, they are the IPv4 addresses themselves.
        return Ok(Address::Ip(match address.ip().to_canonical() {
            ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
            IpAddr::V6(_) => address,
        }));
    }
    if !address.is_unix() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "neither an IP address nor a pipe"));
    }
    let name = match (address.as_pathname(), address.as_abstract_namespace()) {
        (Some(path), _) => path.to_string_lossy().into_owned(),
        (None, Some(name)) => format!("@{}", String::from_utf8_lossy(name)),
        (None, None) => String::new(),
    };
    Ok(Address::Pipe(name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_from_the_kernels_form_as_they_went_in() {
        for address in [
            Address::Ip("[::1]:80".parse().unwrap()),
            Address::Ip("127.0.0.1:80".parse().unwrap()),
            Address::Pipe("/run/some.sock".into()),
            Address::Pipe("@some".into()),
        ] {
            assert_eq!(of(&to_kernel(&address).unwrap()).unwrap(), address);
        }
        let mapped = Address::Ip("[::ffff:127.0.0.1]:80".parse().unwrap());
        let canonical = Address::Ip("127.0.0.1:80".parse().unwrap());
        assert_eq!(of(&to_kernel(&mapped).unwrap()).unwrap(), canonical);
        assert!(to_kernel(&Address::Pipe("x".repeat(109).into())).is_err());
    }
}
