//! A JSON document whose long lists are made while it is sent.

use std::collections::VecDeque;
use std::fmt;
use std::iter::Peekable;

use config::MaskTree;
use serde_json::Value;

use super::json::pretty;

/// A document, or a part of one.
#[derive(Debug)]
pub(crate) enum Tree {
    Value(Value),
    Object(Vec<(String, Self)>),
    Array(Vec<Self>),
    /// A list that may be long; left out with its name where it is empty, as protobuf does.
    List(Items),
}

/// The elements of a list, each made when it is asked for.
pub(crate) struct Items(Peekable<Box<dyn Iterator<Item = Value>>>);

impl Items {
    pub(crate) fn new(items: impl Iterator<Item = Value> + 'static) -> Self {
        let items: Box<dyn Iterator<Item = Value>> = Box::new(items);
        Self(items.peekable())
    }

    pub(crate) fn is_empty(&mut self) -> bool {
        self.0.peek().is_none()
    }
}

impl Default for Items {
    fn default() -> Self {
        Self::new(std::iter::empty())
    }
}

impl Iterator for Items {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        self.0.next()
    }
}

impl fmt::Debug for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Items").finish_non_exhaustive()
    }
}

impl Tree {
    /// Leaves out what the mask does not name.
    pub(crate) fn trim(&mut self, mask: &MaskTree) {
        match self {
            Self::Value(value) => mask.trim(value),
            Self::Object(fields) => fields.retain_mut(|(name, tree)| match mask.below(name) {
                Some(below) => {
                    tree.trim(&below);
                    true
                }
                None => false,
            }),
            Self::Array(_) | Self::List(_) => {}
        }
    }

    /// The text in parts, with a line break at its end.
    pub(crate) fn into_parts(self) -> impl Iterator<Item = String> {
        let mut pieces = Vec::new();
        self.write(0, &mut pieces);
        pieces.push(Piece::Text("\n".to_owned()));
        let mut pieces = VecDeque::from(pieces);
        std::iter::from_fn(move || {
            loop {
                match pieces.front_mut()? {
                    Piece::List { indent, begun, items } => {
                        let Some(item) = items.next() else {
                            let end = format!("\n{:indent$}]", "", indent = *indent - 1);
                            pieces.pop_front();
                            return Some(end);
                        };
                        let mut part = if *begun { ",\n" } else { "[\n" }.to_owned();
                        *begun = true;
                        indented(&item, *indent, true, &mut part);
                        return Some(part);
                    }
                    Piece::Text(text) => {
                        let text = std::mem::take(text);
                        pieces.pop_front();
                        if !text.is_empty() {
                            return Some(text);
                        }
                    }
                }
            }
        })
    }

    /// `indent` is how far the lines of the enclosing document are indented.
    fn write(self, indent: usize, pieces: &mut Vec<Piece>) {
        match self {
            Self::Value(value) => {
                let mut text = String::new();
                indented(&value, indent, false, &mut text);
                pieces.push(Piece::Text(text));
            }
            Self::Object(mut fields) => {
                fields.retain_mut(|(_, tree)| match tree {
                    Self::List(items) => !items.is_empty(),
                    _ => true,
                });
                let names = fields.iter().map(|(name, _)| Some(Value::from(name.as_str())));
                let names: Vec<_> = names.collect();
                let trees = fields.into_iter().map(|(_, tree)| tree);
                enclosed(["{", "}"], indent, names.into_iter().zip(trees).collect(), pieces);
            }
            Self::Array(trees) => {
                let unnamed = trees.into_iter().map(|tree| (None, tree)).collect();
                enclosed(["[", "]"], indent, unnamed, pieces);
            }
            Self::List(items) => {
                pieces.push(Piece::List { indent: indent + 1, begun: false, items });
            }
        }
    }
}

/// What a document is written from.
enum Piece {
    Text(String),
    List { indent: usize, begun: bool, items: Items },
}

fn enclosed(
    [open, close]: [&str; 2],
    indent: usize,
    members: Vec<(Option<Value>, Tree)>,
    pieces: &mut Vec<Piece>,
) {
    if members.is_empty() {
        pieces.push(Piece::Text(format!("{open}{close}")));
        return;
    }
    let deeper = indent + 1;
    for (number, (name, tree)) in members.into_iter().enumerate() {
        let before = if number == 0 { open } else { "," };
        let name = name.map(|name| format!("{name}: ")).unwrap_or_default();
        pieces.push(Piece::Text(format!("{before}\n{:deeper$}{name}", "")));
        tree.write(deeper, pieces);
    }
    pieces.push(Piece::Text(format!("\n{:indent$}{close}", "")));
}

/// Writes `value` with its lines indented; the first one only if `first` says so.
fn indented(value: &Value, indent: usize, first: bool, text: &mut String) {
    for (number, line) in pretty(value).lines().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        if number > 0 || first {
            text.extend(std::iter::repeat_n(' ', indent));
        }
        text.push_str(line);
    }
}

#[cfg(test)]
mod tests {
    use config::FieldMask;
    use serde_json::json;

    use super::super::json::document;
    use super::*;

    fn tree(elements: u64) -> Tree {
        let items = Items::new((0..elements).map(|n| json!({"n": n, "of": ["a"]})));
        Tree::Object(vec![
            ("@type".to_owned(), Tree::Value(json!("t"))),
            ("meta".to_owned(), Tree::Value(json!({"a": {"b": 1}, "c": {}}))),
            ("deep".to_owned(), Tree::Object(vec![("list".to_owned(), Tree::List(items))])),
            ("all".to_owned(), Tree::Array(vec![Tree::Value(json!("x")), Tree::Object(vec![])])),
        ])
    }

    fn text(tree: Tree) -> String {
        tree.into_parts().collect()
    }

    #[test]
    fn a_tree_in_parts_reads_as_if_it_were_written_at_once() {
        for elements in 0..3_u64 {
            let list: Vec<Value> = (0..elements).map(|n| json!({"n": n, "of": ["a"]})).collect();
            let deep = if list.is_empty() { json!({}) } else { json!({ "list": list }) };
            let meta = json!({"a": {"b": 1}, "c": {}});
            let whole = json!({"@type": "t", "meta": meta, "deep": deep, "all": ["x", {}]});
            assert_eq!(text(tree(elements)), document(&whole), "{elements}");
        }
    }

    #[test]
    fn a_mask_trims_objects_and_values_and_keeps_lists_whole() {
        let trimmed = |mask: &str| {
            let mut tree = tree(1);
            tree.trim(&FieldMask::parse(mask).tree());
            serde_json::from_str::<Value>(&text(tree)).unwrap()
        };
        assert_eq!(trimmed("meta.a"), json!({"@type": "t", "meta": {"a": {"b": 1}}}));
        let list = json!([{"n": 0, "of": ["a"]}]);
        assert_eq!(trimmed("deep.list"), json!({"@type": "t", "deep": {"list": list}}));
        assert_eq!(trimmed("deep.none"), json!({"@type": "t", "deep": {}}));
        assert_eq!(trimmed(""), serde_json::from_str::<Value>(&text(tree(1))).unwrap());
    }
}
