//! From a field path back to its line and column.
//!
//! Paths are spelled as Envoy spells them: `static_resources.clusters[0].name`, map entries as
//! `["key"]`. Looking up walks the file's tree, so that nothing is stored per field; it happens
//! only when there is something to report. Where a second file is merged into a first, a path
//! counts list items as the merged configuration does, and finds the file with the last word.
//!
//! **Invariant:** a path that leads nowhere finds its nearest ancestor, so every problem has a
//! place.

use std::rc::Rc;
use std::sync::Arc;

use crate::document::{Entry, Node, NodeValue};
use crate::problem::{Place, Position};

/// Finds the places of a configuration's fields.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// In the order in which they are merged.
    roots: Vec<(Arc<str>, Rc<Node>)>,
}

impl Places {
    /// Adds a file that is merged into those before it.
    pub(crate) fn add(&mut self, file: &Arc<str>, root: Rc<Node>) {
        self.roots.push((Arc::clone(file), root));
    }

    /// Where `field_path`, or the nearest field around it that exists, stands.
    #[must_use]
    pub fn find(&self, field_path: &str) -> Place {
        let mut found = self.start();
        for step in steps(field_path) {
            let next = advance(&found, &step);
            if next.is_empty() {
                break;
            }
            found = next;
        }
        match found.last() {
            Some(last) => {
                Place { file: Arc::clone(last.file), key: last.key, value: last.node.position }
            }
            None => Place { file: Arc::from(""), key: Position::START, value: Position::START },
        }
    }

    /// How many items the list at `field_path` has.
    pub(crate) fn count_items(&self, field_path: &str) -> usize {
        let mut found = self.start();
        for step in steps(field_path) {
            found = advance(&found, &step);
        }
        found.iter().map(|found| count(found.node)).sum()
    }

    fn start(&self) -> Vec<Found<'_>> {
        self.roots.iter().map(|(file, node)| Found { file, key: node.position, node }).collect()
    }
}

/// A node that a path leads to.
#[derive(Debug, Clone, Copy)]
struct Found<'a> {
    file: &'a Arc<str>,
    key: Position,
    node: &'a Rc<Node>,
}

/// One step further in each file; a list item is in one file only.
fn advance<'a>(found: &[Found<'a>], step: &Step<'_>) -> Vec<Found<'a>> {
    if let Step::Index(index) = step {
        let mut left = *index;
        let item = found.iter().find_map(|found| {
            let node = nth(found.node, &mut left)?;
            Some(Found { key: node.position, node, ..*found })
        });
        return item.into_iter().collect();
    }
    let mut next: Vec<Found<'a>> = found
        .iter()
        .filter_map(|found| {
            let (key, node) = child(found.node, step)?;
            Some(Found { key, node, ..*found })
        })
        .collect();
    // Null sets nothing, so it has no last word; an Any is overwritten as a whole.
    if next.iter().any(|found| !found.node.is_null()) {
        next.retain(|found| !found.node.is_null());
    }
    if let Some(any) = next.iter().rposition(|found| found.node.is_any()) {
        next.drain(..any);
    }
    next
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
    let NodeValue::Mapping(entries) = &node.value else {
        return None;
    };
    let fits = |entry: &&Entry| match step {
        Step::Field(name) => entry.key == *name || names_field(&entry.key, name),
        Step::Key(key) => entry.key == *key,
        Step::Index(_) => false,
    };
    entries.iter().find(fits).map(|entry| (entry.position, &entry.value))
}

/// The item of that index; lists inside lists count as one list, as the mapper reads them, and a
/// single value where a list belongs is a list of one. Otherwise `left` is what is still to skip.
fn nth<'a>(node: &'a Rc<Node>, left: &mut usize) -> Option<&'a Rc<Node>> {
    match &node.value {
        NodeValue::Sequence { items, is_nested: false } => {
            let item = items.get(*left);
            *left = left.saturating_sub(items.len());
            item
        }
        NodeValue::Sequence { items, is_nested: true } => {
            items.iter().find_map(|item| match &item.value {
                NodeValue::Sequence { .. } => nth(item, left),
                _ => one(item, left),
            })
        }
        _ if node.is_null() => None,
        _ => one(node, left),
    }
}

fn one<'a>(node: &'a Rc<Node>, left: &mut usize) -> Option<&'a Rc<Node>> {
    if *left == 0 {
        return Some(node);
    }
    *left -= 1;
    None
}

/// How many items `nth` can find.
fn count(node: &Rc<Node>) -> usize {
    match &node.value {
        NodeValue::Sequence { items, is_nested: false } => items.len(),
        NodeValue::Sequence { items, is_nested: true } => items
            .iter()
            .map(|item| match &item.value {
                NodeValue::Sequence { .. } => count(item),
                _ => 1,
            })
            .sum(),
        _ => usize::from(!node.is_null()),
    }
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

    fn places(files: &[&str]) -> Places {
        let mut places = Places::default();
        for (index, yaml) in files.iter().enumerate() {
            let file = Arc::from(format!("file{index}"));
            let mut problems = Problems::default();
            places.add(&file, read(yaml.as_bytes(), Format::Yaml, &mut problems).unwrap());
        }
        places
    }

    fn at(yaml: &str, path: &str) -> (u32, u32, u32, u32) {
        let Place { key, value, .. } = places(&[yaml]).find(path);
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
        assert_eq!(at("a: [[x, ~], z]\n", "a[2]"), (1, 13, 1, 13));
    }

    #[test]
    fn a_path_into_merged_files_finds_the_one_with_the_last_word() {
        let first = "a: {x: 1, y: 2}\nlist: [{n: 1}, {n: 2}]\nany: {'@type': A, f: 1}\n";
        let second = "a: {y: 3, x: ~}\nlist: {n: 3}\nany: {'@type': B}\n";
        let places = places(&[first, second]);
        let at = |path: &str| {
            let Place { file, value, .. } = places.find(path);
            (file.to_string(), value.line, value.column)
        };
        let place = |file: &str, line, column| (file.to_owned(), line, column);
        assert_eq!(at("a.x"), place("file0", 1, 8));
        assert_eq!(at("a.y"), place("file1", 1, 8));
        assert_eq!(at("list[1].n"), place("file0", 2, 20));
        assert_eq!(at("list[2].n"), place("file1", 2, 11));
        assert_eq!(at("any.f"), place("file1", 3, 6));
        assert_eq!(places.count_items("list"), 3);
        assert_eq!(places.count_items("list[7].none"), 0);
    }
}
