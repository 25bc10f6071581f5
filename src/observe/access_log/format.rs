//! A line's template: text with operators in it, or a JSON document of such texts.

use super::error::FormatError;
use super::json::{JsonNode, JsonTemplate};
use super::operator::Surroundings;
use super::record::Record;
use super::text::{Piece, parse, write_literal};

/// Envoy's format of a line when the configuration gives none, for TCP and HTTP alike.
pub const DEFAULT_FORMAT: &str = "[%START_TIME%] \"%REQ(:METHOD)% \
    %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% \
    %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \
    \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \
    \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

/// A compiled format. Lines of one format may be written by every thread.
#[derive(Debug, Clone)]
pub struct Format {
    layout: Layout,
    omits_empty: bool,
}

#[derive(Debug, Clone)]
enum Layout {
    Text(Vec<Piece>),
    Json(JsonNode),
}

impl Format {
    /// Compiles a text format. Nothing is added to it: a line ends only where the format says so.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn text(
        text: &str,
        omits_empty: bool,
        surroundings: Surroundings<'_>,
    ) -> Result<Self, FormatError> {
        Ok(Self { layout: Layout::Text(parse(text, surroundings)?), omits_empty })
    }

    /// Compiles a JSON format. Each line is one document and ends with a newline.
    ///
    /// # Errors
    /// The first thing that is wrong with one of its texts; the position counts in that text.
    pub fn json(
        members: &[(String, JsonTemplate)],
        omits_empty: bool,
        surroundings: Surroundings<'_>,
    ) -> Result<Self, FormatError> {
        let node = JsonNode::object(members, surroundings)?;
        Ok(Self { layout: Layout::Json(node), omits_empty })
    }

    /// Appends the line for `record`. Does not allocate while `out` has room.
    pub fn write_line(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        match &self.layout {
            Layout::Text(pieces) => {
                for piece in pieces {
                    match piece {
                        Piece::Literal(text) => write_literal(text, out),
                        Piece::Operator(operator) => {
                            let value = operator.value(record);
                            if value.is_missing() && !self.omits_empty {
                                out.push(b'-');
                            }
                            value.write_text(out);
                        }
                    }
                }
            }
            Layout::Json(node) => {
                node.write_document(record, self.omits_empty, out);
                out.push(b'\n');
            }
        }
    }
}
