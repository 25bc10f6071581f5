//! Listener filters, and how long a connection may take to pass them.

use super::Lower;
use crate::model::{self, ConnectionPredicate, ListenerFilterKind, PassThroughTlvs, TlvLocation};
use crate::typed::envoy::config::core::v3 as core;
use crate::typed::envoy::config::listener::v3 as pb;
use crate::typed::envoy::extensions::filters::listener::proxy_protocol::v3 as proxy_protocol;
use core::proxy_protocol_config::Version;
use core::proxy_protocol_pass_through_tl_vs::PassTlVsMatchType;
use pb::listener_filter::ConfigType;
use pb::listener_filter_chain_match_predicate::Rule;
use proxy_protocol::proxy_protocol as inner;

/// Where the rules of the `proxy_protocol` filter put values unless they say otherwise.
const PROXY_PROTOCOL_NAMESPACE: &str = "envoy.filters.listener.proxy_protocol";

impl Lower<'_> {
    /// None when something was reported.
    pub(super) fn listener_filters(
        &mut self,
        message: &pb::Listener,
        path: &str,
    ) -> Option<model::ListenerFilters> {
        let default = model::ListenerFilters::default();
        let timeout = match &message.listener_filters_timeout {
            None => default.timeout,
            Some(timeout) => {
                let timeout =
                    self.milliseconds(timeout, &format!("{path}.listener_filters_timeout"));
                Some(timeout).filter(|timeout| !timeout.is_zero())
            }
        };
        let filters: Vec<_> = message
            .listener_filters
            .iter()
            .enumerate()
            .map(|(index, filter)| {
                self.listener_filter(filter, &format!("{path}.listener_filters[{index}]"))
            })
            .collect();
        let mut filters: Vec<_> = filters.into_iter().collect::<Option<_>>()?;
        let hand_off = message.use_original_dst.unwrap_or(false);
        if hand_off {
            let kind = ListenerFilterKind::OriginalDestination;
            filters.push(model::ListenerFilter { disabled: None, kind });
        }
        // Envoy looks at the first chain only.
        let first = message.filter_chains.first().or(message.default_filter_chain.as_ref());
        if first.and_then(|chain| chain.use_proxy_proto).unwrap_or(false) {
            let kind = ListenerFilterKind::ProxyProtocol(model::ProxyProtocol::default());
            filters.push(model::ListenerFilter { disabled: None, kind });
        }
        let continue_on_timeout = message.continue_on_listener_filters_timeout;
        Some(model::ListenerFilters { filters, timeout, continue_on_timeout, hand_off })
    }

    fn listener_filter(
        &mut self,
        message: &pb::ListenerFilter,
        path: &str,
    ) -> Option<model::ListenerFilter> {
        let Some(ConfigType::TypedConfig(any)) = &message.config_type else {
            // `config_discovery` was reported before.
            if message.config_type.is_none() {
                let text = format!(
                    "Didn't find a registered implementation for '{}' with type URL: ''",
                    message.name
                );
                self.absent(path, "typed_config", &text);
            }
            return None;
        };
        let (_, name) = any.type_url.rsplit_once('/')?;
        let disabled = message.filter_disabled.as_ref().map(connection_predicate);
        let path = format!("{path}.typed_config");
        let kind = match name.strip_prefix("envoy.extensions.filters.listener.")? {
            "original_dst.v3.OriginalDst" => ListenerFilterKind::OriginalDestination,
            "proxy_protocol.v3.ProxyProtocol" => {
                let message = self.decoded(any, &path)?;
                ListenerFilterKind::ProxyProtocol(self.proxy_protocol(&message, &path)?)
            }
            // Reported before: not supported.
            _ => return None,
        };
        Some(model::ListenerFilter { disabled, kind })
    }

    fn proxy_protocol(
        &mut self,
        message: &proxy_protocol::ProxyProtocol,
        path: &str,
    ) -> Option<model::ProxyProtocol> {
        let takes = |version| !message.disallowed_versions().any(|other| other == version);
        let (v1, v2) = (takes(Version::V1), takes(Version::V2));
        if !v1 && !v2 {
            let text = "Proxy Protocol filter is misconfigured: all proxy protocol versions are \
                        disallowed.";
            self.invalid(&format!("{path}.disallowed_versions"), text, None);
            return None;
        }
        let mut rules: Vec<model::TlvRule> = Vec::new();
        for rule in message.rules.iter().filter_map(tlv_rule) {
            // Of several for one type the last one counts, as in Envoy.
            rules.retain(|other| other.kind != rule.kind);
            rules.push(rule);
        }
        Some(model::ProxyProtocol {
            stat_prefix: message.stat_prefix.clone(),
            v1,
            v2,
            allow_absence: message.allow_requests_without_proxy_protocol,
            rules,
            location: match message.tlv_location() {
                inner::TlvLocation::DynamicMetadata => TlvLocation::DynamicMetadata,
                inner::TlvLocation::FilterState => TlvLocation::FilterState,
            },
            pass_through: pass_through_tlvs(message.pass_through_tlvs.as_ref()),
        })
    }
}

/// The rules bound the type.
fn tlv_rule(message: &inner::Rule) -> Option<model::TlvRule> {
    let kind = u8::try_from(message.tlv_type).ok()?;
    let target = message.on_tlv_present.clone().unwrap_or_default();
    let namespace = match target.metadata_namespace.is_empty() {
        true => PROXY_PROTOCOL_NAMESPACE.to_owned(),
        false => target.metadata_namespace.clone(),
    };
    let base64 = match target.value_string_encoding() {
        inner::key_value_pair::ValueStringEncoding::Base64 => true,
        inner::key_value_pair::ValueStringEncoding::Unspecified
        | inner::key_value_pair::ValueStringEncoding::SanitizedUtf8 => false,
    };
    Some(model::TlvRule { kind, namespace, key: target.key, base64 })
}

/// Which extensions of a header go on.
pub(super) fn pass_through_tlvs(
    message: Option<&core::ProxyProtocolPassThroughTlVs>,
) -> PassThroughTlvs {
    let Some(message) = message else { return PassThroughTlvs::default() };
    match message.match_type() {
        PassTlVsMatchType::IncludeAll => PassThroughTlvs::All,
        PassTlVsMatchType::Include => {
            // The rules bound them.
            let kinds = message.tlv_type.iter().filter_map(|kind| u8::try_from(*kind).ok());
            PassThroughTlvs::Types(kinds.collect())
        }
    }
}

/// The rules have seen to it that there is a rule everywhere.
fn connection_predicate(message: &pb::ListenerFilterChainMatchPredicate) -> ConnectionPredicate {
    match &message.rule {
        None => ConnectionPredicate::OneOf(Vec::new()),
        Some(Rule::AnyMatch(_)) => ConnectionPredicate::Any,
        Some(Rule::AndMatch(set)) => {
            ConnectionPredicate::All(set.rules.iter().map(connection_predicate).collect())
        }
        Some(Rule::OrMatch(set)) => {
            ConnectionPredicate::OneOf(set.rules.iter().map(connection_predicate).collect())
        }
        Some(Rule::NotMatch(not)) => ConnectionPredicate::Not(Box::new(connection_predicate(not))),
        Some(Rule::DestinationPortRange(range)) => {
            ConnectionPredicate::DestinationPortRange(range.start, range.end)
        }
    }
}
