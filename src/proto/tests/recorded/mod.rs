//! The record itself: what Envoy 1.40 did with each of several hundred byte strings, and where we
//! differ on purpose. Read by the tests of the codec and by those of the whole proxy.
//!
//! `envoy-1.40-requests.txt` holds what a client sent (`>`), whether Envoy's codec accepted it or
//! with which status and details it refused it, and what went to the upstream (`<`), with carriage
//! returns and the like escaped.
//!
//! `envoy-1.40-responses.txt` holds what an upstream sent (`>`) to a `request` of some method, and
//! whether it `closes` behind that; whether Envoy accepted it, refused it before the client got
//! anything, or broke off; and what the client got (`<`), without `date` and `server`.

/// What a client sent.
pub(crate) struct Request {
    pub(crate) name: String,
    pub(crate) sent: Vec<u8>,
    /// Status and details; `None` where it was accepted.
    pub(crate) refused: Option<(u16, String)>,
    pub(crate) forwarded: Option<Vec<u8>>,
}

/// What an upstream sent.
pub(crate) struct Response {
    pub(crate) name: String,
    /// Of the request that it answers.
    pub(crate) method: String,
    pub(crate) sent: Vec<u8>,
    /// Whether the upstream closes behind it.
    pub(crate) closes: bool,
    pub(crate) outcome: Outcome,
    /// What the client got.
    pub(crate) passed_on: Option<Vec<u8>>,
}

/// What became of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted,
    /// The client got a local reply.
    Refused,
    /// The client got the beginning.
    BrokenOff,
}

/// Where we differ on purpose: the name of the case and the status that it gets here. The reasons
/// are in src/ARCHITECTURE.md.
pub(crate) const REQUEST_DIFFERENCES: &[(&str, u16)] = &[
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

/// As [`REQUEST_DIFFERENCES`], for responses: all of these are refused here.
pub(crate) const RESPONSE_DIFFERENCES: &[&str] = &[
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

/// All requests.
pub(crate) fn requests() -> Vec<Request> {
    let request = |block: &str| {
        let refused = line(block, "envoy ").expect("what Envoy did").split_once(' ');
        Request {
            name: line(block, "# ").expect("a name").to_owned(),
            sent: unescape(line(block, "> ").expect("bytes")),
            refused: refused
                .map(|(status, details)| (status.parse().expect("a status"), details.to_owned())),
            forwarded: line(block, "< ").map(unescape),
        }
    };
    blocks(include_str!("../envoy-1.40-requests.txt")).map(request).collect()
}

/// All responses.
pub(crate) fn responses() -> Vec<Response> {
    let response = |block: &str| Response {
        name: line(block, "# ").expect("a name").to_owned(),
        method: line(block, "request ").expect("a method").to_owned(),
        sent: unescape(line(block, "> ").unwrap_or_default()),
        closes: block.lines().any(|line| line == "closes"),
        outcome: match line(block, "envoy ").expect("an outcome") {
            "accepts" => Outcome::Accepted,
            "refuses" => Outcome::Refused,
            "breaks off" => Outcome::BrokenOff,
            other => unreachable!("outcome `{other}`"),
        },
        passed_on: line(block, "< ").map(unescape),
    };
    blocks(include_str!("../envoy-1.40-responses.txt")).map(response).collect()
}

fn blocks(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n\n").filter(|block| !block.trim().is_empty())
}

fn line<'a>(block: &'a str, key: &str) -> Option<&'a str> {
    block.lines().find_map(|line| line.strip_prefix(key))
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
