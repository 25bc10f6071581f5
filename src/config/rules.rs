//! protoc-gen-validate: the value rules that Envoy's API carries as field options.
//!
//! Envoy refuses a configuration that breaks one, so Nuncio does too, by reading the same options
//! from the descriptors. Every kind of rule is checked, also those that Envoy's API does not use
//! yet, except the three that compare a timestamp with the clock: this floor reads none.

mod number;
mod text;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use prost_reflect::{
    DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor,
    ReflectMessage as _, Value,
};

use crate::mapper::key_text;
use crate::schema;
use crate::typed::validate as pgv;
use number::{Number, Seconds};
use pgv::field_rules::Type;
use text::Patterns;

/// What has been read from the descriptors, which never change. Reading is slow, and every
/// configuration has the same types.
static READ: LazyLock<Mutex<HashMap<String, Arc<MessageRules>>>> = LazyLock::new(Mutex::default);

/// The rules of message types.
#[derive(Debug)]
pub(crate) struct Rules {
    of_field: Option<ExtensionDescriptor>,
    of_oneof: Option<ExtensionDescriptor>,
    /// Options that switch the rules of a whole message off.
    off: Vec<ExtensionDescriptor>,
    by_message: HashMap<String, Arc<MessageRules>>,
    patterns: Patterns,
}

#[derive(Debug, Default)]
struct MessageRules {
    fields: Vec<(FieldDescriptor, pgv::FieldRules)>,
    required_oneofs: Vec<OneofDescriptor>,
}

/// A broken rule: which field of the message (none: the message itself) and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Broken {
    /// Path below the message: `.name`, `.list[2]`, or empty.
    pub(crate) path: String,
    pub(crate) reason: String,
    /// The complaint is that something is absent.
    pub(crate) is_absence: bool,
}

impl Rules {
    pub(crate) fn new() -> Self {
        let extension = |name| schema::pool().get_extension_by_name(name);
        Self {
            of_field: extension("validate.rules"),
            of_oneof: extension("validate.required"),
            off: ["validate.disabled", "validate.ignored"]
                .into_iter()
                .filter_map(extension)
                .collect(),
            by_message: HashMap::new(),
            patterns: Patterns::default(),
        }
    }

    /// Checks the fields of `message`, but not the messages inside it.
    pub(crate) fn check(&mut self, message: &DynamicMessage) -> Vec<Broken> {
        let rules = self.of(&message.descriptor());
        let mut broken = Vec::new();
        for oneof in &rules.required_oneofs {
            if !oneof.fields().any(|field| message.has_field(&field)) {
                let names: Vec<String> =
                    oneof.fields().map(|field| field.name().to_owned()).collect();
                broken.push(Broken {
                    path: String::new(),
                    reason: format!("one of {} is required", names.join(", ")),
                    is_absence: true,
                });
            }
        }
        for (field, rules) in &rules.fields {
            check_field(message, field, rules, &mut self.patterns, &mut broken);
        }
        broken
    }

    /// True when the messages in `field` need not keep their own rules.
    pub(crate) fn skips(&mut self, field: &FieldDescriptor) -> bool {
        let rules = self.of(field.parent_message());
        rules.fields.iter().any(|(other, rules)| {
            other.number() == field.number()
                && rules.message.as_ref().is_some_and(pgv::MessageRules::skip)
        })
    }

    fn of(&mut self, descriptor: &MessageDescriptor) -> Arc<MessageRules> {
        let name = descriptor.full_name();
        if let Some(rules) = self.by_message.get(name) {
            return Arc::clone(rules);
        }
        let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = read.entry(name.to_owned()).or_insert_with(|| Arc::new(self.read(descriptor)));
        self.by_message.insert(name.to_owned(), Arc::clone(rules));
        Arc::clone(rules)
    }

    fn read(&self, descriptor: &MessageDescriptor) -> MessageRules {
        let mut rules = MessageRules::default();
        let options = descriptor.options();
        if self.off.iter().any(|off| options.get_extension(off).as_bool() == Some(true)) {
            return rules;
        }
        for field in descriptor.fields() {
            let Some(extension) = &self.of_field else {
                continue;
            };
            let options = field.options();
            if let Value::Message(message) = options.get_extension(extension).as_ref()
                && options.has_extension(extension)
                && let Ok(field_rules) = message.transcode_to::<pgv::FieldRules>()
            {
                rules.fields.push((field, field_rules));
            }
        }
        for oneof in descriptor.oneofs() {
            if let Some(extension) = &self.of_oneof
                && oneof.options().get_extension(extension).as_bool() == Some(true)
            {
                rules.required_oneofs.push(oneof);
            }
        }
        rules
    }
}

fn check_field(
    message: &DynamicMessage,
    field: &FieldDescriptor,
    rules: &pgv::FieldRules,
    patterns: &mut Patterns,
    broken: &mut Vec<Broken>,
) {
    let name = field.name();
    let is_set = message.has_field(field);
    // Another field of its oneof may stand in its place; whether one must is the oneof's own rule.
    if is_required(rules) && !is_set && field.containing_oneof().is_none() {
        broken.push(Broken {
            path: format!(".{name}"),
            reason: "value is required".to_owned(),
            is_absence: true,
        });
    }
    // A field that knows whether it was set is judged only when it was; any other always.
    if field.supports_presence() && !is_set {
        return;
    }
    let value = message.get_field(field);
    let mut push = |path: String, reason: String| {
        broken.push(Broken { path, reason, is_absence: !is_set });
    };
    match (&rules.r#type, value.as_ref()) {
        (Some(Type::Repeated(rules)), Value::List(items)) => {
            if items.is_empty() && rules.ignore_empty() {
                return;
            }
            check_count(items.len(), rules.min_items, rules.max_items, "item")
                .into_iter()
                .for_each(|reason| push(format!(".{name}"), reason));
            if rules.unique() && has_duplicate(items) {
                push(format!(".{name}"), "items must be unique".to_owned());
            }
            if let Some(rules) = &rules.items {
                for (index, item) in items.iter().enumerate() {
                    if let Some(reason) = check_value(rules, item, &field.kind(), patterns) {
                        push(format!(".{name}[{index}]"), reason);
                    }
                }
            }
        }
        (Some(Type::Map(rules)), Value::Map(pairs)) => {
            if pairs.is_empty() && rules.ignore_empty() {
                return;
            }
            check_count(pairs.len(), rules.min_pairs, rules.max_pairs, "entry")
                .into_iter()
                .for_each(|reason| push(format!(".{name}"), reason));
            let Kind::Message(entry) = field.kind() else {
                return;
            };
            let (key_kind, value_kind) =
                (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
            for (key, value) in pairs {
                let (shown, key) = (key_text(key), Value::from(key.clone()));
                let mut check = |rules: &Option<Box<pgv::FieldRules>>, value, kind| {
                    check_value(rules.as_deref()?, value, kind, patterns)
                };
                let of_key = check(&rules.keys, &key, &key_kind);
                let of_value = check(&rules.values, value, &value_kind);
                for reason in of_key.into_iter().chain(of_value) {
                    push(format!(".{name}[\"{shown}\"]"), reason);
                }
            }
        }
        (Some(_), value) => {
            if let Some(reason) = check_value(rules, value, &field.kind(), patterns) {
                push(format!(".{name}"), reason);
            }
        }
        (None, _) => {}
    }
}

fn is_required(rules: &pgv::FieldRules) -> bool {
    rules.message.as_ref().is_some_and(pgv::MessageRules::required)
        || match &rules.r#type {
            Some(Type::Duration(rules)) => rules.required(),
            Some(Type::Timestamp(rules)) => rules.required(),
            Some(Type::Any(rules)) => rules.required(),
            _ => false,
        }
}

fn has_duplicate(items: &[Value]) -> bool {
    // Rules ask this of plain values only, which differ exactly if their texts do.
    let mut seen = HashSet::with_capacity(items.len());
    items.iter().any(|item| !seen.insert(format!("{item:?}")))
}

fn check_count(count: usize, min: Option<u64>, max: Option<u64>, noun: &str) -> Option<String> {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    let plural = |bound: u64| match (bound, noun) {
        (1, noun) => noun.to_owned(),
        (_, "entry") => "entries".to_owned(),
        (_, noun) => format!("{noun}s"),
    };
    match (min, max) {
        (Some(min), _) if count < min => {
            Some(format!("has {count}, needs at least {min} {}", plural(min)))
        }
        (_, Some(max)) if count > max => {
            Some(format!("has {count}, takes at most {max} {}", plural(max)))
        }
        _ => None,
    }
}

/// Why one value breaks its rules; wrappers are judged by what they wrap.
fn check_value(
    rules: &pgv::FieldRules,
    value: &Value,
    kind: &Kind,
    patterns: &mut Patterns,
) -> Option<String> {
    let wrapped = match value {
        Value::Message(message) if message.descriptor().full_name().ends_with("Value") => {
            message.get_field_by_number(1)
        }
        _ => None,
    };
    let value = wrapped.as_deref().unwrap_or(value);
    macro_rules! number {
        ($rules:expr, $value:expr) => {
            Number {
                constant: $rules.r#const,
                lt: $rules.lt,
                lte: $rules.lte,
                gt: $rules.gt,
                gte: $rules.gte,
                r#in: &$rules.r#in,
                not_in: &$rules.not_in,
            }
            .check(*$value, $rules.ignore_empty())
        };
    }
    macro_rules! seconds {
        ($rules:expr, $value:expr) => {
            Number {
                constant: $rules.r#const.map(Seconds::from),
                lt: $rules.lt.map(Seconds::from),
                lte: $rules.lte.map(Seconds::from),
                gt: $rules.gt.map(Seconds::from),
                gte: $rules.gte.map(Seconds::from),
                r#in: &[],
                not_in: &[],
            }
            .check(Seconds::of($value)?, false)
        };
    }
    match (rules.r#type.as_ref()?, value) {
        (Type::Float(r), Value::F32(v)) => number!(r, v),
        (Type::Double(r), Value::F64(v)) => number!(r, v),
        (Type::Int32(r), Value::I32(v)) => number!(r, v),
        (Type::Sint32(r), Value::I32(v)) => number!(r, v),
        (Type::Sfixed32(r), Value::I32(v)) => number!(r, v),
        (Type::Int64(r), Value::I64(v)) => number!(r, v),
        (Type::Sint64(r), Value::I64(v)) => number!(r, v),
        (Type::Sfixed64(r), Value::I64(v)) => number!(r, v),
        (Type::Uint32(r), Value::U32(v)) => number!(r, v),
        (Type::Fixed32(r), Value::U32(v)) => number!(r, v),
        (Type::Uint64(r), Value::U64(v)) => number!(r, v),
        (Type::Fixed64(r), Value::U64(v)) => number!(r, v),
        (Type::Bool(r), Value::Bool(v)) => {
            let wanted = r.r#const.filter(|wanted| wanted != v)?;
            Some(format!("value must be {wanted}"))
        }
        (Type::String(r), Value::String(v)) => text::check_string(r, v, patterns),
        (Type::Bytes(r), Value::Bytes(v)) => text::check_bytes(r, v, patterns),
        (Type::Enum(r), Value::EnumNumber(v)) => check_enum(r, *v, kind),
        (Type::Duration(r), Value::Message(m)) => seconds!(r, m).or_else(|| {
            let list = |values: &[prost_types::Duration]| {
                values.iter().copied().map(Seconds::from).collect::<Vec<_>>()
            };
            check_membership(&Seconds::of(m)?, &list(&r.r#in), &list(&r.not_in))
        }),
        (Type::Timestamp(r), Value::Message(m)) => seconds!(r, m),
        (Type::Any(r), Value::Message(m)) => {
            let type_url = m.get_field_by_number(1)?;
            let type_url = type_url.as_str()?;
            check_membership(&type_url.to_owned(), &r.r#in, &r.not_in)
        }
        _ => None,
    }
}

fn check_membership<T: PartialEq + std::fmt::Display>(
    value: &T,
    r#in: &[T],
    not_in: &[T],
) -> Option<String> {
    let list = |values: &[T]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if !r#in.is_empty() && !r#in.contains(value) {
        return Some(format!("value {value} must be one of {}", list(r#in)));
    }
    not_in.contains(value).then(|| format!("value must not be one of {}", list(not_in)))
}

fn check_enum(rules: &pgv::EnumRules, value: i32, kind: &Kind) -> Option<String> {
    let Kind::Enum(descriptor) = kind else {
        return None;
    };
    let name = |number: i32| match descriptor.get_value(number) {
        Some(value) => value.name().to_owned(),
        None => number.to_string(),
    };
    if rules.defined_only() && descriptor.get_value(value).is_none() {
        return Some(format!("{value} is no value of {}", descriptor.full_name()));
    }
    if let Some(wanted) = rules.r#const.filter(|wanted| *wanted != value) {
        return Some(format!("value {} must be {}", name(value), name(wanted)));
    }
    let names = |numbers: &[i32]| numbers.iter().map(|number| name(*number)).collect::<Vec<_>>();
    check_membership(&name(value), &names(&rules.r#in), &names(&rules.not_in))
}
