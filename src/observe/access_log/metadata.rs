//! Dynamic metadata: what filters found out about a connection and left for others to read, as
//! texts by name.
//!
//! Envoy's holds values of any shape. What is written here are texts only, one level deep.

use super::value::write_escaped;

/// Texts by namespace and key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Sorted, namespaces and keys alike.
    namespaces: Vec<(String, Fields)>,
}

/// Texts by key, sorted.
type Fields = Vec<(String, String)>;

impl Metadata {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.namespaces.is_empty()
    }

    /// Adds a text, unless there is one of this name.
    pub fn add(&mut self, namespace: &str, key: &str, text: String) {
        let (fields, place) = self.place(namespace, key);
        if let Err(place) = place {
            fields.insert(place, (key.to_owned(), text));
        }
    }

    fn place(&mut self, namespace: &str, key: &str) -> (&mut Fields, Result<usize, usize>) {
        let found = self.namespaces.binary_search_by(|(name, _)| name.as_str().cmp(namespace));
        let index = found.unwrap_or_else(|index| {
            self.namespaces.insert(index, (namespace.to_owned(), Fields::new()));
            index
        });
        let fields = &mut self.namespaces[index].1;
        let place = place_of(fields, key);
        (fields, place)
    }

    /// Everything of a namespace; `None` if nothing was put there.
    pub(super) fn namespace(&self, namespace: &str) -> Option<&[(String, String)]> {
        let found = self.namespaces.iter().find(|(name, _)| name == namespace);
        found.map(|(_, fields)| fields.as_slice())
    }

    /// A text, if there is one of this name.
    #[must_use]
    pub fn get(&self, namespace: &str, key: &str) -> Option<&str> {
        let mut fields = self.namespace(namespace)?.iter();
        fields.find(|(name, _)| name == key).map(|(_, text)| text.as_str())
    }
}

/// Where the text of this name is among sorted ones, or belongs.
pub(super) fn place_of(fields: &[(String, String)], name: &str) -> Result<usize, usize> {
    fields.binary_search_by(|(other, _)| other.as_str().cmp(name))
}

/// Appends the fields as a JSON object.
pub(super) fn write_object(fields: &[(String, String)], out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, (name, text)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'"');
        write_escaped(name.as_bytes(), out);
        out.extend_from_slice(b"\":\"");
        write_escaped(text.as_bytes(), out);
        out.push(b'"');
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_text_of_a_name_stays() {
        let mut metadata = Metadata::default();
        assert!(metadata.is_empty());
        metadata.add("n", "b", "first".to_owned());
        metadata.add("n", "b", "second".to_owned());
        metadata.add("m", "b", "other".to_owned());
        metadata.add("n", "a", "third".to_owned());
        assert_eq!(metadata.get("n", "b"), Some("first"));
        assert_eq!(metadata.get("m", "b"), Some("other"));
        assert_eq!(metadata.get("n", "c"), None);
        assert_eq!(metadata.get("o", "b"), None);
        let mut out = Vec::new();
        write_object(metadata.namespace("n").unwrap(), &mut out);
        assert_eq!(out, b"{\"a\":\"third\",\"b\":\"first\"}");
    }
}
