//! What an exchange counts at its host: a request that was served, one that failed, one without an
//! answer in time. Whether a call of gRPC was served its trailers say, so that waits for them.
//!
//! Whoever detects outliers is told of the same events, but of trailers.

use std::rc::Rc;

use cluster::{Monitor, Outcome};
use observe::Scope;
use observe::names::{HostStat, HttpStat};
use proto::{HeaderList, KnownName};

use super::super::carrier::Carrier;
use super::super::failure::Failure;
use super::super::grpc;
use super::{Exchange, Stop};

/// The host of an exchange, and what is still to be counted there.
#[derive(Debug, Default)]
pub(super) struct AtHost {
    stats: Option<Scope<HostStat>>,
    /// If outliers are detected.
    monitor: Option<Rc<Monitor>>,
    verdict: Verdict,
}

/// Whether the host has served the request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Verdict {
    /// Nobody knows yet.
    #[default]
    Open,
    /// The trailers will say.
    InTrailers,
    /// It was counted, or never will be.
    Given,
}

impl AtHost {
    /// The request goes there.
    pub(super) fn picked(&mut self, stats: &Scope<HostStat>, monitor: Option<&Rc<Monitor>>) {
        self.stats = Some(stats.clone());
        self.monitor = monitor.cloned();
    }

    /// There is a connection for the request.
    pub(super) fn connected(&self) {
        self.report(Outcome::Connected);
    }

    fn report(&self, outcome: Outcome) {
        if let Some(monitor) = &self.monitor {
            monitor.report(outcome);
        }
    }

    /// It was not the host that did not serve the request.
    pub(super) fn spared(&mut self) {
        self.stats = None;
        self.monitor = None;
    }

    /// An interim response stands for the final one.
    pub(super) fn responded(&mut self) {
        if self.verdict == Verdict::Open {
            self.verdict = Verdict::Given;
        }
    }

    fn give(&mut self, served: bool) {
        self.verdict = Verdict::Given;
        if let Some(stats) = &self.stats {
            stats.inc(if served { HostStat::RqSuccess } else { HostStat::RqError });
        }
    }
}

impl<C: Carrier> Exchange<'_, C> {
    /// The head of the host's response has come; of a whole response there is nothing else.
    pub(super) fn judge_head(&mut self, is_whole: bool) {
        let response = &self.heads.response;
        if self.at_host.monitor.is_some() {
            // A call's own status counts as what it means in HTTP, if the head has it.
            let of_call = response.headers.get(KnownName::GrpcStatus);
            let of_call = of_call.filter(|of_call| !of_call.is_empty());
            let of_call = of_call.filter(|_| grpc::is_call(&self.heads.request));
            let status = of_call.map_or(response.status, grpc::http_status);
            self.at_host.report(Outcome::Response(status));
        }
        match (response.status >= 500, grpc::is_call(&self.heads.request)) {
            (true, _) => self.at_host.give(false),
            (false, false) => self.at_host.give(true),
            (false, true) if is_whole => self.at_host.give(is_served(&response.headers)),
            (false, true) => self.at_host.verdict = Verdict::InTrailers,
        }
    }

    /// The response has ended, with or without trailers.
    pub(super) fn judge_end(&mut self, has_trailers: bool) {
        if self.at_host.verdict == Verdict::InTrailers {
            self.at_host.give(has_trailers && is_served(&self.heads.response_trailers));
        }
    }

    /// No response has come of it, or none that is complete.
    pub(super) fn judge_failure(&mut self, stop: &Stop) {
        let (Stop::Failed(failure) | Stop::Cut(failure)) = stop else { return };
        if !failure.is_of_upstream() {
            return;
        }
        match (failure, stop) {
            // As in Envoy every connect that gave no connection was refused.
            (
                Failure::ConnectFailed
                | Failure::ConnectTimeout
                | Failure::UpstreamClosed
                | Failure::UpstreamProtocol
                | Failure::UpstreamRemoteReset
                | Failure::UpstreamRefusedStream
                | Failure::UpstreamConnectError,
                _,
            ) => self.at_host.report(Outcome::ConnectFailed),
            // A response that has begun has told already how the host is.
            (Failure::ResponseTimeout, Stop::Failed(_)) => self.at_host.report(Outcome::Timeout),
            _ => {}
        }
        if *failure == Failure::ResponseTimeout
            && let Some(stats) = &self.at_host.stats
        {
            stats.inc(HostStat::RqTimeout);
        }
        match self.at_host.verdict {
            Verdict::Open => self.at_host.give(false),
            Verdict::InTrailers => {
                self.at_host.give(false);
                self.manager.stats.inc(HttpStat::RqResetAfterDownstreamResponseStarted);
            }
            Verdict::Given => {}
        }
    }
}

/// Whether the host says that it has served the call.
fn is_served(fields: &HeaderList) -> bool {
    fields.get(KnownName::GrpcStatus).is_some_and(grpc::is_served)
}
