//! Filter chains: which connections each is for, and its filters.

use std::sync::Arc;

use base::Cidr;

use super::{HttpConnectionManager, NetworkFilter, TcpProxy};

/// Envoy's `config.listener.v3.FilterChain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterChain {
    /// `name`.
    pub name: String,
    /// `filter_chain_match`; the default, which matches every connection, when there is none.
    pub matches: FilterChainMatch,
    /// The filters before the last one, in order.
    pub filters: Vec<NetworkFilter>,
    /// The last filter, which ends the chain.
    pub terminal: TerminalFilter,
}

/// Envoy's `config.listener.v3.FilterChainMatch`. What is empty matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterChainMatch {
    /// `destination_port`, never 0.
    pub destination_port: Option<u16>,
    /// `prefix_ranges`: of the destination.
    pub prefix_ranges: Vec<Cidr>,
    /// `transport_protocol`: whether `raw_buffer` is asked for, which every connection has.
    pub raw_buffer: bool,
    /// `direct_source_prefix_ranges`: of the peer itself, whatever a PROXY header says.
    pub direct_source_prefix_ranges: Vec<Cidr>,
    /// `source_type`.
    pub source_type: SourceType,
    /// `source_prefix_ranges`.
    pub source_prefix_ranges: Vec<Cidr>,
    /// `source_ports`, none of them 0.
    pub source_ports: Vec<u16>,
}

/// Envoy's `FilterChainMatch.ConnectionSourceType`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SourceType {
    /// Every source.
    #[default]
    Any,
    /// This host: a loopback address, the destination's own address, or a Unix-domain socket.
    SameIpOrLoopback,
    /// Another host.
    External,
}

/// A filter that ends a chain: it keeps the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminalFilter {
    /// `envoy.filters.network.direct_response`: sends these bytes and closes.
    DirectResponse(Vec<u8>),
    /// `envoy.filters.network.echo`: every byte goes back where it came from.
    Echo,
    /// `envoy.filters.network.tcp_proxy`.
    TcpProxy(TcpProxy),
    /// `envoy.filters.network.http_connection_manager`.
    Http(Arc<HttpConnectionManager>),
}
