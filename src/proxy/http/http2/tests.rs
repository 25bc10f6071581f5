//! Whole connections of HTTP/2 on a real reactor and loopback, with a client of the codec's own.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::model;
use proto::http2::{Connection, Event, Options};
use proto::{RequestHead, ResponseHead};

use super::super::tests::{any_host, manager, manager_config, manager_with};
use crate::tests::Bench;

/// Sends so many GETs for each path, as many of them at once as there are paths, and returns the
/// statuses, or what came until the connection ended.
#[expect(clippy::disallowed_methods, reason = "any moment will do")]
fn get(address: SocketAddr, paths: &[&[u8]], times: usize) -> Vec<u16> {
    let mut stream = TcpStream::connect(address).unwrap();
    let now = Instant::now();
    let mut codec = Connection::client(Arc::new(Options::default()), now, 1);
    let (mut statuses, mut output, mut input) = (Vec::new(), Vec::new(), [0; 65_536]);
    let (mut request, mut head) = (RequestHead::new(), ResponseHead::new());
    for _ in 0..times {
        for path in paths {
            request.clear();
            request.set_authority(b"example.com");
            request.set_path(path);
            codec.open(now, &request, true).unwrap();
        }
        let mut left = paths.len();
        while left > 0 {
            output.clear();
            assert!(codec.write(&mut output).unwrap().is_none(), "there are no bodies");
            if stream.write_all(&output).is_err() {
                return statuses;
            }
            let Ok(length @ 1..) = stream.read(&mut input) else { return statuses };
            let mut at = 0;
            loop {
                let step = codec.receive_response(now, &input[at..length], &mut head).unwrap();
                at += step.consumed;
                match step.event {
                    Event::NeedMore => break,
                    Event::Head(_) => statuses.push(head.status),
                    Event::Body { stream, range } => codec.consumed(stream, range.len()),
                    Event::End(stream) | Event::Reset { stream, .. } => {
                        codec.release(stream);
                        left -= 1;
                    }
                    _ => {}
                }
            }
        }
    }
    statuses
}

const PATHS: [&[u8]; 4] = [b"/direct", b"/up", b"/nowhere", b"/up?x=1"];

#[test]
fn exchanges_of_one_connection_run_beside_each_other() {
    let bench = Bench::new();
    bench.serve(manager(), any_host(), |address| {
        let mut statuses = get(address, &PATHS, 3);
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 200, 200, 404, 404, 404]);
    });
    for (name, value) in [
        ("http.h.downstream_cx_http2_total", 1),
        ("http.h.downstream_rq_http2_total", 12),
        ("http.h.downstream_rq_2xx", 9),
        ("cluster.c.upstream_rq_total", 6),
        ("http2.rx_reset", 0),
    ] {
        assert_eq!(bench.value(name), value, "{name}");
    }
    bench.assert_clean("after a connection");
}

/// Far more than is read behind a violation, and less than the socket holds.
const BEHIND_VIOLATION: usize = 120_000;

#[test]
fn a_client_that_leaves_behind_its_violation_is_noticed() {
    let bench = Bench::new();
    let mut config = manager_config(Vec::new());
    config.delayed_close_timeout = Some(Duration::from_secs(20));
    let filter = model::TerminalFilter::Http(Arc::new(config));
    bench.serve(filter, any_host(), |address| {
        let mut stream = TcpStream::connect(address).unwrap();
        // PUSH_PROMISE of a client, behind its preface and settings.
        let start = [&proto::http2::PREFACE[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
        stream.write_all(&start).unwrap();
        stream.write_all(&[0, 0, 4, 5, 4, 0, 0, 0, 1, 0, 0, 0, 2]).unwrap();
        stream.write_all(&[0; BEHIND_VIOLATION]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        // A connection that is closed with bytes in it that nobody has read is reset.
        let _end = stream.read_to_end(&mut Vec::new());
    });
    for (name, value) in [
        ("http.h.downstream_cx_protocol_error", 1),
        ("http.h.downstream_cx_destroy_remote", 1),
        ("http.h.downstream_cx_delayed_close_timeout", 0),
    ] {
        assert_eq!(bench.value(name), value, "{name}");
    }
}

#[test]
fn a_head_that_does_not_go_on_ends_its_connection() {
    for (headers, idle) in [(Some(1), None), (None, Some(1)), (Some(1), Some(20))] {
        let seconds = |timeout: Option<u64>| timeout.map(Duration::from_secs);
        let bench = Bench::new();
        let mut config = manager_config(Vec::new());
        config.request_headers_timeout = seconds(headers);
        config.stream_idle_timeout = seconds(idle);
        let filter = model::TerminalFilter::Http(Arc::new(config));
        bench.serve(filter, any_host(), |address| {
            let mut stream = TcpStream::connect(address).unwrap();
            let start = [&proto::http2::PREFACE[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
            stream.write_all(&start).unwrap();
            // HEADERS of stream 1 without END_HEADERS: `:method: GET`.
            stream.write_all(&[0, 0, 1, 1, 1, 0, 0, 0, 1, 0x82]).unwrap();
            let mut received = Vec::new();
            let _end = stream.read_to_end(&mut received);
            let goaway = [0, 0, 8, 7, 0, 0, 0, 0, 0];
            assert!(received.windows(9).any(|frame| frame == goaway), "{received:?}");
        });
        for (name, value) in
            [("http.h.downstream_rq_header_timeout", 1), ("http.h.downstream_cx_protocol_error", 0)]
        {
            assert_eq!(bench.value(name), value, "{name}");
        }
        bench.assert_clean("after half a head");
    }
}

/// What a worker allocates must not depend on how many requests it serves.
#[test]
fn a_request_allocates_nothing_once_the_worker_is_warm() {
    let bench = Bench::new();
    let host = any_host();
    let allocations = |path: &'static [u8], times: usize| {
        let log = model::AccessLog {
            field_path: "log".to_owned(),
            sink: model::AccessLogSink::File("unwritten".to_owned()),
            format: model::AccessLogFormat::Default,
            filter: None,
        };
        let filter = manager_with(vec![log]);
        let client = move |address| assert_eq!(get(address, &[path], times).len(), times);
        allocation_counter::measure(|| bench.serve(filter, host, client)).count_total
    };
    for path in [&b"/direct"[..], b"/up"] {
        allocations(path, 1000);
        let (few, many) = (allocations(path, 1000), allocations(path, 3000));
        // Timers and the like may differ by a few between any two runs.
        assert!(many.abs_diff(few) < 100, "{few} allocations for 1000 requests, {many} for 3000");
    }
}

#[test]
fn a_panic_at_any_await_point_leaves_every_gauge_where_it_was() {
    let bench = Bench::new();
    let host = any_host();
    let run = |panic_at: Option<u64>| {
        bench.reactor.inject_panic(panic_at);
        bench.serve(manager(), host, |address| drop(get(address, &PATHS, 1)));
        bench.reactor.inject_panic(None)
    };
    let points = run(None);
    assert!(points > 10, "the exchanges pass {points} await points only");
    for point in 0..points + points / 2 {
        run(Some(point));
        bench.assert_clean(&format!("after a panic at await point {point}"));
    }
    let panics = bench.reactor.stats().task_panics;
    assert!(panics >= points / 4, "{panics} panics at {points} points");
}
