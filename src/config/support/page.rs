//! `CONFIG.md`: the table for somebody who brings a configuration along.
//!
//! **Invariant:** the page says what `check` does, because both read the same table; a test fails
//! when the checked-in page is another one. `NUNCIO_UPDATE=1 cargo test -p nuncio-config config_md`
//! writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::{AREAS, Fields, Support, fields, of};
use crate::schema;

const INTRODUCTION: &str = "\
# What Nuncio does with each field of Envoy's configuration

Nuncio reads Envoy 1.40's own v3 configuration, whole: every message of the schema parses, and a
value that Envoy would refuse is refused here in the same way. What is set in a file is then one of
four things:

- **supported**: it does what it does in Envoy.
- **ignored**: it is left out, with a warning at start, because it cannot change what a client or
  an upstream sees. The reason stands beside it.
- **no effect**: it changes nothing, and nothing in Envoy either where the rest of the file is one
  that Nuncio takes. The reason stands beside it.
- **not yet**: the start is refused, with file, line, column and field. Nuncio never runs half of a
  configuration.

This page is rendered from the table that the program itself asks (`support.rs`); do not edit it.
`NUNCIO_UPDATE=1 cargo test -p nuncio-config config_md` writes it anew.
";

/// Of the chapters, in the order of `AREAS`.
const TITLES: &[&str] = &[
    "Bootstrap",
    "Stats",
    "Listeners",
    "Listener filters",
    "Network filters",
    "TCP proxy",
    "HTTP",
    "Access logs",
    "Clusters",
    "Addresses and transport sockets",
];

/// Renders the page.
fn page() -> String {
    let reached = reached();
    let mut page = INTRODUCTION.to_owned();
    assert_eq!(AREAS.len(), TITLES.len(), "one title for each area");
    for (area, title) in AREAS.iter().zip(TITLES) {
        writeln!(page, "\n## {title}").unwrap();
        for (name, fields) in area.iter().filter(|(name, _)| reached.contains(*name)) {
            message(&mut page, &schema::message(name).unwrap(), fields);
        }
    }
    unsupported(&mut page, &reached);
    page
}

fn message(page: &mut String, message: &MessageDescriptor, fields: Fields) {
    writeln!(page, "\n### {}\n", message.full_name()).unwrap();
    if message.fields().len() == 0 {
        writeln!(page, "Supported; it has no fields.").unwrap();
        return;
    }
    if fields.is_empty() {
        writeln!(page, "Supported without any field; with one: not yet.").unwrap();
        return;
    }
    writeln!(page, "| Field | Nuncio | |\n|---|---|---|").unwrap();
    for field in message.fields() {
        let (what, detail) = match of(message.full_name(), field.name()) {
            Some(Support::Supported) => ("supported", String::new()),
            Some(Support::Only(values)) => ("supported", format!("only {}", code(values))),
            Some(Support::Extension(types)) => ("supported", format!("only {}", code(types))),
            Some(Support::Ignored(reason)) => ("ignored", reason.to_owned()),
            Some(Support::Moot(reason)) => ("no effect", reason.to_owned()),
            Some(Support::Refused(reason)) => ("refused", reason.to_owned()),
            None => ("**not yet**", String::new()),
        };
        let deprecated = if is_deprecated(&field) { " (deprecated)" } else { "" };
        let row = format!("| `{}`{deprecated} | {what} | {detail}", field.name());
        writeln!(page, "{} |", row.trim_end()).unwrap();
    }
}

fn code(values: &[&str]) -> String {
    values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
}

fn is_deprecated(field: &FieldDescriptor) -> bool {
    let deprecated = field.options().get_field_by_name("deprecated").and_then(|v| v.as_bool());
    deprecated == Some(true)
}

/// What no supported field leads to, one line per package.
fn unsupported(page: &mut String, reached: &BTreeSet<String>) {
    let mut by_package: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for message in schema::pool().all_messages().filter(|message| !message.is_map_entry()) {
        let package = message.package_name();
        let is_configuration =
            ["envoy.config.", "envoy.extensions."].iter().any(|start| package.starts_with(start));
        // A nested message goes with the one around it; v2 is gone from Envoy.
        if !is_configuration || message.parent_message().is_some() {
            continue;
        }
        if !reached.contains(message.full_name()) {
            by_package.entry(package.to_owned()).or_default().insert(message.name().to_owned());
        }
    }
    writeln!(page, "\n## Not yet at all\n").unwrap();
    writeln!(page, "Nothing that is supported leads to these messages.\n").unwrap();
    writeln!(page, "| Package | Messages |\n|---|---|").unwrap();
    for (package, messages) in by_package {
        let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
        writeln!(page, "| {package} | {} |", messages.join(", ")).unwrap();
    }
}

/// Full names of the messages that a bootstrap may hold.
fn reached() -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![schema::BOOTSTRAP.to_owned()];
    while let Some(name) = next.pop() {
        if !reached.insert(name.clone()) {
            continue;
        }
        let message = schema::message(&name).unwrap();
        for (field, support) in fields(&name).unwrap_or_default() {
            match support {
                Support::Extension(types) => {
                    next.extend(types.iter().map(|name| (*name).to_owned()))
                }
                Support::Supported => {
                    let field = message.get_field_by_name(field).unwrap();
                    if let Kind::Message(inner) = field.kind() {
                        next.push(inner.full_name().to_owned());
                    }
                }
                Support::Only(_) | Support::Ignored(_) | Support::Moot(_) | Support::Refused(_) => {
                }
            }
        }
    }
    reached
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test may be told to write what it compares with")]
fn config_md_is_rendered_from_this_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("CONFIG.md");
    let page = page();
    if std::env::var("NUNCIO_UPDATE").is_ok_and(|value| value == "1") {
        std::fs::write(&path, page).unwrap();
        return;
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    let hint = "NUNCIO_UPDATE=1 cargo test -p nuncio-config config_md writes it anew";
    let line = page.lines().zip(checked_in.lines()).position(|(a, b)| a != b);
    assert!(page == checked_in, "{} differs from line {line:?}: {hint}", path.display());
}

#[test]
fn a_listed_message_that_nothing_leads_to_is_not_called_supported() {
    let page = page();
    let reached = reached();
    for (name, _) in AREAS.iter().flat_map(|area| *area) {
        assert_eq!(page.contains(&format!("### {name}\n")), reached.contains(*name), "{name}");
    }
    assert!(page.contains("| `static_resources` | supported | |\n"), "{page}");
    assert!(page.contains("| `dynamic_resources` | **not yet** | |\n"), "{page}");
}
