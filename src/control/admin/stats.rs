//! `/stats`: every counter and gauge, as text, JSON or for Prometheus.
//!
//! There are no histograms and no text readouts so far, so asking for them gives an empty list, as
//! it does in an Envoy that has none.

use std::fmt::Write as _;

use hyper::StatusCode;
use observe::{Kind, Sample};
use regex::{Regex, RegexBuilder};
use serde_json::json;

use super::page::{Page, Query};
use super::prometheus::exposition;
use super::view::View;

/// What `/help` says about the parameters.
pub(crate) const PARAMETERS: &[(&str, &str)] = &[
    ("filter", "Regular expression for filtering stats"),
    ("invert_filter", "Invert the filter regex"),
    ("format", "Format to use; One of (text, json, prometheus)"),
    ("type", "Stat types to include.; One of (All, Counters, Histograms, Gauges, TextReadouts)"),
];

/// What `/help` says about the parameters of `/stats/prometheus`.
pub(crate) const PROMETHEUS_PARAMETERS: &[(&str, &str)] = &[
    ("filter", "Regular expression for filtering stats"),
    ("invert_filter", "Invert the filter regex"),
];

/// Memory that one `filter` may take when compiled. The pattern comes from a client, and counted
/// repetitions such as `(a{1000}){1000}` grow with the product of their counts.
const FILTER_BYTES_MAX: usize = 1 << 20;

pub(crate) fn stats(view: &View, query: &Query) -> Page {
    page(view, Selection::parse(query))
}

/// `/stats/prometheus` shows every kind, whatever `type` says, as in Envoy.
pub(crate) fn prometheus(view: &View, query: &Query) -> Page {
    page(view, Selection::for_prometheus(query))
}

fn page(view: &View, selection: Result<Selection, Page>) -> Page {
    match selection {
        Ok(selection) => {
            let samples = view.samples();
            let chosen = samples.iter().filter(|sample| selection.takes(sample));
            match selection.format {
                Format::Text => Page::text(StatusCode::OK, as_text(chosen)),
                Format::Json => Page::json(as_json(chosen)),
                Format::Prometheus => Page::text(StatusCode::OK, exposition(chosen)),
            }
        }
        Err(page) => page,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
    Prometheus,
}

/// Which stats to show, and how.
#[derive(Debug)]
struct Selection {
    format: Format,
    counters: bool,
    gauges: bool,
    /// A match anywhere in the name is enough.
    filter: Option<Regex>,
    invert_filter: bool,
}

impl Selection {
    /// # Errors
    /// The page that says what is wrong with the query.
    fn parse(query: &Query) -> Result<Self, Page> {
        if query.first("format") == Some("prometheus") {
            return Self::for_prometheus(query);
        }
        let (counters, gauges) = match query.first("type") {
            None | Some("All") => (true, true),
            Some("Counters") => (true, false),
            Some("Gauges") => (false, true),
            Some("Histograms" | "TextReadouts") => (false, false),
            Some(_) => return Err(bad_request("invalid &type= param")),
        };
        let format = match query.first("format") {
            None | Some("text") => Format::Text,
            Some("json") => Format::Json,
            Some(format @ ("html" | "active-html")) => {
                return Err(not_supported(&format!("format {format}")));
            }
            Some(_) => {
                return Err(bad_request(
                    "usage: /stats?format=(html|active-html|json|prometheus|text)\n\n",
                ));
            }
        };
        Self { format, counters, gauges, ..Self::everything() }.filtered(query)
    }

    fn for_prometheus(query: &Query) -> Result<Self, Page> {
        Self { format: Format::Prometheus, ..Self::everything() }.filtered(query)
    }

    fn everything() -> Self {
        Self {
            format: Format::Text,
            counters: true,
            gauges: true,
            filter: None,
            invert_filter: false,
        }
    }

    /// The parameters that all formats share.
    fn filtered(self, query: &Query) -> Result<Self, Page> {
        if query.first("usedonly").is_some() {
            return Err(not_supported("parameter usedonly"));
        }
        let filter = query.first("filter").map(compiled).transpose()?;
        Ok(Self { filter, invert_filter: query.first("invert_filter").is_some(), ..self })
    }

    fn takes(&self, sample: &Sample) -> bool {
        let of_kind = match sample.kind {
            Kind::Counter => self.counters,
            Kind::Gauge => self.gauges,
            Kind::Histogram(_) => false,
        };
        let named = |filter: &Regex| filter.is_match(&sample.name) != self.invert_filter;
        of_kind && self.filter.as_ref().is_none_or(named)
    }
}

fn compiled(filter: &str) -> Result<Regex, Page> {
    RegexBuilder::new(filter)
        .size_limit(FILTER_BYTES_MAX)
        .dfa_size_limit(FILTER_BYTES_MAX)
        .build()
        .map_err(|error| bad_request(&format!("Invalid re2 regex: {error}\n")))
}

fn bad_request(text: &str) -> Page {
    Page::text(StatusCode::BAD_REQUEST, text)
}

fn not_supported(what: &str) -> Page {
    Page::text(StatusCode::NOT_IMPLEMENTED, format!("/stats: {what} is not supported yet\n"))
}

fn as_text<'a>(samples: impl Iterator<Item = &'a Sample>) -> String {
    let mut text = String::new();
    for Sample { name, value, .. } in samples {
        let _ = writeln!(text, "{name}: {value}");
    }
    text
}

fn as_json<'a>(samples: impl Iterator<Item = &'a Sample>) -> String {
    let stats: Vec<_> =
        samples.map(|sample| json!({ "name": sample.name, "value": sample.value })).collect();
    json!({ "stats": stats }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Sample> {
        let sample =
            |name: &str, kind, value| Sample { name: name.to_owned(), kind, value, used: true };
        vec![
            sample("cluster.a.membership_total", Kind::Gauge, 2),
            sample("cluster.a.upstream_cx_total", Kind::Counter, 7),
            sample("tcp.t.downstream_cx_total", Kind::Counter, u64::MAX),
        ]
    }

    fn shown(query: &str) -> Result<String, Page> {
        let samples = samples();
        let selection = Selection::parse(&Query::parse(query))?;
        let chosen = samples.iter().filter(|sample| selection.takes(sample));
        Ok(match selection.format {
            Format::Text => as_text(chosen),
            Format::Json => as_json(chosen),
            Format::Prometheus => exposition(chosen),
        })
    }

    #[test]
    fn text_is_name_colon_value() {
        assert_eq!(
            shown("").unwrap(),
            "cluster.a.membership_total: 2\ncluster.a.upstream_cx_total: 7\n\
             tcp.t.downstream_cx_total: 18446744073709551615\n"
        );
        assert_eq!(shown("type=All&format=text").unwrap(), shown("").unwrap());
    }

    #[test]
    fn type_and_filter_select() {
        assert_eq!(shown("type=Gauges").unwrap(), "cluster.a.membership_total: 2\n");
        assert_eq!(shown("type=Histograms").unwrap(), "");
        let filtered = shown("filter=up.*cx_total").unwrap();
        assert_eq!(filtered, "cluster.a.upstream_cx_total: 7\n");
        assert_eq!(
            shown("filter=^cluster&invert_filter").unwrap(),
            "tcp.t.downstream_cx_total: 18446744073709551615\n"
        );
        assert_eq!(shown("type=Gauges&filter=tcp").unwrap(), "");
    }

    #[test]
    fn json_is_one_line_as_by_envoy() {
        assert_eq!(
            shown("format=json&filter=cluster").unwrap(),
            concat!(
                r#"{"stats":[{"name":"cluster.a.membership_total","value":2},"#,
                r#"{"name":"cluster.a.upstream_cx_total","value":7}]}"#
            )
        );
        assert_eq!(shown("format=json&filter=nosuch").unwrap(), r#"{"stats":[]}"#);
    }

    #[test]
    fn prometheus_takes_the_filter_and_no_type() {
        assert_eq!(
            shown("format=prometheus&type=Gauges&filter=^tcp").unwrap(),
            "# TYPE envoy_tcp_downstream_cx_total counter\n\
             envoy_tcp_downstream_cx_total{envoy_tcp_prefix=\"t\"} 18446744073709551615\n"
        );
    }

    #[test]
    fn bad_parameters_are_refused_with_a_reason() {
        for (query, status, text) in [
            ("type=counters", 400, "invalid &type= param"),
            ("format=xml", 400, "usage: /stats?format="),
            ("filter=(", 400, "Invalid re2 regex: "),
            ("filter=(a{1000}){1000}", 400, "Invalid re2 regex: "),
            ("usedonly", 501, "/stats: parameter usedonly is not supported yet\n"),
            ("format=html", 501, "/stats: format html is not supported yet\n"),
            (
                "format=prometheus&usedonly",
                501,
                "/stats: parameter usedonly is not supported yet\n",
            ),
            ("format=prometheus&filter=(", 400, "Invalid re2 regex: "),
        ] {
            let page = shown(query).unwrap_err();
            assert_eq!(page.status.as_u16(), status, "{query}");
            assert!(page.body.starts_with(text), "{query}: {}", page.body);
        }
    }
}
