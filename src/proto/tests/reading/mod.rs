//! What a decoder reads in a stream of bytes, as one line of text, however the bytes are cut.
//!
//! ```text
//!  GET /path @authority https {name=value|name=value} length 3 keep "abc" end
//!  close            after the head: the connection ends with this message
//!  ...              the stream stops within a message
//!  !InvalidMethod   refused
//! ```

#![expect(dead_code, reason = "each test crate uses a part")]

use nuncio_proto::http1::{
    Error, Event, Expect, Finish, Framing, MessageStart, RequestDecoder, RequestOptions,
    ResponseDecoder, ResponseOptions, Step,
};
use nuncio_proto::{HeaderList, RequestHead, ResponseHead, Version};

/// A stream of bytes and what is read in it.
pub(crate) struct Case(pub(crate) &'static [u8], pub(crate) &'static str);

/// Checks every case whole, cut in two at every byte, and byte by byte.
pub(crate) fn check(cases: &[Case], read: impl Fn(&[&[u8]]) -> String) {
    for Case(bytes, expected) in cases {
        let shown = String::from_utf8_lossy(bytes);
        assert_eq!(read(&[bytes]), *expected, "{shown:?}");
        check_cuts(bytes, expected, &read);
    }
}

/// Checks that the reading of `bytes` is `expected` wherever they are cut.
pub(crate) fn check_cuts(bytes: &[u8], expected: &str, read: impl Fn(&[&[u8]]) -> String) {
    let shown = String::from_utf8_lossy(bytes);
    // Long streams are about limits: a cut at every byte would take minutes and show nothing new.
    let step = 1 + bytes.len() / 2000;
    for at in (1..bytes.len()).step_by(step) {
        let (left, right) = bytes.split_at(at);
        assert_eq!(read(&[left, right]), expected, "cut at {at}: {shown:?}");
    }
    let pieces: Vec<&[u8]> = bytes.chunks(step).collect();
    assert_eq!(read(&pieces), expected, "in single bytes: {shown:?}");
}

/// Reads requests until the pieces or the connection end.
pub(crate) fn requests(options: &RequestOptions, pieces: &[&[u8]]) -> String {
    let mut decoder = RequestDecoder::new();
    let mut head = RequestHead::new();
    let mut reading = Reading::default();
    for piece in pieces {
        let mut at = 0;
        loop {
            let step = decoder.decode(options, &piece[at..], &mut head);
            let Some(step) = reading.checked(step, piece.len() - at) else {
                return reading.text;
            };
            let input = &piece[at..];
            at += step.consumed;
            match step.event {
                Event::NeedMore => break,
                Event::Head(start) => reading.request(&head, start),
                Event::Interim => unreachable!("requests are not interim"),
                Event::Body(range) => reading.body(&input[range]),
                Event::Trailers => reading.trailers(decoder.trailers()),
                Event::End => {
                    reading.word("end");
                    decoder.next_request();
                    if at == piece.len() {
                        break;
                    }
                }
            }
        }
    }
    reading.finish(decoder.finish())
}

/// Reads the response to each of the requests that `expected` stands for.
pub(crate) fn responses(
    options: &ResponseOptions,
    expected: &[Expect],
    pieces: &[&[u8]],
) -> String {
    let mut decoder = ResponseDecoder::new();
    let mut head = ResponseHead::new();
    let mut reading = Reading::default();
    let mut expected = expected.iter();
    if let Some(&expect) = expected.next() {
        decoder.expect(expect);
    }
    for piece in pieces {
        let mut at = 0;
        loop {
            let step = decoder.decode(options, &piece[at..], &mut head);
            let Some(step) = reading.checked(step, piece.len() - at) else {
                return reading.text;
            };
            let input = &piece[at..];
            at += step.consumed;
            match step.event {
                Event::NeedMore => break,
                Event::Interim => reading.status(&head, None),
                Event::Head(start) => reading.status(&head, Some(start)),
                Event::Body(range) => reading.body(&input[range]),
                Event::Trailers => reading.trailers(decoder.trailers()),
                Event::End => {
                    if let Some(&expect) = expected.next() {
                        reading.word("end");
                        decoder.expect(expect);
                    } else {
                        reading.end_once();
                        if at < piece.len() {
                            reading.word("+more");
                            return reading.text;
                        }
                        break;
                    }
                }
            }
        }
    }
    let finished = decoder.finish();
    if reading.text.ends_with("end") {
        return reading.text;
    }
    reading.finish(finished)
}

#[derive(Default)]
struct Reading {
    text: String,
    /// Whether the last word is a body that may go on.
    in_body: bool,
}

impl Reading {
    fn word(&mut self, word: &str) {
        if std::mem::take(&mut self.in_body) {
            self.text.push('"');
        }
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(word);
    }

    /// The step, if the decoder did not refuse; what must hold for every step holds.
    fn checked(&mut self, step: Result<Step, Error>, available: usize) -> Option<Step> {
        let step = match step {
            Ok(step) => step,
            Err(error) => {
                self.word(&format!("!{:?}", error.kind()));
                return None;
            }
        };
        assert!(step.consumed <= available);
        match &step.event {
            Event::NeedMore => assert_eq!(step.consumed, available, "the rest must be consumed"),
            Event::Body(range) => assert!(!range.is_empty() && range.end <= step.consumed),
            _ => {}
        }
        Some(step)
    }

    fn request(&mut self, head: &RequestHead, start: MessageStart) {
        self.word(&String::from_utf8_lossy(head.method_text()));
        if !head.path().is_empty() {
            self.word(&String::from_utf8_lossy(head.path()));
        }
        if let Some(authority) = head.authority() {
            self.word(&format!("@{}", String::from_utf8_lossy(authority)));
        }
        if let Some(scheme) = head.scheme {
            self.word(scheme.as_str());
        }
        if head.version == Version::Http10 {
            self.word("1.0");
        }
        self.fields(&head.headers);
        self.start(start);
    }

    fn status(&mut self, head: &ResponseHead, start: Option<MessageStart>) {
        self.word(&head.status.to_string());
        if head.version == Version::Http10 {
            self.word("1.0");
        }
        self.fields(&head.headers);
        if let Some(start) = start {
            self.start(start);
        }
    }

    fn start(&mut self, start: MessageStart) {
        match start.framing {
            Framing::Empty => self.word("empty"),
            Framing::Length(length) => self.word(&format!("length {length}")),
            Framing::Chunked => self.word("chunked"),
            Framing::UntilClose => self.word("until-close"),
            Framing::Tunnel => self.word("tunnel"),
        }
        self.word(if start.keep_alive { "keep" } else { "close" });
        if start.dropped_underscores > 0 {
            self.word(&format!("dropped {}", start.dropped_underscores));
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

    fn body(&mut self, data: &[u8]) {
        if !self.in_body {
            self.word("\"");
            self.in_body = true;
        }
        self.text.push_str(&String::from_utf8_lossy(data));
    }

    fn trailers(&mut self, trailers: &HeaderList) {
        self.word("trailers");
        self.fields(trailers);
    }

    fn end_once(&mut self) {
        if !self.text.ends_with("end") {
            self.word("end");
        }
    }

    fn finish(mut self, finished: Result<Finish, Error>) -> String {
        match finished {
            Ok(Finish::Idle) => {}
            Ok(Finish::End) => self.word("end"),
            Err(_) => self.word("..."),
        }
        if self.in_body {
            self.text.push('"');
        }
        self.text
    }
}
