//! Decodes and encodes messages and does nothing else, for `scripts/http2-instructions`.
//!
//!     http2_messages get|request|response|body|exchange COUNT
//!
//! The messages are those of `http1_messages`, on connections that live on: what repeats is in the
//! tables of HPACK. `exchange` is the work of a proxy alone; the others are that of both ends of
//! one connection, for a request without a body and a response of two bytes.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use nuncio_proto::http2::{Connection, Event, Options};
use nuncio_proto::{RequestHead, ResponseHead};

const REQUEST: [(&str, &str); 10] = [
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-US,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://www.example.com/"),
    ("cookie", "session=0123456789abcdef0123456789abcdef; theme=dark"),
    ("upgrade-insecure-requests", "1"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
    ("cache-control", "max-age=0"),
];

const RESPONSE: [(&str, &str); 7] = [
    ("server", "nginx/1.22.1"),
    ("date", "Sun, 22 Nov 2026 12:00:00 GMT"),
    ("content-type", "text/html"),
    ("content-length", "2"),
    ("last-modified", "Sun, 22 Nov 2026 11:00:00 GMT"),
    ("etag", "\"65f0-2\""),
    ("accept-ranges", "bytes"),
];

/// Short enough that copying it, which is the work of no codec, hardly counts.
const BODY: [u8; 64] = [b'x'; 64];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let count: u64 = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(1000);
    let mut hop = Hop::new();
    let bytes = match &*what {
        "get" => hop.run(count, &[], &[]),
        "request" => hop.run(count, &REQUEST, &[]),
        "response" => hop.run(count, &[], &RESPONSE),
        "body" => hop.bodies(count),
        "exchange" => exchange(count),
        other => unreachable!("no such message: `{other}`"),
    };
    black_box(bytes);
}

/// All that a proxy does with one request and its answer: it is decoded and written to the
/// upstream, and so is the response to the client. The bytes of both peers are always the same but
/// for the identifier of the stream, since their tables hold all that repeats.
fn exchange(count: u64) -> usize {
    let (mut front, mut back) = (Hop::new(), Hop::new());
    for hop in [&mut front, &mut back] {
        hop.run(64, &REQUEST, &RESPONSE);
        hop.client_sends(0, &REQUEST);
        write(&mut hop.client, &mut hop.bytes);
    }
    let mut request = front.bytes.clone();
    back.server_reads_on();
    back.server_answers(&RESPONSE);
    let mut response = Vec::new();
    write(&mut back.server, &mut response);
    // Both of the proxy's own ends go on with the stream behind those.
    let mut id = FIRST_ID;
    let mut bytes = 0;
    for _ in 0..count {
        set_id(&mut request, id);
        front.bytes.clone_from(&request);
        front.server_reads_on();
        std::mem::swap(&mut front.received_request, &mut back.request);
        if id > FIRST_ID {
            back.client_sends_received();
            write(&mut back.client, &mut back.bytes);
        }
        bytes += back.bytes.len();
        set_id(&mut response, id);
        back.bytes.clone_from(&response);
        back.client_reads_on();
        std::mem::swap(&mut back.received_response, &mut front.response);
        front.server_answers_received();
        write(&mut front.server, &mut front.bytes);
        front.server_releases();
        bytes += front.bytes.len();
        id += 2;
    }
    bytes
}

/// Writes a stream's identifier into each frame that is on a stream.
fn set_id(frames: &mut [u8], id: u32) {
    let mut rest = frames;
    while let Some(length) = rest.first_chunk().map(|&[a, b, c]| u32::from_be_bytes([0, a, b, c])) {
        if rest[5..9] != [0; 4] {
            rest[5..9].copy_from_slice(&id.to_be_bytes());
        }
        rest = &mut rest[9 + length as usize..];
    }
}

/// The stream behind 64 others.
const FIRST_ID: u32 = 2 * 64 + 1;

/// A client and a server, and the bytes between them.
struct Hop {
    client: Connection,
    server: Connection,
    now: Instant,
    request: RequestHead,
    response: ResponseHead,
    received_request: RequestHead,
    received_response: ResponseHead,
    stream: Option<base::Key>,
    bytes: Vec<u8>,
}

impl Hop {
    fn new() -> Self {
        let options = Arc::new(Options::default());
        #[expect(clippy::disallowed_methods, reason = "an instant to count from")]
        let now = Instant::now();
        Self {
            client: Connection::client(Arc::clone(&options), now, 1),
            server: Connection::server(options, now, 2),
            now,
            request: RequestHead::new(),
            response: ResponseHead::new(),
            received_request: RequestHead::new(),
            received_response: ResponseHead::new(),
            stream: None,
            bytes: Vec::new(),
        }
    }

    fn run(&mut self, count: u64, request: &[(&str, &str)], response: &[(&str, &str)]) -> usize {
        let mut bytes = 0;
        for round in 0..count {
            self.client_sends(round, request);
            self.server_reads();
            self.server_answers(response);
            bytes += self.client_reads();
        }
        bytes
    }

    /// DATA frames of a response, each read and given back.
    fn bodies(&mut self, count: u64) -> usize {
        self.client_sends(0, &[]);
        self.server_reads();
        let stream = self.stream.expect("the head has come");
        self.response.clear();
        self.response.status = 200;
        self.server.send_head(stream, &self.response, false).expect("it comes next");
        self.client_reads();
        let mut bytes = 0;
        for _ in 0..count {
            self.server.offer(stream, BODY.len(), false).expect("it comes next");
            bytes += self.client_reads();
            self.server_reads();
        }
        bytes
    }

    fn client_sends(&mut self, round: u64, fields: &[(&str, &str)]) {
        let head = &mut self.request;
        head.clear();
        head.set_authority(b"www.example.com");
        head.set_path(if round.is_multiple_of(2) {
            b"/search?q=nuncio"
        } else {
            b"/search?q=proxy"
        });
        for (name, value) in fields {
            head.headers.append(name.as_bytes(), value.as_bytes());
        }
        self.client_sends_received();
    }

    fn client_sends_received(&mut self) {
        self.client.open(self.now, black_box(&self.request), true).expect("there is room");
    }

    fn server_reads(&mut self) {
        write(&mut self.client, &mut self.bytes);
        self.server_reads_on();
    }

    fn server_reads_on(&mut self) {
        let mut at = 0;
        loop {
            let input = &black_box(&self.bytes)[at..];
            let head = &mut self.received_request;
            let step = self.server.receive_request(self.now, input, head).expect("it is valid");
            at += step.consumed;
            match step.event {
                Event::NeedMore => return,
                Event::Head(start) => self.stream = Some(start.stream),
                _ => {}
            }
        }
    }

    fn server_answers(&mut self, fields: &[(&str, &str)]) {
        self.response.clear();
        self.response.status = 200;
        for (name, value) in fields {
            self.response.headers.append(name.as_bytes(), value.as_bytes());
        }
        self.server_answers_received();
    }

    fn server_answers_received(&mut self) {
        let stream = self.stream.expect("the head has come");
        self.server.send_head(stream, black_box(&self.response), false).expect("it comes next");
        self.server.offer(stream, 2, true).expect("it comes next");
    }

    fn client_reads(&mut self) -> usize {
        write(&mut self.server, &mut self.bytes);
        self.server_releases();
        self.client_reads_on()
    }

    fn server_releases(&mut self) {
        if let Some(stream) = self.stream.filter(|&stream| self.server.is_closed(stream)) {
            self.server.release(stream);
        }
    }

    fn client_reads_on(&mut self) -> usize {
        let mut at = 0;
        loop {
            let input = &black_box(&self.bytes)[at..];
            let head = &mut self.received_response;
            let step = self.client.receive_response(self.now, input, head).expect("it is valid");
            at += step.consumed;
            match step.event {
                Event::NeedMore => return at,
                Event::Body { stream, range } => self.client.consumed(stream, range.len()),
                Event::End(stream) => {
                    self.client.release(stream);
                }
                _ => {}
            }
        }
    }
}

/// Everything a connection has to send.
fn write(connection: &mut Connection, bytes: &mut Vec<u8>) {
    bytes.clear();
    while let Some(span) = connection.write(bytes).expect("all is well") {
        bytes.extend_from_slice(&BODY[..span.length]);
    }
    connection.sent(bytes.len());
}
