//! HTTP/1.1 messages as they come over a connection: heads as they were written, bodies by their
//! framing (RFC 9112 section 6).
//!
//! It judges nothing: what a proxy sent is shown as it is, and only the end of a message is found.

use std::io::{self, Read};

use crate::peer::{Ending, Peer};

/// A request or a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Start line and header fields, each with its line end, without the empty line.
    pub(crate) head: String,
    pub(crate) framing: Framing,
    /// Without the marks of chunks.
    pub(crate) body: Vec<u8>,
    /// Trailer fields, each with its line end.
    pub(crate) trailers: String,
}

/// How the end of the body was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    NoBody,
    Length(usize),
    Chunked,
    UntilClose,
}

impl Message {
    /// `GET / HTTP/1.1`, or `HTTP/1.1 200 OK`.
    pub(crate) fn start_line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// The status of a response; 0 for anything else.
    pub(crate) fn status(&self) -> u16 {
        let code = self.start_line().strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
        code.and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// The value of the first header field called `name`.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

impl Peer {
    /// Receives one request.
    pub(crate) fn receive_request(&mut self) -> Message {
        read(&mut self.stream(), |_| false)
            .unwrap_or_else(|error| panic!("receiving a request: {error}"))
    }

    /// Receives the start line and the header fields of a message, up to its body.
    pub(crate) fn receive_head(&mut self) -> String {
        read_lines(&mut self.stream()).unwrap_or_else(|error| panic!("receiving a head: {error}"))
    }

    /// Receives the response to a request of this method; informational ones are messages too.
    pub(crate) fn receive_response(&mut self, method: &str) -> Message {
        let has_none = |status| matches!(status, 100..=199 | 204 | 304) || method == "HEAD";
        read(&mut self.stream(), has_none)
            .unwrap_or_else(|error| panic!("receiving a response to {method}: {error}"))
    }

    /// Receives all responses to a request of this method, informational ones first; or what came
    /// before the connection ended instead.
    pub(crate) fn receive_responses(&mut self, method: &str) -> Result<Vec<Message>, Cut> {
        let has_none = |status| matches!(status, 100..=199 | 204 | 304) || method == "HEAD";
        let (mut messages, mut stream) = (Vec::new(), self.stream());
        loop {
            let mut recorded = Recorder { from: &mut stream, bytes: Vec::new() };
            let message = match read(&mut recorded, has_none) {
                Ok(message) => message,
                Err(error) => {
                    let ending = match error.kind() {
                        io::ErrorKind::UnexpectedEof => Ending::Fin,
                        io::ErrorKind::ConnectionReset => Ending::Reset,
                        _ => panic!("receiving a response to {method}: {error}"),
                    };
                    return Err(Cut { messages, bytes: recorded.bytes, ending });
                }
            };
            let is_last = !(100..=199).contains(&message.status()) || message.status() == 101;
            messages.push(message);
            if is_last {
                return Ok(messages);
            }
        }
    }

    /// Receives one request and answers it with these bytes.
    pub(crate) fn answer(&mut self, response: &[u8]) -> Message {
        let request = self.receive_request();
        self.send(response);
        request
    }
}

/// What came of a response whose connection ended within it or before it.
#[derive(Debug)]
pub(crate) struct Cut {
    /// Informational responses that came whole.
    pub(crate) messages: Vec<Message>,
    /// The bytes of the message that did not.
    pub(crate) bytes: Vec<u8>,
    pub(crate) ending: Ending,
}

/// Keeps a copy of what is read.
struct Recorder<R> {
    from: R,
    bytes: Vec<u8>,
}

impl<R: Read> Read for Recorder<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        self.bytes.extend_from_slice(&into[..count]);
        Ok(count)
    }
}

/// Reads one message and not a byte more. `is_bodiless` says which statuses have no body.
fn read(from: &mut impl Read, is_bodiless: impl Fn(u16) -> bool) -> io::Result<Message> {
    let head = read_lines(from)?;
    let mut message =
        Message { head, framing: Framing::NoBody, body: Vec::new(), trailers: String::new() };
    let is_response = message.start_line().starts_with("HTTP/");
    if is_response && is_bodiless(message.status()) {
        return Ok(message);
    }
    let length = message.header("content-length").map(str::parse);
    let chunked = message.header("transfer-encoding").is_some_and(|value| value == "chunked");
    match length {
        _ if chunked => {
            message.framing = Framing::Chunked;
            read_chunks(from, &mut message)?;
        }
        Some(length) => {
            let length = length.map_err(|error| invalid(format!("content-length: {error}")))?;
            message.framing = Framing::Length(length);
            message.body = vec![0; length];
            from.read_exact(&mut message.body)?;
        }
        None if is_response => {
            message.framing = Framing::UntilClose;
            from.read_to_end(&mut message.body)?;
        }
        None => {}
    }
    Ok(message)
}

fn read_chunks(from: &mut impl Read, message: &mut Message) -> io::Result<()> {
    loop {
        let line = read_line(from)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16)
            .map_err(|error| invalid(format!("chunk size '{}': {error}", line.escape_debug())))?;
        if size == 0 {
            message.trailers = read_lines(from)?;
            return Ok(());
        }
        let start = message.body.len();
        message.body.resize(start + size, 0);
        from.read_exact(&mut message.body[start..])?;
        let end = read_line(from)?;
        if end != "\r\n" {
            return Err(invalid(format!("after a chunk comes '{}'", end.escape_debug())));
        }
    }
}

/// Lines up to an empty one, which is left out.
fn read_lines(from: &mut impl Read) -> io::Result<String> {
    let mut lines = String::new();
    loop {
        let line = read_line(from)?;
        if line == "\r\n" {
            return Ok(lines);
        }
        lines.push_str(&line);
    }
}

/// A line with its end. Byte by byte: what follows belongs to somebody else.
fn read_line(from: &mut impl Read) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.last() != Some(&b'\n') {
        if from.read(&mut byte)? == 0 {
            let what = format!("the connection ended within '{}'", line.escape_ascii());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        line.push(byte[0]);
    }
    String::from_utf8(line).map_err(|error| invalid(error.to_string()))
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Reads a message and answers what is left behind it.
pub(crate) fn parse(mut bytes: &[u8], method: &str) -> Result<(Message, Vec<u8>), String> {
    let has_none = |status| matches!(status, 100..=199 | 204 | 304) || method == "HEAD";
    let message = read(&mut bytes, has_none).map_err(|error| error.to_string())?;
    Ok((message, bytes.to_vec()))
}

#[test]
fn each_framing_ends_where_it_should() {
    let cases: [(&str, &str, Framing, &str, &str); 7] = [
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP",
            Framing::Length(3),
            "abc",
            "HTTP",
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nt: 1\r\n\r\nnext",
            Framing::Chunked,
            "abc",
            "next",
        ),
        ("GET", "HTTP/1.1 200 OK\r\n\r\nabc", Framing::UntilClose, "abc", ""),
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nnext", Framing::NoBody, "", "next"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\nnext", Framing::NoBody, "", "next"),
        ("GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1", Framing::NoBody, "", "HTTP/1.1"),
        ("", "GET / HTTP/1.1\r\nhost: a\r\n\r\nnext", Framing::NoBody, "", "next"),
    ];
    for (method, bytes, framing, body, rest) in cases {
        let (message, left) = parse(bytes.as_bytes(), method).unwrap();
        assert_eq!(message.framing, framing, "{bytes}");
        assert_eq!(message.body, body.as_bytes(), "{bytes}");
        assert_eq!(left, rest.as_bytes(), "{bytes}");
    }
}

#[test]
fn what_is_cut_short_or_no_message_is_an_error() {
    for bytes in [
        "HTTP/1.1 200 OK\r\ncontent-len",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n",
    ] {
        parse(bytes.as_bytes(), "GET").expect_err(bytes);
    }
}

#[test]
fn heads_and_trailers_are_kept_as_they_came() {
    let bytes =
        "HTTP/1.1 200 OK\r\nX-Case: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\nT: 2\r\n\r\n";
    let (message, _) = parse(bytes.as_bytes(), "GET").unwrap();
    assert_eq!(message.head, "HTTP/1.1 200 OK\r\nX-Case: 1\r\ntransfer-encoding: chunked\r\n");
    assert_eq!(message.trailers, "T: 2\r\n");
    assert_eq!(message.status(), 200);
    assert_eq!(message.header("x-case"), Some("1"));
}
