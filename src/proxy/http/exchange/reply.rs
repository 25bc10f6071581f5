//! What the client of an exchange gets: the head of the response, whoever made it, and the answers
//! that are made here.

use config::model::{RedirectAction, RedirectPath};
use observe::names::{HttpStat, ListenerHttpStat};
use proto::{KnownName, Method, Version};

use super::super::carrier::Carrier;
use super::super::grpc;
use super::super::headers;
use super::super::manager::Heads;
use super::super::port::ResponseSink;
use super::super::redirect::{Original, write_location};
use super::Exchange;

impl<C: Carrier> Exchange<'_, C> {
    /// Sends the head of the response, whoever made it.
    pub(super) fn send_head(&mut self, sink: &mut impl ResponseSink, is_whole: bool) {
        let stats = &self.manager.stats;
        if !self.request_complete {
            stats.inc(HttpStat::DownstreamRqResponseBeforeRqComplete);
            // HTTP/1 has no other way to say that the rest of the request is not wanted.
            self.closes |= !C::IS_SHARED;
        }
        self.closes = self.closes || self.carrier.drains();
        self.deadlines.request = None;
        // Behind such a head the connection carries no HTTP whose end could be announced.
        let switches_protocol = self.switches_protocol();
        let Heads { request, response, .. } = &mut *self.heads;
        // HTTP/1.0 knows no chunks: without a length the connection's end is the end of the body.
        if request.version == Version::Http10
            && !is_whole
            && !response.headers.contains(KnownName::ContentLength)
        {
            self.ends_with_connection = true;
            self.closes = true;
        }
        let announces_close = (self.closes || self.carrier.announces_close()) && !switches_protocol;
        headers::prepare_response(response, request, self.manager, announces_close);
        self.count_answer(self.heads.response.status);
        self.responded = true;
        self.journal.responded(self.heads.response.status);
        sink.send_head(&self.heads.response, is_whole);
    }

    /// Counts an answer by the class of its status: in all, and as the listener's.
    pub(super) fn count_answer(&self, status: u16) {
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
    pub(super) fn begin_reply(&mut self, status: u16) {
        self.heads.response.clear();
        self.heads.response.status = status;
    }

    /// Sends the answer that was begun.
    pub(super) fn reply(&mut self, body: &[u8], sink: &mut impl ResponseSink) {
        self.reply_with(body, None, sink);
    }

    /// The same. A gRPC client is told `status`, or what that of HTTP means, and the body as a
    /// message, all in the head.
    pub(super) fn reply_with(
        &mut self,
        body: &[u8],
        status: Option<u8>,
        sink: &mut impl ResponseSink,
    ) {
        // As Envoy: a connection of HTTP/1 ends with its 400, whoever meant it.
        self.closes |= self.heads.response.status == 400 && !C::IS_SHARED;
        if self.journal.knows_request() && grpc::is_call(&self.heads.request) {
            let status = status.unwrap_or_else(|| grpc::status_of(self.heads.response.status));
            let no_body = self.heads.request.method() == Method::Head;
            let message = if no_body { b"" } else { body };
            grpc::answer(&mut self.heads.response, status, message);
            return self.send_head(sink, true);
        }
        let response = &mut self.heads.response;
        if !body.is_empty() {
            response.headers.append_number(KnownName::ContentLength, body.len() as u64);
            response.headers.append_known(KnownName::ContentType, b"text/plain");
        }
        self.send_head(sink, body.is_empty());
        if !body.is_empty() {
            sink.send_last(body);
        }
        let no_body = self.heads.request.method() == Method::Head;
        self.journal.bytes_sent(if no_body { 0 } else { body.len() as u64 });
    }

    /// Tells the client where to go. A CONNECT goes nowhere: it has no path to be found at.
    pub(super) fn locate(&mut self, action: &RedirectAction, matched: usize) {
        let Heads { request, response, scratch, .. } = &mut *self.heads;
        if request.path().is_empty() {
            return;
        }
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
    pub(super) fn rewrite_path(&mut self, action: &RedirectAction, matched: usize) {
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
}
