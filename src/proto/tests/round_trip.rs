//! What an encoder writes, a decoder reads as the same message, however the bytes are cut.
//!
//! Expected bytes are what Envoy 1.40 sends for the same message.
#![forbid(unsafe_code)]

use std::ops::Range;

use nuncio_proto::http1::{
    BodyEncoder, Event, Expect, Framing, RequestDecoder, RequestOptions, ResponseDecoder,
    ResponseOptions, ResponseTo, encode_continue, encode_request_head, encode_response_head,
};
use nuncio_proto::{HeaderList, Method, RequestHead, ResponseHead, Version};
use proptest::prelude::*;

fn request(method: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::new();
    head.set_method(method.as_bytes());
    head.set_path(b"/a?b");
    head.set_authority(b"h");
    for (name, value) in fields {
        head.headers.append(name.as_bytes(), value.as_bytes());
    }
    head
}

fn response(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
    let mut head = ResponseHead::new();
    head.status = status;
    for (name, value) in fields {
        head.headers.append(name.as_bytes(), value.as_bytes());
    }
    head
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn requests_as_envoy_writes_them() {
    let whole = |head: &RequestHead| {
        let mut out = Vec::new();
        encode_request_head(head, true, &mut out);
        text(&out)
    };
    let fields = &[("X-A", "1"), ("cookie", "a"), ("Cookie", "b")];
    assert_eq!(
        whole(&request("GET", fields)),
        "GET /a?b HTTP/1.1\r\nhost: h\r\nx-a: 1\r\ncookie: a\r\ncookie: b\r\n\r\n"
    );
    for (method, tail) in [
        ("GET", ""),
        ("HEAD", ""),
        ("DELETE", ""),
        ("TRACE", ""),
        ("POST", "content-length: 0\r\n"),
        ("PUT", "content-length: 0\r\n"),
        ("OPTIONS", "content-length: 0\r\n"),
        ("PURGE", "content-length: 0\r\n"),
        ("BREW", "content-length: 0\r\n"),
    ] {
        let expected = format!("{method} /a?b HTTP/1.1\r\nhost: h\r\n{tail}\r\n");
        assert_eq!(whole(&request(method, &[])), expected);
    }
    assert_eq!(whole(&request("CONNECT", &[])), "CONNECT h HTTP/1.1\r\nhost: h\r\n\r\n");

    let mut out = Vec::new();
    let encoder = encode_request_head(&request("GET", &[]), false, &mut out);
    assert_eq!(encoder, BodyEncoder::Chunked);
    assert!(text(&out).ends_with("host: h\r\ntransfer-encoding: chunked\r\n\r\n"));
    for fields in
        [&[("content-length", "3")][..], &[("connection", "Upgrade"), ("upgrade", "websocket")]]
    {
        out.clear();
        let encoder = encode_request_head(&request("POST", fields), false, &mut out);
        assert_eq!(encoder, BodyEncoder::Plain);
        assert!(!text(&out).contains("chunked"));
    }
}

#[test]
fn responses_as_envoy_writes_them() {
    let get = ResponseTo { version: Version::Http11, method: Method::Get };
    let head = ResponseTo { method: Method::Head, ..get };
    let connect = ResponseTo { method: Method::Connect, ..get };
    let old = ResponseTo { version: Version::Http10, ..get };
    let length = &[("content-length", "5")][..];
    let chunked = "transfer-encoding: chunked\r\n";
    let zero = "content-length: 0\r\n";
    let five = "content-length: 5\r\n";
    for (to, status, fields, is_whole, line, tail, encoder) in [
        (get, 200, &[][..], true, "HTTP/1.1 200 OK", zero, BodyEncoder::Plain),
        (get, 200, &[], false, "HTTP/1.1 200 OK", chunked, BodyEncoder::Chunked),
        (get, 200, length, false, "HTTP/1.1 200 OK", five, BodyEncoder::Plain),
        (get, 299, &[], true, "HTTP/1.1 299 Unknown", zero, BodyEncoder::Plain),
        (get, 204, &[], true, "HTTP/1.1 204 No Content", "", BodyEncoder::Nothing),
        (get, 304, &[], true, "HTTP/1.1 304 Not Modified", "", BodyEncoder::Nothing),
        (get, 304, length, true, "HTTP/1.1 304 Not Modified", five, BodyEncoder::Nothing),
        (get, 103, &[], false, "HTTP/1.1 103 Early Hints", "", BodyEncoder::Nothing),
        (get, 101, &[], false, "HTTP/1.1 101 Switching Protocols", "", BodyEncoder::Plain),
        (head, 200, &[], true, "HTTP/1.1 200 OK", chunked, BodyEncoder::Nothing),
        (head, 200, length, true, "HTTP/1.1 200 OK", five, BodyEncoder::Nothing),
        (connect, 200, &[], false, "HTTP/1.1 200 OK", "", BodyEncoder::Plain),
        (
            connect,
            503,
            &[],
            false,
            "HTTP/1.1 503 Service Unavailable",
            chunked,
            BodyEncoder::Chunked,
        ),
        (old, 200, &[], false, "HTTP/1.0 200 OK", "", BodyEncoder::Plain),
        (old, 404, &[], true, "HTTP/1.0 404 Not Found", zero, BodyEncoder::Plain),
    ] {
        let mut out = Vec::new();
        let made = encode_response_head(&response(status, fields), to, is_whole, &mut out);
        assert_eq!(text(&out), format!("{line}\r\n{tail}\r\n"), "{to:?} {status}");
        assert_eq!(made, encoder, "{to:?} {status}");
    }
    let mut out = Vec::new();
    encode_continue(Version::Http11, &mut out);
    encode_continue(Version::Http10, &mut out);
    assert_eq!(text(&out), "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 100 Continue\r\n\r\n");
}

#[test]
fn chunks_and_trailers() {
    let mut out = Vec::new();
    for length in [0, 1, 15, 16, 255, 65536, usize::MAX] {
        out.clear();
        BodyEncoder::Chunked.before_data(length, &mut out);
        BodyEncoder::Chunked.after_data(length, &mut out);
        let expected = if length == 0 { String::new() } else { format!("{length:x}\r\n\r\n") };
        assert_eq!(text(&out), expected);
    }
    let mut trailers = HeaderList::new();
    trailers.append(b"X-T", b"v");
    for (encoder, end, with_trailers) in [
        (BodyEncoder::Chunked, "0\r\n\r\n", "0\r\nx-t: v\r\n\r\n"),
        (BodyEncoder::Plain, "", ""),
        (BodyEncoder::Nothing, "", ""),
    ] {
        out.clear();
        encoder.end(&mut out);
        assert_eq!(text(&out), end);
        out.clear();
        encoder.end_with_trailers(&trailers, &mut out);
        assert_eq!(text(&out), with_trailers);
    }
}

/// A field that means nothing to a codec, and whose value survives as it is.
fn any_field() -> impl Strategy<Value = (String, Vec<u8>)> {
    let value = proptest::collection::vec(
        prop_oneof![9 => 0x21..=0x7e_u8, 1 => 0x80..=0xff_u8, 1 => Just(b'.')],
        0..20,
    );
    ("x-[a-z0-9!#$%&'*+.^_`|~-]{0,12}", value)
}

fn any_body() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..5)
}

/// Appends the body and its end as `encoder` says.
fn encode_body(encoder: BodyEncoder, body: &[Vec<u8>], trailers: &HeaderList, out: &mut Vec<u8>) {
    for data in body {
        encoder.before_data(data.len(), out);
        out.extend_from_slice(data);
        encoder.after_data(data.len(), out);
    }
    encoder.end_with_trailers(trailers, out);
}

fn fields_of(list: &HeaderList) -> Vec<(Vec<u8>, Vec<u8>)> {
    list.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// Where to cut `length` bytes.
fn pieces(length: usize, cuts: &[usize]) -> Vec<Range<usize>> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (length + 1)).collect();
    cuts.extend([0, length]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_is_read_as_it_was_written(
        method in prop_oneof!["GET", "POST", "PUT", "OPTIONS", "PURGE"],
        path in "/[!-~]{0,30}",
        authority in "[a-z0-9.:-]{0,20}",
        fields in proptest::collection::vec(any_field(), 0..20),
        body in any_body(),
        has_length in any::<bool>(),
        trailers in proptest::collection::vec(any_field(), 0..3),
        cuts in proptest::collection::vec(any::<usize>(), 0..6),
    ) {
        let mut head = RequestHead::new();
        head.set_method(method.as_bytes());
        head.set_path(path.as_bytes());
        head.set_authority(authority.as_bytes());
        for (name, value) in &fields {
            head.headers.append(name.as_bytes(), value);
        }
        let whole = body.concat();
        if has_length {
            head.headers.set_number("content-length", whole.len() as u64);
        }
        let mut trailer_list = HeaderList::new();
        for (name, value) in &trailers {
            trailer_list.append(name.as_bytes(), value);
        }
        let mut bytes = Vec::new();
        for _ in 0..2 {
            let encoder = encode_request_head(&head, false, &mut bytes);
            encode_body(encoder, &body, &trailer_list, &mut bytes);
        }

        let options = RequestOptions { enable_trailers: true, ..RequestOptions::default() };
        let mut decoder = RequestDecoder::new();
        let mut decoded = RequestHead::new();
        let (mut data, mut got_trailers, mut ends) = (Vec::new(), Vec::new(), 0);
        for piece in pieces(bytes.len(), &cuts) {
            let mut input = &bytes[piece];
            loop {
                let step = decoder.decode(&options, input, &mut decoded).unwrap();
                match step.event {
                    Event::NeedMore => break,
                    Event::Interim => unreachable!(),
                    Event::Head(start) => {
                        prop_assert!(start.keep_alive);
                        let framing = match whole.len() as u64 {
                            _ if !has_length => Framing::Chunked,
                            0 => Framing::Empty,
                            length => Framing::Length(length),
                        };
                        prop_assert_eq!(start.framing, framing);
                        data.clear();
                        got_trailers.clear();
                    }
                    Event::Body(range) => data.extend_from_slice(&input[range]),
                    Event::Trailers => got_trailers = fields_of(decoder.trailers()),
                    Event::End => {
                        prop_assert_eq!(&data, &whole);
                        if !has_length {
                            prop_assert_eq!(&got_trailers, &fields_of(&trailer_list));
                        }
                        ends += 1;
                        decoder.next_request();
                        if step.consumed == input.len() {
                            break;
                        }
                    }
                }
                input = &input[step.consumed..];
            }
        }
        prop_assert_eq!(ends, 2);
        prop_assert_eq!(decoded.method_text(), head.method_text());
        prop_assert_eq!(decoded.path(), head.path());
        prop_assert_eq!(decoded.authority(), head.authority());
        prop_assert_eq!(fields_of(&decoded.headers), fields_of(&head.headers));
    }

    #[test]
    fn a_response_is_read_as_it_was_written(
        status in 200..=999_u16,
        fields in proptest::collection::vec(any_field(), 0..20),
        body in any_body(),
        form in 0..3_u8,
        cuts in proptest::collection::vec(any::<usize>(), 0..6),
    ) {
        prop_assume!(!matches!(status, 204 | 304));
        let mut head = ResponseHead::new();
        head.status = status;
        for (name, value) in &fields {
            head.headers.append(name.as_bytes(), value);
        }
        let whole = body.concat();
        let mut to = ResponseTo { version: Version::Http11, method: Method::Get };
        match form {
            0 => head.headers.set_number("content-length", whole.len() as u64),
            1 => to.version = Version::Http10,
            _ => {}
        }
        let mut bytes = Vec::new();
        let encoder = encode_response_head(&head, to, false, &mut bytes);
        encode_body(encoder, &body, &HeaderList::new(), &mut bytes);

        let options = ResponseOptions::default();
        let mut decoder = ResponseDecoder::new();
        decoder.expect(Expect::Usual);
        let mut decoded = ResponseHead::new();
        let (mut data, mut has_ended) = (Vec::new(), false);
        for piece in pieces(bytes.len(), &cuts) {
            let mut input = &bytes[piece];
            loop {
                let step = decoder.decode(&options, input, &mut decoded).unwrap();
                match step.event {
                    Event::NeedMore => break,
                    Event::Head(_) => {}
                    Event::Body(range) => data.extend_from_slice(&input[range]),
                    Event::End => {
                        has_ended = true;
                        prop_assert_eq!(step.consumed, input.len());
                        break;
                    }
                    Event::Interim | Event::Trailers => unreachable!(),
                }
                input = &input[step.consumed..];
            }
        }
        prop_assert!(decoder.finish().is_ok());
        // A body without a length ends with the connection.
        prop_assert!(has_ended || form == 1 || (form == 0 && whole.is_empty()));
        prop_assert_eq!(data, whole);
        prop_assert_eq!(decoded.status, status);
        prop_assert_eq!(fields_of(&decoded.headers), fields_of(&head.headers));
    }

    /// Nothing panics, and the reading of any bytes does not depend on how they are cut.
    #[test]
    fn any_bytes_have_one_reading(
        words in proptest::collection::vec(any_word(), 0..24),
        cuts in proptest::collection::vec(any::<usize>(), 0..6),
    ) {
        let bytes = words.concat();
        let options = RequestOptions { enable_trailers: true, ..RequestOptions::default() };
        let whole = trace(&options, &bytes, &[]);
        prop_assert_eq!(trace(&options, &bytes, &cuts), whole);
    }
}

/// Pieces that requests are made of, right and wrong.
fn any_word() -> impl Strategy<Value = Vec<u8>> {
    let words: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\n",
        b"POST /x HTTP/1.1\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n",
        b"host: h\r\n",
        b"content-length: 3\r\n",
        b"transfer-encoding: chunked\r\n",
        b"connection: upgrade\r\nupgrade: x\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"a: b\r\n",
        b"a: b\n",
        b" ",
        b"3\r\nabc\r\n",
        b"3;x\r\nabc\r\n",
        b"0\r\n\r\n",
        b"0\r\nt: u\r\n\r\n",
        b"abc",
        b"\0",
    ];
    proptest::sample::select(words).prop_map(<[u8]>::to_vec)
}

/// What is read: events with the data in one piece, then how it ended.
fn trace(options: &RequestOptions, bytes: &[u8], cuts: &[usize]) -> (String, Vec<u8>) {
    let mut decoder = RequestDecoder::new();
    let mut head = RequestHead::new();
    let (mut events, mut data) = (String::new(), Vec::new());
    for piece in pieces(bytes.len(), cuts) {
        let mut input = &bytes[piece];
        loop {
            let step = match decoder.decode(options, input, &mut head) {
                Ok(step) => step,
                Err(error) => return (format!("{events} {error}"), data),
            };
            match step.event {
                Event::NeedMore => break,
                Event::Body(range) => data.extend_from_slice(&input[range]),
                Event::End => {
                    events += " end";
                    decoder.next_request();
                }
                other => events += &format!(" {other:?} {head:?}"),
            }
            input = &input[step.consumed..];
        }
    }
    let finished = decoder.finish();
    (format!("{events} {finished:?}"), data)
}
