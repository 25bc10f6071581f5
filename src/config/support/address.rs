//! Addresses and transport sockets, of listeners and of hosts.

use super::Area;
use super::Support::{Extension, Only, Refused, Supported};

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
            ("named_port", Refused("as Envoy does: no resolver for named ports is built in")),
            ("port_value", Supported),
            ("protocol", Only(&["TCP"])),
        ],
    ),
    (
        "envoy.config.core.v3.TransportSocket",
        &[("name", Supported), ("typed_config", Extension(TRANSPORT_SOCKETS))],
    ),
    ("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer", &[]),
];
