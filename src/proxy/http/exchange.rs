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

mod at_host;
mod forward;
pub(super) mod http1;
pub(super) mod http2;
mod reply;
mod tcp;
mod timeouts;
mod tunnel;

use std::future::poll_fn;
use std::task::{Context, Poll};

use observe::GaugeGuard;
use observe::names::{Http1CodecStat, HttpStat};
use proto::http1::ErrorKind;
use proto::{KnownName, Method};

use at_host::AtHost;

use super::carrier::Carrier;
use super::connection::HttpConnection;
use super::deadlines::Deadlines;
use super::failure::Failure;
use super::headers;
use super::log::Journal;
use super::manager::{Heads, HttpManager};
use super::port::{CodecError, Metered, RequestSource, RequestStart, ResponseSink, SourceError};
use super::recycle::Borrowed;
use super::redirect::UNCHANGED;
use super::route::{Action, Route};

use tunnel::Tunnel;

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Request and response are complete.
    Complete,
    /// The response is complete, and the rest of the request is not wanted.
    Early,
    /// The response cannot be completed.
    Cut,
    /// The client has left.
    Gone,
}

/// An exchange under way, on a connection that is seen as a `C`.
struct Exchange<'a, C> {
    manager: &'a HttpManager,
    connection: &'a HttpConnection,
    carrier: &'a C,
    heads: Borrowed<Heads>,
    journal: Journal,
    deadlines: Deadlines,
    at_host: AtHost,
    /// The request has come to its end.
    request_complete: bool,
    /// What the request asks for instead of a response, if it does.
    tunnel: Option<Tunnel>,
    /// The host has agreed to it: what flows is opaque.
    is_tunnelling: bool,
    /// The connection to the host could not be made, or has ended.
    has_lost_tunnel: bool,
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
    /// That it was let become a tunnel.
    upgraded: Option<GaugeGuard<HttpStat>>,
    _active: GaugeGuard<HttpStat>,
}

/// Why a message stopped before its end.
enum Stop {
    /// The client is to be told.
    Failed(Failure),
    /// The client has left, or its codec has ended what could have been answered.
    Gone(SourceError),
    /// The response had begun, and cannot be completed.
    Cut(Failure),
}

impl<'a, C: Carrier> Exchange<'a, C> {
    /// An exchange that begins now. The request in `heads` is clear, or decoded already.
    fn new(carrier: &'a C, mut heads: Borrowed<Heads>) -> Self {
        let connection = carrier.connection();
        let manager = &*connection.manager;
        let now = manager.reactor.now();
        let config = &manager.prepared.config;
        manager.stats.inc(HttpStat::DownstreamRqTotal);
        manager.stats.inc(C::REQUESTS);
        heads.response.clear();
        Self {
            manager,
            connection,
            carrier,
            heads,
            journal: Journal::new(now, manager.reactor.wall_now(), C::VERSION),
            deadlines: Deadlines {
                head: config.request_headers_timeout.map(|timeout| now + timeout),
                request: config.request_timeout.map(|timeout| now + timeout),
                response: None,
                upstream: None,
                duration: config.common.max_stream_duration.map(|longest| now + longest),
                idle_timeout: config.stream_idle_timeout,
                last_progress: now,
            },
            at_host: AtHost::default(),
            request_complete: false,
            tunnel: None,
            is_tunnelling: false,
            has_lost_tunnel: false,
            closes: false,
            is_last: false,
            has_waited: false,
            ends_with_connection: false,
            upstream_responded: false,
            responded: false,
            route_name: "",
            upgraded: None,
            _active: manager.stats.guard(HttpStat::DownstreamRqActive),
        }
    }

    /// From the head of the request to the line in the access log.
    async fn run(
        &mut self,
        source: &mut impl RequestSource,
        sink: &mut impl ResponseSink,
    ) -> Outcome {
        let head = self.head(source).await;
        let request = &self.heads.request;
        // A request that was refused may be of no version that we answer in.
        let version = if head.is_ok() { request.version } else { C::VERSION };
        sink.answers(version, request.method());
        let answered = match head {
            Ok(start) => {
                self.head_received(start);
                self.answer(source, sink).await
            }
            Err(stop) => Err(stop),
        };
        let outcome = self.end(answered, sink);
        let metered = (source.metered(self.request_complete), sink.metered());
        self.journal.write(self.manager, self.connection, &self.heads, self.route_name, metered);
        outcome
    }

    /// Waits for the head of the request.
    async fn head(&mut self, source: &mut impl RequestSource) -> Result<RequestStart, Stop> {
        poll_fn(|context| {
            match source.poll_head(context, &mut self.heads.request) {
                Poll::Ready(Ok(Some(start))) => return Poll::Ready(Ok(start)),
                Poll::Ready(Ok(None)) => {
                    return Poll::Ready(Err(Stop::Gone(SourceError::Ended)));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.request_lost(error))),
                Poll::Pending => {}
            }
            self.poll_deadline(context).map(|failure| Err(Stop::Failed(failure)))
        })
        .await
    }

    fn head_received(&mut self, start: RequestStart) {
        self.deadlines.head = None;
        self.connection.count_received();
        self.deadlines.last_progress = self.manager.reactor.now();
        self.journal.head_received(&self.heads.request);
        self.is_last = self.carrier.head_received(&start) || !start.keeps_alive;
        self.closes = self.is_last;
        self.tunnel = Tunnel::of(&start, &self.heads.request);
        if start.is_whole {
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

    /// What follows from a request that will not come to its end. A client of HTTP/1 is told what
    /// it did wrong; of HTTP/2 the codec has told it, and there is no stream left to answer on.
    fn request_lost(&self, error: SourceError) -> Stop {
        match error {
            SourceError::Protocol(CodecError::Http1(kind)) => self.stop_for(Failure::Codec(kind)),
            gone => Stop::Gone(gone),
        }
    }

    fn stop_for(&self, failure: Failure) -> Stop {
        if self.responded { Stop::Cut(failure) } else { Stop::Failed(failure) }
    }

    /// Does what the configuration says about the request.
    async fn answer(
        &mut self,
        source: &mut impl RequestSource,
        sink: &mut impl ResponseSink,
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
        let route = self.route();
        if let Some(route) = route {
            self.route_name = route.name();
        }
        if let Some(tunnel) = self.tunnel {
            self.admit_tunnel(tunnel, route)?;
        }
        stats.inc(HttpStat::RqTotal);
        let Some(route) = route else {
            stats.inc(HttpStat::NoRoute);
            return Err(Stop::Failed(Failure::NoRoute));
        };
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
                self.limit_duration(config);
                self.limit_idleness(config);
                let Some(target) = &manager.targets[*cluster] else {
                    stats.inc(HttpStat::NoCluster);
                    return Err(Stop::Failed(Failure::NoCluster));
                };
                self.forward(target, config, source, sink).await?;
            }
        }
        Ok(())
    }

    /// The route that the request takes.
    fn route(&self) -> Option<&'a Route> {
        let request = &self.heads.request;
        // Nothing is routed that comes by an empty protocol.
        if request.headers.get(KnownName::XForwardedProto) == Some(b"") {
            return None;
        }
        let is_connect = request.method() == Method::Connect;
        let authority = request.authority().unwrap_or(b"");
        self.manager.prepared.routes.find(authority, request.path(), is_connect)
    }

    /// What is left of a request whose head was refused, and that was told so: its line.
    fn refused(mut self, why: SourceError) {
        self.manager.stats.inc(HttpStat::DownstreamRqRxReset);
        self.journal.client_gone(why);
        let metered = (Metered::default(), Metered::default());
        self.journal.write(self.manager, self.connection, &self.heads, self.route_name, metered);
    }

    /// What follows from how the exchange ended.
    fn end(&mut self, answered: Result<(), Stop>, sink: &mut impl ResponseSink) -> Outcome {
        let stats = &self.manager.stats;
        match answered {
            Ok(()) => {}
            Err(Stop::Failed(failure)) => {
                self.journal.failed(failure, self.upstream_responded);
                self.count_failure(failure);
                self.closes |= failure.closes() && !C::IS_SHARED;
                let status = failure.status(self.request_complete);
                self.begin_reply(status);
                if failure.is_overload() && !self.manager.prepared.config.suppress_envoy_headers {
                    let headers = &mut self.heads.response.headers;
                    headers.append_known(KnownName::XEnvoyOverloaded, b"true");
                }
                self.reply_with(failure.body().as_bytes(), failure.grpc_status(), sink);
            }
            Err(Stop::Gone(why)) => {
                stats.inc(HttpStat::DownstreamRqRxReset);
                self.journal.client_gone(why);
                return Outcome::Gone;
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
                return Outcome::Cut;
            }
        }
        if !self.request_complete {
            stats.inc(HttpStat::DownstreamRqRxReset);
        }
        let now = self.manager.reactor.now();
        stats.record_duration(HttpStat::DownstreamRqTime, self.journal.since_start(now));
        if self.request_complete { Outcome::Complete } else { Outcome::Early }
    }

    fn count_failure(&mut self, failure: Failure) {
        let stats = &self.manager.stats;
        self.has_lost_tunnel = self.tunnel.is_some() && failure.is_of_connection();
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
        let Some(deadline) = self.deadlines.next() else { return Poll::Pending };
        let timer = self.carrier.timer().borrow_mut().poll(context, deadline);
        timer.map(|()| self.deadlines.passed(self.manager.reactor.now()))
    }
}
