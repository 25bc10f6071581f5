//! Requests as byte scripts: every production of RFC 9112 that frames a message, right and wrong.
//!
//! What is read here was compared with Envoy 1.40, byte string by byte string; where we refuse what
//! it forwards, src/ARCHITECTURE.md says why.
#![forbid(unsafe_code)]

mod reading;

use nuncio_proto::RequestHead;
use nuncio_proto::http1::{BareLineFeeds, Event, RequestDecoder, RequestOptions, UnderscoreAction};
use reading::{Case, check};

fn check_requests(options: &RequestOptions, cases: &[Case]) {
    check(cases, |pieces| reading::requests(options, pieces));
}

fn check_default(cases: &[Case]) {
    check_requests(&RequestOptions::default(), cases);
}

/// RFC 9112 section 3: method SP request-target SP HTTP-version CRLF.
#[test]
fn request_lines() {
    check_default(&[
        Case(b"", ""),
        Case(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n", "GET / @h empty keep end"),
        Case(b"PURGE / HTTP/1.1\r\nhost: h\r\n\r\n", "PURGE / @h empty keep end"),
        Case(b"GET / HTTP/1.1\r\nhost: h\r\n", "..."),
        Case(b"G", "..."),
        // The method is a token, in upper case, and known.
        Case(b"get / HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidMethod"),
        Case(b"FOO / HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidMethod"),
        Case(b"G(T / HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidMethod"),
        Case(b"GET\xff / HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidMethod"),
        Case(b"hello\r\n\r\n", "!InvalidMethod"),
        Case(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "!InvalidMethod"),
        // What no method begins with is refused at its first byte.
        Case(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "!InvalidMethod"),
        Case(b" GET / HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidMethod"),
        Case(b"\0", "!InvalidMethod"),
        // One space between the words and none behind them.
        Case(b"GET  / HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidRequestLine"),
        Case(b"GET  HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidTarget"),
        Case(b"GET /  HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidRequestLine"),
        Case(b"GET\t/\tHTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidMethod"),
        Case(b"GET / HTTP/1.1 \r\nhost: h\r\n\r\n", "!InvalidRequestLine"),
        Case(b"GET / a HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidRequestLine"),
        Case(b"GET /\r\r\n\r\n", "!InvalidTarget"),
        Case(b"GET /\rb HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidTarget"),
    ]);
}

/// RFC 9112 section 2.3.
#[test]
fn versions() {
    check_default(&[
        Case(b"GET / HTTP/1.0\r\n\r\n", "!UnsupportedVersion"),
        // HTTP/0.9 is told at the end of its only line.
        Case(b"GET /\r\n", "!UnsupportedVersion"),
        Case(b"GET /\r\nhost: h\r\n\r\n", "!UnsupportedVersion"),
        Case(b"GET / HTTP/1.2\r\nhost: h\r\n\r\n", "!UnsupportedVersion"),
        Case(b"GET / HTTP/2.0\r\nhost: h\r\n\r\n", "!UnsupportedVersion"),
        Case(b"GET / HTTP/1.10\r\nhost: h\r\n\r\n", "!InvalidRequestLine"),
        Case(b"GET / HTTP/01.1\r\nhost: h\r\n\r\n", "!InvalidRequestLine"),
        Case(b"GET / HTTP/1.\r\nhost: h\r\n\r\n", "!InvalidRequestLine"),
        Case(b"GET / http/1.1\r\nhost: h\r\n\r\n", "!InvalidRequestLine"),
        Case(b"GET / FTP/1.1\r\nhost: h\r\n\r\n", "!InvalidRequestLine"),
        Case(b"GET / HTTP/1.1x\r\nhost: h\r\n\r\n", "!InvalidRequestLine"),
    ]);
    let accepts = RequestOptions { accept_http_10: true, ..RequestOptions::default() };
    check_requests(
        &accepts,
        &[
            Case(b"GET / HTTP/1.0\r\n\r\n", "GET / 1.0 empty close end"),
            Case(
                b"GET / HTTP/1.0\r\nhost: h\r\nconnection: Keep-Alive\r\n\r\n",
                "GET / @h 1.0 empty keep end",
            ),
            Case(
                b"GET / HTTP/1.0\r\nproxy-connection: keep-alive\r\n\r\n",
                "GET / 1.0 empty close end",
            ),
            Case(
                b"POST / HTTP/1.0\r\ncontent-length: 1\r\n\r\na",
                "POST / 1.0 {content-length=1} length 1 close \"a\" end",
            ),
            // Section 6.1: the framing is faulty, so the connection ends.
            Case(
                b"POST / HTTP/1.0\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n\
                  1\r\na\r\n0\r\n\r\n",
                "POST / 1.0 chunked close \"a\" end",
            ),
            // RFC 9110 section 7.8: no upgrade from HTTP/1.0.
            Case(
                b"GET / HTTP/1.0\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
                "GET / 1.0 empty close end",
            ),
            Case(b"GET /\r\n", "!UnsupportedVersion"),
        ],
    );
}

/// RFC 9112 section 2.2: empty lines before a request line.
#[test]
fn empty_lines_before_a_request() {
    check_default(&[
        Case(b"\r\nGET / HTTP/1.1\r\nhost: h\r\n\r\n", "GET / @h empty keep end"),
        Case(b"\r\n\r\n\r\nGET / HTTP/1.1\r\nhost: h\r\n\r\n", "GET / @h empty keep end"),
        Case(b"\r\n\r\n", ""),
        Case(b"\r", "..."),
        Case(b"\nGET / HTTP/1.1\r\nhost: h\r\n\r\n", "!BareLineFeed"),
        Case(b"\rGET / HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidMethod"),
        Case(b"\r\n GET / HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidMethod"),
        // As some clients put one behind a body.
        Case(
            b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\na\r\n\
              GET / HTTP/1.1\r\nhost: h\r\n\r\n",
            "POST / @h {content-length=1} length 1 keep \"a\" end GET / @h empty keep end",
        ),
    ]);
    let little = RequestOptions { head_bytes_max: 40, ..RequestOptions::default() };
    let lines = "\r\n".repeat(21);
    reading::check_cuts(lines.as_bytes(), "!HeadersTooLarge", |pieces| {
        reading::requests(&little, pieces)
    });
}

/// RFC 9112 section 3.2: the four forms of a target.
#[test]
fn targets() {
    check_default(&[
        Case(
            b"GET /a?b=\"<>\\^`{|}#c HTTP/1.1\r\nhost: h\r\n\r\n",
            "GET /a?b=\"<>\\^`{|}#c @h empty keep end",
        ),
        Case(b"GET /\xc3\xa4 HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidTarget"),
        Case(b"GET /\x01 HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidCharacters"),
        Case(b"GET /\0 HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidCharacters"),
        Case(b"GET /\x7f HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidCharacters"),
        Case(b"GET foo HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidTarget"),
        Case(b"GET h:80 HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidTarget"),
        // Absolute form replaces what `host` says.
        Case(
            b"GET http://a.b/c?d HTTP/1.1\r\nhost: h\r\n\r\n",
            "GET /c?d @a.b http empty keep end",
        ),
        Case(b"GET HTTPS://a:81/ HTTP/1.1\r\n\r\n", "GET / @a:81 https empty keep end"),
        Case(b"GET http://[::1]:80/ HTTP/1.1\r\n\r\n", "GET / @[::1]:80 http empty keep end"),
        Case(b"GET http://a HTTP/1.1\r\n\r\n", "GET / @a http empty keep end"),
        Case(b"GET http://a?b HTTP/1.1\r\n\r\n", "GET ?b @a http empty keep end"),
        Case(b"GET http://u:p@a/ HTTP/1.1\r\n\r\n", "GET / @a http empty keep end"),
        Case(b"GET http://a@b@c/ HTTP/1.1\r\n\r\n", "!InvalidUrl"),
        Case(b"GET http:///a HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidUrl"),
        Case(b"GET http://u@/a HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidUrl"),
        Case(b"GET http://a:/ HTTP/1.1\r\n\r\n", "!InvalidUrl"),
        Case(b"GET http://a:8x/ HTTP/1.1\r\n\r\n", "!InvalidUrl"),
        Case(b"GET http://a:65536/ HTTP/1.1\r\n\r\n", "!InvalidUrl"),
        Case(b"GET http://a_b/ HTTP/1.1\r\n\r\n", "!InvalidUrl"),
        Case(b"GET http://[::1/ HTTP/1.1\r\n\r\n", "!InvalidUrl"),
        Case(b"GET http://[a]/ HTTP/1.1\r\n\r\n", "!InvalidUrl"),
        Case(b"GET http://a#b/ HTTP/1.1\r\n\r\n", "!InvalidTarget"),
        Case(b"GET http:/a HTTP/1.1\r\n\r\n", "!InvalidTarget"),
        Case(b"GET ://a/ HTTP/1.1\r\n\r\n", "!InvalidTarget"),
        Case(b"GET http+x://a/ HTTP/1.1\r\n\r\n", "!InvalidScheme"),
        Case(b"GET 1http://a/ HTTP/1.1\r\n\r\n", "!InvalidTarget"),
        Case(b"GET ftp://a/ HTTP/1.1\r\n\r\n", "!InvalidScheme"),
        // The asterisk form is for OPTIONS.
        Case(b"OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n", "OPTIONS * @h empty keep end"),
        Case(b"GET * HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidUrl"),
        // The authority form is for CONNECT, and the port must be there.
        Case(
            b"CONNECT a:80 HTTP/1.1\r\nhost: h\r\n\r\nraw\r\n",
            "CONNECT @a:80 tunnel close \"raw\r\n\" end",
        ),
        Case(b"CONNECT [::1]:80 HTTP/1.1\r\n\r\n", "CONNECT @[::1]:80 tunnel close end"),
        Case(b"CONNECT a HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidUrl"),
        Case(b"CONNECT a: HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidUrl"),
        Case(b"CONNECT :80 HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidUrl"),
        Case(b"CONNECT u@a:80 HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidUrl"),
        Case(b"CONNECT a:80/ HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidUrl"),
        Case(b"CONNECT /a HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidUrl"),
        Case(b"CONNECT http://a/ HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidUrl"),
    ]);
    let keeps = RequestOptions { allow_absolute_url: false, ..RequestOptions::default() };
    check_requests(
        &keeps,
        &[Case(b"GET http://a/b HTTP/1.1\r\nhost: h\r\n\r\n", "GET http://a/b @h empty keep end")],
    );
    let any = RequestOptions { allow_custom_methods: true, ..RequestOptions::default() };
    check_requests(
        &any,
        &[
            Case(b"M-SEARCH /a HTTP/1.1\r\nhost: h\r\n\r\n", "M-SEARCH /a @h empty keep end"),
            Case(b"get /a HTTP/1.1\r\nhost: h\r\n\r\n", "get /a @h empty keep end"),
            Case(b"G(T /a HTTP/1.1\r\nhost: h\r\n\r\n", "!InvalidMethod"),
        ],
    );
}

/// RFC 9112 section 3.2: one `host`, and what it may say.
#[test]
fn hosts() {
    check_default(&[
        // Without one the request is for the connection manager to refuse.
        Case(b"GET / HTTP/1.1\r\n\r\n", "GET / empty keep end"),
        Case(b"GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / @ empty keep end"),
        Case(b"GET / HTTP/1.1\r\nhost: [::1]:80\r\n\r\n", "GET / @[::1]:80 empty keep end"),
        Case(b"GET / HTTP/1.1\r\nhost: a,b\r\n\r\n", "GET / @a,b empty keep end"),
        Case(b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", "!DuplicateHost"),
        Case(b"GET / HTTP/1.1\r\nhost: a\r\nHost: a\r\n\r\n", "!DuplicateHost"),
        Case(b"GET / HTTP/1.1\r\nhost: a b\r\n\r\n", "!InvalidAuthority"),
        Case(b"GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", "!InvalidAuthority"),
        Case(b"GET / HTTP/1.1\r\nhost: u@a\r\n\r\n", "!InvalidAuthority"),
        Case(b"GET / HTTP/1.1\r\nhost: a\\b\r\n\r\n", "!InvalidAuthority"),
        Case(b"GET / HTTP/1.1\r\nhost: \xc3\xa4\r\n\r\n", "!InvalidAuthority"),
    ]);
}

/// RFC 9112 section 5 and RFC 9110 section 5: field lines.
#[test]
fn fields() {
    check_default(&[
        Case(
            b"GET / HTTP/1.1\r\nX-B: 1\r\nHost: h\r\nx-a:  two words \t\r\nX-B:\r\n\r\n",
            "GET / @h {x-b=1|x-a=two words|x-b=} empty keep end",
        ),
        Case(
            b"GET / HTTP/1.1\r\n!#$%&'*+-.^_`|~09AZ: \xff\x80\t-\r\n\r\n",
            "GET / {!#$%&'*+-.^_`|~09az=\u{fffd}\u{fffd}\t-} empty keep end",
        ),
        // Repeated names that Envoy joins, and those that it keeps apart.
        Case(
            b"GET / HTTP/1.1\r\naccept: a\r\ncookie: 1\r\naccept: b\r\ncookie: 2\r\n\r\n",
            "GET / {accept=a,b|cookie=1|cookie=2} empty keep end",
        ),
        Case(b"GET / HTTP/1.1\r\na\r\n\r\n", "!InvalidHeaderName"),
        Case(b"GET / HTTP/1.1\r\n: a\r\n\r\n", "!InvalidHeaderName"),
        Case(b"GET / HTTP/1.1\r\na : b\r\n\r\n", "!InvalidHeaderName"),
        Case(b"GET / HTTP/1.1\r\na\t: b\r\n\r\n", "!InvalidHeaderName"),
        Case(b"GET / HTTP/1.1\r\na b: c\r\n\r\n", "!InvalidHeaderName"),
        Case(b"GET / HTTP/1.1\r\na/b: c\r\n\r\n", "!InvalidHeaderName"),
        Case(b"GET / HTTP/1.1\r\na\xffb: c\r\n\r\n", "!InvalidHeaderName"),
        // Folded lines: section 5.2.
        Case(b"GET / HTTP/1.1\r\na: b\r\n c\r\n\r\n", "!InvalidHeaderName"),
        Case(b"GET / HTTP/1.1\r\na: b\r\n\tc\r\n\r\n", "!InvalidHeaderName"),
        Case(b"GET / HTTP/1.1\r\n a: b\r\n\r\n", "!InvalidHeaderName"),
        // Control characters and lone carriage returns.
        Case(b"GET / HTTP/1.1\r\na: b\0c\r\n\r\n", "!InvalidCharacters"),
        Case(b"GET / HTTP/1.1\r\na: b\x01\r\n\r\n", "!InvalidCharacters"),
        Case(b"GET / HTTP/1.1\r\na: b\x7f\r\n\r\n", "!InvalidCharacters"),
        Case(b"GET / HTTP/1.1\r\na\0: b\r\n\r\n", "!InvalidCharacters"),
        Case(b"GET / HTTP/1.1\r\na: b\rc\r\n\r\n", "!InvalidHeaderValue"),
        Case(b"GET / HTTP/1.1\r\na: b\r\r\n\r\n", "!InvalidHeaderValue"),
    ]);
}

/// RFC 9112 section 2.2: a line ends with both, or it does not end.
#[test]
fn bare_line_feeds() {
    let bytes: [&[u8]; 6] = [
        b"GET / HTTP/1.1\nhost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\na: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\na: b\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\na: b\r\n\n",
        b"GET / HTTP/1.1\nhost: h\na: b\n\n",
        b"GET / HTTP/1.1\r\n\n",
    ];
    let refuse = RequestOptions::default();
    let accept =
        RequestOptions { bare_line_feeds: BareLineFeeds::Accept, ..RequestOptions::default() };
    for bytes in bytes {
        let refused = "!BareLineFeed";
        assert_eq!(reading::requests(&refuse, &[bytes]), refused);
        reading::check_cuts(bytes, refused, |pieces| reading::requests(&refuse, pieces));
        let accepted = reading::requests(&accept, &[bytes]);
        assert!(accepted.starts_with("GET / ") && accepted.ends_with(" empty keep end"));
        reading::check_cuts(bytes, &accepted, |pieces| reading::requests(&accept, pieces));
    }
}

/// RFC 9112 section 6.2 and RFC 9110 section 8.6.
#[test]
fn lengths() {
    check_default(&[
        Case(
            b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
            "POST / {content-length=3} length 3 keep \"abc\" end GET / empty keep end",
        ),
        Case(
            b"GET / HTTP/1.1\r\ncontent-length: 03 \r\n\r\nabc",
            "GET / {content-length=03} length 3 keep \"abc\" end",
        ),
        Case(
            b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
            "POST / {content-length=0} empty keep end",
        ),
        Case(b"POST / HTTP/1.1\r\n\r\n", "POST / empty keep end"),
        Case(
            b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nab",
            "POST / {content-length=3} length 3 keep \"ab\" ...",
        ),
        Case(
            b"POST / HTTP/1.1\r\ncontent-length: 18446744073709551615\r\n\r\na",
            "POST / {content-length=18446744073709551615} \
             length 18446744073709551615 keep \"a\" ...",
        ),
        Case(
            b"POST / HTTP/1.1\r\ncontent-length: 18446744073709551616\r\n\r\n",
            "!InvalidContentLength",
        ),
        Case(b"POST / HTTP/1.1\r\ncontent-length:\r\n\r\n", "!InvalidContentLength"),
        Case(b"POST / HTTP/1.1\r\ncontent-length: +3\r\n\r\nabc", "!InvalidContentLength"),
        Case(b"POST / HTTP/1.1\r\ncontent-length: -3\r\n\r\nabc", "!InvalidContentLength"),
        Case(b"POST / HTTP/1.1\r\ncontent-length: 0x3\r\n\r\nabc", "!InvalidContentLength"),
        Case(b"POST / HTTP/1.1\r\ncontent-length: 3, 3\r\n\r\nabc", "!InvalidContentLength"),
        Case(b"POST / HTTP/1.1\r\ncontent-length: 3 3\r\n\r\nabc", "!InvalidContentLength"),
        Case(
            b"POST / HTTP/1.1\r\ncontent-length: 3\r\nContent-Length: 3\r\n\r\nabc",
            "!InvalidContentLength",
        ),
        Case(
            b"POST / HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
            "!InvalidContentLength",
        ),
        Case(
            b"POST / HTTP/1.1\r\ncontent_length: 3\r\n\r\n",
            "POST / {content_length=3} empty keep end",
        ),
    ]);
}

/// RFC 9112 section 6.1: `chunked` alone, once, and no length beside it.
#[test]
fn transfer_codings() {
    check_default(&[
        Case(
            b"POST / HTTP/1.1\r\nTransfer-Encoding:\t ChunKed \r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "POST / chunked keep \"abc\" end",
        ),
        Case(
            b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET / chunked keep end",
        ),
        Case(
            b"POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
            "!InvalidTransferEncoding",
        ),
        Case(
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked, gzip\r\n\r\n",
            "!InvalidTransferEncoding",
        ),
        Case(
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked, chunked\r\n\r\n",
            "!InvalidTransferEncoding",
        ),
        Case(
            b"POST / HTTP/1.1\r\ntransfer-encoding: , chunked\r\n\r\n",
            "!InvalidTransferEncoding",
        ),
        Case(
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked;a=b\r\n\r\n",
            "!InvalidTransferEncoding",
        ),
        Case(
            b"POST / HTTP/1.1\r\ntransfer-encoding: \"chunked\"\r\n\r\n",
            "!InvalidTransferEncoding",
        ),
        Case(b"POST / HTTP/1.1\r\ntransfer-encoding: xchunked\r\n\r\n", "!InvalidTransferEncoding"),
        Case(b"POST / HTTP/1.1\r\ntransfer-encoding: identity\r\n\r\n", "!InvalidTransferEncoding"),
        Case(b"POST / HTTP/1.1\r\ntransfer-encoding:\r\n\r\n", "!InvalidTransferEncoding"),
        Case(b"POST / HTTP/1.1\r\ntransfer-encoding: \x0bchunked\r\n\r\n", "!InvalidCharacters"),
        Case(b"POST / HTTP/1.1\r\ntransfer-encoding:\r\n chunked\r\n\r\n", "!InvalidHeaderName"),
        Case(
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
            "!InvalidTransferEncoding",
        ),
        Case(
            b"POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n",
            "!InvalidTransferEncoding",
        ),
        Case(
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
            "!ContentLengthAndChunked",
        ),
        Case(
            b"POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "!ContentLengthAndChunked",
        ),
        Case(
            b"CONNECT a:1 HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
            "!InvalidTransferEncoding",
        ),
        Case(b"CONNECT a:1 HTTP/1.1\r\ncontent-length: 1\r\n\r\na", "!BodyDisallowed"),
        Case(b"CONNECT a:1 HTTP/1.1\r\ncontent-length: 0\r\n\r\n", "CONNECT @a:1 tunnel close end"),
    ]);
    let both = RequestOptions { allow_chunked_length: true, ..RequestOptions::default() };
    check_requests(
        &both,
        &[
            Case(
                b"POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n\
                  0\r\n\r\n",
                "POST / chunked keep end",
            ),
            Case(
                b"POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: gzip\r\n\r\n",
                "!ContentLengthAndChunked",
            ),
        ],
    );
}

/// RFC 9112 section 9 and RFC 9110 section 7.6.1.
#[test]
fn connections() {
    check_default(&[
        Case(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n", "GET / empty close end"),
        Case(
            b"GET / HTTP/1.1\r\nconnection: foo, CLOSE\r\nfoo: 1\r\n\r\n\
          ",
            "GET / empty close end",
        ),
        Case(b"GET / HTTP/1.1\r\nconnection: closex\r\n\r\n", "GET / empty keep end"),
        Case(b"GET / HTTP/1.1\r\nproxy-connection: close\r\n\r\n", "GET / empty close end"),
        Case(
            b"GET / HTTP/1.1\r\nconnection: x-a\r\nx-a: 1\r\nconnection: close\r\n\r\n",
            "GET / empty close end",
        ),
        Case(
            b"GET / HTTP/1.1\r\nconnection: keep-alive\r\nkeep-alive: timeout=5\r\n\
              proxy-connection: keep-alive\r\nupgrade: x\r\nte: gzip\r\n\r\n",
            "GET / empty keep end",
        ),
        Case(
            b"GET / HTTP/1.1\r\nconnection: te\r\nte: gzip;q=1, Trailers\r\n\r\n",
            "GET / {te=trailers} empty keep end",
        ),
        Case(b"GET / HTTP/1.1\r\nte: x, trailers\r\n\r\n", "GET / {te=trailers} empty keep end"),
        Case(b"GET / HTTP/1.1\r\nconnection: te\r\nte: gzip\r\n\r\n", "GET / empty keep end"),
        Case(
            b"POST / HTTP/1.1\r\nconnection: content-length\r\ncontent-length: 1\r\n\r\na",
            "POST / length 1 keep \"a\" end",
        ),
        Case(b"GET / HTTP/1.1\r\nconnection: host\r\nhost: h\r\n\r\n", "!ConnectionHeaderRejected"),
        Case(b"GET / HTTP/1.1\r\nconnection: X-Forwarded-For\r\n\r\n", "!ConnectionHeaderRejected"),
        Case(
            b"GET / HTTP/1.1\r\nconnection: x-forwarded-host\r\n\r\n\
          ",
            "!ConnectionHeaderRejected",
        ),
        Case(b"GET / HTTP/1.1\r\nconnection: :path\r\n\r\n", "!ConnectionHeaderRejected"),
        Case(b"GET / HTTP/1.1\r\nconnection: a,b,c,d,e,f,g,h,i\r\n\r\n", "GET / empty keep end"),
        Case(
            b"GET / HTTP/1.1\r\nconnection: a,b,c,d,e,f,g,h,i,j\r\n\r\n\
          ",
            "!ConnectionHeaderRejected",
        ),
        // What follows an upgrade is opaque.
        Case(
            b"GET / HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n\
              \0\r\n",
            "GET / {connection=keep-alive, Upgrade|upgrade=WebSocket} tunnel close \"\0\r\n\" end",
        ),
        Case(b"GET / HTTP/1.1\r\nconnection: upgrade\r\n\r\n", "GET / empty keep end"),
        Case(
            b"GET / HTTP/1.1\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n\
              http2-settings: AA\r\n\r\n",
            "GET / empty keep end",
        ),
        Case(
            b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HT",
            "GET /1 empty keep end GET /2 empty keep end ...",
        ),
    ]);
}

#[test]
fn underscores() {
    let bytes = b"GET / HTTP/1.1\r\na_b: 1\r\nc-d: 2\r\ne_: 3\r\n\r\n";
    for (underscores, expected) in [
        (UnderscoreAction::Allow, "GET / {a_b=1|c-d=2|e_=3} empty keep end"),
        (UnderscoreAction::Reject, "!UnexpectedUnderscore"),
        (UnderscoreAction::Drop, "GET / {c-d=2} empty keep dropped 2 end"),
    ] {
        let options = RequestOptions { underscores, ..RequestOptions::default() };
        reading::check_cuts(bytes, expected, |pieces| reading::requests(&options, pieces));
    }
}

/// The limits are reached and not passed.
#[test]
fn limits() {
    let options =
        RequestOptions { head_bytes_max: 60, headers_max: 3, ..RequestOptions::default() };
    let read = |pieces: &[&[u8]]| reading::requests(&options, pieces);
    let head = |value: usize| format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(value));
    assert_eq!(head(37).len(), 60);
    assert!(read(&[head(37).as_bytes()]).ends_with("empty keep end"));
    reading::check_cuts(head(37).as_bytes(), &read(&[head(37).as_bytes()]), read);
    reading::check_cuts(head(38).as_bytes(), "!HeadersTooLarge", read);
    reading::check_cuts(&head(100).as_bytes()[..61], "!HeadersTooLarge", read);
    reading::check_cuts(&head(100).as_bytes()[..60], "...", read);
    let lines = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
    reading::check_cuts(lines(3).as_bytes(), "GET / {a=b|a=b|a=b} empty keep end", read);
    reading::check_cuts(lines(4).as_bytes(), "!TooManyHeaders", read);
}

/// More lines than the stack has room for, where the configuration allows them.
#[test]
fn many_fields() {
    let options = RequestOptions { headers_max: 1000, ..RequestOptions::default() };
    let read = |pieces: &[&[u8]]| reading::requests(&options, pieces);
    let head = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
    for count in [127, 128, 129, 1000] {
        let text = read(&[head(count).as_bytes()]);
        assert_eq!(text.matches("a=b").count(), count);
        reading::check_cuts(head(count).as_bytes(), &text, read);
    }
    reading::check_cuts(head(1001).as_bytes(), "!TooManyHeaders", read);
}

/// What is moved past the decoder counts like what it saw.
#[test]
fn skipped_bytes_of_a_body() {
    let options = RequestOptions::default();
    let (mut decoder, mut head) = (RequestDecoder::new(), RequestHead::default());
    let bytes = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n";
    assert_eq!(decoder.decode(&options, bytes, &mut head).unwrap().consumed, bytes.len());
    assert_eq!(decoder.body_length_left(), Some(10));
    assert_eq!(decoder.decode_body(&options, b"abc").unwrap().consumed, 3);
    decoder.skip_body(5);
    assert_eq!(decoder.body_length_left(), Some(2));
    let step = decoder.decode_body(&options, b"ijGET").unwrap();
    assert_eq!((step.consumed, step.event), (2, Event::Body(0..2)));
    assert_eq!(decoder.body_length_left(), None);
    assert_eq!(decoder.decode_body(&options, b"GET").unwrap().event, Event::End);
}
