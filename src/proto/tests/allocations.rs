//! A codec that has seen a few messages allocates nothing for the next ones.
#![forbid(unsafe_code)]

use nuncio_proto::http1::{
    Event, Expect, RequestDecoder, RequestOptions, ResponseDecoder, ResponseOptions, ResponseTo,
    encode_request_head, encode_response_head,
};
use nuncio_proto::{KnownName, Method, RequestHead, ResponseHead, Version};

const REQUEST: &[u8] = b"POST /path?query=1 HTTP/1.1\r\nHost: example.com\r\n\
    User-Agent: test\r\nAccept: a/b\r\nAccept: c/d\r\nConnection: keep-alive, x-drop\r\n\
    X-Drop: 1\r\n\
    Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x\r\n world\r\n0\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: test\r\nContent-Type: text/plain\r\n\
    Connection: keep-alive\r\nContent-Length: 5\r\n\r\nhello";

/// Everything a connection keeps from one exchange to the next.
#[derive(Default)]
struct Exchange {
    requests: RequestDecoder,
    responses: ResponseDecoder,
    request: RequestHead,
    response: ResponseHead,
    out: Vec<u8>,
}

impl Exchange {
    /// One request and its response, in pieces of `piece` bytes.
    fn run(&mut self, piece: usize) {
        let (options, mut heads, mut ends) = (RequestOptions::default(), 0, 0);
        for mut input in REQUEST.chunks(piece) {
            loop {
                let step =
                    self.requests.decode(&options, input, &mut self.request).expect("it is valid");
                input = &input[step.consumed..];
                match step.event {
                    Event::NeedMore => break,
                    Event::Head(_) => heads += 1,
                    Event::End => {
                        ends += 1;
                        break;
                    }
                    _ => {}
                }
            }
        }
        self.requests.next_request();
        self.out.clear();
        self.request.headers.set(KnownName::XForwardedProto, b"http");
        self.request.headers.remove(KnownName::UserAgent);
        encode_request_head(&self.request, false, &mut self.out).end(&mut self.out);

        self.responses.expect(Expect::Usual);
        let options = ResponseOptions::default();
        for mut input in RESPONSE.chunks(piece) {
            loop {
                let step = self
                    .responses
                    .decode(&options, input, &mut self.response)
                    .expect("it is valid");
                input = &input[step.consumed..];
                match step.event {
                    Event::NeedMore => break,
                    Event::Head(_) => heads += 1,
                    Event::End => {
                        ends += 1;
                        break;
                    }
                    _ => {}
                }
            }
        }
        self.response.headers.set_number(KnownName::XEnvoyUpstreamServiceTime, 12);
        let to = ResponseTo { version: Version::Http11, method: Method::Get };
        encode_response_head(&self.response, to, false, &mut self.out);
        assert!(heads == 2 && ends >= 2);
    }
}

#[test]
fn a_warm_codec_allocates_nothing() {
    let mut exchange = Exchange::default();
    for piece in [usize::MAX, 7, 1] {
        exchange.run(piece);
        let counted = allocation_counter::measure(|| {
            for _ in 0..100 {
                exchange.run(piece);
            }
        });
        assert_eq!(counted.count_total, 0, "in pieces of {piece}");
    }
}
