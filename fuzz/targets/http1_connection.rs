//! Fuzz target: a whole connection as operations. A proxy of the smallest kind: a client's bytes
//! are decoded, each request is encoded again and decoded by the server behind, whose response goes
//! back the same way.
//!
//! What must hold: the server behind reads exactly the requests that were read in front, with the
//! same bodies; the client reads exactly the responses that were sent; nothing is left over.
#![no_main]
#![forbid(unsafe_code)]

mod http1;

use proto::http1::{
    BodyEncoder, Event, Expect, Framing, RequestDecoder, RequestOptions, ResponseDecoder,
    ResponseOptions, ResponseTo, encode_request_head, encode_response_head,
};
use proto::{HeaderList, Method, RequestHead, ResponseHead, Version};

/// What is done next, by one byte of the input.
#[derive(Debug, Clone, Copy)]
enum Operation {
    /// The client sends a piece of the stream of this length.
    Send(usize),
    /// The server behind answers the next request with this status and so much body.
    Answer { status: u16, length: usize, has_length: bool },
}

impl Operation {
    fn from_byte(byte: u8) -> Self {
        let low = usize::from(byte & 0x1f);
        match byte >> 5 {
            0..4 => Self::Send(1 + low * 4),
            4 => Self::Answer { status: 200, length: low, has_length: true },
            5 => Self::Answer { status: 200, length: low, has_length: false },
            6 => Self::Answer { status: 204, length: 0, has_length: false },
            _ => Self::Answer { status: 404, length: 0, has_length: true },
        }
    }
}

/// A request, as far as both ends know it.
#[derive(Debug, Default)]
struct Request {
    method: Method,
    head: String,
    body: Vec<u8>,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
    is_complete: bool,
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&count, rest)) = bytes.split_first() else {
        return;
    };
    let (operations, stream) = rest.split_at(usize::from(count % 64).min(rest.len()));
    let mut connection = Connection::default();
    let mut sent = 0;
    for &byte in operations {
        match Operation::from_byte(byte) {
            Operation::Send(length) => {
                let end = stream.len().min(sent + length);
                connection.arrived.extend_from_slice(&stream[sent..end]);
                sent = end;
            }
            Operation::Answer { status, length, has_length } => {
                connection.answer(status, length, has_length);
            }
        }
        if !connection.turn() {
            break;
        }
    }
    connection.check();
});

/// Whether a proxy answers 404 without forwarding: `http://a?b` has no path to forward.
fn is_refused(head: &RequestHead) -> bool {
    head.method() != Method::Connect && !matches!(head.path(), [b'/', ..] | b"*")
}

#[derive(Default)]
struct Connection {
    /// What the client has sent and nobody has decoded.
    arrived: Vec<u8>,
    decoder: RequestDecoder,
    head: RequestHead,
    encoder: Option<BodyEncoder>,
    /// Requests read in front.
    front: Vec<Request>,
    /// What went to the server behind.
    forwarded: Vec<u8>,
    is_tunnel: bool,
    is_waiting: bool,
}

impl Connection {
    /// Decodes what has arrived, up to the end of a request. `false` when the connection is over.
    fn turn(&mut self) -> bool {
        let options = options();
        while !self.is_waiting && !self.is_tunnel {
            let Ok(step) = self.decoder.decode(&options, &self.arrived, &mut self.head) else {
                return false;
            };
            match step.event {
                Event::NeedMore => {
                    self.arrived.clear();
                    return true;
                }
                Event::Head(start) => {
                    if is_refused(&self.head) {
                        return false;
                    }
                    self.front.push(Request {
                        method: self.head.method(),
                        head: describe(&self.head),
                        ..Request::default()
                    });
                    self.is_tunnel = start.framing == Framing::Tunnel;
                    let is_whole = start.framing.is_empty();
                    let encoder = encode_request_head(&self.head, is_whole, &mut self.forwarded);
                    self.encoder = Some(encoder);
                }
                Event::Body(range) => {
                    let data = self.arrived[range].to_vec();
                    let encoder = self.encoder.expect("a head came before");
                    encoder.before_data(data.len(), &mut self.forwarded);
                    self.forwarded.extend_from_slice(&data);
                    encoder.after_data(data.len(), &mut self.forwarded);
                    self.request().body.extend_from_slice(&data);
                }
                Event::Trailers => {
                    let trailers = owned(self.decoder.trailers());
                    self.request().trailers = trailers;
                }
                Event::End => {
                    let encoder = self.encoder.expect("a head came before");
                    let trailers = &self.decoder.trailers();
                    if self.front.last().is_some_and(|request| !request.trailers.is_empty()) {
                        encoder.end_with_trailers(trailers, &mut self.forwarded);
                    } else {
                        encoder.end(&mut self.forwarded);
                    }
                    self.request().is_complete = true;
                    self.is_waiting = true;
                }
                Event::Interim => unreachable!("requests are not interim"),
            }
            self.arrived.drain(..step.consumed);
        }
        true
    }

    fn request(&mut self) -> &mut Request {
        self.front.last_mut().expect("a head came before")
    }

    /// The server behind answers, the client reads it, and the next request may be decoded.
    fn answer(&mut self, status: u16, length: usize, has_length: bool) {
        if !self.is_waiting {
            return;
        }
        let method = self.front.last().map_or(Method::Get, |request| request.method);
        let to = ResponseTo { version: Version::Http11, method };
        let mut head = ResponseHead::new();
        head.status = status;
        if has_length {
            head.headers.set_number("content-length", length as u64);
        }
        let mut bytes = Vec::new();
        let data = vec![b'\n'; length];
        let encoder = encode_response_head(&head, to, false, &mut bytes);
        let mut expected = Vec::new();
        if encoder != BodyEncoder::Nothing {
            encoder.before_data(length, &mut bytes);
            bytes.extend_from_slice(&data);
            encoder.after_data(length, &mut bytes);
            encoder.end(&mut bytes);
            expected = data;
        }
        let options = ResponseOptions::default();
        let mut decoder = ResponseDecoder::new();
        decoder.expect(Expect::of(method));
        let mut decoded = ResponseHead::new();
        let (mut at, mut body) = (0, Vec::new());
        loop {
            let input = &bytes[at..];
            let step = decoder.decode(&options, input, &mut decoded).expect("we wrote it");
            match step.event {
                Event::NeedMore => panic!("the response is incomplete"),
                Event::Body(range) => body.extend_from_slice(&input[range]),
                Event::End => break,
                _ => {}
            }
            at += step.consumed;
            if at == bytes.len()
                && decoder
                    .decode(&options, &[], &mut decoded)
                    .is_ok_and(|step| step.event == Event::End)
            {
                break;
            }
        }
        assert_eq!(decoded.status, status);
        assert_eq!(body, expected);
        self.decoder.next_request();
        self.is_waiting = false;
    }

    /// The server behind reads what was read in front.
    fn check(&self) {
        let reading = http1::read_requests(&options(), &self.forwarded, &[]);
        assert_eq!(reading.refused, None, "the server behind refused what we wrote");
        let mut behind = reading.messages.iter();
        for request in &self.front {
            let message = behind.next().expect("a request is missing behind");
            assert!(message.head.contains(&request.head), "{message:?} for {request:?}");
            assert_eq!(message.body, request.body);
            assert_eq!(message.is_complete, request.is_complete);
            assert_eq!(message.trailers, request.trailers);
        }
        assert!(behind.all(|message| message.start.is_none()), "a request nobody sent");
    }
}

fn options() -> RequestOptions {
    RequestOptions { enable_trailers: true, ..RequestOptions::default() }
}

fn describe(head: &RequestHead) -> String {
    format!("{:?} {:?} {:?}", head.method_text(), head.path(), head.authority())
}

fn owned(list: &HeaderList) -> Vec<(Vec<u8>, Vec<u8>)> {
    list.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}
