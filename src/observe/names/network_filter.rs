//! Stats of the network filters that decide whether a connection goes on.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/network_filters/network_filters>

crate::stats! {
    /// Below `connection_limit.<stat_prefix>`.
    pub enum ConnectionLimitStat {
        /// Connections that the filter has seen and that are open, held ones too.
        ActiveConnections => gauge "active_connections",
        /// Connections closed because there were too many.
        LimitedConnections => counter "limited_connections",
    }
}

crate::stats! {
    /// Below `local_rate_limit.<stat_prefix>`.
    pub enum LocalRateLimitStat {
        /// Connections closed because there was no token for them.
        RateLimited => counter "rate_limited",
    }
}

crate::stats! {
    /// Below `<stat_prefix>.rbac`.
    pub enum RbacStat {
        /// Connections that the rules allow.
        Allowed => counter "allowed",
        /// Connections that the rules deny.
        Denied => counter "denied",
    }
}

crate::stats! {
    /// Below `<stat_prefix>.rbac`, and the shadow rules' own prefix where there is one.
    pub enum RbacShadowStat {
        /// Connections that the shadow rules would allow.
        ShadowAllowed => counter "shadow_allowed",
        /// Connections that the shadow rules would deny.
        ShadowDenied => counter "shadow_denied",
    }
}

/// The prefix of a `connection_limit` filter with this `stat_prefix`.
#[must_use]
pub fn connection_limit_prefix(stat_prefix: &str) -> String {
    format!("connection_limit.{stat_prefix}")
}

/// The prefix of a `local_ratelimit` filter with this `stat_prefix`.
#[must_use]
pub fn local_rate_limit_prefix(stat_prefix: &str) -> String {
    format!("local_rate_limit.{stat_prefix}")
}

/// The prefix of an `rbac` filter with this `stat_prefix`, which may bring its own dot.
#[must_use]
pub fn rbac_prefix(stat_prefix: &str) -> String {
    format!("{}.rbac", stat_prefix.strip_suffix('.').unwrap_or(stat_prefix))
}

/// The prefix of its shadow rules.
#[must_use]
pub fn rbac_shadow_prefix(stat_prefix: &str, shadow_prefix: &str) -> String {
    let own = rbac_prefix(stat_prefix);
    match shadow_prefix.strip_suffix('.').unwrap_or(shadow_prefix) {
        "" => own,
        shadow => format!("{own}.{shadow}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_spelled_as_by_envoy() {
        assert_eq!(rbac_prefix("a"), "a.rbac");
        assert_eq!(rbac_prefix("a."), "a.rbac");
        assert_eq!(rbac_shadow_prefix("a", ""), "a.rbac");
        assert_eq!(rbac_shadow_prefix("a", "sh_"), "a.rbac.sh_");
        assert_eq!(connection_limit_prefix("a"), "connection_limit.a");
        assert_eq!(local_rate_limit_prefix("a"), "local_rate_limit.a");
    }
}
