//! What Envoy 1.40 did with several hundred requests and responses, byte for byte, asked of whole
//! proxies: the record that `proto` tests its codec with (`src/proto/tests/recorded`).
//!
//! Each request and each response has connections of its own. What the client and the upstream see
//! must be what the record says; and where there is an Envoy, it is asked too, which shows what is
//! not on record: the whole answer, and whether the connection is kept.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::address::ListenerAddress;
use crate::configuration::{Parts, socket_address};
use crate::environment::{self, Program};
use crate::http::{self, Framing, Message};
use crate::peer::Peer;
use crate::proxy::Proxy;
use crate::upstream::Upstream;

use super::{masks, say, text};

#[path = "../../proto/tests/recorded/mod.rs"]
mod record;

use record::{Outcome, REQUEST_DIFFERENCES, RESPONSE_DIFFERENCES};

/// If this fails, a proxy does with some bytes of a client what Envoy 1.40 did not do, or other
/// than it does now.
#[test]
fn requests_pass_and_are_refused_as_on_record() {
    let cases = record::requests();
    let subject = Stand::start(&environment::subject());
    let reference = environment::reference().ok().map(|program| Stand::start(&program));
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for case in &cases {
        let difference = REQUEST_DIFFERENCES.iter().find(|(name, _)| *name == case.name);
        let refused = match (subject.is_envoy, difference) {
            (false, Some(&(_, status))) => Some(status),
            // The record has tunnels; here none is configured.
            _ if is_tunnel(case) => Some(403),
            _ => case.refused.as_ref().map(|(status, _)| *status),
        };
        let seen = played(&case.name, || subject.request(case, refused.is_some()));
        if let Err(why) = seen.agrees(case, refused) {
            wrong.push(format!("{}: {why}", case.name));
        } else if let Some(reference) = reference.as_ref().filter(|_| difference.is_none()) {
            let play = || reference.request(case, refused.is_some());
            let expected = played(&case.name, play);
            compared += 1;
            if seen != expected {
                wrong.push(format!("{}: Envoy {expected:#?}\n    here {seen:#?}", case.name));
            }
        }
    }
    say(&format!("{} recorded requests, {compared} compared with Envoy\n", cases.len()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The same for the bytes of an upstream.
#[test]
fn responses_pass_and_are_refused_as_on_record() {
    let cases = record::responses();
    let subject = Stand::start(&environment::subject());
    let reference = environment::reference().ok().map(|program| Stand::start(&program));
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for case in &cases {
        let differs = RESPONSE_DIFFERENCES.contains(&case.name.as_str());
        let is_different = differs && !subject.is_envoy;
        let outcome = if is_different { Outcome::Refused } else { case.outcome };
        let seen = played(&case.name, || subject.response(case));
        if let Err(why) = seen.passes_on(case, outcome) {
            wrong.push(format!("{}: {why}", case.name));
        } else if let Some(reference) = reference.as_ref().filter(|_| !differs) {
            let expected = played(&case.name, || reference.response(case));
            compared += 1;
            if seen != expected {
                wrong.push(format!("{}: Envoy {expected:#?}\n    here {seen:#?}", case.name));
            }
        }
    }
    say(&format!("{} recorded responses, {compared} compared with Envoy\n", cases.len()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether a request went through as a switch to another protocol.
fn is_tunnel(case: &record::Request) -> bool {
    let text = case.forwarded.as_deref().map(String::from_utf8_lossy);
    text.is_some_and(|text| text.lines().any(|line| line.starts_with("upgrade: ")))
}

/// What `play` answers; one that waits in vain says in which case.
fn played(name: &str, play: impl FnOnce() -> Seen) -> Seen {
    let played = catch_unwind(AssertUnwindSafe(play));
    played.unwrap_or_else(|panic| panic!("{name}: {}", text(&*panic)))
}

/// A proxy with a listener and an upstream for what passes, and others for what is refused: of
/// that the upstream may see a part, and nobody knows when.
struct Stand {
    is_envoy: bool,
    _proxy: Proxy,
    passing: Way,
    refusing: Way,
}

struct Way {
    listener: ListenerAddress,
    upstream: Upstream,
}

impl Stand {
    fn start(program: &Program) -> Self {
        let way = || Way { listener: ListenerAddress::reserve(), upstream: Upstream::listen() };
        let (passing, refusing) = (way(), way());
        let mut parts = Parts::default();
        for (name, way) in [("passing", &passing), ("refusing", &refusing)] {
            let fill = |text: &str| {
                text.replace("$NAME", name)
                    .replace("$LISTENER", &socket_address(way.listener.address))
                    .replace("$UPSTREAM", &socket_address(way.upstream.address()))
            };
            parts.listeners.push_str(&fill(LISTENER));
            parts.clusters.push_str(&fill(CLUSTER));
        }
        Self {
            is_envoy: program.kind == environment::Kind::Envoy,
            _proxy: Proxy::start(program, &parts.bootstrap(), &["--concurrency", "1"]),
            passing,
            refusing,
        }
    }

    fn request(&self, case: &record::Request, is_refused: bool) -> Seen {
        let way = if is_refused { &self.refusing } else { &self.passing };
        let mut client = Peer::connect(way.listener.address);
        client.send(&case.sent);
        let mut forwarded = Vec::new();
        if let Some(expected) = case.forwarded.as_ref().filter(|_| !is_refused) {
            let mut upstream = way.upstream.accept();
            forwarded = upstream.receive(expected.len());
            upstream.send(OK);
            // The connection carries one request.
            forwarded.extend(upstream.receive_to_end().0);
        }
        // Bytes that are no request yet get no answer.
        if case.sent.iter().all(|byte| b"\r\n".contains(byte)) {
            client.send(PROBE);
        }
        let method = case.sent.split(|byte| *byte == b' ').next().unwrap();
        Seen::by(&mut client, &String::from_utf8_lossy(method), forwarded)
    }

    fn response(&self, case: &record::Response) -> Seen {
        let mut client = Peer::connect(self.passing.listener.address);
        let request = format!("{} /x/ HTTP/1.1\r\nhost: h\r\n\r\n", case.method);
        client.send(request.as_bytes());
        let mut upstream = self.passing.upstream.accept();
        upstream.receive_request();
        upstream.send(&case.sent);
        let _held = (!case.closes).then_some(upstream);
        Seen::by(&mut client, &case.method, Vec::new())
    }
}

/// What came of a case.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// To the upstream, head first.
    forwarded: Vec<u8>,
    /// What the client received, informational responses first.
    answers: Vec<Message>,
    /// Of a response that did not come whole.
    part: Vec<u8>,
    afterwards: String,
}

impl Seen {
    fn by(client: &mut Peer, method: &str, forwarded: Vec<u8>) -> Self {
        let mut seen =
            Self { forwarded, answers: Vec::new(), part: Vec::new(), afterwards: String::new() };
        match client.receive_responses(method) {
            Ok(answers) => seen.answers = answers,
            Err(cut) => {
                seen.answers = cut.messages;
                let text = String::from_utf8_lossy(&cut.bytes);
                seen.part = masks::without_volatile_values(&text).into_bytes();
                seen.afterwards = cut.ending.to_string();
            }
        }
        for answer in &mut seen.answers {
            answer.head = masks::without_volatile_values(&answer.head);
        }
        let Some(last) = seen.answers.last().filter(|_| seen.afterwards.is_empty()) else {
            return seen;
        };
        let closes = last.header("connection").is_some_and(|value| value.contains("close"));
        seen.afterwards = if closes || last.framing == Framing::UntilClose {
            let (bytes, ending) = client.receive_to_end();
            format!("{}{ending}", bytes.escape_ascii())
        } else {
            client.send_even_if_closed(PROBE);
            match client.receive_responses("GET") {
                Ok(answers) => format!("kept, {}", answers.last().unwrap().start_line()),
                Err(cut) => format!("{}{}", cut.bytes.escape_ascii(), cut.ending),
            }
        };
        seen
    }

    /// The status of the final response; 0 if none came.
    fn status(&self) -> u16 {
        self.answers.last().map_or(0, Message::status)
    }

    /// Whether this is what the record says of a request.
    fn agrees(&self, case: &record::Request, refused: Option<u16>) -> Result<(), String> {
        let forwarded = case.forwarded.as_deref().unwrap_or_default();
        match refused {
            Some(status) if self.status() != status => {
                Err(format!("refused with {} instead of {status}: {self:#?}", self.status()))
            }
            Some(status) if status != 403 && self.afterwards.starts_with("kept") => {
                Err("the connection is kept".into())
            }
            None if self.forwarded != forwarded => {
                let (seen, recorded) = (self.forwarded.escape_ascii(), forwarded.escape_ascii());
                Err(format!("forwarded as\n    {seen} instead of\n    {recorded}"))
            }
            None if case.forwarded.is_some() && self.status() != 200 => {
                Err(format!("answered otherwise: {self:#?}"))
            }
            _ => Ok(()),
        }
    }

    /// Whether this is what the record says of a response.
    fn passes_on(&self, case: &record::Response, expected: Outcome) -> Result<(), String> {
        let recorded = case.passed_on.as_deref().unwrap_or_default();
        let is_right = match expected {
            Outcome::Refused => [502, 503].contains(&self.status()),
            Outcome::BrokenOff => without_ours(&String::from_utf8_lossy(&self.part)) == recorded,
            Outcome::Accepted => {
                let (message, rest) = http::parse(recorded, &case.method)?;
                assert!(rest.is_empty(), "{}: two responses are on record", case.name);
                let answer = self.answers.last().filter(|_| self.part.is_empty());
                answer.is_some_and(|answer| {
                    without_ours(&answer.head) == message.head.as_bytes()
                        && (answer.framing, &answer.body) == (message.framing, &message.body)
                })
            }
        };
        let recorded = recorded.escape_ascii();
        if is_right { Ok(()) } else { Err(format!("{expected:?}, {recorded}: {self:#?}")) }
    }
}

/// A message without the fields that the connection manager and the router set in each response.
fn without_ours(text: &str) -> Vec<u8> {
    let ours = ["date:", "server:", "x-envoy-upstream-service-time:"];
    let lines = text.split_inclusive('\n');
    lines.filter(|line| !ours.iter().any(|name| line.starts_with(name))).collect::<String>().into()
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const PROBE: &[u8] = b"GET /direct?probe HTTP/1.1\r\nhost: h\r\n\r\n";

/// As the record was made: no request id, a timeout of two seconds, the same paths.
const LISTENER: &str = r#"
  - name: $NAME
    address: $LISTENER
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": "type.googleapis.com/envoy.extensions.filters.network.\
            http_connection_manager.v3.HttpConnectionManager"
          stat_prefix: $NAME
          generate_request_id: false
          delayed_close_timeout: 0s
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /direct}
                direct_response: {status: 200, body: {inline_string: here}}
              - {match: {prefix: /x/}, route: {cluster: $NAME, timeout: 2s}}
              - {match: {prefix: //x/}, route: {cluster: $NAME, timeout: 2s}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
"#;

/// Each exchange has an upstream connection of its own.
const CLUSTER: &str = r#"
  - name: $NAME
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        common_http_protocol_options: {max_requests_per_connection: 1}
        explicit_http_config: {http_protocol_options: {}}
    load_assignment:
      cluster_name: $NAME
      endpoints:
      - lb_endpoints: [{endpoint: {address: $UPSTREAM}}]
"#;
