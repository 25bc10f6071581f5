//! Nearly four hundred byte strings and what Envoy 1.40 did with each, recorded from the real one.
//!
//! `envoy-1.40-requests.txt` holds what a client sent (`>`), whether Envoy's codec accepted it or
//! with which status and details it refused it, and what went to the upstream (`<`), with carriage
//! returns and the like escaped. The codec must do the same, but where [`DIFFERENCES`] says not;
//! and what it encodes must be the same bytes.
//!
//! `envoy-1.40-responses.txt` holds what an upstream sent (`>`) to a `request` of some method, and
//! whether it `closes` behind that; whether Envoy accepted it, refused it before the client got
//! anything, or broke off; and what the client got (`<`), without `date` and `server`.
#![forbid(unsafe_code)]

use nuncio_proto::http1::{
    BodyEncoder, Event, Expect, Framing, RequestDecoder, RequestOptions, ResponseDecoder,
    ResponseOptions, ResponseTo, encode_request_head, encode_response_head,
};
use nuncio_proto::{HeaderList, KnownName, Method, RequestHead, ResponseHead, Version};

const RECORDED: &str = include_str!("envoy-1.40-requests.txt");

/// Where we differ on purpose: the name of the case and the status that it gets here. The reasons
/// are in src/ARCHITECTURE.md.
const DIFFERENCES: &[(&str, u16)] = &[
    ("bare lf", 400),
    ("bare lf in header", 400),
    ("lf end", 400),
    ("bare cr in value", 400),
    ("obs-fold", 400),
    ("leading lf", 400),
    ("leading cr", 400),
    ("two spaces", 400),
    ("tab sep", 400),
    ("trailing space rl", 400),
    ("connect h:80 ", 400),
    ("two host", 400),
    ("two same host", 400),
    ("host userinfo", 400),
    ("te fold", 400),
    ("chunk garbage after", 400),
    ("chunk ext ctl", 400),
    ("chunk ext nul", 400),
    ("chunk lf data", 400),
    ("chunk lf end", 400),
    ("chunk data too long", 400),
    ("chunk data too short", 400),
    ("chunk trailer fold", 400),
];

struct Case {
    name: String,
    sent: Vec<u8>,
    /// `None` where it was accepted.
    refused: Option<(u16, String)>,
    forwarded: Option<Vec<u8>>,
}

#[test]
fn requests_are_accepted_refused_and_forwarded_as_by_envoy() {
    let cases = cases();
    assert!(cases.len() > 290, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let difference = DIFFERENCES.iter().find(|(name, _)| *name == case.name);
        let (refused, forwarded) = run(&case.sent);
        let expected = match difference {
            Some(&(_, status)) => Some(status),
            None => case.refused.as_ref().map(|(status, _)| *status),
        };
        if refused.as_ref().map(|(status, _)| *status) != expected {
            wrong.push(format!("{}: {refused:?} instead of {expected:?}", case.name));
            continue;
        }
        if difference.is_some() {
            continue;
        }
        if refused != case.refused {
            wrong.push(format!("{}: {refused:?} instead of {:?}", case.name, case.refused));
        }
        if case.refused.is_none()
            && let Some(expected) = &case.forwarded
            && forwarded != *expected
        {
            wrong.push(format!(
                "{}: {:?} instead of {:?}",
                case.name,
                String::from_utf8_lossy(&forwarded),
                String::from_utf8_lossy(expected)
            ));
        }
    }
    for (name, _) in DIFFERENCES {
        assert!(cases.iter().any(|case| case.name == *name), "no case is called {name:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Decodes the first request of `sent` and encodes it as a proxy does that adds what Envoy's
/// connection manager added. Returns why it was refused, and what would go to the upstream.
fn run(sent: &[u8]) -> (Option<(u16, String)>, Vec<u8>) {
    let options = RequestOptions::default();
    let mut decoder = RequestDecoder::new();
    let mut head = RequestHead::new();
    let (mut out, mut encoder, mut input, mut is_tunnel) = (Vec::new(), None, sent, false);
    loop {
        let step = match decoder.decode(&options, input, &mut head) {
            Ok(step) => step,
            Err(error) => {
                let kind = error.kind();
                return (Some((kind.status(), kind.details().to_owned())), out);
            }
        };
        match step.event {
            Event::NeedMore => return (None, out),
            Event::Head(start) => {
                is_tunnel = start.framing == Framing::Tunnel;
                add_what_envoy_adds(&mut head.headers);
                encoder = Some(encode_request_head(&head, start.framing.is_empty(), &mut out));
            }
            // Envoy holds back what follows until the upstream has agreed to the tunnel.
            Event::Body(_) if is_tunnel => {}
            Event::Body(range) => {
                let data = &input[range];
                if let Some(encoder) = encoder {
                    encoder.before_data(data.len(), &mut out);
                    out.extend_from_slice(data);
                    encoder.after_data(data.len(), &mut out);
                }
            }
            Event::End => {
                if let Some(encoder) = encoder {
                    encoder.end(&mut out);
                }
                return (None, out);
            }
            Event::Trailers | Event::Interim => unreachable!("neither is asked for"),
        }
        input = &input[step.consumed..];
    }
}

fn add_what_envoy_adds(headers: &mut HeaderList) {
    headers.append_known(KnownName::XForwardedProto, b"http");
    headers.append_known(KnownName::XEnvoyExpectedRqTimeoutMs, b"2000");
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for block in RECORDED.split("\n\n").filter(|block| !block.trim().is_empty()) {
        let mut case =
            Case { name: String::new(), sent: Vec::new(), refused: None, forwarded: None };
        for line in block.lines() {
            let (key, text) = line.split_once(' ').unwrap_or((line, ""));
            match key {
                "#" => case.name = text.to_owned(),
                ">" => case.sent = unescape(text),
                "<" => case.forwarded = Some(unescape(text)),
                "envoy" => {
                    case.refused = text.split_once(' ').map(|(status, details)| {
                        (status.parse().expect("a status"), details.to_owned())
                    });
                }
                _ => unreachable!("unknown line `{line}`"),
            }
        }
        cases.push(case);
    }
    cases
}

/// As [`DIFFERENCES`], for responses: all of these are refused here.
const RESPONSE_DIFFERENCES: &[&str] = &[
    "101 unasked",
    "status 1000",
    "status 0200",
    "two spaces",
    "HTTP/1.2",
    "HTTP/2.0",
    "bare lf",
    "fold",
    "bare cr",
];

#[test]
fn responses_are_accepted_refused_and_forwarded_as_by_envoy() {
    let recorded = include_str!("envoy-1.40-responses.txt");
    let mut wrong = Vec::new();
    let mut names = Vec::new();
    for block in recorded.split("\n\n").filter(|block| !block.trim().is_empty()) {
        let line = |key: &str| block.lines().find_map(|line| line.strip_prefix(key));
        let name = line("# ").expect("a name");
        names.push(name);
        let method = Method::from_text(line("request ").expect("a method").as_bytes());
        let sent = unescape(line("> ").unwrap_or_default());
        let closes = block.lines().any(|line| line == "closes");
        let (outcome, forwarded) = relay_response(method, &sent, closes);
        let is_different = RESPONSE_DIFFERENCES.contains(&name);
        let expected = if is_different { "refuses" } else { line("envoy ").expect("an outcome") };
        if outcome != expected {
            wrong.push(format!("{name}: {outcome} instead of {expected}"));
        } else if let Some(text) = line("< ").filter(|_| !is_different)
            && forwarded != unescape(text)
        {
            let forwarded = String::from_utf8_lossy(&forwarded).into_owned();
            wrong.push(format!("{name}: {forwarded:?} instead of {text}"));
        }
    }
    assert!(names.len() > 70, "{} cases", names.len());
    for name in RESPONSE_DIFFERENCES {
        assert!(names.contains(name), "no case is called {name:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Decodes a response and encodes it for a client of HTTP/1.1.
fn relay_response(method: Method, sent: &[u8], closes: bool) -> (&'static str, Vec<u8>) {
    let options = ResponseOptions::default();
    let to = ResponseTo { version: Version::Http11, method };
    let mut decoder = ResponseDecoder::new();
    decoder.expect(Expect::of(method));
    let mut head = ResponseHead::new();
    let (mut out, mut encoder, mut input) = (Vec::new(), BodyEncoder::Nothing, sent);
    loop {
        let Ok(step) = decoder.decode(&options, input, &mut head) else {
            return (if out.is_empty() { "refuses" } else { "breaks off" }, out);
        };
        match step.event {
            Event::NeedMore => break,
            // Envoy keeps interim responses to itself unless `proxy_100_continue` is set.
            Event::Interim => {}
            Event::Head(start) => {
                head.headers.remove(KnownName::Date);
                head.headers.remove(KnownName::Server);
                encoder = encode_response_head(&head, to, start.framing.is_empty(), &mut out);
            }
            Event::Body(range) => {
                let data = &input[range];
                encoder.before_data(data.len(), &mut out);
                out.extend_from_slice(data);
                encoder.after_data(data.len(), &mut out);
            }
            Event::End => {
                encoder.end(&mut out);
                return ("accepts", out);
            }
            Event::Trailers => unreachable!("not asked for"),
        }
        input = &input[step.consumed..];
    }
    let finished = if closes { decoder.finish().is_ok() } else { true };
    match finished {
        true if out.is_empty() => ("refuses", out),
        true => {
            encoder.end(&mut out);
            ("accepts", out)
        }
        false if out.is_empty() => ("refuses", out),
        false => ("breaks off", out),
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let [escape, tail @ ..] = tail else {
            bytes.push(*first);
            continue;
        };
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        rest = tail;
        bytes.push(match escape {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'x' => {
                let (digits, tail) = rest.split_at(2);
                rest = tail;
                let digits = std::str::from_utf8(digits).expect("digits");
                u8::from_str_radix(digits, 16).expect("two hexadecimal digits")
            }
            other => *other,
        });
    }
    bytes
}
