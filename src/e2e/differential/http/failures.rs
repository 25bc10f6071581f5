//! Upstreams that fail and clients that leave.

use super::plan::Http;
use super::{Case, OK, answered, closed, local, note_log, play, reset, usual};
use crate::differential::Scenario;
use crate::differential::plan::Endpoint;
use crate::differential::stage::Stage;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "http_upstream_failures",
            shows: "http: an upstream that closes before or within its answer, or sends garbage",
            plan: usual,
            script: |stage| play(stage, FAILURES),
        },
        Scenario {
            name: "http_refused",
            shows: "http: an upstream that refuses connections; 503 UF",
            plan: || Http::default().plan_to(vec![Endpoint::refusing()]),
            script: |stage| {
                play(
                    stage,
                    &[
                        local(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n"),
                        local(b"HEAD / HTTP/1.1\r\nhost: a.test\r\n\r\n"),
                        local(b"POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 3\r\n\r\nabc"),
                    ],
                );
            },
        },
        Scenario {
            name: "http_no_host",
            shows: "http: a cluster without hosts; 503 UH",
            plan: || Http::default().plan_to(Vec::new()),
            script: |stage| {
                play(
                    stage,
                    &[
                        local(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n"),
                        local(b"POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 3\r\n\r\nabc"),
                    ],
                );
            },
        },
        Scenario {
            name: "http_early_response",
            shows: "http: a response before the request is complete",
            plan: usual,
            script: early_response,
        },
        Scenario {
            name: "http_client_breaks_off",
            shows: "http: a client whose body breaks the protocol, before and in the response",
            plan: usual,
            script: client_breaks_off,
        },
        Scenario {
            name: "http_client_leaves",
            shows: "http: a client that closes while it waits; DC",
            plan: usual,
            script: |stage| client_leaves(stage, b"GET /wait HTTP/1.1\r\nhost: a.test\r\n\r\n"),
        },
        Scenario {
            name: "http_client_resets",
            shows: "http: a client that resets while it waits; DC",
            plan: usual,
            script: client_resets,
        },
        Scenario {
            name: "http_client_leaves_in_body",
            shows: "http: a client that closes within its body",
            plan: usual,
            script: client_leaves_in_body,
        },
        Scenario {
            name: "http_client_leaves_in_response",
            shows: "http: a client that closes while the response comes",
            plan: usual,
            script: client_leaves_in_response,
        },
        Scenario {
            name: "http_client_half_closes",
            shows: "http: a client that sends FIN behind its request",
            plan: usual,
            script: client_half_closes,
        },
        Scenario {
            name: "http_client_leaves_in_head",
            shows: "http: a client that closes within a head, or without one",
            plan: usual,
            script: client_leaves_in_head,
        },
    ]
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";

const FAILURES: &[Case] = &[
    closed(GET, b""),
    reset(GET, b""),
    closed(GET, b"HTTP/1.1 200 OK\r\ncontent-le"),
    closed(GET, b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello"),
    closed(GET, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    closed(GET, b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
    closed(b"POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 3\r\n\r\nabc", b""),
    reset(GET, b"HTTP/1.1 200 OK\r\ncontent-le"),
    reset(GET, b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello"),
    answered(GET, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more"),
    answered(GET, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok and more"),
    answered(GET, b"garbage\r\n\r\n"),
    answered(GET, b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"),
    answered(GET, b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"),
    answered(GET, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n"),
    answered(GET, b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 103 Again\r\n\r\ngarbage\r\n\r\n"),
    closed(GET, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-le"),
    answered(b"GET /after HTTP/1.1\r\nhost: a.test\r\n\r\n", OK),
];

fn early_response(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(b"POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 10\r\n\r\nabc");
    let mut upstream = stage.accept();
    let head = upstream.receive_head();
    stage.note("the upstream received the head", stage.shown(head.as_bytes()).escape_ascii());
    assert_eq!(upstream.receive(3), b"abc");
    upstream.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig");
    let (bytes, ending) = client.receive_to_end();
    stage.note_end("the client", &(stage.shown(&bytes), ending));
    drop(client);
    stage.note_end("the upstream", &upstream.receive_to_end());
    note_log(stage);
}

fn client_breaks_off(stage: &mut Stage<'_>) {
    for answer in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok"] {
        let mut client = stage.connect();
        client.send(
            b"POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        );
        let mut upstream = stage.accept();
        upstream.receive_head();
        assert_eq!(upstream.receive(8), b"3\r\nabc\r\n");
        upstream.send(answer);
        let mut begun = Vec::new();
        if !answer.is_empty() {
            begun.extend_from_slice(client.receive_head().as_bytes());
            begun.extend(client.receive(2));
        }
        client.send(b"no size\r\n");
        let (bytes, ending) = client.receive_to_end();
        begun.extend(bytes);
        stage.note_end("the client", &(stage.shown(&begun), ending));
        stage.note_end("the upstream", &upstream.receive_to_end());
    }
    note_log(stage);
}

fn client_leaves(stage: &mut Stage<'_>, request: &[u8]) {
    let mut client = stage.connect();
    client.send(request);
    let mut upstream = stage.accept();
    stage.note_message("the upstream", &upstream.receive_request());
    drop(client);
    stage.note("the upstream ended by", upstream.ending());
    stage.expect_stat("http.downstream_cx_active", 0);
    note_log(stage);
}

fn client_resets(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(GET);
    let mut upstream = stage.accept();
    stage.note_message("the upstream", &upstream.receive_request());
    client.reset();
    stage.note("the upstream ended by", upstream.ending());
    stage.expect_stat("http.downstream_cx_active", 0);
    note_log(stage);
}

fn client_leaves_in_body(stage: &mut Stage<'_>) {
    for request in [
        &b"POST /length HTTP/1.1\r\nhost: a.test\r\ncontent-length: 10\r\n\r\nabc"[..],
        b"POST /chunk HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let mut client = stage.connect();
        client.send(request);
        let mut upstream = stage.accept();
        let head = upstream.receive_head();
        stage.note("the upstream received the head", stage.shown(head.as_bytes()).escape_ascii());
        let body = if head.contains("chunked") { &b"3\r\nabc\r\n"[..] } else { b"abc" };
        assert_eq!(upstream.receive(body.len()), body);
        drop(client);
        stage.note_end("the upstream", &upstream.receive_to_end());
        stage.expect_stat("http.downstream_cx_active", 0);
    }
    note_log(stage);
}

fn client_leaves_in_response(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(GET);
    let mut upstream = stage.accept();
    upstream.answer(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello");
    let head = stage.shown(client.receive_head().as_bytes());
    stage.note("the client received the head", head.escape_ascii());
    assert_eq!(client.receive(5), b"hello");
    drop(client);
    stage.note("the upstream ended by", upstream.ending());
    stage.expect_stat("http.downstream_cx_active", 0);
    note_log(stage);
}

fn client_half_closes(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(GET);
    let mut upstream = stage.accept();
    stage.note_message("the upstream", &upstream.receive_request());
    client.finish_sending();
    stage.note_end("the client", &client.receive_to_end());
    stage.note("the upstream ended by", upstream.ending());
    note_log(stage);
}

fn client_leaves_in_head(stage: &mut Stage<'_>) {
    for bytes in [&b""[..], b"G", b"GET / HTTP/1.1\r\nhost: a"] {
        let mut client = stage.connect();
        client.send(bytes);
        client.finish_sending();
        let what = format!("after '{}' the client", bytes.escape_ascii());
        let (bytes, ending) = client.receive_to_end();
        stage.note_end(&what, &(stage.shown(&bytes), ending));
    }
    note_log(stage);
}
