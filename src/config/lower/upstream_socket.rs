//! The sockets of a cluster: source addresses, options, and what its connections begin with.

use prost::Message as _;

use super::listener_filter::pass_through_tlvs;
use super::{Lower, address, socket};
use crate::model;
use crate::typed::envoy::config::cluster::v3 as pb;
use crate::typed::envoy::config::core::v3 as core;
use crate::typed::envoy::extensions::transport_sockets::proxy_protocol::v3 as proxy_protocol;
use core::proxy_protocol_config::Version;
use core::transport_socket::ConfigType;

/// Bytes of a header of version 2 that are left for extensions, when both addresses are IPv6.
const TLVS_LEN_MAX: usize = u16::MAX as usize - 36;

/// The end of the transport socket's type URL.
const PROXY_PROTOCOL: &str = "ProxyProtocolUpstreamTransport";

impl Lower<'_> {
    /// `default` is the bootstrap's own configuration, which the cluster's replaces as a whole.
    pub(super) fn upstream_sockets(
        &mut self,
        message: &pb::Cluster,
        default: Option<&core::BindConfig>,
        path: &str,
    ) -> model::UpstreamSockets {
        let bind = match (&message.upstream_bind_config, default) {
            (Some(own), _) => Some((own, format!("{path}.upstream_bind_config"))),
            (None, Some(default)) => {
                Some((default, "cluster_manager.upstream_bind_config".to_owned()))
            }
            (None, None) => None,
        };
        let mut sockets = bind.map_or_else(model::UpstreamSockets::default, |(bind, path)| {
            self.bind_config(bind, &message.name, &path)
        });
        let options = message.upstream_connection_options.as_ref();
        let keepalive = options.and_then(|options| options.tcp_keepalive.as_ref());
        sockets.tcp_keepalive = keepalive.map(socket::tcp_keepalive);
        sockets
    }

    fn bind_config(
        &mut self,
        message: &core::BindConfig,
        cluster: &str,
        path: &str,
    ) -> model::UpstreamSockets {
        let mut sources = Vec::new();
        let mut add = |lower: &mut Self, message: &core::SocketAddress, path: &str, options| {
            let address = lower.socket_address(message, path, address::Use::Bind);
            sources.extend(
                address.map(|address| model::SourceAddress { address, socket_options: options }),
            );
        };
        if let Some(source) = &message.source_address {
            add(self, source, &format!("{path}.source_address"), None);
        }
        let (extra, additional) =
            (&message.extra_source_addresses, &message.additional_source_addresses);
        let count = extra.len() + additional.len();
        let problem = match message.source_address {
            _ if !extra.is_empty() && !additional.is_empty() => Some(format!(
                "Can't specify both `extra_source_addresses` and `additional_source_addresses` in \
                 the Cluster {cluster}'s upstream binding config"
            )),
            None if count > 0 => Some(format!(
                "Cluster {cluster}'s upstream binding config has extra/additional source addresses \
                 but no source_address. Extra/additional addresses cannot be specified if \
                 source_address is not set."
            )),
            _ if count > 1 => Some(format!(
                "Cluster {cluster}'s upstream binding config has more than one extra/additional \
                 source addresses. Only one extra/additional source can be supported in \
                 BindConfig's extra_source_addresses/additional_source_addresses field"
            )),
            _ => None,
        };
        if let Some(text) = problem {
            let field = if extra.is_empty() { "additional" } else { "extra" };
            self.invalid(&format!("{path}.{field}_source_addresses"), text, None);
        }
        for (index, extra) in extra.iter().enumerate() {
            let path = format!("{path}.extra_source_addresses[{index}]");
            let options = extra.socket_options.as_ref().map(|options| {
                self.socket_options(&options.socket_options, &format!("{path}.socket_options"))
            });
            match &extra.address {
                Some(address) => add(self, address, &format!("{path}.address"), options),
                None => self.absent(&path, "address", "address is necessary"),
            }
        }
        for (index, address) in additional.iter().enumerate() {
            add(self, address, &format!("{path}.additional_source_addresses[{index}]"), None);
        }
        if let [first, second, ..] = &sources[..]
            && first.address.is_ipv4() == second.address.is_ipv4()
        {
            let text = format!(
                "Cluster {cluster}'s upstream binding config has two same IP version source \
                 addresses. Only two different IP version source addresses can be supported in \
                 BindConfig's source_address and extra_source_addresses/\
                 additional_source_addresses fields"
            );
            self.invalid(&format!("{path}.source_address"), text, None);
        }
        model::UpstreamSockets {
            sources,
            freebind: message.freebind,
            socket_options: self.socket_options(&message.socket_options, path),
            tcp_keepalive: None,
        }
    }

    /// A filter chain cannot have a transport socket that is made for clusters.
    pub(super) fn no_upstream_transport(
        &mut self,
        message: Option<&core::TransportSocket>,
        path: &str,
    ) {
        let Some(message) = message else { return };
        let Some(ConfigType::TypedConfig(any)) = &message.config_type else { return };
        if any.type_url.ends_with(PROXY_PROTOCOL) {
            let text = format!(
                "Didn't find a registered implementation for '{}' with type URL: '{}'",
                message.name,
                any.type_url.rsplit('/').next().unwrap_or_default()
            );
            let hint = Some("it stands in a cluster; listeners have a listener filter for this");
            self.invalid(&format!("{path}.transport_socket"), text, hint);
        }
    }

    /// What a cluster's connections begin with; None for nothing.
    pub(super) fn upstream_proxy_protocol(
        &mut self,
        message: Option<&core::TransportSocket>,
        path: &str,
    ) -> Option<model::UpstreamProxyProtocol> {
        let Some(ConfigType::TypedConfig(any)) = message?.config_type.as_ref() else { return None };
        if !any.type_url.ends_with(PROXY_PROTOCOL) {
            return None;
        }
        let path = format!("{path}.transport_socket.typed_config");
        let transport =
            proxy_protocol::ProxyProtocolUpstreamTransport::decode(any.value.as_slice()).ok()?;
        if let Some(inner) =
            transport.transport_socket.as_ref().and_then(|it| it.config_type.as_ref())
        {
            let ConfigType::TypedConfig(inner) = inner;
            if inner.type_url.ends_with(PROXY_PROTOCOL) {
                let path = format!("{path}.transport_socket.typed_config");
                self.not_yet(&path, "a header before another header", None);
            }
        }
        let config = transport.config.unwrap_or_default();
        let mut added_tlvs = Vec::new();
        for (index, tlv) in config.added_tlvs.iter().enumerate() {
            let path = format!("{path}.config.added_tlvs[{index}]");
            // The rules bound it.
            let Ok(kind) = u8::try_from(tlv.r#type) else { continue };
            if tlv.value.len() > TLVS_LEN_MAX {
                self.not_yet(&format!("{path}.value"), "a value longer than a header", None);
            }
            added_tlvs.push((kind, tlv.value.clone()));
        }
        let len: usize = added_tlvs.iter().map(|(_, value)| 3 + value.len()).sum();
        if len > TLVS_LEN_MAX {
            let text = format!("{len} bytes of TLVs, which no header holds");
            self.not_yet(&format!("{path}.config.added_tlvs"), text, None);
        }
        let version = match config.version() {
            Version::V1 => model::ProxyProtocolVersion::V1,
            Version::V2 => model::ProxyProtocolVersion::V2,
        };
        let pass_through = pass_through_tlvs(config.pass_through_tlvs.as_ref());
        Some(model::UpstreamProxyProtocol { version, added_tlvs, pass_through })
    }
}
