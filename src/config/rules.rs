//! protoc-gen-validate: the value rules that Envoy's API carries as field options.
//!
//! Envoy refuses a configuration that breaks one, so Nuncio does too, by reading the same options
//! from the descriptors. Not checked: `pattern` (a handful of fields, none of which Nuncio reads
//! yet; they are refused as not supported) and the well-known string forms that no field of Envoy's
//! uses.

use std::collections::HashMap;
use std::rc::Rc;

use prost_reflect::{
    DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor,
    ReflectMessage as _, Value,
};

use crate::schema;
use crate::typed::validate as pgv;
use pgv::field_rules::Type;

/// The rules of message types, read from the descriptors once per type.
#[derive(Debug)]
pub(crate) struct Rules {
    of_field: Option<ExtensionDescriptor>,
    of_oneof: Option<ExtensionDescriptor>,
    by_message: HashMap<String, Rc<MessageRules>>,
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
            by_message: HashMap::new(),
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
            check_field(message, field, rules, &mut broken);
        }
        broken
    }

    fn of(&mut self, descriptor: &MessageDescriptor) -> Rc<MessageRules> {
        if let Some(rules) = self.by_message.get(descriptor.full_name()) {
            return Rc::clone(rules);
        }
        let rules = Rc::new(self.read(descriptor));
        self.by_message.insert(descriptor.full_name().to_owned(), Rc::clone(&rules));
        rules
    }

    fn read(&self, descriptor: &MessageDescriptor) -> MessageRules {
        let mut rules = MessageRules::default();
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
                    if let Some(reason) = check_value(rules, item, &field.kind()) {
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
                let key = Value::from(key.clone());
                let shown = match &key {
                    Value::String(text) => text.clone(),
                    other => format!("{other:?}"),
                };
                let of_key =
                    rules.keys.as_ref().and_then(|rules| check_value(rules, &key, &key_kind));
                let of_value =
                    rules.values.as_ref().and_then(|rules| check_value(rules, value, &value_kind));
                for reason in of_key.into_iter().chain(of_value) {
                    push(format!(".{name}[\"{shown}\"]"), reason);
                }
            }
        }
        (Some(_), value) => {
            if let Some(reason) = check_value(rules, value, &field.kind()) {
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
    // Rules ask this of short lists only (names, enum values).
    items.iter().enumerate().any(|(index, item)| items[..index].contains(item))
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
fn check_value(rules: &pgv::FieldRules, value: &Value, kind: &Kind) -> Option<String> {
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
        (Type::String(r), Value::String(v)) => check_string(r, v),
        (Type::Bytes(r), Value::Bytes(v)) => check_bytes(r, v),
        (Type::Enum(r), Value::EnumNumber(v)) => check_enum(r, *v, kind),
        (Type::Duration(r), Value::Message(m)) => check_duration(r, m),
        (Type::Any(r), Value::Message(m)) => {
            let type_url = m.get_field_by_number(1)?;
            let type_url = type_url.as_str()?;
            check_membership(&type_url.to_owned(), &r.r#in, &r.not_in)
        }
        _ => None,
    }
}

/// The rules that all numeric types share.
struct Number<'a, T> {
    constant: Option<T>,
    lt: Option<T>,
    lte: Option<T>,
    gt: Option<T>,
    gte: Option<T>,
    r#in: &'a [T],
    not_in: &'a [T],
}

impl<T: PartialOrd + Copy + Default + std::fmt::Display> Number<'_, T> {
    fn check(&self, value: T, ignore_empty: bool) -> Option<String> {
        if ignore_empty && value == T::default() {
            return None;
        }
        if let Some(wanted) = self.constant.filter(|wanted| *wanted != value) {
            return Some(format!("value {value} must be {wanted}"));
        }
        let upper = match (self.lt, self.lte) {
            (Some(bound), _) => Some((value < bound, format!("less than {bound}"), bound)),
            (None, Some(bound)) => Some((value <= bound, format!("at most {bound}"), bound)),
            (None, None) => None,
        };
        let lower = match (self.gt, self.gte) {
            (Some(bound), _) => Some((value > bound, format!("greater than {bound}"), bound)),
            (None, Some(bound)) => Some((value >= bound, format!("at least {bound}"), bound)),
            (None, None) => None,
        };
        let broken = match (lower, upper) {
            // A lower bound above the upper one means: outside of the range between them.
            (Some((above, low, low_bound)), Some((below, high, high_bound)))
                if low_bound >= high_bound =>
            {
                (!above && !below).then(|| format!("{low} or {high}"))
            }
            (Some((false, text, _)), _) | (_, Some((false, text, _))) => Some(text),
            _ => None,
        };
        match broken {
            Some(text) => Some(format!("value {value} must be {text}")),
            None => check_membership(&value, self.r#in, self.not_in),
        }
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

fn check_string(rules: &pgv::StringRules, value: &str) -> Option<String> {
    if rules.ignore_empty() && value.is_empty() {
        return None;
    }
    if let Some(wanted) = rules.r#const.as_ref().filter(|wanted| *wanted != value) {
        return Some(format!("value must be \"{wanted}\""));
    }
    let chars = value.chars().count();
    check_count(chars, rules.len.or(rules.min_len), rules.len.or(rules.max_len), "character")
        .or_else(|| {
            let exact = rules.len_bytes;
            check_count(value.len(), exact.or(rules.min_bytes), exact.or(rules.max_bytes), "byte")
        })
        .or_else(|| {
            let affix = |rule: &Option<String>, fits: fn(&str, &str) -> bool, text: &str| {
                let affix = rule.as_ref().filter(|affix| !fits(value, affix))?;
                Some(format!("value must {text} \"{affix}\""))
            };
            affix(&rules.prefix, |v, a| v.starts_with(a), "start with")
                .or_else(|| affix(&rules.suffix, |v, a| v.ends_with(a), "end with"))
                .or_else(|| affix(&rules.contains, |v, a| v.contains(a), "contain"))
                .or_else(|| affix(&rules.not_contains, |v, a| !v.contains(a), "not contain"))
        })
        .or_else(|| check_membership(&value.to_owned(), &rules.r#in, &rules.not_in))
        .or_else(|| check_header(rules, value))
}

/// The forms of header names and values, the only well-known string forms in Envoy's API.
fn check_header(rules: &pgv::StringRules, value: &str) -> Option<String> {
    use pgv::string_rules::WellKnown;

    let Some(WellKnown::WellKnownRegex(form)) = rules.well_known else {
        return None;
    };
    let form = pgv::KnownRegex::try_from(form).unwrap_or(pgv::KnownRegex::Unknown);
    if !rules.strict() {
        let is_broken = value.contains(['\0', '\n', '\r']);
        return is_broken.then(|| "value must not contain NUL, CR or LF".to_owned());
    }
    match form {
        pgv::KnownRegex::Unknown => None,
        pgv::KnownRegex::HttpHeaderName => {
            let name = value.strip_prefix(':').unwrap_or(value);
            let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_|~`".contains(c);
            let is_name = !name.is_empty() && name.chars().all(is_token);
            (!is_name).then(|| "value is no header name".to_owned())
        }
        pgv::KnownRegex::HttpHeaderValue => {
            let is_value = value.chars().all(|c| c == '\t' || !c.is_ascii_control());
            (!is_value).then(|| "value is no header value".to_owned())
        }
    }
}

fn check_bytes(rules: &pgv::BytesRules, value: &[u8]) -> Option<String> {
    if rules.ignore_empty() && value.is_empty() {
        return None;
    }
    let min = rules.len.or(rules.min_len);
    check_count(value.len(), min, rules.len.or(rules.max_len), "byte")
}

fn check_enum(rules: &pgv::EnumRules, value: i32, kind: &Kind) -> Option<String> {
    if let Kind::Enum(descriptor) = kind
        && rules.defined_only()
        && descriptor.get_value(value).is_none()
    {
        return Some(format!("{value} is no value of {}", descriptor.full_name()));
    }
    if let Some(wanted) = rules.r#const.filter(|wanted| *wanted != value) {
        return Some(format!("value {value} must be {wanted}"));
    }
    check_membership(&value, &rules.r#in, &rules.not_in)
}

fn check_duration(rules: &pgv::DurationRules, message: &DynamicMessage) -> Option<String> {
    let nanos_of =
        |d: &prost_types::Duration| i128::from(d.seconds) * 1_000_000_000 + i128::from(d.nanos);
    let value = nanos_of(&message.transcode_to().ok()?);
    let rule = |bound: &Option<prost_types::Duration>, fits: fn(&i128, &i128) -> bool, text| {
        let bound = bound.as_ref()?;
        (!fits(&value, &nanos_of(bound)))
            .then(|| format!("value must be {text} {}", show_seconds(nanos_of(bound))))
    };
    rule(&rules.r#const, i128::eq, "exactly")
        .or_else(|| rule(&rules.lt, i128::lt, "less than"))
        .or_else(|| rule(&rules.lte, i128::le, "at most"))
        .or_else(|| rule(&rules.gt, i128::gt, "greater than"))
        .or_else(|| rule(&rules.gte, i128::ge, "at least"))
}

fn show_seconds(nanos: i128) -> String {
    let fraction = format!("{:09}", (nanos % 1_000_000_000).abs());
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{}{dot}{fraction}s", nanos / 1_000_000_000)
}
