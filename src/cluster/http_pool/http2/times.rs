//! What a connection has to do at what time.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use config::model;
use net::DeadlineTimer;
use reactor::Reactor;

use super::connection::Http2Connection;

/// The deadlines of a connection.
#[derive(Debug)]
pub(super) struct Times {
    timer: DeadlineTimer,
    idle_timeout: Option<Duration>,
    /// When it takes no more streams, on account of its age.
    too_old: Option<Instant>,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// The codec has a PING to send, or misses the answer to one.
    Keepalive,
    /// It has had no stream for too long.
    Idle,
    /// It is `max_connection_duration` old. Told once.
    TooOld,
}

impl Times {
    /// Of a connection that is connected now.
    pub(super) fn new(reactor: &Reactor, config: &model::HttpOptions) -> Self {
        Self {
            timer: DeadlineTimer::new(reactor.clone()),
            idle_timeout: config.idle_timeout,
            too_old: config.max_connection_duration.map(|longest| reactor.now() + longest),
        }
    }

    /// Ready once something is due.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        connection: &Http2Connection,
    ) -> Poll<Due> {
        let keepalive = connection.endpoint().with_codec(|codec| codec.deadline());
        let idle = connection.idle_since().zip(self.idle_timeout);
        let deadlines = [
            (keepalive, Due::Keepalive),
            (idle.map(|(since, timeout)| since + timeout), Due::Idle),
            (self.too_old, Due::TooOld),
        ];
        let next = deadlines.into_iter().filter_map(|(at, due)| at.map(|at| (at, due)));
        let Some((deadline, due)) = next.min_by_key(|(at, _)| *at) else { return Poll::Pending };
        if self.timer.poll(context, deadline).is_pending() {
            return Poll::Pending;
        }
        if due == Due::TooOld {
            self.too_old = None;
        }
        Poll::Ready(due)
    }
}
