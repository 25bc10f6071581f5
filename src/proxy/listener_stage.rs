//! The listener filters of one connection, before it gets its filter chain.
//!
//! ```text
//! accepted --filters that need no data--> through
//!     \--waits for the beginning--> through
//!                 |  |  \--time is over, and it may go on--> through
//!                 |  \-----time is over--------------------> closed
//!                 \--refused, the client left--------------> closed
//! ```
//! It reads no further than a filter asks, as a rule; what it read and nobody took comes first when
//! the connection goes on.
//!
//! **Invariant:** nothing of it is left when the connection goes on but a [`Beginning`].

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use filter::{Inspection, ListenerFilter, Origin, ProxyProtocolFilter, Wish};
use observe::GaugeGuard;
use observe::Scope;
use observe::names::ListenerStat;
use reactor::{Reactor, Received, Receiver, Socket, Span};

use crate::admission::Admission;
use crate::beginning::{Accepted, Beginning};

/// A connection in the listener filters.
#[derive(Debug)]
pub(crate) struct ListenerStage {
    socket: Socket,
    admission: Admission,
    origin: Origin,
    accepted: Accepted,
    /// None as long as nothing had to be read.
    receiver: Option<Receiver>,
    /// What was received, without what a filter has taken.
    received: Vec<u8>,
    /// The filter whose turn it is.
    next: usize,
    _active: GaugeGuard<ListenerStat>,
}

/// A connection that goes on.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) socket: Socket,
    pub(crate) admission: Admission,
    pub(crate) beginning: Box<Beginning>,
}

/// What of a connection goes to another listener with it.
#[derive(Debug)]
pub(crate) struct HandedOff {
    pub(crate) socket: Socket,
    pub(crate) origin: Origin,
    pub(crate) receiver: Option<Receiver>,
}

/// A connection does not go on. It has been counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

/// How the connection may pass the filters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StageContext<'a> {
    pub(crate) reactor: &'a Reactor,
    pub(crate) filters: &'a [ListenerFilter],
    pub(crate) config: &'a config::model::ListenerFilters,
    pub(crate) stats: &'a Scope<ListenerStat>,
    /// For the log of the process.
    pub(crate) listener: &'a str,
}

/// The least that one receive asks for: a header and what follows it come in one piece as a rule.
const RECEIVE_MIN: usize = 512;

impl ListenerStage {
    /// Of a connection that was accepted just now, or handed off by another listener.
    pub(crate) fn new(
        connection: HandedOff,
        admission: Admission,
        reactor: &Reactor,
        stats: &Scope<ListenerStat>,
    ) -> Self {
        let HandedOff { socket, origin, receiver } = connection;
        Self {
            socket,
            admission,
            origin,
            accepted: Accepted { wall: reactor.wall_now(), at: reactor.now() },
            receiver,
            received: Vec::new(),
            next: 0,
            _active: stats.guard(ListenerStat::DownstreamPreCxActive),
        }
    }

    /// The connection on `socket`, of which nothing is known yet.
    pub(crate) fn accepted(socket: Socket) -> HandedOff {
        let ends = crate::gate::ends_of(&socket, None);
        HandedOff { socket, origin: Origin::new(ends.remote, ends.local), receiver: None }
    }

    /// What filters found out so far.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Asks the filters that need no data, up to one that does.
    pub(crate) fn next_reader<'a>(
        &mut self,
        filters: &'a [ListenerFilter],
    ) -> Option<&'a ProxyProtocolFilter> {
        while let Some(filter) = filters.get(self.next) {
            match filter.wish(&self.origin) {
                Wish::Nothing => {}
                Wish::OriginalDestination => {
                    if let Some(local) = self.socket.original_destination() {
                        self.origin.restore_local(local);
                    }
                }
                Wish::Beginning(reader) => return Some(reader),
            }
            self.next += 1;
        }
        None
    }

    /// Leads the connection past the rest of the filters, within their time.
    pub(crate) async fn pass(&mut self, context: StageContext<'_>) -> Result<(), Closed> {
        let Some(timeout) = context.config.timeout else { return self.read(context).await };
        let deadline = self.accepted.at + timeout;
        let is_in_time = {
            let mut reading = pin!(self.read(context));
            let mut expiry = pin!(context.reactor.sleep_until(deadline));
            poll_fn(|task| {
                if let Poll::Ready(result) = reading.as_mut().poll(task) {
                    return Poll::Ready(Some(result));
                }
                expiry.as_mut().poll(task).map(|()| None)
            })
            .await
        };
        if let Some(result) = is_in_time {
            return result;
        }
        context.stats.inc(ListenerStat::DownstreamPreCxTimeout);
        self.tell(context, "the listener filters took too long");
        if context.config.continue_on_timeout { Ok(()) } else { Err(self.close()) }
    }

    async fn read(&mut self, context: StageContext<'_>) -> Result<(), Closed> {
        while let Some(reader) = self.next_reader(context.filters) {
            match reader.inspect(&self.received, &mut self.origin) {
                Inspection::NeedMore(credit) => self.receive(credit, context).await?,
                Inspection::Passed(taken) => {
                    self.received.drain(..taken);
                    if let Some(receiver) = &self.receiver {
                        receiver.discount(taken);
                    }
                    self.next += 1;
                }
                Inspection::Refused(refusal) => {
                    self.tell(context, &refusal.to_string());
                    return Err(self.close());
                }
            }
        }
        Ok(())
    }

    async fn receive(&mut self, credit: usize, context: StageContext<'_>) -> Result<(), Closed> {
        let receiver = self.receiver.get_or_insert_with(|| context.reactor.receiver(&self.socket));
        match receiver.recv(credit.max(RECEIVE_MIN)).await {
            Ok(Received::Data(span)) => {
                self.received.extend_from_slice(&span);
                Ok(())
            }
            Ok(Received::End) => {
                context.stats.inc(ListenerStat::DownstreamListenerFilterRemoteClose);
                self.tell(context, "the client left before it had sent all of a header");
                Err(self.close())
            }
            Err(error) => {
                context.stats.inc(ListenerStat::DownstreamListenerFilterError);
                self.tell(context, &error.to_string());
                Err(Closed)
            }
        }
    }

    /// As Envoy closes: what it looked at and did not take makes the close a reset.
    fn close(&self) -> Closed {
        if !self.received.is_empty() {
            // A peer that is gone already needs no reset.
            let _ = self.socket.reset_on_close();
        }
        Closed
    }

    fn tell(&self, context: StageContext<'_>, reason: &str) {
        tracing::debug!(
            target: "conn_handler",
            listener = context.listener,
            peer = %self.origin.ends().direct_remote,
            phase = "listener filters",
            "{reason}"
        );
    }

    /// What was found out, once the filters have been passed.
    pub(crate) fn into_passed(self) -> Passed {
        let Self { socket, admission, origin, accepted, receiver, received, .. } = self;
        give_back(receiver.as_ref(), received);
        Passed { socket, admission, beginning: Beginning::new(origin, accepted, receiver) }
    }

    /// The connection for another listener, which builds upon its addresses and on nothing else.
    pub(crate) fn into_handed_off(self) -> (HandedOff, Admission) {
        let Self { socket, admission, origin, receiver, received, .. } = self;
        give_back(receiver.as_ref(), received);
        (HandedOff { socket, origin: origin.addresses_only(), receiver }, admission)
    }
}

fn give_back(receiver: Option<&Receiver>, received: Vec<u8>) {
    if let Some(receiver) = receiver {
        receiver.unread(Span::from(received));
    }
}
