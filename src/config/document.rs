//! YAML or JSON bytes in, a tree of marked nodes out.
//!
//! The tree is the file as the user wrote it: every node and key knows its line and column, and
//! knows nothing about fields. Aliases share their anchor's node, so a bomb of aliases costs no
//! memory; its expanded size and depth are counted as it is read and refused at the alias that goes
//! over.
//!
//! **Invariant:** a [`Document`] that exists has at most [`NODES_MAX`] nodes when every alias is
//! written out, and is at most [`DEPTH_MAX`] deep, so that later passes may recurse over it.

mod json;

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use crate::problem::{Position, ProblemKind, Problems};
use crate::scalar::{Scalar, type_yaml};

/// Largest configuration file in bytes. A cluster with one endpoint takes about 400 bytes of YAML,
/// so this is some 160,000 clusters.
pub const FILE_BYTES_MAX: usize = 64 << 20;

/// Most nodes (scalars, lists and mappings) in one file, each alias counted as if written out. A
/// file of [`FILE_BYTES_MAX`] as people and programs write it has fewer.
pub const NODES_MAX: u32 = 12_000_000;

/// Most nodes that aliases may add: a few hundred bytes can ask for any number.
pub const ALIASED_NODES_MAX: u32 = 1_000_000;

/// Deepest nesting; protobuf's JSON parser, and so Envoy, stops at the same depth.
pub const DEPTH_MAX: u32 = 100;

/// Which grammar a file is read by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Yaml,
    Json,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) position: Position,
    pub(crate) value: NodeValue,
    /// Nodes from here down, aliases written out.
    nodes: u32,
    /// Levels from here down; 1 for a scalar.
    depth: u32,
}

#[derive(Debug)]
pub(crate) enum NodeValue {
    Scalar { scalar: Scalar, text: String },
    Sequence { items: Vec<Rc<Node>>, is_nested: bool },
    Mapping(Vec<Entry>),
}

/// One `key: value`; keys of a mapping are unique.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) position: Position,
    pub(crate) value: Rc<Node>,
}

impl Node {
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, NodeValue::Scalar { scalar: Scalar::Null, .. })
    }

    /// True for the form of an `Any`.
    pub(crate) fn is_any(&self) -> bool {
        matches!(&self.value, NodeValue::Mapping(entries)
            if entries.iter().any(|entry| entry.key == "@type"))
    }

    /// What a person would call this value.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            NodeValue::Sequence { .. } => "a list".to_owned(),
            NodeValue::Mapping(_) => "a mapping".to_owned(),
            NodeValue::Scalar { scalar, text } => match scalar {
                Scalar::Null => "null".to_owned(),
                Scalar::Bool(_) => format!("the boolean {}", clipped(text)),
                Scalar::Integer(_) | Scalar::Double(_) => format!("the number {}", clipped(text)),
                Scalar::String => format!("\"{}\"", clipped(text)),
            },
        }
    }
}

/// Values in messages are cut here: a file may hold a whole certificate where a name belongs.
const SHOWN_CHARS_MAX: usize = 120;

pub(crate) fn clipped(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    shown.escape_debug().to_string()
}

/// Reads the first document of `bytes`. None when `problems` got the reason why not.
pub(crate) fn read(bytes: &[u8], format: Format, problems: &mut Problems) -> Option<Rc<Node>> {
    match read_or_fail(bytes, format, problems) {
        Ok(root) => Some(root),
        Err(failure) => {
            let Failure { position, message, hint } = failure;
            problems.push(ProblemKind::Invalid, position, "", message, hint);
            None
        }
    }
}

struct Failure {
    position: Position,
    message: String,
    hint: Option<String>,
}

impl Failure {
    fn new(position: Position, message: impl Into<String>) -> Self {
        Self { position, message: message.into(), hint: None }
    }

    fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

fn read_or_fail(
    bytes: &[u8],
    format: Format,
    problems: &mut Problems,
) -> Result<Rc<Node>, Failure> {
    if bytes.len() > FILE_BYTES_MAX {
        let message = format!("file has {} bytes, the limit is {FILE_BYTES_MAX}", bytes.len());
        return Err(Failure::new(Position::START, message));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let position = position_after(&bytes[..error.valid_up_to()]);
        Failure::new(position, "not UTF-8").with_hint("save the file as UTF-8")
    })?;
    match format {
        Format::Yaml => read_yaml(text.strip_prefix('\u{feff}').unwrap_or(text), problems),
        Format::Json => json::read(text, Builder::new(Format::Json), problems),
    }
}

fn read_yaml(text: &str, problems: &mut Problems) -> Result<Rc<Node>, Failure> {
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder::new(Format::Yaml);
    let mut root = None;
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let message = format!("broken YAML: {}", error.info());
            Failure::new(position_of(error.marker()), message)
        })?;
        match event {
            // Later documents are not looked at, broken or not.
            Event::DocumentEnd => break,
            event => root = builder.handle(event, span, problems)?.or(root),
        }
    }
    root.ok_or_else(|| {
        Failure::new(Position::START, "the file is empty").with_hint("an empty bootstrap is `{}`")
    })
}

fn position_of(marker: &Marker) -> Position {
    Position {
        line: u32::try_from(marker.line()).unwrap_or(u32::MAX).max(1),
        column: u32::try_from(marker.col()).unwrap_or(u32::MAX).saturating_add(1),
    }
}

fn position_after(valid: &[u8]) -> Position {
    let text = String::from_utf8_lossy(valid);
    let line = text.matches('\n').count();
    let column = text.rsplit('\n').next().map_or(0, |last| last.chars().count());
    Position {
        line: u32::try_from(line).unwrap_or(u32::MAX).saturating_add(1),
        column: u32::try_from(column).unwrap_or(u32::MAX).saturating_add(1),
    }
}

/// A list or mapping whose end has not been seen.
struct Open {
    position: Position,
    anchor: usize,
    nodes: u32,
    depth: u32,
    kind: OpenKind,
}

enum OpenKind {
    Sequence(Vec<Rc<Node>>),
    Mapping { entries: Vec<Entry>, by_key: HashMap<String, usize>, key: PendingKey },
}

impl OpenKind {
    fn mapping() -> Self {
        Self::Mapping { entries: Vec::new(), by_key: HashMap::new(), key: PendingKey::None }
    }
}

enum PendingKey {
    /// The next node is a key.
    None,
    /// The next node is this key's value.
    Key { key: String, position: Position },
    /// The next node is the value of a key tagged `!ignore`, which Envoy drops.
    Dropped,
}

struct Builder {
    format: Format,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchor>,
    nodes: u32,
    /// How many of them aliases stand for.
    aliased: u32,
}

struct Anchor {
    node: Rc<Node>,
    /// The anchored scalar was tagged `!ignore`; matters when an alias stands as a key.
    is_ignore: bool,
}

impl Builder {
    fn new(format: Format) -> Self {
        Self { format, open: Vec::new(), anchors: HashMap::new(), nodes: 0, aliased: 0 }
    }

    /// Takes one event; the root node when it is complete.
    fn handle(
        &mut self,
        event: Event<'_>,
        span: Span,
        problems: &mut Problems,
    ) -> Result<Option<Rc<Node>>, Failure> {
        let position = position_of(&span.start);
        match event {
            Event::Nothing
            | Event::StreamStart
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::StreamEnd => Ok(None),
            Event::SequenceStart(anchor, _) => {
                self.open(position, anchor, OpenKind::Sequence(Vec::new()))?;
                Ok(None)
            }
            Event::MappingStart(anchor, _) => {
                self.open(position, anchor, OpenKind::mapping())?;
                Ok(None)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(problems),
            Event::Scalar(text, style, anchor, tag) => {
                let is_ignore = tag.as_ref().is_some_and(|tag| is_ignore_tag(tag));
                let node = Rc::new(Node {
                    position,
                    value: yaml_scalar(text.into_owned(), style, tag.as_deref()),
                    nodes: 1,
                    depth: 1,
                });
                self.count(position, 1)?;
                if anchor > 0 {
                    self.anchors.insert(anchor, Anchor { node: Rc::clone(&node), is_ignore });
                }
                self.place(node, is_ignore, position, problems)
            }
            Event::Alias(anchor) => {
                let Some(target) = self.anchors.get(&anchor) else {
                    return Err(Failure::new(position, "alias to a node that contains it"));
                };
                let (node, is_ignore) = (Rc::clone(&target.node), target.is_ignore);
                self.count_aliased(position, node.nodes)?;
                self.check_depth(position, node.depth)?;
                self.place(node, is_ignore, position, problems)
            }
        }
    }

    /// Takes a scalar that is no alias and has no anchor.
    fn leaf(
        &mut self,
        position: Position,
        scalar: Scalar,
        text: String,
        problems: &mut Problems,
    ) -> Result<Option<Rc<Node>>, Failure> {
        self.count(position, 1)?;
        let value = NodeValue::Scalar { scalar, text };
        let node = Rc::new(Node { position, value, nodes: 1, depth: 1 });
        self.place(node, false, position, problems)
    }

    fn open(&mut self, position: Position, anchor: usize, kind: OpenKind) -> Result<(), Failure> {
        self.count(position, 1)?;
        self.check_depth(position, 1)?;
        self.open.push(Open { position, anchor, nodes: 1, depth: 1, kind });
        Ok(())
    }

    fn close(&mut self, problems: &mut Problems) -> Result<Option<Rc<Node>>, Failure> {
        let Some(open) = self.open.pop() else {
            return Err(Failure::new(Position::START, "broken YAML: an end without a start"));
        };
        let value = match open.kind {
            OpenKind::Sequence(items) => {
                let is_list = |item: &Rc<Node>| matches!(item.value, NodeValue::Sequence { .. });
                let is_nested = items.iter().any(is_list);
                NodeValue::Sequence { items, is_nested }
            }
            OpenKind::Mapping { entries, .. } => NodeValue::Mapping(entries),
        };
        let node =
            Rc::new(Node { position: open.position, value, nodes: open.nodes, depth: open.depth });
        if open.anchor > 0 {
            let anchor = Anchor { node: Rc::clone(&node), is_ignore: false };
            self.anchors.insert(open.anchor, anchor);
        }
        self.place(node, false, open.position, problems)
    }

    /// Puts a finished node where it belongs; gives it back when it is the root.
    fn place(
        &mut self,
        node: Rc<Node>,
        is_ignore: bool,
        position: Position,
        problems: &mut Problems,
    ) -> Result<Option<Rc<Node>>, Failure> {
        let Some(parent) = self.open.last_mut() else {
            return Ok(Some(node));
        };
        parent.nodes = parent.nodes.saturating_add(node.nodes);
        parent.depth = parent.depth.max(node.depth + 1);
        let (entries, by_key, pending) = match &mut parent.kind {
            OpenKind::Sequence(items) => {
                items.push(node);
                return Ok(None);
            }
            OpenKind::Mapping { entries, by_key, key } => (entries, by_key, key),
        };
        *pending = match std::mem::replace(pending, PendingKey::None) {
            PendingKey::None if is_ignore => PendingKey::Dropped,
            PendingKey::None => {
                let key = key_text(&node).ok_or_else(|| {
                    Failure::new(position, format!("{} cannot be a key", node.describe()))
                })?;
                PendingKey::Key { key, position }
            }
            PendingKey::Dropped => PendingKey::None,
            PendingKey::Key { key, position } => {
                let entry = Entry { key: key.clone(), position, value: node };
                match by_key.get(&key) {
                    Some(_) if self.format == Format::Json => {
                        let kind = ProblemKind::NotSupportedYet;
                        let message = format!("duplicate key '{}'", clipped(&key));
                        let hint = "Envoy merges the values of a JSON key; write it once";
                        problems.push(kind, position, "", message, Some(hint.to_owned()));
                    }
                    Some(&index) => {
                        let earlier = std::mem::replace(&mut entries[index], entry);
                        let message = format!("duplicate key '{}'", clipped(&key));
                        let hint =
                            format!("the last one, at line {}, wins, as in Envoy", position.line);
                        let kind = ProblemKind::Ignored;
                        problems.push(kind, earlier.position, "", message, Some(hint));
                    }
                    None => {
                        by_key.insert(key, entries.len());
                        entries.push(entry);
                    }
                }
                PendingKey::None
            }
        };
        Ok(None)
    }

    fn count(&mut self, position: Position, nodes: u32) -> Result<(), Failure> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= NODES_MAX {
            return Ok(());
        }
        let message = format!("more than {NODES_MAX} values in one file");
        Err(Failure::new(position, message).with_hint("split it, or load parts of it from xDS"))
    }

    fn count_aliased(&mut self, position: Position, nodes: u32) -> Result<(), Failure> {
        self.aliased = self.aliased.saturating_add(nodes);
        if self.aliased > ALIASED_NODES_MAX {
            let message = format!("aliases stand for more than {ALIASED_NODES_MAX} values");
            return Err(Failure::new(position, message).with_hint("use fewer or smaller aliases"));
        }
        self.count(position, nodes)
    }

    fn check_depth(&self, position: Position, levels: u32) -> Result<(), Failure> {
        let depth = u32::try_from(self.open.len()).unwrap_or(u32::MAX);
        if depth.saturating_add(levels) <= DEPTH_MAX {
            return Ok(());
        }
        Err(Failure::new(position, format!("nested more than {DEPTH_MAX} levels deep")))
    }
}

/// Only scalars can be keys; a null key is the word "null" (so yaml-cpp, and so Envoy).
fn key_text(node: &Node) -> Option<String> {
    match &node.value {
        NodeValue::Scalar { scalar: Scalar::Null, .. } => Some("null".to_owned()),
        NodeValue::Scalar { text, .. } => Some(text.clone()),
        NodeValue::Sequence { .. } | NodeValue::Mapping(_) => None,
    }
}

fn yaml_scalar(text: String, style: ScalarStyle, tag: Option<&Tag>) -> NodeValue {
    let is_string = match tag {
        Some(tag) => tag.handle.is_empty() && tag.suffix == "!" || is_bare_tag(tag),
        None => style != ScalarStyle::Plain,
    };
    if is_string {
        return NodeValue::Scalar { scalar: Scalar::String, text };
    }
    let (scalar, rewritten) = type_yaml(&text, tag.is_none());
    NodeValue::Scalar { scalar, text: rewritten.unwrap_or(text) }
}

fn is_ignore_tag(tag: &Tag) -> bool {
    tag.handle == "!" && tag.suffix == "ignore"
}

/// The tag `!` alone: "this is a string, whatever it looks like".
fn is_bare_tag(tag: &Tag) -> bool {
    tag.handle == "!" && tag.suffix.is_empty()
}
