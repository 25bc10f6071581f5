//! How stats are named, tagged, selected and binned.

/// Envoy's `config.metrics.v3.StatsConfig`.
#[derive(Debug, Clone, PartialEq)]
pub struct StatsConfig {
    /// `stats_tags`, in file order.
    pub tags: Vec<StatsTag>,
    /// `use_all_default_tags`: true unless set.
    pub use_all_default_tags: bool,
    /// `stats_matcher`: which stats exist at all.
    pub matcher: StatsMatcher,
    /// `histogram_bucket_settings`: the first one that matches a histogram's name counts.
    pub histogram_buckets: Vec<HistogramBuckets>,
}

impl Default for StatsConfig {
    fn default() -> Self {
        Self {
            tags: Vec::new(),
            use_all_default_tags: true,
            matcher: StatsMatcher::All,
            histogram_buckets: Vec::new(),
        }
    }
}

/// Envoy's `config.metrics.v3.TagSpecifier`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsTag {
    /// `tag_name`; empty means that nothing is tagged.
    pub name: String,
    /// Where the tag's value comes from.
    pub value: StatsTagValue,
}

/// Where a tag's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatsTagValue {
    /// Neither `regex` nor `fixed_value` is set: as Envoy's default tag of that name.
    Default,
    /// `regex`: the last group is the value, the first one is cut out of the stat's name.
    Regex(String),
    /// `fixed_value`: every stat has the tag with this value.
    Fixed(String),
}

/// Envoy's `config.metrics.v3.StatsMatcher`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatsMatcher {
    /// Not set: all stats exist.
    All,
    /// `reject_all: true`.
    None,
    /// `exclusion_list`: all but those that one of these matches.
    Except(Vec<StringMatcher>),
    /// `inclusion_list`: only those that one of these matches.
    Only(Vec<StringMatcher>),
}

/// Envoy's `type.matcher.v3.StringMatcher`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringMatcher {
    /// What a text must be.
    pub pattern: StringPattern,
    /// `ignore_case`: never true with a regular expression.
    pub ignore_case: bool,
}

/// What a text must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StringPattern {
    /// `exact`.
    Exact(String),
    /// `prefix`.
    Prefix(String),
    /// `suffix`.
    Suffix(String),
    /// `contains`.
    Contains(String),
    /// `safe_regex`: RE2 syntax, for the whole text.
    Regex(String),
}

/// Envoy's `config.metrics.v3.HistogramBucketSettings`.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramBuckets {
    /// `match`: the histograms that this is for.
    pub matches: StringMatcher,
    /// `buckets`: upper bounds in ascending order, each above zero; empty means the default ones.
    pub bounds: Vec<f64>,
    /// `bins`: how many bins a histogram is stored in at first; `None` means as many as usual.
    pub bins: Option<u32>,
}
