//! Which parts of a stat's name are labels: Envoy's default tags and those of `stats_config`.
//!
//! `cluster.backend.upstream_cx_total` is the metric `cluster.upstream_cx_total` with the tag
//! `envoy.cluster_name` of `backend`. Each tag has a pattern: a list of name parts, or a regular
//! expression whose first group is cut out of the name and whose last group is the value. All
//! patterns look at the whole name; what several of them cut is cut once.
//!
//! The table has Envoy's tags for those kinds of stats that Nuncio has or is going to have;
//! labels and their order were compared with what Envoy 1.40 shows.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/metrics/v3/stats.proto>

use std::collections::HashMap;
use std::ops::Range;

use config::model::{StatsConfig, StatsTagValue};
use regex::Regex;

use crate::admin::filter;

/// Tags whose pattern is a regular expression, in Envoy's order: name, pattern, what a name must
/// contain for the pattern to be tried, and the value that is no tag.
const BY_REGEX: &[(&str, &str, &str, &str)] = &[
    ("envoy.response_code", r"_rq(_(\d{3}))$", "_rq_", ""),
    ("envoy.response_code_class", r"_rq_((\d))xx$", "_rq_", ""),
    ("envoy.ssl_cipher", r"^listener\..*?\.ssl\.cipher(\.(<CIPHER>))$", ".ssl.cipher.", ""),
    ("envoy.ssl_cipher", r"^cluster\.<VALUE>\.ssl\.ciphers(\.(<CIPHER>))$", ".ssl.ciphers.", ""),
    ("envoy.http_conn_manager_prefix", r"^listener\..*?\.http\.((<VALUE>)\.)", ".http.", ""),
    ("envoy.listener_address", r"^listener\.((<ADDRESS>|<VALUE>)\.)", "", "admin"),
    ("envoy.rds_route_config", r"^http\.<VALUE>\.rds\.(([\w.-]+)\.)\w+?$", ".rds.", ""),
    (
        "envoy.scoped_rds_config",
        r"^http\.<VALUE>\.scoped_rds\.(([\w.-]+)\.)\w+?$",
        ".scoped_rds.",
        "",
    ),
    ("envoy.proxy_protocol_prefix", r"^proxy_proto\.((<VALUE>)\.)", "", "versions"),
    (
        "envoy.proxy_protocol_version",
        r"^proxy_proto\.(?:<VALUE>\.)?(versions\.v(\d)\.)\w+$",
        ".versions.",
        "",
    ),
    // Ours.
    ("envoy.worker_id", r"^nuncio\.worker\.worker_((\d+)\.)", "", ""),
    (
        "envoy.worker_id",
        concat!(
            r"^(?:listener\.(?:<ADDRESS>|<VALUE>)|server|listener_manager",
            r"|thread_local_cluster_manager)\.worker_((\d+)\.)",
        ),
        ".worker_",
        "",
    ),
];

/// Tags whose pattern is a list of name parts: `$` is the value, `*` any part, `**` the rest.
const BY_PARTS: &[(&str, &str)] = &[
    ("envoy.grpc_bridge_method", "cluster.*.grpc.*.$.**"),
    ("envoy.http_user_agent", "http.*.user_agent.$.**"),
    ("envoy.virtual_cluster", "vhost.*.vcluster.$.**"),
    ("envoy.fault_downstream_cluster", "http.*.fault.$.**"),
    ("envoy.grpc_bridge_service", "cluster.*.grpc.$.**"),
    ("envoy.tcp_prefix", "tcp.$.**"),
    ("envoy.udp_prefix", "udp.$.**"),
    ("envoy.ratelimit_prefix", "ratelimit.$.**"),
    ("envoy.cluster_name", "cluster.$.**"),
    ("envoy.http_conn_manager_prefix", "http.$.**"),
    ("envoy.virtual_host", "vhost.$.**"),
    ("envoy.local_http_ratelimit_prefix", "$.http_local_rate_limit.**"),
    ("envoy.local_network_ratelimit_prefix", "local_rate_limit.$.**"),
    ("envoy.local_listener_ratelimit_prefix", "listener_local_ratelimit.$.**"),
    ("envoy.connection_limit_prefix", "connection_limit.$.**"),
    ("envoy.route", "vhost.*.route.$.**"),
];

/// Takes the tags out of stat names.
#[derive(Debug, Default)]
pub(crate) struct Tagger {
    /// Tried on every name.
    general: Vec<Extractor>,
    /// Tried on the names whose first part is this.
    by_family: HashMap<String, Vec<Extractor>>,
}

/// A stat's name taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tagged<'a> {
    /// The name without the values of the tags.
    pub(super) name: String,
    /// Names and values, in the order in which Envoy shows them.
    pub(super) tags: Vec<(&'a str, &'a str)>,
}

#[derive(Debug)]
struct Extractor {
    tag: String,
    pattern: Pattern,
}

#[derive(Debug)]
enum Pattern {
    Fixed(String),
    Parts(Vec<Part>),
    Regex { regex: Regex, contains: &'static str, except: &'static str },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Any,
    Value,
    Rest,
}

impl Tagger {
    /// The tags of `config` after the default ones, and `fixed` ones between them.
    ///
    /// A pattern that does not compile is left out: the configuration was checked, so that is one
    /// that would take too much memory, and a scrape without a label beats none at all.
    pub(crate) fn new(config: &StatsConfig, fixed: &[(String, String)]) -> Self {
        let mut tagger = Self::default();
        if config.use_all_default_tags {
            tagger.add_defaults(|_| true);
        }
        for (tag, value) in fixed {
            tagger.add(tag, Pattern::Fixed(value.clone()), None);
        }
        for tag in &config.tags {
            match &tag.value {
                StatsTagValue::Default => tagger.add_defaults(|name| name == tag.name),
                StatsTagValue::Fixed(value) => {
                    tagger.add(&tag.name, Pattern::Fixed(value.clone()), None);
                }
                StatsTagValue::Regex(regex) => tagger.add_regex(&tag.name, regex, "", ""),
            }
        }
        tagger
    }

    fn add_defaults(&mut self, wanted: impl Fn(&str) -> bool) {
        for (tag, regex, contains, except) in BY_REGEX.iter().filter(|(tag, ..)| wanted(tag)) {
            self.add_regex(tag, &expanded(regex), contains, except);
        }
        for (tag, parts) in BY_PARTS.iter().filter(|(tag, _)| wanted(tag)) {
            let parts: Vec<Part> = parts.split('.').map(Part::of).collect();
            let family = match parts.first() {
                Some(Part::Literal(family)) => Some(family.clone()),
                _ => None,
            };
            self.add(tag, Pattern::Parts(parts), family);
        }
    }

    fn add_regex(
        &mut self,
        tag: &str,
        pattern: &str,
        contains: &'static str,
        except: &'static str,
    ) {
        match filter::compiled(pattern) {
            Ok(regex) => {
                let family = family(pattern).map(str::to_owned);
                self.add(tag, Pattern::Regex { regex, contains, except }, family);
            }
            Err(error) => tracing::warn!(tag, %error, "a stats tag is left out"),
        }
    }

    fn add(&mut self, tag: &str, pattern: Pattern, family: Option<String>) {
        let extractors = match family {
            Some(family) => self.by_family.entry(family).or_default(),
            None => &mut self.general,
        };
        extractors.push(Extractor { tag: tag.to_owned(), pattern });
    }

    /// Takes `name` apart.
    pub(super) fn tagged<'a>(&'a self, name: &'a str) -> Tagged<'a> {
        let mut tags: Vec<(&str, &str)> = Vec::new();
        let mut cuts: Vec<Range<usize>> = Vec::new();
        let family = name.split_once('.').and_then(|(first, _)| self.by_family.get(first));
        for Extractor { tag, pattern } in self.general.iter().chain(family.into_iter().flatten()) {
            // The first pattern of a tag that matches counts.
            if tags.iter().any(|(other, _)| other == tag) {
                continue;
            }
            if let Some((cut, value)) = pattern.find(name) {
                cuts.push(cut);
                tags.push((tag, value));
            }
        }
        Tagged { name: without(name, cuts), tags }
    }
}

impl Pattern {
    /// What to cut out of `name`, and the tag's value.
    fn find<'a>(&'a self, name: &'a str) -> Option<(Range<usize>, &'a str)> {
        match self {
            Self::Fixed(value) => Some((0..0, value)),
            Self::Parts(parts) => {
                let value = value_in(parts, name, 0)?;
                // With the dot behind the value, or before it where it is the last part.
                let cut = if value.end < name.len() {
                    value.start..value.end + 1
                } else {
                    value.start.saturating_sub(1)..value.end
                };
                Some((cut, &name[value]))
            }
            Self::Regex { regex, contains, except } => {
                if !name.contains(contains) {
                    return None;
                }
                let groups = regex.captures(name)?;
                let cut = groups.get(1)?;
                let value = groups.get(2).unwrap_or(cut).as_str();
                (*except != value || except.is_empty()).then(|| (cut.range(), value))
            }
        }
    }
}

impl Part {
    fn of(text: &str) -> Self {
        match text {
            "$" => Self::Value,
            "*" => Self::Any,
            "**" => Self::Rest,
            literal => Self::Literal(literal.to_owned()),
        }
    }
}

/// Where the value of a list of parts lies in `name`, which is read from `start`; `None` if the
/// name does not match. The rest is one part at least.
fn value_in(parts: &[Part], name: &str, start: usize) -> Option<Range<usize>> {
    let mut value = None;
    let mut start = start;
    for (at, part) in parts.iter().enumerate() {
        let rest = name.get(start..).filter(|rest| !rest.is_empty())?;
        let end = start + rest.find('.').unwrap_or(rest.len());
        match part {
            Part::Rest => return value,
            Part::Literal(literal) if *literal == name[start..end] => {}
            Part::Literal(_) => return None,
            Part::Any => {}
            Part::Value => value = Some(start..end),
        }
        if at + 1 == parts.len() && end < name.len() {
            return None;
        }
        start = end + 1;
    }
    value
}

/// `name` without what the ranges cover.
fn without(name: &str, mut cuts: Vec<Range<usize>>) -> String {
    cuts.sort_unstable_by_key(|cut| cut.start);
    let mut kept = String::with_capacity(name.len());
    let mut at = 0;
    for cut in cuts {
        if cut.start > at {
            kept.push_str(&name[at..cut.start]);
        }
        at = at.max(cut.end);
    }
    kept.push_str(&name[at..]);
    kept
}

/// The first part of the names that a pattern such as `^tcp\.` can match.
fn family(pattern: &str) -> Option<&str> {
    let rest = pattern.strip_prefix('^')?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    (end > 0 && rest[end..].starts_with(r"\.")).then(|| &rest[..end])
}

fn expanded(pattern: &str) -> String {
    pattern
        .replace("<ADDRESS>", r"(?:(?:\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[[a-fA-F_\d]+\])_\d+)")
        .replace("<CIPHER>", r"[\w-]+")
        .replace("<VALUE>", r"[^.]+")
}

#[cfg(test)]
mod tests {
    use config::model::StatsTag;

    use super::*;

    /// Labels by name and value.
    type Labels = &'static [(&'static str, &'static str)];

    /// Stats of Envoy 1.40 with the metric and the labels that it showed for them.
    const ENVOY: &[(&str, &str, Labels)] = &[
        ("cluster.up.upstream_cx_total", "cluster.upstream_cx_total", &[("cluster_name", "up")]),
        (
            "cluster.up.upstream_rq_503",
            "cluster.upstream_rq",
            &[("response_code", "503"), ("cluster_name", "up")],
        ),
        (
            "cluster.a.grpc.svc.meth.upstream_cx_destroy",
            "cluster.grpc.upstream_cx_destroy",
            &[
                ("grpc_bridge_method", "meth"),
                ("grpc_bridge_service", "svc"),
                ("cluster_name", "a"),
            ],
        ),
        ("cluster_manager.cluster_added", "cluster_manager.cluster_added", &[]),
        (
            "http.admin.downstream_rq_2xx",
            "http.downstream_rq_xx",
            &[("response_code_class", "2"), ("http_conn_manager_prefix", "admin")],
        ),
        (
            "http.a.user_agent.b.no_route",
            "http.user_agent.no_route",
            &[("http_user_agent", "b"), ("http_conn_manager_prefix", "a")],
        ),
        ("listener.admin.downstream_cx_total", "listener.admin.downstream_cx_total", &[]),
        (
            "listener.admin.http.admin.downstream_rq_2xx",
            "listener.admin.http.downstream_rq_xx",
            &[("response_code_class", "2"), ("http_conn_manager_prefix", "admin")],
        ),
        (
            "listener.127.0.0.1_19100.http.ingress_http.downstream_rq_completed",
            "listener.http.downstream_rq_completed",
            &[
                ("http_conn_manager_prefix", "ingress_http"),
                ("listener_address", "127.0.0.1_19100"),
            ],
        ),
        (
            "listener.[__1]_19103.worker_0.downstream_cx_active",
            "listener.worker_downstream_cx_active",
            &[("worker_id", "0"), ("listener_address", "[__1]_19103")],
        ),
        (
            "listener.edge.x.worker_0.downstream_cx_active",
            "listener.x.worker_0.downstream_cx_active",
            &[("listener_address", "edge")],
        ),
        ("server.worker_12.watchdog_miss", "server.worker_watchdog_miss", &[("worker_id", "12")]),
        ("server.uptime", "server.uptime", &[]),
        ("tcp.in.gress.idle_timeout", "tcp.gress.idle_timeout", &[("tcp_prefix", "in")]),
        (
            "vhost.vh.route.rsp.upstream_rq_200",
            "vhost.route.upstream_rq",
            &[("response_code", "200"), ("virtual_host", "vh"), ("route", "rsp")],
        ),
        // Ours.
        ("nuncio.worker.accepted", "nuncio.worker.accepted", &[]),
        (
            "nuncio.worker.worker_12.accepted",
            "nuncio.worker.worker_accepted",
            &[("worker_id", "12")],
        ),
        // Not what they look like.
        ("cluster.only", "cluster.only", &[]),
        ("listener.only", "listener.only", &[]),
        ("server.worker_x.rq_2xx", "server.worker_x.rq_2xx", &[]),
    ];

    fn shown<'a>(tagger: &'a Tagger, name: &'a str) -> (String, Vec<(&'a str, &'a str)>) {
        let Tagged { name, tags } = tagger.tagged(name);
        (name, tags)
    }

    #[test]
    fn names_and_labels_are_envoys() {
        let tagger = Tagger::new(&StatsConfig::default(), &[]);
        for (stat, metric, labels) in ENVOY {
            let (name, tags) = shown(&tagger, stat);
            let tags: Vec<_> = tags
                .into_iter()
                .map(|(tag, value)| (tag.strip_prefix("envoy.").unwrap(), value))
                .collect();
            assert_eq!((name.as_str(), tags.as_slice()), (*metric, *labels), "{stat}");
        }
    }

    /// As Envoy 1.40 showed for the same configuration.
    #[test]
    fn own_tags_stand_beside_the_default_ones() {
        let regex = |name: &str, regex: &str| StatsTag {
            name: name.to_owned(),
            value: StatsTagValue::Regex(regex.to_owned()),
        };
        let config = StatsConfig {
            tags: vec![
                regex("mine", r"^tcp\.((.*?)\.)"),
                StatsTag { name: "fixed".to_owned(), value: StatsTagValue::Fixed("fv".to_owned()) },
                regex("onegroup", "(_cx_)to"),
                regex("envoy.tcp_prefix", r"^tcp\.((i)n\.)"),
            ],
            ..StatsConfig::default()
        };
        let tagger = Tagger::new(&config, &[("cli".to_owned(), "first".to_owned())]);
        assert_eq!(
            shown(&tagger, "tcp.in.gress.downstream_cx_total"),
            (
                "tcp.gress.downstreamtotal".to_owned(),
                vec![
                    ("cli", "first"),
                    ("fixed", "fv"),
                    ("onegroup", "_cx_"),
                    ("envoy.tcp_prefix", "in"),
                    ("mine", "in"),
                ]
            )
        );
    }

    #[test]
    fn only_the_chosen_default_tags_are_taken_when_not_all_are() {
        let config = StatsConfig {
            use_all_default_tags: false,
            tags: vec![StatsTag {
                name: "envoy.cluster_name".to_owned(),
                value: StatsTagValue::Default,
            }],
            ..StatsConfig::default()
        };
        let tagger = Tagger::new(&config, &[]);
        let (name, tags) = shown(&tagger, "cluster.a.upstream_rq_2xx");
        assert_eq!(
            (name.as_str(), tags),
            ("cluster.upstream_rq_2xx", vec![("envoy.cluster_name", "a")])
        );
        assert_eq!(shown(&tagger, "tcp.a.b"), ("tcp.a.b".to_owned(), vec![]));
    }
}
