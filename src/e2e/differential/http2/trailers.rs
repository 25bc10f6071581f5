//! What access logs say of the trailers of responses, and of the status of a call in them.

use super::upstream::{HTTP2, Origin};
use super::{Awaits, Case, answered, note_client, play};
use crate::differential::Scenario;
use crate::differential::http::plan::Http;
use crate::differential::http::{Behaviour, note_answer, note_log};
use crate::differential::stage::Stage;
use crate::http2::{Http2, data, headers, message, reset, trailers};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "h2_logged_trailers",
            shows: "E2: trailers of HTTP/1 upstreams in access logs",
            plan: || Http { log_format: Some(LOG), protocol: TOLD, ..Http::default() }.plan(),
            script: |stage| play(stage, CHUNKED),
        },
        Scenario {
            name: "h2_unlogged_trailers",
            shows: "E2: trailers of HTTP/1 upstreams that are not enabled",
            plan: || Http { log_format: Some(LOG), ..Http::default() }.plan(),
            script: |stage| play(stage, &CHUNKED[..1]),
        },
        Scenario {
            name: "h2up_logged_trailers",
            shows: "F22: trailers of HTTP/2 upstreams in access logs, and the status of a call",
            plan: || Http { log_format: Some(JSON), protocol: HTTP2, ..Http::default() }.plan(),
            script: statuses,
        },
    ]
}

const LOG: &str = "log_format: {text_format_source: {inline_string: \"\
    %REQ(:PATH)% code %RESPONSE_CODE% flags %RESPONSE_FLAGS% trailer %TRAILER(X-T)% \
    %TRAILER(X-NONE?X-T):2% %RESPONSE_TRAILER(GRPC-STATUS)% bytes %RESPONSE_TRAILERS_BYTES% \
    grpc %GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% \
    %GRPC_STATUS_NUMBER%\\n\"}}";

/// The same, with the types of JSON.
const JSON: &str = "log_format: {json_format: {path: \"%REQ(:PATH)%\", trailer: \"%TRAILER(X-T)%\", \
    both: \"%TRAILER(X-NONE?X-T):2% %RESPONSE_TRAILER(GRPC-STATUS)%\", \
    bytes: \"%RESPONSE_TRAILERS_BYTES%\", camel: \"%GRPC_STATUS%\", \
    snake: \"%GRPC_STATUS(SNAKE_STRING)%\", number: \"%GRPC_STATUS(NUMBER)%\", \
    again: \"%GRPC_STATUS_NUMBER%\", within: \"a %GRPC_STATUS_NUMBER% %GRPC_STATUS%\"}}";

const TOLD: &[&str] = &["explicit_http_config: {http_protocol_options: {enable_trailers: true}}"];

const CALL: &[(&str, &str)] = &[("content-type", "application/grpc"), ("te", "trailers")];

const CHUNKED: &[Case] = &[
    answered(
        "trailers",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
          2\r\nok\r\n0\r\nX-T: one two\r\nx-t: three\r\ngrpc-status: 7\r\n\r\n",
        || message(1, ("POST", "/trailers"), CALL, true),
    ),
    answered(
        "none",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        || message(1, ("POST", "/none"), CALL, true),
    ),
    Case {
        what: "cut before them",
        sends: || message(1, ("POST", "/cut"), CALL, true),
        upstream: Behaviour::AnswersAndCloses(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\n",
        ),
        awaits: Awaits::Streams(&[1]),
    },
];

type Answer = fn(u32) -> Vec<u8>;

/// A response with these trailers behind a body.
macro_rules! behind_a_body {
    ($($field:expr),*) => {
        |id| {
            let head = headers(id, &[(":status", "200"), ("grpc-status", "3")], false);
            [head, data(id, b"ok", false), trailers(id, &[$($field),*])].concat()
        }
    };
}

/// What hosts say of a call, and how it is asked for.
const ANSWERS: &[(&str, &str, Answer)] = &[
    ("/ok", "application/grpc", behind_a_body!(("grpc-status", "0"), ("x-t", "value"))),
    ("/not-found", "application/grpc+proto", behind_a_body!(("grpc-status", "5"))),
    ("/unavailable", "application/grpc", behind_a_body!(("grpc-status", "14"))),
    ("/last", "application/grpc", behind_a_body!(("grpc-status", "16"))),
    ("/above", "application/grpc", behind_a_body!(("grpc-status", "17"))),
    ("/no-number", "application/grpc", behind_a_body!(("grpc-status", "1x"))),
    ("/negative", "application/grpc", behind_a_body!(("grpc-status", "-1"))),
    ("/empty", "application/grpc", behind_a_body!(("grpc-status", ""))),
    ("/huge", "application/grpc", behind_a_body!(("grpc-status", "99999999999"))),
    ("/overflow", "application/grpc", behind_a_body!(("grpc-status", "18446744073709551616"))),
    ("/plus", "application/grpc", behind_a_body!(("grpc-status", "+2"))),
    ("/blanks", "application/grpc", behind_a_body!(("grpc-status", "2 2"))),
    ("/twice", "application/grpc", behind_a_body!(("grpc-status", "1"), ("grpc-status", "2"))),
    ("/no-status", "application/grpc", behind_a_body!(("x-t", "v"))),
    ("/no-call", "text/plain", behind_a_body!(("grpc-status", "5"), ("x-t", "v"))),
    ("/web", "application/grpc-web", behind_a_body!(("grpc-status", "5"))),
    ("/parameter", "application/grpc; x=y", behind_a_body!(("grpc-status", "5"))),
    ("/head-only", "application/grpc", |id| {
        headers(id, &[(":status", "200"), ("grpc-status", "13")], true)
    }),
    ("/in-the-head", "application/grpc", |id| {
        let head = headers(id, &[(":status", "200"), ("grpc-status", "12")], false);
        [head, data(id, b"ok", true)].concat()
    }),
    ("/of-http", "application/grpc", |id| {
        let head = headers(id, &[(":status", "404")], false);
        [head, data(id, b"", true)].concat()
    }),
    ("/without-a-body", "application/grpc", |id| {
        let head = headers(id, &[(":status", "200")], false);
        [head, trailers(id, &[("grpc-status", "2"), ("x-t", "1")])].concat()
    }),
    ("/503", "application/grpc", |id| {
        let head = headers(id, &[(":status", "503")], false);
        [head, trailers(id, &[("grpc-status", "0"), ("x-t", "1")])].concat()
    }),
    ("/cut", "application/grpc", |id| {
        [headers(id, &[(":status", "200"), ("grpc-status", "9")], false), reset(id, 2)].concat()
    }),
];

fn statuses(stage: &mut Stage<'_>) {
    let mut origin = None;
    for (path, content_type, answer) in ANSWERS {
        let mut client = Http2::client(stage.connect(), &[]);
        client.send(&message(1, ("POST", path), &[("content-type", content_type)], true));
        origin.get_or_insert_with(|| Origin::accept(stage)).serve(stage, path, answer);
        client.receive_streams(&[1]);
        note_client(stage, path, client);
        stage.wait_until_idle();
    }
    let mut client = stage.connect();
    client.send(
        b"POST /http1 HTTP/1.1\r\nhost: a.test\r\ncontent-type: application/grpc\r\n\
          content-length: 0\r\n\r\n",
    );
    origin.as_mut().unwrap().serve(stage, "over HTTP/1:", behind_a_body!(("grpc-status", "6")));
    note_answer(stage, "over HTTP/1:", &mut client, "POST");
    drop((client, origin));
    note_log(stage);
}
