//! Where the two ends of a connection are.

use std::net::IpAddr;

use base::Address;

/// The addresses of a connection: those of the socket, and those that a listener filter put in
/// their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// Who the client is: the peer, or whom a PROXY header named.
    pub remote: Address,
    /// The peer of the socket.
    pub direct_remote: Address,
    /// What the client connected to.
    pub local: Address,
    /// The local end of the socket.
    pub direct_local: Address,
}

impl Ends {
    /// Whether the client is on this host: on a Unix-domain socket, at a loopback address, or at
    /// the very address it connected to.
    #[must_use]
    pub fn is_same_ip_or_loopback(&self) -> bool {
        let Some(remote) = self.remote.ip() else { return true };
        let is_loopback = match remote.ip() {
            IpAddr::V4(ip) => ip.is_loopback(),
            IpAddr::V6(ip) => ip.is_loopback(),
        };
        is_loopback || self.local.ip().is_some_and(|local| local.ip() == remote.ip())
    }
}
