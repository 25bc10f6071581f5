//! JSON as Envoy's pages write it: one space of indentation for each level.

use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

/// `document` as text without a line break at its end.
pub(crate) fn pretty(document: &Value) -> String {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b" "));
    serde::Serialize::serialize(document, &mut serializer)
        .expect("a JSON value always has a text and a vector takes every byte");
    String::from_utf8(bytes).expect("the serializer writes UTF-8")
}

/// A whole document: it ends with a line break.
pub(crate) fn document(document: &Value) -> String {
    let mut text = pretty(document);
    text.push('\n');
    text
}

/// `{"<field>": [items]}`, written item by item; `{}` when there is no item, as protobuf writes an
/// empty list.
pub(crate) fn list_in_parts(
    field: &'static str,
    items: impl Iterator<Item = Value>,
) -> impl Iterator<Item = String> {
    let mut items = items.peekable();
    let (mut begun, mut ended) = (false, false);
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let Some(item) = items.next() else {
            ended = true;
            return Some(if begun { "\n ]\n}\n".to_owned() } else { "{}\n".to_owned() });
        };
        let mut part = if begun { ",\n".to_owned() } else { format!("{{\n \"{field}\": [\n") };
        begun = true;
        for (number, line) in pretty(&item).lines().enumerate() {
            part.push_str(if number == 0 { "  " } else { "\n  " });
            part.push_str(line);
        }
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_in_parts_reads_as_if_it_were_written_at_once() {
        for count in 0..3_u64 {
            let items: Vec<Value> = (0..count).map(|n| json!({"name": "a\nb", "n": n})).collect();
            let parts: String = list_in_parts("hosts", items.clone().into_iter()).collect();
            let whole = if count == 0 { json!({}) } else { json!({ "hosts": items }) };
            assert_eq!(parts, document(&whole), "{count}");
        }
    }
}
