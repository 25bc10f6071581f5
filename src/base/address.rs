//! Where somebody is: an IP address with a port, or the name of a Unix-domain socket.
//!
//! Only a value: nothing here resolves, binds or connects.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// Envoy's `Address::Instance`: what one can listen on, connect to, and be called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A Unix-domain socket, by its path; a name that begins with `@` is in the abstract namespace
    /// (unix(7)). Empty if the socket has no name.
    Pipe(Arc<str>),
}

impl Address {
    /// The IP address and port, if it has one.
    #[must_use]
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Pipe(_) => None,
        }
    }

    /// Whether it is a Unix-domain socket without a name: no address at all.
    #[must_use]
    pub fn is_unnamed(&self) -> bool {
        matches!(self, Self::Pipe(name) if name.is_empty())
    }

    /// Whether it is a Unix-domain socket.
    #[must_use]
    pub fn is_pipe(&self) -> bool {
        matches!(self, Self::Pipe(_))
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl PartialEq<SocketAddr> for Address {
    fn eq(&self, other: &SocketAddr) -> bool {
        self.ip() == Some(*other)
    }
}

/// As Envoy writes it: `127.0.0.1:80`, `[::1]:80`, `/run/a.sock`, `@name`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Pipe(path) => f.write_str(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_spelled_as_by_envoy() {
        let ip = |text: &str| Address::from(text.parse::<SocketAddr>().unwrap());
        assert_eq!(ip("[::1]:80").to_string(), "[::1]:80");
        assert_eq!(ip("127.0.0.1:80").to_string(), "127.0.0.1:80");
        assert_eq!(Address::Pipe("@name".into()).to_string(), "@name");
    }

    /// Connections keep several of these.
    #[test]
    fn an_address_is_as_small_as_an_ip_address() {
        assert_eq!(size_of::<Option<Address>>(), size_of::<SocketAddr>());
    }
}
