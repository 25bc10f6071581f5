//! A listener's door on one worker: accepting, limits, and which worker a connection goes to.
//!
//! ```text
//! accepted --over a limit--> closed
//!      \--admitted--> balanced --this worker--> started
//!                         \--another one--> handed over --> started there
//! ```
//! It knows nothing of what a listener does with a connection.

use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use base::Address;
use observe::Scope;
use observe::names::{ListenerStat, WorkerStat};
use reactor::{Acceptor, Reactor, TaskSet, yield_now};

use crate::admission::{Admission, ListenerShared};
use crate::handover::{Handover, Peers};
use crate::listener::{HandOff, Listener};
use crate::listener_stage::ListenerStage;

/// How long a listener waits after it could not accept.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Where the connections of one listener come in on one worker.
#[derive(Debug)]
pub struct Reception {
    reactor: Reactor,
    listener: Rc<Listener>,
    /// The listener's place on each worker.
    index: usize,
    shared: Arc<ListenerShared>,
    /// None if no listener balances exactly.
    peers: Option<Peers>,
    worker_stats: Scope<WorkerStat>,
}

impl Reception {
    /// For the listener at the place `index` of every worker.
    #[must_use]
    pub fn new(
        listener: Rc<Listener>,
        index: usize,
        shared: Arc<ListenerShared>,
        peers: Option<Peers>,
        reactor: &Reactor,
        worker_stats: &Scope<WorkerStat>,
    ) -> Rc<Self> {
        let (reactor, worker_stats) = (reactor.clone(), worker_stats.clone());
        Rc::new(Self { reactor, listener, index, shared, peers, worker_stats })
    }

    /// Accepts until the future is dropped, on the listener's address of the number `address`. Each
    /// connection becomes a task of `connections`, or of another worker's.
    pub async fn accept_loop(
        self: Rc<Self>,
        acceptor: &Acceptor,
        address: usize,
        connections: &Rc<TaskSet>,
    ) {
        let event_max = self.listener.config().sockets.accepts_per_event_max.unwrap_or(u32::MAX);
        let mut is_failing = false;
        let mut of_event = 0;
        loop {
            if of_event >= event_max {
                // As many as may come in at once are in: what they do comes first.
                self.end_event(&mut of_event);
                yield_now().await;
            }
            let accepted = match acceptor.take() {
                Some(accepted) => accepted,
                None => {
                    self.end_event(&mut of_event);
                    acceptor.accept_fd().await
                }
            };
            match accepted {
                Ok(fd) => {
                    of_event += 1;
                    if std::mem::take(&mut is_failing) {
                        tracing::info!(listener = self.name(), "accepts connections again");
                    }
                    self.receive(fd, address, connections);
                }
                // Descriptors or memory have run out, which time may mend. The connection stays
                // queued, so trying again at once would spin.
                Err(error) => {
                    self.worker_stats.inc(WorkerStat::AcceptErrors);
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(
                            listener = self.name(),
                            %error,
                            "cannot accept connections; they wait, and are tried every {} ms; see \
                             'ulimit -n'",
                            ACCEPT_BACKOFF.as_millis()
                        );
                    }
                    self.reactor.sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    fn end_event(&self, of_event: &mut u32) {
        let count = u64::from(std::mem::take(of_event));
        if count > 0 {
            let stat = ListenerStat::ConnectionsAcceptedPerSocketEvent;
            self.listener.stats().record(stat, count);
        }
    }

    /// Takes the connections that the kernel has queued: for the moment before the listener
    /// closes, which would reset them. They stay on this worker: others may be gone.
    pub fn accept_queued(&self, acceptor: &Acceptor, connections: &Rc<TaskSet>) {
        loop {
            match acceptor.accept_queued_fd() {
                Ok(Some(fd)) => {
                    if let Some(admission) = self.admit() {
                        self.start(fd, admission, connections);
                    }
                }
                Ok(None) => return,
                Err(_) => return self.worker_stats.inc(WorkerStat::AcceptErrors),
            }
        }
    }

    /// Takes a connection that another worker accepted.
    fn take_over(&self, Handover { fd, admission, .. }: Handover, connections: &Rc<TaskSet>) {
        self.start(fd, admission, connections);
    }

    fn receive(&self, fd: OwnedFd, address: usize, connections: &Rc<TaskSet>) {
        // Without one the connection is closed here, by dropping its descriptor.
        let Some(admission) = self.admit() else { return };
        let placed = match (&self.peers, self.shared.balances.get(address)) {
            (Some(peers), Some(balance)) => peers.place(balance, self.index, fd, admission),
            _ => Some((fd, admission)),
        };
        if let Some((fd, admission)) = placed {
            self.start(fd, admission, connections);
        }
    }

    fn admit(&self) -> Option<Admission> {
        self.worker_stats.inc(WorkerStat::Accepted);
        self.shared.admit(self.listener.stats()).ok()
    }

    /// Lets connections whose local address a listener filter restored go to the listener of
    /// `receptions` that has this address, where the configuration wants that. `addresses` are
    /// those that each listener really listens on. To be called once.
    pub fn introduce(receptions: &[(Rc<Self>, Vec<Address>)]) {
        let others: Rc<[Other]> = receptions
            .iter()
            .map(|(reception, addresses)| Other {
                addresses: addresses.clone(),
                reception: Rc::downgrade(reception),
            })
            .collect();
        for (reception, _) in receptions {
            if reception.listener.config().listener_filters.hand_off {
                reception.listener.set_others(Box::new(Rc::clone(&others)));
            }
        }
    }

    /// Takes a connection from another listener.
    fn take_handed_off(&self, stage: ListenerStage, place: usize, connections: &Rc<TaskSet>) {
        let (connection, admission) = stage.into_handed_off();
        let balance = self.peers.as_ref().zip(self.shared.balances.get(place));
        let seat = balance.and_then(|(peers, balance)| balance.seat_at(peers.me));
        let admission = admission.handed_off(&self.shared, seat);
        self.listener.start_handed_off(connection, admission, connections);
    }

    fn start(&self, fd: OwnedFd, admission: Admission, connections: &Rc<TaskSet>) {
        self.listener.start(self.reactor.socket(fd), admission, connections);
    }

    fn name(&self) -> &str {
        &self.listener.config().name
    }
}

/// A listener that connections can be handed off to.
#[derive(Debug)]
struct Other {
    addresses: Vec<Address>,
    /// Gone once the listener was closed.
    reception: Weak<Reception>,
}

impl HandOff for Rc<[Other]> {
    fn hand_off(
        &self,
        stage: ListenerStage,
        from: &Listener,
        connections: &Rc<TaskSet>,
    ) -> Option<ListenerStage> {
        let local = &stage.origin().ends().local;
        // As in Envoy: the listener with this very address, or one that has its port everywhere.
        let exact = |address: &Address| address == local;
        let found = find(self, exact).or_else(|| {
            let local = local.ip()?;
            let everywhere = |address: &Address| {
                address.ip().is_some_and(|address| {
                    address.ip().is_unspecified()
                        && address.is_ipv4() == local.is_ipv4()
                        && address.port() == local.port()
                })
            };
            find(self, everywhere)
        });
        let Some((reception, place)) = found else { return Some(stage) };
        if std::ptr::eq(&*reception.listener, from) {
            return Some(stage);
        }
        reception.take_handed_off(stage, place, connections);
        None
    }
}

/// The first open listener with such an address, and which of its addresses it is.
fn find(others: &[Other], is_it: impl Fn(&Address) -> bool) -> Option<(Rc<Reception>, usize)> {
    others.iter().find_map(|other| {
        let place = other.addresses.iter().position(&is_it)?;
        Some((other.reception.upgrade()?, place))
    })
}

/// Takes what other workers hand over, until the future is dropped.
///
/// # Errors
/// The ring could not wait for it.
pub async fn take_handovers(
    receptions: Vec<Rc<Reception>>,
    mut handovers: reactor::Inbox<Handover>,
    connections: Rc<TaskSet>,
) {
    loop {
        let Ok(handover) = handovers.recv().await else { return };
        if let Some(reception) = receptions.get(handover.listener) {
            reception.take_over(handover, &connections);
        }
    }
}
