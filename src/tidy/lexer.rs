//! Rust text as tokens, so that no rule mistakes a comment or a string for code.
//!
//! It knows just enough of the language: comments, strings, characters against lifetimes, words,
//! punctuation; and which tokens belong to an item under `#[cfg(test)]` or `#[test]`. It accepts
//! anything; the compiler is the one to refuse.

/// A Rust file, taken apart.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the root of the repository.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text with comments and the insides of strings as spaces; offsets are those of `text`.
    pub(crate) code: String,
    pub(crate) tokens: Vec<Token>,
}

/// A word, a number, a string or one character of punctuation (`::` is one token).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// For a string: what is between its quotes.
    pub(crate) text: String,
    pub(crate) kind: Kind,
    pub(crate) offset: usize,
    /// Whether it is part of an item that exists in tests only.
    pub(crate) is_test: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Word,
    String,
    Punctuation,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let mut lexer = Lexer {
            bytes: text.as_bytes(),
            text,
            position: 0,
            code: text.as_bytes().to_vec(),
            tokens: Vec::new(),
        };
        lexer.run();
        let Lexer { code, mut tokens, .. } = lexer;
        mark_tests(&mut tokens);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            // Whole characters were replaced by spaces, so what is left is still UTF-8.
            code: String::from_utf8_lossy(&code).into_owned(),
            tokens,
        }
    }

    /// The line of an offset, counted from 1.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.text.as_bytes()[..offset].iter().filter(|&&byte| byte == b'\n').count() + 1
    }

    /// How many lines are not inside test items.
    pub(crate) fn lines_outside_tests(&self) -> usize {
        let mut lines = self.text.lines().count();
        let mut test_lines = None;
        for token in &self.tokens {
            let line = self.line_of(token.offset);
            if token.is_test {
                let (first, _) = test_lines.unwrap_or((line, line));
                test_lines = Some((first, line));
            } else if let Some((first, last)) = test_lines.take() {
                lines -= last + 1 - first;
            }
        }
        if let Some((first, last)) = test_lines {
            lines -= last + 1 - first;
        }
        lines
    }
}

impl Token {
    pub(crate) fn is(&self, text: &str) -> bool {
        self.kind != Kind::String && self.text == text
    }
}

struct Lexer<'a> {
    bytes: &'a [u8],
    text: &'a str,
    position: usize,
    code: Vec<u8>,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn run(&mut self) {
        while let Some(byte) = self.peek(0) {
            match byte {
                b'/' if self.peek(1) == Some(b'/') => {
                    let rest = &self.bytes[self.position..];
                    let length = rest.iter().position(|&byte| byte == b'\n');
                    self.blank(length.unwrap_or(rest.len()));
                }
                b'/' if self.peek(1) == Some(b'*') => self.block_comment(),
                b'"' => self.string(),
                b'\'' => self.quote(),
                b':' if self.peek(1) == Some(b':') => self.push(Kind::Punctuation, 2),
                _ if is_word(byte) => self.word(),
                _ if byte.is_ascii_whitespace() => self.position += 1,
                _ => self.push(Kind::Punctuation, 1),
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.position + ahead).copied()
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let text = self.text[self.position..self.position + length].to_owned();
        self.tokens.push(Token { text, kind, offset: self.position, is_test: false });
        self.position += length;
    }

    fn blank(&mut self, length: usize) {
        let end = (self.position + length).min(self.bytes.len());
        for byte in &mut self.code[self.position..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        self.position = end;
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        let mut length = 0;
        loop {
            match (self.peek(length), self.peek(length + 1)) {
                (Some(b'/'), Some(b'*')) => (depth, length) = (depth + 1, length + 2),
                (Some(b'*'), Some(b'/')) => (depth, length) = (depth - 1, length + 2),
                (Some(_), _) => length += 1,
                (None, _) => break,
            }
            if depth == 0 {
                break;
            }
        }
        self.blank(length);
    }

    fn string(&mut self) {
        let mut length = 1;
        while let Some(byte) = self.peek(length) {
            match byte {
                b'\\' => length += 2,
                b'"' => break,
                _ => length += 1,
            }
        }
        self.quoted(1, length);
    }

    /// A raw string whose opening `"` is `opening` bytes ahead, after `hashes` of `#`.
    fn raw_string(&mut self, opening: usize, hashes: usize) {
        let closing = format!("\"{}", "#".repeat(hashes));
        let inside = &self.text[self.position + opening + 1..];
        let length = inside.find(&closing).unwrap_or(inside.len());
        self.quoted(opening + 1, opening + 1 + length);
        self.position = (self.position + hashes).min(self.bytes.len());
    }

    /// A string whose inside is `start..end` from here; the position moves behind the quote.
    fn quoted(&mut self, start: usize, end: usize) {
        let from = self.position + start;
        let to = (self.position + end).min(self.bytes.len());
        self.tokens.push(Token {
            text: self.text[from..to].to_owned(),
            kind: Kind::String,
            offset: self.position,
            is_test: false,
        });
        self.position = from;
        self.blank(to - from);
        self.position = (to + 1).min(self.bytes.len());
    }

    /// A character such as `'a'` or `'\n'`, or the start of a lifetime.
    fn quote(&mut self) {
        if self.peek(1) == Some(b'\\') {
            let mut length = 3;
            while self.peek(length).is_some_and(|byte| byte != b'\'') {
                length += 1;
            }
            self.blank(length + 1);
            return;
        }
        let character = self.text[self.position + 1..].chars().next();
        let length = character.map_or(0, char::len_utf8);
        if self.peek(1 + length) == Some(b'\'') {
            self.blank(length + 2);
        } else {
            self.position += 1;
        }
    }

    fn word(&mut self) {
        let rest = &self.bytes[self.position..];
        let length = rest.iter().position(|&byte| !is_word(byte)).unwrap_or(rest.len());
        let hashes = rest[length..].iter().take_while(|&&byte| byte == b'#').count();
        let opens_string = rest.get(length + hashes) == Some(&b'"');
        match &rest[..length] {
            b"r" | b"br" | b"cr" if opens_string => self.raw_string(length + hashes, hashes),
            _ => self.push(Kind::Word, length),
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// Marks the tokens of each item that has an attribute `#[test]` or `#[cfg(.. test ..)]`.
fn mark_tests(tokens: &mut [Token]) {
    let mut index = 0;
    while index < tokens.len() {
        if !tokens[index].is("#") || !tokens.get(index + 1).is_some_and(|next| next.is("[")) {
            index += 1;
            continue;
        }
        let after_attribute = end_of_group(tokens, index + 1);
        if !is_test_attribute(&tokens[index + 2..after_attribute]) {
            index = after_attribute;
            continue;
        }
        let end = end_of_item(tokens, after_attribute);
        for token in &mut tokens[index..end] {
            token.is_test = true;
        }
        index = end;
    }
}

fn is_test_attribute(attribute: &[Token]) -> bool {
    let Some(name) = attribute.first() else {
        return false;
    };
    let says_test = attribute
        .iter()
        .enumerate()
        .any(|(index, token)| token.is("test") && !(index >= 2 && attribute[index - 2].is("not")));
    (name.is("test") || name.is("cfg")) && says_test
}

/// The index behind the bracket that closes the one at `open`.
pub(crate) fn end_of_group(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            _ if token.kind == Kind::String => {}
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth -= 1;
                if depth == 0 {
                    return index + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// The index behind an item: behind its `;` or its first block, whichever comes first.
fn end_of_item(tokens: &[Token], start: usize) -> usize {
    let mut index = start;
    while let Some(token) = tokens.get(index) {
        match token.text.as_str() {
            _ if token.kind == Kind::String => index += 1,
            ";" => return index + 1,
            "{" => return end_of_group(tokens, index),
            "(" | "[" => index = end_of_group(tokens, index),
            // The block around the item ends: it was a field or a match arm.
            "}" => return index,
            _ => index += 1,
        }
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let source = Source::new("a.rs", text);
        let words = source.tokens.into_iter();
        words.filter(|token| token.kind == Kind::Word).map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        let text =
            "a /* b /* c */ d */ e // f\n\"g \\\" h\" i br#\"j \" k\"# l 'm' '\\'' n r\"o\" p";
        assert_eq!(words(text), ["a", "e", "i", "l", "n", "p"]);
        let source = Source::new("a.rs", text);
        assert_eq!(source.code.len(), text.len());
        assert!(!source.code.contains('g') && !source.code.contains('c'));
    }

    #[test]
    fn a_lifetime_does_not_open_a_character() {
        assert_eq!(words("fn a<'b>(c: &'b str) { 'd' }"), ["fn", "a", "b", "c", "b", "str"]);
    }

    #[test]
    fn a_raw_identifier_is_a_word_and_not_a_string() {
        assert_eq!(words("r#type r"), ["r", "type", "r"]);
    }

    #[test]
    fn text_that_ends_in_the_middle_is_accepted() {
        for text in ["\"a", "/* a", "r#\"a", "'", "'\\", "#[", "#[cfg(test)]", "'é", "\"\\"] {
            Source::new("a.rs", text);
        }
    }

    #[test]
    fn test_items_are_marked_to_their_end_and_no_further() {
        let source = Source::new(
            "a.rs",
            "fn a() {}\n#[cfg(test)]\n#[path = \"x\"]\nmod b;\nfn c() {}\n\
             #[cfg(test)]\nmod d {\n  fn e() {}\n}\n#[cfg(not(test))]\nfn f() {}",
        );
        let outside: Vec<_> = source
            .tokens
            .iter()
            .filter(|token| !token.is_test && token.kind == Kind::Word && token.text.len() == 1)
            .map(|token| token.text.as_str())
            .collect();
        assert_eq!(outside, ["a", "c", "f"]);
        assert_eq!(source.lines_outside_tests(), 4);
    }
}
