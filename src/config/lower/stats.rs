//! How stats are named, tagged, selected and binned.

use super::Lower;
use crate::document::clipped;
use crate::model;
use crate::typed::envoy::config::metrics::v3 as pb;
use crate::typed::envoy::r#type::matcher::v3 as matcher;
use matcher::string_matcher::MatchPattern;
use pb::stats_matcher::StatsMatcher;
use pb::tag_specifier::TagValue;

/// The tags that Envoy 1.40 extracts by itself.
const DEFAULT_TAGS: &[&str] = &[
    "envoy.clientssl_prefix",
    "envoy.cluster_name",
    "envoy.connection_limit_prefix",
    "envoy.dns_filter_prefix",
    "envoy.dynamo_operation",
    "envoy.dynamo_partition_id",
    "envoy.dynamo_table",
    "envoy.ext_authz_prefix",
    "envoy.fault_downstream_cluster",
    "envoy.google_grpc_client_prefix",
    "envoy.grpc_bridge_method",
    "envoy.grpc_bridge_service",
    "envoy.health_check_name",
    "envoy.http_conn_manager_prefix",
    "envoy.http_user_agent",
    "envoy.listener_address",
    "envoy.local_http_ratelimit_prefix",
    "envoy.local_listener_ratelimit_prefix",
    "envoy.local_network_ratelimit_prefix",
    "envoy.mongo_callsite",
    "envoy.mongo_collection",
    "envoy.mongo_prefix",
    "envoy.proxy_protocol_prefix",
    "envoy.proxy_protocol_version",
    "envoy.ratelimit_prefix",
    "envoy.rbac_http_prefix",
    "envoy.rbac_policy_name",
    "envoy.rbac_prefix",
    "envoy.rds_route_config",
    "envoy.redis_prefix",
    "envoy.response_code",
    "envoy.response_code_class",
    "envoy.route",
    "envoy.scoped_rds_config",
    "envoy.ssl_cipher",
    "envoy.ssl_curve",
    "envoy.ssl_sigalg",
    "envoy.ssl_version",
    "envoy.tcp_prefix",
    "envoy.thrift_prefix",
    "envoy.tls_certificate",
    "envoy.udp_prefix",
    "envoy.virtual_cluster",
    "envoy.virtual_host",
    "envoy.worker_id",
    "envoy.xds_resource_name",
];

impl Lower<'_> {
    pub(super) fn stats_config(&mut self, message: Option<&pb::StatsConfig>) -> model::StatsConfig {
        let Some(message) = message else {
            return model::StatsConfig::default();
        };
        let mut tags = Vec::with_capacity(message.stats_tags.len());
        for (index, tag) in message.stats_tags.iter().enumerate() {
            tags.push(self.stats_tag(tag, &format!("stats_config.stats_tags[{index}]")));
        }
        let matcher = message.stats_matcher.as_ref();
        let matcher = matcher.map_or(model::StatsMatcher::All, |m| self.stats_matcher(m));
        let mut histogram_buckets = Vec::with_capacity(message.histogram_bucket_settings.len());
        for (index, settings) in message.histogram_bucket_settings.iter().enumerate() {
            let path = format!("stats_config.histogram_bucket_settings[{index}].match");
            // Absent, or of an unsupported kind: reported before.
            let Some(matches) =
                settings.r#match.as_ref().and_then(|m| self.string_matcher(m, &path))
            else {
                continue;
            };
            let mut bounds = settings.buckets.clone();
            bounds.sort_by(f64::total_cmp);
            histogram_buckets.push(model::HistogramBuckets {
                matches,
                bounds,
                bins: settings.bins,
            });
        }
        model::StatsConfig {
            tags,
            use_all_default_tags: message.use_all_default_tags.unwrap_or(true),
            matcher,
            histogram_buckets,
        }
    }

    fn stats_tag(&mut self, message: &pb::TagSpecifier, path: &str) -> model::StatsTag {
        let name = &message.tag_name;
        let value = match &message.tag_value {
            Some(TagValue::FixedValue(value)) => model::StatsTagValue::Fixed(value.clone()),
            Some(TagValue::Regex(regex)) if !regex.is_empty() => {
                if name.is_empty() {
                    self.invalid(&format!("{path}.tag_name"), "tag_name cannot be empty", None);
                }
                self.tag_regex(regex, &format!("{path}.regex"));
                model::StatsTagValue::Regex(regex.clone())
            }
            Some(TagValue::Regex(_)) | None => {
                if !DEFAULT_TAGS.contains(&name.as_str()) {
                    let text = format!(
                        "No regex specified for tag specifier and no default regex for name: '{}'",
                        clipped(name)
                    );
                    let hint = "give regex or fixed_value, or a name of Envoy's own tags";
                    self.invalid(path, text, Some(hint));
                }
                model::StatsTagValue::Default
            }
        };
        model::StatsTag { name: name.clone(), value }
    }

    /// Envoy reads these as ECMAScript expressions, which can do a little more than ours.
    fn tag_regex(&mut self, regex: &str, path: &str) {
        use regex_syntax::Error;
        use regex_syntax::ast::ErrorKind;

        let Err(error) = regex_syntax::parse(regex) else {
            return;
        };
        match &error {
            Error::Parse(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnsupportedBackreference | ErrorKind::UnsupportedLookAround
                ) =>
            {
                let hint = "say it without, such matching takes time without bound";
                self.not_yet(path, error.kind().to_string(), Some(hint));
            }
            error => self.invalid(path, invalid_regex(regex, error), None),
        }
    }

    fn stats_matcher(&mut self, message: &pb::StatsMatcher) -> model::StatsMatcher {
        let path = "stats_config.stats_matcher";
        match &message.stats_matcher {
            Some(StatsMatcher::RejectAll(true)) => model::StatsMatcher::None,
            Some(StatsMatcher::ExclusionList(list)) => {
                model::StatsMatcher::Except(self.patterns(list, &format!("{path}.exclusion_list")))
            }
            Some(StatsMatcher::InclusionList(list)) => {
                model::StatsMatcher::Only(self.patterns(list, &format!("{path}.inclusion_list")))
            }
            // Absence was reported by the rules.
            Some(StatsMatcher::RejectAll(false)) | None => model::StatsMatcher::All,
        }
    }

    fn patterns(
        &mut self,
        message: &matcher::ListStringMatcher,
        path: &str,
    ) -> Vec<model::StringMatcher> {
        let patterns = message.patterns.iter().enumerate();
        patterns
            .filter_map(|(index, pattern)| {
                self.string_matcher(pattern, &format!("{path}.patterns[{index}]"))
            })
            .collect()
    }

    /// None when it was reported, here or before.
    pub(super) fn string_matcher(
        &mut self,
        message: &matcher::StringMatcher,
        path: &str,
    ) -> Option<model::StringMatcher> {
        use model::StringPattern;

        let pattern = match message.match_pattern.as_ref()? {
            MatchPattern::Exact(text) => StringPattern::Exact(text.clone()),
            MatchPattern::Prefix(text) => StringPattern::Prefix(text.clone()),
            MatchPattern::Suffix(text) => StringPattern::Suffix(text.clone()),
            MatchPattern::Contains(text) => StringPattern::Contains(text.clone()),
            MatchPattern::SafeRegex(message) => {
                if let Err(error) = regex_syntax::parse(&message.regex) {
                    let text = invalid_regex(&message.regex, &error);
                    self.invalid(&format!("{path}.safe_regex.regex"), text, None);
                    return None;
                }
                StringPattern::Regex(message.regex.clone())
            }
        };
        // Envoy lets a regular expression say that itself: "(?i)".
        let is_regex = matches!(pattern, StringPattern::Regex(_));
        Some(model::StringMatcher { pattern, ignore_case: message.ignore_case && !is_regex })
    }
}

/// On one line; the parser's own message draws an arrow below the expression.
fn invalid_regex(regex: &str, error: &regex_syntax::Error) -> String {
    let reason = match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        error => error.to_string(),
    };
    format!("invalid regex '{}': {reason}", clipped(regex))
}

#[cfg(test)]
mod tests {
    use model::{StatsMatcher, StatsTagValue, StringPattern};

    use super::*;
    use crate::lower::lower_yaml;

    fn problems(tag: &str) -> String {
        lower_yaml(&format!("stats_config: {{stats_tags: [{tag}]}}")).1.to_string()
    }

    #[test]
    fn every_field_reaches_the_model() {
        let (bootstrap, report) = lower_yaml(
            r#"
stats_config:
  use_all_default_tags: false
  stats_tags:
  - {tag_name: envoy.cluster_name}
  - {tag_name: part, regex: "^a\\.((.*?)\\.)"}
  - {tag_name: zone, fixed_value: one}
  stats_matcher:
    exclusion_list:
      patterns: [{prefix: A, ignore_case: true}, {safe_regex: {regex: "a+"}, ignore_case: true}]
  histogram_bucket_settings:
  - {match: {suffix: _ms}, buckets: [10, 0.5], bins: 20}
"#,
        );
        assert!(report.is_empty(), "{report}");
        let stats = bootstrap.stats;
        assert!(!stats.use_all_default_tags);
        let values: Vec<_> = stats.tags.into_iter().map(|tag| (tag.name, tag.value)).collect();
        let regex = StatsTagValue::Regex("^a\\.((.*?)\\.)".to_owned());
        let expected = [
            ("envoy.cluster_name".to_owned(), StatsTagValue::Default),
            ("part".to_owned(), regex),
            ("zone".to_owned(), StatsTagValue::Fixed("one".to_owned())),
        ];
        assert_eq!(values, expected);
        let StatsMatcher::Except(patterns) = stats.matcher else { panic!() };
        let prefix = StringPattern::Prefix("A".to_owned());
        assert_eq!(patterns[0], model::StringMatcher { pattern: prefix, ignore_case: true });
        let regex = StringPattern::Regex("a+".to_owned());
        assert_eq!(patterns[1], model::StringMatcher { pattern: regex, ignore_case: false });
        let [buckets] = &stats.histogram_buckets[..] else { panic!() };
        assert_eq!((&buckets.bounds[..], buckets.bins), (&[0.5, 10.0][..], Some(20)));
        assert_eq!(buckets.matches.pattern, StringPattern::Suffix("_ms".to_owned()));
    }

    #[test]
    fn without_any_field_all_stats_exist_with_the_default_tags() {
        let stats = |yaml: &str| lower_yaml(yaml).0.stats;
        assert_eq!(stats("{}"), model::StatsConfig::default());
        assert_eq!(stats("stats_config: {}"), model::StatsConfig::default());
        let reject_all = |value| {
            stats(&format!("stats_config: {{stats_matcher: {{reject_all: {value}}}}}")).matcher
        };
        assert_eq!(reject_all(true), StatsMatcher::None);
        assert_eq!(reject_all(false), StatsMatcher::All);
    }

    #[test]
    fn what_envoy_refuses_is_refused_in_its_words() {
        let unknown = problems("{tag_name: foo}");
        assert!(unknown.contains("stats_tags[0]: No regex specified for tag"), "{unknown}");
        assert_eq!(problems("{tag_name: foo, regex: ''}"), unknown);
        let nameless = problems("{tag_name: '', regex: a}");
        assert!(nameless.contains("tag_name: tag_name cannot be empty"), "{nameless}");
        let regex = problems("{tag_name: foo, regex: 'a('}");
        assert!(
            regex.contains("stats_tags[0].regex: invalid regex 'a(': unclosed group"),
            "{regex}"
        );
        assert_eq!(regex.lines().count(), 1);
    }

    #[test]
    fn what_only_envoys_engine_can_match_is_named_as_such() {
        for regex in ["a(?=b)(.*)", "(a)\\\\1"] {
            let text = problems(&format!("{{tag_name: foo, regex: \"{regex}\"}}"));
            assert!(text.contains("regex: not supported yet: "), "{text}");
        }
    }
}
