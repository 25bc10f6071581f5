//! Addresses and transport sockets, of listeners and of hosts.

use super::Area;
use super::Support::{Extension, Only, Refused, Supported};

/// Kinds of transport socket.
const TRANSPORT_SOCKETS: &[&str] = &[
    "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
    "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
];

/// How a cluster may choose among its source addresses.
const ADDRESS_SELECTORS: &[&str] =
    &["envoy.config.upstream.local_address_selector.v3.DefaultLocalAddressSelector"];

pub(super) const ADDRESS: Area = &[
    ("envoy.config.core.v3.CidrRange", &[("address_prefix", Supported), ("prefix_len", Supported)]),
    ("envoy.config.core.v3.Address", &[("pipe", Supported), ("socket_address", Supported)]),
    ("envoy.config.core.v3.Pipe", &[("mode", Supported), ("path", Supported)]),
    (
        "envoy.config.core.v3.SocketAddress",
        &[
            ("address", Supported),
            ("ipv4_compat", Supported),
            ("named_port", Refused("as Envoy does: no resolver for named ports is built in")),
            ("port_value", Supported),
            ("protocol", Only(&["TCP"])),
        ],
    ),
    (
        "envoy.config.core.v3.SocketOption",
        &[
            ("description", Supported),
            ("buf_value", Supported),
            ("int_value", Supported),
            ("ip_version", Supported),
            ("level", Supported),
            ("name", Supported),
            ("state", Supported),
            ("type", Supported),
        ],
    ),
    (
        "envoy.config.core.v3.SocketOption.SocketType",
        &[("datagram", Supported), ("stream", Supported)],
    ),
    ("envoy.config.core.v3.SocketOption.SocketType.Datagram", &[]),
    ("envoy.config.core.v3.SocketOption.SocketType.Stream", &[]),
    ("envoy.config.core.v3.SocketOptionsOverride", &[("socket_options", Supported)]),
    (
        "envoy.config.core.v3.TcpKeepalive",
        &[
            ("keepalive_interval", Supported),
            ("keepalive_probes", Supported),
            ("keepalive_time", Supported),
        ],
    ),
    (
        "envoy.config.core.v3.TransportSocket",
        &[("name", Supported), ("typed_config", Extension(TRANSPORT_SOCKETS))],
    ),
    ("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer", &[]),
    (
        "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
        &[("config", Supported), ("transport_socket", Supported)],
    ),
    (
        "envoy.config.core.v3.ProxyProtocolConfig",
        &[("added_tlvs", Supported), ("pass_through_tlvs", Supported), ("version", Supported)],
    ),
    ("envoy.config.core.v3.TlvEntry", &[("type", Supported), ("value", Supported)]),
    (
        "envoy.config.core.v3.BindConfig",
        &[
            ("additional_source_addresses", Supported),
            ("extra_source_addresses", Supported),
            ("freebind", Supported),
            ("local_address_selector", Supported),
            ("socket_options", Supported),
            ("source_address", Supported),
        ],
    ),
    (
        "envoy.config.core.v3.ExtraSourceAddress",
        &[("address", Supported), ("socket_options", Supported)],
    ),
    (
        "envoy.config.core.v3.TypedExtensionConfig",
        &[("name", Supported), ("typed_config", Extension(ADDRESS_SELECTORS))],
    ),
    ("envoy.config.upstream.local_address_selector.v3.DefaultLocalAddressSelector", &[]),
];
