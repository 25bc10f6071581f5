//! What an exchange counts at its host: a request that was served, one that failed, one without an
//! answer in time. Whether a call of gRPC was served its trailers say, so that waits for them.

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
    pub(super) fn picked(&mut self, stats: &Scope<HostStat>) {
        self.stats = Some(stats.clone());
    }

    /// It was not the host that did not serve the request.
    pub(super) fn spared(&mut self) {
        self.stats = None;
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
