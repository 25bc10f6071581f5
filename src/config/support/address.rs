//! Addresses and transport sockets, of listeners and of hosts.

use super::Area;
use super::Support::{Extension, Ignored, Only, Refused, Supported};

/// Kinds of transport socket.
const TRANSPORT_SOCKETS: &[&str] = &["envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"];

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
            ("description", Ignored("it is for people")),
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
];
