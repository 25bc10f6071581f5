//! Streams of HTTP/2 connections on the real ring, to a host whose frames each test plays.

use std::future::{Future, poll_fn};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use observe::names::Http2CodecStat;
use proto::{RequestHead, ResponseHead};

use super::tests::{Bench, listener, refusing, silent};
use super::*;
use crate::http_pool::{Http2Stream, HttpStream};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(10);

fn http2(change: impl FnOnce(&mut model::Cluster)) -> impl FnOnce(&mut model::Cluster) {
    |config| {
        config.http.protocol = model::UpstreamProtocol::Http2;
        change(config);
    }
}

/// A host's end of a connection.
struct Host {
    stream: TcpStream,
    received: Vec<u8>,
}

/// Kind, flags, stream.
type Frame = (u8, u8, u32, Vec<u8>);

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END: u8 = 1;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn settings(streams: u32) -> Vec<u8> {
    frame(4, 0, 0, &[&[0, 3], &streams.to_be_bytes()[..]].concat())
}

/// A whole response, 200.
fn response(stream: u32) -> Vec<u8> {
    frame(HEADERS, 4 | END, stream, &[0x88])
}

fn goaway(last: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last.to_be_bytes(), [0; 4]].concat())
}

impl Host {
    fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        Self { stream, received: Vec::new() }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Whether the connection was closed, once everything was read.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return true,
                Ok(count) => self.received.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The frames of one kind that have come: flags, stream and payload.
    fn frames(&mut self, kind: u8) -> Vec<Frame> {
        self.read();
        let (mut frames, mut rest) = (Vec::new(), &self.received[..]);
        rest = rest.strip_prefix(proto::http2::PREFACE).unwrap_or(rest);
        while rest.len() >= 9 {
            let length = usize::from(rest[1]) << 8 | usize::from(rest[2]);
            let stream = u32::from_be_bytes(rest[5..9].try_into().unwrap());
            if rest[3] == kind {
                frames.push((kind, rest[4], stream, rest[9..9 + length].to_vec()));
            }
            rest = &rest[9 + length..];
        }
        frames
    }

    /// The streams of the frames of one kind.
    fn streams(&mut self, kind: u8) -> Vec<u32> {
        self.frames(kind).into_iter().map(|(_, _, stream, _)| stream).collect()
    }
}

fn head() -> RequestHead {
    let mut head = RequestHead::new();
    head.set_authority(b"a.example");
    head.set_path(b"/");
    head
}

type Asked = Pin<Box<dyn Future<Output = Result<Http2Stream, ConnectFailure>>>>;

impl Bench {
    fn http2(config: impl FnOnce(&mut model::Cluster)) -> (Self, TcpListener) {
        let (listener, address) = listener();
        (Self::configured(&[address], http2(config)), listener)
    }

    /// Asks for a stream, and sends a request without a body on it.
    fn ask(&self) -> Asked {
        let cluster = Rc::clone(&self.cluster);
        Box::pin(async move {
            let host = cluster.http_host(None, None)?;
            let HttpStream::Http2(stream) = host.stream().await? else { panic!("HTTP/1") };
            stream.open(&head(), true).unwrap();
            Ok(stream)
        })
    }

    fn stream(&self) -> Http2Stream {
        self.reactor.run(self.ask()).unwrap()
    }

    /// What asking comes to now.
    fn now(&self, asked: &mut Asked) -> Option<Result<Http2Stream, ConnectFailure>> {
        self.reactor.run(poll_fn(|context| {
            Poll::Ready(match asked.as_mut().poll(context) {
                Poll::Ready(result) => Some(result),
                Poll::Pending => None,
            })
        }))
    }

    /// Lets the worker run until `is_so`.
    fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let started = self.reactor.now();
        self.reactor.run(async {
            while !is_so() {
                let waited = self.reactor.now() - started;
                assert!(waited < PATIENCE, "never {what}: {:?}", self.moved());
                self.reactor.sleep(Duration::from_millis(1)).await;
            }
        });
    }

    /// Waits for the whole response.
    fn complete(&self, stream: &Http2Stream) {
        let port = stream.port().unwrap();
        let mut head = ResponseHead::new();
        let status = self.reactor.run(poll_fn(|context| port.poll_head(context, &mut head)));
        assert!(status.unwrap().is_some_and(|start| start.is_whole));
        self.until("complete", || port.is_complete());
    }

    fn stat(&self, stat: ClusterStat) -> u64 {
        self.cluster.stats().value(stat)
    }

    fn codec(&self, stat: Http2CodecStat) -> u64 {
        self.cluster.context.http2().stats.value(stat)
    }
}

// Rows: D4
#[test]
fn a_connection_to_an_ejected_host_goes_with_its_last_stream() {
    let ejectable = |config: &mut model::Cluster| {
        config.outlier_detection = Some(model::OutlierDetection::default());
    };
    let (bench, listener) = Bench::http2(ejectable);
    let first = bench.stream();
    let mut host = Host::accept(&listener);
    host.send(&settings(100));
    bench.eject();
    // It is not used again, and what it carries is finished.
    let second = bench.stream();
    let mut other = Host::accept(&listener);
    other.send(&settings(100));
    assert_eq!(bench.stat(ClusterStat::UpstreamCxTotal), 2);
    host.send(&response(1));
    bench.complete(&first);
    drop(first);
    bench.until("closed", || host.read());
    other.send(&response(1));
    bench.complete(&second);
    drop(second);
    let third = bench.stream();
    assert_eq!(bench.stat(ClusterStat::UpstreamCxTotal), 2, "made after the ejection");
    drop(third);
    bench.eject();
    bench.until("closed", || other.read());
    bench.until("gone", || bench.stat(ClusterStat::UpstreamCxActive) == 0);
}

// Rows: D2, F20
#[test]
fn requests_share_a_connection_and_one_that_is_given_up_costs_only_itself() {
    let (bench, listener) = Bench::http2(|_| ());
    let streams: Vec<_> = (0..5).map(|_| bench.stream()).collect();
    let mut host = Host::accept(&listener);
    host.send(&settings(100));
    bench.until("sent", || host.streams(HEADERS).len() == 5);
    assert_eq!(host.streams(HEADERS), [1, 3, 5, 7, 9]);
    assert_eq!(bench.stat(ClusterStat::UpstreamRqActive), 5);
    let mut streams = streams.into_iter();
    drop(streams.next());
    bench.until("reset", || host.frames(RST_STREAM).len() == 1);
    // INTERNAL_ERROR, as Envoy.
    assert_eq!(host.frames(RST_STREAM), [(RST_STREAM, 0, 1, vec![0, 0, 0, 2])]);
    host.send(&[response(3), response(5), response(7), response(9)].concat());
    for stream in streams {
        bench.complete(&stream);
    }
    let next = bench.stream();
    bench.until("sent", || host.streams(HEADERS).len() == 6);
    host.send(&response(11));
    bench.complete(&next);
    drop(next);
    assert_eq!(bench.stat(ClusterStat::UpstreamCxHttp2Total), 1);
    assert_eq!(bench.stat(ClusterStat::UpstreamRqTotal), 6);
    assert_eq!(bench.stat(ClusterStat::UpstreamRqTxReset), 1);
    assert_eq!(bench.codec(Http2CodecStat::TxReset), 1);
    assert_eq!(bench.stat(ClusterStat::UpstreamRqActive), 0);
    assert_eq!(bench.stat(ClusterStat::UpstreamCxActive), 1);
    bench.cluster.context.tasks.abort_all();
    bench.expect_gauges_at_zero();
}

// Rows: D12
#[test]
fn a_connection_carries_as_many_streams_as_both_sides_allow() {
    let (bench, listener) = Bench::http2(|config| config.http.http2.max_concurrent_streams = 2);
    let first = bench.stream();
    let second = bench.stream();
    let mut one = Host::accept(&listener);
    let third = bench.stream();
    let mut two = Host::accept(&listener);
    bench.until("sent", || (one.streams(HEADERS).len(), two.streams(HEADERS).len()) == (2, 1));
    // A connection that has room again comes first.
    one.send(&[settings(100), response(1)].concat());
    bench.complete(&first);
    drop(first);
    let fourth = bench.stream();
    bench.until("sent", || one.streams(HEADERS).len() == 3);
    // The other is full from now on, with the one stream that it has.
    two.send(&settings(1));
    bench.until("told", || two.frames(4).iter().any(|(_, flags, ..)| flags & 1 == 1));
    let _fifth = bench.stream();
    let mut three = Host::accept(&listener);
    bench.until("sent", || three.streams(HEADERS).len() == 1);
    assert_eq!(bench.stat(ClusterStat::UpstreamCxTotal), 3);
    drop((second, third, fourth));
}

// Rows: D6, D15
#[test]
fn who_finds_no_room_waits_for_its_turn() {
    let (bench, listener) = Bench::http2(|config| {
        config.http.http2.max_concurrent_streams = 1;
        config.thresholds.max_connections = 1;
    });
    let first = bench.stream();
    let mut host = Host::accept(&listener);
    host.send(&settings(100));
    let (mut second, mut third) = (bench.ask(), bench.ask());
    assert!(bench.now(&mut second).is_none() && bench.now(&mut third).is_none());
    assert_eq!(bench.stat(ClusterStat::UpstreamRqPendingActive), 2);
    assert_eq!(bench.stat(ClusterStat::UpstreamCxOverflow), 2);
    bench.until("sent", || host.streams(HEADERS) == [1]);
    host.send(&response(1));
    bench.complete(&first);
    drop(first);
    assert!(bench.now(&mut third).is_none());
    let second = bench.now(&mut second).unwrap().unwrap();
    assert!(bench.now(&mut third).is_none());
    bench.until("sent", || host.streams(HEADERS) == [1, 3]);
    // One that is given up makes room too.
    drop(second);
    let third = bench.now(&mut third).unwrap().unwrap();
    bench.until("sent", || host.streams(HEADERS) == [1, 3, 5]);
    assert_eq!(bench.stat(ClusterStat::UpstreamRqPendingTotal), 3);
    // So does one whose turn has come, and who does not wait any more.
    let (mut fourth, mut fifth) = (bench.ask(), bench.ask());
    assert!(bench.now(&mut fourth).is_none() && bench.now(&mut fifth).is_none());
    drop(third);
    drop(fourth);
    assert!(bench.now(&mut fifth).unwrap().is_ok());
    assert_eq!(bench.stat(ClusterStat::UpstreamRqCancelled), 1);
    drop(fifth);
    bench.cluster.context.tasks.abort_all();
    bench.expect_gauges_at_zero();
}

// Rows: F20
#[test]
fn a_connection_that_goes_away_ends_with_its_last_stream() {
    let (bench, listener) = Bench::http2(|_| ());
    let (first, second) = (bench.stream(), bench.stream());
    let mut host = Host::accept(&listener);
    bench.until("sent", || host.streams(HEADERS).len() == 2);
    // Twice, which counts once; the second stream was not processed.
    host.send(&[settings(100), goaway(1), goaway(1)].concat());
    let port = second.port().unwrap();
    bench.until("refused", || {
        port.ended_by()
            .is_some_and(|end| end == net::http2::PortEnd::Reset(proto::http2::ResetReason::GoAway))
    });
    drop(second);
    assert_eq!(bench.stat(ClusterStat::UpstreamCxCloseNotify), 1);
    let third = bench.stream();
    let _other = Host::accept(&listener);
    assert!(!host.read());
    host.send(&response(1));
    bench.complete(&first);
    drop(first);
    bench.until("closed", || host.read());
    assert_eq!(bench.stat(ClusterStat::UpstreamCxDestroyLocal), 1);
    assert_eq!(bench.stat(ClusterStat::UpstreamCxDestroyWithActiveRq), 0);
    let resets = [ClusterStat::UpstreamRqTxReset, ClusterStat::UpstreamRqRxReset];
    assert_eq!(resets.map(|stat| bench.stat(stat)), [0, 0]);
    drop(third);
}

// Rows: D11
#[test]
fn a_connection_ends_with_its_last_request() {
    let (bench, listener) =
        Bench::http2(|config| config.http.common.max_requests_per_connection = Some(2));
    let (first, second) = (bench.stream(), bench.stream());
    let mut host = Host::accept(&listener);
    assert_eq!(bench.stat(ClusterStat::UpstreamCxMaxRequests), 1);
    let third = bench.stream();
    let mut other = Host::accept(&listener);
    bench
        .until("sent", || (host.streams(HEADERS), other.streams(HEADERS)) == (vec![1, 3], vec![1]));
    host.send(&[settings(100), response(1), response(3)].concat());
    bench.complete(&first);
    bench.complete(&second);
    drop(first);
    assert!(!host.read());
    drop(second);
    bench.until("closed", || host.read());
    assert_eq!(bench.stat(ClusterStat::UpstreamRqPerCx), 0, "a histogram");
    drop(third);
}

#[test]
fn a_connection_is_closed_by_idleness_and_by_age() {
    let (bench, listener) = Bench::http2(|config| {
        config.http.common.idle_timeout = Some(Duration::from_millis(30));
    });
    let first = bench.stream();
    let mut host = Host::accept(&listener);
    host.send(&settings(100));
    bench.until("sent", || host.streams(HEADERS) == [1]);
    host.send(&response(1));
    bench.complete(&first);
    drop(first);
    bench.until("closed", || host.read());
    assert_eq!(bench.stat(ClusterStat::UpstreamCxIdleTimeout), 1);
    drop(bench);

    let (bench, listener) = Bench::http2(|config| {
        config.http.common.max_connection_duration = Some(Duration::from_millis(30));
    });
    let first = bench.stream();
    let mut host = Host::accept(&listener);
    host.send(&settings(100));
    bench.until("too old", || bench.stat(ClusterStat::UpstreamCxMaxDurationReached) == 1);
    let _second = bench.stream();
    let _other = Host::accept(&listener);
    assert!(!host.read());
    drop(first);
    bench.until("closed", || host.read());
}

// Rows: F2, F3
#[test]
fn a_host_that_answers_no_ping_is_given_up() {
    let (bench, listener) = Bench::http2(|config| {
        config.http.http2.keepalive = Some(model::Http2Keepalive {
            interval: Some(Duration::from_millis(20)),
            timeout: Duration::from_millis(20),
            interval_jitter_percent: 0,
            connection_idle_interval: None,
        });
    });
    let stream = bench.stream();
    let mut host = Host::accept(&listener);
    host.send(&settings(100));
    bench.until("closed", || host.read());
    assert_eq!(host.streams(6), [0]);
    assert_eq!(bench.codec(Http2CodecStat::KeepaliveTimeout), 1);
    assert_eq!(bench.stat(ClusterStat::UpstreamCxDestroyLocalWithActiveRq), 1);
    assert_eq!(bench.stat(ClusterStat::UpstreamCxProtocolError), 0);
    drop(stream);
    assert_eq!(bench.stat(ClusterStat::UpstreamRqPendingFailureEject), 1);
}

// Rows: D14
#[test]
fn a_failed_connect_fails_all_who_wait_and_a_lost_connection_all_its_streams() {
    let (_socket, address) = refusing();
    let bench = Bench::configured(&[address], http2(|_| ()));
    let mut asked = [bench.ask(), bench.ask(), bench.ask()];
    for one in &mut asked {
        assert!(bench.now(one).is_none());
    }
    bench.until("failed", || bench.stat(ClusterStat::UpstreamCxConnectFail) == 1);
    for one in &mut asked {
        let failure = bench.now(one).unwrap().unwrap_err();
        assert!(matches!(failure, ConnectFailure::Refused { .. }), "{failure}");
    }
    assert_eq!(bench.stat(ClusterStat::UpstreamRqPendingFailureEject), 3);
    bench.expect_gauges_at_zero();
    drop((bench, asked));

    let (bench, listener) = Bench::http2(|_| ());
    let streams = [bench.stream(), bench.stream()];
    drop(Host::accept(&listener));
    bench.until("lost", || bench.stat(ClusterStat::UpstreamCxDestroyRemoteWithActiveRq) == 1);
    assert!(streams.iter().all(|stream| stream.port().unwrap().ended_by().is_some()));
    drop(streams);
    assert_eq!(bench.stat(ClusterStat::UpstreamRqPendingFailureEject), 2);
    bench.expect_gauges_at_zero();
}

// Rows: D8
#[test]
fn requests_beyond_the_limit_overflow_and_leave_their_room() {
    let (bench, listener) = Bench::http2(|config| config.thresholds.max_requests = 1);
    let first = bench.stream();
    let mut host = Host::accept(&listener);
    host.send(&settings(100));
    let failure = bench.reactor.run(bench.ask()).unwrap_err();
    assert!(matches!(failure, ConnectFailure::RequestOverflow { .. }));
    drop(first);
    let _second = bench.stream();
    bench.until("sent", || host.streams(HEADERS) == [1, 3]);
    assert_eq!(bench.stat(ClusterStat::UpstreamRqActiveOverflow), 1);
}

#[test]
fn the_protocol_is_the_clusters_or_that_of_the_request() {
    use proto::Version;
    let (_listener, address) = listener();
    let is_http2 = |protocol, request: Option<Version>| {
        let bench = Bench::configured(&[address], |config| config.http.protocol = protocol);
        let host = bench.cluster.http_host(request, None).unwrap();
        let stream = bench.reactor.run(host.stream()).unwrap();
        matches!(stream, HttpStream::Http2(_))
    };
    use model::UpstreamProtocol::{Downstream, Http1, Http2};
    for request in [None, Some(Version::Http10), Some(Version::Http11), Some(Version::Http2)] {
        assert!(!is_http2(Http1, request) && is_http2(Http2, request));
        for names_http2 in [false, true] {
            let expected = request.map_or(names_http2, |version| version == Version::Http2);
            assert_eq!(is_http2(Downstream { names_http2 }, request), expected, "{request:?}");
        }
    }
}

// Rows: D4
#[test]
fn room_on_connections_counts_as_made_ahead() {
    let (bench, _listener) = Bench::http2(|config| {
        config.preconnect_per_mille = 1500;
        config.http.http2.max_concurrent_streams = 4;
    });
    let mut streams = Vec::new();
    let mut totals = Vec::new();
    for _ in 0..8 {
        streams.push(bench.stream());
        bench.until("connected", || {
            bench.stat(ClusterStat::UpstreamCxActive) == bench.stat(ClusterStat::UpstreamCxTotal)
        });
        totals.push(bench.stat(ClusterStat::UpstreamCxTotal));
    }
    // For so many streams half as many more are to fit.
    assert_eq!(totals, [1, 1, 2, 2, 2, 3, 3, 3]);
}

#[test]
fn a_panic_at_any_await_point_of_a_connect_leaves_no_gauge_behind() {
    let (_sockets, address) = silent();
    panic_everywhere(&Bench::configured(&[address], http2(|_| ())));
}

#[test]
fn a_panic_at_any_await_point_of_a_connection_leaves_no_gauge_behind() {
    let (bench, _listener) = Bench::http2(|_| ());
    panic_everywhere(&bench);
}

/// Faults are injected into tasks: the one that asks, and those of the pool.
fn panic_everywhere(bench: &Bench) {
    let ask_in_a_task = |panic_at| {
        bench.reactor.inject_panic(panic_at);
        let tasks = bench.reactor.task_set();
        let asked = bench.ask();
        tasks.spawn(async move {
            let _stream = asked.await;
            std::future::pending::<()>().await;
        });
        let panics = || bench.reactor.stats().task_panics;
        let before = (bench.stat(ClusterStat::UpstreamCxDestroy), panics());
        bench.until("settled", || {
            bench.stat(ClusterStat::UpstreamRqActive) > 0
                || (bench.stat(ClusterStat::UpstreamCxDestroy), panics()) != before
        });
        tasks.abort_all();
        bench.cluster.context.tasks.abort_all();
        bench.reactor.inject_panic(None)
    };
    let points = ask_in_a_task(None);
    assert!(points >= 2, "{points}");
    bench.expect_gauges_at_zero();
    for point in 0..points {
        ask_in_a_task(Some(point));
        bench.expect_gauges_at_zero();
    }
}
