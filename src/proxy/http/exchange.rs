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

mod forward;
mod reply;

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use observe::GaugeGuard;
use observe::names::{Http1CodecStat, HttpStat};
use proto::http1::{ErrorKind, Framing, MessageStart, ResponseDecoder, ResponseTo};
use proto::{KnownName, Method, Version};

use super::connection::HttpConnection;
use super::deadlines::Deadlines;
use super::delayed_close::Closing;
use super::failure::Failure;
use super::headers;
use super::http1::{Request, Response};
use super::log::Journal;
use super::manager::{Codecs, Heads, HttpManager};
use super::port::{BodySink, BodySource, ResponseSink, SourceError};
use super::recycle::Borrowed;
use super::redirect::UNCHANGED;
use super::route::Action;

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
