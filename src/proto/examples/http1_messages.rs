//! Decodes and encodes messages and does nothing else, for `scripts/http1-instructions`.
//!
//!     http1_messages get|request|response|encode|chunks|exchange COUNT
#![forbid(unsafe_code)]

use std::hint::black_box;

use nuncio_proto::http1::{
    Event, Expect, RequestDecoder, RequestOptions, ResponseDecoder, ResponseOptions, ResponseTo,
    encode_request_head, encode_response_head,
};
use nuncio_proto::{RequestHead, ResponseHead};

/// What a small client sends.
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:10000\r\n\r\n";

/// Twelve fields, as a browser sends them.
const REQUEST: &[u8] = b"GET /search?q=nuncio&lang=en HTTP/1.1\r\n\
    Host: www.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: https://www.example.com/\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Cache-Control: max-age=0\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: nginx/1.22.1\r\n\
    Date: Sun, 22 Nov 2026 12:00:00 GMT\r\n\
    Content-Type: text/html\r\n\
    Content-Length: 2\r\n\
    Last-Modified: Sun, 22 Nov 2026 11:00:00 GMT\r\n\
    Connection: keep-alive\r\n\
    ETag: \"65f0-2\"\r\n\
    Accept-Ranges: bytes\r\n\r\nok";

const CHUNKS: &[u8] = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
    5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let count: u64 = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(1000);
    let bytes = match &*what {
        "get" => requests(GET, count),
        "request" => requests(REQUEST, count),
        "chunks" => requests(CHUNKS, count),
        "response" => responses(count),
        "encode" => encode(count),
        "exchange" => exchange(count),
        other => unreachable!("no such message: `{other}`"),
    };
    black_box(bytes);
}

fn requests(message: &[u8], count: u64) -> usize {
    let options = RequestOptions::default();
    let mut decoder = RequestDecoder::new();
    let mut head = RequestHead::new();
    let mut bytes = 0;
    for _ in 0..count {
        let mut input = black_box(message);
        loop {
            let step = decoder.decode(&options, input, &mut head).expect("the message is valid");
            input = &input[step.consumed..];
            bytes += step.consumed;
            if step.event == Event::End {
                break;
            }
        }
        decoder.next_request();
        black_box(&head);
    }
    bytes
}

fn responses(count: u64) -> usize {
    let options = ResponseOptions::default();
    let mut decoder = ResponseDecoder::new();
    let mut head = ResponseHead::new();
    let mut bytes = 0;
    for _ in 0..count {
        decoder.expect(Expect::Usual);
        let mut input = black_box(RESPONSE);
        loop {
            let step = decoder.decode(&options, input, &mut head).expect("the message is valid");
            input = &input[step.consumed..];
            bytes += step.consumed;
            if step.event == Event::End {
                break;
            }
        }
        black_box(&head);
    }
    bytes
}

/// Encodes the head of [`REQUEST`].
fn encode(count: u64) -> usize {
    let mut head = RequestHead::new();
    let options = RequestOptions::default();
    RequestDecoder::new().decode(&options, REQUEST, &mut head).expect("the message is valid");
    let mut out = Vec::new();
    let mut bytes = 0;
    for _ in 0..count {
        out.clear();
        encode_request_head(black_box(&head), true, &mut out);
        bytes += black_box(&out).len();
    }
    bytes
}

/// All that a proxy does with one request and its answer: [`REQUEST`] is decoded and written to the
/// upstream, [`RESPONSE`] is decoded and written to the client.
fn exchange(count: u64) -> usize {
    let (request_options, response_options) =
        (RequestOptions::default(), ResponseOptions::default());
    let mut downstream = RequestDecoder::new();
    let mut upstream = ResponseDecoder::new();
    let mut request = RequestHead::new();
    let mut response = ResponseHead::new();
    let mut out = Vec::new();
    let mut bytes = 0;
    for _ in 0..count {
        out.clear();
        let mut input = black_box(REQUEST);
        loop {
            let step =
                downstream.decode(&request_options, input, &mut request).expect("it is valid");
            input = &input[step.consumed..];
            match step.event {
                Event::Head(start) => {
                    encode_request_head(&request, start.framing.is_empty(), &mut out);
                }
                Event::End => break,
                other => unreachable!("{other:?} in a request without a body"),
            }
        }
        bytes += black_box(&out).len();

        out.clear();
        upstream.expect(Expect::of(request.method()));
        let mut input = black_box(RESPONSE);
        let mut body = None;
        loop {
            let step =
                upstream.decode(&response_options, input, &mut response).expect("it is valid");
            match step.event {
                Event::Head(start) => {
                    let to = ResponseTo { version: request.version, method: request.method() };
                    let is_whole = start.framing.is_empty();
                    body = Some(encode_response_head(&response, to, is_whole, &mut out));
                }
                Event::Body(range) => {
                    let encoder = body.expect("the head came first");
                    encoder.before_data(range.len(), &mut out);
                    out.extend_from_slice(&input[range.clone()]);
                    encoder.after_data(range.len(), &mut out);
                }
                Event::End => break,
                other => unreachable!("{other:?} in a response with a length"),
            }
            input = &input[step.consumed..];
        }
        body.expect("the head came first").end(&mut out);
        bytes += black_box(&out).len();
        downstream.next_request();
    }
    bytes
}
