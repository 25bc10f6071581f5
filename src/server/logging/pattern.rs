//! `--log-format`: the pattern language of spdlog with Envoy's own flags, from text to a line.
//!
//! A flag is `%`, an optional padding (`8`, `-8` left, `=8` centre, `8!` cuts what is longer), and
//! a character. What is no flag stays as it is, as in Envoy.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/operations/cli#cmdoption-log-format>
//! <https://github.com/gabime/spdlog/wiki/3.-Custom-formatting>

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use control::LogLevel;
use jiff::Zoned;

use super::event::{Line, escaped_for_json};

/// The pattern of a log without `--log-format`, Envoy's.
pub(crate) const DEFAULT: &str = "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v";

/// Columns that a padding can ask for, spdlog's limit.
const WIDTH_MAX: usize = 64;

/// When and by which thread a line is logged.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) time: Zoned,
    /// Since the line before.
    pub(super) since_last: Duration,
    pub(super) thread: u64,
}

/// A pattern that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Piece>);

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Flag(char, Padding),
    /// Further members of the JSON object that the pattern is.
    JsonTags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Padding {
    width: usize,
    side: Side,
    cut: bool,
}

/// Where the spaces go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
    Both,
}

/// Every character that is a flag; `%%` and the marks of a colour range (`%^`, `%$`) are read
/// apart.
const FLAGS: &str = "nlLtvaAbhBcCYDxmdHIMSefFEprRTXzP@sg#!uioO+*_j";

impl Pattern {
    pub(super) fn read(text: &str) -> Self {
        let mut pieces = Pieces(Vec::new());
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            pieces.text(&rest[..at]);
            let (padding, after) = padding(&rest[at + 1..]);
            let mut after = after.chars();
            match after.next() {
                Some('%') => pieces.text("%"),
                Some('^' | '$') | None => {}
                Some(flag) if FLAGS.contains(flag) => pieces.0.push(Piece::Flag(flag, padding)),
                Some(other) => pieces.text(&format!("%{other}")),
            }
            rest = after.as_str();
        }
        pieces.text(rest);
        Self(pieces.0)
    }

    /// A JSON object as a pattern: its strings hold flags, and the tags of an event become
    /// further members.
    pub(super) fn read_json(object: &str) -> Self {
        // In an object the words and their tags stand apart.
        let body = object.strip_suffix('}').unwrap_or(object);
        let Self(mut pieces) = Self::read(body);
        for piece in &mut pieces {
            if let Piece::Flag(flag @ 'j', _) = piece {
                *flag = JSON_WORDS;
            }
        }
        pieces.push(Piece::JsonTags);
        pieces.push(Piece::Text("}".to_owned()));
        Self(pieces)
    }

    /// The line, without a line end.
    pub(super) fn line(&self, line: &Line<'_>, moment: &Moment) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::JsonTags => out.push_str(line.message.json_tags()),
                Piece::Flag(flag, padding) => {
                    padding.apply(&shown(*flag, line, moment), &mut out);
                }
            }
        }
        out
    }
}

/// Not in [`FLAGS`]: the words without their tags, escaped for JSON.
const JSON_WORDS: char = 'J';

struct Pieces(Vec<Piece>);

impl Pieces {
    fn text(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.0.push(Piece::Text(text.to_owned())),
        }
    }
}

/// Reads a padding, and answers what follows.
fn padding(text: &str) -> (Padding, &str) {
    let (side, rest) = match text.as_bytes().first() {
        Some(b'-') => (Side::Right, &text[1..]),
        Some(b'=') => (Side::Both, &text[1..]),
        _ => (Side::Left, text),
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let width = match &rest[..digits] {
        "" => 0,
        digits => digits.parse().map_or(WIDTH_MAX, |width: usize| width.min(WIDTH_MAX)),
    };
    let rest = &rest[digits..];
    match rest.strip_prefix('!') {
        // Without a width this is the flag `!` itself.
        Some(after) if width > 0 => (Padding { width, side, cut: true }, after),
        _ => (Padding { width, side, cut: false }, rest),
    }
}

impl Padding {
    fn apply(self, text: &str, out: &mut String) {
        let columns = text.chars().count();
        let spaces = self.width.saturating_sub(columns);
        let before = match self.side {
            Side::Left => spaces,
            Side::Right => 0,
            Side::Both => spaces / 2,
        };
        out.extend(std::iter::repeat_n(' ', before));
        if self.cut {
            out.extend(text.chars().take(self.width));
        } else {
            out.push_str(text);
        }
        out.extend(std::iter::repeat_n(' ', spaces - before));
    }
}

/// What a flag stands for.
fn shown(flag: char, line: &Line<'_>, moment: &Moment) -> String {
    let Moment { time, since_last, thread } = moment;
    let file_name = || match Path::new(line.file).file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => line.file.to_owned(),
    };
    let clock = |format: &str| time.strftime(format).to_string();
    match flag {
        'n' => line.component.to_owned(),
        'l' => line.level.name().to_owned(),
        'L' => initial(line.level).to_owned(),
        't' => thread.to_string(),
        'P' => std::process::id().to_string(),
        'v' => line.message.tagged_text(),
        '_' => line.message.tagged_text().replace('\n', "\\n"),
        'j' => escaped_for_json(&line.message.tagged_text()),
        JSON_WORDS => escaped_for_json(&line.message.text()),
        '+' => line.message.text(),
        '*' => line.message.json_tags().to_owned(),
        '@' => format!("{}:{}", line.file, line.line),
        's' => file_name(),
        'g' => line.file.to_owned(),
        '#' => line.line.to_string(),
        '!' => line.module.to_owned(),
        'c' => format!("{} {} {}", clock("%a %b"), time.day(), clock("%H:%M:%S %Y")),
        'C' => clock("%y"),
        'D' | 'x' => clock("%m/%d/%y"),
        'e' => fraction(time, 1_000_000, 3),
        'f' => fraction(time, 1_000, 6),
        'F' => fraction(time, 1, 9),
        'E' => time.timestamp().as_second().to_string(),
        'r' => clock("%I:%M:%S %p"),
        'R' => clock("%H:%M"),
        'T' | 'X' => clock("%H:%M:%S"),
        'z' => clock("%:z"),
        'u' => since_last.as_nanos().to_string(),
        'i' => since_last.as_micros().to_string(),
        'o' => since_last.as_millis().to_string(),
        'O' => since_last.as_secs().to_string(),
        // The rest means the same to strftime.
        other => clock(&format!("%{other}")),
    }
}

/// What is below the second, in units of so many nanoseconds.
fn fraction(time: &Zoned, unit: i32, digits: usize) -> String {
    let mut text = String::new();
    let _ = write!(text, "{:0digits$}", time.subsec_nanosecond() / unit);
    text
}

/// spdlog's one-letter names.
fn initial(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "T",
        LogLevel::Debug => "D",
        LogLevel::Info => "I",
        LogLevel::Warning => "W",
        LogLevel::Error => "E",
        LogLevel::Critical => "C",
        LogLevel::Off => "O",
    }
}

/// `--log-format-escaped`: C's escapes for a whole line, so that it is one line whatever it says.
pub(super) fn escaped(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for character in line.trim_end().chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '"' => out.push_str("\\\""),
            '\'' => out.push_str("\\'"),
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(character),
            other => {
                let mut bytes = [0; 4];
                for byte in other.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(out, "\\{byte:03o}");
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use jiff::tz::{TimeZone, offset};

    use super::super::event::Message;
    use super::*;

    /// Formats one event with `pattern`; the expected texts are what Envoy 1.40 wrote.
    fn format(pattern: &Pattern) -> String {
        let mut message = Message::of("loading 0 cluster(s)".to_owned());
        message.tag("ConnectionId", "0");
        let line = Line {
            level: LogLevel::Info,
            component: "config",
            file: "src/server/listen.rs",
            line: 138,
            module: "nuncio_server::listen",
            message: &message,
        };
        let time = date(2026, 11, 22).at(11, 4, 7, 171_572_003);
        let moment = Moment {
            time: time.to_zoned(TimeZone::fixed(offset(-5))).unwrap(),
            since_last: Duration::from_micros(15_007),
            thread: 16361,
        };
        pattern.line(&line, &moment)
    }

    fn text(pattern: &str) -> String {
        format(&Pattern::read(pattern))
    }

    #[test]
    fn the_default_is_envoys_line() {
        assert_eq!(
            text(DEFAULT),
            "[2026-11-22 11:04:07.171][16361][info][config] [src/server/listen.rs:138] \
             [Tags: \"ConnectionId\":\"0\"] loading 0 cluster(s)"
        );
    }

    #[test]
    fn each_flag_of_a_time() {
        assert_eq!(
            text("%a %A %b %h %B %c"),
            "Sun Sunday Nov Nov November Sun Nov 22 11:04:07 2026"
        );
        assert_eq!(text("%C %Y %D %x %m %d"), "26 2026 11/22/26 11/22/26 11 22");
        assert_eq!(text("%H %I %M %S %p %z"), "11 11 04 07 AM -05:00");
        assert_eq!(text("%e %f %F"), "171 171572 171572003");
        assert_eq!(text("%r %R %T %X %E"), "11:04:07 AM 11:04 11:04:07 11:04:07 1795363447");
        assert_eq!(text("%u %i %o %O"), "15007000 15007 15 0");
    }

    #[test]
    fn each_flag_of_a_place_and_a_message() {
        assert_eq!(text("%n %l %L %t"), "config info I 16361");
        assert_eq!(text("%P"), std::process::id().to_string());
        assert_eq!(
            text("%@ %s %g %#"),
            "src/server/listen.rs:138 listen.rs src/server/listen.rs 138"
        );
        assert_eq!(text("%!"), "nuncio_server::listen");
        assert_eq!(text("%+|%*"), "loading 0 cluster(s)|,\"ConnectionId\":\"0\"");
        assert_eq!(text("%_"), "[Tags: \"ConnectionId\":\"0\"] loading 0 cluster(s)");
        assert_eq!(text("%j"), "[Tags: \\\"ConnectionId\\\":\\\"0\\\"] loading 0 cluster(s)");
    }

    #[test]
    fn what_is_no_flag_stays() {
        assert_eq!(text("%% %q%^a%$\\n%"), "% %qa\\n");
        assert_eq!(text(""), "");
    }

    #[test]
    fn paddings_align_and_cut() {
        assert_eq!(text("[%8l] [%-8l] [%=8l]"), "[    info] [info    ] [  info  ]");
        assert_eq!(text("[%3!l] [%-3!l] [%2l]"), "[inf] [inf] [info]");
        assert_eq!(text("%999l").len(), WIDTH_MAX);
        assert_eq!(text("%99999999999999999999999l").len(), WIDTH_MAX);
    }

    #[test]
    fn a_json_pattern_has_words_and_tags_apart() {
        let pattern = Pattern::read_json(r#"{"a":"%l","m":"%j","n":{"b":"%n","c":1}}"#);
        let line = format(&pattern);
        assert_eq!(
            line,
            r#"{"a":"info","m":"loading 0 cluster(s)","n":{"b":"config","c":1},"ConnectionId":"0"}"#
        );
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
    }

    #[test]
    fn an_escaped_line_is_one_line() {
        assert_eq!(escaped("a\tb\"c\"\\\nd\u{e9}'\n"), "a\\tb\\\"c\\\"\\\\\\nd\\303\\251\\'");
    }
}
