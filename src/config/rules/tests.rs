//! Each kind of rule with a value that keeps it and one that breaks it; and the proof that no kind
//! is missing here, of protoc-gen-validate's or of those that Envoy's schema uses.

use std::collections::BTreeSet;

use prost_reflect::{DynamicMessage, Kind, ReflectMessage as _, Value};

use super::text::Patterns;
use super::{Rules, check_field, pgv};
use crate::document::{Format, read};
use crate::mapper::{Incomplete, map};
use crate::place::Places;
use crate::problem::Problems;
use crate::schema;

/// These compare with the clock, which this floor does not read.
const UNCHECKED: [&str; 3] = ["timestamp.lt_now", "timestamp.gt_now", "timestamp.within"];

const STRING: (&str, &str) = ("google.protobuf.StringValue", "value");
const BYTES: (&str, &str) = ("google.protobuf.BytesValue", "value");
const STRINGS: (&str, &str) = ("envoy.config.route.v3.VirtualHost", "domains");
const MAP: (&str, &str) = ("xds.core.v3.ContextParams", "params");
const DURATION: (&str, &str) = ("envoy.config.cluster.v3.Cluster", "connect_timeout");
const TIMESTAMP: (&str, &str) = ("envoy.admin.v3.BootstrapConfigDump", "last_updated");
const ENUM: (&str, &str) = ("envoy.config.cluster.v3.Cluster", "lb_policy");
const ANY: (&str, &str) = ("envoy.config.core.v3.TypedExtensionConfig", "typed_config");
const MESSAGE: (&str, &str) = ("envoy.config.listener.v3.Listener", "address");

/// Rule, its settings, the field to try it on, a value that keeps it, a value that breaks it.
/// An empty value leaves the field unset.
type Case = (&'static str, &'static str, (&'static str, &'static str), &'static str, &'static str);

const CASES: &[Case] = &[
    ("bool.const", "const: true", ("google.protobuf.BoolValue", "value"), "true", "false"),
    ("string.const", "const: a", STRING, "a", "b"),
    ("string.len", "len: 2", STRING, "éé", "é"),
    ("string.min_len", "min_len: 2", STRING, "éé", "é"),
    ("string.max_len", "max_len: 1", STRING, "é", "éé"),
    ("string.len_bytes", "len_bytes: 2", STRING, "é", "e"),
    ("string.min_bytes", "min_bytes: 2", STRING, "é", "e"),
    ("string.max_bytes", "max_bytes: 2", STRING, "é", "éa"),
    ("string.pattern", "pattern: 'a+$'", STRING, "aaa", "baaa"),
    ("string.prefix", "prefix: ab", STRING, "abc", "bab"),
    ("string.suffix", "suffix: bc", STRING, "abc", "bca"),
    ("string.contains", "contains: b", STRING, "abc", "ac"),
    ("string.not_contains", "not_contains: b", STRING, "ac", "abc"),
    ("string.in", "in: [a, b]", STRING, "b", "c"),
    ("string.not_in", "not_in: [a, b]", STRING, "c", "b"),
    ("string.email", "email: true", STRING, "j.doe+x@mail.example", "j..doe@mail.example"),
    ("string.hostname", "hostname: true", STRING, "a-1.example", "a_1.example"),
    ("string.ip", "ip: true", STRING, "'::1'", "1.2.3"),
    ("string.ipv4", "ipv4: true", STRING, "1.2.3.4", "'::1'"),
    ("string.ipv6", "ipv6: true", STRING, "'::1'", "1.2.3.4"),
    ("string.uri", "uri: true", STRING, "'http://a/b%20c'", "/b"),
    ("string.uri_ref", "uri_ref: true", STRING, "/b?c", "'/b%2'"),
    ("string.address", "address: true", STRING, "1.2.3.4", "-a"),
    (
        "string.uuid",
        "uuid: true",
        STRING,
        "123e4567-e89b-12d3-a456-426614174000",
        "123e4567-e89b-12d3-a456-42661417400g",
    ),
    (
        "string.well_known_regex",
        "well_known_regex: 2, strict: false",
        STRING,
        "\"\\x01\"",
        "\"\\n\"",
    ),
    ("string.well_known_regex", "well_known_regex: 1, strict: false", STRING, "a/b", "\"a\\0b\""),
    // Strict is what a rule is that does not say.
    ("string.well_known_regex", "well_known_regex: 1", STRING, "'a,b'", "a/b"),
    ("string.strict", "well_known_regex: 1, strict: true", STRING, "':a-b'", "a b"),
    ("string.strict", "well_known_regex: 2, strict: true", STRING, "\"a\\tb\"", "\"a\\x7f\""),
    ("string.ignore_empty", "min_len: 2, ignore_empty: true", STRING, "''", "a"),
    ("bytes.const", "const: YWI=", BYTES, "YWI=", "YQ=="),
    ("bytes.len", "len: 2", BYTES, "YWI=", "YQ=="),
    ("bytes.min_len", "min_len: 2", BYTES, "YWI=", "YQ=="),
    ("bytes.max_len", "max_len: 1", BYTES, "YQ==", "YWI="),
    ("bytes.pattern", "pattern: 'a*'", BYTES, "YWE=", "YWI="),
    ("bytes.prefix", "prefix: YQ==", BYTES, "YWI=", "YmE="),
    ("bytes.suffix", "suffix: Yg==", BYTES, "YWI=", "YmE="),
    ("bytes.contains", "contains: Yg==", BYTES, "YWI=", "YQ=="),
    ("bytes.in", "in: [YQ==, Yg==]", BYTES, "Yg==", "Yw=="),
    ("bytes.not_in", "not_in: [YQ==, Yg==]", BYTES, "Yw==", "Yg=="),
    ("bytes.ip", "ip: true", BYTES, "AQIDBA==", "AQID"),
    ("bytes.ipv4", "ipv4: true", BYTES, "AQIDBA==", "AQID"),
    ("bytes.ipv6", "ipv6: true", BYTES, "AAAAAAAAAAAAAAAAAAAAAQ==", "AQIDBA=="),
    ("bytes.ignore_empty", "min_len: 2, ignore_empty: true", BYTES, "''", "YQ=="),
    ("enum.const", "const: 1", ENUM, "1", "2"),
    ("enum.defined_only", "defined_only: true", ENUM, "5", "77"),
    ("enum.in", "in: [1, 2]", ENUM, "2", "3"),
    ("enum.not_in", "not_in: [1, 2]", ENUM, "3", "2"),
    ("repeated.min_items", "min_items: 2", STRINGS, "[a, b]", "[a]"),
    ("repeated.max_items", "max_items: 1", STRINGS, "[a]", "[a, b]"),
    ("repeated.unique", "unique: true", STRINGS, "[a, b]", "[a, b, a]"),
    ("repeated.items", "items: {string: {min_len: 2}}", STRINGS, "[ab]", "[ab, a]"),
    ("repeated.ignore_empty", "min_items: 2, ignore_empty: true", STRINGS, "[]", "[a]"),
    ("map.min_pairs", "min_pairs: 2", MAP, "{a: b, c: d}", "{a: b}"),
    ("map.max_pairs", "max_pairs: 1", MAP, "{a: b}", "{a: b, c: d}"),
    ("map.keys", "keys: {string: {min_len: 2}}", MAP, "{ab: c}", "{a: b}"),
    ("map.values", "values: {string: {min_len: 2}}", MAP, "{a: bc}", "{a: b}"),
    ("map.ignore_empty", "min_pairs: 2, ignore_empty: true", MAP, "{}", "{a: b}"),
    ("duration.required", "required: true", DURATION, "0s", ""),
    ("duration.const", "const: 1s", DURATION, "1s", "2s"),
    ("duration.lt", "lt: 1s", DURATION, "0.999999999s", "1s"),
    ("duration.lte", "lte: 1s", DURATION, "1s", "1.000000001s"),
    ("duration.gt", "gt: 1s", DURATION, "1.000000001s", "1s"),
    ("duration.gte", "gte: 1s", DURATION, "1s", "-1s"),
    ("duration.in", "in: [1s, 2s]", DURATION, "2s", "3s"),
    ("duration.not_in", "not_in: [1s, 2s]", DURATION, "3s", "2s"),
    ("timestamp.required", "required: true", TIMESTAMP, "'1970-01-01T00:00:00Z'", ""),
    ("timestamp.const", "const: '1970-01-01T00:00:00Z'", TIMESTAMP, "{}", "{seconds: 1}"),
    ("timestamp.lt", "lt: '1970-01-01T00:00:01Z'", TIMESTAMP, "{}", "{seconds: 1}"),
    ("timestamp.lte", "lte: '1970-01-01T00:00:00Z'", TIMESTAMP, "{}", "{seconds: 1}"),
    ("timestamp.gt", "gt: '1970-01-01T00:00:00Z'", TIMESTAMP, "{nanos: 1}", "{}"),
    ("timestamp.gte", "gte: '1970-01-01T00:00:01Z'", TIMESTAMP, "{seconds: 1}", "{}"),
    ("any.required", "required: true", ANY, "{'@type': x/google.protobuf.Empty}", ""),
    (
        "any.in",
        "in: [x/google.protobuf.Empty]",
        ANY,
        "{'@type': x/google.protobuf.Empty}",
        "{'@type': y/google.protobuf.Empty}",
    ),
    (
        "any.not_in",
        "not_in: [x/google.protobuf.Empty]",
        ANY,
        "{'@type': y/google.protobuf.Empty}",
        "{'@type': x/google.protobuf.Empty}",
    ),
    ("message.required", "required: true", MESSAGE, "{}", ""),
];

/// Rules that every numeric type has, with values that fit all of them.
const NUMBER_CASES: &[(&str, &str, &str, &str)] = &[
    ("const", "const: 1", "1", "2"),
    ("lt", "lt: 2", "1", "2"),
    ("lte", "lte: 2", "2", "3"),
    ("gt", "gt: 2", "3", "2"),
    ("gte", "gte: 2", "2", "1"),
    // Bounds the wrong way round exclude what lies between them.
    ("lt", "lt: 2, gt: 5", "6", "4"),
    ("lt", "lt: 2, gt: 5", "1", "5"),
    ("gte", "lte: 2, gte: 5", "5", "3"),
    ("in", "in: [1, 2]", "2", "3"),
    ("not_in", "not_in: [1, 2]", "3", "2"),
    ("ignore_empty", "gt: 2, ignore_empty: true", "0", "1"),
];

const NUMBER_TYPES: [(&str, &str); 12] = [
    ("float", "google.protobuf.FloatValue"),
    ("double", "google.protobuf.DoubleValue"),
    ("int32", "google.protobuf.Int32Value"),
    ("int64", "google.protobuf.Int64Value"),
    ("uint32", "google.protobuf.UInt32Value"),
    ("uint64", "google.protobuf.UInt64Value"),
    ("sint32", "google.protobuf.Int32Value"),
    ("sint64", "google.protobuf.Int64Value"),
    ("fixed32", "google.protobuf.UInt32Value"),
    ("fixed64", "google.protobuf.UInt64Value"),
    ("sfixed32", "google.protobuf.Int32Value"),
    ("sfixed64", "google.protobuf.Int64Value"),
];

fn mapped(type_name: &str, yaml: &str) -> DynamicMessage {
    let (mut problems, mut incomplete) = (Problems::default(), Incomplete::default());
    let root = read(yaml.as_bytes(), Format::Yaml, &mut problems).unwrap();
    let descriptor = schema::message(type_name).unwrap_or_else(|| panic!("no {type_name}"));
    let places = Places::default();
    let message = map(
        &root,
        &descriptor,
        &places,
        crate::mapper::UnknownFields::Refused,
        &mut incomplete,
        &mut problems,
    );
    assert!(!problems.is_fatal(), "{type_name} {yaml}: {}", problems.into_report());
    message
}

/// Reasons why a field with that value breaks a rule with these settings.
fn broken(rule: &str, settings: &str, (message, field): (&str, &str), value: &str) -> Vec<String> {
    let (kind, _) = rule.split_once('.').unwrap();
    let rules = mapped("validate.FieldRules", &format!("{kind}: {{{settings}}}"));
    let rules: pgv::FieldRules = rules.transcode_to().unwrap();
    let yaml = if value.is_empty() { "{}".to_owned() } else { format!("{field}: {value}") };
    let message = mapped(message, &yaml);
    let field = message.descriptor().get_field_by_name(field).unwrap();
    let mut broken = Vec::new();
    check_field(&message, &field, &rules, &mut Patterns::default(), &mut broken);
    broken.into_iter().map(|broken| format!("{}: {}", broken.path, broken.reason)).collect()
}

#[test]
fn each_rule_takes_what_keeps_it_and_refuses_what_breaks_it() {
    let check = |rule: &str, settings: &str, field: (&str, &str), good: &str, bad: &str| {
        let reasons = broken(rule, settings, field, good);
        assert!(reasons.is_empty(), "{rule} {{{settings}}} refused {good}: {reasons:?}");
        let reasons = broken(rule, settings, field, bad);
        assert_eq!(reasons.len(), 1, "{rule} {{{settings}}} on {bad}: {reasons:?}");
    };
    for (rule, settings, field, good, bad) in CASES {
        check(rule, settings, *field, good, bad);
    }
    for (kind, message) in NUMBER_TYPES {
        for (rule, settings, good, bad) in NUMBER_CASES {
            check(&format!("{kind}.{rule}"), settings, (message, "value"), good, bad);
        }
    }
}

#[test]
fn reasons_say_what_is_wanted() {
    let cases = [
        ("int32.gte", "gte: 2", ("google.protobuf.Int32Value", "value"), "1", "at least 2"),
        ("duration.gt", "gt: 0.5s", DURATION, "-0.25s", "value -0.25s must be greater than 0.5s"),
        ("string.pattern", "pattern: '^/'", STRING, "a", "value \"a\" must match \"^/\""),
        ("string.ip", "ip: true", STRING, "a", "value \"a\" must be an IP address"),
        ("enum.not_in", "not_in: [3]", ENUM, "3", "value must not be one of RANDOM"),
        ("enum.in", "in: [0]", ENUM, "3", "value RANDOM must be one of ROUND_ROBIN"),
        ("map.keys", "keys: {string: {min_len: 2}}", MAP, "{a: b}", ".params[\"a\"]: has 1"),
        ("repeated.items", "items: {string: {in: [x]}}", STRINGS, "[x, z]", ".domains[1]: "),
    ];
    for (rule, settings, field, bad, words) in cases {
        let reasons = broken(rule, settings, field, bad);
        assert!(reasons[0].contains(words), "{rule}: {reasons:?}");
    }
}

/// Every field of every message of rules, as `string.min_len`; `message.skip` and `map.no_sparse`
/// ask nothing of the field itself.
#[test]
fn no_kind_of_rule_is_missing() {
    let mut tried: BTreeSet<String> = CASES.iter().map(|(rule, ..)| (*rule).to_owned()).collect();
    for (kind, _) in NUMBER_TYPES {
        tried.extend(NUMBER_CASES.iter().map(|(rule, ..)| format!("{kind}.{rule}")));
    }
    tried.extend(UNCHECKED.map(str::to_owned));
    tried.extend(["message.skip", "map.no_sparse"].map(str::to_owned));
    let mut all = BTreeSet::new();
    for kind in schema::message("validate.FieldRules").unwrap().fields() {
        let Kind::Message(rules) = kind.kind() else {
            continue;
        };
        all.extend(rules.fields().map(|rule| format!("{}.{}", kind.name(), rule.name())));
    }
    assert!(all.len() > 150, "{all:?}");
    assert_eq!(all.difference(&tried).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn envoys_schema_uses_no_rule_that_is_not_checked() {
    fn used(rules: &DynamicMessage, all: &mut BTreeSet<String>) {
        for (kind, value) in rules.fields() {
            let Value::Message(settings) = value else {
                continue;
            };
            for (rule, value) in settings.fields() {
                all.insert(format!("{}.{}", kind.name(), rule.name()));
                match value {
                    Value::Message(nested)
                        if nested.descriptor().full_name() == "validate.FieldRules" =>
                    {
                        used(nested, all);
                    }
                    _ => {}
                }
            }
        }
    }
    let extension = schema::pool().get_extension_by_name("validate.rules").unwrap();
    let mut all = BTreeSet::new();
    for message in schema::pool().all_messages() {
        for field in message.fields() {
            if let Value::Message(rules) = field.options().get_extension(&extension).as_ref() {
                used(rules, &mut all);
            }
        }
    }
    assert!(all.len() > 40, "{all:?}");
    let unchecked: Vec<_> = UNCHECKED.iter().filter(|rule| all.contains(**rule)).collect();
    assert!(unchecked.is_empty(), "{unchecked:?}");
}

#[test]
fn every_pattern_of_the_schema_compiles() {
    let mut rules = Rules::new();
    let mut count = 0;
    for message in schema::pool().all_messages() {
        for (field, rules) in &rules.of(&message).fields {
            if let Some(pgv::field_rules::Type::String(rules)) = &rules.r#type
                && let Some(pattern) = &rules.pattern
            {
                assert!(regex::Regex::new(pattern).is_ok(), "{}: {pattern}", field.full_name());
                count += 1;
            }
        }
    }
    assert!(count >= 5, "{count}");
}

#[test]
fn a_field_that_says_skip_is_skipped() {
    let message = schema::message("envoy.config.core.v3.KeyValueAppend").unwrap();
    let mut rules = Rules::new();
    assert!(rules.skips(&message.get_field_by_name("entry").unwrap()));
    assert!(!rules.skips(&message.get_field_by_name("record").unwrap()));
}
