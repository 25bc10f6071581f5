//! Both sides of a connection on one reactor: messages of many sizes, what holds them back, and
//! how streams and connections end.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use base::Key;
use proto::http2::{
    Connection, Error, ErrorCode, ErrorKind, KeepaliveOptions, MessageStart, Options, ResetReason,
    Step,
};
use proto::{HeaderList, RequestHead, ResponseHead};
use reactor::{OutboxMeter, Reactor, Settings, TaskSet};

use super::*;
use crate::Stream;

struct Unmetered;

impl OutboxMeter for Unmetered {
    fn queued(&self, _bytes: usize) {}
    fn sent(&self, _bytes: usize) {}
    fn dropped(&self, _bytes: usize) {}
}

/// What a server does with a request.
type Serve = Rc<dyn Fn(Reactor, StreamPort, RequestHead, Rc<Seen>) -> Served>;
type Served = std::pin::Pin<Box<dyn Future<Output = ()>>>;

/// What servers have seen.
#[derive(Default)]
struct Seen {
    requests: Cell<usize>,
    ends: RefCell<Vec<PortEnd>>,
}

struct Server {
    reactor: Reactor,
    head: RequestHead,
    serve: Serve,
    tasks: Rc<TaskSet>,
    seen: Rc<Seen>,
}

impl Role for Server {
    fn decode(
        &mut self,
        codec: &mut Connection,
        now: Instant,
        input: &[u8],
    ) -> Result<Step, Error> {
        codec.receive_request(now, input, &mut self.head)
    }

    fn head(&mut self, endpoint: &Rc<Endpoint>, stream: Key, _start: Option<MessageStart>) {
        self.seen.requests.set(self.seen.requests.get() + 1);
        let (port, head) = (endpoint.port(stream), std::mem::take(&mut self.head));
        self.tasks.spawn((self.serve)(self.reactor.clone(), port, head, Rc::clone(&self.seen)));
    }
}

fn streams(reactor: &Reactor, buffer_limit: u32) -> (Rc<Stream>, Rc<Stream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    let [near, far] = [near, far].map(|socket| {
        socket.set_nonblocking(true).unwrap();
        let socket = reactor.socket(socket.into());
        Rc::new(Stream::new(reactor, socket, buffer_limit, Rc::new(Unmetered)))
    });
    (near, far)
}

/// Runs `client` on a connection to a server that does `serve` with each request.
fn run<F: Future<Output = ()>>(
    options: Options,
    serve: impl Fn(Reactor, StreamPort, RequestHead, Rc<Seen>) -> Served + 'static,
    client: impl FnOnce(Reactor, Rc<Endpoint>, Rc<Seen>) -> F,
) {
    let reactor = Reactor::new(Settings::new(reactor::probe().unwrap())).unwrap();
    let (near, far) = streams(&reactor, 1 << 20);
    let options = Arc::new(options);
    let tasks = Rc::new(reactor.task_set());
    let seen = Rc::new(Seen::default());
    let now = reactor.now();
    let served = Endpoint::new(far, Connection::server(Arc::clone(&options), now, 1), 1 << 20);
    let mut server = Server {
        reactor: reactor.clone(),
        head: RequestHead::new(),
        serve: Rc::new(serve),
        tasks: Rc::clone(&tasks),
        seen: Rc::clone(&seen),
    };
    let drive_tasks = reactor.task_set();
    let clock = reactor.clone();
    drive_tasks.spawn(async move {
        poll_fn(|context| served.poll(context, clock.now(), &mut server)).await;
        served.stream().outbox().finish();
    });
    let endpoint = Endpoint::new(near, Connection::client(options, now, 2), 1 << 20);
    let (driven, clock) = (Rc::clone(&endpoint), reactor.clone());
    drive_tasks.spawn(async move {
        poll_fn(|context| driven.poll_client(context, clock.now())).await;
    });
    reactor.run(client(reactor.clone(), endpoint, seen));
    drive_tasks.abort_all();
    tasks.abort_all();
}

fn request(path: &[u8]) -> RequestHead {
    let mut head = RequestHead::new();
    head.set_authority(b"a.example");
    head.set_path(path);
    head
}

fn pattern(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

/// Sends a message's body and trailers when there is room.
async fn send(port: &StreamPort, body: &[u8], trailers: Option<&HeaderList>) {
    let mut left = body;
    while !left.is_empty() {
        let Ok(room) = poll_fn(|context| port.poll_room(context)).await else { return };
        let (now, later) = left.split_at(room.min(left.len()));
        port.send(now.to_vec().into());
        left = later;
    }
    port.end(trailers);
}

/// Takes a whole message.
async fn take(port: &StreamPort) -> Result<(Vec<u8>, HeaderList), PortEnd> {
    let (mut body, mut trailers) = (Vec::new(), HeaderList::new());
    loop {
        match poll_fn(|context| port.poll_part(context, 40_000)).await? {
            PortPart::Data(span) => body.extend_from_slice(&span),
            PortPart::Metadata(_) => {}
            PortPart::Trailers => port.take_trailers(&mut trailers),
            PortPart::End => return Ok((body, trailers)),
        }
    }
}

async fn response(port: &StreamPort) -> Result<ResponseHead, PortEnd> {
    let mut head = ResponseHead::new();
    while poll_fn(|context| port.poll_head(context, &mut head)).await?.is_none() {}
    Ok(head)
}

/// Answers with the body that it gets, and trailers.
fn echo(_: Reactor, port: StreamPort, _head: RequestHead, seen: Rc<Seen>) -> Served {
    Box::pin(async move {
        match take(&port).await {
            Ok((body, trailers)) => {
                let mut head = ResponseHead::new();
                head.status = 200;
                port.send_head(&head, false);
                send(&port, &body, Some(&trailers).filter(|it| !it.is_empty())).await;
                poll_fn(|context| port.poll_sent(context)).await;
            }
            Err(end) => seen.ends.borrow_mut().push(end),
        }
    })
}

#[test]
fn messages_of_all_sizes_go_both_ways_at_once() {
    run(Options::default(), echo, |reactor, endpoint, seen| async move {
        let tasks = reactor.task_set();
        let done = Rc::new(Cell::new(0));
        for number in 0..40usize {
            let length = [0, 1, 100, 16_384, 16_385, 70_000, 300_000, 2_000_000][number % 8];
            let (endpoint, done, reactor) =
                (Rc::clone(&endpoint), Rc::clone(&done), reactor.clone());
            tasks.spawn(async move {
                let port = endpoint.open(reactor.now(), &request(b"/"), false).unwrap();
                let mut trailers = HeaderList::new();
                trailers.append(b"x-number", number.to_string().as_bytes());
                let body = pattern(length);
                send(&port, &body, (number % 2 == 0).then_some(&trailers)).await;
                assert_eq!(response(&port).await.unwrap().status, 200);
                let (received, got) = take(&port).await.unwrap();
                assert!(received == body, "{number}: {} of {length} bytes", received.len());
                assert_eq!(got.is_empty(), number % 2 == 1);
                done.set(done.get() + 1);
            });
        }
        tasks.wait_empty().await;
        assert_eq!((done.get(), seen.requests.get(), endpoint.streams()), (40, 40, 0));
        assert_eq!(endpoint.bytes_pending(), 0);
    });
}

// Rows: F18
#[test]
fn a_message_that_nobody_takes_holds_back_its_stream_only() {
    let options = Options { stream_window: 70_000, ..Options::default() };
    let serve = |reactor: Reactor, port: StreamPort, head: RequestHead, seen: Rc<Seen>| -> Served {
        if head.path() == b"/echo" {
            return echo(reactor, port, head, seen);
        }
        Box::pin(std::future::pending::<()>().then_keep(port))
    };
    run(options, serve, |reactor, endpoint, _| async move {
        let stalled = endpoint.open(reactor.now(), &request(b"/never"), false).unwrap();
        let mut sent = 0;
        poll_fn(|context| {
            while let Poll::Ready(room) = stalled.poll_room(context) {
                stalled.send(vec![7; room.unwrap().min(10_000)].into());
                sent += 10_000;
            }
            Poll::Ready(())
        })
        .await;
        let held = reactor::CONGESTED_BYTES_MAX;
        assert!((held..70_000 + held + 20_000).contains(&sent), "{sent} bytes were taken");
        for _ in 0..3 {
            let port = endpoint.open(reactor.now(), &request(b"/echo"), false).unwrap();
            send(&port, &pattern(500_000), None).await;
            assert_eq!(response(&port).await.unwrap().status, 200);
            assert!(take(&port).await.unwrap().0 == pattern(500_000));
        }
        assert!(stalled.is_paused());
    });
}

// Rows: F29
#[test]
fn more_metadata_than_may_wait_ends_its_stream() {
    let options = Options { allow_metadata: true, ..Options::default() };
    // Takes nothing before the message has ended, and answers with the number of maps.
    let serve = |_: Reactor, port: StreamPort, _: RequestHead, seen: Rc<Seen>| -> Served {
        Box::pin(async move {
            let ended = poll_fn(|context| match port.poll_end(context) {
                Poll::Pending if port.is_received() => Poll::Ready(None),
                polled => polled.map(Some),
            });
            if let Some(end) = ended.await {
                return seen.ends.borrow_mut().push(end);
            }
            let mut maps = 0;
            while let Ok(part) = poll_fn(|context| port.poll_part(context, 1000)).await {
                match part {
                    PortPart::Metadata(map) => maps += map.len(),
                    PortPart::End => break,
                    other => panic!("{other:?}"),
                }
            }
            let mut head = ResponseHead::new();
            head.status = 200;
            head.headers.append(b"x-maps", maps.to_string().as_bytes());
            port.send_head(&head, true);
        })
    };
    run(options, serve, |reactor, endpoint, seen| async move {
        let mut map = HeaderList::new();
        map.append(b"n", b"v");
        // What has gone makes room for others.
        for _ in 0..2 {
            let port = endpoint.open(reactor.now(), &request(b"/"), false).unwrap();
            (0..metadata::MAPS_MAX).for_each(|_| port.send_metadata(&map));
            port.end(None);
            let head = response(&port).await.unwrap();
            let maps = head.headers.get(proto::Name::from(&b"x-maps"[..]));
            assert_eq!(maps, Some(metadata::MAPS_MAX.to_string().as_bytes()));
        }
        let port = endpoint.open(reactor.now(), &request(b"/"), false).unwrap();
        (0..=metadata::MAPS_MAX).for_each(|_| port.send_metadata(&map));
        let end = poll_fn(|context| port.poll_end(context)).await;
        assert_eq!(end, PortEnd::Reset(ResetReason::Peer(ErrorCode::ENHANCE_YOUR_CALM)));
        let at_server = PortEnd::Reset(ResetReason::Codec(ErrorKind::TooMuchMetadata));
        assert_eq!(seen.ends.borrow().last(), Some(&at_server));
    });
}

/// A future that keeps something until it ends.
trait ThenKeep: Future<Output = ()> + Sized {
    async fn then_keep<T>(self, kept: T) {
        self.await;
        drop(kept);
    }
}

impl<F: Future<Output = ()>> ThenKeep for F {}

#[test]
fn what_is_dropped_is_cancelled_and_what_is_reset_says_why() {
    let serve = |reactor: Reactor, port: StreamPort, head: RequestHead, seen: Rc<Seen>| -> Served {
        if head.path() == b"/refuse" {
            port.reset(ErrorCode::REFUSED_STREAM);
            return Box::pin(std::future::ready(()));
        }
        echo(reactor, port, head, seen)
    };
    run(Options::default(), serve, |reactor, endpoint, seen| async move {
        let refused = endpoint.open(reactor.now(), &request(b"/refuse"), true).unwrap();
        let end = response(&refused).await.unwrap_err();
        assert_eq!(end, PortEnd::Reset(ResetReason::Peer(ErrorCode::REFUSED_STREAM)));
        let dropped = endpoint.open(reactor.now(), &request(b"/"), false).unwrap();
        dropped.send_copy(b"abc");
        drop(dropped);
        let port = endpoint.open(reactor.now(), &request(b"/"), true).unwrap();
        assert_eq!(response(&port).await.unwrap().status, 200);
        let cancelled = PortEnd::Reset(ResetReason::Peer(ErrorCode::CANCEL));
        assert_eq!(*seen.ends.borrow(), [cancelled]);
    });
}

// Rows: F32
#[test]
fn nothing_is_sent_over_a_connection_that_has_ended() {
    let wait = |_, port: StreamPort, _, _| -> Served {
        Box::pin(std::future::pending::<()>().then_keep(port))
    };
    run(Options::default(), wait, |reactor, endpoint, _| async move {
        let held = endpoint.open(reactor.now(), &request(b"/"), false).unwrap();
        let dropped = endpoint.open(reactor.now(), &request(b"/"), false).unwrap();
        held.hold(vec![1, 2, 3].into());
        endpoint.close();
        let queued = endpoint.stream().outbox().bytes_queued();
        held.flush();
        held.send_copy(b"more");
        held.end(None);
        held.reset(ErrorCode::CANCEL);
        drop(dropped);
        endpoint.tick(reactor.now(), reactor.wall_now());
        assert!(endpoint.open(reactor.now(), &request(b"/"), true).is_err());
        poll_fn(|context| endpoint.poll_client(context, reactor.now())).await;
        assert_eq!(endpoint.stream().outbox().bytes_queued(), queued);
    });
}

#[test]
fn a_peer_that_does_not_answer_a_ping_ends_its_connection() {
    let keepalive = Some(KeepaliveOptions {
        interval: Some(Duration::from_secs(1)),
        timeout: Duration::ZERO,
        jitter_percent: 0.0,
        idle_interval: None,
    });
    let options = Options { keepalive, ..Options::default() };
    run(options, echo, |reactor, endpoint, _| async move {
        let port = endpoint.open(reactor.now(), &request(b"/"), false).unwrap();
        let due = endpoint.with_codec(|codec| codec.deadline()).unwrap();
        endpoint.tick(due, reactor.wall_now());
        assert_eq!(endpoint.end(), None, "a PING is on its way");
        endpoint.tick(due, reactor.wall_now());
        let end = ConnectionEnd::Protocol(ErrorKind::KeepaliveTimeout);
        assert_eq!(endpoint.end(), Some(end));
        assert_eq!(port.ended_by(), Some(PortEnd::Connection(end)));
    });
}

// Rows: F26
#[test]
fn streams_hear_of_the_end_of_their_connection() {
    let leave = |_, port: StreamPort, _, _| -> Served {
        port.endpoint().with_codec(Connection::go_away);
        port.endpoint().stream().outbox().finish();
        Box::pin(std::future::pending::<()>().then_keep(port))
    };
    run(Options::default(), leave, |reactor, endpoint, _| async move {
        let port = endpoint.open(reactor.now(), &request(b"/"), true).unwrap();
        let end = response(&port).await.unwrap_err();
        assert_eq!(end, PortEnd::Connection(ConnectionEnd::Peer));
        assert_eq!(endpoint.end(), Some(ConnectionEnd::Peer));
        assert!(endpoint.is_going_away());
        assert!(endpoint.open(reactor.now(), &request(b"/"), true).is_err());
    });
}

#[test]
fn a_server_that_breaks_a_rule_is_told() {
    let hold = |_, port: StreamPort, _, _| -> Served {
        // A promise, which nobody accepts.
        port.endpoint().stream().outbox().push(vec![0, 0, 0, 5, 4, 0, 0, 0, 1].into());
        Box::pin(std::future::pending::<()>().then_keep(port))
    };
    run(Options::default(), hold, |reactor, endpoint, _| async move {
        let port = endpoint.open(reactor.now(), &request(b"/"), true).unwrap();
        let end = response(&port).await.unwrap_err();
        let PortEnd::Connection(ConnectionEnd::Protocol(kind)) = end else { panic!("{end:?}") };
        assert_ne!(kind, ErrorKind::KeepaliveTimeout);
        assert_eq!(endpoint.with_codec(|codec| codec.counts().goaway_sent), 1);
    });
}
