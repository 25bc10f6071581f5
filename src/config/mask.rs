//! `google.protobuf.FieldMask` on messages that are JSON already: which fields of a dump to show.
//!
//! <https://protobuf.dev/reference/protobuf/google.protobuf/#field-mask>

use std::collections::BTreeMap;

use prost_reflect::{Kind, MessageDescriptor};
use serde_json::Value as Json;

use crate::schema;

/// Paths of fields, as in `bootstrap.node.id,last_updated`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldMask {
    paths: Vec<String>,
}

impl FieldMask {
    /// Reads paths that commas part.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self::new(text.split(',').filter(|path| !path.is_empty()).map(str::to_owned))
    }

    /// A mask of these paths.
    pub fn new(paths: impl IntoIterator<Item = String>) -> Self {
        Self { paths: paths.into_iter().collect() }
    }

    /// The paths in the order in which they were given.
    #[must_use]
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Whether each path leads through fields of the message type of that full name. A path may
    /// end at a list but not go on below it.
    #[must_use]
    pub fn is_valid_for(&self, message: &str) -> bool {
        schema::message(message)
            .is_some_and(|message| self.paths.iter().all(|path| leads(&message, path)))
    }

    /// The mask as a tree; without any path it keeps everything.
    #[must_use]
    pub fn tree(&self) -> MaskTree {
        let mut tree = MaskTree::default();
        for path in &self.paths {
            tree.add(path);
        }
        tree
    }
}

fn leads(message: &MessageDescriptor, path: &str) -> bool {
    let mut message = Some(message.clone());
    path.split('.').all(|name| {
        let Some(field) = message.as_ref().and_then(|message| message.get_field_by_name(name))
        else {
            return false;
        };
        message = match field.kind() {
            Kind::Message(inner) if !field.is_list() && !field.is_map() => Some(inner),
            _ => None,
        };
        true
    })
}

/// Whether the message type of that full name has a field of that name, and then whether it is a
/// list.
#[must_use]
pub fn is_repeated(message: &str, field: &str) -> Option<bool> {
    let field = schema::message(message)?.get_field_by_name(field)?;
    Some(field.is_list() || field.is_map())
}

/// Which fields to keep, and which of their fields. One without branches keeps everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MaskTree(BTreeMap<String, Self>);

impl MaskTree {
    /// A path that is longer than one that is there adds nothing; a shorter one takes its place.
    fn add(&mut self, path: &str) {
        let (name, rest) =
            path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let is_new = !self.0.contains_key(name);
        let branch = self.0.entry(name.to_owned()).or_default();
        match rest {
            None => branch.0.clear(),
            Some(rest) if is_new || !branch.0.is_empty() => branch.add(rest),
            Some(_) => {}
        }
    }

    /// What to keep of the field `name`; `None` to leave it out. "@type" is no field and stays.
    #[must_use]
    pub fn below(&self, name: &str) -> Option<Self> {
        if self.0.is_empty() || name == "@type" {
            return Some(Self::default());
        }
        self.0.get(name).cloned()
    }

    /// Leaves out of `json` what is not to be kept. Lists are kept or left out as a whole.
    pub fn trim(&self, json: &mut Json) {
        let Json::Object(fields) = json else { return };
        if self.0.is_empty() {
            return;
        }
        fields.retain(|name, _| name == "@type" || self.0.contains_key(name));
        for (name, value) in fields {
            if let Some(below) = self.0.get(name) {
                below.trim(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_through_messages_and_end_at_lists() {
        let valid = |text| FieldMask::parse(text).is_valid_for(schema::BOOTSTRAP);
        for text in ["", "node", "node.id,admin", "static_resources.clusters", "node,,admin"] {
            assert!(valid(text), "{text}");
        }
        for text in ["foo", "node.foo", "static_resources.clusters.name", "node.id.x", "node."] {
            assert!(!valid(text), "{text}");
        }
        assert!(!FieldMask::new([String::new()]).is_valid_for(schema::BOOTSTRAP));
        assert_eq!(is_repeated(schema::BOOTSTRAP, "node"), Some(false));
        assert_eq!(is_repeated(schema::BOOTSTRAP, "static"), None);
        let dump = "envoy.admin.v3.ClustersConfigDump";
        assert_eq!(is_repeated(dump, "static_clusters"), Some(true));
    }

    #[test]
    fn a_trimmed_message_has_what_the_mask_names() {
        let trimmed = |text: &str| {
            let mut json = json!({"@type": "t", "a": {"b": 1, "c": {"d": 2}}, "e": [{"b": 3}]});
            FieldMask::parse(text).tree().trim(&mut json);
            json
        };
        assert_eq!(trimmed("a.b"), json!({"@type": "t", "a": {"b": 1}}));
        assert_eq!(
            trimmed("a.c.d,e"),
            json!({"@type": "t", "a": {"c": {"d": 2}}, "e": [{"b": 3}]})
        );
        assert_eq!(trimmed("a,a.b"), trimmed("a"));
        assert_eq!(trimmed("a.b,a"), trimmed("a"));
        assert_eq!(trimmed("a.none"), json!({"@type": "t", "a": {}}));
        assert_eq!(trimmed(""), trimmed("a,e"));
    }
}
