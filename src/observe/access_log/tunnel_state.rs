//! `%FILTER_STATE(..)%` of what `tcp_proxy` leaves for the log: the fields of the response that
//! opened its tunnel, where `propagate_response_headers` and `propagate_response_trailers` ask for
//! them.

use super::record::Record;
use super::value::{Value, write_escaped};

/// A state that a format asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TunnelState {
    key: Key,
    length_max: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    TunnelHeaders,
    TunnelTrailers,
}

impl TunnelState {
    /// The state of this key, in this form; `None` for one that nobody leaves.
    pub(super) fn find(key: &str, kind: &str, length_max: Option<usize>) -> Option<Self> {
        let key = match (key, kind) {
            ("envoy.tcp_proxy.propagate_response_headers", "TYPED") => Key::TunnelHeaders,
            ("envoy.tcp_proxy.propagate_response_trailers", "TYPED") => Key::TunnelTrailers,
            _ => return None,
        };
        Some(Self { key, length_max })
    }

    pub(super) fn value<'r>(self, record: &Record<'r>) -> Value<'r> {
        let document = match self.key {
            Key::TunnelHeaders => record.upstream.tunnel_response_headers,
            Key::TunnelTrailers => record.upstream.tunnel_response_trailers,
        };
        document.map_or(Value::Missing, |document| Value::Json(document, self.length_max))
    }
}

/// The fields of a tunnel's response as the document that Envoy's filter state prints as. `status`
/// goes before the fields of a head; trailers have none.
pub fn tunnel_fields<'f>(
    status: Option<u16>,
    fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
) -> Vec<u8> {
    let mut out = br#"{"headers":["#.to_vec();
    let mut write = |name: &[u8], value: &[u8]| {
        if out.ends_with(b"}") {
            out.push(b',');
        }
        out.extend_from_slice(br#"{"key":""#);
        write_escaped(name, &mut out);
        out.extend_from_slice(br#"","value":""#);
        write_escaped(value, &mut out);
        out.extend_from_slice(br#""}"#);
    };
    if let Some(status) = status {
        write(b":status", status.to_string().as_bytes());
    }
    for (name, value) in fields {
        write(name, value);
    }
    out.extend_from_slice(b"]}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_listed_in_order_with_the_status_first() {
        let fields: [(&[u8], &[u8]); 2] = [(b"x-a", b"\"q\" \\"), (b"x-a", b"")];
        assert_eq!(
            String::from_utf8(tunnel_fields(Some(200), fields.into_iter())).unwrap(),
            r#"{"headers":[{"key":":status","value":"200"},{"key":"x-a","value":"\"q\" \\"},{"#
                .to_owned()
                + r#""key":"x-a","value":""}]}"#
        );
        assert_eq!(tunnel_fields(None, std::iter::empty()), br#"{"headers":[]}"#);
    }
}
