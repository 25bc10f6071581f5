//! Two connections that talk to each other: windows, turns, resets, ends, and what goes through a
//! proxy.
#![forbid(unsafe_code)]

mod wire;

use std::time::{Duration, Instant};

use base::Key;
use nuncio_proto::http2::{
    Connection, ErrorCode, ErrorKind, Event, KeepaliveOptions, OpenError, Options, ResetReason,
    SendError,
};
use nuncio_proto::{HeaderList, KnownName, Method, RequestHead, ResponseHead};
use wire::*;

/// A client and a server, and what each has read.
struct Pair {
    client: Connection,
    server: Connection,
    now: Instant,
    request: RequestHead,
    response: ResponseHead,
    /// Events but `NeedMore`, in order.
    at_client: Vec<Event>,
    at_server: Vec<Event>,
    /// Streams as the server knows them, in the order of their heads.
    served: Vec<Key>,
    /// Whether owners take bodies at once.
    is_taking: bool,
}

impl Pair {
    fn new(client_options: &Options, server_options: &Options) -> Self {
        let mut pair = Self {
            client: client(client_options),
            server: server(server_options),
            now: an_instant(),
            request: RequestHead::new(),
            response: ResponseHead::new(),
            at_client: Vec::new(),
            at_server: Vec::new(),
            served: Vec::new(),
            is_taking: true,
        };
        pair.run();
        pair.at_client.clear();
        pair.at_server.clear();
        pair
    }

    /// Lets both talk until neither has anything to say.
    fn run(&mut self) {
        loop {
            let to_server = written(&mut self.client);
            let to_client = written(&mut self.server);
            if to_server.is_empty() && to_client.is_empty() {
                return;
            }
            let mut at = 0;
            loop {
                let step = self
                    .server
                    .receive_request(self.now, &to_server[at..], &mut self.request)
                    .expect("clients of ours are right");
                at += step.consumed;
                match &step.event {
                    Event::NeedMore => break,
                    Event::Head(start) => self.served.push(start.stream),
                    Event::Body { stream, range } if self.is_taking => {
                        self.server.consumed(*stream, range.len());
                    }
                    _ => {}
                }
                self.at_server.push(step.event);
            }
            let mut at = 0;
            loop {
                let step = self
                    .client
                    .receive_response(self.now, &to_client[at..], &mut self.response)
                    .expect("servers of ours are right");
                at += step.consumed;
                match &step.event {
                    Event::NeedMore => break,
                    Event::Body { stream, range } if self.is_taking => {
                        self.client.consumed(*stream, range.len());
                    }
                    _ => {}
                }
                self.at_client.push(step.event);
            }
        }
    }

    fn open(&mut self, is_whole: bool) -> Key {
        self.client.open(self.now, &request("POST"), is_whole).expect("there is room")
    }

    /// A stream with a request on its way and a response that has begun, at both ends.
    fn exchange(&mut self) -> (Key, Key) {
        let at_client = self.open(false);
        self.run();
        let at_server = *self.served.last().expect("its head has come");
        self.server.send_head(at_server, &ok(), false).expect("it comes next");
        self.run();
        (at_client, at_server)
    }

    /// Body bytes that the server has received.
    fn received(&self) -> usize {
        let length = |event: &Event| match event {
            Event::Body { range, .. } => range.len(),
            _ => 0,
        };
        self.at_server.iter().map(length).sum()
    }
}

/// All that a connection has to send, with zeros for bodies.
fn written(connection: &mut Connection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(span) = connection.write(&mut bytes).expect("all is well") {
        assert!(span.length > 0 && span.length <= 16_384);
        bytes.resize(bytes.len() + span.length, 0);
    }
    connection.sent(bytes.len());
    assert_eq!(connection.outbound_frames(), 0);
    bytes
}

fn request(method: &str) -> RequestHead {
    let mut head = RequestHead::new();
    head.set_method(method.as_bytes());
    head.set_authority(b"x");
    head.set_path(b"/");
    head
}

fn ok() -> ResponseHead {
    let mut head = ResponseHead::new();
    head.status = 200;
    head
}

fn small_windows() -> Options {
    Options { stream_window: 65_535, connection_window: 65_535, ..Options::default() }
}

// Rows: F1
#[test]
fn the_first_frames_are_those_of_envoy() {
    // Row F1, as read from Envoy 1.40.
    let options = Options { allow_connect: true, ..Options::default() };
    assert_eq!(
        frames(&written(&mut server(&options))),
        ["SETTINGS 1=4096 8=1 3=1024 4=16777216", "WINDOW_UPDATE 0 25100289"]
    );
    let custom = Options { custom_settings: vec![(0x99, 7)], ..small_windows() };
    assert_eq!(
        frames(&written(&mut server(&custom))),
        ["SETTINGS 153=7 1=4096 8=0 3=1024 4=65535"]
    );
    let bytes = written(&mut client(&small_windows()));
    assert!(bytes.starts_with(PREFACE));
    assert_eq!(frames(&bytes), ["SETTINGS 2=0 1=4096 8=0 3=1024 4=65535"]);
}

#[test]
fn windows_are_given_back_when_bytes_are_taken() {
    // Row F18.
    let mut pair = Pair::new(&Options::default(), &small_windows());
    pair.is_taking = false;
    let stream = pair.open(false);
    pair.client.offer(stream, 100_000, false).expect("it comes next");
    pair.run();
    assert_eq!((pair.received(), pair.client.offered(stream)), (65_535, 100_000 - 65_535));
    let served = pair.served[0];
    pair.server.consumed(served, 32_766);
    pair.run();
    assert_eq!(pair.received(), 65_535, "less than half of the window is not worth a frame");
    pair.server.consumed(served, 1);
    pair.run();
    assert_eq!(pair.received(), 65_535 + 32_767);
    pair.server.consumed(served, 65_535);
    pair.run();
    assert_eq!((pair.received(), pair.client.offered(stream)), (100_000, 0));
}

// Rows: F18
#[test]
fn a_stalled_stream_does_not_hold_others_while_the_connection_has_room() {
    let options = Options { connection_window: 200_000, ..small_windows() };
    let mut pair = Pair::new(&Options::default(), &options);
    pair.is_taking = false;
    let stalled = pair.open(false);
    pair.client.offer(stalled, 100_000, false).expect("it comes next");
    pair.run();
    assert_eq!(pair.received(), 65_535);
    pair.is_taking = true;
    let other = pair.open(false);
    pair.client.offer(other, 1_000_000, true).expect("it comes next");
    pair.run();
    assert_eq!(pair.received(), 65_535 + 1_000_000);
    assert_eq!(pair.at_server.last(), Some(&Event::End(pair.served[1])));
}

// Rows: F19
#[test]
fn streams_that_are_given_up_do_not_shrink_the_connection_window() {
    // Row F19: from either end, with and without release.
    let mut pair = Pair::new(&Options::default(), &small_windows());
    pair.is_taking = false;
    for round in 0..1000 {
        let stream = pair.open(false);
        pair.client.offer(stream, 30_000, false).expect("it comes next");
        pair.run();
        let served = *pair.served.last().expect("its head has come");
        match round % 4 {
            0 => pair.client.reset(stream, ErrorCode::CANCEL),
            1 => pair.server.reset(served, ErrorCode::CANCEL),
            2 => pair.server.consumed(served, 1000),
            _ => {}
        }
        pair.server.release(served);
        pair.client.release(stream);
        pair.run();
    }
    assert_eq!(pair.received(), 30_000_000);
    assert_eq!((pair.server.unconsumed(), pair.client.unconsumed()), (0, 0));
    assert_eq!((pair.server.streams_active(), pair.server.streams_unreleased()), (0, 0));
}

#[test]
fn what_an_ended_stream_left_unread_is_given_back_when_its_owner_goes() {
    let mut pair = Pair::new(&Options::default(), &small_windows());
    pair.is_taking = false;
    let (stream, served) = pair.exchange();
    pair.client.offer(stream, 60_000, true).expect("it comes next");
    pair.server.offer(served, 0, true).expect("it comes next");
    pair.run();
    assert!(pair.server.is_closed(served));
    assert_eq!(pair.server.streams_unreleased(), 1);
    let other = pair.open(false);
    pair.client.offer(other, 30_000, false).expect("it comes next");
    pair.run();
    assert_eq!(pair.received(), 65_535, "the window of the connection is full");
    pair.server.release(served);
    pair.run();
    assert_eq!(pair.received(), 90_000);
}

#[test]
fn section_6_9_2_a_smaller_window_may_become_negative() {
    let mut connection = server(&Options::default());
    let mut head = RequestHead::new();
    let mut stream = None;
    let mut feed = |connection: &mut Connection, bytes: &[u8]| {
        let mut at = 0;
        loop {
            let step = connection
                .receive_request(an_instant(), &bytes[at..], &mut head)
                .expect("it is valid");
            at += step.consumed;
            match step.event {
                Event::NeedMore => return,
                Event::Head(start) => stream = Some(start.stream),
                _ => {}
            }
        }
    };
    feed(&mut connection, &[client_start(), whole(1, GET)].concat());
    let spans = |connection: &mut Connection| {
        let mut lengths = Vec::new();
        while let Some(span) = connection.write(&mut Vec::new()).expect("all is well") {
            lengths.push(span.length);
        }
        lengths
    };
    feed(&mut connection, &frame(SETTINGS, 0, 0, &setting(4, 1000)));
    let stream = stream.expect("the head has come");
    let feed = |connection: &mut Connection, bytes: &[u8]| {
        let step = connection
            .receive_request(an_instant(), bytes, &mut RequestHead::new())
            .expect("it is valid");
        assert!(step.consumed == bytes.len());
    };
    connection.send_head(stream, &ok(), false).expect("it comes next");
    connection.offer(stream, 5000, true).expect("it comes next");
    assert_eq!(spans(&mut connection), [1000]);
    feed(&mut connection, &frame(SETTINGS, 0, 0, &setting(4, 400)));
    assert_eq!(spans(&mut connection), [0; 0]);
    feed(&mut connection, &number(WINDOW_UPDATE, 1, 600));
    assert_eq!(spans(&mut connection), [0; 0], "it was 600 below zero");
    feed(&mut connection, &number(WINDOW_UPDATE, 1, 1));
    assert_eq!(spans(&mut connection), [1]);
    // A larger one wakes the stream by itself.
    feed(&mut connection, &frame(SETTINGS, 0, 0, &setting(4, 2400)));
    assert_eq!(spans(&mut connection), [2000]);
    feed(&mut connection, &frame(SETTINGS, 0, 0, &setting(4, 65_535)));
    assert_eq!(spans(&mut connection), [1999]);
}

#[test]
fn streams_take_turns_of_a_frame() {
    let mut pair = Pair::new(&Options::default(), &Options::default());
    let streams: Vec<Key> = (0..3).map(|_| pair.open(false)).collect();
    for (at, &stream) in streams.iter().enumerate() {
        pair.client.offer(stream, [40_000, 20_000, 5_000][at], true).expect("it comes next");
    }
    pair.client.write(&mut Vec::new()).expect("all is well");
    let mut turns = vec![];
    while let Some(span) = pair.client.write(&mut Vec::new()).expect("all is well") {
        let at = streams.iter().position(|&it| it == span.stream).expect("it is one of them");
        turns.push((at, span.length, span.is_last));
    }
    // The connection's window ends it: 16,384 of the first went before.
    assert_eq!(
        turns,
        [
            (1, 16_384, false),
            (2, 5_000, true),
            (0, 16_384, false),
            (1, 3_616, true),
            (0, 7_232, true),
        ]
    );
}

// Rows: F31
#[test]
fn an_early_response_arrives_before_its_reset() {
    // Row F31.
    let mut pair = Pair::new(&Options::default(), &Options::default());
    let (stream, served) = pair.exchange();
    pair.server.offer(served, 20_000, true).expect("it comes next");
    pair.server.reset(served, ErrorCode::NO_ERROR);
    assert!(!pair.server.is_closed(served));
    pair.at_client.clear();
    pair.run();
    let reset = Event::Reset { stream, reason: ResetReason::Peer(ErrorCode::NO_ERROR) };
    assert!(pair.at_client.contains(&Event::End(stream)));
    assert_eq!(pair.at_client.last(), Some(&reset));
    assert!(pair.server.is_closed(served));

    // What the window has no room for does not hold it up.
    let mut pair = Pair::new(&small_windows(), &Options::default());
    pair.is_taking = false;
    let (stream, served) = pair.exchange();
    pair.server.offer(served, 70_000, true).expect("it comes next");
    pair.server.reset(served, ErrorCode::NO_ERROR);
    pair.at_client.clear();
    pair.run();
    assert!(!pair.at_client.contains(&Event::End(stream)));
    let reset = Event::Reset { stream, reason: ResetReason::Peer(ErrorCode::NO_ERROR) };
    assert_eq!(pair.at_client.last(), Some(&reset));

    // A message without its end is reset at once.
    let (_, served) = pair.exchange();
    pair.server.offer(served, 100, false).expect("it comes next");
    pair.server.reset(served, ErrorCode::INTERNAL_ERROR);
    assert!(pair.server.is_closed(served));
    assert_eq!(frames(&written(&mut pair.server)), ["RST 3 INTERNAL_ERROR"]);
}

// Rows: F25
#[test]
fn an_owner_may_be_done_before_it_hears_of_the_end() {
    // The head says that nothing follows: answered and released at once, without a reset.
    let mut connection = server(&Options::default());
    written(&mut connection);
    let bytes = [client_start(), whole(1, GET), open(3, POST), data(3, END_STREAM, "x")].concat();
    let (mut head, mut at, mut events) = (RequestHead::new(), 0, Vec::new());
    loop {
        let step =
            connection.receive_request(an_instant(), &bytes[at..], &mut head).expect("it is valid");
        at += step.consumed;
        match step.event {
            Event::NeedMore => break,
            Event::Head(start) => {
                connection.send_head(start.stream, &ok(), true).expect("it comes next");
                if start.is_whole {
                    connection.release(start.stream);
                }
            }
            Event::Body { stream, .. } => {
                connection.release(stream);
            }
            _ => {}
        }
        events.push(step.event);
    }
    assert!(!events.iter().any(|event| matches!(event, Event::End(_))), "{events:?}");
    assert_eq!(
        frames(&written(&mut connection))[1..],
        ["HEADERS 1 {:status=200}+END", "HEADERS 3 {:status=200}+END"]
    );
    assert_eq!((connection.streams_active(), connection.streams_unreleased()), (0, 0));
}

#[test]
fn messages_have_an_order() {
    let mut pair = Pair::new(&Options::default(), &Options::default());
    let stream = pair.open(false);
    pair.run();
    let served = pair.served[0];
    let trailers = HeaderList::new();
    assert_eq!(pair.server.offer(served, 1, false), Err(SendError::OutOfOrder));
    assert_eq!(pair.server.send_trailers(served, &trailers), Err(SendError::OutOfOrder));
    let mut head = ok();
    for status in [0, 99, 101, 1000] {
        head.status = status;
        assert_eq!(pair.server.send_head(served, &head, false), Err(SendError::InvalidHead));
    }
    head.status = 103;
    assert_eq!(pair.server.send_head(served, &head, true), Err(SendError::InvalidHead));
    assert_eq!(pair.server.send_head(served, &head, false), Ok(()));
    assert_eq!(pair.server.send_head(served, &ok(), false), Ok(()));
    assert_eq!(pair.server.send_head(served, &ok(), false), Err(SendError::OutOfOrder));
    assert_eq!(pair.server.offer(served, 10, false), Ok(()));
    assert_eq!(pair.server.send_trailers(served, &trailers), Err(SendError::OutOfOrder));
    pair.run();
    assert_eq!(pair.server.send_trailers(served, &trailers), Ok(()));
    assert_eq!(pair.server.offer(served, 1, true), Err(SendError::OutOfOrder));
    pair.client.reset(stream, ErrorCode::CANCEL);
    assert_eq!(pair.client.offer(stream, 1, true), Err(SendError::StreamClosed));
    pair.run();
    assert_eq!(pair.server.send_trailers(served, &trailers), Err(SendError::StreamClosed));
    let map = HeaderList::new();
    assert_eq!(pair.client.send_metadata(stream, &map), Err(SendError::MetadataNotAllowed));
}

#[test]
fn a_client_keeps_to_the_streams_it_is_allowed() {
    let server_options = Options { concurrent_streams_max: 2, ..Options::default() };
    let mut pair = Pair::new(&Options::default(), &server_options);
    assert_eq!(pair.client.streams_max(), 2);
    let first = pair.open(true);
    pair.open(true);
    let again = pair.client.open(pair.now, &request("GET"), true);
    assert_eq!(again, Err(OpenError::StreamLimit));
    pair.client.reset(first, ErrorCode::CANCEL);
    assert!(pair.client.can_open());
    pair.open(true);
    // Its own limit counts too: Envoy's upper bound.
    let own = Options { concurrent_streams_max: 1, ..Options::default() };
    let mut pair = Pair::new(&own, &server_options);
    pair.open(true);
    assert!(!pair.client.can_open());
}

#[test]
fn a_server_goes_away_in_two_steps() {
    // RFC 9113 section 6.8, and row F20: told once.
    let mut pair = Pair::new(&Options::default(), &Options::default());
    let first = pair.open(true);
    pair.run();
    pair.server.shutdown_notice();
    let notice = written(&mut pair.server);
    assert_eq!(frames(&notice), ["GOAWAY 2147483647 NO_ERROR"]);
    // Meanwhile the client opens another, which is served.
    let second = pair.open(true);
    pair.run();
    assert_eq!(pair.served.len(), 2);
    let third = pair.open(true);
    let too_late = written(&mut pair.client);
    pair.server.go_away();
    let last = written(&mut pair.server);
    assert_eq!(frames(&last), ["GOAWAY 3 NO_ERROR"]);
    pair.server.go_away();
    assert!(written(&mut pair.server).is_empty(), "once");
    // What was under way is ignored, and its client knows that it was.
    let step = pair.server.receive_request(pair.now, &too_late, &mut pair.request);
    assert_eq!(step.map(|step| step.event), Ok(Event::NeedMore));
    let bytes = [notice, last].concat();
    let (mut at, mut events) = (0, Vec::new());
    loop {
        let step = pair
            .client
            .receive_response(pair.now, &bytes[at..], &mut pair.response)
            .expect("it is valid");
        at += step.consumed;
        if step.event == Event::NeedMore {
            break;
        }
        events.push(step.event);
    }
    assert_eq!(
        events,
        [
            Event::GoAway(ErrorCode::NO_ERROR),
            Event::Reset { stream: third, reason: ResetReason::GoAway }
        ]
    );
    assert!(ResetReason::GoAway.is_unprocessed());
    assert_eq!(pair.client.open(pair.now, &request("GET"), true), Err(OpenError::GoingAway));
    assert!(!pair.client.is_drained());
    for served in pair.served.clone() {
        pair.server.send_head(served, &ok(), true).expect("it comes next");
    }
    pair.run();
    assert!(pair.client.is_drained() && pair.server.is_drained());
    assert!(pair.client.is_closed(first) && pair.client.is_closed(second));
}

#[test]
fn heads_longer_than_a_frame_arrive() {
    let limits = Options { head_bytes_max: 200_000, ..Options::default() };
    let mut pair = Pair::new(&limits, &limits);
    let mut head = request("GET");
    for _ in 0..20 {
        head.headers.append(b"a", "~".repeat(5000).as_bytes());
    }
    let stream = pair.client.open(pair.now, &head, true).expect("there is room");
    pair.run();
    assert_eq!(pair.request.headers.byte_size(), 20 * 5001);
    let mut response = ok();
    response.headers = head.headers.clone();
    pair.server.send_head(pair.served[0], &response, true).expect("it comes next");
    pair.run();
    assert_eq!(pair.response.headers.byte_size(), 20 * 5001);
    assert_eq!(pair.at_client.last(), Some(&Event::End(stream)));
}

#[test]
fn a_proxy_keeps_what_must_not_be_indexed() {
    // RFC 7541 section 6.2.3, over two hops. (Without a table, each block can be read on its own.)
    let without_table = Options { hpack_table_size: 0, ..Options::default() };
    let mut pair = Pair::new(&without_table, &Options::default());
    let mut fields = block(GET);
    fields.extend_from_slice(b"\x10\x06secret\x011\x00\x05plain\x012");
    let mut front = server(&Options::default());
    let bytes = [client_start(), frame(HEADERS, 5, 1, &fields)].concat();
    let mut head = RequestHead::new();
    let mut at = 0;
    loop {
        let step = front.receive_request(pair.now, &bytes[at..], &mut head).expect("it is valid");
        at += step.consumed;
        if matches!(step.event, Event::Head(_)) {
            break;
        }
    }
    pair.client.open(pair.now, &head, true).expect("there is room");
    let sent = written(&mut pair.client);
    assert_eq!(
        frames(&sent),
        ["HEADERS 1 {:authority=x|:path=/|:method=GET|:scheme=http|!secret=1|plain=2}+END"]
    );
    let mut back = RequestHead::new();
    let step = pair.server.receive_request(pair.now, &sent, &mut back).expect("it is valid");
    assert!(matches!(step.event, Event::Head(_)));
    // And what is a secret by its name needs no mark.
    back.headers.append(b"authorization", b"Basic x");
    back.headers.append(b"cookie", b"short");
    pair.client.open(pair.now, &back, true).expect("there is room");
    assert_eq!(
        frames(&written(&mut pair.client))[0],
        "HEADERS 3 {:authority=x|:path=/|:method=GET|:scheme=http|!secret=1|plain=2|\
         !authorization=Basic x|!cookie=short}+END"
    );
}

#[test]
fn an_upgrade_crosses_as_extended_connect() {
    // RFC 8441, both ways.
    let options = Options { allow_connect: true, ..Options::default() };
    let mut pair = Pair::new(&Options::default(), &options);
    let mut head = request("GET");
    head.headers.append(b"connection", b"Upgrade");
    head.headers.append(b"upgrade", b"websocket");
    let stream = pair.client.open(pair.now, &head, false).expect("it is announced");
    pair.run();
    assert_eq!(pair.request.method(), Method::Get);
    assert_eq!(pair.request.headers.get(KnownName::Upgrade), Some(&b"websocket"[..]));
    let Some(Event::Head(start)) = pair.at_server.first() else {
        panic!("no head: {:?}", pair.at_server);
    };
    assert!(start.is_tunnel);
    let mut switched = ok();
    switched.status = 101;
    switched.headers.append(b"upgrade", b"websocket");
    switched.headers.append(b"connection", b"upgrade");
    pair.server.send_head(pair.served[0], &switched, false).expect("it is an upgrade");
    let sent = written(&mut pair.server);
    assert_eq!(frames(&sent), ["HEADERS 1 {:status=200}"]);
    let step = pair.client.receive_response(pair.now, &sent, &mut pair.response);
    assert!(matches!(step.map(|it| it.event), Ok(Event::Head(start)) if start.is_tunnel));
    assert_eq!(pair.response.status, 101);
    assert_eq!(pair.response.headers.get(KnownName::Upgrade), Some(&b"websocket"[..]));
    pair.client.offer(stream, 5, false).expect("a tunnel has a body");

    let mut without = Pair::new(&Options::default(), &Options::default());
    assert_eq!(without.client.open(without.now, &head, false), Err(OpenError::NoConnectProtocol));
    // As Envoy, which does not wait for the peer's first SETTINGS.
    let mut unheard = client(&Options::default());
    assert!(unheard.open(an_instant(), &head, false).is_ok());
}

// Rows: F29
#[test]
fn metadata_goes_both_ways_in_frames_of_any_size() {
    let options = Options { allow_metadata: true, ..Options::default() };
    let mut pair = Pair::new(&options, &options);
    let (stream, served) = pair.exchange();
    let mut map = HeaderList::new();
    map.append(b"a", "v".repeat(40_000).as_bytes());
    map.append(b"b", b"c");
    pair.client.send_metadata(stream, &map).expect("it is allowed");
    pair.server.send_metadata(served, &map).expect("it is allowed");
    pair.at_server.clear();
    pair.at_client.clear();
    pair.run();
    assert_eq!(pair.at_server, [Event::Metadata(served)]);
    assert_eq!(pair.at_client, [Event::Metadata(stream)]);
    assert_eq!(pair.client.metadata().byte_size(), 40_003);
}

#[test]
fn pings_look_after_a_connection() {
    // Rows F2 to F5.
    let keepalive = KeepaliveOptions {
        interval: Some(Duration::from_secs(10)),
        timeout: Duration::from_secs(2),
        jitter_percent: 0.0,
        idle_interval: Some(Duration::from_secs(3)),
    };
    let options = Options { keepalive: Some(keepalive), ..Options::default() };
    let mut pair = Pair::new(&options, &Options::default());
    let start = pair.client.deadline().expect("there is an interval") - Duration::from_secs(10);
    let at = |seconds| start + Duration::from_secs(seconds);
    pair.client.tick(at(10), u64::from_be_bytes(*b"12345678")).expect("nothing is late");
    let ping = written(&mut pair.client);
    assert_eq!(frames(&ping), ["PING 12345678"]);
    assert_eq!(pair.client.deadline(), Some(at(12)));
    pair.server.receive_request(at(11), &ping, &mut pair.request).expect("it is valid");
    let pong = written(&mut pair.server);
    assert_eq!(frames(&pong), ["PING 12345678+ACK"]);
    pair.client.receive_response(at(11), &pong, &mut pair.response).expect("it is valid");
    assert_eq!(pair.client.deadline(), Some(at(21)));
    // After silence, a request is preceded by a PING.
    pair.client.open(at(15), &request("GET"), true).expect("there is room");
    assert!(frames(&written(&mut pair.client))[0].starts_with("PING"));
    assert_eq!(
        pair.client.tick(at(17), 0).map_err(nuncio_proto::http2::Error::kind),
        Err(ErrorKind::KeepaliveTimeout)
    );
    assert_eq!(pair.client.counts().keepalive_timeout, 1);
    let mut out = Vec::new();
    assert!(pair.client.write(&mut out).is_err());
    assert!(out.is_empty(), "whoever is gone is not told");
}

// Rows: F21
#[test]
fn bytes_on_the_wire_are_counted_for_each_stream() {
    // Row F21.
    let mut pair = Pair::new(&Options::default(), &Options::default());
    let stream = pair.open(false);
    let head = written(&mut pair.client);
    pair.client.offer(stream, 20_000, true).expect("it comes next");
    let body = written(&mut pair.client);
    assert_eq!(body.len(), 20_000 + 2 * 9);
    let bytes = [&head[..], &body].concat();
    let mut at = 0;
    let mut served = None;
    loop {
        let step = pair
            .server
            .receive_request(pair.now, &bytes[at..], &mut pair.request)
            .expect("it is valid");
        at += step.consumed;
        match step.event {
            Event::Head(start) => served = Some(start.stream),
            Event::NeedMore => break,
            _ => {}
        }
    }
    let sent = pair.client.meter(stream).expect("it is there");
    let received = pair.server.meter(served.expect("its head has come")).expect("it is there");
    assert_eq!(sent.wire_bytes_sent, bytes.len() as u64);
    assert_eq!(sent.header_bytes_sent, head.len() as u64);
    assert_eq!(received.wire_bytes_received, bytes.len() as u64);
    assert_eq!(received.header_bytes_received, head.len() as u64);
}

#[test]
fn a_stream_that_its_owner_resets_within_a_frame_is_read_over() {
    let mut connection = server(&Options::default());
    let mut head = RequestHead::new();
    let bytes =
        [client_start(), open(1, POST), data(1, END_STREAM, "abcdef"), whole(3, GET)].concat();
    let cut = bytes.len() - whole(3, GET).len() - 3;
    let mut events = Vec::new();
    for piece in [&bytes[..cut], &bytes[cut..]] {
        let mut at = 0;
        loop {
            let step = connection
                .receive_request(an_instant(), &piece[at..], &mut head)
                .expect("it is valid");
            at += step.consumed;
            match step.event {
                Event::NeedMore => break,
                Event::Body { stream, .. } => connection.reset(stream, ErrorCode::CANCEL),
                _ => {}
            }
            events.push(step.event);
        }
    }
    assert_eq!(events.len(), 5, "{events:?}");
    assert!(matches!(events[2], Event::Body { ref range, .. } if range.len() == 3));
    assert!(matches!(events[3], Event::Head(_)) && matches!(events[4], Event::End(_)));
}
