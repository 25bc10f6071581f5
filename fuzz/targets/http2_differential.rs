//! Fuzz target: our client and the server of the `h2` crate talk to each other, as operations; the
//! bytes between them are cut anywhere.
//!
//! What must hold: neither refuses the other; `h2` reads the requests that we sent, with the same
//! fields, bodies and trailers; and we read the responses that `h2` sent.
#![no_main]
#![forbid(unsafe_code)]

mod http2;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use base::Key;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::{self, SendResponse};
use proto::http2::{Connection, Event, Options};
use proto::{HeaderList, RequestHead, ResponseHead};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&switches, operations)) = bytes.split_first() else {
        return;
    };
    let mut test = Test::new(switches);
    for &[what, which, amount] in operations.as_chunks::<3>().0.iter().take(200) {
        test.operate(what % 6, usize::from(which), usize::from(amount));
    }
    test.finish();
});

/// The bytes between the two, in both directions.
#[derive(Default)]
struct Wire {
    to_h2: VecDeque<u8>,
    from_h2: Vec<u8>,
}

struct Pipe(Rc<RefCell<Wire>>);

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = &mut *self.0.borrow_mut();
        if wire.to_h2.is_empty() {
            return Poll::Pending;
        }
        let length = wire.to_h2.len().min(buffer.remaining());
        let bytes: Vec<u8> = wire.to_h2.drain(..length).collect();
        buffer.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().from_h2.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A message, as either side knows it.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
struct Message {
    start: String,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    length: usize,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
    has_ended: bool,
}

struct Sent {
    key: Key,
    request: Message,
    asked_for: usize,
}

/// A request as `h2` has it.
struct Accepted {
    request: Message,
    body: RecvStream,
    respond: Option<SendResponse<Bytes>>,
}

struct Test {
    client: Connection,
    wire: Rc<RefCell<Wire>>,
    server: server::Connection<Pipe, Bytes>,
    sent: BTreeMap<u32, Sent>,
    accepted: BTreeMap<u32, Accepted>,
    expected: BTreeMap<u32, Message>,
    responses: BTreeMap<u32, Message>,
    outgoing: Vec<u8>,
    response: ResponseHead,
}

impl Test {
    fn new(switches: u8) -> Self {
        let options = Options {
            hpack_table_size: [4096, 0, 100, 10_000][usize::from(switches & 3)],
            huffman_encoding: switches & 4 == 0,
            stream_window: 65_535,
            connection_window: 70_000,
            ..Options::default()
        };
        let mut client = Connection::client(Arc::new(options), http2::an_instant(), 1);
        let wire = Rc::new(RefCell::new(Wire::default()));
        let mut first = Vec::new();
        client.write(&mut first).expect("it is new");
        client.sent(first.len());
        wire.borrow_mut().to_h2.extend(&first);
        let mut builder = server::Builder::new();
        builder.max_header_list_size(1 << 20);
        let mut handshake = pin!(builder.handshake(Pipe(Rc::clone(&wire))));
        let mut context = Context::from_waker(Waker::noop());
        let server = loop {
            if let Poll::Ready(server) = handshake.as_mut().poll(&mut context) {
                break server.expect("h2 takes our start");
            }
        };
        Self {
            client,
            wire,
            server,
            sent: BTreeMap::new(),
            accepted: BTreeMap::new(),
            expected: BTreeMap::new(),
            responses: BTreeMap::new(),
            outgoing: Vec::new(),
            response: ResponseHead::new(),
        }
    }

    fn operate(&mut self, what: u8, which: usize, amount: usize) {
        match what {
            0 => self.open(which, amount),
            1 => self.offer(which, amount * amount, amount.is_multiple_of(3)),
            2 => self.trailers(which),
            3 => self.transfer(amount * amount),
            4 => self.answer(which, amount),
            _ => self.run_h2(),
        }
    }

    fn open(&mut self, which: usize, amount: usize) {
        let mut head = RequestHead::new();
        head.set_method([&b"GET"[..], b"POST", b"BREW"][which % 3]);
        head.set_authority(b"example.com");
        head.set_path(format!("/{}", "p".repeat(amount)).as_bytes());
        fields(which, amount, &mut head.headers);
        let is_whole = amount.is_multiple_of(4);
        let Ok(key) = self.client.open(http2::an_instant(), &head, is_whole) else {
            return;
        };
        let id = self.client.stream_id(key).expect("it is open");
        let request = Message {
            start: format!(
                "{} {}",
                String::from_utf8_lossy(head.method_text()),
                String::from_utf8_lossy(head.path())
            ),
            fields: owned(&head.headers),
            has_ended: is_whole,
            ..Message::default()
        };
        self.sent.insert(id, Sent { key, request, asked_for: 0 });
    }

    fn nth_sent(&mut self, which: usize) -> Option<&mut Sent> {
        let count = self.sent.len();
        self.sent.values_mut().nth(which.checked_rem(count)?)
    }

    fn offer(&mut self, which: usize, bytes: usize, is_last: bool) {
        let Some(key) = self.nth_sent(which).map(|it| it.key) else {
            return;
        };
        if self.client.offer(key, bytes, is_last).is_ok() {
            let request = &mut self.nth_sent(which).expect("it is there").request;
            request.length += bytes;
            request.has_ended |= is_last;
        }
    }

    fn trailers(&mut self, which: usize) {
        let Some(key) = self.nth_sent(which).map(|it| it.key) else {
            return;
        };
        let mut trailers = HeaderList::new();
        fields(which, which, &mut trailers);
        if self.client.send_trailers(key, &trailers).is_ok() {
            let request = &mut self.nth_sent(which).expect("it is there").request;
            request.trailers = owned(&trailers);
            request.has_ended = true;
        }
    }

    /// Some of what we have to say reaches `h2`.
    fn transfer(&mut self, bytes: usize) {
        while let Some(span) = self.client.write(&mut self.outgoing).expect("h2 is right") {
            self.outgoing.resize(self.outgoing.len() + span.length, b'.');
            let id = self.client.stream_id(span.stream).expect("it is there");
            self.sent.get_mut(&id).expect("it is there").asked_for += span.length;
        }
        let bytes = bytes.min(self.outgoing.len());
        self.wire.borrow_mut().to_h2.extend(self.outgoing.drain(..bytes));
        self.client.sent(bytes);
    }

    /// `h2` does what it can, and we read what it said.
    fn run_h2(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        while let Poll::Ready(accepted) = self.server.poll_accept(&mut context) {
            let (request, respond) = accepted.expect("it goes on").expect("we are right");
            let id = respond.stream_id().as_u32();
            let (parts, body) = request.into_parts();
            let mut message = Message {
                start: format!("{} {}", parts.method, parts.uri.path()),
                ..Message::default()
            };
            message.fields = by_name(&parts.headers);
            self.accepted.insert(id, Accepted { request: message, body, respond: Some(respond) });
        }
        for accepted in self.accepted.values_mut() {
            while let Poll::Ready(Some(data)) = accepted.body.poll_data(&mut context) {
                let data = data.expect("we are right");
                accepted.request.length += data.len();
                accepted.body.flow_control().release_capacity(data.len()).expect("it came");
            }
            if !accepted.request.has_ended
                && let Poll::Ready(trailers) = accepted.body.poll_trailers(&mut context)
            {
                accepted.request.has_ended = true;
                if let Some(trailers) = trailers.expect("we are right") {
                    accepted.request.trailers = by_name(&trailers);
                }
            }
        }
        // What it gave back is to be sent.
        let _ = self.server.poll_accept(&mut context).map(|it| assert!(it.is_none()));
        self.read();
    }

    fn read(&mut self) {
        let input = std::mem::take(&mut self.wire.borrow_mut().from_h2);
        let mut at = 0;
        loop {
            let step = self
                .client
                .receive_response(http2::an_instant(), &input[at..], &mut self.response)
                .expect("h2 is right");
            at += step.consumed;
            let id = |stream: Key| self.client.stream_id(stream).expect("it is there");
            match step.event {
                Event::NeedMore => return,
                Event::Head(start) => {
                    let message = Message {
                        start: self.response.status.to_string(),
                        fields: owned(&self.response.headers),
                        ..Message::default()
                    };
                    self.responses.insert(id(start.stream), message);
                }
                Event::Body { stream, range } => {
                    let response = self.responses.get_mut(&id(stream));
                    response.expect("the head came first").length += range.len();
                    self.client.consumed(stream, range.len());
                }
                Event::Trailers(stream) => {
                    let trailers = owned(self.client.trailers());
                    let response = self.responses.get_mut(&id(stream));
                    response.expect("the head came first").trailers = trailers;
                }
                Event::End(stream) => {
                    let response = self.responses.get_mut(&id(stream));
                    response.expect("the head came first").has_ended = true;
                }
                Event::Reset { stream, reason } => {
                    // h2 ends what it has answered and its client still sends.
                    panic!("{} reset: {reason:?}", id(stream));
                }
                _ => {}
            }
        }
    }

    /// `h2` answers a request that it has read to its end.
    fn answer(&mut self, which: usize, amount: usize) {
        let Some(count) = self.accepted.len().checked_sub(1) else {
            return;
        };
        let (&id, accepted) =
            self.accepted.iter_mut().nth(which % (count + 1)).expect("it is one of them");
        if !accepted.request.has_ended {
            return;
        }
        let Some(mut respond) = accepted.respond.take() else {
            return;
        };
        let mut list = HeaderList::new();
        fields(which, amount, &mut list);
        let mut response = http::Response::builder().status(200 + amount as u16 % 4);
        for (name, value) in &list {
            response = response.header(name, value);
        }
        let mut expected = Message {
            start: (200 + amount as u16 % 4).to_string(),
            fields: owned(&list),
            has_ended: true,
            ..Message::default()
        };
        let is_whole = amount.is_multiple_of(3) || amount % 4 > 2;
        let response = response.body(()).expect("it is valid");
        let mut stream = respond.send_response(response, is_whole).expect("it comes first");
        if !is_whole {
            let has_trailers = amount.is_multiple_of(2);
            expected.length = amount * 10;
            let data = Bytes::from(vec![b'.'; amount * 10]);
            stream.send_data(data, !has_trailers).expect("it comes next");
            if has_trailers {
                let mut trailers = http::HeaderMap::new();
                trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
                stream.send_trailers(trailers).expect("it comes last");
                expected.trailers = vec![(b"grpc-status".to_vec(), b"0".to_vec())];
            }
        }
        self.expected.insert(id, expected);
    }

    fn finish(&mut self) {
        loop {
            let before = self.progress();
            self.transfer(usize::MAX);
            self.run_h2();
            for which in 0..self.accepted.len() {
                self.answer(which, which * 3 + 1);
            }
            self.run_h2();
            if before == self.progress() {
                break;
            }
        }
        for (id, sent) in &self.sent {
            let accepted = self.accepted.get(id).expect("h2 has it");
            assert_eq!(sent.asked_for, sent.request.length, "{id} has stalled");
            assert_eq!(accepted.request, sorted(&sent.request), "{id}");
        }
        assert_eq!(self.accepted.len(), self.sent.len());
        for (id, expected) in &self.expected {
            let response = self.responses.get(id).map(sorted);
            assert_eq!(response.as_ref(), Some(&sorted(expected)), "{id}");
        }
    }

    /// What moves as long as anything does.
    fn progress(&self) -> (usize, usize, usize, usize) {
        let received: usize = self.accepted.values().map(|it| it.request.length).sum();
        let answered: usize = self.responses.values().map(|it| it.length).sum();
        let ended = self.responses.values().filter(|it| it.has_ended).count();
        (self.accepted.len(), received, answered, ended)
    }
}

/// A few fields: some are known to tables, some come again, some are never the same.
fn fields(which: usize, amount: usize, list: &mut HeaderList) {
    for at in 0..which % 5 {
        let name = ["user-agent", "x-a", "etag", "x-longer-name", "authorization"][at];
        let value = match (which + at) % 4 {
            0 => "constant".to_string(),
            1 => amount.to_string(),
            2 => "\u{e9}~".repeat(amount % 30),
            _ => "v".repeat(amount * 3),
        };
        list.append(name.as_bytes(), value.as_bytes());
    }
}

fn owned(list: &HeaderList) -> Vec<(Vec<u8>, Vec<u8>)> {
    list.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// `h2` does not keep the order across names.
fn by_name(map: &http::HeaderMap) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut fields: Vec<_> = map
        .iter()
        .map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect();
    fields.sort();
    fields
}

fn sorted(message: &Message) -> Message {
    let mut message = message.clone();
    message.fields.sort();
    message.trailers.sort();
    message
}
