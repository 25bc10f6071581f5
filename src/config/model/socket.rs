//! Sockets: where a listener listens, where a cluster connects from, and what each is set to.

use std::net::SocketAddr;

use base::Address;

use super::PassThroughTlvs;

/// Envoy's `config.core.v3.SocketOption`, for a stream socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketOption {
    /// `state`: when it is set.
    pub state: SocketState,
    /// `level`, as setsockopt(2) takes it.
    pub level: i32,
    /// `name`.
    pub name: i32,
    /// `int_value` as the machine spells an int, or `buf_value`.
    pub value: Vec<u8>,
    /// `ip_version`: sockets of another family go without it.
    pub ip_version: Option<IpVersion>,
}

/// Envoy's `SocketOption.SocketState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketState {
    /// Before bind(2).
    Prebind,
    /// After bind(2).
    Bound,
    /// After listen(2).
    Listening,
}

/// Envoy's `SocketOption.SocketIpVersion`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpVersion {
    /// IPv4 sockets.
    V4,
    /// IPv6 sockets.
    V6,
}

/// Envoy's `config.core.v3.TcpKeepalive`; what is absent is the kernel's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpKeepalive {
    /// Probes are sent.
    On {
        /// `keepalive_probes`: so many without an answer end the connection.
        probes: Option<u32>,
        /// `keepalive_time`: seconds of silence before the first one.
        time: Option<u32>,
        /// `keepalive_interval`: seconds between two.
        interval: Option<u32>,
    },
    /// One of the three is 0: no probes, as in Envoy.
    Off,
}

/// Where a listener listens, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSockets {
    /// `address`: it names the listener's stats.
    pub address: ListenAddress,
    /// `additional_addresses`.
    pub additional_addresses: Vec<ListenAddress>,
    /// `bind_to_port`: without, there are no sockets; connections come from other listeners.
    pub bind_to_port: bool,
    /// `enable_reuse_port`: a socket for each worker instead of one for all.
    pub reuse_port: bool,
    /// `freebind`: absent leaves the sockets as they are.
    pub freebind: Option<bool>,
    /// `transparent`: absent leaves the sockets as they are.
    pub transparent: Option<bool>,
    /// `tcp_fast_open_queue_length`: absent leaves the sockets as they are.
    pub tcp_fast_open_queue_length: Option<u32>,
    /// `tcp_backlog_size`; absent means `net.core.somaxconn`, as in Envoy.
    pub tcp_backlog_size: Option<u32>,
    /// `connection_balance_config`.
    pub balance: ConnectionBalance,
    /// `max_connections_to_accept_per_socket_event`: absent means as many as there are.
    pub accepts_per_event_max: Option<u32>,
}

impl ListenerSockets {
    /// Sockets on one address, as a listener has them that says nothing else.
    #[must_use]
    pub fn on(address: Address) -> Self {
        Self {
            address: ListenAddress::of(address),
            additional_addresses: Vec::new(),
            bind_to_port: true,
            reuse_port: true,
            freebind: None,
            transparent: None,
            tcp_fast_open_queue_length: None,
            tcp_backlog_size: None,
            balance: ConnectionBalance::Kernel,
            accepts_per_event_max: None,
        }
    }

    /// Every address, the first one first.
    pub fn addresses(&self) -> impl Iterator<Item = &ListenAddress> {
        std::iter::once(&self.address).chain(&self.additional_addresses)
    }
}

/// One of a listener's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    /// The address itself.
    pub address: Address,
    /// `pipe.mode`: permissions of the socket's file; absent leaves them to the umask.
    pub pipe_mode: Option<u32>,
    /// `socket_address.ipv4_compat`: an IPv6 socket takes IPv4 connections too.
    pub ipv4_compat: bool,
    /// `socket_options`, of the address or else of the listener.
    pub socket_options: Vec<SocketOption>,
    /// `tcp_keepalive`, of the address or else of the listener.
    pub tcp_keepalive: Option<TcpKeepalive>,
}

impl ListenAddress {
    /// `address`, with nothing set.
    #[must_use]
    pub fn of(address: Address) -> Self {
        Self {
            address,
            pipe_mode: None,
            ipv4_compat: false,
            socket_options: Vec::new(),
            tcp_keepalive: None,
        }
    }
}

/// Envoy's `Listener.ConnectionBalanceConfig`: which worker gets a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionBalance {
    /// The one whose socket the kernel chose, by hashing the addresses.
    Kernel,
    /// `exact_balance`: the one that has the fewest of the address.
    Exact,
    /// `cpu_locality_balance`: the one on the CPU that received it.
    CpuLocality,
}

/// What a cluster's connections are bound and set to: Envoy's `config.core.v3.BindConfig` of the
/// cluster, or else of the bootstrap, and its `UpstreamConnectionOptions`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamSockets {
    /// `source_address`, then the one of `extra_source_addresses`; of different versions of IP.
    pub sources: Vec<SourceAddress>,
    /// `freebind`: absent leaves the sockets as they are.
    pub freebind: Option<bool>,
    /// `socket_options`.
    pub socket_options: Vec<SocketOption>,
    /// `tcp_keepalive`.
    pub tcp_keepalive: Option<TcpKeepalive>,
}

/// Where connections come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceAddress {
    /// The address; port 0 means any.
    pub address: SocketAddr,
    /// Instead of [`UpstreamSockets::socket_options`].
    pub socket_options: Option<Vec<SocketOption>>,
}

/// Envoy's `ProxyProtocolUpstreamTransport`: each connection begins with a header that says whose
/// it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamProxyProtocol {
    /// `config.version`.
    pub version: ProxyProtocolVersion,
    /// `config.added_tlvs`: type and value of each; they fit into a header. Only version 2 has any.
    pub added_tlvs: Vec<(u8, Vec<u8>)>,
    /// `config.pass_through_tlvs`: which of those that came with the client's own header go on,
    /// behind the added ones and only if none of these has the same type.
    pub pass_through: PassThroughTlvs,
}

/// Envoy's `ProxyProtocolConfig.Version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocolVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}
