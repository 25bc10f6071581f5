//! Which stats exist, by `stats_config.stats_matcher`, and the buckets of a histogram, by
//! `histogram_bucket_settings`.

use config::model::{StatsConfig, StatsMatcher, StringMatcher, StringPattern};
use regex::Regex;

use crate::admin::filter;

/// The bounds of a histogram's buckets unless the configuration says others.
const DEFAULT_BOUNDS: &[f64] = &[
    0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2.5e3, 5e3, 1e4, 3e4, 6e4, 3e5, 6e5,
    1.8e6, 3.6e6,
];

/// What the configuration says about stats by their names.
#[derive(Debug)]
pub(crate) struct Rules {
    exist: Existence,
    buckets: Vec<(NameMatcher, Vec<f64>)>,
}

#[derive(Debug)]
enum Existence {
    All,
    None,
    Except(Vec<NameMatcher>),
    Only(Vec<NameMatcher>),
}

/// A `StringMatcher`, compiled.
#[derive(Debug)]
struct NameMatcher {
    pattern: NamePattern,
    ignore_case: bool,
}

#[derive(Debug)]
enum NamePattern {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    Regex(Regex),
    /// A pattern that takes too much memory to compile.
    Nothing,
}

impl Rules {
    pub(crate) fn new(config: &StatsConfig) -> Self {
        let all = |matchers: &[StringMatcher]| matchers.iter().map(NameMatcher::new).collect();
        Self {
            exist: match &config.matcher {
                StatsMatcher::All => Existence::All,
                StatsMatcher::None => Existence::None,
                StatsMatcher::Except(matchers) => Existence::Except(all(matchers)),
                StatsMatcher::Only(matchers) => Existence::Only(all(matchers)),
            },
            buckets: config
                .histogram_buckets
                .iter()
                .filter(|setting| !setting.bounds.is_empty())
                .map(|setting| (NameMatcher::new(&setting.matches), setting.bounds.clone()))
                .collect(),
        }
    }

    /// Whether there is to be a stat of this name.
    pub(super) fn exists(&self, name: &str) -> bool {
        let any = |matchers: &[NameMatcher]| matchers.iter().any(|matcher| matcher.matches(name));
        match &self.exist {
            Existence::All => true,
            Existence::None => false,
            Existence::Except(matchers) => !any(matchers),
            Existence::Only(matchers) => any(matchers),
        }
    }

    /// The upper bounds of the buckets of the histogram of this name.
    pub(super) fn bounds(&self, name: &str) -> &[f64] {
        let own = self.buckets.iter().find(|(matcher, _)| matcher.matches(name));
        own.map_or(DEFAULT_BOUNDS, |(_, bounds)| bounds)
    }
}

impl NameMatcher {
    fn new(matcher: &StringMatcher) -> Self {
        let ignore_case = matcher.ignore_case;
        let text = |text: &str| {
            if ignore_case { text.to_ascii_lowercase() } else { text.to_owned() }
        };
        let pattern = match &matcher.pattern {
            StringPattern::Exact(exact) => NamePattern::Exact(text(exact)),
            StringPattern::Prefix(prefix) => NamePattern::Prefix(text(prefix)),
            StringPattern::Suffix(suffix) => NamePattern::Suffix(text(suffix)),
            StringPattern::Contains(part) => NamePattern::Contains(text(part)),
            StringPattern::Regex(regex) => match filter::compiled_whole(regex) {
                Ok(regex) => NamePattern::Regex(regex),
                Err(error) => {
                    tracing::warn!(regex, %error, "a pattern of stats_config matches nothing");
                    NamePattern::Nothing
                }
            },
        };
        Self { pattern, ignore_case }
    }

    fn matches(&self, name: &str) -> bool {
        let lower;
        let name = if self.ignore_case {
            lower = name.to_ascii_lowercase();
            &lower
        } else {
            name
        };
        match &self.pattern {
            NamePattern::Exact(exact) => name == exact,
            NamePattern::Prefix(prefix) => name.starts_with(prefix.as_str()),
            NamePattern::Suffix(suffix) => name.ends_with(suffix.as_str()),
            NamePattern::Contains(part) => name.contains(part.as_str()),
            NamePattern::Regex(regex) => regex.is_match(name),
            NamePattern::Nothing => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use config::model::HistogramBuckets;

    use super::*;

    fn matcher(pattern: StringPattern, ignore_case: bool) -> StringMatcher {
        StringMatcher { pattern, ignore_case }
    }

    fn patterns() -> Vec<StringMatcher> {
        vec![
            matcher(StringPattern::Prefix("http1.".to_owned()), false),
            matcher(StringPattern::Suffix("_ssl_total".to_owned()), false),
            matcher(StringPattern::Contains("FILES".to_owned()), true),
            matcher(StringPattern::Exact("a.b".to_owned()), false),
            matcher(StringPattern::Regex(".*lb_subsets.*".to_owned()), false),
        ]
    }

    fn exists(stats_matcher: StatsMatcher, name: &str) -> bool {
        let config = StatsConfig { matcher: stats_matcher, ..StatsConfig::default() };
        Rules::new(&config).exists(name)
    }

    #[test]
    fn matcher_chooses_by_name() {
        for (name, matched) in [
            ("http1.dropped", true),
            ("xhttp1.dropped", false),
            ("http.a.downstream_cx_ssl_total", true),
            ("Filesystem.x", true),
            ("a.b", true),
            ("a.b.c", false),
            ("cluster.a.lb_subsets_active", true),
        ] {
            assert_eq!(exists(StatsMatcher::Only(patterns()), name), matched, "{name}");
            assert_eq!(exists(StatsMatcher::Except(patterns()), name), !matched, "{name}");
            assert!(exists(StatsMatcher::All, name) && !exists(StatsMatcher::None, name));
        }
    }

    #[test]
    fn first_setting_that_matches_gives_the_buckets() {
        let setting = |suffix: &str, bounds: &[f64]| HistogramBuckets {
            matches: matcher(StringPattern::Suffix(suffix.to_owned()), false),
            bounds: bounds.to_vec(),
            bins: None,
        };
        let config = StatsConfig {
            histogram_buckets: vec![
                setting("other", &[]),
                setting("length_ms", &[7.0]),
                setting("_ms", &[8.0]),
            ],
            ..StatsConfig::default()
        };
        let rules = Rules::new(&config);
        assert_eq!(rules.bounds("a.length_ms"), [7.0]);
        assert_eq!(rules.bounds("a.connect_ms"), [8.0]);
        assert_eq!(rules.bounds("a.other"), DEFAULT_BOUNDS);
    }
}
