//! Sockets: their options, a listener's addresses.

use super::{Lower, address};
use crate::model;
use crate::typed::envoy::config::core::v3 as core;
use crate::typed::envoy::config::listener::v3 as pb;
use base::Address;
use core::socket_option::{SocketIpVersion, SocketState, Value};
use pb::listener::connection_balance_config::BalanceType;

impl Lower<'_> {
    /// Where a listener listens; None when that was reported, here or before.
    pub(super) fn listener_sockets(
        &mut self,
        message: &pb::Listener,
        path: &str,
    ) -> Option<model::ListenerSockets> {
        let address = match &message.address {
            Some(address) => Some(address),
            // An internal listener has none; it was reported before.
            None if self.problems.is_reported(&format!("{path}.internal_listener")) => None,
            None => {
                self.absent(path, "address", "address is necessary");
                None
            }
        };
        let options = self.socket_options(&message.socket_options, path);
        let keepalive = message.tcp_keepalive.as_ref().map(tcp_keepalive);
        let first = address.and_then(|address| {
            self.listen_address(address, &format!("{path}.address"), options.clone(), keepalive)
        });
        let mut additional_addresses = Vec::new();
        for (index, more) in message.additional_addresses.iter().enumerate() {
            let path = format!("{path}.additional_addresses[{index}]");
            let options = match &more.socket_options {
                Some(own) => {
                    self.socket_options(&own.socket_options, &format!("{path}.socket_options"))
                }
                None => options.clone(),
            };
            let keepalive = more.tcp_keepalive.as_ref().map(tcp_keepalive).or(keepalive);
            let Some(address) = &more.address else {
                self.absent(&path, "address", "address is necessary");
                continue;
            };
            let path = format!("{path}.address");
            additional_addresses.extend(self.listen_address(address, &path, options, keepalive));
        }
        let deprecated = message.deprecated_v1.as_ref().and_then(|old| old.bind_to_port);
        let sockets = model::ListenerSockets {
            address: first?,
            additional_addresses,
            bind_to_port: message.bind_to_port.or(deprecated).unwrap_or(true),
            reuse_port: message.enable_reuse_port.unwrap_or(true),
            freebind: message.freebind,
            transparent: message.transparent,
            tcp_fast_open_queue_length: message.tcp_fast_open_queue_length,
            tcp_backlog_size: message.tcp_backlog_size,
            balance: match message.connection_balance_config.and_then(|how| how.balance_type) {
                None => model::ConnectionBalance::Kernel,
                Some(BalanceType::ExactBalance(_)) => model::ConnectionBalance::Exact,
                Some(BalanceType::CpuLocalityBalance(_)) => model::ConnectionBalance::CpuLocality,
            },
            accepts_per_event_max: message.max_connections_to_accept_per_socket_event,
        };
        self.no_ip_options_on_pipes(&sockets, path);
        Some(sockets)
    }

    /// Whether a socket of IPv6 is to take connections of IPv4 too.
    pub(super) fn ipv4_compat(
        &mut self,
        message: &core::Address,
        address: &Address,
        path: &str,
    ) -> bool {
        let ipv4_compat = match &message.address {
            Some(core::address::Address::SocketAddress(message)) => message.ipv4_compat,
            Some(core::address::Address::Pipe(_)) | None => false,
        };
        if let Address::Ip(ip) = address
            && ipv4_compat
        {
            let takes_both = match ip.ip() {
                std::net::IpAddr::V4(_) => false,
                std::net::IpAddr::V6(ip) => ip.is_unspecified() || ip.to_ipv4_mapped().is_some(),
            };
            if !takes_both {
                let text = format!(
                    "Only IPv6 address '::' or valid IPv4-mapped IPv6 address can set \
                     ipv4_compat: {ip}"
                );
                self.invalid(&format!("{path}.socket_address.ipv4_compat"), text, None);
            }
        }
        ipv4_compat
    }

    fn listen_address(
        &mut self,
        message: &core::Address,
        path: &str,
        socket_options: Vec<model::SocketOption>,
        tcp_keepalive: Option<model::TcpKeepalive>,
    ) -> Option<model::ListenAddress> {
        let address = self.address(message, path, address::Use::Bind)?;
        let ipv4_compat = self.ipv4_compat(message, &address, path);
        let pipe_mode = self.pipe_mode(message, path);
        Some(model::ListenAddress {
            address,
            pipe_mode,
            ipv4_compat,
            socket_options,
            tcp_keepalive,
        })
    }

    /// Envoy finds out when it sets them, and runs without the listener then.
    fn no_ip_options_on_pipes(&mut self, sockets: &model::ListenerSockets, path: &str) {
        if !sockets.addresses().any(|one| one.address.is_pipe()) {
            return;
        }
        for (field, is_set) in [
            ("freebind", sockets.freebind.is_some()),
            ("transparent", sockets.transparent.is_some()),
            ("tcp_fast_open_queue_length", sockets.tcp_fast_open_queue_length.is_some()),
        ] {
            if is_set {
                let hint = "leave it out, or give the Unix-domain socket a listener of its own";
                let text = "Failed to set IP socket option on non-IP socket";
                self.invalid(&format!("{path}.{field}"), text, Some(hint));
            }
        }
    }

    /// Those that stream sockets are to have; `path` is the message's that has them.
    pub(super) fn socket_options(
        &mut self,
        messages: &[core::SocketOption],
        path: &str,
    ) -> Vec<model::SocketOption> {
        let mut options = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            let path = format!("{path}.socket_options[{index}]");
            let is_for_datagrams =
                message.r#type.is_some_and(|kind| kind.stream.is_none() && kind.datagram.is_some());
            if is_for_datagrams {
                continue;
            }
            let level = self.as_int(message.level, &format!("{path}.level"));
            let name = self.as_int(message.name, &format!("{path}.name"));
            let value = match &message.value {
                Some(Value::IntValue(value)) => {
                    self.as_int(*value, &format!("{path}.int_value")).to_ne_bytes().to_vec()
                }
                Some(Value::BufValue(bytes)) => bytes.clone(),
                // Reported before, by the rules.
                None => continue,
            };
            options.push(model::SocketOption {
                state: match message.state() {
                    SocketState::StatePrebind => model::SocketState::Prebind,
                    SocketState::StateBound => model::SocketState::Bound,
                    SocketState::StateListening => model::SocketState::Listening,
                },
                level,
                name,
                value,
                ip_version: match message.ip_version() {
                    SocketIpVersion::Unspecified => None,
                    SocketIpVersion::Ipv4 => Some(model::IpVersion::V4),
                    SocketIpVersion::Ipv6 => Some(model::IpVersion::V6),
                },
            });
        }
        options
    }

    /// What setsockopt(2) takes as an int. Envoy cuts the upper bits off.
    fn as_int(&mut self, value: i64, path: &str) -> i32 {
        i32::try_from(value).unwrap_or_else(|_| {
            self.not_yet(path, format!("{value}, which is no 32-bit number"), None);
            0
        })
    }
}

pub(super) fn tcp_keepalive(message: &core::TcpKeepalive) -> model::TcpKeepalive {
    let core::TcpKeepalive { keepalive_probes, keepalive_time, keepalive_interval } = *message;
    if [keepalive_probes, keepalive_time, keepalive_interval].contains(&Some(0)) {
        return model::TcpKeepalive::Off;
    }
    model::TcpKeepalive::On {
        probes: keepalive_probes,
        time: keepalive_time,
        interval: keepalive_interval,
    }
}
