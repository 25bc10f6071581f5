//! Responses as byte scripts: RFC 9112 sections 4 and 6.3, right and wrong.
//!
//! What is read here was compared with Envoy 1.40, as in `requests.rs`.
#![forbid(unsafe_code)]

mod reading;

use nuncio_proto::http1::{BareLineFeeds, Expect, ResponseOptions};
use reading::{Case, check};

fn check_after(expect: Expect, cases: &[Case]) {
    let options = ResponseOptions::default();
    check(cases, |pieces| reading::responses(&options, &[expect], pieces));
}

/// RFC 9112 section 4.
#[test]
fn status_lines() {
    check_after(
        Expect::Usual,
        &[
            Case(
                b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                "200 {content-length=0} empty keep end",
            ),
            Case(
                b"HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n",
                "200 {content-length=0} empty keep end",
            ),
            Case(
                b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n",
                "200 {content-length=0} empty keep end",
            ),
            Case(
                b"HTTP/1.1 999 \xff \t-\r\ncontent-length: 0\r\n\r\n",
                "999 {content-length=0} empty keep end",
            ),
            Case(
                b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
                "200 1.0 {content-length=0} empty close end",
            ),
            Case(
                b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n",
                "200 1.0 {content-length=0} empty keep end",
            ),
            Case(b"", ""),
            Case(b"HTTP/1.1 20", "..."),
            Case(b"HTTP/1.1 200 a\x01\r\n\r\n", "!InvalidCharacters"),
            Case(b"HTTP/1.1 99 X\r\n\r\n", "!InvalidStatusLine"),
            Case(b"HTTP/1.1 099 X\r\n\r\n", "!InvalidStatusLine"),
            Case(b"HTTP/1.1 1000 X\r\n\r\n", "!InvalidStatusLine"),
            Case(b"HTTP/1.1 0200 X\r\n\r\n", "!InvalidStatusLine"),
            Case(b"HTTP/1.1 2x0 X\r\n\r\n", "!InvalidStatusLine"),
            Case(b"HTTP/1.1 +20 X\r\n\r\n", "!InvalidStatusLine"),
            Case(b"HTTP/1.1  200 X\r\n\r\n", "!InvalidStatusLine"),
            Case(b"HTTP/1.2 200 X\r\n\r\n", "!InvalidStatusLine"),
            Case(b"HTTP/2.0 200 X\r\n\r\n", "!InvalidStatusLine"),
            Case(b"HTTP/2 200\r\n\r\n", "!InvalidStatusLine"),
            Case(b"http/1.1 200 X\r\n\r\n", "!InvalidStatusLine"),
            Case(b"ICY 200 OK\r\n\r\n", "!InvalidStatusLine"),
            Case(b"\r\nHTTP/1.1 200 X\r\n\r\n", "!InvalidStatusLine"),
            Case(b"\x15\x03\x01", "!InvalidStatusLine"),
        ],
    );
}

/// RFC 9112 section 6.3: how the end of a body is found.
#[test]
fn bodies() {
    check_after(
        Expect::Usual,
        &[
            Case(
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: B\r\n\r\nok",
                "200 {content-length=2|x-a=B} length 2 keep \"ok\" end",
            ),
            Case(
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\
              okEXTRA",
                "200 {content-length=2} length 2 keep \"ok\" end +more",
            ),
            Case(
                b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n\
              ok",
                "200 {content-length=3} length 3 keep \"ok\" ...",
            ),
            Case(
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                "200 chunked keep \"ok\" end",
            ),
            Case(
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n\
              ",
                "200 chunked keep \"ok\" ...",
            ),
            Case(
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n\
              ",
                "200 chunked keep !InvalidChunkSize",
            ),
            Case(
                b"HTTP/1.1 200 OK\r\n\r\nall\r\n\r\nof it",
                "200 until-close close \"all\r\n\
              \r\nof it\" end",
            ),
            Case(b"HTTP/1.1 200 OK\r\n\r\n", "200 until-close close end"),
            Case(
                b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\
                  \r\n0\r\n\r\n",
                "200 1.0 chunked close end",
            ),
            Case(
                b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\n\
              a",
                "200 {content-length=1} length 1 close \"a\" end",
            ),
            // No body, whatever the head says.
            Case(b"HTTP/1.1 204 No Content\r\n\r\n", "204 empty keep end"),
            Case(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", "204 empty keep end"),
            Case(
                b"HTTP/1.1 204 No Content\r\ncontent-length: 3\r\n\r\n\
              abc",
                "!ContentLengthNotAllowed",
            ),
            Case(
                b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n\
              ",
                "!TransferEncodingNotAllowed",
            ),
            Case(
                b"HTTP/1.1 304 X\r\ncontent-length: 30\r\n\r\n\
              ",
                "304 {content-length=30} empty keep end",
            ),
            Case(b"HTTP/1.1 304 X\r\ntransfer-encoding: chunked\r\n\r\n", "304 empty keep end"),
            Case(
                b"HTTP/1.1 205 X\r\ncontent-length: 0\r\n\r\n\
              ",
                "205 {content-length=0} empty keep end",
            ),
            // Lengths and codings that are refused.
            Case(
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n\
              ok",
                "!InvalidContentLength",
            ),
            Case(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\nok", "!InvalidContentLength"),
            Case(
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n\
              ",
                "!ContentLengthAndChunked",
            ),
            Case(
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n\
              ok",
                "!InvalidTransferEncoding",
            ),
            Case(
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\n\
              ok",
                "!InvalidTransferEncoding",
            ),
            Case(
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n\
              ",
                "!InvalidTransferEncoding",
            ),
        ],
    );
    check_after(
        Expect::Head,
        &[
            Case(
                b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n",
                "200 {content-length=20} empty keep end",
            ),
            Case(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "200 empty keep end"),
            Case(b"HTTP/1.1 200 OK\r\n\r\n", "200 empty keep end"),
            Case(
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
                "200 {content-length=2} empty keep end +more",
            ),
        ],
    );
}

/// RFC 9110 section 15.2.
#[test]
fn interim_responses() {
    check_after(
        Expect::Usual,
        &[
            Case(
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
                  HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
                "100 103 {link=</a>} 200 {content-length=2} length 2 keep \"ok\" end",
            ),
            Case(b"HTTP/1.1 100 Continue\r\n\r\n", "100"),
            Case(b"HTTP/1.1 103 X\r\ncontent-length: 2\r\n\r\n", "!ContentLengthNotAllowed"),
            Case(
                b"HTTP/1.1 103 X\r\ntransfer-encoding: chunked\r\n\r\n",
                "!TransferEncodingNotAllowed",
            ),
            Case(
                b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: a\r\n\r\n",
                "!UnexpectedUpgrade",
            ),
        ],
    );
}

/// RFC 9110 sections 7.8 and 9.3.6.
#[test]
fn tunnels() {
    check_after(
        Expect::Upgrade,
        &[
            Case(
                b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: a\r\n\r\nraw\r\n",
                "101 {connection=upgrade|upgrade=a} tunnel close \"raw\r\n\" end",
            ),
            Case(b"HTTP/1.1 101 X\r\nconnection: upgrade\r\n\r\n", "!UnexpectedUpgrade"),
            Case(b"HTTP/1.1 101 X\r\nupgrade: a\r\n\r\n", "!UnexpectedUpgrade"),
            Case(
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
                "200 {content-length=2} length 2 keep \"ok\" end",
            ),
        ],
    );
    check_after(
        Expect::Connect,
        &[
            Case(
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nraw",
                "200 tunnel close \"raw\" end",
            ),
            Case(b"HTTP/1.1 201 OK\r\n\r\n", "201 tunnel close end"),
            Case(
                b"HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno",
                "403 {content-length=2} length 2 keep \"no\" end",
            ),
        ],
    );
}

/// Field lines, as in requests.
#[test]
fn fields() {
    check_after(
        Expect::Usual,
        &[
            Case(
                b"HTTP/1.1 204 X\r\nSet-Cookie: a\r\nset-cookie: b\r\nVary: c\r\nvary: d\r\n\
                  connection: keep-alive, x-h\r\nkeep-alive: timeout=4\r\nupgrade: h2c\r\n\
                  x-h: 1\r\n\r\n",
                "204 {set-cookie=a|set-cookie=b|vary=c,d|x-h=1} empty keep end",
            ),
            Case(b"HTTP/1.1 204 X\r\na: b\r\n c\r\n\r\n", "!InvalidHeaderName"),
            Case(b"HTTP/1.1 204 X\r\na : b\r\n\r\n", "!InvalidHeaderName"),
            Case(b"HTTP/1.1 204 X\r\nabc\r\n\r\n", "!InvalidHeaderName"),
            Case(b"HTTP/1.1 204 X\r\na: b\0c\r\n\r\n", "!InvalidCharacters"),
            Case(b"HTTP/1.1 204 X\r\na: b\rc\r\n\r\n", "!InvalidHeaderValue"),
            Case(b"HTTP/1.1 204 X\na: b\r\n\r\n", "!BareLineFeed"),
            Case(b"HTTP/1.1 204 X\r\na: b\n\r\n", "!BareLineFeed"),
        ],
    );
    let options =
        ResponseOptions { bare_line_feeds: BareLineFeeds::Accept, ..ResponseOptions::default() };
    check(&[Case(b"HTTP/1.1 204 X\na: b\n\n", "204 {a=b} empty keep end")], |pieces| {
        reading::responses(&options, &[Expect::Usual], pieces)
    });
}

#[test]
fn limits() {
    let options =
        ResponseOptions { head_bytes_max: 60, headers_max: 3, ..ResponseOptions::default() };
    let read = |pieces: &[&[u8]]| reading::responses(&options, &[Expect::Usual], pieces);
    let head = |value: usize| format!("HTTP/1.1 204 X\r\na: {}\r\n\r\n", "x".repeat(value));
    assert_eq!(head(37).len(), 60);
    assert!(read(&[head(37).as_bytes()]).ends_with("empty keep end"));
    reading::check_cuts(head(38).as_bytes(), "!HeadersTooLarge", read);
    let lines = |count: usize| format!("HTTP/1.1 204 X\r\n{}\r\n", "a: b\r\n".repeat(count));
    reading::check_cuts(lines(3).as_bytes(), "204 {a=b|a=b|a=b} empty keep end", read);
    reading::check_cuts(lines(4).as_bytes(), "!TooManyHeaders", read);
    let many = ResponseOptions { headers_max: 500, ..ResponseOptions::default() };
    let read = |pieces: &[&[u8]]| reading::responses(&many, &[Expect::Usual], pieces);
    assert_eq!(read(&[lines(500).as_bytes()]).matches("a=b").count(), 500);
    reading::check_cuts(lines(501).as_bytes(), "!TooManyHeaders", read);
}

/// A response that nobody waits for, and one after the other.
#[test]
fn exchanges() {
    let options = ResponseOptions::default();
    let usual = Expect::Usual;
    check(
        &[Case(b"HTTP/1.1 408 X\r\nconnection: close\r\n\r\n", "!UnexpectedResponse")],
        |pieces| reading::responses(&options, &[], pieces),
    );
    let two = b"HTTP/1.1 204 X\r\n\r\nHTTP/1.1 200 X\r\ncontent-length: 1\r\n\r\na";
    check(
        &[Case(two, "204 empty keep end 200 {content-length=1} length 1 keep \"a\" end")],
        |pieces| reading::responses(&options, &[usual, usual], pieces),
    );
}
