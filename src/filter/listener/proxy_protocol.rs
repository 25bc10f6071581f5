//! `envoy.filters.listener.proxy_protocol`: a header of the PROXY protocol says whose connection it
//! is.
//!
//! What a header may be is the codec's business (`proto::proxy_protocol`); what it means for the
//! connection is said here.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/listener_filters/proxy_protocol>

use base::Address;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use config::model::{self, TlvLocation, TlvRule};
use observe::names::{
    ProxyProtocolErrorStat, ProxyProtocolStat, ProxyProtocolVersionStat, proxy_protocol_prefix,
    proxy_protocol_version_prefix,
};
use observe::{Registry, Scope, Shard};
use proto::proxy_protocol::{
    Absence, Addresses, Decoded, Header, Refusal, Rules, Tlv, Version, decode,
};

use crate::origin::Origin;

/// Where the filter's values are in the filter state.
const TLV_OBJECT: &str = "envoy.network.proxy_protocol.tlv";

/// The filter on one worker.
#[derive(Debug)]
pub struct ProxyProtocolFilter {
    config: model::ProxyProtocol,
    rules: Rules,
    stats: Scope<ProxyProtocolStat>,
    v1: Scope<ProxyProtocolVersionStat>,
    v2: Scope<ProxyProtocolVersionStat>,
    errors: Scope<ProxyProtocolErrorStat>,
}

/// What the beginning of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inspection {
    /// Too little to tell: so many bytes more may be a part of the header.
    NeedMore(usize),
    /// So many bytes belong to the header, and the connection goes on behind them.
    Passed(usize),
    /// The connection is to be closed.
    Refused(Refusal),
}

impl ProxyProtocolFilter {
    pub(super) fn new(config: &model::ProxyProtocol, registry: &Registry, shard: &Shard) -> Self {
        let prefix = proxy_protocol_prefix(&config.stat_prefix);
        let of_version =
            |version| registry.scope(&proxy_protocol_version_prefix(&prefix, version)).on(shard);
        let absence = if config.allow_absence { Absence::Allowed } else { Absence::Refused };
        Self {
            rules: Rules { v1: config.v1, v2: config.v2, absence },
            stats: registry.scope(&prefix).on(shard),
            v1: of_version(1),
            v2: of_version(2),
            errors: registry.scope("").on(shard),
            config: config.clone(),
        }
    }

    /// Looks at all that has come on a connection so far. What a header says goes into `origin`;
    /// what it was is counted.
    pub fn inspect(&self, received: &[u8], origin: &mut Origin) -> Inspection {
        match decode(received, self.rules) {
            Ok(Decoded::NeedMore(credit)) => Inspection::NeedMore(credit),
            Ok(Decoded::Absent) => {
                self.stats.inc(ProxyProtocolStat::NotFoundAllowed);
                Inspection::Passed(0)
            }
            Ok(Decoded::Header(header)) => {
                self.of_version(header.version).inc(ProxyProtocolVersionStat::Found);
                self.take(&header, origin);
                Inspection::Passed(header.len)
            }
            Err(refusal) => {
                self.count_refusal(refusal);
                Inspection::Refused(refusal)
            }
        }
    }

    fn of_version(&self, version: Version) -> &Scope<ProxyProtocolVersionStat> {
        match version {
            Version::V1 => &self.v1,
            Version::V2 => &self.v2,
        }
    }

    fn count_refusal(&self, refusal: Refusal) {
        match refusal {
            Refusal::Absent => self.stats.inc(ProxyProtocolStat::NotFoundDisallowed),
            Refusal::Malformed(version, _) => {
                self.of_version(version).inc(ProxyProtocolVersionStat::Error);
            }
            // No error in Envoy's count.
            Refusal::Disallowed(version) => {
                let stats = self.of_version(version);
                stats.inc(ProxyProtocolVersionStat::Found);
                return stats.inc(ProxyProtocolVersionStat::Disallowed);
            }
        }
        self.errors.inc(ProxyProtocolErrorStat::DownstreamCxProxyProtoError);
    }

    fn take(&self, header: &Header<'_>, origin: &mut Origin) {
        let mut tlvs = Vec::new();
        for Tlv { kind, value } in header.tlvs {
            if let Some(rule) = self.config.rules.iter().find(|rule| rule.kind == kind) {
                self.note(rule, value, origin);
            }
            if self.config.pass_through.includes(kind) {
                tlvs.push((kind, value.to_vec()));
            }
        }
        let ends = |addresses: Addresses| {
            (Address::Ip(addresses.source()), Address::Ip(addresses.destination()))
        };
        let addresses = header.addresses.map(ends);
        origin.introduce(addresses.clone(), tlvs);
        if let Some((remote, local)) = addresses {
            origin.set_remote(remote);
            if local != origin.ends().local {
                origin.restore_local(local);
            }
        }
    }

    fn note(&self, rule: &TlvRule, value: &[u8], origin: &mut Origin) {
        let text = if rule.base64 { STANDARD.encode(value) } else { sanitized(value) };
        match self.config.location {
            // In Envoy the first one stays in the one place, and the last one in the other.
            TlvLocation::DynamicMetadata => {
                origin.dynamic_metadata.add(&rule.namespace, &rule.key, text);
            }
            TlvLocation::FilterState => origin.filter_state.set_field(TLV_OBJECT, &rule.key, text),
        }
    }
}

/// The bytes as text, an exclamation mark for each that is not UTF-8.
fn sanitized(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '!'));
    }
    text
}

#[cfg(test)]
mod tests {
    use config::model::PassThroughTlvs;
    use observe::ShardIndex;
    use observe::access_log::FilterObject;
    use proto::proxy_protocol::{Malformed, encode_v2};

    use super::*;

    fn address(text: &str) -> Address {
        Address::Ip(text.parse().unwrap())
    }

    fn origin() -> Origin {
        Origin::new(address("127.0.0.1:1"), address("127.0.0.1:2"))
    }

    fn filter(config: model::ProxyProtocol) -> ProxyProtocolFilter {
        let registry = Registry::new(1);
        let shard = registry.shard(ShardIndex::Worker(0)).unwrap();
        ProxyProtocolFilter::new(&config, &registry, &shard)
    }

    fn rule(kind: u8, key: &str) -> TlvRule {
        let namespace = "n".to_owned();
        TlvRule { kind, namespace, key: key.to_owned(), base64: false }
    }

    fn header(tlvs: &[(u8, &[u8])]) -> Vec<u8> {
        let ends = Addresses::new("9.8.7.6:5".parse().unwrap(), "1.2.3.4:5".parse().unwrap());
        let tlvs = tlvs.iter().map(|(kind, value)| Tlv { kind: *kind, value });
        let mut out = Vec::new();
        encode_v2(Some(&ends), tlvs, &mut out).unwrap();
        out
    }

    #[test]
    fn a_header_says_whose_connection_it_is() {
        let filter = filter(model::ProxyProtocol::default());
        let mut origin = origin();
        let header = header(&[]);
        let inspected = filter.inspect(&header[..20], &mut origin);
        assert_eq!(inspected, Inspection::NeedMore(header.len() - 20));
        assert_eq!(filter.inspect(&header, &mut origin), Inspection::Passed(header.len()));
        assert_eq!(origin.ends().remote, address("9.8.7.6:5"));
        assert_eq!(origin.ends().local, address("1.2.3.4:5"));
        assert_eq!(origin.ends().direct_remote, address("127.0.0.1:1"));
        assert_eq!(origin.ends().direct_local, address("127.0.0.1:2"));
        assert!(origin.is_local_restored());
        assert_eq!(filter.v2.value(ProxyProtocolVersionStat::Found), 1);
        // The next one counts for us, and the first one for the upstream.
        assert_eq!(
            filter.inspect(b"PROXY TCP4 3.3.3.3 4.4.4.4 3 4\r\n", &mut origin),
            Inspection::Passed(32)
        );
        assert_eq!(origin.ends().remote, address("3.3.3.3:3"));
        assert_eq!(origin.introduction().unwrap().remote, address("9.8.7.6:5"));
    }

    #[test]
    fn what_is_refused_is_counted_by_its_kind() {
        let filter = filter(model::ProxyProtocol { v2: false, ..Default::default() });
        let mut origin = origin();
        for (input, refusal) in [
            (&b"GET / HTTP/1.1\r\n"[..], Refusal::Absent),
            (b"PROXY X\r\n", Refusal::Malformed(Version::V1, Malformed::Protocol)),
            (&header(&[]), Refusal::Disallowed(Version::V2)),
        ] {
            assert_eq!(filter.inspect(input, &mut origin), Inspection::Refused(refusal));
        }
        assert_eq!(filter.stats.value(ProxyProtocolStat::NotFoundDisallowed), 1);
        assert_eq!(filter.v1.value(ProxyProtocolVersionStat::Error), 1);
        assert_eq!(filter.v2.value(ProxyProtocolVersionStat::Found), 1);
        assert_eq!(filter.v2.value(ProxyProtocolVersionStat::Disallowed), 1);
        assert_eq!(filter.errors.value(ProxyProtocolErrorStat::DownstreamCxProxyProtoError), 2);
        assert_eq!(origin, self::origin());
    }

    #[test]
    fn a_connection_without_a_header_passes_untouched_if_it_may() {
        let filter = filter(model::ProxyProtocol { allow_absence: true, ..Default::default() });
        let mut origin = origin();
        assert_eq!(filter.inspect(b"GET", &mut origin), Inspection::Passed(0));
        assert_eq!(filter.stats.value(ProxyProtocolStat::NotFoundAllowed), 1);
        assert_eq!(origin, self::origin());
        assert!(origin.introduction().is_none());
    }

    #[test]
    fn extensions_go_where_the_rules_put_them() {
        let rules = vec![rule(1, "a"), TlvRule { base64: true, ..rule(2, "b") }];
        let pass_through = PassThroughTlvs::Types(vec![2, 3]);
        let config = model::ProxyProtocol { rules, pass_through, ..Default::default() };
        let tlvs: &[(u8, &[u8])] =
            &[(1, b"x\xff\xe2\x82\xac\xe2"), (1, b"again"), (2, b"\0\xff"), (3, b"c")];
        let found = |config: model::ProxyProtocol| {
            let mut origin = origin();
            let inspected = filter(config).inspect(&header(tlvs), &mut origin);
            assert!(matches!(inspected, Inspection::Passed(_)));
            origin
        };
        let origin = found(config.clone());
        assert_eq!(origin.dynamic_metadata.get("n", "a"), Some("x!\u{20ac}!"));
        assert_eq!(origin.dynamic_metadata.get("n", "b"), Some("AP8="));
        assert!(origin.filter_state.is_empty());
        let passed = &origin.introduction().unwrap().tlvs;
        assert_eq!(*passed, [(2, b"\0\xff".to_vec()), (3, b"c".to_vec())]);
        let location = TlvLocation::FilterState;
        let origin = found(model::ProxyProtocol { location, ..config });
        let texts = [("a", "again"), ("b", "AP8=")];
        let texts = texts.map(|(key, text)| (key.to_owned(), text.to_owned()));
        let object = FilterObject::Fields(texts.into());
        assert_eq!(origin.filter_state.get(TLV_OBJECT), Some(&object));
        assert!(origin.dynamic_metadata.is_empty());
    }
}
