//! One downstream connection of HTTP/1: its requests one after the other, and its end.
//!
//! ```text
//! idle --bytes--> exchange --may go on--> idle
//!   |                 \--last one--> closing --all sent, client closed or too slow--> closed
//!   \--client closed, idle_timeout, max_connection_duration, drain--> closed
//! ```
//! An idle connection holds a stream and a timer and nothing else: what a request needs is taken
//! from the worker's shelves when its first byte comes.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use base::Address;
use net::Stream;
use observe::GaugeGuard;
use observe::names::HttpStat;
use reactor::{RECV_CREDIT_MAX, Received, Socket};

use super::exchange::{Next, Start};
use super::manager::HttpManager;
use super::timer::DeadlineTimer;

/// A connection from a client.
#[derive(Debug)]
pub(crate) struct HttpConnection {
    pub(super) manager: Rc<HttpManager>,
    pub(super) stream: Stream,
    pub(super) timer: RefCell<DeadlineTimer>,
    pub(super) id: u64,
    socket: Socket,
    /// Asked for once, when somebody wants to know.
    peer: OnceCell<Option<Address>>,
    local_address: OnceCell<Option<Address>>,
    started: Instant,
    idle_since: Cell<Instant>,
    requests: Cell<u32>,
    /// Who ended it: counted when it is dropped.
    ended_by: Cell<EndedBy>,
    in_request: Cell<bool>,
    counted_bytes: Cell<u64>,
    _active: GaugeGuard<HttpStat>,
    http1_active: RefCell<Option<GaugeGuard<HttpStat>>>,
}

/// Which side ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndedBy {
    Us,
    Client,
}

/// Why a connection is idle no longer.
enum Wake {
    Bytes,
    ClientClosed,
    IdleTimeout,
    MaxDuration,
    Drain,
}

impl HttpConnection {
    pub(super) fn new(manager: &Rc<HttpManager>, socket: Socket, buffer_limit: u32) -> Rc<Self> {
        let reactor = &manager.reactor;
        let stats = &manager.stats;
        let socket_handle = socket.clone();
        stats.inc(HttpStat::DownstreamCxTotal);
        Rc::new(Self {
            stream: Stream::new(reactor, socket, buffer_limit, manager.send_meter.clone()),
            timer: RefCell::new(DeadlineTimer::new(reactor.clone())),
            id: manager.connection_ids.next(),
            socket: socket_handle,
            peer: OnceCell::new(),
            local_address: OnceCell::new(),
            started: reactor.now(),
            idle_since: Cell::new(reactor.now()),
            requests: Cell::new(0),
            ended_by: Cell::new(EndedBy::Us),
            in_request: Cell::new(false),
            counted_bytes: Cell::new(0),
            _active: stats.guard(HttpStat::DownstreamCxActive),
            http1_active: RefCell::new(None),
            manager: Rc::clone(manager),
        })
    }

    /// Serves the connection's requests to its end.
    pub(super) async fn serve(self: Rc<Self>) {
        let stats = &self.manager.stats;
        loop {
            let wake = poll_fn(|context| self.poll_wake(context)).await;
            let (ended_by, stat) = match wake {
                Wake::Bytes => (None, None),
                Wake::ClientClosed => (Some(EndedBy::Client), None),
                Wake::IdleTimeout => (Some(EndedBy::Us), Some(HttpStat::DownstreamCxIdleTimeout)),
                Wake::MaxDuration => {
                    (Some(EndedBy::Us), Some(HttpStat::DownstreamCxMaxDurationReached))
                }
                Wake::Drain => (Some(EndedBy::Us), Some(HttpStat::DownstreamCxDrainClose)),
            };
            if let Some(stat) = stat {
                stats.inc(stat);
            }
            if let Some(ended_by) = ended_by {
                self.ended_by.set(ended_by);
                // The last response may still be on its way.
                if ended_by == EndedBy::Us && self.stream.outbox().bytes_buffered() > 0 {
                    self.ended_by.set(Box::pin(self.close_after_flush()).await);
                }
                return;
            }
            self.speaks_http1();
            let start = Start { connection: Rc::clone(&self) };
            self.in_request.set(true);
            let next = self.manager.exchanges.start(start).await;
            self.count_received();
            match next {
                Next::Request => self.in_request.set(false),
                Next::Close => {
                    self.in_request.set(false);
                    // Boxed, so that a connection that is not ending keeps no room for it.
                    self.ended_by.set(Box::pin(self.close_after_flush()).await);
                    return;
                }
                Next::Gone => {
                    self.ended_by.set(EndedBy::Client);
                    return;
                }
            }
            self.idle_since.set(self.manager.reactor.now());
        }
    }

    fn poll_wake(&self, context: &mut Context<'_>) -> Poll<Wake> {
        let receiver = self.stream.receiver();
        if receiver.poll_readable(context, RECV_CREDIT_MAX as usize).is_ready() {
            return Poll::Ready(if receiver.is_ended() { Wake::ClientClosed } else { Wake::Bytes });
        }
        if self.manager.is_draining() {
            return Poll::Ready(Wake::Drain);
        }
        let common = &self.manager.prepared.config.common;
        let idle = common.idle_timeout.map(|timeout| self.idle_since.get() + timeout);
        let oldest = common.max_connection_duration.map(|longest| self.started + longest);
        let Some(deadline) = [idle, oldest].into_iter().flatten().min() else {
            return Poll::Pending;
        };
        self.timer.borrow_mut().poll(context, deadline).map(|()| {
            if oldest.is_some_and(|oldest| oldest <= self.manager.reactor.now()) {
                Wake::MaxDuration
            } else {
                Wake::IdleTimeout
            }
        })
    }

    /// The first byte of a request decides which protocol it is; there is one so far.
    fn speaks_http1(&self) {
        let mut active = self.http1_active.borrow_mut();
        if active.is_none() {
            self.manager.stats.inc(HttpStat::DownstreamCxHttp1Total);
            *active = Some(self.manager.stats.guard(HttpStat::DownstreamCxHttp1Active));
        }
    }

    /// The client's address, as far as it can still be told.
    pub(super) fn peer(&self) -> Option<&Address> {
        self.peer.get_or_init(|| self.socket.peer_address().ok()).as_ref()
    }

    /// Our end's address.
    pub(super) fn local_address(&self) -> Option<&Address> {
        self.local_address.get_or_init(|| self.socket.local_address().ok()).as_ref()
    }

    /// Whether this request is the connection's last one, by configuration.
    pub(super) fn is_last_request(&self) -> bool {
        let config = &self.manager.prepared.config.common;
        let number = self.requests.get() + 1;
        self.requests.set(number);
        if config.max_requests_per_connection.is_some_and(|most| number >= most) {
            self.manager.stats.inc(HttpStat::DownstreamCxMaxRequestsReached);
            return true;
        }
        let now = self.manager.reactor.now();
        config.max_connection_duration.is_some_and(|longest| self.started + longest <= now)
    }

    /// Sends what is queued, then waits for the client to close, so that a reset does not
    /// overtake the last response (rows A9 to A11). What still comes is thrown away.
    async fn close_after_flush(&self) -> EndedBy {
        let Some(timeout) = self.manager.prepared.config.delayed_close_timeout else {
            let flushed = self.stream.outbox().drained().await;
            return if flushed.is_ok() { EndedBy::Us } else { EndedBy::Client };
        };
        let reactor = &self.manager.reactor;
        let mut progress = (self.stream.outbox().bytes_sent(), reactor.now());
        let mut flushed = pin!(self.flushed());
        let mut flushing = true;
        poll_fn(|context| {
            if flushing {
                match flushed.as_mut().poll(context) {
                    Poll::Ready(Ok(())) => {
                        flushing = false;
                        progress.1 = reactor.now();
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(EndedBy::Client),
                    Poll::Pending => {}
                }
            }
            while let Poll::Ready(received) =
                self.stream.receiver().poll_recv(context, RECV_CREDIT_MAX as usize)
            {
                match received {
                    Ok(Received::Data(_)) => {}
                    // Half closed: what is queued may still be wanted.
                    Ok(Received::End) if flushing => break,
                    Ok(Received::End) | Err(_) => return Poll::Ready(EndedBy::Client),
                }
            }
            loop {
                let sent = self.stream.outbox().bytes_sent();
                if sent > progress.0 {
                    progress = (sent, reactor.now());
                }
                let deadline = progress.1 + timeout;
                if self.timer.borrow_mut().poll(context, deadline).is_pending() {
                    return Poll::Pending;
                }
                if self.stream.outbox().bytes_sent() == progress.0 {
                    self.manager.stats.inc(HttpStat::DownstreamCxDelayedCloseTimeout);
                    return Poll::Ready(EndedBy::Us);
                }
            }
        })
        .await
    }

    async fn flushed(&self) -> std::io::Result<()> {
        self.stream.outbox().drained().await
    }

    fn count_received(&self) {
        let received = self.stream.receiver().bytes_received();
        let new = received - self.counted_bytes.replace(received);
        self.manager.stats.add(HttpStat::DownstreamCxRxBytesTotal, new);
    }
}

impl Drop for HttpConnection {
    fn drop(&mut self) {
        self.count_received();
        let stats = &self.manager.stats;
        stats.inc(HttpStat::DownstreamCxDestroy);
        let (by, active) = match self.ended_by.get() {
            EndedBy::Us => {
                (HttpStat::DownstreamCxDestroyLocal, HttpStat::DownstreamCxDestroyLocalActiveRq)
            }
            EndedBy::Client => {
                (HttpStat::DownstreamCxDestroyRemote, HttpStat::DownstreamCxDestroyRemoteActiveRq)
            }
        };
        stats.inc(by);
        if self.in_request.get() {
            stats.inc(HttpStat::DownstreamCxDestroyActiveRq);
            stats.inc(active);
        }
        let lasted = self.manager.reactor.now().duration_since(self.started);
        stats.record_duration(HttpStat::DownstreamCxLengthMs, lasted);
    }
}
