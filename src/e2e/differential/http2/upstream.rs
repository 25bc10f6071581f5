//! HTTP/2 to upstreams: requests of either version, and what upstreams may do with them.

use super::{note_client, note_frames};
use crate::differential::Scenario;
use crate::differential::http::plan::Http;
use crate::differential::http::{note_answer, note_log};
use crate::differential::stage::Stage;
use crate::http2::{Http2, Seen, data, frame, goaway, headers, message, reset, trailers};
use crate::peer::Peer;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "h2up_settings",
            shows: "F1: the first frames to an upstream",
            plan: || Http { protocol: HTTP2, ..Http::default() }.plan(),
            script: |stage| {
                let mut client = stage.connect();
                client.send(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n");
                let mut upstream = Http2::server(stage.accept(), &[]);
                upstream.receive_head(1);
                for seen in &upstream.seen {
                    match seen {
                        Seen::Settings(list) => stage.note("SETTINGS", format!("{list:?}")),
                        Seen::WindowUpdate { stream, bytes } => {
                            stage.note("WINDOW_UPDATE", format!("{stream} {bytes}"));
                        }
                        _ => {}
                    }
                }
                upstream.send(&headers(1, &[(":status", "204")], true));
                note_answer(stage, "the client", &mut client, "GET");
                drop((client, upstream));
                note_log(stage);
            },
        },
        Scenario {
            name: "h2up_messages",
            shows: "F22: HTTP/1 clients, upstreams of HTTP/2: heads, bodies, trailers",
            plan: || Http { protocol: HTTP2, ..Http::default() }.plan(),
            script: messages,
        },
        Scenario {
            name: "h2up_both",
            shows: "F17, F22: HTTP/2 on both sides",
            plan: || Http { protocol: HTTP2, ..Http::default() }.plan(),
            script: both,
        },
        Scenario {
            name: "h2up_resets",
            shows: "F24: an upstream that resets streams, by code",
            plan: || Http { protocol: HTTP2, ..Http::default() }.plan(),
            script: resets,
        },
        Scenario {
            name: "h2up_goaway",
            shows: "F20: an upstream that says GOAWAY, with a stream above it",
            plan: || Http { protocol: HTTP2, ..Http::default() }.plan(),
            script: going_away,
        },
        Scenario {
            name: "h2up_failures",
            shows: "F13, F28: upstreams that break the rules, or leave",
            plan: || Http { protocol: HTTP2, ..Http::default() }.plan(),
            script: failures,
        },
        Scenario {
            name: "h2up_capacity",
            shows: "D12: max_concurrent_streams: one more request has a connection of its own",
            plan: || {
                let protocol = &[
                    "explicit_http_config: {http2_protocol_options: {max_concurrent_streams: 2}}",
                ];
                Http { protocol, ..Http::default() }.plan()
            },
            script: |stage| {
                let mut clients: Vec<Peer> = (0..3).map(|_| stage.connect()).collect();
                let mut first = None;
                for (index, client) in clients.iter_mut().enumerate() {
                    let path = format!("GET /{index} HTTP/1.1\r\nhost: a.test\r\n\r\n");
                    client.send(path.as_bytes());
                    stage.expect_stat("cluster.upstream_rq_total", index as u64 + 1);
                    if index == 0 {
                        first = Some(stage.accept());
                    }
                }
                let mut first = Http2::server(first.unwrap(), &[]);
                let mut second = Http2::server(stage.accept(), &[]);
                first.receive_head(3);
                second.receive_head(1);
                note_frames(stage, "the first connection", &first);
                note_frames(stage, "the second connection", &second);
                first.send(&[1, 3].map(|stream| headers(stream, OK, true)).concat());
                second.send(&headers(1, OK, true));
                for (index, client) in clients.iter_mut().enumerate() {
                    note_answer(stage, &format!("{index}:"), client, "GET");
                }
                drop((clients, first, second));
                note_log(stage);
            },
        },
        Scenario {
            name: "h2up_max_requests",
            shows: "D11: max_requests_per_connection over HTTP/2",
            plan: || {
                let protocol = &[
                    "common_http_protocol_options: {max_requests_per_connection: 1}",
                    "explicit_http_config: {http2_protocol_options: {}}",
                ];
                Http { protocol, ..Http::default() }.plan()
            },
            script: |stage| {
                for what in ["the first:", "the second:"] {
                    let mut client = stage.connect();
                    client.send(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n");
                    let mut upstream = Http2::server(stage.accept(), &[]);
                    upstream.receive_head(1);
                    upstream.send(&headers(1, OK, true));
                    note_answer(stage, what, &mut client, "GET");
                    stage.note(&format!("{what} the upstream's end"), upstream.receive_to_end());
                }
                note_log(stage);
            },
        },
        Scenario {
            name: "h2up_cancelled",
            shows: "F24, F27: clients that leave, and early responses",
            plan: || Http { protocol: HTTP2, ..Http::default() }.plan(),
            script: cancelled,
        },
        Scenario {
            name: "h2up_as_downstream",
            shows: "http2: use_downstream_protocol_config",
            plan: || {
                let protocol = &["use_downstream_protocol_config: {http2_protocol_options: {}}"];
                Http { protocol, ..Http::default() }.plan()
            },
            script: |stage| {
                let mut client = Http2::client(stage.connect(), &[]);
                client.send(&message(1, ("GET", "/"), &[], true));
                let mut upstream = Http2::server(stage.accept(), &[]);
                upstream.receive_head(1);
                upstream.send(&headers(1, OK, true));
                client.receive_streams(&[1]);
                note_client(stage, "HTTP/2:", client);
                stage.wait_until_idle();
                let mut client = stage.connect();
                client.send(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n");
                let mut plain = stage.accept();
                stage.note_message("HTTP/1: the upstream", &plain.answer(super::OK));
                note_answer(stage, "HTTP/1:", &mut client, "GET");
                drop((client, plain, upstream));
                note_log(stage);
            },
        },
    ]
}

pub(super) const HTTP2: &[&str] = &["explicit_http_config: {http2_protocol_options: {}}"];

const OK: &[(&str, &str)] = &[(":status", "200"), ("content-length", "0")];

/// The next stream of an upstream connection.
pub(super) struct Origin {
    connection: Http2,
    stream: u32,
}

impl Origin {
    pub(super) fn accept(stage: &Stage<'_>) -> Self {
        Self { connection: Http2::server(stage.accept(), &[]), stream: 1 }
    }

    /// Receives the next request whole, notes it, and sends this.
    pub(super) fn serve(&mut self, stage: &Stage<'_>, what: &str, answer: impl Fn(u32) -> Vec<u8>) {
        let stream = self.stream;
        self.stream += 2;
        self.connection.receive_streams(&[stream]);
        self.connection.seen.retain(|seen| super::stream_of(seen) == Some(stream));
        note_frames(stage, &format!("{what} the upstream"), &self.connection);
        self.connection.send(&answer(stream));
    }
}

fn messages(stage: &mut Stage<'_>) {
    let mut origin = None;
    for (what, request, answer) in [
        (
            "GET:",
            &b"GET /a?b HTTP/1.1\r\nHost: a.test\r\nX-Up: 1\r\ncookie: a=1; b=2\r\ncookie: c=3\r\n\
               te: trailers\r\nconnection: x-hop\r\nx-hop: y\r\naccept: a\r\naccept: b\r\n\r\n"[..],
            (|id| {
                let head = [(":status", "200"), ("content-length", "2"), ("x-a", "b")];
                [headers(id, &head, false), data(id, b"ok", true)].concat()
            }) as fn(u32) -> Vec<u8>,
        ),
        ("POST:", b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc", |id| {
            [headers(id, &[(":status", "200")], false), data(id, b"abc", true)].concat()
        }),
        (
            "chunks:",
            b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
              3\r\nabc\r\n0\r\n\r\n",
            |id| headers(id, &[(":status", "204")], true),
        ),
        ("HEAD:", b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", |id| {
            headers(id, &[(":status", "200"), ("content-length", "5")], true)
        }),
        ("trailers:", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", |id| {
            let head = headers(id, &[(":status", "200")], false);
            [head, data(id, b"abc", false), trailers(id, &[("x-t", "1")])].concat()
        }),
        ("interim:", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", |id| {
            let interim = headers(id, &[(":status", "103"), ("link", "</a>")], false);
            [interim, headers(id, &[(":status", "200")], true)].concat()
        }),
        ("an empty end:", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", |id| {
            [headers(id, &[(":status", "200")], false), data(id, b"", true)].concat()
        }),
    ] {
        let mut client = stage.connect();
        client.send(request);
        origin.get_or_insert_with(|| Origin::accept(stage)).serve(stage, what, answer);
        let method = what.trim_end_matches(':');
        note_answer(stage, what, &mut client, method);
        drop(client);
        stage.wait_until_idle();
    }
    drop(origin);
    note_log(stage);
}

fn both(stage: &mut Stage<'_>) {
    let mut origin = None;
    let crumbs = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")];
    for (what, request) in [
        ("GET:", message(1, ("GET", "/"), &crumbs, true)),
        ("POST:", [message(1, ("POST", "/"), &[], false), data(1, b"abc", true)].concat()),
        (
            "trailers:",
            [
                message(1, ("POST", "/"), &[("te", "trailers")], false),
                data(1, b"abc", false),
                trailers(1, &[("x-t", "1")]),
            ]
            .concat(),
        ),
    ] {
        let mut client = Http2::client(stage.connect(), &[]);
        client.send(&request);
        origin.get_or_insert_with(|| Origin::accept(stage)).serve(stage, what, |id| {
            let head = headers(id, &[(":status", "200"), ("x-a", "b")], false);
            [head, data(id, b"ok", false), trailers(id, &[("grpc-status", "0")])].concat()
        });
        client.receive_streams(&[1]);
        note_client(stage, what, client);
        stage.wait_until_idle();
    }
    drop(origin);
    note_log(stage);
}

fn resets(stage: &mut Stage<'_>) {
    let mut origin = None;
    for code in [0, 1, 2, 7, 8, 10, 11, 13] {
        let mut client = stage.connect();
        client.send(format!("GET /{code} HTTP/1.1\r\nhost: a.test\r\n\r\n").as_bytes());
        let what = format!("{code}:");
        let origin = origin.get_or_insert_with(|| Origin::accept(stage));
        origin.serve(stage, &what, |id| reset(id, code));
        note_answer(stage, &what, &mut client, "GET");
        drop(client);
        stage.wait_until_idle();
    }
    let mut client = Http2::client(stage.connect(), &[]);
    client.send(&message(1, ("GET", "/within"), &[], true));
    let origin = origin.as_mut().unwrap();
    origin.serve(stage, "within:", |id| {
        let head = headers(id, &[(":status", "200")], false);
        [head, data(id, b"half", false), reset(id, 8)].concat()
    });
    client.receive_streams(&[1]);
    note_client(stage, "within:", client);
    drop(std::mem::replace(&mut origin.connection, Http2::over(stage.connect())));
    note_log(stage);
}

fn going_away(stage: &mut Stage<'_>) {
    let mut below = stage.connect();
    below.send(b"GET /below HTTP/1.1\r\nhost: a.test\r\n\r\n");
    let mut upstream = Http2::server(stage.accept(), &[]);
    upstream.receive_head(1);
    let mut above = stage.connect();
    above.send(b"GET /above HTTP/1.1\r\nhost: a.test\r\n\r\n");
    upstream.receive_head(3);
    upstream.send(&goaway(1, 0));
    note_answer(stage, "above:", &mut above, "GET");
    upstream.send(&headers(1, OK, true));
    note_answer(stage, "below:", &mut below, "GET");
    stage.note("the upstream's end", upstream.receive_to_end());
    let mut client = stage.connect();
    client.send(b"GET /again HTTP/1.1\r\nhost: a.test\r\n\r\n");
    let mut origin = Origin::accept(stage);
    origin.serve(stage, "again:", |id| headers(id, OK, true));
    note_answer(stage, "again:", &mut client, "GET");
    drop((below, above, client, origin));
    note_log(stage);
}

fn failures(stage: &mut Stage<'_>) {
    for (what, bytes) in [
        ("connection:", headers(1, &[(":status", "200"), ("connection", "close")], true)),
        ("no status:", headers(1, &[("x", "y")], true)),
        ("PUSH_PROMISE:", frame(5, 4, 1, &[0, 0, 0, 2])),
        ("PING of 7 octets:", frame(6, 0, 0, &[0; 7])),
        ("nothing:", Vec::new()),
    ] {
        let mut client = stage.connect();
        client.send(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n");
        let mut upstream = Http2::server(stage.accept(), &[]);
        upstream.receive_head(1);
        upstream.send(&bytes);
        if bytes.is_empty() {
            drop(upstream);
        } else {
            upstream.receive_to_end();
        }
        note_answer(stage, what, &mut client, "GET");
        drop(client);
        stage.wait_until_idle();
    }
    note_log(stage);
}

fn cancelled(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(b"POST /leaves HTTP/1.1\r\nhost: a.test\r\ncontent-length: 9\r\n\r\nab");
    let mut upstream = Http2::server(stage.accept(), &[]);
    upstream.receive_head(1);
    drop(client);
    upstream.receive_streams(&[1]);
    let mut client = Http2::client(stage.connect(), &[]);
    client.send(&message(1, ("POST", "/resets"), &[], false));
    upstream.receive_head(3);
    client.send(&reset(1, 8));
    upstream.receive_streams(&[3]);
    drop(client);
    let mut client = Http2::client(stage.connect(), &[]);
    client.send(&message(1, ("POST", "/early"), &[], false));
    upstream.receive_head(5);
    upstream.send(&headers(5, OK, true));
    client.receive_streams(&[1]);
    note_client(stage, "early:", client);
    upstream.receive_streams(&[5]);
    note_frames(stage, "the upstream", &upstream);
    drop(upstream);
    note_log(stage);
}
