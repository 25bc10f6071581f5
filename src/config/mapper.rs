//! A tree of nodes and a message type in, a dynamic protobuf message out.
//!
//! Follows proto3 JSON as Envoy reads it (protobuf's C++ parser in legacy mode): either spelling of
//! a field, enum names in any case, a single value for a list, nested lists flattened, `Any` by
//! `@type`. Reports every misfit with its place and goes on, so that one run names them all. Values
//! are not judged here (see `rules`), nor whether Nuncio can do what they ask (see `support`).

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use prost_reflect::prost::Message as _;
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    ReflectMessage as _, Value,
};

use crate::document::{Entry, Node, NodeValue, clipped};
use crate::place::Places;
use crate::problem::{Position, ProblemKind, Problems};
use crate::scalar::Scalar;
use crate::{schema, support, well_known};

/// Reads `root` as a message of type `descriptor` that will be merged into what stands at
/// `earlier`: paths count list items from there on.
pub(crate) fn map(
    root: &Node,
    descriptor: &MessageDescriptor,
    earlier: &Places,
    unknown_fields: UnknownFields,
    incomplete: &mut Incomplete,
    problems: &mut Problems,
) -> DynamicMessage {
    let path = String::new();
    let mut mapper = Mapper { problems, earlier, unknown_fields, path, incomplete };
    mapper.message(root, descriptor).unwrap_or_else(|| DynamicMessage::new(descriptor.clone()))
}

/// What becomes of a field that Envoy does not know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnknownFields {
    /// It is a problem, as in Envoy.
    #[default]
    Refused,
    /// It is left out with a warning, as with Envoy's `--allow-unknown-static-fields`.
    LeftOut,
}

/// Paths of messages that lost a field to an error, so that nobody calls that field missing.
#[derive(Debug, Default)]
pub(crate) struct Incomplete(BTreeSet<String>);

impl Incomplete {
    pub(crate) fn contains(&self, message_path: &str) -> bool {
        self.0.contains(message_path)
    }
}

struct Mapper<'p> {
    problems: &'p mut Problems,
    earlier: &'p Places,
    unknown_fields: UnknownFields,
    /// Path of the value being read.
    path: String,
    incomplete: &'p mut Incomplete,
}

/// The items of a list that have been read.
struct Items {
    /// How many the list has in earlier files.
    before: usize,
    list: Vec<Value>,
}

impl Mapper<'_> {
    fn message(&mut self, node: &Node, descriptor: &MessageDescriptor) -> Option<DynamicMessage> {
        let name = descriptor.full_name();
        match (name, &node.value) {
            ("google.protobuf.Any", _) => self.any(node, descriptor),
            ("google.protobuf.Value", _) => Some(value_message(node, descriptor)),
            ("google.protobuf.Struct", NodeValue::Mapping(entries)) => {
                Some(struct_message(entries, descriptor))
            }
            ("google.protobuf.ListValue", NodeValue::Sequence { items, .. }) => {
                Some(list_message(items, descriptor))
            }
            // In legacy mode the well-known types may also be written field by field.
            (_, NodeValue::Mapping(entries)) => {
                let mut message = DynamicMessage::new(descriptor.clone());
                self.fields(entries, &mut message, false);
                Some(message)
            }
            (
                "google.protobuf.Duration"
                | "google.protobuf.Timestamp"
                | "google.protobuf.FieldMask",
                _,
            ) => self.text_form(node, descriptor),
            (name, _) if is_wrapper(name) => {
                let field = descriptor.get_field(1)?;
                let value = self.singular(node, &field.kind())?;
                let mut message = DynamicMessage::new(descriptor.clone());
                message.set_field(&field, value);
                Some(message)
            }
            _ => self.wrong(node, format!("expected a mapping of {name}"), None),
        }
    }

    fn text_form(&mut self, node: &Node, descriptor: &MessageDescriptor) -> Option<DynamicMessage> {
        let name = descriptor.full_name();
        let text = match &node.value {
            NodeValue::Scalar { scalar: Scalar::String, text } => text,
            NodeValue::Scalar { scalar: Scalar::Integer(number), .. }
                if name == "google.protobuf.Duration" =>
            {
                let hint = format!("a bare number has no unit: write {number}s");
                return self.wrong(node, "expected a duration", Some(hint));
            }
            _ => return self.wrong(node, format!("expected a string for {name}"), None),
        };
        let mut message = DynamicMessage::new(descriptor.clone());
        let parts = match name {
            "google.protobuf.FieldMask" => {
                let paths = well_known::field_mask(text).into_iter().map(Value::String).collect();
                message.set_field_by_number(1, Value::List(paths));
                return Some(message);
            }
            "google.protobuf.Duration" => well_known::duration(text).map_err(|reason| {
                let hint = "write seconds with the unit, \"0.25s\"";
                (format!("invalid duration: {reason}"), hint)
            }),
            _ => well_known::timestamp(text).ok_or_else(|| {
                ("invalid timestamp".to_owned(), "write it as \"2026-01-31T12:00:00Z\"")
            }),
        };
        match parts {
            Ok((seconds, nanos)) => {
                message.set_field_by_number(1, Value::I64(seconds));
                message.set_field_by_number(2, Value::I32(nanos));
                Some(message)
            }
            Err((message, hint)) => self.wrong(node, message, Some(hint.to_owned())),
        }
    }

    fn any(&mut self, node: &Node, descriptor: &MessageDescriptor) -> Option<DynamicMessage> {
        let NodeValue::Mapping(entries) = &node.value else {
            return self.wrong(node, "expected a mapping with '@type'", None);
        };
        let mut any = DynamicMessage::new(descriptor.clone());
        let Some(entry) = entries.iter().find(|entry| entry.key == "@type") else {
            if entries.is_empty() {
                return Some(any);
            }
            let hint = Some(format!("add \"@type\": {}<message>", schema::TYPE_URL_PREFIX));
            #[cfg(planted = "config_place")]
            self.push(Position { line: 0, column: 0 }, "planted: a problem without a place", None);
            return self.wrong(node, "'@type' is missing", hint);
        };
        let NodeValue::Scalar { scalar: Scalar::String, text: type_url } = &entry.value.value
        else {
            return self.wrong(&entry.value, "'@type' must be a string", None);
        };
        let inner = match type_url.rsplit_once('/') {
            Some((host, name)) if !host.is_empty() && !name.is_empty() => name,
            _ => {
                let hint = format!("write {}{}", schema::TYPE_URL_PREFIX, clipped(type_url));
                let message = format!("'@type' \"{}\" has no host", clipped(type_url));
                return self.wrong_type_url(&entry.value, message, Some(hint));
            }
        };
        let Some(inner_descriptor) = schema::message(inner) else {
            let message = format!("unknown type \"{}\"", clipped(type_url));
            let hint = if self.problems.is_full() { None } else { type_hint(inner) };
            return self.wrong_type_url(&entry.value, message, hint);
        };

        let mut inner_message = DynamicMessage::new(inner_descriptor.clone());
        if is_well_known(inner) {
            // The JSON form of these is no mapping, so it stands in a field of its own.
            for entry in entries.iter().filter(|entry| entry.key != "@type") {
                if entry.key != "value" {
                    let message = format!("fields of a packed {inner} are '@type' and 'value'");
                    self.push(entry.position, message, None);
                    self.incomplete.0.insert(self.path.clone());
                    continue;
                }
                let outer = self.path.len();
                self.path.push_str(if outer == 0 { "value" } else { ".value" });
                let read = self.message(&entry.value, &inner_descriptor);
                self.path.truncate(outer);
                inner_message = read?;
            }
        } else {
            self.fields(entries, &mut inner_message, true);
        }
        any.set_field_by_number(1, Value::String(type_url.clone()));
        any.set_field_by_number(2, Value::Bytes(inner_message.encode_to_vec().into()));
        Some(any)
    }

    fn wrong_type_url<T>(
        &mut self,
        node: &Node,
        message: String,
        hint: Option<String>,
    ) -> Option<T> {
        let outer = self.path.len();
        self.path.push_str(if outer == 0 { "@type" } else { ".@type" });
        self.push(node.position, message, hint);
        self.path.truncate(outer);
        None
    }

    /// Reads the entries of a mapping into `message`.
    fn fields(&mut self, entries: &[Entry], message: &mut DynamicMessage, is_any: bool) {
        let descriptor = message.descriptor();
        let mut seen: HashMap<u32, &str> = HashMap::new();
        for entry in entries {
            if is_any && entry.key == "@type" {
                continue;
            }
            let Some(field) = find_field(&descriptor, &entry.key) else {
                self.unknown_field(entry, &descriptor);
                continue;
            };
            let outer = self.path.len();
            if outer > 0 {
                self.path.push('.');
            }
            self.path.push_str(field.name());
            let is_read = match conflict(&field, message, &seen) {
                Some(text) if !entry.value.is_null() => {
                    self.push(entry.position, text, None);
                    false
                }
                _ => self.field(&entry.value, &field, message),
            };
            self.path.truncate(outer);
            if !is_read {
                self.incomplete.0.insert(self.path.clone());
            }
            if !entry.value.is_null() {
                seen.insert(field.number(), &entry.key);
            }
        }
    }

    fn unknown_field(&mut self, entry: &Entry, descriptor: &MessageDescriptor) {
        let names: Vec<String> = descriptor.fields().map(|field| field.name().to_owned()).collect();
        let hint = match schema::nearest(&entry.key, names.iter().map(String::as_str)) {
            Some(name) => Some(format!("did you mean '{name}'?")),
            None if entry.key == "<<" => {
                Some("merge keys are not supported, as in Envoy".to_owned())
            }
            None => None,
        };
        let outer = self.path.len();
        let dot = if outer > 0 { "." } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(self.path, "{dot}{}", clipped(&entry.key));
        let message = format!("unknown field in {}", descriptor.full_name());
        match self.unknown_fields {
            UnknownFields::Refused => {
                self.push(entry.position, message, hint);
                self.path.truncate(outer);
                self.incomplete.0.insert(self.path.clone());
            }
            UnknownFields::LeftOut => {
                let kind = ProblemKind::Ignored;
                self.problems.push(kind, entry.position, &self.path, message, hint);
                self.path.truncate(outer);
            }
        }
    }

    /// Reads one field; false when something in it was wrong and it stays unset.
    fn field(
        &mut self,
        node: &Node,
        field: &FieldDescriptor,
        message: &mut DynamicMessage,
    ) -> bool {
        let kind = field.kind();
        if node.is_null() && !takes_null(&kind) {
            return true;
        }
        let value = if field.is_map() {
            self.map_field(node, &kind)
        } else if field.is_list() {
            let mut items =
                Items { before: self.earlier.count_items(&self.path), list: Vec::new() };
            self.items(node, &kind, &mut items).then_some(Value::List(items.list))
        } else {
            self.singular(node, &kind)
        };
        match value {
            Some(value) => {
                message.set_field(field, value);
                true
            }
            None => false,
        }
    }

    fn items(&mut self, node: &Node, kind: &Kind, items: &mut Items) -> bool {
        let NodeValue::Sequence { items: nodes, .. } = &node.value else {
            return self.item(node, kind, items);
        };
        let keeps_lists = is_value(kind)
            || matches!(kind, Kind::Message(m) if m.full_name() == "google.protobuf.ListValue");
        let mut is_read = true;
        for node in nodes {
            is_read &= match &node.value {
                NodeValue::Sequence { .. } if !keeps_lists => self.items(node, kind, items),
                _ => self.item(node, kind, items),
            };
        }
        is_read
    }

    fn item(&mut self, node: &Node, kind: &Kind, items: &mut Items) -> bool {
        let outer = self.path.len();
        // Writing to a string cannot fail.
        let _ = write!(self.path, "[{}]", items.before + items.list.len());
        // In legacy mode a null in a list is the default value.
        let value = if node.is_null() && !takes_null(kind) {
            Some(Value::default_value(kind))
        } else {
            self.singular(node, kind)
        };
        self.path.truncate(outer);
        let is_read = value.is_some();
        // A bad item keeps its place, so that the paths of those after it stay right.
        items.list.push(value.unwrap_or_else(|| Value::default_value(kind)));
        is_read
    }

    fn map_field(&mut self, node: &Node, kind: &Kind) -> Option<Value> {
        let Kind::Message(entry_type) = kind else {
            return self.wrong(node, "expected a mapping", None);
        };
        let NodeValue::Mapping(entries) = &node.value else {
            return self.wrong(node, "expected a mapping", None);
        };
        let (key_kind, value_kind) =
            (entry_type.map_entry_key_field().kind(), entry_type.map_entry_value_field().kind());
        let mut map = HashMap::with_capacity(entries.len());
        let mut is_read = true;
        for entry in entries {
            let outer = self.path.len();
            // Writing to a string cannot fail.
            let _ = write!(self.path, "[\"{}\"]", entry.key);
            let key = map_key(&entry.key, &key_kind);
            if key.is_none() {
                self.push(
                    entry.position,
                    format!("'{}' is no key here", clipped(&entry.key)),
                    None,
                );
            }
            let value = if entry.value.is_null() && !takes_null(&value_kind) {
                Some(Value::default_value(&value_kind))
            } else {
                self.singular(&entry.value, &value_kind)
            };
            self.path.truncate(outer);
            match (key, value) {
                (Some(key), Some(value)) => {
                    map.insert(key, value);
                }
                _ => is_read = false,
            }
        }
        is_read.then_some(Value::Map(map))
    }

    fn singular(&mut self, node: &Node, kind: &Kind) -> Option<Value> {
        if let Kind::Message(descriptor) = kind {
            return self.message(node, descriptor).map(Value::Message);
        }
        if let Kind::Enum(descriptor) = kind {
            return self.enumeration(node, descriptor);
        }
        let NodeValue::Scalar { scalar, text } = &node.value else {
            return self.wrong(node, format!("expected {}", describe_kind(kind)), None);
        };
        let value = match kind {
            Kind::String => match scalar {
                Scalar::String => Some(Value::String(text.clone())),
                _ => None,
            },
            Kind::Bytes => match scalar {
                Scalar::String => well_known::base64(text).map(|b| Value::Bytes(b.into())),
                _ => None,
            },
            Kind::Bool => match scalar {
                Scalar::Bool(value) => Some(Value::Bool(*value)),
                Scalar::String => well_known::boolean(text).map(Value::Bool),
                _ => None,
            },
            Kind::Double => double(*scalar, text).map(Value::F64),
            Kind::Float => double(*scalar, text).and_then(float).map(Value::F32),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                integer(*scalar, text).and_then(|n| i32::try_from(n).ok()).map(Value::I32)
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                integer(*scalar, text).and_then(|n| i64::try_from(n).ok()).map(Value::I64)
            }
            Kind::Uint32 | Kind::Fixed32 => {
                integer(*scalar, text).and_then(|n| u32::try_from(n).ok()).map(Value::U32)
            }
            Kind::Uint64 | Kind::Fixed64 => {
                integer(*scalar, text).and_then(|n| u64::try_from(n).ok()).map(Value::U64)
            }
            Kind::Message(_) | Kind::Enum(_) => None,
        };
        if value.is_some() {
            return value;
        }
        let hint = match (kind, scalar) {
            (Kind::String, Scalar::Bool(_) | Scalar::Integer(_)) => {
                Some(format!("quote it: \"{}\"", clipped(text)))
            }
            _ => None,
        };
        self.wrong(node, format!("expected {}", describe_kind(kind)), hint)
    }

    fn enumeration(&mut self, node: &Node, descriptor: &EnumDescriptor) -> Option<Value> {
        let number = match &node.value {
            NodeValue::Scalar { scalar: Scalar::String, text } => descriptor
                .values()
                .find(|value| value.name().eq_ignore_ascii_case(text))
                .map(|value| value.number())
                .or_else(|| text.trim().parse().ok()),
            NodeValue::Scalar { scalar: Scalar::Null, .. }
                if descriptor.full_name() == NULL_VALUE =>
            {
                Some(0)
            }
            NodeValue::Scalar { scalar, text } => {
                integer(*scalar, text).and_then(|n| i32::try_from(n).ok())
            }
            NodeValue::Sequence { .. } | NodeValue::Mapping(_) => None,
        };
        if let Some(number) = number {
            return Some(Value::EnumNumber(number));
        }
        let names: Vec<String> = descriptor.values().map(|value| value.name().to_owned()).collect();
        let written = match &node.value {
            NodeValue::Scalar { scalar: Scalar::String, text } => text.to_ascii_uppercase(),
            _ => String::new(),
        };
        let hint = match schema::nearest(&written, names.iter().map(String::as_str)) {
            Some(name) => format!("did you mean {name}?"),
            None => format!("one of {}", names.join(", ")),
        };
        self.wrong(node, format!("no value of {}", descriptor.full_name()), Some(hint))
    }

    /// Reports that `node` does not fit, saying what it is.
    fn wrong<T>(
        &mut self,
        node: &Node,
        expected: impl Into<String>,
        hint: Option<String>,
    ) -> Option<T> {
        let message = format!("{}, got {}", expected.into(), node.describe());
        self.push(node.position, message, hint);
        None
    }

    fn push(&mut self, position: Position, message: impl Into<String>, hint: Option<String>) {
        let kind = ProblemKind::Invalid;
        self.problems.push(kind, position, &self.path, message, hint);
    }
}

fn find_field(descriptor: &MessageDescriptor, key: &str) -> Option<FieldDescriptor> {
    descriptor.get_field_by_name(key).or_else(|| descriptor.get_field_by_json_name(key))
}

/// Why `field` cannot be set as well as what is set already.
fn conflict(
    field: &FieldDescriptor,
    message: &DynamicMessage,
    seen: &HashMap<u32, &str>,
) -> Option<String> {
    if let Some(earlier) = seen.get(&field.number()) {
        return Some(format!("already set, as '{earlier}'"));
    }
    let oneof = field.containing_oneof()?;
    let other = oneof.fields().find(|other| {
        other.number() != field.number()
            && (message.has_field(other) || seen.contains_key(&other.number()))
    })?;
    Some(format!("'{}' and '{}' are alternatives, only one may be set", other.name(), field.name()))
}

fn type_hint(name: &str) -> Option<String> {
    let names: Vec<String> =
        schema::pool().all_messages().map(|message| message.full_name().to_owned()).collect();
    Some(match schema::nearest(name, names.iter().map(String::as_str)) {
        Some(nearest) => format!("did you mean {}{nearest}?", schema::TYPE_URL_PREFIX),
        None => format!("supported: {}", support::extensions().join(", ")),
    })
}

fn integer(scalar: Scalar, text: &str) -> Option<i128> {
    match scalar {
        Scalar::Integer(value) => Some(value),
        Scalar::String => well_known::integer(text),
        Scalar::Double(value) => well_known::whole(value),
        Scalar::Null | Scalar::Bool(_) => None,
    }
}

fn double(scalar: Scalar, text: &str) -> Option<f64> {
    match scalar {
        Scalar::Double(value) => Some(value),
        // The digits, rather than a cast: only a parser rounds right.
        Scalar::Integer(value) => value.to_string().parse().ok(),
        Scalar::String => well_known::double(text),
        Scalar::Null | Scalar::Bool(_) => None,
    }
}

/// None when a finite number does not fit.
fn float(value: f64) -> Option<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "rounding is meant, overflow is checked")]
    let narrow = value as f32;
    (narrow.is_finite() || !value.is_finite()).then_some(narrow)
}

/// A map's key as it is written in a file.
pub(crate) fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

fn map_key(key: &str, kind: &Kind) -> Option<MapKey> {
    match kind {
        Kind::String => Some(MapKey::String(key.to_owned())),
        Kind::Bool => match key {
            "true" => Some(MapKey::Bool(true)),
            "false" => Some(MapKey::Bool(false)),
            _ => None,
        },
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => key.parse().ok().map(MapKey::I32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => key.parse().ok().map(MapKey::I64),
        Kind::Uint32 | Kind::Fixed32 => key.parse().ok().map(MapKey::U32),
        Kind::Uint64 | Kind::Fixed64 => key.parse().ok().map(MapKey::U64),
        Kind::Double | Kind::Float | Kind::Bytes | Kind::Message(_) | Kind::Enum(_) => None,
    }
}

fn describe_kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::String => "a string",
        Kind::Bytes => "base64",
        Kind::Bool => "true or false",
        Kind::Double | Kind::Float => "a number",
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => "a 32-bit integer",
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => "a 64-bit integer",
        Kind::Uint32 | Kind::Fixed32 => "an integer from 0 to 4294967295",
        Kind::Uint64 | Kind::Fixed64 => "an integer from 0 to 18446744073709551615",
        Kind::Enum(_) => "the name of an enum value",
        Kind::Message(_) => "a mapping",
    }
}

/// Null is a value of these; everywhere else it means unset.
fn takes_null(kind: &Kind) -> bool {
    is_value(kind) || matches!(kind, Kind::Enum(e) if e.full_name() == NULL_VALUE)
}

const NULL_VALUE: &str = "google.protobuf.NullValue";

fn is_value(kind: &Kind) -> bool {
    matches!(kind, Kind::Message(m) if m.full_name() == "google.protobuf.Value")
}

fn is_wrapper(name: &str) -> bool {
    matches!(
        name,
        "google.protobuf.BoolValue"
            | "google.protobuf.BytesValue"
            | "google.protobuf.DoubleValue"
            | "google.protobuf.FloatValue"
            | "google.protobuf.Int32Value"
            | "google.protobuf.Int64Value"
            | "google.protobuf.StringValue"
            | "google.protobuf.UInt32Value"
            | "google.protobuf.UInt64Value"
    )
}

/// True for a type whose JSON form is no mapping of its fields: packed into an `Any` it stands in
/// a field called `value`.
pub(crate) fn is_well_known(name: &str) -> bool {
    is_wrapper(name)
        || matches!(
            name,
            "google.protobuf.Any"
                | "google.protobuf.Duration"
                | "google.protobuf.FieldMask"
                | "google.protobuf.ListValue"
                | "google.protobuf.Struct"
                | "google.protobuf.Timestamp"
                | "google.protobuf.Value"
        )
}

/// Field numbers of `google.protobuf.Value`'s oneof.
mod value_field {
    pub(super) const NULL: u32 = 1;
    pub(super) const NUMBER: u32 = 2;
    pub(super) const STRING: u32 = 3;
    pub(super) const BOOL: u32 = 4;
    pub(super) const STRUCT: u32 = 5;
    pub(super) const LIST: u32 = 6;
}

fn value_message(node: &Node, descriptor: &MessageDescriptor) -> DynamicMessage {
    let nested = |number| match descriptor.get_field(number).map(|field| field.kind()) {
        Some(Kind::Message(descriptor)) => descriptor,
        _ => descriptor.clone(),
    };
    let (number, value) = match &node.value {
        NodeValue::Mapping(entries) => {
            let message = struct_message(entries, &nested(value_field::STRUCT));
            (value_field::STRUCT, Value::Message(message))
        }
        NodeValue::Sequence { items, .. } => {
            let message = list_message(items, &nested(value_field::LIST));
            (value_field::LIST, Value::Message(message))
        }
        NodeValue::Scalar { scalar, text } => match scalar {
            Scalar::Null => (value_field::NULL, Value::EnumNumber(0)),
            Scalar::Bool(value) => (value_field::BOOL, Value::Bool(*value)),
            Scalar::String => (value_field::STRING, Value::String(text.clone())),
            Scalar::Integer(_) | Scalar::Double(_) => {
                let number = double(*scalar, text).unwrap_or(f64::NAN);
                (value_field::NUMBER, Value::F64(number))
            }
        },
    };
    let mut message = DynamicMessage::new(descriptor.clone());
    message.set_field_by_number(number, value);
    message
}

fn struct_message(entries: &[Entry], descriptor: &MessageDescriptor) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    if let Some(Kind::Message(entry)) = descriptor.get_field(1).map(|field| field.kind())
        && let Kind::Message(value) = entry.map_entry_value_field().kind()
    {
        let fields = entries.iter().map(|entry| {
            let value = value_message(&entry.value, &value);
            (MapKey::String(entry.key.clone()), Value::Message(value))
        });
        message.set_field_by_number(1, Value::Map(fields.collect()));
    }
    message
}

fn list_message(items: &[std::rc::Rc<Node>], descriptor: &MessageDescriptor) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    if let Some(Kind::Message(value)) = descriptor.get_field(1).map(|field| field.kind()) {
        let values = items.iter().map(|item| Value::Message(value_message(item, &value)));
        message.set_field_by_number(1, Value::List(values.collect()));
    }
    message
}
