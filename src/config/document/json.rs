//! JSON text into nodes, by the grammar of protobuf's own parser in its legacy mode.
//!
//! Beyond RFC 8259 that grammar has single quotes, bare words as keys, a comma before the end of a
//! list or mapping, and control characters in strings; Envoy takes these, so Nuncio does.

use std::rc::Rc;

use super::{Builder, Failure, Node, OpenKind, clipped};
use crate::problem::{Position, Problems};
use crate::scalar::{Scalar, type_json};

/// Reads one object, which must be all there is.
pub(super) fn read(
    text: &str,
    builder: Builder,
    problems: &mut Problems,
) -> Result<Rc<Node>, Failure> {
    let mut reader = Reader { rest: text, position: Position::START, builder, problems };
    if reader.peek_token() != Some('{') {
        return Err(reader
            .broken("expected '{'")
            .with_hint("only files named .yaml or .yml are read as YAML"));
    }
    let root = reader.value()?;
    match (reader.peek_token(), root) {
        (None, Some(root)) => Ok(root),
        _ => Err(reader.broken("something follows the object")),
    }
}

struct Reader<'a> {
    rest: &'a str,
    position: Position,
    builder: Builder,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    /// Reads a value of any type; gives it back when it is the root. Recursion ends at the depth
    /// that the builder allows.
    fn value(&mut self) -> Result<Option<Rc<Node>>, Failure> {
        let start = self.peek_token();
        let position = self.position;
        match start {
            Some('{') => {
                self.bump();
                self.builder.open(position, 0, OpenKind::mapping())?;
                while !self.ends('}')? {
                    self.key()?;
                    if self.peek_token() != Some(':') {
                        return Err(self.broken("expected ':' after a key"));
                    }
                    self.bump();
                    self.value()?;
                    self.comma('}')?;
                }
                self.builder.close(self.problems)
            }
            Some('[') => {
                self.bump();
                self.builder.open(position, 0, OpenKind::Sequence(Vec::new()))?;
                while !self.ends(']')? {
                    self.value()?;
                    self.comma(']')?;
                }
                self.builder.close(self.problems)
            }
            Some('"' | '\'') => {
                let text = self.string()?;
                self.builder.leaf(position, Scalar::String, text, self.problems)
            }
            Some(_) => {
                let is_part = |c: char| c.is_alphanumeric() || "+-._".contains(c);
                let text = self.take_while(is_part);
                match type_json(&text) {
                    Scalar::String if text.is_empty() => Err(self.unexpected()),
                    Scalar::String => {
                        let message = format!("broken JSON: unexpected {}", clipped(&text));
                        Err(Failure::new(position, message).with_hint("quote it"))
                    }
                    scalar => self.builder.leaf(position, scalar, text, self.problems),
                }
            }
            None => Err(self.unexpected()),
        }
    }

    fn key(&mut self) -> Result<(), Failure> {
        let position = self.position;
        let text = if matches!(self.peek_token(), Some('"' | '\'')) {
            self.string()?
        } else {
            let word = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
            if word.is_empty() {
                return Err(self.unexpected());
            }
            let is_reserved = matches!(word.as_str(), "null" | "true" | "false");
            if is_reserved || word.starts_with(|c: char| c.is_ascii_digit()) {
                let message = format!("broken JSON: {word} cannot be a key");
                return Err(Failure::new(position, message).with_hint("quote it"));
            }
            word
        };
        self.builder.leaf(position, Scalar::String, text, self.problems).map(drop)
    }

    /// Takes `end` if it comes next.
    fn ends(&mut self, end: char) -> Result<bool, Failure> {
        match self.peek_token() {
            Some(next) if next == end => {
                self.bump();
                Ok(true)
            }
            Some(_) => Ok(false),
            None => Err(self.unexpected()),
        }
    }

    /// Takes the comma after an item, unless the item is the last.
    fn comma(&mut self, end: char) -> Result<(), Failure> {
        match self.peek_token() {
            Some(',') => {
                self.bump();
                Ok(())
            }
            Some(next) if next == end => Ok(()),
            _ => Err(self.unexpected()),
        }
    }

    fn string(&mut self) -> Result<String, Failure> {
        let quote = self.bump();
        let mut text = String::new();
        loop {
            match self.bump() {
                Some('\\') => text.push(self.escape()?),
                Some(c) if Some(c) == quote => return Ok(text),
                Some(c) => text.push(c),
                None => return Err(self.broken("a string without its end")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Failure> {
        match self.bump() {
            Some(c @ ('"' | '\\' | '/' | '\'')) => Ok(c),
            Some('b') => Ok('\u{8}'),
            Some('f') => Ok('\u{c}'),
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some('u' | 'U') => self.unicode_escape(),
            Some(c) => Err(self.broken(format!("no escape: \\{}", c.escape_debug()))),
            None => Err(self.broken("a string without its end")),
        }
    }

    /// Characters beyond 16 bits are written as a pair of surrogates.
    fn unicode_escape(&mut self) -> Result<char, Failure> {
        let first = self.four_digits()?;
        let code = match first {
            0xd800..0xdc00 => {
                if self.bump() != Some('\\') || !matches!(self.bump(), Some('u' | 'U')) {
                    return Err(self.broken("half of a surrogate pair"));
                }
                let second = self.four_digits()?;
                #[cfg(planted = "config_surrogate")]
                assert!(second >= 0xdc00, "planted: the second half was taken for granted");
                if !(0xdc00..0xe000).contains(&second) {
                    return Err(self.broken("the second half of a surrogate pair is none"));
                }
                0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(|| self.broken("half of a surrogate pair"))
    }

    fn four_digits(&mut self) -> Result<u32, Failure> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.bump().and_then(|c| c.to_digit(16));
            let digit = digit.ok_or_else(|| self.broken("\\u takes four hexadecimal digits"))?;
            code = code * 16 + digit;
        }
        Ok(code)
    }

    fn peek_token(&mut self) -> Option<char> {
        while self.rest.starts_with([' ', '\t', '\r', '\n']) {
            self.bump();
        }
        self.rest.chars().next()
    }

    fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        let columns = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        self.position.column = self.position.column.saturating_add(columns);
        text.to_owned()
    }

    fn bump(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        if c == '\n' {
            self.position.line = self.position.line.saturating_add(1);
            self.position.column = 1;
        } else {
            self.position.column = self.position.column.saturating_add(1);
        }
        Some(c)
    }

    fn unexpected(&mut self) -> Failure {
        match self.peek_token() {
            Some(c) => self.broken(format!("unexpected {}", c.escape_debug())),
            None => self.broken("the file ends too early"),
        }
    }

    fn broken(&self, what: impl std::fmt::Display) -> Failure {
        Failure::new(self.position, format!("broken JSON: {what}"))
    }
}
