//! A host as a worker watches it.

use std::rc::Rc;
use std::sync::Arc;

use observe::names::OutlierHostStat;
use observe::{Scope, Shard};

use super::watched::{Streak, Watched};

/// What came of something that a host was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is connected, for a protocol that will tell more ([`Outcome::Response`]).
    Connected,
    /// It is connected, and that is all that will be known.
    ConnectedFinal,
    /// It could not be connected, or the connection was lost.
    ConnectFailed,
    /// It did not connect or answer in time.
    Timeout,
    /// It has answered with this status.
    Response(u16),
}

/// One host as one worker watches it.
#[derive(Debug)]
pub struct Monitor {
    watched: Arc<Watched>,
    /// The host's place in the configuration.
    host: usize,
    counts: Scope<OutlierHostStat>,
}

impl Monitor {
    pub(crate) fn new(watched: &Arc<Watched>, host: usize, shard: &Shard) -> Option<Rc<Self>> {
        let counts = watched.counts(host)?.on(shard);
        Some(Rc::new(Self { watched: Arc::clone(watched), host, counts }))
    }

    /// Takes note of what came of it. Unless connects count apart, one that failed is an answer
    /// with 503, and one that was late an answer with 504.
    pub fn report(&self, outcome: Outcome) {
        match outcome {
            Outcome::Response(status) => self.answered(status),
            Outcome::Connected | Outcome::ConnectedFinal if self.watched.splits() => {
                self.counts.inc(OutlierHostStat::LocalTotal);
                self.counts.inc(OutlierHostStat::LocalSuccess);
                self.watched.end(self.host, Streak::LocalOriginFailure);
            }
            Outcome::ConnectFailed | Outcome::Timeout if self.watched.splits() => {
                self.counts.inc(OutlierHostStat::LocalTotal);
                self.watched.failed(self.host, Streak::LocalOriginFailure);
            }
            Outcome::Connected => {}
            Outcome::ConnectedFinal => self.answered(200),
            Outcome::ConnectFailed => self.answered(503),
            Outcome::Timeout => self.answered(504),
        }
    }

    fn answered(&self, status: u16) {
        self.counts.inc(OutlierHostStat::ExternalTotal);
        if !(500..600).contains(&status) {
            self.counts.inc(OutlierHostStat::ExternalSuccess);
            self.watched.end(self.host, Streak::GatewayFailure);
            self.watched.end(self.host, Streak::Error5xx);
            return;
        }
        if (502..=504).contains(&status) {
            self.watched.failed(self.host, Streak::GatewayFailure);
        } else {
            self.watched.end(self.host, Streak::GatewayFailure);
        }
        self.watched.failed(self.host, Streak::Error5xx);
    }
}
