//! `tcp_proxy` through a tunnel: each connection becomes an HTTP request that asks the upstream to
//! connect it on, and is relayed once that has agreed.
//!
//! ```text
//! host --none, overflow--> refused
//!   \--> stream --refused, late--> refused
//!          \--> CONNECT --2xx--> relayed as it is, until either side ends
//!                 \--another status, no answer--> refused
//! ```
//! Whether there is another attempt is `tcp_proxy`'s business. What HTTP/1 carries behind the two
//! heads are the bytes of the connection, so the relay of `net` moves them; but HTTP/1 has no half
//! close: the end of either side ends the tunnel (row C16).
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/http/upgrades#tunneling-tcp-over-http>

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use cluster::{ClosedBy, Cluster, ConnectFailure, Http1Stream, HttpStream};
use net::Stream;
use observe::access_log::tunnel_fields;
use observe::names::ClusterStat;
use proto::http1::{
    ErrorKind, Event, Expect, ResponseDecoder, ResponseOptions, encode_request_head, field_lines,
};
use proto::{RequestHead, ResponseHead};
use reactor::{RECV_CREDIT_MAX, Received, Socket};

use crate::connection_context::ConnectionContext;
use crate::connection_log::ConnectionLog;
use crate::gate::client_of;
use crate::tunnel_head::TunnelHead;

/// How the connections of a `tcp_proxy` are tunnelled.
#[derive(Debug)]
pub(crate) struct TcpTunnel {
    pub(crate) head: Arc<TunnelHead>,
    pub(crate) propagate_response_headers: bool,
}

/// Why an attempt gave no upstream. It was noted in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoUpstream {
    /// Another attempt may do better.
    MayRetry,
    /// Another attempt now would meet the same.
    Final,
}

impl From<&ConnectFailure> for NoUpstream {
    fn from(failure: &ConnectFailure) -> Self {
        if failure.may_retry() { Self::MayRetry } else { Self::Final }
    }
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
    /// Asks a host of `cluster` for a tunnel for the client on `socket`. One call is one attempt.
    pub(crate) async fn open(
        &self,
        cluster: &Rc<Cluster>,
        socket: &Socket,
        context: &ConnectionContext<'_>,
    ) -> Result<Http1Stream, NoUpstream> {
        let log = &context.log;
        let client = || client_of(socket, context.origin().map(Rc::as_ref));
        let refused = |failure: ConnectFailure| {
            log.connect_failed(&failure);
            NoUpstream::from(&failure)
        };
        let host = cluster.tunnel_host(cluster.proxy_header(client)).map_err(refused)?;
        log.trying(host.address());
        let HttpStream::Http1(stream) = host.stream().await.map_err(refused)? else {
            // The configuration was checked not to ask for it.
            return Err(NoUpstream::Final);
        };
        log.tunnel_begun(host.address());
        let (sent_before, taken_before) = {
            let stream = stream.stream();
            (stream.outbox().bytes_queued(), stream.receiver().bytes_taken())
        };
        let fields_sent = self.send_head(stream.stream(), log);
        let sent = stream.stream().outbox().bytes_queued() - sent_before;
        log.tunnel_head_sent(sent, fields_sent);
        let mut response = Response::new(cluster);
        let answered = poll_fn(|context| response.poll_head(stream.stream(), context)).await;
        let receiver = stream.stream().receiver();
        if self.propagate_response_headers && response.head.status >= 200 {
            let fields = response.head.headers.iter();
            log.tunnel_response_headers(|| tunnel_fields(Some(response.head.status), fields));
        }
        let Err(refusal) = answered else {
            let received = receiver.bytes_taken() - taken_before;
            log.tunnel_head_received(received, response.field_bytes);
            return Ok(stream);
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

    /// Sends the request. Returns how many bytes of it are fields.
    fn send_head(&self, stream: &Stream, log: &ConnectionLog<'_>) -> u64 {
        let mut head = RequestHead::new();
        log.with_record(|record| self.head.fill(record, &mut head));
        let mut fields = 0;
        stream.outbox().write(|out| {
            let start = out.len();
            encode_request_head(&head, false, out);
            fields = field_lines(&out[start..]).len() as u64;
        });
        fields
    }
}

/// The response that is awaited.
struct Response {
    decoder: ResponseDecoder,
    options: ResponseOptions,
    head: ResponseHead,
    /// What the fields of the head count as.
    field_bytes: u64,
}

impl Response {
    fn new(cluster: &Cluster) -> Self {
        let http = &cluster.config().http;
        let mut decoder = ResponseDecoder::new();
        decoder.expect(Expect::Connect);
        Self {
            decoder,
            options: ResponseOptions {
                headers_max: usize::try_from(http.common.max_headers_count).unwrap_or(usize::MAX),
                allow_chunked_length: http.http1.allow_chunked_length,
                ..ResponseOptions::default()
            },
            head: ResponseHead::new(),
            field_bytes: 0,
        }
    }

    /// Ready once the upstream has said whether there is a tunnel. What it said behind its head
    /// stays with the stream.
    fn poll_head(
        &mut self,
        stream: &Stream,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Refusal>> {
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
                    let agreed = (200..300).contains(&status);
                    let result = if agreed { Ok(()) } else { Err(Refusal::Status(status)) };
                    return Poll::Ready(result);
                }
                Event::Interim => self.head.clear(),
                _ => {}
            }
        }
    }
}
