//! A text with operators in it: `%NAME(argument):length_max%`, and `%%` for a percent sign.

use super::error::FormatError;
use super::operator::{Command, Operator, Surroundings};

/// A part of a text.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Literal(String),
    Operator(Operator),
}

/// Appends what stands between operators: a few characters mostly, which are stored, not copied.
#[inline]
pub(super) fn write_literal(text: &str, out: &mut Vec<u8>) {
    match *text.as_bytes() {
        [a] => out.push(a),
        [a, b] => out.extend_from_slice(&[a, b]),
        [a, b, c] => out.extend_from_slice(&[a, b, c]),
        ref longer => out.extend_from_slice(longer),
    }
}

/// Splits a text into literals and commands and compiles these.
pub(super) fn parse(text: &str, surroundings: Surroundings<'_>) -> Result<Vec<Piece>, FormatError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut position = 0;
    while let Some(rest) = text.get(position..).filter(|rest| !rest.is_empty()) {
        let Some(percent) = rest.find('%') else {
            literal.push_str(rest);
            break;
        };
        literal.push_str(&rest[..percent]);
        position += percent;
        let rest = &rest[percent..];
        if rest.starts_with("%%") {
            literal.push('%');
            position += 2;
            continue;
        }
        let Some((command, end)) = command(rest, position) else {
            let text = format!(
                "Incorrect configuration: {text}. Couldn't find valid command at position \
                 {position}"
            );
            return Err(FormatError::invalid(position, text));
        };
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Operator(Operator::compile(command, surroundings)?));
        position += end;
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

/// The command at the start of `text`, which begins with `%`, and where it ends.
fn command(text: &str, position: usize) -> Option<(Command<'_>, usize)> {
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let after = &text[1..];
    let name_end = after.find(|c| !is_name(c)).filter(|end| *end > 0)?;
    let (name, rest) = after.split_at(name_end);
    let found = |argument, length_max, rest: &str| {
        (Command { name, argument, length_max, position }, text.len() - rest.len())
    };
    let Some(inside) = rest.strip_prefix('(') else {
        let (length_max, rest) = tail(rest)?;
        return Some(found("", length_max, rest));
    };
    // The argument ends at the first parenthesis that ends the command; it has no line break.
    for (at, _) in inside.match_indices(')') {
        if inside[..at].contains('\n') {
            return None;
        }
        if let Some((length_max, rest)) = tail(&inside[at + 1..]) {
            return Some(found(&inside[..at], length_max, rest));
        }
    }
    None
}

/// `:length%` or `%`, and what follows.
fn tail(text: &str) -> Option<(Option<usize>, &str)> {
    if let Some(rest) = text.strip_prefix('%') {
        return Some((None, rest));
    }
    let text = text.strip_prefix(':')?;
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, rest) = text.split_at(end);
    Some((Some(digits.parse().ok()?), rest.strip_prefix('%')?))
}
