//! The runtime's layers merged: what a key says now.
//!
//! Pure: reading a disk layer and taking `/runtime_modify` is `control`'s part. A snapshot never
//! changes; a change makes a new one, which readers take over as a whole.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/operations/runtime>

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::document::{self, Format};
use crate::mapper::Incomplete;
use crate::model::{RuntimeFlag, RuntimeValue};
use crate::place::Places;
use crate::problem::Problems;
use crate::{lower, mapper, schema};

/// A value with the text that it was given as, which `/runtime` shows.
#[derive(Debug, Clone, PartialEq)]
pub struct RuntimeEntry {
    text: String,
    value: RuntimeValue,
}

impl RuntimeEntry {
    /// Reads a text as YAML, as `/runtime_modify` and the files of a disk layer give it. What is
    /// no YAML is a text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self { text: text.to_owned(), value: yaml(text) }
    }

    /// As it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A text that reads as a number is one, as in Envoy.
    fn number(&self) -> Option<f64> {
        match &self.value {
            RuntimeValue::Number(number) => Some(*number),
            RuntimeValue::Text(text) => text.trim().parse().ok(),
            RuntimeValue::Bool(_) | RuntimeValue::Fraction(_) => None,
        }
    }

    fn integer(&self) -> Option<u64> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the part behind the point is dropped, as in Envoy; the range is checked"
        )]
        self.number()
            .filter(|number| (0.0..18_446_744_073_709_551_616.0).contains(number))
            .map(|number| number as u64)
    }

    fn boolean(&self) -> Option<bool> {
        match &self.value {
            RuntimeValue::Bool(value) => Some(*value),
            RuntimeValue::Fraction(_) => None,
            RuntimeValue::Number(_) | RuntimeValue::Text(_) => self
                .number()
                .filter(|number| number.fract() == 0.0 && *number < f64::from(i32::MAX))
                .map(|number| number != 0.0),
        }
    }

    fn fraction(&self) -> Option<Fraction> {
        let RuntimeValue::Fraction(Json::Object(fields)) = &self.value else { return None };
        let numerator = fields.get("numerator").map_or(Some(0), Json::as_u64)?;
        let denominator = match fields.get("denominator") {
            None => 100,
            Some(denominator) => match denominator.as_str()? {
                "HUNDRED" => 100,
                "TEN_THOUSAND" => 10_000,
                "MILLION" => 1_000_000,
                _ => return None,
            },
        };
        Some(Fraction { numerator, denominator })
    }
}

impl From<RuntimeValue> for RuntimeEntry {
    fn from(value: RuntimeValue) -> Self {
        Self { text: value.to_string(), value }
    }
}

fn yaml(text: &str) -> RuntimeValue {
    let as_text = || RuntimeValue::Text(text.to_owned());
    let mut problems = Problems::default();
    let mut incomplete = Incomplete::default();
    let Some(root) = document::read(text.as_bytes(), Format::Yaml, &mut problems) else {
        return as_text();
    };
    let Some(descriptor) = schema::message("google.protobuf.Value") else { return as_text() };
    let nowhere = Places::default();
    let value = mapper::map(
        &root,
        &descriptor,
        &nowhere,
        mapper::UnknownFields::Refused,
        &mut incomplete,
        &mut problems,
    );
    match value.transcode_to::<prost_types::Value>() {
        Ok(value) if !problems.is_fatal() => lower::runtime_value(&value).unwrap_or_else(as_text),
        _ => as_text(),
    }
}

/// So many out of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fraction {
    /// At most `denominator` for a part of the whole; more is the whole.
    pub numerator: u64,
    /// Never 0.
    pub denominator: u64,
}

/// One layer as it was when the snapshot was made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuntimeValues {
    /// The layer's name.
    pub name: String,
    /// Its values by their flat names.
    pub values: BTreeMap<String, RuntimeEntry>,
}

/// All layers merged: of two values for a key, that of the later layer counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuntimeSnapshot {
    layers: Vec<RuntimeValues>,
    merged: BTreeMap<String, RuntimeEntry>,
}

impl RuntimeSnapshot {
    /// Merges layers, the first of which is the weakest.
    #[must_use]
    pub fn new(layers: Vec<RuntimeValues>) -> Self {
        let values = layers.iter().flat_map(|layer| &layer.values);
        let merged = values.map(|(key, entry)| (key.clone(), entry.clone())).collect();
        Self { layers, merged }
    }

    /// The layers it was made of.
    #[must_use]
    pub fn layers(&self) -> &[RuntimeValues] {
        &self.layers
    }

    /// Every key with the value that counts, sorted.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&str, &RuntimeEntry)> {
        self.merged.iter().map(|(key, entry)| (key.as_str(), entry))
    }

    /// A whole number; `default` if there is none that is at least 0.
    #[must_use]
    pub fn integer(&self, key: &str, default: u64) -> u64 {
        self.entry(key).and_then(RuntimeEntry::integer).unwrap_or(default)
    }

    /// A boolean, for which a whole number may stand; `default` if there is neither.
    #[must_use]
    pub fn boolean(&self, key: &str, default: bool) -> bool {
        self.entry(key).and_then(RuntimeEntry::boolean).unwrap_or(default)
    }

    /// Whether something is on.
    #[must_use]
    pub fn flag(&self, flag: &RuntimeFlag) -> bool {
        self.boolean(&flag.key, flag.default)
    }

    /// Whether to do something that is done for a fraction of cases, in the case of `random`. The
    /// value may be a fraction, or a number of percent.
    #[must_use]
    pub fn feature_enabled(&self, key: &str, default: Fraction, random: u64) -> bool {
        let entry = self.entry(key);
        let percent =
            |entry: &RuntimeEntry| Some(Fraction { numerator: entry.integer()?, denominator: 100 });
        let given = entry.and_then(|entry| entry.fraction().or_else(|| percent(entry)));
        let Fraction { numerator, denominator } = given.unwrap_or(default);
        random % denominator.max(1) < numerator
    }

    /// As in Envoy, nothing is found under a name that is empty.
    fn entry(&self, key: &str) -> Option<&RuntimeEntry> {
        self.merged.get(key).filter(|_| !key.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(values: &[(&str, &str)]) -> RuntimeSnapshot {
        let parsed = values.iter().map(|&(key, text)| (key.to_owned(), RuntimeEntry::parse(text)));
        RuntimeSnapshot::new(vec![RuntimeValues { name: "l".to_owned(), values: parsed.collect() }])
    }

    #[test]
    fn a_later_layer_wins() {
        let layer = |name: &str, text: &str| RuntimeValues {
            name: name.to_owned(),
            values: [("k".to_owned(), RuntimeEntry::parse(text))].into(),
        };
        let merged = RuntimeSnapshot::new(vec![layer("a", "1"), layer("b", "2")]);
        assert_eq!(merged.integer("k", 0), 2);
        assert_eq!(merged.layers()[0].values["k"].text(), "1");
        assert_eq!(
            merged.entries().map(|(key, entry)| (key, entry.text())).last(),
            Some(("k", "2"))
        );
    }

    #[test]
    fn values_are_read_as_what_is_asked_for_or_not_at_all() {
        let runtime = snapshot(&[
            ("seven", "7"),
            ("half", "0.5"),
            ("text", "some words"),
            ("quoted", "\"12\""),
            ("minus", "-1"),
            ("yes", "true"),
            ("", "5"),
        ]);
        let integers = ["seven", "half", "text", "quoted", "minus", "none", ""];
        assert_eq!(integers.map(|key| runtime.integer(key, 99)), [7, 0, 99, 12, 99, 99, 99]);
        assert!(runtime.boolean("yes", false) && runtime.boolean("seven", false));
        assert!(runtime.boolean("text", true) && !runtime.boolean("text", false));
    }

    #[test]
    fn fractions_are_of_a_hundred_unless_they_say_of_what() {
        let runtime = snapshot(&[
            ("f", "{numerator: 5, denominator: TEN_THOUSAND}"),
            ("block", "numerator: 3\ndenominator: MILLION"),
            ("hundredth", "{numerator: 1}"),
            ("percent", "30"),
            ("all", "1000"),
            ("odd", "{numerator: 1, denominator: DOZEN}"),
        ]);
        let none = Fraction { numerator: 0, denominator: 100 };
        let last =
            |key| (0..100_000).take_while(|n| runtime.feature_enabled(key, none, *n)).count();
        assert_eq!(["f", "block", "hundredth", "percent", "odd"].map(last), [5, 3, 1, 30, 0]);
        assert_eq!(last("all"), 100_000);
    }
}
