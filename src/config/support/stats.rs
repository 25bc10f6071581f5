//! What stats there are, and how they are shown.

use super::Area;
use super::Support::{Ignored, Supported};

pub(super) const STATS: Area = &[
    (
        "envoy.config.metrics.v3.StatsConfig",
        &[
            ("histogram_bucket_settings", Supported),
            ("stats_matcher", Supported),
            ("stats_tags", Supported),
            ("use_all_default_tags", Supported),
        ],
    ),
    (
        "envoy.config.metrics.v3.StatsMatcher",
        &[("exclusion_list", Supported), ("inclusion_list", Supported), ("reject_all", Supported)],
    ),
    (
        "envoy.config.metrics.v3.TagSpecifier",
        &[("fixed_value", Supported), ("regex", Supported), ("tag_name", Supported)],
    ),
    (
        "envoy.config.metrics.v3.HistogramBucketSettings",
        &[
            ("bins", Ignored("a histogram takes the memory that its values need")),
            ("buckets", Supported),
            ("match", Supported),
        ],
    ),
    ("envoy.type.matcher.v3.ListStringMatcher", &[("patterns", Supported)]),
    (
        "envoy.type.matcher.v3.StringMatcher",
        &[
            ("contains", Supported),
            ("exact", Supported),
            ("ignore_case", Supported),
            ("prefix", Supported),
            ("safe_regex", Supported),
            ("suffix", Supported),
        ],
    ),
    (
        "envoy.type.matcher.v3.RegexMatcher",
        &[("google_re2", Ignored("there is one kind of expression, RE2's")), ("regex", Supported)],
    ),
];
