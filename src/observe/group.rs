//! What a reader gets: the stats of some scopes, with their full names, shards merged.

use std::sync::Arc;

use crate::distribution::Distribution;
use crate::entry::{Entry, Number};
use crate::stat::Kind;

/// A counter or gauge as a reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Full name, `cluster.backend.upstream_cx_total`.
    pub name: String,
    /// Counter or gauge.
    pub kind: Kind,
    /// The sum over all shards; never negative.
    pub value: u64,
    /// Written at least once, also if it is zero again.
    pub used: bool,
}

/// A histogram as a reader sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramSample {
    /// Full name, `cluster.backend.upstream_cx_length_ms`.
    pub name: String,
    /// Every value up to the last flush. The histogram is used if there is one.
    pub cumulative: Distribution,
    /// The values between the last flush and the one before.
    pub interval: Distribution,
}

/// Scopes whose names lie between those of the group before and those of the next one.
#[derive(Debug, Clone)]
pub struct Group {
    entries: Vec<Arc<Entry>>,
    workers: usize,
}

impl Group {
    pub(crate) fn new(entries: Vec<Arc<Entry>>, workers: usize) -> Self {
        Self { entries, workers }
    }

    /// Every counter and gauge, sorted by name as bytes. Two scopes that spell the same name are
    /// one stat, as in Envoy.
    #[must_use]
    pub fn numbers(&self) -> Vec<Sample> {
        let mut samples = Vec::with_capacity(self.entries.iter().map(|e| e.specs().len()).sum());
        for entry in &self.entries {
            self.sample_into(entry, &mut samples);
        }
        samples.sort_by(|a, b| a.name.cmp(&b.name));
        samples.dedup_by(|later, kept| {
            let same = later.name == kept.name && later.kind == kept.kind;
            if same {
                kept.value = kept.value.wrapping_add(later.value);
                kept.used |= later.used;
            }
            same
        });
        samples
    }

    /// Every histogram as of the last flush, sorted by name as bytes. Of two scopes that spell the
    /// same name, the first is shown.
    #[must_use]
    pub fn histograms(&self) -> Vec<HistogramSample> {
        let mut samples = Vec::new();
        for entry in &self.entries {
            let reader = entry.read();
            for (slot, spec) in entry.specs().iter().enumerate() {
                if !matches!(spec.kind, Kind::Histogram(_)) {
                    continue;
                }
                let flushed = reader.histogram(slot);
                if spec.when_used && flushed.is_none() {
                    continue;
                }
                let flushed = flushed.cloned().unwrap_or_default();
                samples.push(HistogramSample {
                    name: entry.name_of(spec.name),
                    cumulative: flushed.cumulative,
                    interval: flushed.interval,
                });
            }
        }
        samples.sort_by(|a, b| a.name.cmp(&b.name));
        samples.dedup_by(|later, kept| later.name == kept.name);
        samples
    }

    fn sample_into(&self, entry: &Entry, samples: &mut Vec<Sample>) {
        let prefix = entry.prefix();
        let reader = entry.read();
        for (slot, spec) in entry.specs().iter().enumerate() {
            let (name, kind) = (spec.name, spec.kind);
            if matches!(kind, Kind::Histogram(_)) {
                continue;
            }
            let Number { value, used } = reader.total(slot);
            if spec.when_used && !used {
                continue;
            }
            samples.push(Sample { name: entry.name_of(name), kind, value, used });
            let workers = if spec.per_worker { self.workers } else { 0 };
            let workers = (0..workers).map(|worker| (worker, format!("worker_{worker}")));
            let control = spec.main_thread.then(|| (self.workers, "main_thread".to_owned()));
            samples.extend(workers.chain(control).map(|(shard, thread)| {
                let Number { value, used } = reader.share(slot, shard);
                Sample { name: format!("{prefix}.{thread}.{name}"), kind, value, used }
            }));
        }
    }
}
