//! `tcp_proxy` through HTTP/2 tunnels: streams of a connection that carries many.

use super::{FORMATS, HOST, LINE, PROXY_PROTOCOL, closed, logged_tunnel, tunnel, tunnel_to};
use crate::differential::Scenario;
use crate::differential::http2::note_frames;
use crate::differential::plan::{Endpoint, Plan};
use crate::differential::stage::Stage;
use crate::http2::{Http2, Seen, data, goaway, headers, reset, trailers, window_update};
use crate::peer::{Ending, Peer};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "tunnel_h2",
            shows: "C15, C16: CONNECT over HTTP/2: nothing before 200, then half closes both ways",
            plan: || over_http2(PROPAGATES, "", ""),
            script: relayed,
        },
        Scenario {
            name: "tunnel_h2_post",
            shows: "C15, C16: POST over HTTP/2, with the default path",
            plan: || over_http2("hostname: 'h.example:80', use_post: true", "", ""),
            script: relayed,
        },
        Scenario {
            name: "tunnel_h2_post_path",
            shows: "C15, C16: POST over HTTP/2, with a path",
            plan: || {
                let config = "hostname: 'h.example:80', use_post: true, post_path: '/a?b'";
                over_http2(config, "", "")
            },
            script: relayed,
        },
        Scenario {
            name: "tunnel_h2_formats",
            shows: "C15: hostname and headers_to_add over HTTP/2",
            plan: || over_http2(FORMATS, "", ""),
            script: |stage| {
                let (client, upstream) = open(stage);
                drop(client);
                ended(stage, "the upstream", upstream, 1);
                stage.note_access_log(1);
            },
        },
        Scenario {
            name: "tunnel_h2_many",
            shows: "C15: ten tunnels on one connection, which goes away with all of them",
            plan: || over_http2(HOST, "", ""),
            script: many,
        },
        Scenario {
            name: "tunnel_h2_refused",
            shows: "C16: other answers than 200, 201 among them: UF, URX, tunnel_response",
            plan: || metered(PROPAGATES),
            script: refused,
        },
        Scenario {
            name: "tunnel_h2_refused_post",
            shows: "C16: other answers than 200 to POST",
            plan: || metered("hostname: 'h.example:80', use_post: true"),
            script: refused,
        },
        Scenario {
            name: "tunnel_h2_reset_unanswered",
            shows: "C10, F24: resets instead of an answer, by code",
            plan: || metered(HOST),
            script: reset_unanswered,
        },
        Scenario {
            name: "tunnel_h2_retries",
            shows: "C10, C16: a refused tunnel is an attempt; the third one is made",
            plan: || over_http2(PROPAGATES, "max_connect_attempts: 3", ""),
            script: retries,
        },
        Scenario {
            name: "tunnel_h2_attempts_exceeded",
            shows: "C10, C16: refused, reset, and lost with its connection",
            plan: || over_http2(PROPAGATES, "max_connect_attempts: 3", ""),
            script: attempts_exceeded,
        },
        Scenario {
            name: "tunnel_h2_resets",
            shows: "C15, F24: resets of open tunnels from both sides, by code",
            plan: || over_http2(HOST, "", ""),
            script: resets,
        },
        Scenario {
            name: "tunnel_h2_resets_behind_an_end",
            shows: "C15, F24: resets and lost connections when one side has ended already",
            plan: || over_http2(HOST, "", ""),
            script: resets_behind_an_end,
        },
        Scenario {
            name: "tunnel_h2_trailers",
            shows: "C15: propagate_response_trailers, and trailers as the end",
            plan: || over_http2(PROPAGATES, "", ""),
            script: with_trailers,
        },
        Scenario {
            name: "tunnel_h2_idle",
            shows: "C15, C21: idle_timeout, before the answer, after it and half closed",
            plan: || over_http2(HOST, "idle_timeout: 0.5s", ""),
            script: idle,
        },
        Scenario {
            name: "tunnel_h2_too_long",
            shows: "C15: max_downstream_connection_duration, before the answer and after it",
            plan: || over_http2(HOST, "max_downstream_connection_duration: 0.5s", ""),
            script: too_long,
        },
        Scenario {
            name: "tunnel_h2_one_connection",
            shows: "C9, C15: the connection breaker refuses, though the connection has room: UO",
            plan: || {
                let breaker = "circuit_breakers: {thresholds: [{max_connections: 1}]}";
                over_http2(HOST, "", breaker)
            },
            script: second_is_refused,
        },
        Scenario {
            name: "tunnel_h2_one_request",
            shows: "C15, D7: the request breaker counts as a failed attempt: URX alone",
            plan: || over_http2(HOST, "", "circuit_breakers: {thresholds: [{max_requests: 1}]}"),
            script: second_is_refused,
        },
        Scenario {
            name: "tunnel_h2_nobody_waits",
            shows: "C15, D7: the pending breaker counts as a failed attempt: URX alone",
            plan: || {
                let breaker = "circuit_breakers: {thresholds: [{max_pending_requests: 0}]}";
                over_http2(HOST, "", breaker)
            },
            script: closed,
        },
        Scenario {
            name: "tunnel_h2_host_refuses",
            shows: "A6, C10, C15: a refused connect, twice",
            plan: || {
                let endpoints = vec![Endpoint::refusing()];
                tunnel_to(HOST, "max_connect_attempts: 2", &http2("", ""), endpoints)
            },
            script: closed,
        },
        Scenario {
            name: "tunnel_h2_capacity",
            shows: "C15, D12: max_concurrent_streams: one more tunnel has another connection",
            plan: || tunnel(HOST, "", &http2("max_concurrent_streams: 2", "")),
            script: capacity,
        },
        Scenario {
            name: "tunnel_h2_goaway",
            shows: "C15, F20: an open tunnel outlives GOAWAY, one above it fails, one is retried",
            plan: || over_http2(HOST, "max_connect_attempts: 2", ""),
            script: going_away,
        },
        Scenario {
            name: "tunnel_h2_keepalive",
            shows: "C15, F26: a connection without answers to PING takes its tunnel along",
            plan: || {
                let options = "connection_keepalive: {interval: 0.3s, timeout: 0.2s}";
                tunnel(HOST, "", &http2(options, ""))
            },
            script: silent,
        },
        Scenario {
            name: "tunnel_h2_window",
            shows: "C15, F18: what waits for a window is sent, also when the client has left",
            plan: || over_http2(HOST, "", ""),
            script: small_window,
        },
        Scenario {
            name: "tunnel_h2_max_requests",
            shows: "C15, D11: max_requests_per_connection counts tunnels",
            plan: || tunnel(HOST, "", &http2("", "max_requests_per_connection: 1")),
            script: one_each,
        },
        Scenario {
            name: "tunnel_h2_proxy_protocol",
            shows: "C11, C15: the PROXY header goes before the preface",
            plan: || over_http2(HOST, "", PROXY_PROTOCOL),
            script: |stage| {
                let client = stage.connect();
                let mut upstream = stage.accept();
                while upstream.receive(1) != b"\n" {}
                let mut upstream = Http2::server(upstream, &[]);
                upstream.receive_head(1);
                upstream.send(&headers(1, AGREED, false));
                drop(client);
                ended(stage, "the upstream", upstream, 1);
                stage.note_access_log(1);
            },
        },
        Scenario {
            name: "tunnel_h2_line_when_open",
            shows: "C15: flush_access_log_on_connected writes once the tunnel is open",
            plan: || {
                let options = "access_log_options: {flush_access_log_on_connected: true}";
                over_http2(HOST, options, "")
            },
            script: |stage| {
                let (client, upstream) = open(stage);
                stage.note_access_log(1);
                drop(client);
                ended(stage, "the upstream", upstream, 1);
                stage.note_access_log(2);
            },
        },
    ]
}

const PROPAGATES: &str = "hostname: 'h.example:80', propagate_response_headers: true, \
    propagate_response_trailers: true";

const AGREED: &[(&str, &str)] = &[(":status", "200"), ("x-a", "1")];

fn over_http2(tunneling: &str, filter: &str, cluster: &str) -> Plan {
    tunnel(tunneling, filter, &format!("{}\n  {cluster}", http2("", "")))
}

/// With the bytes on the wire of tunnels that carry none: of others Envoy counts the bytes of
/// bodies twice.
fn metered(tunneling: &str) -> Plan {
    let bytes = "upstream wire %UPSTREAM_WIRE_BYTES_SENT% %UPSTREAM_WIRE_BYTES_RECEIVED%";
    let line = format!("{bytes} {LINE}");
    logged_tunnel(&line, tunneling, "", &http2("", ""), vec![Endpoint::serving()])
}

/// What makes a cluster speak HTTP/2.
fn http2(options: &str, common: &str) -> String {
    format!(
        "typed_extension_protocol_options: {{envoy.extensions.upstreams.http.v3.\
         HttpProtocolOptions: {{\"@type\": \
         type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, \
         common_http_protocol_options: {{{common}}}, \
         explicit_http_config: {{http2_protocol_options: {{{options}}}}}}}}}"
    )
}

/// A client whose tunnel is stream 1 of a new connection.
fn open(stage: &Stage<'_>) -> (Peer, Http2) {
    let client = stage.connect();
    let mut upstream = Http2::server(stage.accept(), &[]);
    upstream.receive_head(1);
    upstream.send(&headers(1, AGREED, false));
    (client, upstream)
}

/// A client whose tunnel is another stream of a connection.
fn open_another(stage: &Stage<'_>, upstream: &mut Http2, stream: u32) -> Peer {
    let client = stage.connect();
    upstream.receive_head(stream);
    upstream.send(&headers(stream, AGREED, false));
    client
}

/// Waits until the proxy has ended a stream, ends it too, and notes what came.
fn ended(stage: &Stage<'_>, side: &str, mut upstream: Http2, stream: u32) {
    upstream.receive_streams(&[stream]);
    upstream.send(&data(stream, b"", true));
    upstream.sync(*b"all seen");
    note_frames(stage, side, &upstream);
}

fn relayed(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(b"early");
    let mut upstream = Http2::server(stage.accept(), &[]);
    upstream.receive_head(1);
    upstream.send(&headers(1, &[(":status", "103"), ("x-i", "1")], false));
    upstream.sync(*b"interim?");
    assert_eq!(upstream.body(1), b"", "nothing before the answer");
    upstream.send(&[headers(1, AGREED, false), data(1, b"hello", false)].concat());
    assert_eq!(client.receive(5), b"hello");
    // The client ends first, and is answered to the end.
    client.send(b" and late");
    client.finish_sending();
    upstream.receive_streams(&[1]);
    upstream.send(&data(1, b"tail", true));
    assert_eq!(client.receive_to_end(), (b"tail".to_vec(), Ending::Fin));
    drop(client);
    stage.note_access_log(1);

    // The upstream ends first, and hears the client to its end.
    let mut client = open_another(stage, &mut upstream, 3);
    upstream.send(&data(3, b"first", true));
    assert_eq!(client.receive(5), b"first");
    assert!(!client.has_bytes());
    client.send(b"last");
    client.finish_sending();
    upstream.receive_streams(&[3]);
    stage.note("the client's end", client.ending());
    note_frames(stage, "the upstream", &upstream);
    stage.expect_stat("cluster.upstream_rq_active", 0);
    stage.note_access_log(2);
}

fn many(stage: &mut Stage<'_>) {
    let (first, mut upstream) = open(stage);
    let mut clients = vec![first];
    for stream in (3..20).step_by(2) {
        clients.push(open_another(stage, &mut upstream, stream));
    }
    for (index, client) in clients.iter_mut().enumerate() {
        let stream = 2 * u32::try_from(index).unwrap() + 1;
        client.send(format!("to {stream}").as_bytes());
        upstream.send(&data(stream, format!("from {stream:02}").as_bytes(), false));
        assert_eq!(client.receive(7), format!("from {stream:02}").as_bytes());
    }
    upstream.receive_until(|seen| {
        let data = |seen: &&Seen| matches!(seen, Seen::Data { .. });
        seen.iter().filter(data).count() == 10
    });
    stage.expect_stat("cluster.upstream_rq_active", 10);
    note_frames(stage, "the upstream", &upstream);
    drop(upstream);
    for client in &mut clients {
        stage.note("the client's end", client.ending());
    }
    drop(clients);
    stage.note_sorted_access_log(10);
}

fn refused(stage: &mut Stage<'_>) {
    let mut upstream: Option<Http2> = None;
    let answers: &[(&str, bool)] = &[
        ("201", false),
        ("204", false),
        ("299", false),
        ("300", false),
        ("404", false),
        ("503", false),
        ("503", true),
        ("200", true),
    ];
    for (index, &(status, end)) in answers.iter().enumerate() {
        let stream = 2 * u32::try_from(index).unwrap() + 1;
        let mut client = stage.connect();
        let upstream = upstream.get_or_insert_with(|| Http2::server(stage.accept(), &[]));
        upstream.receive_head(stream);
        upstream.send(&headers(stream, &[(":status", status), ("x-a", "5")], end));
        assert_eq!(client.receive_to_end(), (Vec::new(), Ending::Fin), "{status}");
        stage.note_access_log(index + 1);
    }
    let mut upstream = upstream.unwrap();
    upstream.sync(*b"all seen");
    note_frames(stage, "the upstream", &upstream);
}

fn reset_unanswered(stage: &mut Stage<'_>) {
    let mut upstream: Option<Http2> = None;
    for (index, code) in [0, 1, 2, 7, 8, 10, 11].into_iter().enumerate() {
        let stream = 2 * u32::try_from(index).unwrap() + 1;
        let mut client = stage.connect();
        let upstream = upstream.get_or_insert_with(|| Http2::server(stage.accept(), &[]));
        upstream.receive_head(stream);
        upstream.send(&reset(stream, code));
        assert_eq!(client.receive_to_end(), (Vec::new(), Ending::Fin), "{code}");
        stage.note_access_log(index + 1);
    }
}

fn retries(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(b"early");
    let mut upstream = Http2::server(stage.accept(), &[]);
    upstream.receive_head(1);
    upstream.send(&headers(1, &[(":status", "503"), ("x-a", "0")], false));
    upstream.receive_head(3);
    upstream.send(&reset(3, 7));
    upstream.receive_head(5);
    upstream.send(&[headers(5, AGREED, false), data(5, b"fine", false)].concat());
    assert_eq!(client.receive(4), b"fine");
    drop(client);
    ended(stage, "the upstream", upstream, 5);
    stage.note_access_log(1);
}

fn attempts_exceeded(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    let mut upstream = Http2::server(stage.accept(), &[]);
    upstream.receive_head(1);
    upstream.send(&headers(1, &[(":status", "201"), ("x-a", "0")], false));
    upstream.receive_head(3);
    upstream.send(&reset(3, 2));
    upstream.receive_head(5);
    note_frames(stage, "the upstream", &upstream);
    drop(upstream);
    assert_eq!(client.receive_to_end(), (Vec::new(), Ending::Fin));
    stage.note_access_log(1);
}

fn resets(stage: &mut Stage<'_>) {
    let mut upstream: Option<Http2> = None;
    for (index, code) in [0, 1, 2, 5, 7, 8, 10, 11].into_iter().enumerate() {
        let stream = 2 * u32::try_from(index).unwrap() + 1;
        let mut client = stage.connect();
        let upstream = upstream.get_or_insert_with(|| Http2::server(stage.accept(), &[]));
        upstream.receive_head(stream);
        upstream.send(&[headers(stream, AGREED, false), data(stream, b"tail", false)].concat());
        assert_eq!(client.receive(4), b"tail");
        upstream.send(&reset(stream, code));
        stage.note(&format!("after a reset with {code} the client's end"), client.ending());
        stage.note_access_log(index + 1);
    }
    let mut upstream = upstream.unwrap();
    let mut client = open_another(stage, &mut upstream, 17);
    upstream.send(&data(17, b"tail", false));
    assert_eq!(client.receive(4), b"tail");
    client.reset();
    upstream.receive_streams(&[17]);
    note_frames(stage, "the upstream", &upstream);
    stage.note_access_log(9);
}

fn resets_behind_an_end(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = open(stage);
    client.finish_sending();
    upstream.receive_streams(&[1]);
    upstream.send(&reset(1, 8));
    stage.note("after its own end the reset client's end", client.ending());
    stage.note_access_log(1);

    let mut client = open_another(stage, &mut upstream, 3);
    upstream.send(&data(3, b"tail", true));
    assert_eq!(client.receive(4), b"tail");
    client.send(b"abc");
    upstream
        .receive_until(|seen| seen.iter().any(|seen| matches!(seen, Seen::Data { stream: 3, .. })));
    client.reset();
    upstream.receive_streams(&[3]);
    stage.note_access_log(2);

    let mut client = open_another(stage, &mut upstream, 5);
    upstream.send(&[data(5, b"tail", true), reset(5, 0)].concat());
    assert_eq!(client.receive_to_end(), (b"tail".to_vec(), Ending::Fin));
    stage.note_access_log(3);

    let mut client = open_another(stage, &mut upstream, 7);
    client.finish_sending();
    upstream.receive_streams(&[7]);
    note_frames(stage, "the upstream", &upstream);
    drop(upstream);
    stage.note("after its own end the client's end", client.ending());
    drop(client);
    stage.note_access_log(4);
}

fn with_trailers(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = open(stage);
    upstream.send(&[data(1, b"tail", false), trailers(1, &[("x-t", "1"), ("x-u", "2")])].concat());
    assert_eq!(client.receive_to_end(), (b"tail".to_vec(), Ending::Fin));
    client.finish_sending();
    upstream.receive_streams(&[1]);
    stage.note_access_log(1);
    // The next one has none of its own.
    let mut client = open_another(stage, &mut upstream, 3);
    client.finish_sending();
    upstream.receive_streams(&[3]);
    upstream.send(&data(3, b"", true));
    stage.note("the client's end", client.ending());
    stage.note_access_log(2);
}

fn idle(stage: &mut Stage<'_>) {
    let mut upstream = unanswered(stage);
    let mut client = open_another(stage, &mut upstream, 3);
    upstream.send(&data(3, b"x", false));
    assert_eq!(client.receive_to_end(), (b"x".to_vec(), Ending::Fin));
    upstream.receive_streams(&[3]);
    stage.note_access_log(2);
    let mut client = open_another(stage, &mut upstream, 5);
    client.finish_sending();
    assert_eq!(client.receive_to_end(), (Vec::new(), Ending::Fin));
    upstream.receive_until(|seen| {
        seen.iter().any(|seen| matches!(seen, Seen::Reset { stream: 5, .. }))
    });
    note_frames(stage, "the upstream", &upstream);
    stage.note_access_log(3);
}

fn too_long(stage: &mut Stage<'_>) {
    let mut upstream = unanswered(stage);
    let mut client = open_another(stage, &mut upstream, 3);
    upstream.send(&data(3, b"x", false));
    assert_eq!(client.receive_to_end(), (b"x".to_vec(), Ending::Fin));
    upstream.receive_streams(&[3]);
    note_frames(stage, "the upstream", &upstream);
    stage.note_access_log(2);
}

/// A tunnel that is asked for in vain.
fn unanswered(stage: &Stage<'_>) -> Http2 {
    let mut client = stage.connect();
    let mut upstream = Http2::server(stage.accept(), &[]);
    upstream.receive_head(1);
    assert_eq!(client.receive_to_end(), (Vec::new(), Ending::Fin));
    upstream.receive_streams(&[1]);
    stage.note_access_log(1);
    upstream
}

fn second_is_refused(stage: &mut Stage<'_>) {
    let (client, mut upstream) = open(stage);
    upstream.sync(*b"is open?");
    let mut second = stage.connect();
    stage.note_end("the second", &second.receive_to_end());
    drop(second);
    stage.note_access_log(1);
    drop(client);
    ended(stage, "the upstream", upstream, 1);
    stage.note_access_log(2);
}

fn capacity(stage: &mut Stage<'_>) {
    let (first, mut upstream) = open(stage);
    let second = open_another(stage, &mut upstream, 3);
    let (third, other) = open(stage);
    stage.expect_stat("cluster.upstream_cx_active", 2);
    drop(first);
    drop(second);
    upstream.receive_streams(&[1]);
    upstream.send(&data(1, b"", true));
    ended(stage, "the first upstream", upstream, 3);
    drop(third);
    ended(stage, "the second upstream", other, 1);
    stage.note_sorted_access_log(3);
}

fn going_away(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = open(stage);
    upstream.sync(*b"is open?");
    let mut second = stage.connect();
    upstream.receive_head(3);
    upstream.send(&goaway(1, 0));
    let mut other = Http2::server(stage.accept(), &[]);
    other.receive_head(1);
    other.send(&[headers(1, AGREED, false), data(1, b"second", false)].concat());
    assert_eq!(second.receive(6), b"second");
    drop(second);
    ended(stage, "the other upstream", other, 1);
    stage.note_access_log(1);
    upstream.send(&data(1, b"still", false));
    assert_eq!(client.receive(5), b"still");
    client.finish_sending();
    upstream.receive_streams(&[1]);
    upstream.send(&data(1, b"", true));
    stage.note("the client's end", client.ending());
    note_frames(stage, "the upstream", &upstream);
    stage.note("the upstream's end", upstream.receive_to_end());
    stage.note_access_log(2);
}

fn silent(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = open(stage);
    stage.note("the upstream's end", upstream.receive_to_end());
    stage.note("the client's end", client.ending());
    stage.note_access_log(1);
}

fn small_window(stage: &mut Stage<'_>) {
    const INITIAL_WINDOW_SIZE: u16 = 4;
    for (index, leaves) in [false, true].into_iter().enumerate() {
        let mut client = stage.connect();
        let mut upstream = Http2::server(stage.accept(), &[(INITIAL_WINDOW_SIZE, 10)]);
        upstream.receive_head(1);
        upstream.send(&headers(1, AGREED, false));
        client.send(b"0123456789abcdef");
        client.finish_sending();
        let client = (!leaves).then_some(client);
        upstream.receive_until(|seen| {
            let bytes = |seen: &Seen| match seen {
                Seen::Data { bytes, .. } => bytes.len(),
                _ => 0,
            };
            seen.iter().map(bytes).sum::<usize>() == 10
        });
        upstream.send(&data(1, b"", true));
        upstream.sync(*b"it ended");
        upstream.send(&window_update(1, 100));
        upstream.receive_streams(&[1]);
        upstream.sync(*b"all seen");
        note_frames(stage, "the upstream", &upstream);
        if let Some(mut client) = client {
            stage.note("the client's end", client.ending());
        }
        stage.note_access_log(index + 1);
    }
}

fn one_each(stage: &mut Stage<'_>) {
    for index in 1..3 {
        let (client, mut upstream) = open(stage);
        drop(client);
        upstream.receive_streams(&[1]);
        upstream.send(&data(1, b"", true));
        stage.note("the upstream's end", upstream.receive_to_end());
        stage.note_access_log(index);
    }
}
