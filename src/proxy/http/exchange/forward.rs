//! The part of an exchange between a route and the end of the upstream's response: a host, a
//! connection to it, and everything that flows over both.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use cluster::{ConnectFailure, HttpStream};
use observe::names::{ClusterStat, HttpStat};
use proto::http1::ResponseDecoder;

use super::super::failure::Failure;
use super::super::headers;
use super::super::http1::{Request, Response, UpstreamRequest, UpstreamResponse};
use super::super::manager::{HttpManager, Target};
use super::super::port::{
    BodyPart, BodySink, BodySource, RequestSink, ResponseSource, ResponseStart, SourceError,
};
use super::super::pump::{BodyFailure, BodyObserver, BodyPump};
use super::super::response_stats::Origin;
use super::{Exchange, Stop};

/// So much of a body is thrown away when there is nobody to send it to.
const DISCARD_MAX: usize = 64 * 1024;

impl Exchange<'_> {
    /// Sends the request to a host of the cluster and its response to the client.
    pub(super) async fn forward(
        &mut self,
        target: &Target,
        timeout: Option<Duration>,
        source: &mut Request<'_>,
        sink: &mut Response<'_>,
        decoder: &mut ResponseDecoder,
    ) -> Result<(), Stop> {
        self.journal.forwarded(&target.cluster, timeout);
        if !self.manager.prepared.config.suppress_envoy_headers {
            headers::prepare_forwarding(&mut self.heads.request, timeout);
        }
        if self.request_complete {
            let now = self.manager.reactor.now();
            self.deadlines.response = timeout.map(|timeout| now + timeout);
        }
        let forwarded = match self.connect(target, source).await {
            Ok(stream) => self.over(stream, target, source, sink, decoder).await,
            Err(stop @ Stop::Failed(Failure::NoHealthyHost | Failure::Overflow)) => Err(stop),
            Err(stop) => {
                // What of the body had come by now is no reason to close the connection.
                let rest = poll_fn(|context| Poll::Ready(self.poll_discard(context, source))).await;
                if rest.is_ready() {
                    self.request_ended();
                }
                Err(stop)
            }
        };
        // As Envoy, where an interim response stands for the final one in these stats.
        if let Err(Stop::Failed(failure)) = &forwarded
            && failure.is_of_upstream()
            && !self.upstream_responded
        {
            target.stats.count(failure.status(self.request_complete), Origin::Usual);
        }
        forwarded
    }

    /// Throws away what has come of a request's body; ready once the body has ended.
    fn poll_discard(&mut self, context: &Context<'_>, source: &mut Request<'_>) -> Poll<()> {
        let mut bytes = 0;
        while !self.request_complete && bytes < DISCARD_MAX {
            match source.poll_part(context, DISCARD_MAX - bytes) {
                Poll::Ready(Ok(BodyPart::Data(span))) => bytes += span.len(),
                Poll::Ready(Ok(BodyPart::Trailers)) => {}
                Poll::Ready(Ok(BodyPart::End)) => {
                    self.journal.bytes_received(bytes as u64);
                    return Poll::Ready(());
                }
                Poll::Ready(Err(_)) | Poll::Pending => break,
            }
        }
        self.journal.bytes_received(bytes as u64);
        Poll::Pending
    }

    /// A connection to a host, unless the client leaves or the time is over first.
    async fn connect(&mut self, target: &Target, source: &Request<'_>) -> Result<HttpStream, Stop> {
        let header = target.cluster.proxy_header(|| self.connection.ends());
        let host = match target.cluster.http_host(header) {
            Ok(host) => host,
            Err(failure) => return Err(Stop::Failed(connect_failure(&failure))),
        };
        self.journal.host_picked(host.address());
        let mut stream = pin!(host.stream());
        poll_fn(|context| {
            if let Poll::Ready(result) = stream.as_mut().poll(context) {
                return Poll::Ready(result.map_err(|failure| {
                    self.journal.connect_failed(&failure);
                    Stop::Failed(connect_failure(&failure))
                }));
            }
            self.has_waited = true;
            if source.poll_gone(context).is_ready() {
                return Poll::Ready(Err(Stop::Gone));
            }
            let passed = self.poll_deadline(context);
            passed.map(|failure| {
                if failure == Failure::ResponseTimeout {
                    target.cluster.stats().inc(ClusterStat::UpstreamRqTimeout);
                }
                Err(Stop::Failed(failure))
            })
        })
        .await
    }

    /// Runs the exchange over a connection to a host, and says what becomes of it.
    async fn over(
        &mut self,
        stream: HttpStream,
        target: &Target,
        source: &mut Request<'_>,
        sink: &mut Response<'_>,
        decoder: &mut ResponseDecoder,
    ) -> Result<(), Stop> {
        self.has_waited = true;
        let now = self.manager.reactor.now();
        self.journal.connected(now);
        let longest = target.cluster.config().http.common.max_stream_duration;
        self.deadlines.upstream = longest.map(|longest| now + longest);
        decoder.reset();
        let options = &target.options;
        let method = self.heads.request.method();
        let mut up_request = UpstreamRequest::new(stream.stream(), (), options.enable_trailers);
        let mut up_response = UpstreamResponse::new(stream.stream(), decoder, options, method);
        up_request.send_head(&self.heads.request, self.request_complete);
        let upstream = (&stream, &mut up_request, &mut up_response);
        let flowed = self.flow(target, source, sink, upstream).await;
        self.journal.upstream_metered(up_request.metered(), up_response.metered(flowed.is_ok()));
        let stats = target.cluster.stats();
        if up_response.closes() {
            stats.inc(ClusterStat::UpstreamCxCloseNotify);
        }
        match &flowed {
            Ok(()) if self.request_complete => {
                if up_response.has_unasked_bytes() {
                    stats.inc(ClusterStat::UpstreamCxProtocolError);
                }
                let reusable = up_response.is_reusable();
                stream.give_back(reusable);
            }
            // The connection goes with the stream: nobody knows what is still on the way on it.
            Ok(()) => {}
            Err(Stop::Failed(failure) | Stop::Cut(failure)) => match failure {
                Failure::UpstreamProtocol => stats.inc(ClusterStat::UpstreamCxProtocolError),
                Failure::ResponseTimeout => stats.inc(ClusterStat::UpstreamRqTimeout),
                Failure::UpstreamMaxDuration => {
                    stats.inc(ClusterStat::UpstreamRqMaxDurationReached);
                }
                _ => {}
            },
            Err(Stop::Gone) => {}
        }
        flowed
    }

    /// Everything that may happen between a request that was sent and the end of its response.
    async fn flow(
        &mut self,
        target: &Target,
        source: &mut Request<'_>,
        sink: &mut Response<'_>,
        upstream: (&HttpStream, &mut UpstreamRequest<'_>, &mut UpstreamResponse<'_>),
    ) -> Result<(), Stop> {
        let (stream, up_request, up_response) = upstream;
        let whole = self.request_complete;
        let mut request = if whole { BodyPump::ended() } else { BodyPump::new() };
        let mut response = BodyPump::new();
        let from_client = FromClient { manager: self.manager, target };
        let from_host = FromHost { target };
        // The host takes no more of the request; what it answers may still come.
        let mut deaf = false;
        let mut moved = 0;
        let result = poll_fn(|context| {
            if !request.is_ended() && !deaf {
                match request.poll(context, source, up_request, &from_client) {
                    Poll::Ready(Ok(())) => self.request_ended(),
                    Poll::Ready(Err(BodyFailure::Sink)) => deaf = true,
                    Poll::Ready(Err(BodyFailure::Source(SourceError::Protocol(kind)))) => {
                        return Poll::Ready(Err(self.stop_for(Failure::Codec(kind))));
                    }
                    Poll::Ready(Err(BodyFailure::Source(_))) => {
                        return Poll::Ready(Err(Stop::Gone));
                    }
                    Poll::Pending => {}
                }
            }
            // While nothing is read, only the end of the stream says that the client has left.
            let reading = !request.is_ended() && !deaf && !up_request.is_paused();
            if !reading && source.poll_gone(context).is_ready() {
                return Poll::Ready(Err(Stop::Gone));
            }
            while !self.responded {
                match up_response.poll_head(context, &mut self.heads.response) {
                    Poll::Ready(Ok(ResponseStart::Interim)) => {
                        // As Envoy, which counts the first one only.
                        if !std::mem::replace(&mut self.upstream_responded, true) {
                            let interim = &self.heads.response;
                            target.stats.count(interim.status, Origin::of(interim));
                        }
                        self.heads.response.clear();
                    }
                    Poll::Ready(Ok(ResponseStart::Final { is_whole })) => {
                        self.send_response_head(target, sink, is_whole);
                        if is_whole {
                            response = BodyPump::ended();
                        }
                    }
                    Poll::Ready(Err(error)) => {
                        return Poll::Ready(Err(Stop::Failed(upstream_failure(&error))));
                    }
                    Poll::Pending => break,
                }
            }
            if self.responded {
                match response.poll(context, up_response, sink, &from_host) {
                    Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                    Poll::Ready(Err(BodyFailure::Sink)) => {
                        return Poll::Ready(Err(Stop::Gone));
                    }
                    Poll::Ready(Err(BodyFailure::Source(error))) => {
                        return Poll::Ready(Err(Stop::Cut(upstream_failure(&error))));
                    }
                    Poll::Pending => {}
                }
            }
            let now_moved = request.progress().wrapping_add(response.progress());
            if now_moved != moved {
                moved = now_moved;
                self.connection.count_received();
                stream.count_received();
                self.deadlines.last_progress = self.manager.reactor.now();
            }
            self.poll_deadline(context).map(|failure| Err(self.stop_for(failure)))
        })
        .await;
        self.journal.bytes_received(request.bytes());
        self.journal.bytes_sent(response.bytes());
        if result.is_ok() {
            let took = self.journal.since_request(self.manager.reactor.now());
            target.stats.time(took, Origin::of(&self.heads.response));
        }
        result
    }

    fn stop_for(&self, failure: Failure) -> Stop {
        if self.responded { Stop::Cut(failure) } else { Stop::Failed(failure) }
    }

    /// Passes the head of the upstream's response on.
    fn send_response_head(&mut self, target: &Target, sink: &mut Response<'_>, is_whole: bool) {
        let now = self.manager.reactor.now();
        let response = &mut self.heads.response;
        target.stats.count(response.status, Origin::of(response));
        self.journal.upstream_responded(now);
        if self.request_complete && !self.manager.prepared.config.suppress_envoy_headers {
            let service_time = self.journal.since_request(now);
            headers::prepare_upstream_response(response, service_time);
        }
        self.send_head(sink, is_whole);
    }
}

fn connect_failure(failure: &ConnectFailure) -> Failure {
    match failure {
        ConnectFailure::NoHealthyHost => Failure::NoHealthyHost,
        ConnectFailure::Timeout { .. } => Failure::ConnectTimeout,
        ConnectFailure::Refused { .. } | ConnectFailure::Local { .. } => Failure::ConnectFailed,
        // The breakers.
        _ => Failure::Overflow,
    }
}

fn upstream_failure(error: &SourceError) -> Failure {
    match error {
        SourceError::Protocol(_) => Failure::UpstreamProtocol,
        SourceError::Ended | SourceError::Failed => Failure::UpstreamClosed,
    }
}

/// Counts the pauses that a slow host causes.
struct FromClient<'a> {
    manager: &'a HttpManager,
    target: &'a Target,
}

impl BodyObserver for FromClient<'_> {
    fn paused(&self) {
        self.manager.stats.inc(HttpStat::DownstreamFlowControlPausedReadingTotal);
        self.target.cluster.stats().inc(ClusterStat::UpstreamFlowControlBackedUpTotal);
    }

    fn resumed(&self) {
        self.manager.stats.inc(HttpStat::DownstreamFlowControlResumedReadingTotal);
        self.target.cluster.stats().inc(ClusterStat::UpstreamFlowControlDrainedTotal);
    }
}

/// Counts the pauses that a slow client causes.
struct FromHost<'a> {
    target: &'a Target,
}

impl BodyObserver for FromHost<'_> {
    fn paused(&self) {
        let stats = self.target.cluster.stats();
        stats.inc(ClusterStat::UpstreamFlowControlPausedReadingTotal);
    }

    fn resumed(&self) {
        let stats = self.target.cluster.stats();
        stats.inc(ClusterStat::UpstreamFlowControlResumedReadingTotal);
    }
}
