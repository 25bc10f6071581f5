//! One request and its response, from the first byte to the line in the access log.
//!
//! ```text
//! head --refused, no route, direct response, redirect--> local reply -----------------> finish
//!   \--route--> host --none, overflow, refused, late--> local reply ------------------> finish
//!                 \--> forwarding: both bodies, the response's head, the deadlines ---> finish
//! ```
//! All that a response needs while it flows is polled together: a final response may come before
//! the request has ended, and a client may leave at any time.
//!
//! **Invariant:** an exchange reaches its connections through ports only, and holds every count
//! it changes by a guard, so that it may be dropped at any await point.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use cluster::{ConnectFailure, HttpStream};
use config::model::{RedirectAction, RedirectPath};
use observe::GaugeGuard;
use observe::names::{ClusterStat, Http1CodecStat, HttpStat, ListenerHttpStat};
use proto::http1::{ErrorKind, Framing, MessageStart, ResponseDecoder, ResponseTo};
use proto::{KnownName, Method, Version};

use super::connection::HttpConnection;
use super::delayed_close::Closing;
use super::failure::Failure;
use super::headers;
use super::http1::{Request, Response, UpstreamRequest, UpstreamResponse};
use super::log::Journal;
use super::manager::{Codecs, Heads, HttpManager, Target};
use super::port::{
    BodyPart, BodySink, BodySource, RequestSink, ResponseSink, ResponseSource, ResponseStart,
    SourceError,
};
use super::pump::{BodyFailure, BodyObserver, BodyPump};
use super::recycle::Borrowed;
use super::redirect::{Original, UNCHANGED, write_location};
use super::response_stats::Origin;
use super::route::Action;

/// So much of a body is thrown away when there is nobody to send it to.
const DISCARD_MAX: usize = 64 * 1024;

/// What an exchange begins with: a connection on which bytes of a request have come.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) connection: Rc<HttpConnection>,
}

/// What happens to the connection after an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another request may come.
    Request,
    /// It is closed.
    Close(Closing),
    /// The client has left.
    Gone,
}

/// Runs one exchange.
pub(crate) async fn run(start: Start) -> Next {
    let connection = start.connection;
    let manager = Rc::clone(&connection.manager);
    let mut codecs = manager.codecs.take();
    Exchange::new(&manager, &connection).run(&mut codecs).await
}

/// An exchange under way.
struct Exchange<'a> {
    manager: &'a HttpManager,
    connection: &'a HttpConnection,
    heads: Borrowed<Heads>,
    journal: Journal,
    deadlines: Deadlines,
    /// The request has come to its end.
    request_complete: bool,
    /// The request asks to switch to another protocol.
    is_upgrade: bool,
    /// The connection is closed after the response.
    closes: bool,
    /// The request is the connection's last one, by its own words or by configuration.
    is_last: bool,
    /// The response needed more than the bytes of the request's head.
    has_waited: bool,
    /// The end of the connection is the end of the response.
    ends_with_connection: bool,
    /// The upstream has begun to respond, if only with an interim response.
    upstream_responded: bool,
    /// The head of the response was sent.
    responded: bool,
    /// Of the route that was taken; empty when it has none.
    route_name: &'a str,
    _active: GaugeGuard<HttpStat>,
}

/// When an exchange is given up.
#[derive(Debug, Clone, Copy)]
struct Deadlines {
    /// `request_headers_timeout`, until the head is there.
    head: Option<Instant>,
    /// `request_timeout`, until the request is complete.
    request: Option<Instant>,
    /// The route's timeout, from the end of the request on.
    response: Option<Instant>,
    /// `max_stream_duration`.
    duration: Option<Instant>,
    /// `max_stream_duration` of the cluster.
    upstream: Option<Instant>,
    /// From here on `stream_idle_timeout` runs; moved by every byte.
    last_progress: Instant,
}

impl Deadlines {
    fn next(&self, idle_timeout: Option<Duration>) -> Option<Instant> {
        let idle = idle_timeout.map(|timeout| self.last_progress + timeout);
        let all = [self.head, self.request, self.response, self.duration, self.upstream, idle];
        all.into_iter().flatten().min()
    }

    /// Which one has passed.
    fn passed(&self, now: Instant) -> Failure {
        let is_past = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        if is_past(self.head) {
            Failure::HeaderTimeout
        } else if is_past(self.request) {
            Failure::RequestTimeout
        } else if is_past(self.response) {
            Failure::ResponseTimeout
        } else if is_past(self.duration) {
            Failure::MaxDuration
        } else if is_past(self.upstream) {
            Failure::UpstreamMaxDuration
        } else {
            Failure::StreamIdleTimeout
        }
    }
}

/// Why a message stopped before its end.
enum Stop {
    /// The client is to be told.
    Failed(Failure),
    /// The client has left.
    Gone,
    /// The response had begun, and cannot be completed.
    Cut(Failure),
}

impl<'a> Exchange<'a> {
    fn new(manager: &'a HttpManager, connection: &'a HttpConnection) -> Self {
        let now = manager.reactor.now();
        let config = &manager.prepared.config;
        manager.stats.inc(HttpStat::DownstreamRqTotal);
        manager.stats.inc(HttpStat::DownstreamRqHttp1Total);
        let mut heads = manager.heads.take();
        heads.request.clear();
        heads.response.clear();
        Self {
            manager,
            connection,
            heads,
            journal: Journal::new(now, manager.reactor.wall_now()),
            deadlines: Deadlines {
                head: config.request_headers_timeout.map(|timeout| now + timeout),
                request: config.request_timeout.map(|timeout| now + timeout),
                response: None,
                upstream: None,
                duration: config.common.max_stream_duration.map(|longest| now + longest),
                last_progress: now,
            },
            request_complete: false,
            is_upgrade: false,
            closes: false,
            is_last: false,
            has_waited: false,
            ends_with_connection: false,
            upstream_responded: false,
            responded: false,
            route_name: "",
            _active: manager.stats.guard(HttpStat::DownstreamRqActive),
        }
    }

    async fn run(mut self, codecs: &mut Codecs) -> Next {
        let Codecs { request: decoder, response: response_decoder } = codecs;
        decoder.reset();
        let http1 = &self.manager.prepared.config.http1;
        let stream = &self.connection.stream;
        let mut source = Request::new(stream, decoder, &self.manager.prepared.requests);
        let head = self.head(&mut source).await;
        let request = &self.heads.request;
        // A request that was refused may be of no version that we answer in.
        let version = if head.is_ok() { request.version } else { Version::Http11 };
        let to = ResponseTo { version, method: request.method() };
        let mut sink = Response::new(stream, to, http1.enable_trailers);
        let answered = match head {
            Ok(start) => {
                self.head_received(start);
                self.answer(&mut source, &mut sink, response_decoder).await
            }
            Err(stop) => Err(stop),
        };
        let next = self.end(answered, &mut sink);
        let metered = (source.metered(self.request_complete), sink.metered());
        self.journal.write(self.manager, self.connection, &self.heads, self.route_name, metered);
        next
    }

    /// Waits for the head of the request.
    async fn head(&mut self, source: &mut Request<'_>) -> Result<MessageStart, Stop> {
        poll_fn(|context| {
            match source.poll_head(context, &mut self.heads.request) {
                Poll::Ready(Ok(Some(start))) => return Poll::Ready(Ok(start)),
                Poll::Ready(Ok(None) | Err(SourceError::Ended | SourceError::Failed)) => {
                    return Poll::Ready(Err(Stop::Gone));
                }
                Poll::Ready(Err(SourceError::Protocol(kind))) => {
                    return Poll::Ready(Err(Stop::Failed(Failure::Codec(kind))));
                }
                Poll::Pending => {}
            }
            self.poll_deadline(context).map(|failure| Err(Stop::Failed(failure)))
        })
        .await
    }

    fn head_received(&mut self, start: MessageStart) {
        self.deadlines.head = None;
        self.connection.count_received();
        self.deadlines.last_progress = self.manager.reactor.now();
        self.journal.head_received(&self.heads.request);
        if start.dropped_underscores > 0 {
            let dropped = u64::from(start.dropped_underscores);
            let stat = Http1CodecStat::DroppedHeadersWithUnderscores;
            self.manager.codec_stats.add(stat, dropped);
        }
        self.is_last = self.connection.is_last_request() || !start.keep_alive;
        self.closes = self.is_last;
        self.is_upgrade =
            start.framing == Framing::Tunnel && self.heads.request.method() != Method::Connect;
        if start.framing.is_empty() {
            self.request_ended();
        }
    }

    fn request_ended(&mut self) {
        let now = self.manager.reactor.now();
        self.request_complete = true;
        self.deadlines.request = None;
        self.deadlines.response = self.journal.timeout().map(|timeout| now + timeout);
        self.journal.request_ended(now);
    }

    /// Does what the configuration says about the request.
    async fn answer(
        &mut self,
        source: &mut Request<'_>,
        sink: &mut Response<'_>,
        decoder: &mut ResponseDecoder,
    ) -> Result<(), Stop> {
        let (manager, stats) = (self.manager, &self.manager.stats);
        if headers::take_expect_continue(&mut self.heads.request) {
            self.count_answer(100);
            sink.send_continue();
        }
        headers::supply_host(&mut self.heads.request, manager);
        if let Some(failure) = headers::refuse(&self.heads.request) {
            match failure {
                Failure::NotAPath => stats.inc(HttpStat::DownstreamRqNonRelativePath),
                Failure::Fragment => stats.inc(HttpStat::DownstreamRqFailedPathNormalization),
                _ => {}
            }
            return Err(Stop::Failed(failure));
        }
        let client = headers::prepare_request(&mut self.heads.request, manager, self.connection);
        self.journal.client_named(client);
        if self.is_upgrade {
            stats.inc(HttpStat::DownstreamRqWsOnNonWsRoute);
            return Err(Stop::Failed(Failure::Upgrade));
        }
        stats.inc(HttpStat::RqTotal);
        let request = &self.heads.request;
        // A CONNECT has no path, and goes only where a route asks for it by name. And nothing is
        // routed that comes by an empty protocol.
        let route = match request.method() {
            Method::Connect => None,
            _ if request.headers.get(KnownName::XForwardedProto) == Some(b"") => None,
            _ => manager.prepared.routes.find(request.authority().unwrap_or(b""), request.path()),
        };
        let Some(route) = route else {
            stats.inc(HttpStat::NoRoute);
            return Err(Stop::Failed(Failure::NoRoute));
        };
        self.route_name = route.name();
        match route.action() {
            Action::Reply(reply) => {
                stats.inc(HttpStat::RqDirectResponse);
                self.journal.details("direct_response");
                self.begin_reply(reply.status);
                if let 201 | 300..400 = reply.status {
                    self.locate(&UNCHANGED, route.matched_length());
                }
                self.reply(&reply.body, sink);
            }
            Action::Redirect(redirect) => {
                stats.inc(HttpStat::RqDirectResponse);
                self.journal.details("direct_response");
                self.begin_reply(redirect.status);
                self.locate(redirect, route.matched_length());
                self.rewrite_path(redirect, route.matched_length());
                self.reply(b"", sink);
            }
            Action::Forward { cluster, config } => {
                let Some(target) = &manager.targets[*cluster] else {
                    stats.inc(HttpStat::NoCluster);
                    return Err(Stop::Failed(Failure::NoCluster));
                };
                self.forward(target, config.timeout, source, sink, decoder).await?;
            }
        }
        Ok(())
    }

    /// Sends the request to a host of the cluster and its response to the client.
    async fn forward(
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

    /// Sends the head of the response, whoever made it.
    fn send_head(&mut self, sink: &mut Response<'_>, is_whole: bool) {
        let stats = &self.manager.stats;
        if !self.request_complete {
            // HTTP/1 has no other way to say that the rest of the request is not wanted.
            stats.inc(HttpStat::DownstreamRqResponseBeforeRqComplete);
            self.closes = true;
        }
        if !self.closes && self.manager.is_draining() {
            stats.inc(HttpStat::DownstreamCxDrainClose);
            self.closes = true;
        }
        let Heads { request, response, .. } = &mut *self.heads;
        // HTTP/1.0 knows no chunks: without a length the connection's end is the end of the body.
        if request.version == Version::Http10
            && !is_whole
            && !response.headers.contains(KnownName::ContentLength)
        {
            self.ends_with_connection = true;
            self.closes = true;
        }
        let announces_close = self.closes || self.connection.is_draining();
        headers::prepare_response(response, request, self.manager, announces_close);
        self.count_answer(self.heads.response.status);
        self.responded = true;
        self.journal.responded(self.heads.response.status);
        sink.send_head(&self.heads.response, is_whole);
    }

    /// Counts an answer by the class of its status: in all, and as the listener's.
    fn count_answer(&self, status: u16) {
        let (all, own) = (&self.manager.stats, &self.manager.listener_stats);
        all.inc(HttpStat::DownstreamRqCompleted);
        own.inc(ListenerHttpStat::DownstreamRqCompleted);
        let (class, own_class) = match status / 100 {
            1 => (HttpStat::DownstreamRq1xx, ListenerHttpStat::DownstreamRq1xx),
            2 => (HttpStat::DownstreamRq2xx, ListenerHttpStat::DownstreamRq2xx),
            3 => (HttpStat::DownstreamRq3xx, ListenerHttpStat::DownstreamRq3xx),
            4 => (HttpStat::DownstreamRq4xx, ListenerHttpStat::DownstreamRq4xx),
            5 => (HttpStat::DownstreamRq5xx, ListenerHttpStat::DownstreamRq5xx),
            _ => return,
        };
        all.inc(class);
        own.inc(own_class);
    }

    /// Begins an answer in the upstream's place.
    fn begin_reply(&mut self, status: u16) {
        self.heads.response.clear();
        self.heads.response.status = status;
    }

    /// Sends the answer that was begun.
    fn reply(&mut self, body: &[u8], sink: &mut Response<'_>) {
        let response = &mut self.heads.response;
        if !body.is_empty() {
            response.headers.append_number(KnownName::ContentLength, body.len() as u64);
            response.headers.append_known(KnownName::ContentType, b"text/plain");
        }
        self.send_head(sink, body.is_empty());
        if !body.is_empty() {
            sink.send_copy(body);
            sink.end(None);
        }
        let no_body = self.heads.request.method() == Method::Head;
        self.journal.bytes_sent(if no_body { 0 } else { body.len() as u64 });
    }

    /// Tells the client where to go.
    fn locate(&mut self, action: &RedirectAction, matched: usize) {
        let Heads { request, response, scratch } = &mut *self.heads;
        let original = Original {
            scheme: headers::scheme(request),
            forwarded_proto: request.headers.get(KnownName::XForwardedProto).unwrap_or(b""),
            authority: request.authority().unwrap_or(b""),
            path: request.path(),
            matched,
        };
        scratch.clear();
        write_location(action, original, scratch);
        response.headers.append_known(KnownName::Location, scratch);
    }

    /// A prefix that a redirect replaces is replaced in the request too, as the access log sees
    /// it.
    fn rewrite_path(&mut self, action: &RedirectAction, matched: usize) {
        let RedirectPath::Prefix(prefix) = &action.path else { return };
        let Heads { request, scratch, .. } = &mut *self.heads;
        scratch.clear();
        scratch.extend_from_slice(request.path());
        if !self.manager.prepared.config.suppress_envoy_headers {
            request.headers.set(KnownName::XEnvoyOriginalPath, scratch);
        }
        scratch.clear();
        scratch.extend_from_slice(prefix.as_bytes());
        scratch.extend_from_slice(request.path().get(matched..).unwrap_or_default());
        request.set_path(scratch);
    }

    /// What follows from how the exchange ended.
    fn end(&mut self, answered: Result<(), Stop>, sink: &mut Response<'_>) -> Next {
        let stats = &self.manager.stats;
        match answered {
            Ok(()) => {}
            Err(Stop::Failed(failure)) => {
                self.journal.failed(failure, self.upstream_responded);
                self.count_failure(failure);
                self.closes |= failure.closes();
                let status = failure.status(self.request_complete);
                self.begin_reply(status);
                if failure.is_overload() && !self.manager.prepared.config.suppress_envoy_headers {
                    let headers = &mut self.heads.response.headers;
                    headers.append_known(KnownName::XEnvoyOverloaded, b"true");
                }
                self.reply(failure.body().as_bytes(), sink);
            }
            Err(Stop::Gone) => {
                stats.inc(HttpStat::DownstreamRqRxReset);
                self.journal.client_gone();
                return Next::Gone;
            }
            Err(Stop::Cut(failure)) => {
                match failure {
                    // There is no other answer to what the client sent than to close.
                    Failure::Codec(_) => self.connection.closed_in_request(),
                    _ => stats.inc(HttpStat::DownstreamRqTxReset),
                }
                stats.inc(HttpStat::DownstreamRqRxReset);
                self.count_failure(failure);
                self.journal.cut(failure);
                return Next::Close(self.closing());
            }
        }
        if !self.request_complete {
            stats.inc(HttpStat::DownstreamRqRxReset);
        }
        let now = self.manager.reactor.now();
        stats.record_duration(HttpStat::DownstreamRqTime, self.journal.since_start(now));
        if self.closes || !self.request_complete {
            Next::Close(self.closing())
        } else {
            Next::Request
        }
    }

    /// How the connection is closed: without waiting for the client if that has sent its last
    /// request whole, or knows the response's end by the connection's; but, as Envoy does it, not
    /// when the reply came at once.
    fn closing(&self) -> Closing {
        let is_over = self.ends_with_connection || (self.is_last && self.request_complete);
        match is_over && self.has_waited {
            true => Closing::AfterFlush,
            false => Closing::AfterFlushAndWait,
        }
    }

    fn count_failure(&self, failure: Failure) {
        let stats = &self.manager.stats;
        match failure {
            Failure::Codec(kind) => {
                stats.inc(HttpStat::DownstreamCxProtocolError);
                if kind == ErrorKind::UnexpectedUnderscore {
                    let stat = Http1CodecStat::RequestsRejectedWithUnderscoresInHeaders;
                    self.manager.codec_stats.inc(stat);
                }
            }
            Failure::StreamIdleTimeout => stats.inc(HttpStat::DownstreamRqIdleTimeout),
            Failure::RequestTimeout => stats.inc(HttpStat::DownstreamRqTimeout),
            Failure::HeaderTimeout => stats.inc(HttpStat::DownstreamRqHeaderTimeout),
            Failure::MaxDuration => stats.inc(HttpStat::DownstreamRqMaxDurationReached),
            _ => {}
        }
    }

    /// Ready once one of the deadlines has passed.
    fn poll_deadline(&self, context: &mut Context<'_>) -> Poll<Failure> {
        let idle_timeout = self.manager.prepared.config.stream_idle_timeout;
        let Some(deadline) = self.deadlines.next(idle_timeout) else { return Poll::Pending };
        let timer = self.connection.timer.borrow_mut().poll(context, deadline);
        timer.map(|()| self.deadlines.passed(self.manager.reactor.now()))
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
