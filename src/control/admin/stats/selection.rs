//! What a request for stats asks for: which of them, and in which form.
//!
//! Parameters are checked in Envoy's order, and refused in its words.

use hyper::StatusCode;
use observe::Kind;
use regex::Regex;

use crate::admin::filter;
use crate::admin::page::{Page, Query};

/// How stats are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
    Html,
    /// The same, loaded again and again.
    ActiveHtml,
    Prometheus,
}

/// What is shown of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Buckets {
    /// Not asked for: quantiles, but buckets for Prometheus.
    Unset,
    /// Quantiles.
    Summary,
    /// Each bucket with all values up to its bound.
    Cumulative,
    /// Each bucket with the values that are in no earlier one.
    Disjoint,
    /// The bins themselves.
    Detailed,
    /// As a native histogram of Prometheus, which needs its binary form.
    Native,
}

/// Which stats to show, and how.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) format: Format,
    pub(super) buckets: Buckets,
    counters: bool,
    gauges: bool,
    pub(super) histograms: bool,
    /// A match anywhere in the name is enough.
    filter: Option<Regex>,
    invert_filter: bool,
    used_only: bool,
}

impl Selection {
    /// # Errors
    /// The page that says what is wrong with the query.
    pub(super) fn parse(query: &Query) -> Result<Self, Page> {
        let filter = query.first("filter").map(compiled).transpose()?;
        let buckets = buckets(query)?;
        let (counters, gauges, histograms) = match query.first("type") {
            None | Some("All") => (true, true, true),
            Some("Counters") => (true, false, false),
            Some("Gauges") => (false, true, false),
            Some("Histograms") => (false, false, true),
            // There is no stat whose value is a text.
            Some("TextReadouts") => (false, false, false),
            Some(_) => return Err(bad_request("invalid &type= param")),
        };
        // No stat is hidden.
        let shown = match query.first("hidden") {
            None | Some("include" | "exclude") => true,
            Some("only") => false,
            Some(_) => return Err(bad_request("usage: /stats?hidden=(include|only|exclude)\n\n")),
        };
        let format = match query.first("format") {
            None | Some("text") => Format::Text,
            Some("json") => Format::Json,
            Some("html") => Format::Html,
            Some("active-html") => Format::ActiveHtml,
            Some("prometheus") => Format::Prometheus,
            Some(_) => {
                return Err(bad_request(
                    "usage: /stats?format=(html|active-html|json|prometheus|text)\n\n",
                ));
            }
        };
        let selection = Self {
            format,
            buckets,
            counters: shown && counters,
            gauges: shown && gauges,
            histograms: shown && histograms,
            filter,
            invert_filter: query.has("invert_filter"),
            used_only: query.has("usedonly"),
        };
        match format {
            Format::Prometheus => selection.for_prometheus(shown),
            _ if buckets == Buckets::Native => {
                Err(bad_request("Invalid histogram_buckets type for non prometheus stats type"))
            }
            _ => Ok(selection),
        }
    }

    /// Everything of every kind, for `/stats/prometheus`, which has no `format`.
    ///
    /// # Errors
    /// As [`Selection::parse`].
    pub(super) fn parse_for_prometheus(query: &Query) -> Result<Self, Page> {
        let selection = Self::parse(&query.without("format"))?;
        Self { format: Format::Prometheus, ..selection }.for_prometheus(true)
    }

    /// Every kind is shown, whatever `type` says, as in Envoy.
    fn for_prometheus(self, shown: bool) -> Result<Self, Page> {
        match self.buckets {
            Buckets::Unset | Buckets::Cumulative | Buckets::Summary => {}
            Buckets::Disjoint | Buckets::Detailed => {
                return Err(bad_request("unsupported prometheus histogram bucket mode"));
            }
            Buckets::Native => {
                return Err(bad_request(
                    "unsupported prometheusnative histogram type when not using protobuf \
                     exposition format",
                ));
            }
        }
        Ok(Self { counters: shown, gauges: shown, histograms: shown, ..self })
    }

    /// Whether a counter or gauge is shown.
    pub(super) fn takes_number(&self, name: &str, kind: Kind, used: bool) -> bool {
        let of_kind = match kind {
            Kind::Counter => self.counters,
            Kind::Gauge => self.gauges,
            Kind::Histogram(_) => false,
        };
        of_kind && self.takes(name, used)
    }

    /// Whether a histogram is shown.
    pub(super) fn takes_histogram(&self, name: &str, used: bool) -> bool {
        self.histograms && self.takes(name, used)
    }

    fn takes(&self, name: &str, used: bool) -> bool {
        let named = |filter: &Regex| filter.is_match(name) != self.invert_filter;
        (used || !self.used_only) && self.filter.as_ref().is_none_or(named)
    }
}

fn buckets(query: &Query) -> Result<Buckets, Page> {
    Ok(match query.first("histogram_buckets") {
        None => Buckets::Unset,
        Some("none" | "summary") => Buckets::Summary,
        Some("cumulative") => Buckets::Cumulative,
        Some("disjoint") => Buckets::Disjoint,
        Some("detailed") => Buckets::Detailed,
        Some("prometheusnative") => Buckets::Native,
        Some(_) => {
            return Err(bad_request(
                "usage: /stats?histogram_buckets=\
                 (cumulative|disjoint|detailed|summary|prometheusnative)\n",
            ));
        }
    })
}

fn compiled(pattern: &str) -> Result<Regex, Page> {
    filter::compiled(pattern).map_err(|error| {
        // Its last line is the reason; those before it point at the place in the pattern.
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default();
        let reason = reason.strip_prefix("error: ").unwrap_or(reason);
        bad_request(&format!("Invalid re2 regex: {reason}: {pattern}"))
    })
}

fn bad_request(text: &str) -> Page {
    Page::text(StatusCode::BAD_REQUEST, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Selection, Page> {
        Selection::parse(&Query::parse(query))
    }

    #[test]
    fn type_filter_and_use_select() {
        let takes = |query: &str, name: &str, kind, used| {
            parse(query).unwrap().takes_number(name, kind, used)
        };
        assert!(takes("", "a", Kind::Counter, false));
        assert!(takes("type=All", "a", Kind::Gauge, false));
        assert!(!takes("type=Gauges", "a", Kind::Counter, true));
        assert!(!takes("type=Histograms", "a", Kind::Counter, true));
        assert!(!takes("type=TextReadouts", "a", Kind::Gauge, true));
        assert!(!takes("hidden=only", "a", Kind::Gauge, true));
        assert!(takes("filter=up.*cx", "cluster.upstream_cx_total", Kind::Gauge, true));
        assert!(!takes("filter=^up.*cx", "cluster.upstream_cx_total", Kind::Gauge, true));
        assert!(takes("filter=^up&invert_filter", "cluster.x", Kind::Gauge, true));
        assert!(takes("usedonly", "a", Kind::Gauge, true));
        assert!(!takes("usedonly", "a", Kind::Gauge, false));
        assert!(takes("format=prometheus&type=Gauges", "a", Kind::Counter, true));
        assert!(parse("type=Histograms").unwrap().takes_histogram("a", false));
        assert!(!parse("type=Counters").unwrap().takes_histogram("a", false));
    }

    #[test]
    fn prometheus_page_has_no_format_and_every_kind() {
        let query = Query::parse("format=json&type=Gauges&filter=^tcp");
        let selection = Selection::parse_for_prometheus(&query).unwrap();
        assert_eq!(selection.format, Format::Prometheus);
        assert!(selection.takes_number("tcp.a", Kind::Counter, false));
        assert!(!selection.takes_number("cluster.a", Kind::Counter, false));
    }

    #[test]
    fn bad_parameters_are_refused_as_by_envoy() {
        for (query, text) in [
            ("type=counters", "invalid &type= param"),
            ("format=prometheus&type=x", "invalid &type= param"),
            ("format=xml", "usage: /stats?format=(html|active-html|json|prometheus|text)\n\n"),
            ("hidden=x", "usage: /stats?hidden=(include|only|exclude)\n\n"),
            (
                "histogram_buckets=x&format=xml",
                "usage: /stats?histogram_buckets=\
                 (cumulative|disjoint|detailed|summary|prometheusnative)\n",
            ),
            (
                "histogram_buckets=prometheusnative",
                "Invalid histogram_buckets type for non prometheus stats type",
            ),
            (
                "format=prometheus&histogram_buckets=detailed",
                "unsupported prometheus histogram bucket mode",
            ),
            ("filter=(&type=x", "Invalid re2 regex: unclosed group: ("),
        ] {
            let page = parse(query).unwrap_err();
            assert_eq!((page.status, page.body.as_str()), (StatusCode::BAD_REQUEST, text));
        }
        let page = parse("filter=(a{1000}){1000}").unwrap_err();
        assert!(page.body.starts_with("Invalid re2 regex: "), "{}", page.body);
    }
}
