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

mod check;
mod document;
mod dump;
mod lower;
mod mapper;
pub mod model;
mod place;
mod problem;
mod rules;
mod scalar;
mod schema;
mod support;
#[expect(
    unreachable_pub,
    clippy::enum_variant_names,
    reason = "generated code makes everything public and names variants as the schema does"
)]
mod typed;
mod well_known;

#[cfg(test)]
mod tests;

pub use document::{DEPTH_MAX, FILE_BYTES_MAX, NODES_MAX};
pub use dump::{Dump, DumpError, Dumped};
pub use place::{Place, Places};
pub use problem::{PROBLEMS_MAX, Position, Problem, ProblemKind, Report};

use document::Format;
use problem::Problems;
use prost::Message;

/// The bytes of one configuration, and what to call them in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: String,
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
        Self { name: path.to_owned(), bytes, kind }
    }

    /// YAML given on the command line with `--config-yaml`.
    #[must_use]
    pub fn inline(yaml: &str) -> Self {
        Self {
            name: "--config-yaml".to_owned(),
            bytes: yaml.as_bytes().to_vec(),
            kind: SourceKind::Yaml,
        }
    }
}

/// A configuration that may run.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What to run.
    pub bootstrap: model::Bootstrap,
    /// What was left out; every problem in it is [`ProblemKind::Ignored`].
    pub warnings: Report,
    /// The same configuration as it was written, for `/config_dump`.
    pub dump: Dump,
    /// Where the fields stand, for problems that later floors find (an address in use, say).
    pub places: Places,
}

/// Reads, checks and lowers one configuration.
///
/// # Errors
/// The report of everything that forbids running, and of the warnings beside it.
pub fn load(source: &Source) -> Result<Loaded, Report> {
    let format = match source.kind {
        SourceKind::Yaml => Format::Yaml,
        SourceKind::Json => Format::Json,
        SourceKind::Protobuf => {
            return Err(Report::whole_file(
                &source.name,
                ProblemKind::NotSupportedYet,
                "protobuf configuration files".to_owned(),
                Some("write it as YAML or JSON".to_owned()),
            ));
        }
    };
    let mut problems = Problems::new(&source.name);
    match load_document(&source.bytes, format, &mut problems) {
        Some((bootstrap, dump, places)) if !problems.is_fatal() => {
            Ok(Loaded { bootstrap, dump, warnings: problems.into_report(), places })
        }
        _ => Err(problems.into_report()),
    }
}

fn load_document(
    bytes: &[u8],
    format: Format,
    problems: &mut Problems,
) -> Option<(model::Bootstrap, Dump, Places)> {
    let root = document::read(bytes, format, problems)?;
    let descriptor = schema::message(schema::BOOTSTRAP)?;
    let (message, incomplete) = mapper::map(&root, &descriptor, problems);
    let places = Places::new(root);
    check::check(&message, &places, &incomplete, problems);
    // The typed subset knows every field that the support table lets through.
    let bytes = message.encode_to_vec();
    let Ok(typed) = Message::decode(bytes.as_slice()) else {
        let kind = ProblemKind::NotSupportedYet;
        problems.push(kind, Position::START, "", check::TOO_DEEP, None);
        return None;
    };
    let bootstrap = lower::bootstrap(&typed, &places, &incomplete, problems);
    Some((bootstrap, Dump::new(bytes), places))
}
