//! What a page is asked with and what it answers: no HTTP library, no socket.
//!
//! A page that grows with the configuration is written in parts, each made when the client has
//! taken the ones before: ten thousand clusters cost as much memory as one, and other clients are
//! answered in between.

use std::fmt;

use hyper::StatusCode;

/// An answer before it becomes an HTTP response.
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    /// The body, or its beginning where there are more parts.
    pub(crate) body: String,
    /// What follows `body`.
    pub(crate) parts: Option<Parts>,
}

/// The rest of a body, made as it is sent.
pub(crate) type Parts = Box<dyn Iterator<Item = String>>;

const TEXT: &str = "text/plain; charset=UTF-8";
const JSON: &str = "application/json";

impl Page {
    pub(crate) fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self { status, content_type: TEXT, body: body.into(), parts: None }
    }

    pub(crate) fn html(body: String) -> Self {
        let content_type = "text/html; charset=UTF-8";
        Self { status: StatusCode::OK, content_type, body, parts: None }
    }

    pub(crate) fn json(body: String) -> Self {
        Self { status: StatusCode::OK, content_type: JSON, body, parts: None }
    }

    pub(crate) fn text_in_parts(parts: impl Iterator<Item = String> + 'static) -> Self {
        Self { parts: Some(Box::new(parts)), ..Self::text(StatusCode::OK, "") }
    }

    pub(crate) fn html_in_parts(parts: impl Iterator<Item = String> + 'static) -> Self {
        Self { parts: Some(Box::new(parts)), ..Self::html(String::new()) }
    }

    pub(crate) fn json_in_parts(parts: impl Iterator<Item = String> + 'static) -> Self {
        Self { parts: Some(Box::new(parts)), ..Self::json(String::new()) }
    }

    /// What Envoy answers to a command that was carried out.
    pub(crate) fn done() -> Self {
        Self::text(StatusCode::OK, "OK\n")
    }

    /// Plain text without a character set, as some of Envoy's error pages.
    pub(crate) fn bare_text(status: StatusCode, body: impl Into<String>) -> Self {
        Self { content_type: "text/plain", ..Self::text(status, body) }
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, content_type, body, parts } = self;
        let mut page = f.debug_struct("Page");
        page.field("status", status).field("content_type", content_type).field("body", body);
        page.field("has_more_parts", &parts.is_some()).finish()
    }
}

/// The parameters of a request, percent-decoded, in order.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Parses what stands behind the `?`. A parameter without `=` has an empty value; `+` is a
    /// plus sign, as in Envoy, where it matters to regular expressions.
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (percent_decoded(name), percent_decoded(value)))
                .collect(),
        )
    }

    /// Every parameter in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The same without the parameters called `name`.
    pub(crate) fn without(&self, name: &str) -> Self {
        Self(self.0.iter().filter(|(given, _)| given != name).cloned().collect())
    }

    /// Whether `name` is given, with a value or without.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.first(name).is_some()
    }

    /// The first value given for `name`.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

/// Decodes `%41`; what is not two hexadecimal digits stays as it is, and bytes that are not UTF-8
/// become replacement characters, which no stat name contains.
fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match tail {
            [high, low, ..] if *first == b'%' => hex_value(*high).zip(hex_value(*low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            decoded.push(high << 4 | low);
            rest = &tail[2..];
        } else {
            decoded.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_takes_the_first_value_and_decodes() {
        let query = Query::parse("filter=a%2Eb%5c.%&usedonly&filter=second&&x=%zz%4&%66=1&y=a+b");
        assert_eq!(query.first("filter"), Some("a.b\\.%"));
        assert_eq!(query.first("usedonly"), Some(""));
        assert_eq!(query.first("x"), Some("%zz%4"));
        assert_eq!(query.first("f"), Some("1"));
        assert_eq!(query.first("y"), Some("a+b"));
        assert_eq!(query.first("absent"), None);
        assert_eq!(Query::parse("%ff").first("\u{fffd}"), Some(""));
    }
}
