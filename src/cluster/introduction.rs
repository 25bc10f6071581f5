//! What a host is told first on a connection: whose it is, with a header of the PROXY protocol.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol.proto>

use base::Address;
use config::model::{self, ProxyProtocolVersion};
use observe::Scope;
use observe::names::UpstreamProxyProtocolStat;
use proto::proxy_protocol::{self, Addresses, Tlv};

/// Whose connection it is.
#[derive(Debug, Default)]
pub struct Client<'a> {
    /// Where the client is; unknown once it has reset its connection.
    pub remote: Option<Address>,
    /// What it connected to.
    pub local: Option<Address>,
    /// Types and values of the extensions (TLVs) that its own header had and that may go on.
    pub tlvs: &'a [(u8, Vec<u8>)],
}

impl Client<'_> {
    /// The header for a connection of the client, without extensions.
    #[must_use]
    pub fn proxy_header(&self, version: ProxyProtocolVersion) -> Box<[u8]> {
        let addresses = self.addresses();
        let mut header = Vec::new();
        match version {
            ProxyProtocolVersion::V1 => proxy_protocol::encode_v1(addresses.as_ref(), &mut header),
            ProxyProtocolVersion::V2 => {
                // None are too many.
                let _ = proxy_protocol::encode_v2(addresses.as_ref(), [], &mut header);
            }
        }
        header.into()
    }

    fn addresses(&self) -> Option<Addresses> {
        let ip = |address: &Option<Address>| address.as_ref().and_then(Address::ip);
        let ends = ip(&self.remote).zip(ip(&self.local));
        ends.map(|(remote, local)| Addresses::new(remote, local))
    }
}

/// The header for a connection of `client`.
pub(crate) fn header(
    config: &model::UpstreamProxyProtocol,
    stats: &Scope<UpstreamProxyProtocolStat>,
    client: &Client<'_>,
) -> Box<[u8]> {
    let addresses = client.addresses();
    let mut header = Vec::new();
    match config.version {
        ProxyProtocolVersion::V1 => proxy_protocol::encode_v1(addresses.as_ref(), &mut header),
        ProxyProtocolVersion::V2 => {
            let tlvs = fitting(config, client, addresses.as_ref(), stats);
            // What does not fit was left out.
            let _ = proxy_protocol::encode_v2(addresses.as_ref(), tlvs, &mut header);
        }
    }
    header.into()
}

/// The cluster's own extensions, then those of the client that are to be passed on; each that does
/// not fit any more is left out.
fn fitting<'a>(
    config: &'a model::UpstreamProxyProtocol,
    client: &'a Client<'_>,
    addresses: Option<&Addresses>,
    stats: &Scope<UpstreamProxyProtocolStat>,
) -> Vec<Tlv<'a>> {
    let own = |kind: u8| config.added_tlvs.iter().any(|(other, _)| *other == kind);
    let passed = |(kind, _): &&(u8, Vec<u8>)| config.pass_through.includes(*kind) && !own(*kind);
    let all = config.added_tlvs.iter().chain(client.tlvs.iter().filter(passed));
    let mut room = usize::from(u16::MAX) - addresses.map_or(0, Addresses::encoded_len);
    let mut fitting = Vec::new();
    let mut is_any_left_out = false;
    for (kind, value) in all {
        let Some(left) = room.checked_sub(TLV_FIXED_LEN + value.len()) else {
            tracing::warn!(
                "left the extension (TLV) of type {kind} out of a PROXY header, which would be \
                 longer than {} bytes with it",
                u16::MAX
            );
            is_any_left_out = true;
            continue;
        };
        room = left;
        fitting.push(Tlv { kind: *kind, value });
    }
    if is_any_left_out {
        stats.inc(UpstreamProxyProtocolStat::V2TlvsExceedMaxLength);
    }
    fitting
}

/// Type and length of an extension.
const TLV_FIXED_LEN: usize = 3;

#[cfg(test)]
mod tests {
    use config::model::PassThroughTlvs;
    use observe::{Registry, ShardIndex};

    use super::*;

    fn tlvs(tlvs: &[(u8, usize)]) -> Vec<(u8, Vec<u8>)> {
        tlvs.iter().map(|(kind, len)| (*kind, vec![b'x'; *len])).collect()
    }

    /// As seen on Envoy 1.40.
    #[test]
    fn extensions_go_on_behind_the_own_ones_as_far_as_they_fit() {
        let registry = Registry::new(1);
        let shard = registry.shard(ShardIndex::Worker(0)).unwrap();
        let stats = registry.scope("s").on(&shard);
        let sent = |own: &[(u8, usize)], pass_through, clients: &[(u8, usize)]| {
            let config = model::UpstreamProxyProtocol {
                version: ProxyProtocolVersion::V2,
                added_tlvs: tlvs(own),
                pass_through,
            };
            let tlvs = tlvs(clients);
            let address = |text: &str| Some(Address::Ip(text.parse().unwrap()));
            let (remote, local) = (address("1.2.3.4:5"), address("5.6.7.8:9"));
            let header = header(&config, &stats, &Client { remote, local, tlvs: &tlvs });
            let rules = proxy_protocol::Rules::default();
            match proxy_protocol::decode(&header, rules) {
                Ok(proxy_protocol::Decoded::Header(header)) => {
                    header.tlvs.iter().map(|tlv| (tlv.kind, tlv.value.len())).collect::<Vec<_>>()
                }
                other => panic!("{other:?}"),
            }
        };
        let clients = [(1, 2), (2, 3), (3, 4), (2, 5)];
        assert_eq!(sent(&[], PassThroughTlvs::default(), &clients), []);
        assert_eq!(
            sent(&[(9, 1)], PassThroughTlvs::Types(vec![2]), &clients),
            [(9, 1), (2, 3), (2, 5)]
        );
        assert_eq!(
            sent(&[(2, 1), (2, 2)], PassThroughTlvs::All, &clients),
            [(2, 1), (2, 2), (1, 2), (3, 4)]
        );
        assert_eq!(stats.value(UpstreamProxyProtocolStat::V2TlvsExceedMaxLength), 0);
        let long = [(1, 60_000), (2, 1)];
        assert_eq!(sent(&[(9, 6000)], PassThroughTlvs::All, &long), [(9, 6000), (2, 1)]);
        // 65535 bytes less two addresses with ports, and type and length of each.
        let all = [(1, 65_535 - 12 - 3 - 3), (2, 0)];
        assert_eq!(sent(&[], PassThroughTlvs::All, &all), all);
        let one_more = [(1, 65_535 - 12 - 3 - 2), (2, 0)];
        assert_eq!(sent(&[], PassThroughTlvs::All, &one_more), one_more[..1]);
        assert_eq!(stats.value(UpstreamProxyProtocolStat::V2TlvsExceedMaxLength), 2);
    }
}
