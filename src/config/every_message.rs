//! The proof that every message of Envoy's API can be read: for each, a sample with all its fields
//! set is written as JSON and as YAML by code that is not ours, mapped, and compared.

use std::fmt::Write as _;

use prost_reflect::prost::Message as _;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, SerializeOptions, Value,
};
use serde_json::Value as Json;

use crate::document::{Format, read};
use crate::mapper::{Incomplete, UnknownFields, map};
use crate::place::Places;
use crate::problem::Problems;
use crate::schema;

/// How deep samples are nested: deep enough for a message in a message in a list.
const LEVELS: u32 = 3;

/// A message with every field set, one field of each oneof: the one that `turn` chooses.
fn sample(descriptor: &MessageDescriptor, levels: u32, turn: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    match descriptor.full_name() {
        "google.protobuf.Any" => {
            let name = ["google.protobuf.Duration", "envoy.config.core.v3.Metadata"][turn % 2];
            let inner = sample(&schema::message(name).unwrap(), levels.saturating_sub(1), turn);
            message.set_field_by_number(1, Value::String(format!("x.example/{name}")));
            message.set_field_by_number(2, Value::Bytes(inner.encode_to_vec().into()));
            return message;
        }
        "google.protobuf.Duration" | "google.protobuf.Timestamp" => {
            let seconds = i64::try_from(turn).unwrap() * 1_000_003;
            message.set_field_by_number(1, Value::I64(seconds));
            message.set_field_by_number(2, Value::I32(500_000_000));
            return message;
        }
        "google.protobuf.FieldMask" => {
            let paths = ["a.b_c", "d"].map(|path| Value::String(path.to_owned()));
            message.set_field_by_number(1, Value::List(paths.to_vec()));
            return message;
        }
        // One of its kinds, none of which may be left out.
        "google.protobuf.Value" if levels == 0 => {
            message.set_field_by_number(4, Value::Bool(true));
            return message;
        }
        // The writer knows no form for one that is not finite.
        "google.protobuf.DoubleValue" => {
            message.set_field_by_number(1, Value::F64(-0.25));
            return message;
        }
        "google.protobuf.FloatValue" => {
            message.set_field_by_number(1, Value::F32(1.5));
            return message;
        }
        // In YAML a number with a fraction would be a string here, as in Envoy.
        "google.protobuf.Value" if turn % 6 == 1 => {
            message.set_field_by_number(2, Value::F64(-3.0));
            return message;
        }
        _ => {}
    }
    for field in descriptor.fields() {
        if let Some(oneof) = field.containing_oneof() {
            let fields: Vec<FieldDescriptor> = oneof.fields().collect();
            if fields[turn % fields.len()] != field {
                continue;
            }
        }
        if let Some(value) = field_value(&field, levels, turn) {
            message.set_field(&field, value);
        }
    }
    message
}

fn field_value(field: &FieldDescriptor, levels: u32, turn: usize) -> Option<Value> {
    let kind = field.kind();
    if field.is_map() {
        let entry = kind.as_message()?;
        let value = value(&entry.map_entry_value_field().kind(), levels, turn)?;
        let key = match entry.map_entry_key_field().kind() {
            Kind::String => MapKey::String("a key.[\"x\"]".to_owned()),
            Kind::Bool => MapKey::Bool(true),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => MapKey::I32(-7),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => MapKey::I64(i64::MIN),
            Kind::Uint32 | Kind::Fixed32 => MapKey::U32(u32::MAX),
            Kind::Uint64 | Kind::Fixed64 => MapKey::U64(u64::MAX),
            other => panic!("no key: {other:?}"),
        };
        return Some(Value::Map([(key, value)].into()));
    }
    if field.is_list() {
        let item = value(&kind, levels, turn)?;
        let second = value(&kind, levels, turn + 1)?;
        return Some(Value::List(vec![item, second]));
    }
    value(&kind, levels, turn)
}

fn value(kind: &Kind, levels: u32, turn: usize) -> Option<Value> {
    let pick = |count: usize| turn % count;
    Some(match kind {
        Kind::String => {
            let texts = ["text", "", "yes", "12", "0x1f", "~", "\u{1f600} \"'\\\n\t: #", "- a"];
            Value::String(texts[pick(texts.len())].to_owned())
        }
        Kind::Bytes => Value::Bytes([0xff, 0x00, b'a'][..pick(4)].to_vec().into()),
        Kind::Bool => Value::Bool(turn.is_multiple_of(2)),
        Kind::Double => Value::F64([0.25, f64::NEG_INFINITY, f64::MAX, -3.0][pick(4)]),
        Kind::Float => Value::F32([0.25, f32::INFINITY, f32::MAX, -3.0][pick(4)]),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32([1, i32::MIN, i32::MAX][pick(3)]),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64([1, i64::MIN, i64::MAX][pick(3)]),
        Kind::Uint32 | Kind::Fixed32 => Value::U32([1, u32::MAX, 16][pick(3)]),
        Kind::Uint64 | Kind::Fixed64 => Value::U64([1, u64::MAX, 16][pick(3)]),
        Kind::Enum(descriptor) => {
            let values: Vec<i32> = descriptor.values().map(|value| value.number()).collect();
            Value::EnumNumber(values[pick(values.len())])
        }
        Kind::Message(_) if levels == 0 => return None,
        Kind::Message(descriptor) => Value::Message(sample(descriptor, levels - 1, turn)),
    })
}

/// Maps `text` as a message of that type.
fn mapped(descriptor: &MessageDescriptor, text: &str, format: Format) -> DynamicMessage {
    let (mut problems, mut incomplete) = (Problems::default(), Incomplete::default());
    let root = read(text.as_bytes(), format, &mut problems);
    let message = root.map(|root| {
        map(
            &root,
            descriptor,
            &Places::default(),
            UnknownFields::Refused,
            &mut incomplete,
            &mut problems,
        )
    });
    let report = problems.into_report();
    assert!(!report.is_fatal(), "{}:\n{report}\n{text}", descriptor.full_name());
    message.unwrap()
}

/// Block style, strings in double quotes where a plain word would be something else.
fn yaml(json: &Json, indent: usize, out: &mut String) {
    match json {
        Json::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                write!(out, "\n{:indent$}{}: ", "", Json::String(key.clone())).unwrap();
                yaml(value, indent + 2, out);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for item in items {
                write!(out, "\n{:indent$}- ", "").unwrap();
                yaml(item, indent + 2, out);
            }
        }
        Json::Number(number) if number.as_f64() == Some(-3.0) => out.push_str("-3"),
        other => write!(out, "{other}").unwrap(),
    }
}

#[test]
fn every_message_of_the_api_is_read_back_as_it_was_written() {
    let mut count = 0;
    for descriptor in schema::pool().all_messages() {
        // A configuration's messages have mappings as their form; entries of maps are no messages.
        let name = descriptor.full_name();
        let is_ours = ["envoy.", "xds.", "udpa."].iter().any(|package| name.starts_with(package));
        if !is_ours || descriptor.is_map_entry() {
            continue;
        }
        for turn in 0..8 {
            let sample = sample(&descriptor, LEVELS, turn);
            // On the wire it makes no difference whether a default was set.
            let expected = sample.encode_to_vec();
            for proto_names in [true, false] {
                let options = SerializeOptions::new().use_proto_field_name(proto_names);
                let json = sample
                    .serialize_with_options(serde_json::value::Serializer, &options)
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
                let read = mapped(&descriptor, &json.to_string(), Format::Json);
                assert_eq!(read.encode_to_vec(), expected, "{name} as JSON:\n{json:#}");
                let mut text = String::new();
                yaml(&json, 0, &mut text);
                let read = mapped(&descriptor, &text, Format::Yaml);
                assert_eq!(read.encode_to_vec(), expected, "{name} as YAML:\n{text}");
            }
            count += 1;
        }
    }
    assert!(count > 8 * 1_400, "{count}");
}

#[test]
fn samples_set_every_field_that_their_turn_allows() {
    let cluster = schema::message("envoy.config.cluster.v3.Cluster").unwrap();
    let set: usize = (0..8).map(|turn| sample(&cluster, 1, turn).fields().count()).sum();
    assert!(set > 8 * 40, "{set}");
}
