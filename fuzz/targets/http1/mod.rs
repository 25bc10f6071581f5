//! What the HTTP/1 targets share: reading a stream to its end, and a slow reading of their own to
//! compare with.
//!
//! The slow reading is written for the eye, from RFC 9112, on the whole message at once. It knows
//! only the strict form; where it says what a message is, the decoder must say the same.

#![allow(dead_code, reason = "each target uses a part")]

use proto::http1::{
    ErrorKind, Event, Expect, Finish, MessageStart, RequestDecoder, RequestOptions,
    ResponseDecoder, ResponseOptions,
};
use proto::{RequestHead, ResponseHead};

/// All messages of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reading {
    pub messages: Vec<Message>,
    pub refused: Option<ErrorKind>,
    pub finish: Option<Result<Finish, ErrorKind>>,
}

/// One message, as far as it came.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub start: Option<MessageStart>,
    /// First line and fields, as text: `Debug` of what the head gives out.
    pub head: String,
    pub interim: usize,
    pub body: Vec<u8>,
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
    pub is_complete: bool,
    /// Bytes of the stream up to the end of the head, and up to the end of the message.
    pub head_end: usize,
    pub end: usize,
}

pub fn read_requests(options: &RequestOptions, stream: &[u8], cuts: &[usize]) -> Reading {
    let mut decoder = RequestDecoder::new();
    let mut head = RequestHead::new();
    let mut reading = Reading::default();
    let mut message = Message::default();
    let mut at = 0;
    for end in ends(stream.len(), cuts) {
        loop {
            let input = &stream[at..end];
            let step = match decoder.decode(options, input, &mut head) {
                Ok(step) => step,
                Err(error) => {
                    reading.refused = Some(error.kind());
                    reading.messages.push(message);
                    return reading;
                }
            };
            assert!(step.consumed <= input.len());
            at += step.consumed;
            match step.event {
                Event::NeedMore => {
                    assert_eq!(at, end, "the rest must be consumed");
                    break;
                }
                Event::Interim => unreachable!("requests are not interim"),
                Event::Head(start) => {
                    message.start = Some(start);
                    message.head_end = at;
                    message.head = format!(
                        "{:?} {:?} {:?} {:?} {:?} {:?}",
                        head.version,
                        head.method_text(),
                        head.path(),
                        head.authority(),
                        head.scheme,
                        head.headers.iter().collect::<Vec<_>>()
                    );
                }
                Event::Body(range) => {
                    assert!(!range.is_empty() && range.end <= step.consumed);
                    message.body.extend_from_slice(&input[range]);
                }
                Event::Trailers => message.trailers = owned(decoder.trailers()),
                Event::End => {
                    message.is_complete = true;
                    message.end = at;
                    reading.messages.push(std::mem::take(&mut message));
                    decoder.next_request();
                }
            }
        }
    }
    reading.messages.push(message);
    reading.finish = Some(decoder.finish().map_err(proto::http1::Error::kind));
    reading
}

/// Reads the response to one request.
pub fn read_response(
    options: &ResponseOptions,
    expect: Expect,
    stream: &[u8],
    cuts: &[usize],
) -> Reading {
    let mut decoder = ResponseDecoder::new();
    decoder.expect(expect);
    let mut head = ResponseHead::new();
    let mut reading = Reading::default();
    let mut message = Message::default();
    let mut at = 0;
    for end in ends(stream.len(), cuts) {
        while !message.is_complete {
            let input = &stream[at..end];
            let step = match decoder.decode(options, input, &mut head) {
                Ok(step) => step,
                Err(error) => {
                    reading.refused = Some(error.kind());
                    reading.messages.push(message);
                    return reading;
                }
            };
            assert!(step.consumed <= input.len());
            at += step.consumed;
            match step.event {
                Event::NeedMore => {
                    assert_eq!(at, end, "the rest must be consumed");
                    break;
                }
                Event::Interim => {
                    assert!(head.is_interim());
                    message.interim += 1;
                }
                Event::Head(start) => {
                    message.start = Some(start);
                    message.head_end = at;
                    message.head = format!(
                        "{:?} {} {:?}",
                        head.version,
                        head.status,
                        head.headers.iter().collect::<Vec<_>>()
                    );
                }
                Event::Body(range) => {
                    assert!(!range.is_empty() && range.end <= step.consumed);
                    message.body.extend_from_slice(&input[range]);
                }
                Event::Trailers => message.trailers = owned(decoder.trailers()),
                Event::End => {
                    message.is_complete = true;
                    message.end = at;
                }
            }
        }
    }
    reading.messages.push(message);
    reading.finish = Some(decoder.finish().map_err(proto::http1::Error::kind));
    reading
}

/// The ends of the pieces of `length` bytes.
pub fn ends(length: usize, cuts: &[usize]) -> Vec<usize> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (length + 1)).collect();
    ends.push(length);
    ends.sort_unstable();
    ends
}

/// Takes a few bytes off the end of what the fuzzer gave, as places to cut.
pub fn cuts(bytes: &[u8]) -> (&[u8], Vec<usize>) {
    let count = bytes.last().map_or(0, |last| usize::from(last % 5));
    let (stream, tail) = bytes.split_at(bytes.len().saturating_sub(1 + 2 * count));
    let pairs = tail.chunks_exact(2).take(count);
    (stream, pairs.map(|pair| usize::from(u16::from_le_bytes([pair[0], pair[1]]))).collect())
}

/// What must hold for the bytes of every head that was accepted: each line ends with CR LF, holds
/// no other CR and no control character, and the last one is empty.
pub fn check_head(head: &[u8]) {
    let head = head.strip_suffix(b"\r\n\r\n").expect("a head ends with an empty line");
    for line in head.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(!line.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t'));
    }
    let line_feeds = head.iter().filter(|&&byte| byte == b'\n').count();
    let pairs = head.windows(2).filter(|pair| pair == b"\r\n").count();
    assert_eq!(line_feeds, pairs, "a bare line feed was accepted");
    let mut lines = head.split(|&byte| byte == b'\n').skip(1);
    assert!(lines.all(|line| line.contains(&b':') && !line[0].is_ascii_whitespace()));
}

/// The body of a chunked message at the start of `bytes` and how many bytes it takes, when it is
/// complete and strictly right.
pub fn dechunk(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let line = line_at(bytes, at)?;
        at += line.len() + 2;
        let digits = line.split(|byte| b"; \t".contains(byte)).next()?;
        let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
        let size = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        let is_text = line.iter().all(|&byte| !byte.is_ascii_control() || byte == b'\t');
        let behind = line[digits.len()..].trim_ascii_start();
        if !all_digits || !is_text || !(behind.is_empty() || behind[0] == b';') {
            return None;
        }
        if size == 0 {
            break;
        }
        let end = at.checked_add(usize::try_from(size).ok()?)?;
        body.extend_from_slice(bytes.get(at..end)?);
        if bytes.get(end..end + 2)? != b"\r\n" {
            return None;
        }
        at = end + 2;
    }
    loop {
        let line = line_at(bytes, at)?;
        at += line.len() + 2;
        if line.is_empty() {
            return Some((body, at));
        }
        if line.contains(&b'\r') {
            return None;
        }
    }
}

fn line_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    Some(&rest[..end])
}

fn owned(list: &proto::HeaderList) -> Vec<(Vec<u8>, Vec<u8>)> {
    list.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}
