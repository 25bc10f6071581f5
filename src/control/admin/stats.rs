//! `/stats` and its family: every counter, gauge and histogram, in Envoy's forms and words.
//!
//! A page is written part by part, each when the client has taken the one before, so that many
//! clusters neither fill the memory nor keep other clients waiting. Numbers are those of the
//! moment of their part; histograms are those of the last flush, as in Envoy.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/operations/admin#get--stats>

mod histograms;
mod html;
mod json;
mod matcher;
mod number;
mod prometheus;
mod selection;
mod tags;
mod text;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use config::model::StatsConfig;
use hyper::StatusCode;
use observe::{Group, HistogramSample, Kind, Sample};

use self::matcher::Rules;
use self::prometheus::Metrics;
use self::selection::{Format, Selection};
use self::tags::Tagger;
use super::page::{Page, Parts, Query};
use super::view::View;

/// What `/help` says about the parameters.
pub(crate) const PARAMETERS: &[(&str, &str)] = &[
    ("usedonly", "Only include stats that have been written by system since restart"),
    ("filter", "Regular expression (Google re2) for filtering stats"),
    ("invert_filter", "Invert the filter regex"),
    ("format", "Format to use; One of (html, active-html, text, json)"),
    ("type", "Stat types to include.; One of (All, Counters, Histograms, Gauges, TextReadouts)"),
    (
        "histogram_buckets",
        "Histogram bucket display mode; One of (cumulative, disjoint, detailed, summary)",
    ),
];

/// What `/help` says about the parameters of `/stats/prometheus`.
pub(crate) const PROMETHEUS_PARAMETERS: &[(&str, &str)] = &[
    ("usedonly", "Only include stats that have been written by system since restart"),
    (
        "text_readouts",
        "Render text_readouts as new gaugues with value 0 (increases Prometheus data size)",
    ),
    ("filter", "Regular expression (Google re2) for filtering stats"),
    ("invert_filter", "Invert the filter regex"),
    ("histogram_buckets", "Histogram bucket display mode; One of (cumulative, summary)"),
];

/// What the configuration says about how stats are shown.
#[derive(Debug, Clone)]
pub struct StatsOptions {
    /// `stats_config`.
    pub config: StatsConfig,
    /// Tags that every stat has: `--stats-tag`.
    pub fixed_tags: Vec<(String, String)>,
    /// When histograms are flushed.
    pub flush: StatsFlush,
}

impl Default for StatsOptions {
    /// As for a configuration that says nothing about stats.
    fn default() -> Self {
        Self {
            config: StatsConfig::default(),
            fixed_tags: Vec::new(),
            flush: StatsFlush::Every(Duration::from_secs(5)),
        }
    }
}

/// When the intervals of histograms end, and readers see what was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatsFlush {
    /// Every so often: `stats_flush_interval`.
    Every(Duration),
    /// Whenever somebody asks for stats: `stats_flush_on_admin`.
    OnAdmin,
}

/// What the pages of stats keep between requests.
#[derive(Debug)]
pub(crate) struct StatsPages {
    rules: Rules,
    tagger: Tagger,
    flush: StatsFlush,
    /// Whether somebody asked for the names that are looked up.
    lookups_tracked: Cell<bool>,
}

impl StatsPages {
    pub(crate) fn new(options: &StatsOptions) -> Self {
        Self {
            rules: Rules::new(&options.config),
            tagger: Tagger::new(&options.config, &options.fixed_tags),
            flush: options.flush,
            lookups_tracked: Cell::new(false),
        }
    }

    /// How often to flush, if not when somebody asks.
    pub(crate) fn flush_interval(&self) -> Option<Duration> {
        match self.flush {
            StatsFlush::Every(interval) => Some(interval),
            StatsFlush::OnAdmin => None,
        }
    }
}

pub(crate) fn stats(view: &Rc<View>, query: &Query) -> Page {
    page(view, Selection::parse(query))
}

pub(crate) fn prometheus(view: &Rc<View>, query: &Query) -> Page {
    page(view, Selection::parse_for_prometheus(query))
}

/// `/reset_counters`: gauges and histograms stay, as in Envoy.
pub(crate) fn reset_counters(view: &View) -> Page {
    view.registry().reset_counters();
    Page::done()
}

/// `/stats/recentlookups`: stats are found by their place, never by name, so there is nothing to
/// list; the answers are those of an Envoy that made no lookup.
pub(crate) fn recent_lookups(view: &View) -> Page {
    let head = if view.stats().lookups_tracked.get() {
        "   Count Lookup\n"
    } else {
        "Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n"
    };
    Page::text(StatusCode::OK, format!("{head}\ntotal: 0\n"))
}

/// `/stats/recentlookups/enable` and `disable`.
pub(crate) fn track_lookups(view: &View, tracked: bool) -> Page {
    view.stats().lookups_tracked.set(tracked);
    Page::done()
}

/// `/stats/recentlookups/clear`.
pub(crate) fn clear_lookups() -> Page {
    Page::done()
}

fn page(view: &Rc<View>, selection: Result<Selection, Page>) -> Page {
    let selection = match selection {
        Ok(selection) => selection,
        Err(page) => return page,
    };
    view.refresh();
    if view.stats().flush == StatsFlush::OnAdmin {
        view.registry().flush();
    }
    let format = selection.format;
    let shown = Shown { view: Rc::clone(view), selection: Rc::new(selection) };
    match format {
        Format::Text => Page::text_in_parts(shown.text()),
        Format::Json => Page::json_in_parts(shown.json()),
        Format::Html => Page::html_in_parts(html::page(shown.text(), None)),
        Format::ActiveHtml => Page::html_in_parts(html::page(shown.text(), Some(ACTIVE_REFRESH))),
        Format::Prometheus => Page::text_in_parts(shown.prometheus()),
    }
}

/// How often a browser loads an `active-html` page again.
const ACTIVE_REFRESH: Duration = Duration::from_secs(5);

/// The stats that a request asked for.
#[derive(Clone)]
struct Shown {
    view: Rc<View>,
    selection: Rc<Selection>,
}

impl Shown {
    fn numbers(&self, group: &Group) -> impl Iterator<Item = Sample> {
        let rules = &self.view.stats().rules;
        group.numbers().into_iter().filter(move |Sample { name, kind, used, .. }| {
            self.selection.takes_number(name, *kind, *used) && rules.exists(name)
        })
    }

    fn histograms(&self, group: &Group) -> impl Iterator<Item = HistogramSample> {
        let rules = &self.view.stats().rules;
        group.histograms().into_iter().filter(move |sample| {
            let used = histograms::used(sample);
            self.selection.takes_histogram(&sample.name, used) && rules.exists(&sample.name)
        })
    }

    fn bounds(&self, name: &str) -> &[f64] {
        self.view.stats().rules.bounds(name)
    }

    /// Counters and gauges by name, then histograms by name.
    fn text(self) -> Parts {
        let groups = Rc::new(self.view.registry().groups());
        let of_numbers = {
            let (shown, groups) = (self.clone(), Rc::clone(&groups));
            (0..groups.len()).map(move |at| {
                let mut part = String::new();
                shown.numbers(&groups[at]).for_each(|sample| text::number(&mut part, &sample));
                part
            })
        };
        let of_histograms = (0..groups.len()).map(move |at| {
            let mut part = String::new();
            for sample in self.histograms(&groups[at]) {
                let bounds = self.bounds(&sample.name);
                text::histogram(&mut part, &sample, self.selection.buckets, bounds);
            }
            part
        });
        Box::new(of_numbers.chain(of_histograms))
    }

    /// As the text, in one list; the histograms are one object, its last entry.
    fn json(self) -> Parts {
        let groups = Rc::new(self.view.registry().groups());
        let buckets = self.selection.buckets;
        // Whether the list has an entry already, and whether the object of the histograms has.
        let (listed, begun) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
        let of_numbers = {
            let (shown, groups, listed) = (self.clone(), Rc::clone(&groups), Rc::clone(&listed));
            (0..groups.len()).map(move |at| {
                let mut part = String::new();
                for sample in shown.numbers(&groups[at]) {
                    part.push_str(if listed.replace(true) { "," } else { "" });
                    json::number(&mut part, &sample);
                }
                part
            })
        };
        let (frame, frame_end) = json::histogram_frame(buckets);
        let of_histograms = {
            let begun = Rc::clone(&begun);
            (0..groups.len()).map(move |at| {
                let mut part = String::new();
                for sample in self.histograms(&groups[at]) {
                    if begun.replace(true) {
                        part.push(',');
                    } else {
                        part.push_str(if listed.get() { "," } else { "" });
                        part.push_str(&frame);
                    }
                    json::histogram(&mut part, &sample, buckets, self.bounds(&sample.name));
                }
                part
            })
        };
        let end = std::iter::once_with(move || {
            format!("{}]}}", if begun.get() { frame_end } else { "" })
        });
        let begin = std::iter::once(r#"{"stats":["#.to_owned());
        Box::new(begin.chain(of_numbers).chain(of_histograms).chain(end))
    }

    /// Counters, gauges, histograms; each kind is collected when its turn comes.
    fn prometheus(self) -> Parts {
        let kinds = [(Kind::Counter, "counter"), (Kind::Gauge, "gauge")];
        let of_numbers = {
            let shown = self.clone();
            kinds
                .into_iter()
                .flat_map(move |(kind, word)| prometheus::numbers(shown.metrics_of(kind), word))
        };
        let of_histograms = std::iter::once_with(move || {
            let buckets = self.selection.buckets;
            let metrics = self.histogram_metrics();
            let bounds = move |name: &str| self.bounds(name).to_vec();
            prometheus::histograms(metrics, buckets, bounds)
        });
        Box::new(of_numbers.chain(of_histograms.flatten()))
    }

    fn metrics_of(&self, kind: Kind) -> Metrics<Sample> {
        let mut metrics = Metrics::default();
        for group in self.view.registry().groups() {
            for sample in self.numbers(&group).filter(|sample| sample.kind == kind) {
                let name = sample.name.clone();
                metrics.add(&self.view.stats().tagger, &name, sample);
            }
        }
        metrics
    }

    fn histogram_metrics(&self) -> Metrics<HistogramSample> {
        let mut metrics = Metrics::default();
        for group in self.view.registry().groups() {
            for sample in self.histograms(&group) {
                let name = sample.name.clone();
                metrics.add(&self.view.stats().tagger, &name, sample);
            }
        }
        metrics
    }
}
