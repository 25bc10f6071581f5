//! Fuzz target: two connections of ours that talk to each other, as operations.
//!
//! What must hold: neither refuses what the other sends, however it is cut; bodies arrive as they
//! were sent; whatever was reset or left unread, nothing of the connection's window is lost in the
//! end, and a new stream is served; and no frame is counted for ever.
#![no_main]
#![forbid(unsafe_code)]

mod http2;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use base::Key;
use proto::http2::{Connection, ErrorCode, Event, Options, ResetReason};
use proto::{HeaderList, RequestHead, ResponseHead};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut pair = Pair::new();
    for &[what, which, amount] in bytes.as_chunks::<3>().0.iter().take(400) {
        pair.operate(what % 12, usize::from(which), usize::from(amount));
    }
    pair.finish();
});

/// One end, and what its owners know.
struct End {
    connection: Connection,
    /// Bytes that were written and that the other end has not got.
    outgoing: Vec<u8>,
    streams: BTreeMap<u32, Stream>,
}

struct Stream {
    key: Key,
    /// How many bytes were asked for, and how many came.
    sent: usize,
    received: usize,
    untaken: usize,
    has_sent_head: bool,
    has_ended: bool,
    has_heard_end: bool,
    is_reset: bool,
}

impl Stream {
    fn new(key: Key) -> Self {
        Self {
            key,
            sent: 0,
            received: 0,
            untaken: 0,
            has_sent_head: false,
            has_ended: false,
            has_heard_end: false,
            is_reset: false,
        }
    }
}

/// The body of a stream from a place on.
fn body(id: u32, at: usize, length: usize) -> &'static [u8] {
    static PATTERN: OnceLock<Vec<u8>> = OnceLock::new();
    let pattern = PATTERN.get_or_init(|| {
        (0..2 * PERIOD + MANY).map(|at| (at % PERIOD / 7 + at % PERIOD) as u8).collect()
    });
    &pattern[(id as usize + at) % PERIOD..][..length]
}

/// A body repeats after so many bytes.
const PERIOD: usize = 65_521;

/// As much of it as anybody looks at in one piece.
const MANY: usize = 70_000;

impl End {
    /// Writes all there is to write.
    fn write(&mut self) {
        let before = self.outgoing.len();
        while let Some(span) =
            self.connection.write(&mut self.outgoing).expect("nobody is wrong here")
        {
            let id = self.connection.stream_id(span.stream).expect("it was not released");
            let stream = self.streams.get_mut(&id).expect("it was not released");
            self.outgoing.extend_from_slice(body(id, stream.sent, span.length));
            stream.sent += span.length;
        }
        debug_assert!(self.outgoing.len() >= before);
    }

    fn event(&mut self, event: Event, input: &[u8]) -> bool {
        match event {
            Event::NeedMore => return false,
            Event::Head(start) => {
                let id = self.connection.stream_id(start.stream).expect("it is new");
                self.streams.entry(id).or_insert_with(|| Stream::new(start.stream));
            }
            Event::Body { stream, range } => {
                let id = self.connection.stream_id(stream).expect("it is there");
                let state = self.streams.get_mut(&id).expect("its head came first");
                let expected = body(id, state.received, range.len());
                assert!(input[range.clone()] == *expected, "{id}");
                state.received += range.len();
                state.untaken += range.len();
            }
            Event::End(stream) => {
                let id = self.connection.stream_id(stream).expect("it is there");
                self.streams.get_mut(&id).expect("its head came first").has_heard_end = true;
            }
            Event::Reset { stream, reason } => {
                assert!(!matches!(reason, ResetReason::Codec(_)), "{reason:?}");
                let id = self.connection.stream_id(stream).expect("it is there");
                self.streams.get_mut(&id).expect("its head came first").is_reset = true;
            }
            _ => {}
        }
        true
    }

    fn nth(&mut self, which: usize) -> Option<(u32, &mut Stream)> {
        let count = self.streams.len();
        self.streams.iter_mut().nth(which.checked_rem(count)?).map(|(&id, it)| (id, it))
    }

    fn offer(&mut self, which: usize, bytes: usize, is_last: bool) {
        let Some((_, stream)) = self.nth(which) else {
            return;
        };
        let key = stream.key;
        let is_possible = stream.has_sent_head && !stream.has_ended;
        if is_possible && self.connection.offer(key, bytes, is_last).is_ok() && is_last {
            self.nth(which).expect("it is there").1.has_ended = true;
        }
    }

    fn trailers(&mut self, which: usize) {
        let mut trailers = HeaderList::new();
        trailers.append(b"a", b"b");
        let Some((_, stream)) = self.nth(which) else {
            return;
        };
        let key = stream.key;
        if self.connection.send_trailers(key, &trailers).is_ok() {
            self.nth(which).expect("it is there").1.has_ended = true;
        }
    }

    fn reset(&mut self, which: usize, code: u32) {
        if let Some((_, stream)) = self.nth(which) {
            let key = stream.key;
            stream.is_reset = true;
            self.connection.reset(key, ErrorCode(code % 14));
        }
    }

    fn take(&mut self, which: usize, bytes: usize) {
        if let Some((_, stream)) = self.nth(which) {
            let bytes = bytes.min(stream.untaken);
            stream.untaken -= bytes;
            let key = stream.key;
            self.connection.consumed(key, bytes);
        }
    }

    fn release(&mut self, which: usize) {
        let Some((id, stream)) = self.nth(which) else {
            return;
        };
        let key = stream.key;
        // An owner keeps what it has promised to send.
        if stream.is_reset && !self.connection.is_closed(key) {
            return;
        }
        assert!(self.connection.release(key).is_some());
        self.streams.remove(&id);
    }
}

struct Pair {
    client: End,
    server: End,
    request: RequestHead,
    response: ResponseHead,
}

impl Pair {
    fn new() -> Self {
        let options = Arc::new(Options {
            stream_window: 65_535,
            connection_window: 100_000,
            concurrent_streams_max: 5,
            stream_reset_burst: 10_000,
            ..Options::default()
        });
        let now = http2::an_instant();
        let end = |connection| End { connection, outgoing: Vec::new(), streams: BTreeMap::new() };
        let mut pair = Self {
            client: end(Connection::client(Arc::clone(&options), now, 1)),
            server: end(Connection::server(options, now, 2)),
            request: RequestHead::new(),
            response: ResponseHead::new(),
        };
        pair.request.set_path(b"/");
        pair.request.set_authority(b"x");
        pair.settle();
        pair
    }

    fn operate(&mut self, what: u8, which: usize, amount: usize) {
        // Up to three times the window of a stream.
        let big = amount * amount * 3;
        match what {
            0 => {
                self.open(amount.is_multiple_of(2));
            }
            1 => self.client.offer(which, big, amount.is_multiple_of(5)),
            2 => self.server.offer(which, big, amount.is_multiple_of(5)),
            3 => self.answer(which, amount.is_multiple_of(4)),
            4 => self.client.trailers(which),
            5 => self.server.trailers(which),
            6 => self.client.reset(which, amount as u32),
            7 => self.server.reset(which, amount as u32),
            8 => self.to_server(big),
            9 => self.to_client(big),
            10 => {
                self.client.take(which, big);
                self.server.take(which, big);
            }
            _ if amount.is_multiple_of(2) => self.client.release(which),
            _ => self.server.release(which),
        }
    }

    fn open(&mut self, is_whole: bool) -> Option<u32> {
        let head = &mut self.request;
        head.clear();
        head.set_method(b"POST");
        head.set_path(b"/");
        head.set_authority(b"x");
        let key = self.client.connection.open(http2::an_instant(), head, is_whole).ok()?;
        let id = self.client.connection.stream_id(key)?;
        let stream = Stream { has_sent_head: true, has_ended: is_whole, ..Stream::new(key) };
        self.client.streams.insert(id, stream);
        Some(id)
    }

    fn answer(&mut self, which: usize, is_whole: bool) {
        let mut head = ResponseHead::new();
        head.status = 200;
        let Some((_, stream)) = self.server.nth(which) else {
            return;
        };
        let key = stream.key;
        if self.server.connection.send_head(key, &head, is_whole).is_ok() {
            let (_, stream) = self.server.nth(which).expect("it is there");
            stream.has_sent_head = true;
            stream.has_ended = is_whole;
        }
    }

    fn to_server(&mut self, bytes: usize) {
        self.client.write();
        let bytes = bytes.min(self.client.outgoing.len());
        let input: Vec<u8> = self.client.outgoing.drain(..bytes).collect();
        self.client.connection.sent(bytes);
        let mut at = 0;
        loop {
            let rest = &input[at..];
            let step = self
                .server
                .connection
                .receive_request(http2::an_instant(), rest, &mut self.request)
                .expect("a client of ours is right");
            at += step.consumed;
            if !self.server.event(step.event, rest) {
                break;
            }
        }
    }

    fn to_client(&mut self, bytes: usize) {
        self.server.write();
        let bytes = bytes.min(self.server.outgoing.len());
        let input: Vec<u8> = self.server.outgoing.drain(..bytes).collect();
        self.server.connection.sent(bytes);
        let mut at = 0;
        loop {
            let rest = &input[at..];
            let step = self
                .client
                .connection
                .receive_response(http2::an_instant(), rest, &mut self.response)
                .expect("a server of ours is right");
            at += step.consumed;
            if !self.client.event(step.event, rest) {
                break;
            }
        }
    }

    /// Lets both talk and take until nothing is left to say.
    fn settle(&mut self) {
        loop {
            for which in 0..self.client.streams.len() {
                self.client.take(which, usize::MAX);
            }
            for which in 0..self.server.streams.len() {
                self.server.take(which, usize::MAX);
            }
            self.client.write();
            self.server.write();
            if self.client.outgoing.is_empty() && self.server.outgoing.is_empty() {
                return;
            }
            self.to_server(usize::MAX);
            self.to_client(usize::MAX);
        }
    }

    fn finish(&mut self) {
        self.settle();
        for (from, to) in [(&self.client, &self.server), (&self.server, &self.client)] {
            for (id, stream) in &from.streams {
                let Some(other) = to.streams.get(id) else {
                    continue;
                };
                if !stream.is_reset && !other.is_reset {
                    assert_eq!(stream.sent, other.received, "{id}");
                    assert_eq!(from.connection.offered(stream.key), 0, "{id} has stalled");
                    assert_eq!(stream.has_ended, other.has_heard_end, "{id}");
                }
            }
            assert_eq!(from.connection.outbound_frames(), 0);
            assert_eq!(from.connection.outbound_control_frames(), 0);
        }
        for end in [&mut self.client, &mut self.server] {
            for stream in end.streams.values_mut() {
                end.connection.reset(stream.key, ErrorCode::CANCEL);
                stream.is_reset = true;
            }
        }
        self.settle();
        for end in [&mut self.client, &mut self.server] {
            while !end.streams.is_empty() {
                end.release(0);
            }
            assert_eq!(end.connection.streams_active() + end.connection.streams_unreleased(), 0);
            assert_eq!(end.connection.unconsumed(), 0, "a window has become smaller");
        }
        self.settle();
        let id = self.open(false).expect("nothing else is open");
        self.client.offer(0, 1_000, true);
        self.settle();
        self.answer(0, false);
        self.server.offer(0, 1_000, true);
        self.settle();
        assert_eq!(self.server.streams[&id].received, 1_000);
        assert_eq!(self.client.streams[&id].received, 1_000);
    }
}
