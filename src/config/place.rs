//! From a field path back to its line and column.
//!
//! Paths are spelled as Envoy spells them: `static_resources.clusters[0].name`, map entries as
//! `["key"]`. Looking up walks the file's tree, so that nothing is stored per field; it happens
//! only when there is something to report.
//!
//! **Invariant:** a path that leads nowhere finds its nearest ancestor, so every problem has a
//! place.

use std::rc::Rc;

use crate::document::{Entry, Node, NodeValue};
use crate::problem::Position;

/// Where a field stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The field's name; for a list item the item itself.
    pub key: Position,
    /// The field's value.
    pub value: Position,
}

/// Finds the places of one file's fields.
#[derive(Debug, Clone)]
pub struct Places {
    root: Rc<Node>,
}

impl Places {
    pub(crate) fn new(root: Rc<Node>) -> Self {
        Self { root }
    }

    /// Where `field_path`, or the nearest field around it that exists, stands.
    #[must_use]
    pub fn find(&self, field_path: &str) -> Place {
        let mut node = &self.root;
        let mut place = Place { key: node.position, value: node.position };
        for step in steps(field_path) {
            match child(node, &step) {
                Some((key, next)) => {
                    place = Place { key, value: next.position };
                    node = next;
                }
                None => break,
            }
        }
        place
    }
}

/// One step of a field path.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    Field(&'a str),
    Index(usize),
    Key(String),
}

fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    let mut rest = path;
    std::iter::from_fn(move || {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if let Some(quoted) = rest.strip_prefix("[\"") {
            let end = quoted.find("\"]")?;
            rest = &quoted[end + 2..];
            return Some(Step::Key(quoted[..end].to_owned()));
        }
        if let Some(index) = rest.strip_prefix('[') {
            let end = index.find(']')?;
            rest = &index[end + 1..];
            return index[..end].parse().ok().map(Step::Index);
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        rest = after;
        (!name.is_empty()).then_some(Step::Field(name))
    })
}

fn child<'a>(node: &'a Rc<Node>, step: &Step<'_>) -> Option<(Position, &'a Rc<Node>)> {
    let found = |entry: &'a Entry| (entry.position, &entry.value);
    match (step, &node.value) {
        (Step::Field(name), NodeValue::Mapping(entries)) => entries
            .iter()
            .find(|entry| entry.key == *name || names_field(&entry.key, name))
            .map(found),
        (Step::Key(key), NodeValue::Mapping(entries)) => {
            entries.iter().find(|entry| entry.key == *key).map(found)
        }
        (Step::Index(index), NodeValue::Sequence(_)) => {
            let mut left = *index;
            let item = nth_item(node, &mut left)?;
            Some((item.position, item))
        }
        // A single value where a list belongs is a list of one.
        (Step::Index(0), _) => Some((node.position, node)),
        _ => None,
    }
}

/// Lists inside lists count as one list, as the mapper reads them.
fn nth_item<'a>(node: &'a Rc<Node>, left: &mut usize) -> Option<&'a Rc<Node>> {
    let NodeValue::Sequence(items) = &node.value else {
        if *left == 0 {
            return Some(node);
        }
        *left -= 1;
        return None;
    };
    items.iter().find_map(|item| nth_item(item, left))
}

/// True when `key` is the camelCase spelling of the field `name`.
fn names_field(key: &str, name: &str) -> bool {
    let mut expected = name.chars();
    let mut key = key.chars();
    loop {
        match (expected.next(), key.next()) {
            (None, None) => return true,
            (Some('_'), Some(upper)) => {
                if expected.next().map(|c| c.to_ascii_uppercase()) != Some(upper) {
                    return false;
                }
            }
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Format, read};
    use crate::problem::Problems;

    fn at(yaml: &str, path: &str) -> (u32, u32, u32, u32) {
        let mut problems = Problems::new("test");
        let root = read(yaml.as_bytes(), Format::Yaml, &mut problems).unwrap();
        let Place { key, value } = Places::new(root).find(path);
        (key.line, key.column, value.line, value.column)
    }

    #[test]
    fn a_path_finds_its_key_and_its_value() {
        let yaml = "a:\n  bC: 1\n  list:\n  - x: 1\n  - x: 2\n  map: {k.1: v}\n";
        assert_eq!(at(yaml, "a.b_c"), (2, 3, 2, 7));
        assert_eq!(at(yaml, "a.list[1].x"), (5, 5, 5, 8));
        assert_eq!(at(yaml, "a.map[\"k.1\"]"), (6, 9, 6, 14));
    }

    #[test]
    fn a_path_into_nothing_finds_its_nearest_ancestor() {
        assert_eq!(at("a:\n  b: 1\n", "a.x[3].y"), (1, 1, 2, 3));
        assert_eq!(at("a:\n  b: 1\n", ""), (1, 1, 1, 1));
    }

    #[test]
    fn single_values_and_nested_lists_count_as_the_mapper_counts_them() {
        assert_eq!(at("a: {b: 1}\n", "a[0].b"), (1, 5, 1, 8));
        assert_eq!(at("a: [[x, y], [z]]\n", "a[2]"), (1, 14, 1, 14));
    }
}
