//! A tunnel over HTTP/1, on a connection of its own.
//!
//! Behind the heads of CONNECT come the bytes as they are; those of POST are the bodies of two
//! messages, the request's in chunks. Neither knows a half close as Envoy speaks it: the end of
//! either side ends the tunnel (row C16).

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use cluster::{ClosedBy, Cluster, Http1Stream};
use net::Stream;
use observe::access_log::tunnel_fields;
use observe::names::ClusterStat;
use proto::http1::{
    BodyEncoder, ErrorKind, Event, Expect, Finish, Framing, ResponseDecoder, ResponseOptions,
    encode_request_head, field_lines,
};
use proto::{HeaderList, RequestHead, ResponseHead};
use reactor::{RECV_CREDIT_MAX, Received, Span};

use super::{NoUpstream, TcpTunnel};
use crate::connection_log::ConnectionLog;
use crate::http::{BodyPart, SourceError, poll_part, response_options};

/// A connection that carries a tunnel.
#[derive(Debug)]
pub(crate) struct Http1Tunnel<'a> {
    stream: Http1Stream,
    request: BodyEncoder,
    /// Unless the bytes lie on the connection as they are.
    response: Option<Box<RefCell<Response>>>,
    cluster: Rc<Cluster>,
    log: &'a ConnectionLog<'a>,
    /// Whether the log is to have the trailers of the response.
    propagates_trailers: bool,
}

/// Why the upstream has not agreed.
enum Refusal {
    /// It said this instead.
    Status(u16),
    /// What it said is not HTTP.
    Protocol,
    /// It has ended its side of the connection.
    Ended,
    /// The connection failed.
    Failed,
}

impl TcpTunnel {
    /// Asks for a tunnel on a connection.
    pub(super) async fn ask_http1<'a>(
        &self,
        stream: Http1Stream,
        cluster: &Rc<Cluster>,
        log: &'a ConnectionLog<'_>,
    ) -> Result<Http1Tunnel<'a>, NoUpstream> {
        let (sent_before, taken_before) = {
            let stream = stream.stream();
            (stream.outbox().bytes_queued(), stream.receiver().bytes_taken())
        };
        let mut head = RequestHead::new();
        log.with_record(|record| self.head.fill(record, &mut head));
        let (request, fields_sent) = send_head(stream.stream(), &head);
        let sent = stream.stream().outbox().bytes_queued() - sent_before;
        log.tunnel_head_sent(sent, fields_sent);
        let mut response = Response::new(cluster, Expect::of(head.method()));
        let answered = poll_fn(|context| response.poll_head(stream.stream(), context)).await;
        let receiver = stream.stream().receiver();
        if self.propagate_response_headers && response.head.status >= 200 {
            let fields = response.head.headers.iter();
            log.tunnel_response_headers(|| tunnel_fields(Some(response.head.status), fields));
        }
        let refusal = match answered {
            Ok(framing) => {
                let received = receiver.bytes_taken() - taken_before;
                log.tunnel_head_received(received, response.field_bytes);
                let is_framed = framing != Framing::Tunnel;
                return Ok(Http1Tunnel {
                    stream,
                    request,
                    response: is_framed.then(|| Box::new(RefCell::new(response))),
                    cluster: Rc::clone(cluster),
                    log,
                    propagates_trailers: self.propagate_response_trailers,
                });
            }
            Err(refusal) => refusal,
        };
        log.tunnel_head_received(receiver.bytes_received() - taken_before, response.field_bytes);
        let (status, closed_by) = match refusal {
            Refusal::Status(status) => (Some(status), ClosedBy::Local),
            Refusal::Protocol => {
                cluster.stats().inc(ClusterStat::UpstreamCxProtocolError);
                (None, ClosedBy::Local)
            }
            Refusal::Ended => (None, ClosedBy::Local),
            Refusal::Failed => (None, ClosedBy::Remote),
        };
        log.tunnel_refused(status);
        stream.close_tunnel(closed_by);
        Err(NoUpstream::MayRetry)
    }
}

/// Sends the request. Returns how its body is to be written, and how many bytes of it are fields.
fn send_head(stream: &Stream, head: &RequestHead) -> (BodyEncoder, u64) {
    let (mut encoder, mut fields) = (BodyEncoder::Plain, 0);
    stream.outbox().write(|out| {
        let start = out.len();
        encoder = encode_request_head(head, false, out);
        fields = field_lines(&out[start..]).len() as u64;
    });
    (encoder, fields)
}

impl Http1Tunnel<'_> {
    pub(super) fn carrier(&self) -> &Stream {
        self.stream.stream()
    }

    /// The connection, if the bytes lie on it as they are.
    pub(super) fn plain(&self) -> Option<&Stream> {
        self.response.is_none().then(|| self.carrier())
    }

    pub(super) fn count_received(&self) {
        self.stream.count_received();
    }

    pub(super) fn poll_recv(
        &self,
        context: &Context<'_>,
        bytes_max: usize,
    ) -> Poll<io::Result<Received>> {
        match &self.response {
            None => self.carrier().receiver().poll_recv(context, bytes_max),
            Some(response) => self.poll_body(&mut response.borrow_mut(), context, bytes_max),
        }
    }

    /// The next part of the body of the response.
    fn poll_body(
        &self,
        response: &mut Response,
        context: &Context<'_>,
        bytes_max: usize,
    ) -> Poll<io::Result<Received>> {
        let Response { decoder, options, .. } = response;
        let receiver = self.carrier().receiver();
        loop {
            let decode = |bytes: &[u8]| decoder.decode_body(options, bytes);
            let failure = match ready!(poll_part(receiver, context, bytes_max, decode)) {
                Ok(Some(BodyPart::Data(span))) => return Poll::Ready(Ok(Received::Data(span))),
                Ok(Some(BodyPart::Trailers)) => {
                    self.note_trailers(decoder.trailers());
                    continue;
                }
                // There is none in HTTP/1.
                Ok(Some(BodyPart::Metadata(_))) => continue,
                Ok(Some(BodyPart::End)) => return Poll::Ready(Ok(Received::End)),
                Ok(None) => match decoder.finish() {
                    Ok(Finish::End) => return Poll::Ready(Ok(Received::End)),
                    // The connection has ended within the body.
                    Ok(Finish::Idle) | Err(_) => io::ErrorKind::UnexpectedEof,
                },
                Err(SourceError::Protocol(_)) => io::ErrorKind::InvalidData,
                Err(_) => io::ErrorKind::ConnectionReset,
            };
            if failure != io::ErrorKind::ConnectionReset {
                self.cluster.stats().inc(ClusterStat::UpstreamCxProtocolError);
            }
            return Poll::Ready(Err(failure.into()));
        }
    }

    fn note_trailers(&self, trailers: &HeaderList) {
        if self.propagates_trailers {
            self.log.tunnel_response_trailers(|| tunnel_fields(None, trailers.iter()));
        }
    }

    pub(super) fn push(&self, bytes: Span) {
        let (outbox, encoder, length) = (self.carrier().outbox(), self.request, bytes.len());
        if encoder == BodyEncoder::Plain {
            return outbox.push(bytes);
        }
        outbox.write(|out| encoder.before_data(length, out));
        outbox.push(bytes);
        outbox.write(|out| encoder.after_data(length, out));
    }

    /// Ends the request, if its end is something that is written: the connection is closed next.
    pub(super) fn end_request(&self) {
        let encoder = self.request;
        self.carrier().outbox().write(|out| encoder.end(out));
    }

    pub(super) fn close(self, side: ClosedBy) {
        self.stream.close_tunnel(side);
    }
}

/// The response that is awaited, and its body.
#[derive(Debug)]
struct Response {
    decoder: ResponseDecoder,
    options: ResponseOptions,
    head: ResponseHead,
    /// What the fields of the head count as.
    field_bytes: u64,
}

impl Response {
    fn new(cluster: &Cluster, expect: Expect) -> Self {
        let mut decoder = ResponseDecoder::new();
        decoder.expect(expect);
        let options = response_options(cluster.config());
        Self { decoder, options, head: ResponseHead::new(), field_bytes: 0 }
    }

    /// Ready once the upstream has said whether there is a tunnel, and how its bytes come. What it
    /// said behind its head stays with the stream.
    fn poll_head(
        &mut self,
        stream: &Stream,
        context: &mut Context<'_>,
    ) -> Poll<Result<Framing, Refusal>> {
        let receiver = stream.receiver();
        loop {
            let credit = RECV_CREDIT_MAX as usize;
            let Ok(received) = ready!(receiver.poll_recv(context, credit)) else {
                return Poll::Ready(Err(Refusal::Failed));
            };
            let Received::Data(mut bytes) = received else {
                return Poll::Ready(Err(Refusal::Ended));
            };
            let step = match self.decoder.decode(&self.options, &bytes, &mut self.head) {
                Ok(step) => step,
                Err(error) if error.kind() == ErrorKind::UnexpectedUpgrade => {
                    return Poll::Ready(Err(Refusal::Status(101)));
                }
                Err(_) => return Poll::Ready(Err(Refusal::Protocol)),
            };
            bytes.advance(step.consumed);
            receiver.unread(bytes);
            match step.event {
                Event::Head(start) => {
                    self.field_bytes = u64::from(start.field_bytes);
                    let status = self.head.status;
                    // One that has ended with its head leads nowhere.
                    let agreed = (200..300).contains(&status) && !start.framing.is_empty();
                    let result =
                        if agreed { Ok(start.framing) } else { Err(Refusal::Status(status)) };
                    return Poll::Ready(result);
                }
                Event::Interim => self.head.clear(),
                _ => {}
            }
        }
    }
}
