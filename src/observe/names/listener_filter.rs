//! Stats of listener filters, and of the headers that a cluster's connections begin with.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/listener_filters/proxy_protocol>

crate::stats! {
    /// Below `proxy_proto` or `proxy_proto.<stat_prefix>`.
    pub enum ProxyProtocolStat {
        /// Connections without a header that were let through.
        NotFoundAllowed => counter "not_found_allowed",
        /// Connections without a header that were closed.
        NotFoundDisallowed => counter "not_found_disallowed",
    }
}

crate::stats! {
    /// Below `versions.v1` and `versions.v2` of [`ProxyProtocolStat`].
    pub enum ProxyProtocolVersionStat {
        /// Headers of this version, those that are not taken too.
        Found => counter "found",
        /// Headers that are not taken, because this version is not.
        Disallowed => counter "disallowed",
        /// Headers that are wrong.
        Error => counter "error",
    }
}

crate::stats! {
    /// Without a prefix: all filters of the process together.
    pub enum ProxyProtocolErrorStat {
        /// Connections closed because their header is missing or wrong.
        DownstreamCxProxyProtoError => counter "downstream_cx_proxy_proto_error",
    }
}

crate::stats! {
    /// Below `cluster.<name>.upstream.proxyprotocol`.
    pub enum UpstreamProxyProtocolStat {
        /// Headers that had no room for all extensions (TLVs) they were to have.
        V2TlvsExceedMaxLength => counter "v2_tlvs_exceed_max_length",
    }
}

/// The prefix of a `proxy_protocol` filter with this `stat_prefix`.
#[must_use]
pub fn proxy_protocol_prefix(stat_prefix: &str) -> String {
    match stat_prefix {
        "" => "proxy_proto".to_owned(),
        own => format!("proxy_proto.{own}"),
    }
}

/// The prefix of what the filter with the prefix `filter` counts of one version, 1 or 2.
#[must_use]
pub fn proxy_protocol_version_prefix(filter: &str, version: u8) -> String {
    format!("{filter}.versions.v{version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_spelled_as_by_envoy() {
        assert_eq!(proxy_protocol_prefix(""), "proxy_proto");
        let edge = proxy_protocol_prefix("edge");
        assert_eq!(edge, "proxy_proto.edge");
        assert_eq!(proxy_protocol_version_prefix(&edge, 2), "proxy_proto.edge.versions.v2");
    }
}
