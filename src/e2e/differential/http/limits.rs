//! Heads that are too large, on either side.

use super::plan::Http;
use super::{Origin, note_answer, note_log};
use crate::differential::Scenario;
use crate::differential::stage::Stage;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "http_max_headers_kb",
            shows: "http: max_request_headers_kb; 431",
            plan: || Http { manager: &["max_request_headers_kb: 8"], ..Http::default() }.plan(),
            script: |stage| {
                for bytes in [4096, 9000, 40_000] {
                    large_request(stage, &format!("x-a: {}\r\n", "a".repeat(bytes)));
                }
                note_log(stage);
            },
        },
        Scenario {
            name: "http_max_headers_count",
            shows: "http: max_headers_count; 431",
            plan: || {
                let manager = &["common_http_protocol_options: {max_headers_count: 10}"];
                Http { manager, ..Http::default() }.plan()
            },
            script: |stage| {
                for count in [9, 10, 11] {
                    large_request(stage, &"x-a: 1\r\n".repeat(count));
                }
                note_log(stage);
            },
        },
        Scenario {
            name: "http_long_path",
            shows: "http: a request line that is too long; 431",
            plan: || Http { manager: &["max_request_headers_kb: 8"], ..Http::default() }.plan(),
            script: |stage| {
                let mut client = stage.connect();
                let path = "a".repeat(20_000);
                client.send(format!("GET /{path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes());
                note_answer(stage, "a long path:", &mut client, "GET");
                drop(client);
                note_log(stage);
            },
        },
        Scenario {
            name: "http_large_response_head",
            shows: "http: a response head that is too large",
            plan: super::usual,
            script: |stage| {
                large_response(stage, &format!("x-a: {}\r\n", "a".repeat(20_000)));
                large_response(stage, &format!("x-a: {}\r\n", "a".repeat(90_000)));
                large_response(stage, &"x-a: 1\r\n".repeat(99));
                large_response(stage, &"x-a: 1\r\n".repeat(101));
                note_log(stage);
            },
        },
    ]
}

fn large_request(stage: &Stage<'_>, fields: &str) {
    let mut client = stage.connect();
    let head = format!("GET /probe HTTP/1.1\r\nhost: a.test\r\n{fields}\r\n");
    client.send(head.as_bytes());
    note_answer(stage, &format!("fields of {} bytes:", fields.len()), &mut client, "GET");
}

fn large_response(stage: &Stage<'_>, fields: &str) {
    let what = format!("fields of {} bytes:", fields.len());
    let mut client = stage.connect();
    client.send(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n");
    let mut origin = Origin::new(stage.upstreams().next().unwrap());
    let (mut upstream, _) = origin.next(&what);
    upstream.receive_request();
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n{fields}\r\n");
    upstream.send_even_if_closed(head.as_bytes());
    note_answer(stage, &what, &mut client, "GET");
}
