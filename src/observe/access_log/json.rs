//! A JSON line: a document whose texts may hold operators.
//!
//! A text that is one operator and nothing else keeps the type of its value: a number stays a
//! number, a missing value is `null`. Any other text is a string.

use super::error::FormatError;
use super::operator::{Operator, Surroundings};
use super::record::Record;
use super::text::{Piece, parse};
use super::value::{write_double, write_escaped};

/// `json_format` as it stands in the configuration.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonTemplate {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(f64),
    /// Text, which may have operators in it.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// An object; its members are printed sorted by name.
    Object(Vec<(String, Self)>),
}

/// A compiled part of the document.
#[derive(Debug, Clone)]
pub(super) enum JsonNode {
    /// `null`, which `omit_empty_values` leaves out.
    Null,
    /// JSON that is always the same.
    Raw(Vec<u8>),
    /// One operator: typed.
    Typed(Operator),
    /// Text around operators: a string.
    Text(Vec<Piece>),
    List(Vec<Self>),
    Object(Vec<Member>),
}

/// A member of an object.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// The name as JSON, with quotes and colon.
    name: Vec<u8>,
    value: JsonNode,
}

impl JsonNode {
    pub(super) fn object(
        members: &[(String, JsonTemplate)],
        surroundings: Surroundings<'_>,
    ) -> Result<Self, FormatError> {
        let mut sorted: Vec<&(String, JsonTemplate)> = members.iter().collect();
        sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
        let member = |(name, value): &(String, JsonTemplate)| {
            let mut name = string(name);
            name.push(b':');
            Ok(Member { name, value: Self::compile(value, surroundings)? })
        };
        sorted.into_iter().map(member).collect::<Result<_, _>>().map(Self::Object)
    }

    fn compile(
        template: &JsonTemplate,
        surroundings: Surroundings<'_>,
    ) -> Result<Self, FormatError> {
        Ok(match template {
            JsonTemplate::Null => Self::Null,
            JsonTemplate::Bool(value) => Self::Raw(value.to_string().into_bytes()),
            JsonTemplate::Number(number) if number.is_nan() => Self::Null,
            JsonTemplate::Number(number) => {
                let mut raw = Vec::new();
                write_double(*number, &mut raw);
                Self::Raw(raw)
            }
            JsonTemplate::Text(text) => match parse(text, surroundings)?.as_mut_slice() {
                [] => Self::Raw(string("")),
                [Piece::Literal(literal)] => Self::Raw(string(literal)),
                [Piece::Operator(operator)] => Self::Typed(operator.clone()),
                pieces => Self::Text(pieces.to_vec()),
            },
            JsonTemplate::List(items) => {
                let items = items.iter().map(|item| Self::compile(item, surroundings));
                Self::List(items.collect::<Result<_, _>>()?)
            }
            JsonTemplate::Object(members) => Self::object(members, surroundings)?,
        })
    }

    /// Appends the whole document, which is an object even if all its members are left out.
    pub(super) fn write_document(&self, record: &Record<'_>, omits_empty: bool, out: &mut Vec<u8>) {
        if !self.write(record, omits_empty, out) {
            out.extend_from_slice(b"{}");
        }
    }

    /// Appends the part; false, and nothing appended, if it is empty and to be left out.
    fn write(&self, record: &Record<'_>, omits_empty: bool, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        match self {
            Self::Null if omits_empty => return false,
            Self::Null => out.extend_from_slice(b"null"),
            Self::Raw(raw) => out.extend_from_slice(raw),
            Self::Typed(operator) => {
                let value = operator.value(record);
                if omits_empty && value.is_missing() {
                    return false;
                }
                value.write_json(out);
            }
            Self::Text(pieces) => {
                out.push(b'"');
                pieces.iter().for_each(|piece| write_inner(piece, record, omits_empty, out));
                out.push(b'"');
            }
            Self::List(items) => {
                out.push(b'[');
                for item in items {
                    let before = out.len();
                    if before > start + 1 {
                        out.push(b',');
                    }
                    if !item.write(record, omits_empty, out) {
                        out.truncate(before);
                    }
                }
                out.push(b']');
            }
            Self::Object(members) => {
                out.push(b'{');
                for Member { name, value } in members {
                    let before = out.len();
                    if before > start + 1 {
                        out.push(b',');
                    }
                    out.extend_from_slice(name);
                    if !value.write(record, omits_empty, out) {
                        out.truncate(before);
                    }
                }
                if omits_empty && out.len() == start + 1 {
                    out.truncate(start);
                    return false;
                }
                out.push(b'}');
            }
        }
        true
    }
}

/// Appends a piece of a string.
fn write_inner(piece: &Piece, record: &Record<'_>, omits_empty: bool, out: &mut Vec<u8>) {
    match piece {
        Piece::Literal(text) => write_escaped(text.as_bytes(), out),
        Piece::Operator(operator) => {
            let value = operator.value(record);
            if value.is_missing() && !omits_empty {
                out.push(b'-');
            }
            value.write_json_inner(out);
        }
    }
}

fn string(text: &str) -> Vec<u8> {
    let mut raw = vec![b'"'];
    write_escaped(text.as_bytes(), &mut raw);
    raw.push(b'"');
    raw
}
