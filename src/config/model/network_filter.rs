//! Network filters that stand before the one that ends a chain.

use std::time::Duration;

use base::Cidr;

use super::{FilterStateValue, RuntimeFlag, SetFilterState};

/// A filter that decides whether a connection goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkFilter {
    /// `envoy.filters.network.connection_limit`.
    ConnectionLimit(ConnectionLimit),
    /// `envoy.filters.network.local_ratelimit`.
    LocalRateLimit(LocalRateLimit),
    /// `envoy.filters.network.rbac`.
    Rbac(Rbac),
    /// `envoy.filters.network.set_filter_state`.
    SetFilterState(SetFilterState),
}

impl NetworkFilter {
    /// What it leaves on connections.
    pub fn filter_state(&self) -> impl Iterator<Item = &FilterStateValue> {
        let (new, data): (&[_], &[_]) = match self {
            Self::SetFilterState(set) => (&set.on_new_connection, &set.on_downstream_data),
            Self::ConnectionLimit(_) | Self::LocalRateLimit(_) | Self::Rbac(_) => (&[], &[]),
        };
        new.iter().chain(data)
    }
}

/// Envoy's `extensions.filters.network.connection_limit.v3.ConnectionLimit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLimit {
    /// `stat_prefix`: stats are `connection_limit.<stat_prefix>.*`.
    pub stat_prefix: String,
    /// `max_connections`, never 0.
    pub max_connections: u64,
    /// `delay`: how long a connection too many is held before it is closed; `None` for at once.
    pub delay: Option<Duration>,
    /// `runtime_enabled`.
    pub enabled: RuntimeFlag,
}

/// Envoy's `extensions.filters.network.local_ratelimit.v3.LocalRateLimit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalRateLimit {
    /// `stat_prefix`: stats are `local_rate_limit.<stat_prefix>.*`.
    pub stat_prefix: String,
    /// `token_bucket`.
    pub bucket: TokenBucket,
    /// `runtime_enabled`.
    pub enabled: RuntimeFlag,
    /// `share_key`: filters with the same key and the same bucket share it; `None` for a bucket
    /// of one's own.
    pub share_key: Option<String>,
}

/// Envoy's `type.v3.TokenBucket`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenBucket {
    /// `max_tokens`; with 0 nobody ever gets one.
    pub max_tokens: u32,
    /// `tokens_per_fill`, 1 unless set, never 0.
    pub tokens_per_fill: u32,
    /// `fill_interval`, at least 50 ms.
    pub fill_interval: Duration,
}

/// Envoy's `extensions.filters.network.rbac.v3.RBAC`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rbac {
    /// `stat_prefix`: stats are `<stat_prefix>.rbac.*`.
    pub stat_prefix: String,
    /// `rules`; `None` allows everything and counts nothing.
    pub rules: Option<RbacRules>,
    /// `shadow_rules`: counted, not carried out.
    pub shadow_rules: Option<RbacRules>,
    /// `shadow_rules_stat_prefix`; may be empty.
    pub shadow_rules_stat_prefix: String,
    /// `delay_deny`: how long a denied connection is held before it is closed; `None` for at once.
    pub delay_deny: Option<Duration>,
}

/// Envoy's `config.rbac.v3.RBAC`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RbacRules {
    /// `action`.
    pub action: RbacAction,
    /// `policies`, by name, as Envoy goes through them.
    pub policies: Vec<RbacPolicy>,
}

/// Envoy's `config.rbac.v3.RBAC.Action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RbacAction {
    /// Allows what a policy matches, and nothing else.
    Allow,
    /// Denies what a policy matches, and nothing else.
    Deny,
    /// Allows everything.
    Log,
}

/// Envoy's `config.rbac.v3.Policy`: it matches if one permission and one principal do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RbacPolicy {
    /// Its key in `policies`.
    pub name: String,
    /// `permissions`.
    pub permissions: Vec<Permission>,
    /// `principals`.
    pub principals: Vec<Principal>,
}

/// Envoy's `config.rbac.v3.Permission`: what a connection is to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// `any`.
    Any,
    /// `and_rules`.
    All(Vec<Self>),
    /// `or_rules`.
    OneOf(Vec<Self>),
    /// `not_rule`.
    Not(Box<Self>),
    /// `destination_ip`.
    DestinationIp(Cidr),
    /// `destination_port`.
    DestinationPort(u16),
    /// `destination_port_range`, from the first to the one before the second.
    DestinationPortRange(u32, u32),
}

/// Envoy's `config.rbac.v3.Principal`: whom a connection is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// `any`.
    Any,
    /// `and_ids`.
    All(Vec<Self>),
    /// `or_ids`.
    OneOf(Vec<Self>),
    /// `not_id`.
    Not(Box<Self>),
    /// `authenticated`: nobody is, without TLS.
    Authenticated,
    /// `source_ip` and `remote_ip`, which are the same for a connection: who the client is.
    RemoteIp(Cidr),
    /// `direct_remote_ip`: the peer itself, whatever a PROXY header says.
    DirectRemoteIp(Cidr),
}
