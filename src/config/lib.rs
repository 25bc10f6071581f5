//! Floor 1: Envoy v3 configuration in, checked model out.
//!
//! ```text
//! bytes -> document (YAML/JSON, line:col) -> mapper (DynamicMessage) -> rules + support -> typed
//! -> lower -> model
//! ```
//!
//! Accepts what Envoy 1.40 accepts and Nuncio can do, and names everything else with its place, all
//! at once: what Envoy refuses too, what Nuncio cannot do yet, and what it leaves out because it
//! cannot matter. The schema is Envoy's own, whole, so "unknown field" means unknown to Envoy.
//!
//! **Invariant:** this floor reads no file, no clock and no environment: bytes are an argument.
//! **Invariant:** no input panics, and none takes more than the limits named in `document` allow.
//! **Invariant:** a field that is set is acted upon or reported; there is no third way.
#![forbid(unsafe_code)]

mod annotations;
mod check;
mod document;
mod dump;
mod lower;
mod mapper;
mod mask;
pub mod model;
mod place;
mod problem;
mod rules;
mod runtime;
mod scalar;
mod schema;
mod support;
#[expect(
    unreachable_pub,
    clippy::enum_variant_names,
    clippy::large_enum_variant,
    reason = "generated code makes everything public, and names and nests as the schema does"
)]
mod typed;
mod well_known;

#[cfg(test)]
mod every_message;
#[cfg(test)]
mod tests;

pub use document::{ALIASED_NODES_MAX, DEPTH_MAX, FILE_BYTES_MAX, NODES_MAX};
pub use dump::{Dump, DumpError, Resource};
pub use mapper::UnknownFields;
pub use mask::{FieldMask, MaskTree, is_repeated};
pub use place::Places;
pub use problem::{PROBLEMS_MAX, Place, Position, Problem, ProblemKind, Report};
pub use runtime::{Fraction, RuntimeEntry, RuntimeSnapshot, RuntimeValues};

use std::rc::Rc;
use std::sync::Arc;

use document::{Format, Node};
use mapper::Incomplete;
use problem::Problems;
use prost::Message;
use prost_reflect::DynamicMessage;

/// The bytes of one configuration, and what to call them in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: Arc<str>,
    bytes: Vec<u8>,
    kind: SourceKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SourceKind {
    Yaml,
    Json,
    /// Envoy reads these; Nuncio does not.
    Protobuf,
}

impl Source {
    /// The content of a configuration file. As in Envoy the name decides how it is read: `.yaml`
    /// and `.yml` are YAML, `.pb` and `.pb_text` are protobuf (refused), anything else is JSON.
    #[must_use]
    pub fn file(path: &str, bytes: Vec<u8>) -> Self {
        let name = path.to_ascii_lowercase();
        let ends_with = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
        let kind = if ends_with(&[".yaml", ".yml"]) {
            SourceKind::Yaml
        } else if ends_with(&[".pb", ".pb_text"]) {
            SourceKind::Protobuf
        } else {
            SourceKind::Json
        };
        Self { name: Arc::from(path), bytes, kind }
    }

    /// YAML given on the command line with `--config-yaml`.
    #[must_use]
    pub fn inline(yaml: &str) -> Self {
        Self {
            name: Arc::from("--config-yaml"),
            bytes: yaml.as_bytes().to_vec(),
            kind: SourceKind::Yaml,
        }
    }

    /// The tree of its nodes. None when `problems` got the reason why not.
    fn read(&self, problems: &mut Problems) -> Option<Rc<Node>> {
        match self.kind {
            SourceKind::Yaml => document::read(&self.bytes, Format::Yaml, problems),
            SourceKind::Json => document::read(&self.bytes, Format::Json, problems),
            SourceKind::Protobuf => {
                let message = "a configuration file in protobuf's own formats";
                let hint = Some("write it as YAML or JSON".to_owned());
                let kind = ProblemKind::NotSupportedYet;
                problems.push(kind, Position::START, "", message, hint);
                None
            }
        }
    }
}

/// A configuration that may run.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What to run.
    pub bootstrap: model::Bootstrap,
    /// What was left out, and what Envoy warns of too; none of them is fatal.
    pub warnings: Report,
    /// The same configuration as it was written, for `/config_dump`.
    pub dump: Dump,
    /// Where the fields stand, for problems that later floors find (an address in use, say).
    pub places: Places,
}

/// Reads, checks and lowers a configuration: `sources` in order, each merged into those before it
/// as Envoy merges `--config-yaml` into the file. Lists are appended, messages merged field by
/// field, everything else is overwritten; the value rules hold for the result.
///
/// # Errors
/// The report of everything that forbids running, and of the warnings beside it.
pub fn load(sources: &[Source]) -> Result<Loaded, Report> {
    load_with(sources, UnknownFields::Refused)
}

/// The same, with a say in what becomes of fields that Envoy does not know.
///
/// # Errors
/// As [`load`].
pub fn load_with(sources: &[Source], unknown_fields: UnknownFields) -> Result<Loaded, Report> {
    let mut problems = Problems::default();
    match load_sources(sources, unknown_fields, &mut problems) {
        Some((bootstrap, dump, places)) if !problems.is_fatal() => {
            Ok(Loaded { bootstrap, dump, warnings: problems.into_report(), places })
        }
        _ => Err(problems.into_report()),
    }
}

fn load_sources(
    sources: &[Source],
    unknown_fields: UnknownFields,
    problems: &mut Problems,
) -> Option<(model::Bootstrap, Dump, Places)> {
    let descriptor = schema::message(schema::BOOTSTRAP)?;
    let mut places = Places::default();
    let mut incomplete = Incomplete::default();
    let mut merged: Option<DynamicMessage> = None;
    let mut is_whole = true;
    for source in sources {
        problems.enter(&source.name);
        let Some(root) = source.read(problems) else {
            is_whole = false;
            continue;
        };
        let message =
            mapper::map(&root, &descriptor, &places, unknown_fields, &mut incomplete, problems);
        places.add(&source.name, root);
        merged = Some(match merged {
            None => message,
            // On the wire, merging is writing one after the other.
            Some(mut earlier) => match earlier.merge(message.encode_to_vec().as_slice()) {
                Ok(()) => earlier,
                Err(_) => return too_deep(problems),
            },
        });
    }
    let message = merged.filter(|_| is_whole)?;
    check::check(&message, &places, &incomplete, problems);
    let bytes = message.encode_to_vec();
    // Takes the message apart: a large configuration is not kept in two forms.
    let dump = Dump::new(message);
    // The typed subset knows every field that the support table lets through.
    let Ok(typed) = Message::decode(bytes.as_slice()) else {
        return too_deep(problems);
    };
    let bootstrap = lower::bootstrap(&typed, &places, &incomplete, problems);
    Some((bootstrap, dump, places))
}

/// Only depth can be the reason why what was encoded here cannot be decoded.
fn too_deep<T>(problems: &mut Problems) -> Option<T> {
    problems.push(ProblemKind::NotSupportedYet, Position::START, "", check::TOO_DEEP, None);
    None
}
