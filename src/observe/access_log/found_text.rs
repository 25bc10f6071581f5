//! `%DYNAMIC_METADATA(namespace:key)%`: what filters found out.

use super::metadata::Metadata;
use super::value::Value;

/// What is asked for.
#[derive(Debug, Clone)]
pub(super) struct FoundText {
    namespace: String,
    what: What,
    length_max: Option<usize>,
}

#[derive(Debug, Clone)]
enum What {
    /// Everything of the namespace, as a JSON object.
    Object,
    /// One text.
    Field(String),
    /// Something below a text, where there is nothing.
    Nothing,
}

impl FoundText {
    /// `namespace:key:key`, as the argument of `%DYNAMIC_METADATA%`.
    pub(super) fn in_namespace(argument: &str, length_max: Option<usize>) -> Self {
        let mut parts = argument.split(':');
        let namespace = parts.next().unwrap_or_default().to_owned();
        let what = match (parts.next(), parts.next()) {
            (None, _) => What::Object,
            (Some(key), None) => What::Field(key.to_owned()),
            (Some(_), Some(_)) => What::Nothing,
        };
        Self { namespace, what, length_max }
    }

    pub(super) fn value<'r>(&'r self, found: Option<&'r Metadata>) -> Value<'r> {
        let Self { namespace, what, length_max } = self;
        let Some(found) = found else { return Value::Missing };
        let fields = || found.namespace(namespace);
        match what {
            What::Object => fields().map_or(Value::Missing, |it| Value::Object(it, *length_max)),
            What::Field(key) => {
                Value::bytes(found.get(namespace, key).map(str::as_bytes), *length_max)
            }
            What::Nothing => Value::Missing,
        }
    }
}
