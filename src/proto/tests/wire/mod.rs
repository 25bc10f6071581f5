//! Frames as text and back: what a connection reads in a stream of bytes, and what it answers, as
//! one line, however the bytes are cut.
//!
//! ```text
//!  GET /path @authority https {name=value} 1      a head, and the identifier of its stream
//!  whole | length 3 | tunnel                       what its start says, if it says anything
//!  1"abc"            body        1 trailers {a=b}        1 end
//!  1 reset PROTOCOL_ERROR        the peer did            1 reset !InvalidMessage     the codec did
//!  !InvalidPadding   the connection is over
//!  > SETTINGS+ACK > RST 1 PROTOCOL_ERROR > GOAWAY 1 FRAME_SIZE_ERROR      answers, at the end
//! ```

#![expect(dead_code, reason = "each test crate uses a part")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use base::Key;
use nuncio_proto::http2::{
    Connection, ErrorCode, Event, MessageStart, Options, ResetReason, hpack,
};
use nuncio_proto::{HeaderList, RequestHead, ResponseHead};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const METADATA: u8 = 0x4d;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const WITH_PRIORITY: u8 = 0x20;

/// A frame of any kind, right or wrong.
pub(crate) fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("it is short").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Fields as literals without indexing, whatever they say. A line each, `name: value`.
pub(crate) fn block(fields: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for line in fields.lines().filter(|line| !line.is_empty()) {
        let at = line[1..].find(": ").map_or(line.len(), |at| at + 1);
        let (name, value) = (&line[..at], line.get(at + 2..).unwrap_or_default());
        literal(name.as_bytes(), value.as_bytes(), &mut out);
    }
    out
}

pub(crate) fn literal(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.push(0);
    for text in [name, value] {
        let mut left = text.len();
        if left < 127 {
            out.push(left.try_into().expect("it is below 127"));
        } else {
            out.push(127);
            left -= 127;
            while left >= 128 {
                out.push(u8::try_from(left % 128).expect("seven bits") | 128);
                left /= 128;
            }
            out.push(left.try_into().expect("seven bits"));
        }
        out.extend_from_slice(text);
    }
}

pub(crate) const GET: &str = ":method: GET\n:scheme: http\n:path: /\n:authority: x\n";
pub(crate) const POST: &str = ":method: POST\n:scheme: http\n:path: /\n:authority: x\n";

/// HEADERS with END_HEADERS and END_STREAM.
pub(crate) fn whole(id: u32, fields: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, id, &block(fields))
}

/// HEADERS with END_HEADERS.
pub(crate) fn open(id: u32, fields: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, id, &block(fields))
}

pub(crate) fn data(id: u32, flags: u8, payload: &str) -> Vec<u8> {
    frame(DATA, flags, id, payload.as_bytes())
}

pub(crate) fn setting(identifier: u16, value: u32) -> Vec<u8> {
    let mut bytes = identifier.to_be_bytes().to_vec();
    bytes.extend_from_slice(&value.to_be_bytes());
    bytes
}

pub(crate) fn number(kind: u8, id: u32, value: u32) -> Vec<u8> {
    frame(kind, 0, id, &value.to_be_bytes())
}

/// What a client sends first.
pub(crate) fn client_start() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(SETTINGS, ACK, 0, &[])].concat()
}

/// What a server sends first.
pub(crate) fn server_start() -> Vec<u8> {
    [frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, ACK, 0, &[])].concat()
}

/// Both ends of the same test: frames behind the start of the connection, and what is read.
pub(crate) struct Case(pub(crate) Vec<Vec<u8>>, pub(crate) &'static str);

/// Checks every case as a server reads it: whole, cut in two at every byte, and byte by byte.
pub(crate) fn check_server(options: &Options, cases: &[Case]) {
    for Case(frames, expected) in cases {
        let bytes = [client_start(), frames.concat()].concat();
        check_cuts(&bytes, expected, |pieces| read_requests(options, pieces));
    }
}

/// Checks every case as a client reads it that has sent these requests (method names; each is
/// whole).
pub(crate) fn check_client(options: &Options, methods: &[&str], cases: &[Case]) {
    for Case(frames, expected) in cases {
        let bytes = [server_start(), frames.concat()].concat();
        check_cuts(&bytes, expected, |pieces| read_responses(options, methods, pieces));
    }
}

pub(crate) fn check_cuts(bytes: &[u8], expected: &str, read: impl Fn(&[&[u8]]) -> String) {
    assert_eq!(read(&[bytes]), expected, "whole: {bytes:?}");
    // Long streams are about limits: a cut at every byte would take minutes and show nothing new.
    let step = 1 + bytes.len() / 1000;
    for at in (1..bytes.len()).step_by(step) {
        let (left, right) = bytes.split_at(at);
        assert_eq!(read(&[left, right]), expected, "cut at {at}: {bytes:?}");
    }
    let pieces: Vec<&[u8]> = bytes.chunks(step).collect();
    assert_eq!(read(&pieces), expected, "in pieces of {step}: {bytes:?}");
}

#[expect(clippy::disallowed_methods, reason = "an instant to count from; no test looks at it")]
pub(crate) fn an_instant() -> Instant {
    Instant::now()
}

pub(crate) fn server(options: &Options) -> Connection {
    Connection::server(Arc::new(options.clone()), an_instant(), 1)
}

pub(crate) fn client(options: &Options) -> Connection {
    Connection::client(Arc::new(options.clone()), an_instant(), 1)
}

pub(crate) fn read_requests(options: &Options, pieces: &[&[u8]]) -> String {
    let mut connection = server(options);
    let mut reading = Reading::started(&mut connection);
    let mut head = RequestHead::new();
    for piece in pieces {
        let mut at = 0;
        while reading.is_open() {
            let input = &piece[at..];
            let step = connection.receive_request(reading.now, input, &mut head);
            let Some(consumed) = reading.step(&mut connection, input, step, |reading, start| {
                reading.request(&head, start);
            }) else {
                break;
            };
            at += consumed;
        }
    }
    reading.finish(&mut connection)
}

pub(crate) fn read_responses(options: &Options, methods: &[&str], pieces: &[&[u8]]) -> String {
    let mut connection = client(options);
    let mut reading = Reading::started(&mut connection);
    for method in methods {
        let mut head = RequestHead::new();
        head.set_method(method.as_bytes());
        head.set_authority(b"x");
        head.set_path(b"/");
        let is_whole = *method != "POST" && *method != "CONNECT";
        connection.open(reading.now, &head, is_whole).expect("a new connection takes streams");
    }
    connection.write(&mut Vec::new()).expect("nothing was read yet");
    let mut head = ResponseHead::new();
    for piece in pieces {
        let mut at = 0;
        while reading.is_open() {
            let input = &piece[at..];
            let step = connection.receive_response(reading.now, input, &mut head);
            let Some(consumed) = reading.step(&mut connection, input, step, |reading, start| {
                reading.response(&head, start);
            }) else {
                break;
            };
            at += consumed;
        }
    }
    reading.finish(&mut connection)
}

/// The text of a connection, as it grows.
pub(crate) struct Reading {
    pub(crate) text: String,
    pub(crate) now: Instant,
    /// The stream whose body is the last word.
    body_of: Option<u32>,
    is_open: bool,
}

impl Reading {
    /// Begins behind what the connection sends first.
    pub(crate) fn started(connection: &mut Connection) -> Self {
        connection.write(&mut Vec::new()).expect("nothing was read yet");
        Self { text: String::new(), now: an_instant(), body_of: None, is_open: true }
    }

    fn is_open(&self) -> bool {
        self.is_open
    }

    fn word(&mut self, word: &str) {
        if self.body_of.take().is_some() {
            self.text.push('"');
        }
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(word);
    }

    fn step(
        &mut self,
        connection: &mut Connection,
        input: &[u8],
        step: Result<nuncio_proto::http2::Step, nuncio_proto::http2::Error>,
        head: impl FnOnce(&mut Self, Option<MessageStart>),
    ) -> Option<usize> {
        let step = match step {
            Ok(step) => step,
            Err(error) => {
                self.word(&format!("!{:?}", error.kind()));
                self.is_open = false;
                return None;
            }
        };
        assert!(step.consumed <= input.len());
        let id = |stream: Key| connection.stream_id(stream).expect("we were told of it");
        match step.event {
            Event::NeedMore => {
                assert_eq!(step.consumed, input.len(), "the rest must be consumed");
                return None;
            }
            Event::Pause => {}
            Event::Head(start) => {
                let id = id(start.stream);
                head(self, Some(start));
                self.word(&id.to_string());
            }
            Event::Interim(stream) => {
                let id = id(stream);
                head(self, None);
                self.word(&id.to_string());
            }
            Event::Body { stream, range } => {
                let id = id(stream);
                assert!(!range.is_empty() && range.end <= step.consumed);
                if self.body_of != Some(id) {
                    self.word(&format!("{id}\""));
                    self.body_of = Some(id);
                }
                self.text.push_str(&String::from_utf8_lossy(&input[range.clone()]));
                connection.consumed(stream, range.len());
            }
            Event::Trailers(stream) => {
                let id = id(stream);
                self.word(&format!("{id} trailers"));
                self.fields(connection.trailers());
            }
            Event::Metadata(stream) => {
                let id = id(stream);
                self.word(&format!("{id} metadata"));
                self.fields(connection.metadata());
            }
            Event::End(stream) => self.word(&format!("{} end", id(stream))),
            Event::Reset { stream, reason } => {
                let reason = match reason {
                    ResetReason::Peer(code) => code_name(code),
                    ResetReason::GoAway => "GOAWAY".into(),
                    ResetReason::Codec(kind) => format!("!{kind:?}"),
                };
                self.word(&format!("{} reset {reason}", id(stream)));
            }
            Event::PeerSettings => {}
            Event::GoAway(code) => self.word(&format!("goaway {}", code_name(code))),
        }
        Some(step.consumed)
    }

    fn request(&mut self, head: &RequestHead, start: Option<MessageStart>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.word(&text(head.method_text()));
        if !head.path().is_empty() {
            self.word(&text(head.path()));
        }
        self.word(&format!("@{}", text(head.authority().expect("requests have one"))));
        if let Some(scheme) = head.scheme.filter(|scheme| scheme.as_str() != "http") {
            self.word(scheme.as_str());
        }
        self.fields(&head.headers);
        self.start(start);
    }

    fn response(&mut self, head: &ResponseHead, start: Option<MessageStart>) {
        self.word(&head.status.to_string());
        self.fields(&head.headers);
        self.start(start);
    }

    fn start(&mut self, start: Option<MessageStart>) {
        let Some(start) = start else {
            return;
        };
        if let Some(length) = start.content_length {
            self.word(&format!("length {length}"));
        }
        if start.is_tunnel {
            self.word("tunnel");
        }
        if start.dropped_underscores > 0 {
            self.word(&format!("dropped {}", start.dropped_underscores));
        }
        if start.is_whole {
            self.word("whole");
        }
    }

    fn fields(&mut self, headers: &HeaderList) {
        if headers.is_empty() {
            return;
        }
        let fields = headers.iter().map(|(name, value)| {
            format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
        });
        self.word(&format!("{{{}}}", fields.collect::<Vec<_>>().join("|")));
    }

    /// What the connection answered, but for its acknowledgement of SETTINGS.
    fn finish(mut self, connection: &mut Connection) -> String {
        let mut out = Vec::new();
        let written = connection.write(&mut out);
        assert_eq!(written.is_err(), !self.is_open, "an error stays");
        assert!(!matches!(written, Ok(Some(_))), "nobody offered DATA");
        for frame in frames(&out) {
            if frame != "SETTINGS+ACK" {
                self.word(&format!("> {frame}"));
            }
        }
        if self.body_of.is_some() {
            self.text.push('"');
        }
        self.text
    }
}

/// Frames as text.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    let mut decoder = hpack::Decoder::new();
    bytes = bytes.strip_prefix(PREFACE).unwrap_or(bytes);
    while !bytes.is_empty() {
        let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
        let (kind, flags) = (bytes[3], bytes[4]);
        let word = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().expect("four bytes"));
        let id = word(&bytes[5..]);
        let payload = &bytes[9..9 + length];
        bytes = &bytes[9 + length..];
        let mut text = match kind {
            DATA => format!("DATA {id} {length}"),
            HEADERS => format!("HEADERS {id}"),
            PRIORITY => format!("PRIORITY {id}"),
            RST_STREAM => format!("RST {id} {}", code_name(ErrorCode(word(payload)))),
            SETTINGS => {
                let settings = payload.chunks(6).map(|it| {
                    format!(" {}={}", u16::from_be_bytes([it[0], it[1]]), word(&it[2..]))
                });
                format!("SETTINGS{}", settings.collect::<String>())
            }
            PING => format!("PING {}", String::from_utf8_lossy(payload)),
            GOAWAY => {
                format!("GOAWAY {} {}", word(payload), code_name(ErrorCode(word(&payload[4..]))))
            }
            WINDOW_UPDATE => format!("WINDOW_UPDATE {id} {}", word(payload)),
            CONTINUATION => format!("CONTINUATION {id}"),
            other => format!("TYPE{other:#x} {id} {length}"),
        };
        if kind == HEADERS && flags & END_HEADERS != 0 {
            let mut fields = Vec::new();
            let decoded = decoder.decode(payload, 1 << 20, |field| {
                let mark = if field.is_never_indexed { "!" } else { "" };
                fields.push(format!(
                    "{mark}{}={}",
                    String::from_utf8_lossy(field.name),
                    String::from_utf8_lossy(field.value)
                ));
            });
            decoded.expect("we wrote it");
            let _ = write!(text, " {{{}}}", fields.join("|"));
        }
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            text.push_str("+END");
        }
        if matches!(kind, PING | SETTINGS) && flags & ACK != 0 {
            text.push_str("+ACK");
        }
        texts.push(text.trim_end().replace(" +", "+"));
    }
    texts
}

fn code_name(code: ErrorCode) -> String {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    NAMES.get(code.0 as usize).map_or_else(|| code.0.to_string(), |name| (*name).to_string())
}
