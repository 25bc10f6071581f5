//! Network filters that stand before the one that ends a chain.

use std::time::Duration;

use super::Lower;
use crate::model::{self, Permission, Principal, RbacAction};
use crate::typed::envoy::config::core::v3 as core;
use crate::typed::envoy::config::rbac::v3 as rbac;
use crate::typed::envoy::extensions::filters::network::connection_limit::v3 as connection_limit;
use crate::typed::envoy::extensions::filters::network::direct_response::v3 as direct_response;
use crate::typed::envoy::extensions::filters::network::local_ratelimit::v3 as local_ratelimit;
use crate::typed::envoy::extensions::filters::network::rbac::v3 as network_rbac;

/// Shortest `fill_interval` that Envoy takes.
const FILL_INTERVAL_MIN: Duration = Duration::from_millis(50);

/// Ports end before this one.
const PORTS_END: i32 = 65_536;

impl Lower<'_> {
    pub(super) fn connection_limit_filter(
        &mut self,
        message: &connection_limit::ConnectionLimit,
        path: &str,
    ) -> Option<model::ConnectionLimit> {
        let Some(max_connections) = message.max_connections else {
            self.absent(path, "max_connections", "Field 'max_connections' is missing");
            return None;
        };
        Some(model::ConnectionLimit {
            stat_prefix: message.stat_prefix.clone(),
            max_connections,
            delay: self.delay(message.delay.as_ref(), &format!("{path}.delay")),
            enabled: runtime_flag(message.runtime_enabled.as_ref()),
        })
    }

    pub(super) fn local_rate_limit(
        &mut self,
        message: &local_ratelimit::LocalRateLimit,
        path: &str,
    ) -> Option<model::LocalRateLimit> {
        // The rules have seen to it that both are there.
        let bucket = message.token_bucket.as_ref()?;
        let interval_path = format!("{path}.token_bucket.fill_interval");
        let fill_interval = self.milliseconds(bucket.fill_interval.as_ref()?, &interval_path);
        if fill_interval < FILL_INTERVAL_MIN {
            let text = "local rate limit token bucket fill timer must be >= 50ms";
            self.invalid(&interval_path, text, None);
            return None;
        }
        Some(model::LocalRateLimit {
            stat_prefix: message.stat_prefix.clone(),
            bucket: model::TokenBucket {
                max_tokens: bucket.max_tokens,
                tokens_per_fill: bucket.tokens_per_fill.unwrap_or(1),
                fill_interval,
            },
            enabled: runtime_flag(message.runtime_enabled.as_ref()),
            share_key: Some(message.share_key.clone()).filter(|key| !key.is_empty()),
        })
    }

    pub(super) fn network_direct_response(
        &mut self,
        message: &direct_response::Config,
        path: &str,
    ) -> Option<Vec<u8>> {
        match &message.response {
            None => Some(Vec::new()),
            Some(source) => self.data_source(source, &format!("{path}.response")),
        }
    }

    pub(super) fn network_rbac(
        &mut self,
        message: &network_rbac::Rbac,
        path: &str,
    ) -> Option<model::Rbac> {
        let rules = message.rules.as_ref();
        let rules = rules.map(|rules| self.rbac_rules(rules, &format!("{path}.rules")));
        let shadow = message.shadow_rules.as_ref();
        let shadow = shadow.map(|rules| self.rbac_rules(rules, &format!("{path}.shadow_rules")));
        Some(model::Rbac {
            stat_prefix: message.stat_prefix.clone(),
            rules: rules.map_or(Some(None), |rules| rules.map(Some))?,
            shadow_rules: shadow.map_or(Some(None), |rules| rules.map(Some))?,
            shadow_rules_stat_prefix: message.shadow_rules_stat_prefix.clone(),
            delay_deny: self.delay(message.delay_deny.as_ref(), &format!("{path}.delay_deny")),
        })
    }

    fn rbac_rules(&mut self, message: &rbac::Rbac, path: &str) -> Option<model::RbacRules> {
        let mut named: Vec<_> = message.policies.iter().collect();
        named.sort_by_key(|(name, _)| *name);
        let policies: Vec<_> = named
            .into_iter()
            .map(|(name, policy)| {
                let path = format!("{path}.policies[\"{name}\"]");
                let permissions = policy.permissions.iter().enumerate().map(|(index, message)| {
                    self.permission(message, &format!("{path}.permissions[{index}]"))
                });
                let permissions: Vec<_> = permissions.collect();
                let principals = policy.principals.iter().enumerate().map(|(index, message)| {
                    self.principal(message, &format!("{path}.principals[{index}]"))
                });
                let principals: Vec<_> = principals.collect();
                Some(model::RbacPolicy {
                    name: name.clone(),
                    permissions: permissions.into_iter().collect::<Option<_>>()?,
                    principals: principals.into_iter().collect::<Option<_>>()?,
                })
            })
            .collect();
        Some(model::RbacRules {
            action: match message.action() {
                rbac::rbac::Action::Allow => RbacAction::Allow,
                rbac::rbac::Action::Deny => RbacAction::Deny,
                rbac::rbac::Action::Log => RbacAction::Log,
            },
            policies: policies.into_iter().collect::<Option<_>>()?,
        })
    }

    fn permission(&mut self, message: &rbac::Permission, path: &str) -> Option<Permission> {
        use rbac::permission::Rule;
        let many = |lower: &mut Self, set: &rbac::permission::Set, field: &str| {
            let rules = set.rules.iter().enumerate().map(|(index, rule)| {
                lower.permission(rule, &format!("{path}.{field}.rules[{index}]"))
            });
            let rules: Vec<_> = rules.collect();
            rules.into_iter().collect::<Option<Vec<_>>>()
        };
        // Without a rule it was reported before: as absent, or as not supported.
        Some(match message.rule.as_ref()? {
            Rule::Any(_) => Permission::Any,
            Rule::AndRules(set) => Permission::All(many(self, set, "and_rules")?),
            Rule::OrRules(set) => Permission::OneOf(many(self, set, "or_rules")?),
            Rule::NotRule(rule) => {
                Permission::Not(Box::new(self.permission(rule, &format!("{path}.not_rule"))?))
            }
            Rule::DestinationIp(range) => {
                Permission::DestinationIp(self.cidr(range, &format!("{path}.destination_ip"))?)
            }
            // The rules bound it.
            Rule::DestinationPort(port) => Permission::DestinationPort(u16::try_from(*port).ok()?),
            Rule::DestinationPortRange(range) => {
                let path = format!("{path}.destination_port_range");
                let (start, end) = self.port_range(range.start, range.end, &path)?;
                Permission::DestinationPortRange(start, end)
            }
            // Reported before, by the support table.
            Rule::RequestedServerName(_) => return None,
        })
    }

    /// From the first port to the one before the last.
    fn port_range(&mut self, start: i32, end: i32, path: &str) -> Option<(u32, u32)> {
        for (name, bound) in [("start", start), ("end", end)] {
            if !(0..=PORTS_END).contains(&bound) {
                let text = format!("range {name} {bound} is out of bounds");
                self.invalid(path, text, None);
                return None;
            }
        }
        if start >= end {
            let text =
                format!("range start {start} cannot be greater or equal than range end {end}");
            self.invalid(path, text, Some("the end is the first port that does not belong to it"));
            return None;
        }
        Some((u32::try_from(start).ok()?, u32::try_from(end).ok()?))
    }

    fn principal(&mut self, message: &rbac::Principal, path: &str) -> Option<Principal> {
        use rbac::principal::Identifier;
        let many = |lower: &mut Self, set: &rbac::principal::Set, field: &str| {
            let ids =
                set.ids.iter().enumerate().map(|(index, id)| {
                    lower.principal(id, &format!("{path}.{field}.ids[{index}]"))
                });
            let ids: Vec<_> = ids.collect();
            ids.into_iter().collect::<Option<Vec<_>>>()
        };
        let at = |field: &str| format!("{path}.{field}");
        // Without an identifier it was reported before: as absent, or as not supported.
        Some(match message.identifier.as_ref()? {
            Identifier::Any(_) => Principal::Any,
            Identifier::AndIds(set) => Principal::All(many(self, set, "and_ids")?),
            Identifier::OrIds(set) => Principal::OneOf(many(self, set, "or_ids")?),
            Identifier::NotId(id) => Principal::Not(Box::new(self.principal(id, &at("not_id"))?)),
            Identifier::Authenticated(_) => Principal::Authenticated,
            Identifier::SourceIp(range) => Principal::RemoteIp(self.cidr(range, &at("source_ip"))?),
            Identifier::RemoteIp(range) => Principal::RemoteIp(self.cidr(range, &at("remote_ip"))?),
            Identifier::DirectRemoteIp(range) => {
                Principal::DirectRemoteIp(self.cidr(range, &at("direct_remote_ip"))?)
            }
        })
    }

    /// None for no delay.
    fn delay(&mut self, delay: Option<&prost_types::Duration>, path: &str) -> Option<Duration> {
        let delay = self.milliseconds(delay?, path);
        Some(delay).filter(|delay| !delay.is_zero())
    }
}

/// A filter without the switch is on.
fn runtime_flag(flag: Option<&core::RuntimeFeatureFlag>) -> model::RuntimeFlag {
    let Some(flag) = flag else {
        return model::RuntimeFlag { key: String::new(), default: true };
    };
    let default = flag.default_value.unwrap_or(true);
    model::RuntimeFlag { key: flag.runtime_key.clone(), default }
}
