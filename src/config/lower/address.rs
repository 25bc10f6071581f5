//! Socket addresses. Names are never looked up here: Envoy wants literal IP addresses in these
//! places.

use std::net::{IpAddr, SocketAddr};

use super::Lower;
use crate::document::clipped;
use crate::typed::envoy::config::core::v3 as pb;
use pb::address::Address;
use pb::socket_address::PortSpecifier;

/// What an address is for, which decides what to advise when it is no IP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// A listening socket.
    Bind,
    /// A host of a STATIC cluster.
    StaticEndpoint,
}

impl Lower<'_> {
    /// The address at `path`; None when it was reported, here or before.
    pub(super) fn address(
        &mut self,
        message: &pb::Address,
        path: &str,
        used_for: Use,
    ) -> Option<SocketAddr> {
        // Anything but a socket address was refused before: by the support table, or as absent.
        let Some(Address::SocketAddress(message)) = &message.address else {
            return None;
        };
        let path = format!("{path}.socket_address");
        let port = match message.port_specifier {
            Some(PortSpecifier::PortValue(port)) => u16::try_from(port).ok(),
            Some(PortSpecifier::NamedPort(_)) => {
                let hint = "give port_value; named ports need a custom resolver";
                let path = format!("{path}.named_port");
                self.invalid(&path, "IP resolver can't handle a named port", Some(hint));
                None
            }
            None => None,
        };
        let path = format!("{path}.address");
        let ip: Option<IpAddr> = message.address.parse().ok();
        if ip.is_none() {
            let shown = clipped(&message.address);
            let hint = match used_for {
                Use::Bind => "listening needs an IP address, such as 127.0.0.1, 0.0.0.0 or ::",
                Use::StaticEndpoint => {
                    "a STATIC cluster takes IP addresses only; Envoy looks names up in clusters of \
                     type STRICT_DNS or LOGICAL_DNS"
                }
            };
            match message.address.rsplit_once('%') {
                Some((ip, _)) if ip.parse::<std::net::Ipv6Addr>().is_ok() => {
                    self.not_yet(&path, format!("IPv6 scope in \"{shown}\""), None);
                }
                _ => self.invalid(&path, format!("malformed IP address: {shown}"), Some(hint)),
            }
        }
        Some(SocketAddr::new(ip?, port?))
    }
}
