//! The part of an exchange between a route and the end of the upstream's response: a host, a
//! connection to it, and everything that flows over both.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use cluster::{ConnectFailure, HttpStream};
use config::model::ForwardAction;
use observe::names::{ClusterStat, Http1CodecStat, HttpStat};
use proto::KnownName;
use proto::http2::ErrorCode;

use super::super::carrier::Carrier;
use super::super::failure::Failure;
use super::super::headers;
use super::super::manager::{HttpManager, Target};
use super::super::port::{
    BodyPart, BodySink, BodySource, RequestSink, RequestSource, ResponseSink, ResponseSource,
    ResponseStart, SourceError, Upstream,
};
use super::super::pump::{BodyFailure, BodyObserver, BodyPump};
use super::super::response_stats::Origin;
use super::tunnel::Tunnel;
use super::{Exchange, Stop};

/// So much of a body is thrown away when there is nobody to send it to.
const DISCARD_MAX: usize = 64 * 1024;

impl<C: Carrier> Exchange<'_, C> {
    /// Sends the request to a host of the cluster and its response to the client.
    pub(super) async fn forward(
        &mut self,
        target: &Target,
        config: &ForwardAction,
        source: &mut impl RequestSource,
        sink: &mut impl ResponseSink,
    ) -> Result<(), Stop> {
        let timeout = self.response_timeout(config);
        self.journal.forwarded(&target.cluster, timeout);
        if !self.manager.prepared.config.suppress_envoy_headers {
            headers::prepare_forwarding(&mut self.heads.request, timeout);
        }
        self.tell_grpc_timeout(config, timeout);
        if self.request_complete {
            let now = self.manager.reactor.now();
            self.deadlines.response = timeout.map(|timeout| now + timeout);
        }
        let forwarded = if self.goes_over_tcp(config) {
            // Boxed, so that other exchanges keep no room for it.
            Box::pin(self.through_tcp(target, config, source, sink)).await
        } else {
            match self.connect(target, source).await {
                Ok(HttpStream::Http1(stream)) => {
                    self.over_http1(stream, target, source, sink).await
                }
                Ok(HttpStream::Http2(stream)) => {
                    self.over_http2(stream, target, source, sink).await
                }
                Err(stop) => Err(self.not_forwarded(stop, source).await),
            }
        };
        if let Err(stop) = &forwarded {
            self.judge_failure(stop);
        }
        // As Envoy, where an interim response stands for the final one in these stats.
        if let Err(Stop::Failed(failure)) = &forwarded
            && failure.is_of_upstream()
            && !self.upstream_responded
        {
            target.stats.count(failure.status(self.request_complete), Origin::Usual);
        }
        forwarded
    }

    /// What follows from a connection that did not come about.
    pub(super) async fn not_forwarded(
        &mut self,
        stop: Stop,
        source: &mut impl RequestSource,
    ) -> Stop {
        if !matches!(stop, Stop::Failed(Failure::NoHealthyHost | Failure::Overflow)) {
            self.discard(source).await;
        }
        stop
    }

    /// Throws away what has come of a request's body, so that it is no reason to close the
    /// connection if that is all of it.
    async fn discard(&mut self, source: &mut impl RequestSource) {
        let rest = poll_fn(|context| Poll::Ready(self.poll_discard(context, source))).await;
        if rest.is_ready() {
            self.request_ended();
        }
    }

    /// Throws away what has come of a request's body; ready once the body has ended.
    fn poll_discard(&mut self, context: &Context<'_>, source: &mut impl RequestSource) -> Poll<()> {
        let mut bytes = 0;
        while !self.request_complete && bytes < DISCARD_MAX {
            match source.poll_part(context, DISCARD_MAX - bytes) {
                Poll::Ready(Ok(BodyPart::Data(span))) => bytes += span.len(),
                Poll::Ready(Ok(BodyPart::Metadata(_) | BodyPart::Trailers)) => {}
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
    async fn connect(
        &mut self,
        target: &Target,
        source: &impl RequestSource,
    ) -> Result<HttpStream, Stop> {
        let header = target.cluster.proxy_header(|| self.connection.client());
        let version = Some(self.heads.request.version);
        let host = match target.cluster.http_host(version, header) {
            Ok(host) => host,
            Err(failure) => return Err(Stop::Failed(connect_failure(&failure))),
        };
        self.journal.host_picked(host.address());
        self.at_host.picked(host.stats(), host.monitor());
        let stream = self.unless_over(pin!(host.stream()), target, source).await?;
        let stream = stream.map_err(|failure| self.not_connected(&failure))?;
        self.at_host.connected();
        Ok(stream)
    }

    pub(super) fn not_connected(&mut self, failure: &ConnectFailure) -> Stop {
        if matches!(failure, ConnectFailure::PendingOverflow { .. }) {
            self.at_host.spared();
        }
        self.journal.connect_failed(failure);
        Stop::Failed(connect_failure(failure))
    }

    /// What comes of `connecting`, unless the client leaves or the time is over first.
    pub(super) async fn unless_over<T>(
        &mut self,
        mut connecting: Pin<&mut impl Future<Output = T>>,
        target: &Target,
        source: &impl RequestSource,
    ) -> Result<T, Stop> {
        poll_fn(|context| {
            if let Poll::Ready(connected) = connecting.as_mut().poll(context) {
                return Poll::Ready(Ok(connected));
            }
            self.has_waited = true;
            if let Poll::Ready(why) = source.poll_gone(context) {
                return Poll::Ready(Err(self.request_lost(why)));
            }
            let passed = self.poll_deadline(context);
            passed.map(|failure| {
                // Nobody knows yet which host it would have been.
                self.at_host.spared();
                if failure == Failure::ResponseTimeout {
                    target.cluster.stats().inc(ClusterStat::UpstreamRqTimeout);
                }
                Err(Stop::Failed(failure))
            })
        })
        .await
    }

    /// Runs the exchange over a stream to a host.
    pub(super) async fn over<U: Upstream>(
        &mut self,
        upstream: &mut U,
        target: &Target,
        source: &mut impl RequestSource,
        sink: &mut impl ResponseSink,
    ) -> Result<(), Stop> {
        self.has_waited = true;
        let now = self.manager.reactor.now();
        self.journal.connected(now, U::VERSION);
        let longest = target.cluster.config().http.common.max_stream_duration;
        self.deadlines.upstream = longest.map(|longest| now + longest);
        if self.tunnel == Some(Tunnel::WebSocket) {
            // Its request has no end to begin at.
            self.deadlines.response = self.journal.timeout().map(|timeout| now + timeout);
        }
        upstream.ports().0.send_head(&self.heads.request, self.request_complete);
        let flowed = self.flow(upstream, target, source, sink).await;
        if self.awaits_agreement() {
            self.discard(source).await;
        } else if self.is_tunnelling || U::VERSION.is_none() {
            self.flush_tunnel(upstream, &flowed).await;
        }
        let (up_request, up_response) = upstream.ports();
        self.journal.upstream_metered(up_request.metered(), up_response.metered(flowed.is_ok()));
        if let Err(Stop::Failed(failure) | Stop::Cut(failure)) = &flowed {
            let stats = target.cluster.stats();
            match failure {
                Failure::ResponseTimeout => stats.inc(ClusterStat::UpstreamRqTimeout),
                Failure::UpstreamMaxDuration => {
                    stats.inc(ClusterStat::UpstreamRqMaxDurationReached);
                }
                _ => {}
            }
        }
        flowed
    }

    /// Everything that may happen between a request that was sent and the end of its response.
    async fn flow<U: Upstream>(
        &mut self,
        upstream: &mut U,
        target: &Target,
        source: &mut impl RequestSource,
        sink: &mut impl ResponseSink,
    ) -> Result<(), Stop> {
        let whole = self.request_complete;
        let mut request = if whole { BodyPump::ended() } else { BodyPump::new() };
        let mut response = BodyPump::new();
        let from_client = FromClient { manager: self.manager, target };
        let from_host = FromHost { manager: self.manager, target };
        // The host takes no more of the request; what it answers may still come.
        let mut deaf = false;
        let mut moved = 0;
        let result = poll_fn(|context| {
            let (up_request, up_response) = upstream.ports();
            let awaits_agreement = self.awaits_agreement();
            if !request.is_ended() && !deaf && !awaits_agreement {
                match request.poll(context, source, up_request, &from_client) {
                    Poll::Ready(Ok(())) => self.request_ended(),
                    Poll::Ready(Err(BodyFailure::Sink)) => deaf = true,
                    Poll::Ready(Err(BodyFailure::Source(error))) => {
                        return Poll::Ready(Err(self.request_lost(error)));
                    }
                    Poll::Pending => {}
                }
            }
            // While nothing is read, only the end of the stream says that the client has left.
            let reading =
                !request.is_ended() && !deaf && !awaits_agreement && !up_request.is_paused();
            if !reading && let Poll::Ready(why) = source.poll_gone(context) {
                return Poll::Ready(Err(self.request_lost(why)));
            }
            while !self.responded {
                while let Some(map) = up_response.take_early_metadata() {
                    self.deadlines.last_progress = self.manager.reactor.now();
                    if !sink.send_metadata(&map) {
                        from_host.metadata_dropped();
                    }
                }
                match up_response.poll_head(context, &mut self.heads.response) {
                    Poll::Ready(Ok(ResponseStart::Interim)) => {
                        // As Envoy, which counts the first one only.
                        if !std::mem::replace(&mut self.upstream_responded, true) {
                            let interim = &self.heads.response;
                            target.stats.count(interim.status, Origin::of(interim));
                            self.at_host.responded();
                        }
                        self.heads.response.clear();
                    }
                    Poll::Ready(Ok(ResponseStart::Final { is_whole })) => {
                        if self.is_handshake_lost::<U>() {
                            self.lose_handshake(sink);
                            return Poll::Ready(Ok(()));
                        }
                        self.send_response_head(target, sink, is_whole);
                        if is_whole {
                            response = BodyPump::ended();
                        }
                        if self.switches_protocol() {
                            self.begin_tunnelling();
                            // The request's body has waited for this.
                            context.waker().wake_by_ref();
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
                        let why = match source.poll_gone(context) {
                            Poll::Ready(why) => why,
                            Poll::Pending => SourceError::Failed,
                        };
                        return Poll::Ready(Err(self.request_lost(why)));
                    }
                    Poll::Ready(Err(BodyFailure::Source(error))) => {
                        return Poll::Ready(Err(Stop::Cut(upstream_failure(&error))));
                    }
                    Poll::Pending => {}
                }
            }
            if self.is_tunnelling
                && request.is_ended()
                && !U::HALF_CLOSES
                && self.tunnel == Some(Tunnel::Connect)
                && let Some(stream) = upstream.stream()
                && stream.outbox().poll_drained(context).is_ready()
            {
                return Poll::Ready(Err(Stop::Cut(Failure::UpstreamClosed)));
            }
            let now_moved = request.progress().wrapping_add(response.progress());
            if now_moved != moved {
                moved = now_moved;
                self.connection.count_received();
                upstream.count_received();
                self.deadlines.last_progress = self.manager.reactor.now();
            }
            self.poll_deadline(context).map(|failure| Err(self.stop_for(failure)))
        })
        .await;
        self.journal.bytes_received(request.bytes());
        self.journal.bytes_sent(response.bytes());
        if response.had_trailers() {
            upstream.ports().1.swap_trailers(&mut self.heads.response_trailers);
            self.journal.trailers_came();
        }
        if result.is_ok() {
            self.judge_end(response.had_trailers());
            let took = self.journal.since_request(self.manager.reactor.now());
            target.stats.time(took, Origin::of(&self.heads.response));
        }
        result
    }

    /// Tells the client that its handshake was not one, by the head that the host sent.
    fn lose_handshake(&mut self, sink: &mut impl ResponseSink) {
        self.heads.response.headers.remove(KnownName::ContentLength);
        self.journal.upstream_responded(self.manager.reactor.now());
        self.journal.details("websocket_handshake_unsuccessful");
        self.send_head(sink, true);
    }

    /// Passes the head of the upstream's response on.
    fn send_response_head(
        &mut self,
        target: &Target,
        sink: &mut impl ResponseSink,
        is_whole: bool,
    ) {
        let now = self.manager.reactor.now();
        self.judge_head(is_whole);
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
        SourceError::Protocol(_) | SourceError::Reset(ErrorCode::PROTOCOL_ERROR) => {
            Failure::UpstreamProtocol
        }
        SourceError::Reset(ErrorCode::REFUSED_STREAM) => Failure::UpstreamRefusedStream,
        SourceError::Reset(ErrorCode::CONNECT_ERROR) => Failure::UpstreamConnectError,
        SourceError::Reset(_) => Failure::UpstreamRemoteReset,
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

    fn metadata_dropped(&self) {
        let stats = self.manager.upstream_http1_stats(self.target);
        stats.inc(Http1CodecStat::MetadataNotSupportedError);
    }
}

/// Counts the pauses that a slow client causes.
struct FromHost<'a> {
    manager: &'a HttpManager,
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

    fn metadata_dropped(&self) {
        self.manager.codec_stats.inc(Http1CodecStat::MetadataNotSupportedError);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line was read off Envoy 1.40, with a host that resets the stream.
    #[test]
    fn a_reset_by_the_host_is_told_by_its_code() {
        for (code, status, flag, reason) in [
            (ErrorCode::NO_ERROR, 503, "UR", "remote reset"),
            (ErrorCode::PROTOCOL_ERROR, 502, "UPE", "protocol error"),
            (ErrorCode::INTERNAL_ERROR, 503, "UR", "remote reset"),
            (ErrorCode::REFUSED_STREAM, 503, "UR", "remote refused stream reset"),
            (ErrorCode::CANCEL, 503, "UR", "remote reset"),
            (ErrorCode::CONNECT_ERROR, 503, "UR", "remote error with CONNECT request"),
        ] {
            let failure = upstream_failure(&SourceError::Reset(code));
            assert_eq!(failure.status(true), status, "{code:?}");
            assert_eq!(failure.flag().unwrap().short(), flag, "{code:?}");
            assert!(failure.body().ends_with(&format!("reset reason: {reason}")), "{code:?}");
            let words = reason.replace(' ', "_");
            let before = format!("upstream_reset_before_response_started{{{words}}}");
            assert_eq!(failure.details(false), before);
            let after = format!("upstream_reset_after_response_started{{{words}}}");
            assert_eq!(failure.details(true), after);
            assert!(failure.is_of_upstream() && !failure.closes());
        }
    }
}
