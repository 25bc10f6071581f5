//! One event as the formats see it: a message, its tags, and where it came from.
//!
//! Envoy puts what identifies a connection in front of a message, `[Tags: "ConnectionId":"7"]`, and
//! beside it in JSON. Fields of ours with a name in [`TAGS`] become such tags; all others follow
//! the message as `name=value`.

use std::fmt::{self, Write};

use control::LogLevel;
use tracing_core::field::{Field, Visit};

/// Fields that identify what an event is about, and how their tags are called.
const TAGS: [(&str, &str); 3] =
    [("connection_id", "ConnectionId"), ("stream_id", "StreamId"), ("phase", "Phase")];

/// What one line is made from.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) level: LogLevel,
    pub(super) component: &'static str,
    pub(super) file: &'a str,
    pub(super) line: u32,
    /// The module; Envoy names the function here.
    pub(super) module: &'a str,
    pub(super) message: &'a Message,
}

/// Message and tags of an event.
#[derive(Debug, Default)]
pub(super) struct Message {
    text: String,
    fields: String,
    tags: String,
}

impl Message {
    /// A message without fields.
    pub(super) fn of(text: String) -> Self {
        Self { text, ..Self::default() }
    }

    /// The words and the fields that are no tags.
    pub(super) fn text(&self) -> String {
        format!("{}{}", self.text, self.fields)
    }

    /// The tags as further members of a JSON object, each with its comma in front.
    pub(super) fn json_tags(&self) -> &str {
        &self.tags
    }

    /// The tags in front of the text, as Envoy writes them into a line.
    pub(super) fn tagged_text(&self) -> String {
        match self.tags.strip_prefix(',') {
            Some(tags) => format!("[Tags: {tags}] {}{}", self.text, self.fields),
            None => self.text(),
        }
    }

    /// Adds a tag.
    pub(super) fn tag(&mut self, name: &str, value: &str) {
        let value = escaped_for_json(value);
        let _ = write!(self.tags, ",\"{name}\":\"{value}\"");
    }

    fn record(&mut self, name: &str, value: fmt::Arguments<'_>) {
        // Writing to a string fails only if a value's own formatting does; the rest stays.
        let _ = match TAGS.iter().find(|(field, _)| *field == name) {
            Some((_, tag)) => {
                self.tag(tag, &value.to_string());
                Ok(())
            }
            None if name == "message" => write!(self.text, "{value}"),
            None => {
                let space = if self.text.is_empty() && self.fields.is_empty() { "" } else { " " };
                write!(self.fields, "{space}{name}={value}")
            }
        };
    }
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record(field.name(), format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        // Quoted only where it would not read as one value.
        let plain = field.name() == "message"
            || !value.is_empty() && value.chars().all(|c| c.is_ascii_graphic() && c != '"');
        if plain {
            self.record(field.name(), format_args!("{value}"));
        } else {
            self.record(field.name(), format_args!("{value:?}"));
        }
    }
}

/// The inside of a JSON string (RFC 8259 section 7).
pub(super) fn escaped_for_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_stand_before_the_text_and_other_fields_behind_it() {
        let mut message = Message::of("connecting".to_owned());
        message.record("connection_id", format_args!("7"));
        message.record("phase", format_args!("con\"nect"));
        message.record("host", format_args!("127.0.0.1:1"));
        message.record("attempt", format_args!("2"));
        assert_eq!(
            message.tagged_text(),
            "[Tags: \"ConnectionId\":\"7\",\"Phase\":\"con\\\"nect\"] connecting host=127.0.0.1:1 \
             attempt=2"
        );
        assert_eq!(message.text(), "connecting host=127.0.0.1:1 attempt=2");
        assert_eq!(message.json_tags(), ",\"ConnectionId\":\"7\",\"Phase\":\"con\\\"nect\"");
    }

    #[test]
    fn an_event_without_words_begins_with_its_first_field() {
        let mut message = Message::default();
        message.record("workers", format_args!("2"));
        assert_eq!(message.tagged_text(), "workers=2");
    }

    #[test]
    fn json_strings_are_escaped() {
        assert_eq!(escaped_for_json("a\"b\\c\n\u{1}\u{e9}"), "a\\\"b\\\\c\\n\\u0001\u{e9}");
    }
}
