//! Two connections that have exchanged a few messages allocate nothing for the next ones.
#![forbid(unsafe_code)]

mod wire;

use nuncio_proto::http2::{Connection, Event, Options};
use nuncio_proto::{HeaderList, RequestHead, ResponseHead};
use wire::*;

struct Exchange {
    client: Connection,
    server: Connection,
    request: RequestHead,
    response: ResponseHead,
    received_request: RequestHead,
    received_response: ResponseHead,
    trailers: HeaderList,
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    ends: usize,
}

const BODY: [u8; 3000] = [b'x'; 3000];

impl Exchange {
    fn new() -> Self {
        let options = Options::default();
        let mut request = RequestHead::new();
        request.set_method(b"POST");
        request.set_authority(b"example.com");
        request.set_path(b"/path?query=1");
        request.headers.append(b"user-agent", b"test");
        request.headers.append(b"x-other", b"value");
        let mut response = ResponseHead::new();
        response.status = 200;
        response.headers.append(b"server", b"test");
        response.headers.append(b"date", b"Sun, 22 Nov 2026 12:00:00 GMT");
        let mut trailers = HeaderList::new();
        trailers.append(b"grpc-status", b"0");
        Self {
            client: client(&options),
            server: server(&options),
            request,
            response,
            received_request: RequestHead::new(),
            received_response: ResponseHead::new(),
            trailers,
            to_server: Vec::new(),
            to_client: Vec::new(),
            ends: 0,
        }
    }

    /// Four requests at once with bodies, responses with bodies and trailers, in pieces.
    fn run(&mut self, piece: usize) {
        let now = an_instant();
        for at in 0..4 {
            // A value that is new each time goes through the dynamic tables.
            self.request.headers.set_number("x-round", (self.ends + at) as u64);
            let stream = self.client.open(now, &self.request, false).expect("there is room");
            self.client.offer(stream, BODY.len(), true).expect("it comes next");
        }
        let before = self.ends;
        while self.ends < before + 8 {
            self.turn(now, piece);
        }
        // What was sent last is still to be read.
        self.turn(now, piece);
    }

    fn turn(&mut self, now: std::time::Instant, piece: usize) {
        collect(&mut self.client, &mut self.to_server);
        for input in self.to_server.chunks(piece) {
            let mut at = 0;
            loop {
                let step = self
                    .server
                    .receive_request(now, &input[at..], &mut self.received_request)
                    .expect("it is valid");
                at += step.consumed;
                match step.event {
                    Event::NeedMore => break,
                    Event::Body { stream, range } => self.server.consumed(stream, range.len()),
                    Event::End(stream) => {
                        self.ends += 1;
                        let server = &mut self.server;
                        server.send_head(stream, &self.response, false).expect("it comes next");
                        server.offer(stream, BODY.len(), false).expect("it comes next");
                        collect(server, &mut self.to_client);
                        server.send_trailers(stream, &self.trailers).expect("it comes next");
                        server.release(stream);
                    }
                    _ => {}
                }
            }
        }
        self.to_server.clear();
        collect(&mut self.server, &mut self.to_client);
        for input in self.to_client.chunks(piece) {
            let mut at = 0;
            loop {
                let step = self
                    .client
                    .receive_response(now, &input[at..], &mut self.received_response)
                    .expect("it is valid");
                at += step.consumed;
                match step.event {
                    Event::NeedMore => break,
                    Event::Body { stream, range } => self.client.consumed(stream, range.len()),
                    Event::End(stream) => {
                        self.ends += 1;
                        self.client.release(stream);
                    }
                    _ => {}
                }
            }
        }
        self.to_client.clear();
    }
}

/// Appends all that a connection has to send.
fn collect(connection: &mut Connection, out: &mut Vec<u8>) {
    let before = out.len();
    while let Some(span) = connection.write(out).expect("all is well") {
        out.extend_from_slice(&BODY[..span.length]);
    }
    connection.sent(out.len() - before);
}

#[test]
fn warm_connections_allocate_nothing() {
    let mut exchange = Exchange::new();
    for piece in [usize::MAX, 7, 1] {
        for _ in 0..200 {
            exchange.run(piece);
        }
        let counted = allocation_counter::measure(|| {
            for _ in 0..100 {
                exchange.run(piece);
            }
        });
        assert_eq!(counted.count_total, 0, "in pieces of {piece}");
    }
}
