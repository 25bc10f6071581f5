//! Connections that become something else than HTTP: upgrades, and CONNECT.

use super::ProxyProtocolVersion;

/// Envoy's `UpgradeConfig`, of a connection manager or of a route: what may become of a connection.
///
/// <https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/http/upgrades>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// `upgrade_type`: what the request's `upgrade` says, in whatever case, or `CONNECT` for
    /// requests of that method.
    pub kind: String,
    /// `enabled`: true unless set. What a route says goes before what its connection manager says.
    pub enabled: bool,
}

/// Envoy's `RouteAction.UpgradeConfig.ConnectConfig`: the payload of a CONNECT goes to a host as
/// TCP, without HTTP around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectConfig {
    /// `proxy_protocol_config`: the host is told first whose connection it is. Such a header has no
    /// TLVs.
    pub proxy_protocol: Option<ProxyProtocolVersion>,
    /// `allow_post`: the body of a POST goes to a host in the same way; false unless set.
    pub allow_post: bool,
}
