//! What a scenario saw, as a list of names and values.

/// What was seen, in order: a name and a value each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Observed(pub(super) Vec<(String, String)>);

impl Observed {
    /// `self`, then `more`.
    pub(super) fn with(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    /// What the script itself saw.
    pub(super) fn without_stats(&self) -> Self {
        let scripted = |(name, _): &&(String, String)| !name.starts_with(STAT);
        Self(self.0.iter().filter(scripted).cloned().collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// One line per observation, for a person; stats that are zero are left out.
pub(super) fn list(observed: &Observed) -> String {
    let shown = |(name, value): &(&str, &str)| !(name.starts_with(STAT) && *value == "0");
    observed.iter().filter(shown).map(|(name, value)| format!("  {name}: {value}\n")).collect()
}

/// Marks the observations that are stats at the end of the scenario.
pub(super) const STAT: &str = "stat ";
