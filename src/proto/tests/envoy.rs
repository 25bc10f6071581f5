//! Nearly four hundred byte strings and what Envoy 1.40 did with each, recorded from the real one.
//!
//! The codec must do the same, but where the `recorded` differences say not; and what it encodes
//! must be the same bytes.
#![forbid(unsafe_code)]

use nuncio_proto::http1::{
    BodyEncoder, Event, Expect, Framing, RequestDecoder, RequestOptions, ResponseDecoder,
    ResponseOptions, ResponseTo, encode_request_head, encode_response_head,
};
use nuncio_proto::{HeaderList, KnownName, Method, RequestHead, ResponseHead, Version};

mod recorded;

use recorded::{Outcome, REQUEST_DIFFERENCES, RESPONSE_DIFFERENCES};

#[test]
fn requests_are_accepted_refused_and_forwarded_as_by_envoy() {
    let cases = recorded::requests();
    assert!(cases.len() > 290, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let difference = REQUEST_DIFFERENCES.iter().find(|(name, _)| *name == case.name);
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
    for (name, _) in REQUEST_DIFFERENCES {
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

#[test]
fn responses_are_accepted_refused_and_forwarded_as_by_envoy() {
    let mut wrong = Vec::new();
    let cases = recorded::responses();
    for case in &cases {
        let name = case.name.as_str();
        let method = Method::from_text(case.method.as_bytes());
        let (outcome, forwarded) = relay_response(method, &case.sent, case.closes);
        let is_different = RESPONSE_DIFFERENCES.contains(&name);
        let expected = if is_different { Outcome::Refused } else { case.outcome };
        if outcome != expected {
            wrong.push(format!("{name}: {outcome:?} instead of {expected:?}"));
        } else if let Some(text) = case.passed_on.as_ref().filter(|_| !is_different)
            && forwarded != *text
        {
            let (forwarded, text) = (forwarded.escape_ascii(), text.escape_ascii());
            wrong.push(format!("{name}: {forwarded} instead of {text}"));
        }
    }
    let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert!(names.len() > 70, "{} cases", names.len());
    for name in RESPONSE_DIFFERENCES {
        assert!(names.contains(name), "no case is called {name:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Decodes a response and encodes it for a client of HTTP/1.1.
fn relay_response(method: Method, sent: &[u8], closes: bool) -> (Outcome, Vec<u8>) {
    let options = ResponseOptions::default();
    let to = ResponseTo { version: Version::Http11, method };
    let mut decoder = ResponseDecoder::new();
    decoder.expect(Expect::of(method));
    let mut head = ResponseHead::new();
    let (mut out, mut encoder, mut input) = (Vec::new(), BodyEncoder::Nothing, sent);
    loop {
        let Ok(step) = decoder.decode(&options, input, &mut head) else {
            return (if out.is_empty() { Outcome::Refused } else { Outcome::BrokenOff }, out);
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
                return (Outcome::Accepted, out);
            }
            Event::Trailers => unreachable!("not asked for"),
        }
        input = &input[step.consumed..];
    }
    let finished = if closes { decoder.finish().is_ok() } else { true };
    match finished {
        true if out.is_empty() => (Outcome::Refused, out),
        true => {
            encoder.end(&mut out);
            (Outcome::Accepted, out)
        }
        false if out.is_empty() => (Outcome::Refused, out),
        false => (Outcome::BrokenOff, out),
    }
}
