//! Frame scripts for what RFC 9113 section 8 demands of messages, each whole and cut at every
//! byte. What Envoy 1.40 accepts and refuses was measured with the same fields.
#![forbid(unsafe_code)]

mod wire;

use nuncio_proto::http1::UnderscoreAction;
use nuncio_proto::http2::Options;
use wire::*;

/// Each malformed message ends its stream only, so that what comes behind can be seen.
fn lenient() -> Options {
    Options { stream_error_on_invalid_message: true, ..Options::default() }
}

/// The reading of one request with these fields in place of or behind those of [`GET`].
fn reading(options: &Options, fields: &str) -> String {
    let bytes = [client_start(), whole(1, fields), whole(3, GET)].concat();
    let text = read_requests(options, &[&bytes]);
    check_cuts(&bytes, &text, |pieces| read_requests(options, pieces));
    text
}

fn accepted(fields: &str, expected: &str) {
    let text = reading(&Options::default(), fields);
    assert_eq!(text, format!("{expected} whole 1 1 end GET / @x whole 3 3 end"), "{fields}");
}

fn refused(fields: &str) {
    let text = reading(&lenient(), fields);
    assert_eq!(text, "GET / @x whole 3 3 end > RST 1 PROTOCOL_ERROR", "{fields}");
    // Envoy's default: the whole connection.
    let text = reading(&Options::default(), fields);
    assert!(text.starts_with("!Invalid"), "{fields}: {text}");
    assert!(text.ends_with(" > GOAWAY 1 PROTOCOL_ERROR"), "{fields}: {text}");
}

#[test]
fn section_8_2_1_field_names_and_values() {
    for name in ["A", "a b", "a\u{80}", "a:b", "a\x7f", "a\x01", "a(", "a\t"] {
        refused(&format!("{GET}{name}: b"));
    }
    for value in ["b\0", "b\x0d", "b\x0d", "b\x01c", "b\x7f", "\x1f"] {
        refused(&format!("{GET}a: {value}"));
    }
    let mut line_feed = block(GET);
    literal(b"a", b"b\nc", &mut line_feed);
    let bytes = [client_start(), frame(HEADERS, 5, 1, &line_feed)].concat();
    assert_eq!(read_requests(&lenient(), &[&bytes]), "> RST 1 PROTOCOL_ERROR");
    let mut empty_name = block(GET);
    literal(b"", b"b", &mut empty_name);
    let bytes = [client_start(), frame(HEADERS, 5, 1, &empty_name)].concat();
    assert_eq!(read_requests(&lenient(), &[&bytes]), "> RST 1 PROTOCOL_ERROR");

    accepted(
        &format!("{GET}a: b\tc\na_b: d\nx: \u{e9}\n!#$%&'*+-.^`|~0: y"),
        "GET / @x {a=b\tc|a_b=d|x=\u{e9}|!#$%&'*+-.^`|~0=y}",
    );
    // RFC 9113 forbids white space around a value; Envoy accepts it, and so it is taken for what
    // it is in HTTP/1.1.
    accepted(&format!("{GET}a:   b \t"), "GET / @x {a=b}");
}

#[test]
fn section_8_2_2_connection_specific_fields() {
    for field in [
        "connection: close",
        "connection: x",
        "keep-alive: 1",
        "proxy-connection: x",
        "transfer-encoding: chunked",
        "upgrade: x",
        "te: gzip",
        "te: trailers, gzip",
        "te: ",
    ] {
        refused(&format!("{GET}{field}"));
    }
    accepted(&format!("{GET}te: trailers"), "GET / @x {te=trailers}");
    accepted(&format!("{GET}te: Trailers"), "GET / @x {te=Trailers}");
}

// Rows: F17
#[test]
fn section_8_2_3_cookies() {
    accepted(
        &format!("{GET}cookie: a=1\nb: c\ncookie: b=2\ncookie: c=3"),
        "GET / @x {b=c|cookie=a=1; b=2; c=3}",
    );
}

#[test]
fn repeated_fields_are_joined_as_in_http_1() {
    accepted(&format!("{GET}accept: a\naccept: b\nx: 1\nx: 2"), "GET / @x {accept=a,b|x=1|x=2}");
}

#[test]
fn section_8_3_pseudo_header_fields() {
    for fields in [
        // Behind other fields, twice, unknown, or of responses.
        format!("a: b\n{GET}"),
        format!("{GET}a: b\n:path: /"),
        format!("{GET}:path: /"),
        format!("{GET}:method: GET"),
        format!("{GET}:authority: y"),
        format!("{GET}:scheme: http"),
        format!("{GET}:foo: /"),
        format!("{GET}:status: 200"),
        ":status: 200".to_string(),
        format!("{GET}:protocol: websocket"),
    ] {
        refused(&fields);
    }
    // 8.3.1: method, scheme and path must be there; and Envoy asks for an authority.
    for missing in GET.lines() {
        refused(&GET.replace(&format!("{missing}\n"), ""));
    }
    accepted(":method: GET\n:scheme: http\n:path: /\nhost: y", "GET / @y");
    // `:authority` wins over `host`.
    accepted(&format!("{GET}host: y"), "GET / @x");
    refused(&format!("{GET}host: y\nhost: y"));
}

#[test]
fn values_of_pseudo_header_fields() {
    let with = |name: &str, value: &str| {
        let line = |line: &str| {
            if line.starts_with(name) { format!("{name}: {value}") } else { line.to_string() }
        };
        GET.lines().map(line).collect::<Vec<_>>().join("\n")
    };
    for (name, value) in [
        (":path", ""),
        (":path", "abc"),
        (":path", "*"),
        (":path", "/a b"),
        (":path", "http://x/"),
        (":scheme", ""),
        (":scheme", "h_p"),
        (":scheme", "1http"),
        (":method", ""),
        (":method", "B W"),
        (":method", "G(T"),
        (":authority", ""),
        (":authority", "u@x"),
        (":authority", "x y"),
        (":authority", "x/y"),
        (":authority", "x#y"),
    ] {
        refused(&with(name, value));
    }
    accepted(&with(":method", "BREW"), "BREW / @x");
    accepted(&with(":scheme", "ftp"), "GET / @x");
    accepted(&with(":scheme", "HTTPS"), "GET / @x https");
    accepted(&with(":path", "/a#b?c=%20"), "GET /a#b?c=%20 @x");
    accepted(&with(":path", "/\u{80}"), "GET /\u{80} @x");
    accepted(&with(":authority", "[::1]:80"), "GET / @[::1]:80");
    accepted(&with(":path", "*").replace("GET", "OPTIONS"), "OPTIONS * @x");
    refused(&with(":path", "*x").replace("GET", "OPTIONS"));
}

// Rows: F28
#[test]
fn section_8_1_messages() {
    let server = |frames: Vec<Vec<u8>>, expected: &'static str| {
        check_server(&lenient(), &[Case(frames, expected)]);
    };
    server(
        vec![open(1, POST), data(1, 0, "abc"), whole(1, "a: b\nc: d")],
        "POST / @x 1 1\"abc\" 1 trailers {a=b|c=d} 1 end",
    );
    server(vec![open(1, POST), whole(1, "a: b")], "POST / @x 1 1 trailers {a=b} 1 end");
    // Trailers end the message.
    server(
        vec![open(1, POST), open(1, "a: b")],
        "POST / @x 1 1 reset !InvalidMessage > RST 1 PROTOCOL_ERROR",
    );
    // They have no pseudo-header fields and none that are about a connection.
    for (trailer, kind) in [
        (":path: /", "InvalidHeaderField"),
        (":status: 200", "InvalidHeaderField"),
        ("connection: close", "InvalidHeaderField"),
        ("A: b", "InvalidHeaderField"),
    ] {
        let bytes = [client_start(), open(1, POST), whole(1, trailer)].concat();
        assert_eq!(
            read_requests(&lenient(), &[&bytes]),
            format!("POST / @x 1 1 reset !{kind} > RST 1 PROTOCOL_ERROR")
        );
    }
    // What would frame or route another message is dropped: RFC 9110 section 6.5.1.
    server(
        vec![open(1, POST), whole(1, "host: y\ncontent-length: 3\nte: trailers\ntrailer: a\na: b")],
        "POST / @x 1 1 trailers {a=b} 1 end",
    );
}

#[test]
fn trailers_have_the_limits_of_heads() {
    let with = |count: usize| "a: b\n".repeat(count);
    let text = |count| {
        let bytes = [client_start(), open(1, POST), whole(1, &with(count))].concat();
        read_requests(&Options::default(), &[&bytes])
    };
    assert!(text(100).ends_with("a=b} 1 end"));
    assert_eq!(text(101), "POST / @x 1 1 reset !TooManyHeaders > RST 1 INTERNAL_ERROR");
}

#[test]
fn section_8_1_1_content_length() {
    let with = |length: &str| format!("{POST}content-length: {length}\n");
    for length in ["x", "-1", "+1", "0x1", "", "1,1", "18446744073709551616"] {
        refused(&with(length));
    }
    refused(&format!("{}content-length: 0", with("0")));
    refused(&with("3"));
    accepted(&with("0"), "POST / @x {content-length=0} length 0");
    let cases = [
        Case(
            vec![open(1, &with("3")), data(1, 0, "ab"), data(1, END_STREAM, "c")],
            "POST / @x {content-length=3} length 3 1 1\"abc\" 1 end",
        ),
        Case(
            vec![open(1, &with("3")), data(1, 0, "abc"), whole(1, "a: b")],
            "POST / @x {content-length=3} length 3 1 1\"abc\" 1 trailers {a=b} 1 end",
        ),
        Case(
            vec![open(1, &with("3")), data(1, 0, "ab"), data(1, PADDED | END_STREAM, "\x01c\0")],
            "POST / @x {content-length=3} length 3 1 1\"abc\" 1 end",
        ),
        // A body of another length ends its stream only, whatever the option says, as in Envoy.
        Case(
            vec![open(1, &with("3")), data(1, 0, "abcd"), whole(3, GET)],
            "POST / @x {content-length=3} length 3 1 1 reset !ContentLengthMismatch \
             GET / @x whole 3 3 end > RST 1 PROTOCOL_ERROR",
        ),
        Case(
            vec![open(1, &with("3")), data(1, END_STREAM, "ab"), whole(3, GET)],
            "POST / @x {content-length=3} length 3 1 1 reset !ContentLengthMismatch \
             GET / @x whole 3 3 end > RST 1 PROTOCOL_ERROR",
        ),
        Case(
            vec![open(1, &with("3")), data(1, 0, "ab"), data(1, END_STREAM, "")],
            "POST / @x {content-length=3} length 3 1 1\"ab\" 1 reset !ContentLengthMismatch \
             > RST 1 PROTOCOL_ERROR",
        ),
        Case(
            vec![open(1, &with("3")), data(1, 0, "ab"), whole(1, "a: b")],
            "POST / @x {content-length=3} length 3 1 1\"ab\" 1 reset !ContentLengthMismatch \
             > RST 1 PROTOCOL_ERROR",
        ),
    ];
    check_server(&Options::default(), &cases);
}

#[test]
fn section_8_5_connect_and_rfc_8441() {
    let connect = ":method: CONNECT\n:authority: x:1\n";
    check_server(
        &lenient(),
        &[
            Case(
                vec![open(1, connect), data(1, 0, "abc"), data(1, END_STREAM, "")],
                "CONNECT @x:1 tunnel 1 1\"abc\" 1 end",
            ),
            // Not both, and not without an authority.
            Case(vec![open(1, &format!("{connect}:path: /"))], "> RST 1 PROTOCOL_ERROR"),
            Case(vec![open(1, &format!("{connect}:scheme: http"))], "> RST 1 PROTOCOL_ERROR"),
            Case(vec![open(1, ":method: CONNECT")], "> RST 1 PROTOCOL_ERROR"),
            Case(vec![open(1, &format!("{connect}content-length: 3"))], "> RST 1 PROTOCOL_ERROR"),
            // Extended CONNECT was not announced.
            Case(
                vec![open(1, &format!("{}:protocol: websocket", GET.replace("GET", "CONNECT")))],
                "> RST 1 PROTOCOL_ERROR",
            ),
        ],
    );
    let extended = Options { allow_connect: true, ..lenient() };
    let websocket = GET.replace("GET", "CONNECT") + ":protocol: websocket\n";
    check_server(
        &extended,
        &[
            Case(
                vec![open(1, &format!("{websocket}a: b")), data(1, 0, "abc")],
                "GET / @x {a=b|upgrade=websocket|connection=upgrade} tunnel 1 1\"abc\"",
            ),
            Case(vec![open(1, &format!("{GET}:protocol: websocket"))], "> RST 1 PROTOCOL_ERROR"),
            Case(
                vec![open(1, ":method: CONNECT\n:authority: x\n:protocol: websocket")],
                "> RST 1 PROTOCOL_ERROR",
            ),
        ],
    );
}

// Rows: F15
#[test]
fn names_with_underscores() {
    let with = |underscores| Options { underscores, ..Options::default() };
    let fields = format!("{GET}a_b: c\nd: e");
    assert_eq!(
        reading(&with(UnderscoreAction::Reject), &fields),
        "GET / @x whole 3 3 end > RST 1 INTERNAL_ERROR"
    );
    assert_eq!(
        reading(&with(UnderscoreAction::Drop), &fields),
        "GET / @x {d=e} dropped 1 whole 1 1 end GET / @x whole 3 3 end"
    );
}

// Rows: F22
#[test]
fn responses() {
    let head = |status: u16, fields: &str| open(1, &format!(":status: {status}\n{fields}"));
    let only = |status: u16, fields: &str| whole(1, &format!(":status: {status}\n{fields}"));
    check_client(
        &lenient(),
        &["GET"],
        &[
            Case(vec![head(200, "a: b"), data(1, END_STREAM, "abc")], "200 {a=b} 1 1\"abc\" 1 end"),
            // Section 8.1: interim heads, one final head, trailers.
            Case(
                vec![
                    head(100, ""),
                    head(103, "link: x"),
                    head(200, ""),
                    data(1, 0, "abc"),
                    whole(1, "grpc-status: 0"),
                ],
                "100 1 103 {link=x} 1 200 1 1\"abc\" 1 trailers {grpc-status=0} 1 end",
            ),
            Case(vec![only(103, "")], "1 reset !InvalidMessage > RST 1 PROTOCOL_ERROR"),
            Case(vec![data(1, 0, "abc")], "1 reset !InvalidMessage > RST 1 PROTOCOL_ERROR"),
            Case(
                vec![head(200, ""), head(200, "")],
                "200 1 1 reset !InvalidMessage > RST 1 PROTOCOL_ERROR",
            ),
            // Section 8.6: no 101; 8.3.2: exactly one `:status`, of three digits.
            Case(vec![only(101, "")], "1 reset !InvalidMessage > RST 1 PROTOCOL_ERROR"),
            Case(vec![whole(1, "a: b")], "1 reset !InvalidMessage > RST 1 PROTOCOL_ERROR"),
            Case(
                vec![whole(1, ":status: 20")],
                "1 reset !InvalidHeaderField > RST 1 PROTOCOL_ERROR",
            ),
            Case(
                vec![whole(1, ":status: 099")],
                "1 reset !InvalidHeaderField > RST 1 PROTOCOL_ERROR",
            ),
            Case(
                vec![whole(1, ":status: 200\n:status: 200")],
                "1 reset !InvalidHeaderField > RST 1 PROTOCOL_ERROR",
            ),
            Case(
                vec![whole(1, ":status: 200\n:path: /")],
                "1 reset !InvalidHeaderField > RST 1 PROTOCOL_ERROR",
            ),
            Case(
                vec![only(200, "content-length: 3")],
                "1 reset !ContentLengthMismatch > RST 1 PROTOCOL_ERROR",
            ),
            Case(
                vec![only(304, "content-length: 3")],
                "304 {content-length=3} length 3 whole 1 1 end",
            ),
            Case(
                vec![head(204, ""), data(1, END_STREAM, "x")],
                "204 1 1 reset !ContentLengthMismatch > RST 1 PROTOCOL_ERROR",
            ),
            // A server does not push, whatever it was told, and opens no streams.
            Case(
                vec![frame(PUSH_PROMISE, 4, 1, &[&[0, 0, 0, 2][..], &block(GET)].concat())],
                "!PushPromise > GOAWAY 0 PROTOCOL_ERROR",
            ),
            Case(
                vec![frame(SETTINGS, 0, 0, &setting(2, 1))],
                "!InvalidSetting > GOAWAY 0 PROTOCOL_ERROR",
            ),
            Case(vec![whole(2, ":status: 200")], "!InvalidStreamId > GOAWAY 0 PROTOCOL_ERROR"),
            Case(vec![whole(3, ":status: 200")], "!IdleStream > GOAWAY 0 PROTOCOL_ERROR"),
            Case(vec![data(3, 0, "x")], "!IdleStream > GOAWAY 0 PROTOCOL_ERROR"),
            // Both sides have ended: the peer knows that it is closed.
            Case(
                vec![only(200, ""), data(1, 0, "x")],
                "200 whole 1 1 end !ClosedStream > GOAWAY 0 STREAM_CLOSED",
            ),
            Case(vec![number(RST_STREAM, 1, 7)], "1 reset REFUSED_STREAM"),
        ],
    );
    check_client(
        &lenient(),
        &["HEAD"],
        &[
            Case(
                vec![only(200, "content-length: 3")],
                "200 {content-length=3} length 3 whole 1 1 end",
            ),
            Case(
                vec![head(200, "content-length: 3"), data(1, END_STREAM, "")],
                "200 {content-length=3} length 3 1 1 end",
            ),
            Case(
                vec![head(200, "content-length: 3"), data(1, END_STREAM, "abc")],
                "200 {content-length=3} length 3 1 1 reset !ContentLengthMismatch \
                 > RST 1 PROTOCOL_ERROR",
            ),
        ],
    );
    check_client(
        &lenient(),
        &["CONNECT"],
        &[Case(
            vec![head(200, "content-length: 3"), data(1, 0, "abcdef")],
            "200 length 3 tunnel 1 1\"abcdef\"",
        )],
    );
}

// Rows: F20, F24
#[test]
fn section_6_8_a_goaway_says_which_requests_may_be_sent_again() {
    let goaway = |last: u32| [&last.to_be_bytes()[..], &[0; 4]].concat();
    let only = |id| whole(id, ":status: 200");
    check_client(
        &Options::default(),
        &["GET", "GET", "GET", "GET"],
        &[
            Case(
                vec![frame(GOAWAY, 0, 0, &goaway(3)), only(1), only(3)],
                "goaway NO_ERROR 7 reset GOAWAY 5 reset GOAWAY 200 whole 1 1 end 200 whole 3 3 end",
            ),
            // A notice first, then the real one.
            Case(
                vec![
                    frame(GOAWAY, 0, 0, &goaway(0x7fff_ffff)),
                    only(1),
                    frame(GOAWAY, 0, 0, &goaway(5)),
                ],
                "goaway NO_ERROR 200 whole 1 1 end 7 reset GOAWAY",
            ),
        ],
    );
}

#[test]
fn metadata_beside_messages() {
    let options = Options { allow_metadata: true, ..Options::default() };
    let map = block("Key: Value\nb: c");
    let (first, second) = map.split_at(5);
    check_server(
        &options,
        &[
            Case(
                vec![
                    open(1, POST),
                    frame(METADATA, 0, 1, first),
                    data(1, 0, "abc"),
                    frame(METADATA, 4, 1, second),
                    frame(METADATA, 4, 1, &block("d: e")),
                    data(1, END_STREAM, ""),
                ],
                "POST / @x 1 1\"abc\" 1 metadata {Key=Value|b=c} 1 metadata {d=e} 1 end",
            ),
            // Of no stream, of one that has ended, and empty: ignored.
            Case(
                vec![
                    frame(METADATA, 4, 0, &map),
                    frame(METADATA, 4, 9, &map),
                    whole(1, GET),
                    frame(METADATA, 4, 1, &map),
                    open(3, POST),
                    frame(METADATA, 4, 3, b""),
                ],
                "GET / @x whole 1 1 end POST / @x 3",
            ),
            Case(
                vec![open(1, POST), frame(METADATA, 4, 1, b"\x80")],
                "POST / @x 1 !InvalidMetadata > GOAWAY 1 PROTOCOL_ERROR",
            ),
        ],
    );
    // Where it is not allowed it is a frame of no meaning.
    check_server(
        &Options::default(),
        &[Case(vec![open(1, POST), frame(METADATA, 4, 1, b"\x80")], "POST / @x 1")],
    );
    let small = Options { metadata_bytes_max: 20, ..options };
    check_server(
        &small,
        &[
            Case(
                vec![open(1, POST), frame(METADATA, 4, 1, &block("a: 12345678901234567")[..20])],
                "POST / @x 1 !InvalidMetadata > GOAWAY 1 PROTOCOL_ERROR",
            ),
            Case(
                vec![open(1, POST), frame(METADATA, 4, 1, &block("a: 1234567890123456"))],
                "POST / @x 1 1 metadata {a=1234567890123456}",
            ),
            // All maps of a stream together.
            Case(
                vec![
                    open(1, POST),
                    frame(METADATA, 4, 1, &block("a: 123456")),
                    frame(METADATA, 4, 1, &block("b: 123456")),
                    open(3, POST),
                    frame(METADATA, 4, 3, &block("c: 123456")),
                    frame(METADATA, 0, 1, b"\0"),
                ],
                "POST / @x 1 1 metadata {a=123456} 1 metadata {b=123456} POST / @x 3 \
                 3 metadata {c=123456} !InvalidMetadata > GOAWAY 3 PROTOCOL_ERROR",
            ),
            // Huffman's code is shorter; a table of one map is not another's.
            Case(
                vec![
                    open(1, POST),
                    frame(METADATA, 4, 1, b"\x40\x81\x1f\x81\x1f\xbe"),
                    frame(METADATA, 4, 1, b"\xbe"),
                ],
                "POST / @x 1 1 metadata {a=a|a=a} !InvalidMetadata > GOAWAY 1 PROTOCOL_ERROR",
            ),
            Case(
                vec![open(1, POST), frame(METADATA, 0, 1, &[0; 21])],
                "POST / @x 1 !InvalidMetadata > GOAWAY 1 PROTOCOL_ERROR",
            ),
        ],
    );
}
