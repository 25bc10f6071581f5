//! Walks a mapped message and reports what Envoy's rules or Nuncio's table refuse.
//!
//! Three questions per field: does its value keep the rules (`rules`), does Envoy advise against it
//! (`annotations`), and can Nuncio do what it asks (`support`)? Below a field that is refused or
//! ignored the last question is not asked, since Envoy answers the others there too.

use std::fmt::Write as _;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value};

use crate::annotations::Annotations;
use crate::mapper::{self, Incomplete};
use crate::place::Places;
use crate::problem::{ProblemKind, Problems};
use crate::rules::Rules;
use crate::schema;
use crate::support::{self, Support};

/// Reports everything in `message` that breaks a rule, is not supported, or is ignored.
pub(crate) fn check(
    message: &DynamicMessage,
    places: &Places,
    incomplete: &Incomplete,
    problems: &mut Problems,
) {
    let mut walk = Walk {
        rules: Rules::new(),
        annotations: Annotations::new(message),
        places,
        incomplete,
        problems,
        path: String::new(),
        anys: 0,
        skips: 0,
    };
    walk.message(message, Ask::Both(&[]));
}

/// Decoding protobuf stops at 100 levels of messages; a Struct takes three for each of its own.
pub(crate) const TOO_DEEP: &str = "a message nested this deep";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// Rules and support; an `Any` right here may hold messages of these types.
    Both(&'static [&'static str]),
    /// Rules only: a field above is refused or ignored already.
    Rules,
}

struct Walk<'a> {
    rules: Rules,
    annotations: Annotations,
    places: &'a Places,
    incomplete: &'a Incomplete,
    problems: &'a mut Problems,
    path: String,
    /// How many `Any`s the message is inside of.
    anys: u32,
    /// How many fields around the message say that it need not keep the rules.
    skips: u32,
}

impl Walk<'_> {
    fn message(&mut self, message: &DynamicMessage, ask: Ask) {
        let lost_a_field = self.incomplete.contains(&self.path);
        let broken = if self.skips == 0 { self.rules.check(message) } else { Vec::new() };
        for broken in broken {
            if broken.is_absence && lost_a_field {
                continue;
            }
            let path = format!("{}{}", self.path, broken.path);
            let path = path.trim_start_matches('.');
            if !self.problems.is_reported(path) || broken.path.is_empty() {
                let place = self.places.find(path);
                let kind = ProblemKind::Invalid;
                self.problems.push_at_value(kind, &place, path, broken.reason, None);
            }
        }
        self.advise(message);
        if ask != Ask::Rules && !lost_a_field {
            self.absent_extensions(message);
        }
        for (field, value) in message.fields() {
            let outer = self.path.len();
            if outer > 0 {
                self.path.push('.');
            }
            self.path.push_str(field.name());
            let below = match ask {
                Ask::Both(_) => self.support(message, &field, value),
                Ask::Rules => Ask::Rules,
            };
            let skips = u32::from(self.rules.skips(&field));
            self.skips += skips;
            self.value(value, below);
            self.skips -= skips;
            self.path.truncate(outer);
        }
    }

    fn advise(&mut self, message: &DynamicMessage) {
        for advice in self.annotations.of(message) {
            let dot = if self.path.is_empty() || advice.field.is_empty() { "" } else { "." };
            let path = format!("{}{dot}{}", self.path, advice.field);
            let is_refused = advice.is_refused && self.anys > 0;
            let kind = if is_refused { ProblemKind::Invalid } else { ProblemKind::Discouraged };
            let place = self.places.find(&path);
            self.problems.push_at_key(kind, &place, &path, advice.text, advice.hint);
        }
    }

    /// Envoy refuses an extension whose type it does not learn, whatever the name beside it is.
    fn absent_extensions(&mut self, message: &DynamicMessage) {
        for field in support::extension_fields(&message.descriptor()) {
            let value = message.get_field(&field);
            // A map, or a field in whose place another one stands.
            let is_optional = field.is_map()
                || field
                    .containing_oneof()
                    .is_some_and(|oneof| oneof.fields().any(|other| message.has_field(&other)));
            let text = match value.as_message() {
                Some(any) if message.has_field(&field) => {
                    match any.get_field_by_number(1).as_deref().and_then(Value::as_str) {
                        None | Some("") => "empty; Envoy finds an extension by the '@type' in it",
                        Some(_) => continue,
                    }
                }
                _ if is_optional => continue,
                _ => "missing; Envoy finds an extension by the '@type' in it, not by its name",
            };
            let dot = if self.path.is_empty() { "" } else { "." };
            let path = format!("{}{dot}{}", self.path, field.name());
            let place = self.places.find(&path);
            self.problems.push_at_value(ProblemKind::Invalid, &place, &path, text, None);
        }
    }

    fn value(&mut self, value: &Value, ask: Ask) {
        match value {
            Value::Message(message) => self.nested(message, ask),
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.item(&format!("[{index}]"), item, ask);
                }
            }
            Value::Map(pairs) => {
                for (key, item) in pairs {
                    self.item(&format!("[\"{}\"]", mapper::key_text(key)), item, ask);
                }
            }
            _ => {}
        }
    }

    fn item(&mut self, step: &str, value: &Value, ask: Ask) {
        if let Value::Message(message) = value {
            let outer = self.path.len();
            self.path.push_str(step);
            self.nested(message, ask);
            self.path.truncate(outer);
        }
    }

    fn nested(&mut self, message: &DynamicMessage, ask: Ask) {
        match message.descriptor().full_name() {
            "google.protobuf.Any" => self.any(message, ask),
            name if name.starts_with("google.protobuf.") => {}
            _ => self.message(message, ask),
        }
    }

    fn any(&mut self, any: &DynamicMessage, ask: Ask) {
        let (type_url, bytes) = (any.get_field_by_number(1), any.get_field_by_number(2));
        let Some(name) = type_url
            .as_ref()
            .and_then(|url| url.as_str())
            .and_then(|url| url.rsplit_once('/'))
            .map(|(_, name)| name)
        else {
            return;
        };
        let below = match ask {
            Ask::Both(types) if !types.contains(&name) => {
                let hint = format!("supported: {}", types.join(", "));
                self.report(ProblemKind::NotSupportedYet, name.to_owned(), Some(hint));
                Ask::Rules
            }
            ask => ask,
        };
        let decoded = schema::message(name).and_then(|descriptor| {
            let bytes = bytes.as_ref()?.as_bytes()?.clone();
            DynamicMessage::decode(descriptor, bytes).ok()
        });
        match decoded {
            Some(message) => {
                let outer = self.path.len();
                if mapper::is_well_known(name) {
                    self.path.push_str(".value");
                }
                self.anys += 1;
                self.nested(&message, below);
                self.anys -= 1;
                self.path.truncate(outer);
            }
            // Only depth can be the reason: the mapper has just encoded it.
            None => self.report(ProblemKind::NotSupportedYet, TOO_DEEP.to_owned(), None),
        }
    }

    /// Reports what the table says of a field that is set; tells what to ask below it.
    fn support(&mut self, message: &DynamicMessage, field: &FieldDescriptor, value: &Value) -> Ask {
        let descriptor = message.descriptor();
        match support::of(descriptor.full_name(), field.name()) {
            Some(Support::Supported | Support::Refused(_)) => Ask::Both(&[]),
            Some(Support::Extension(types)) => Ask::Both(types),
            Some(Support::Only(values)) => {
                let shown = show(value, &field.kind());
                if values.contains(&shown.as_str()) {
                    return Ask::Both(&[]);
                }
                let hint = format!("supported: {}", values.join(", "));
                self.report(ProblemKind::NotSupportedYet, format!("the value {shown}"), Some(hint));
                Ask::Rules
            }
            Some(Support::Moot(_)) => Ask::Rules,
            Some(Support::Ignored(reason)) => {
                self.report(ProblemKind::Ignored, reason.to_owned(), None);
                Ask::Rules
            }
            None => {
                let text = format!("'{}' of {}", field.name(), descriptor.full_name());
                self.report(ProblemKind::NotSupportedYet, text, None);
                Ask::Rules
            }
        }
    }

    fn report(&mut self, kind: ProblemKind, message: String, hint: Option<String>) {
        let place = self.places.find(&self.path);
        self.problems.push_at_key(kind, &place, &self.path, message, hint);
    }
}

/// A value as the table writes it.
fn show(value: &Value, kind: &Kind) -> String {
    let mut text = String::new();
    let wrapped = match value {
        Value::Message(message) => message.get_field_by_number(1),
        _ => None,
    };
    // Writing to a string cannot fail.
    let _ = match (wrapped.as_deref().unwrap_or(value), kind) {
        (Value::EnumNumber(number), Kind::Enum(descriptor)) => {
            match descriptor.get_value(*number) {
                Some(value) => write!(text, "{}", value.name()),
                None => write!(text, "{number}"),
            }
        }
        (Value::Bool(value), _) => write!(text, "{value}"),
        (Value::U32(value), _) => write!(text, "{value}"),
        (value, _) => write!(text, "{value:?}"),
    };
    text
}
