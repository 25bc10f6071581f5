//! Addresses: IP addresses with a port, and Unix-domain sockets. Names are never looked up here:
//! Envoy wants literal IP addresses in these places.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use base::Address as Where;

use super::Lower;
use crate::document::clipped;
use crate::typed::envoy::config::core::v3 as pb;
use pb::address::Address;
use pb::socket_address::PortSpecifier;

/// `sun_path` of unix(7), with the NUL that ends a path.
const PIPE_BYTES_MAX: usize = 108;

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
    ) -> Option<Where> {
        match &message.address {
            Some(Address::SocketAddress(message)) => {
                let path = format!("{path}.socket_address");
                self.socket_address(message, &path, used_for).map(Where::Ip)
            }
            Some(Address::Pipe(pipe)) => self.pipe(pipe, &format!("{path}.pipe")).map(Where::Pipe),
            // Anything else was refused before: by the support table, or as absent.
            None => None,
        }
    }

    /// Envoy's `PipeInstance`: `@` at the beginning means the abstract namespace.
    fn pipe(&mut self, message: &pb::Pipe, path: &str) -> Option<Arc<str>> {
        let (name, path) = (message.path.as_str(), format!("{path}.path"));
        let is_abstract = name.starts_with('@');
        if name.len() + usize::from(!is_abstract) > PIPE_BYTES_MAX {
            let text = format!(
                "Path \"{}\" exceeds maximum UNIX domain socket path size of {PIPE_BYTES_MAX}.",
                clipped(name)
            );
            self.invalid(&path, text, Some("unix(7): the kernel's addresses hold no more"));
            return None;
        }
        if !is_abstract && name.contains('\0') {
            let text = "UNIX domain socket pathname contains embedded null characters";
            self.invalid(&path, text, None);
            return None;
        }
        Some(name.into())
    }

    /// The mode that a listening pipe's file is to have; None leaves it to the umask.
    pub(super) fn pipe_mode(&mut self, message: &pb::Address, path: &str) -> Option<u32> {
        let Some(Address::Pipe(pipe)) = &message.address else { return None };
        if pipe.mode != 0 && pipe.path.starts_with('@') {
            let hint = "whoever shares the network namespace may connect to it";
            let path = format!("{path}.pipe.mode");
            self.invalid(&path, "Cannot set mode for Abstract AF_UNIX sockets", Some(hint));
        }
        Some(pipe.mode).filter(|mode| *mode != 0)
    }

    /// The IP address and port at `path`.
    pub(super) fn socket_address(
        &mut self,
        message: &pb::SocketAddress,
        path: &str,
        used_for: Use,
    ) -> Option<SocketAddr> {
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
