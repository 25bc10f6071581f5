//! `envoy.filters.network.rbac`: rules about who may connect to what.
//!
//! It decides once, when the first bytes or the client's end have come: what was sent to the client
//! before that is sent, and a filter behind it has been asked for the connection already.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/network_filters/rbac_filter>

use std::time::Duration;

use config::model::{self, Permission, Principal, RbacAction, RbacRules};
use observe::names::{RbacShadowStat, RbacStat, rbac_prefix, rbac_shadow_prefix};
use observe::{Registry, Scope, Shard};

use super::{Close, Verdict};
use crate::ends::Ends;

/// The filter on one worker.
#[derive(Debug)]
pub(super) struct Rbac {
    rules: Option<RbacRules>,
    shadow_rules: Option<RbacRules>,
    delay_deny: Option<Duration>,
    stats: Scope<RbacStat>,
    shadow_stats: Scope<RbacShadowStat>,
}

/// What rules say, and the policy that matched first.
#[derive(Debug, PartialEq, Eq)]
struct Ruling<'a> {
    allowed: bool,
    policy: Option<&'a str>,
}

impl Rbac {
    pub(super) fn new(config: &model::Rbac, registry: &Registry, shard: &Shard) -> Self {
        let shadow = rbac_shadow_prefix(&config.stat_prefix, &config.shadow_rules_stat_prefix);
        Self {
            rules: config.rules.clone(),
            shadow_rules: config.shadow_rules.clone(),
            delay_deny: config.delay_deny,
            stats: registry.scope(&rbac_prefix(&config.stat_prefix)).on(shard),
            shadow_stats: registry.scope(&shadow).on(shard),
        }
    }

    pub(super) fn on_first_data(&self, ends: &Ends) -> Verdict {
        if let Some(rules) = &self.shadow_rules {
            self.shadow_stats.inc(match rule(rules, ends).allowed {
                true => RbacShadowStat::ShadowAllowed,
                false => RbacShadowStat::ShadowDenied,
            });
        }
        let Some(rules) = &self.rules else { return Verdict::Continue };
        let Ruling { allowed, policy } = rule(rules, ends);
        if allowed {
            self.stats.inc(RbacStat::Allowed);
            return Verdict::Continue;
        }
        self.stats.inc(RbacStat::Denied);
        // A space would end the word in a line of the access log.
        let policy = policy.unwrap_or("none").replace(char::is_whitespace, "_");
        let close = Close {
            flag: None,
            reason: "rbac_deny_close",
            details: Some(format!("rbac_access_denied_matched_policy[{policy}]")),
        };
        Verdict::Close(self.delay_deny, close)
    }
}

fn rule<'a>(rules: &'a RbacRules, ends: &Ends) -> Ruling<'a> {
    let policy = rules.policies.iter().find(|policy| {
        policy.permissions.iter().any(|permission| permits(permission, ends))
            && policy.principals.iter().any(|principal| is_principal(principal, ends))
    });
    let allowed = match rules.action {
        RbacAction::Allow => policy.is_some(),
        RbacAction::Deny => policy.is_none(),
        RbacAction::Log => true,
    };
    Ruling { allowed, policy: policy.map(|policy| policy.name.as_str()) }
}

fn permits(permission: &Permission, ends: &Ends) -> bool {
    // A Unix-domain socket is in no range and has no port.
    let local = ends.local.ip();
    match permission {
        Permission::Any => true,
        Permission::All(all) => all.iter().all(|one| permits(one, ends)),
        Permission::OneOf(all) => all.iter().any(|one| permits(one, ends)),
        Permission::Not(one) => !permits(one, ends),
        Permission::DestinationIp(range) => local.is_some_and(|local| range.contains(local.ip())),
        Permission::DestinationPort(port) => local.is_some_and(|local| local.port() == *port),
        Permission::DestinationPortRange(start, end) => {
            local.is_some_and(|local| (*start..*end).contains(&local.port().into()))
        }
    }
}

fn is_principal(principal: &Principal, ends: &Ends) -> bool {
    match principal {
        Principal::Any => true,
        Principal::All(all) => all.iter().all(|one| is_principal(one, ends)),
        Principal::OneOf(all) => all.iter().any(|one| is_principal(one, ends)),
        Principal::Not(one) => !is_principal(one, ends),
        Principal::Authenticated => false,
        Principal::RemoteIp(range) => {
            ends.remote.ip().is_some_and(|remote| range.contains(remote.ip()))
        }
        Principal::DirectRemoteIp(range) => {
            ends.direct_remote.ip().is_some_and(|peer| range.contains(peer.ip()))
        }
    }
}

#[cfg(test)]
mod tests {
    use base::{Address, Cidr};
    use config::model::RbacPolicy;
    use observe::ShardIndex;

    use super::*;

    fn ends() -> Ends {
        let address = |text: &str| Address::Ip(text.parse().unwrap());
        Ends {
            remote: address("9.8.7.6:1000"),
            direct_remote: address("127.0.0.1:2000"),
            local: address("10.1.2.3:80"),
            direct_local: address("127.0.0.1:80"),
        }
    }

    fn range(ip: &str, len: u8) -> Cidr {
        Cidr::new(ip.parse().unwrap(), len)
    }

    fn policy(name: &str, permission: Permission, principal: Principal) -> RbacPolicy {
        RbacPolicy {
            name: name.to_owned(),
            permissions: vec![permission],
            principals: vec![principal],
        }
    }

    #[test]
    fn permissions_are_about_the_destination() {
        let (yes, no) = (Permission::DestinationPort(80), Permission::DestinationPort(1000));
        for (permission, expected) in [
            (Permission::Any, true),
            (yes.clone(), true),
            (no.clone(), false),
            (Permission::DestinationPortRange(80, 81), true),
            (Permission::DestinationPortRange(70, 80), false),
            (Permission::DestinationIp(range("10.1.0.0", 16)), true),
            (Permission::DestinationIp(range("9.0.0.0", 8)), false),
            (Permission::All(vec![yes.clone(), no.clone()]), false),
            (Permission::OneOf(vec![yes.clone(), no.clone()]), true),
            (Permission::Not(Box::new(no)), true),
        ] {
            assert_eq!(permits(&permission, &ends()), expected, "{permission:?}");
        }
        let pipe = Address::Pipe("/a".into());
        let on_pipe = Ends {
            remote: pipe.clone(),
            direct_remote: pipe.clone(),
            local: pipe.clone(),
            direct_local: pipe,
        };
        assert!(!permits(&Permission::DestinationIp(range("0.0.0.0", 0)), &on_pipe));
        assert!(!permits(&Permission::DestinationPortRange(0, 65_536), &on_pipe));
    }

    #[test]
    fn principals_are_about_the_client() {
        let (yes, no) = (Principal::RemoteIp(range("9.0.0.0", 8)), Principal::Authenticated);
        for (principal, expected) in [
            (Principal::Any, true),
            (yes.clone(), true),
            (no.clone(), false),
            (Principal::RemoteIp(range("127.0.0.1", 32)), false),
            (Principal::DirectRemoteIp(range("127.0.0.1", 32)), true),
            (Principal::DirectRemoteIp(range("9.8.7.6", 32)), false),
            (Principal::All(vec![yes.clone(), no.clone()]), false),
            (Principal::OneOf(vec![yes.clone(), no.clone()]), true),
            (Principal::Not(Box::new(no)), true),
        ] {
            assert_eq!(is_principal(&principal, &ends()), expected, "{principal:?}");
        }
    }

    #[test]
    fn the_first_policy_that_matches_decides_as_the_action_says() {
        let other = policy("a", Permission::DestinationPort(1), Principal::Any);
        let own = policy("b", Permission::Any, Principal::Any);
        for (action, policies, allowed, matched) in [
            (RbacAction::Allow, vec![], false, None),
            (RbacAction::Allow, vec![other.clone()], false, None),
            (RbacAction::Allow, vec![other.clone(), own.clone()], true, Some("b")),
            (RbacAction::Deny, vec![other.clone()], true, None),
            (RbacAction::Deny, vec![other.clone(), own.clone()], false, Some("b")),
            (RbacAction::Log, vec![own], true, Some("b")),
            (RbacAction::Log, vec![], true, None),
        ] {
            let rules = RbacRules { action, policies };
            assert_eq!(rule(&rules, &ends()), Ruling { allowed, policy: matched }, "{rules:?}");
        }
    }

    #[test]
    fn shadow_rules_are_counted_and_the_others_are_carried_out() {
        let registry = Registry::new(1);
        let shard = registry.shard(ShardIndex::Worker(0)).unwrap();
        let deny = RbacRules {
            action: RbacAction::Deny,
            policies: vec![policy("a b", Permission::Any, Principal::Any)],
        };
        let config = model::Rbac {
            stat_prefix: "p".to_owned(),
            rules: None,
            shadow_rules: Some(deny.clone()),
            shadow_rules_stat_prefix: String::new(),
            delay_deny: None,
        };
        let filter = Rbac::new(&config, &registry, &shard);
        assert_eq!(filter.on_first_data(&ends()), Verdict::Continue);
        assert_eq!(filter.shadow_stats.value(RbacShadowStat::ShadowDenied), 1);
        assert_eq!(filter.stats.value(RbacStat::Allowed), 0);
        let config = model::Rbac { rules: Some(deny), shadow_rules: None, ..config };
        let filter = Rbac::new(&config, &registry, &shard);
        let Verdict::Close(None, close) = filter.on_first_data(&ends()) else { panic!("let in") };
        let details = close.details.as_deref();
        assert_eq!(details, Some("rbac_access_denied_matched_policy[a_b]"));
        assert_eq!(filter.stats.value(RbacStat::Denied), 1);
    }
}
