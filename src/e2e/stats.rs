//! The admin page `/stats`, read.

use std::collections::BTreeMap;

/// Counters and gauges by name. Histograms and text values are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stats(BTreeMap<String, u64>);

impl Stats {
    /// Reads Envoy's text form: one `name: value` per line.
    pub(crate) fn parse(page: &str) -> Self {
        let number = |line: &str| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Self(page.lines().filter_map(number).collect())
    }

    /// The value called `name`, if the page has it.
    pub(crate) fn value(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }

    /// All names and values, sorted by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }
}
