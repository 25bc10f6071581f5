//! One worker: a reactor, its view of the clusters, its listeners, and the connections they accept.
//!
//! ```text
//! Built --Serve--> Serving --Drain--> Draining --empty, grace over--> ended
//!   \------Stop-------+--------Stop------+-----------------------------> ended
//! ```
//! Only one future runs outside a task: the one that waits for commands. A panic in it, or in an
//! accept loop, is a failure of the worker; a panic in a connection's task ends that connection.
//!
//! **Invariant:** every connection is a task of the worker's one set, so the worker ends when the
//! set is empty, and ending the set ends every connection.

use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;
use std::time::{Duration, Instant};

use base::ConnectionIds;
use cluster::{Cluster, Clusters};
use control::Listeners;
use core_affinity::CoreId;
use observe::names::{
    SPLICE_PREFIX, SpliceStat, ThreadClusterManagerStat, WORKER_PREFIX, WorkerStat,
    worker_cluster_manager_prefix,
};
use observe::{Registry, Scope, ShardIndex};
use proxy::access_log::WorkerLogs;
use proxy::{Drain, Listener, Random, Reception, WorkerContext, take_handovers};
use reactor::{Acceptor, Features, Inbox, InboxParts, Reactor, Settings, TaskSet};

use crate::access_log::AccessLogPart;
use crate::ejections::{self, Ejections};
use crate::handovers::Handovers;
use crate::listen::WorkerListener;
use crate::{affinity, loop_stats};

/// What control tells a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// Begin to accept.
    Serve,
    /// Accept what is queued on these listeners and close them; the worker goes on.
    Close(Listeners),
    /// Accept what is queued, close the listeners, and end when the last connection has ended, or
    /// after this time.
    Drain(Duration),
    /// End now.
    Stop,
}

/// What a worker is made from, on its way to its thread.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The worker's number, from 0: its shard of the stats.
    pub(crate) index: usize,
    /// The core it has to itself, if it has one.
    pub(crate) core: Option<CoreId>,
    pub(crate) features: Features,
    pub(crate) listeners: Vec<WorkerListener>,
    pub(crate) clusters: Vec<Arc<cluster::Shared>>,
    pub(crate) registry: Registry,
    /// An address of this host by which others know it.
    pub(crate) local_address: IpAddr,
    /// Where seeds come from.
    pub(crate) random: RandomState,
    pub(crate) access_logs: AccessLogPart,
    /// Set while the process is to look unhealthy.
    pub(crate) health_failed: Arc<AtomicBool>,
    /// If connections are handed over between workers.
    pub(crate) handovers: Option<Handovers>,
    /// If hosts may be ejected.
    pub(crate) ejections: Option<Ejections>,
    pub(crate) commands: InboxParts<Command>,
}

/// Runs a worker on the calling thread until it ends. `ready` is called once everything that may
/// fail at start has been made, before anything is accepted.
///
/// # Errors
/// Why the worker could not start or go on, in words.
pub(crate) fn run(plan: Plan, ready: impl FnOnce()) -> Result<(), String> {
    if let Some(core) = plan.core {
        affinity::pin(core);
    }
    let reactor = Reactor::new(Settings::new(plan.features)).map_err(|error| error.to_string())?;
    let (worker, commands) = Worker::build(&reactor, plan)?;
    ready();
    reactor.run(worker.work(commands))
}

struct Worker {
    reactor: Reactor,
    index: usize,
    listening: Vec<Listening>,
    serving: bool,
    connections: Rc<TaskSet>,
    access_logs: Rc<WorkerLogs>,
    /// Attends to the access logs, to what other workers hand over, and to ejections of hosts,
    /// while there is any of these.
    attendant: TaskSet,
    drain: Drain,
    stats: Scope<WorkerStat>,
    splices: Scope<SpliceStat>,
}

/// A listener and the sockets it accepts from, one for each address.
struct Listening {
    inbound: bool,
    reception: Rc<Reception>,
    acceptors: Vec<Rc<Acceptor>>,
    /// One task for each socket while the worker serves.
    accept_loops: TaskSet,
}

/// Why the worker woke up.
enum Event {
    Command(Command),
    /// The last connection has ended.
    Empty,
    /// The connections' time is over.
    Deadline,
}

/// How often the numbers of the loop are published, and the accept loops looked after.
const TICK: Duration = Duration::from_secs(1);

impl Worker {
    fn build(reactor: &Reactor, plan: Plan) -> Result<(Self, Inbox<Command>), String> {
        let shard = plan.registry.shard(ShardIndex::Worker(plan.index));
        let shard = shard.ok_or_else(|| format!("there is no stats shard {}", plan.index))?;
        let seeded = |shared: Arc<cluster::Shared>| {
            let seed = plan.random.hash_one((plan.index, &shared.config().name));
            Cluster::new(shared, reactor.clone(), &shard, seed)
        };
        let inflated = u64::try_from(plan.clusters.len()).unwrap_or(u64::MAX);
        let clusters: Clusters = plan.clusters.into_iter().map(seeded).collect();
        let thread = plan.registry.scope(&worker_cluster_manager_prefix(plan.index)).on(&shard);
        thread.gauge_set(ThreadClusterManagerStat::ClustersInflated, inflated);
        let stats = plan.registry.scope::<WorkerStat>(WORKER_PREFIX).on(&shard);
        let AccessLogPart { plan: log_plan, outlets, settings, returns } = plan.access_logs;
        let random = Rc::new(Random::new(plan.random.hash_one(plan.index)));
        let access_logs = Rc::new(WorkerLogs::new(
            log_plan,
            outlets,
            settings,
            plan.index,
            (&plan.registry, &shard),
            &random,
        ));
        let attendant = reactor.task_set();
        if !access_logs.is_empty() {
            let returns = reactor.open_inbox(returns);
            attendant.spawn(Rc::clone(&access_logs).attend(reactor.clone(), returns));
        }
        if let Some(ejections) = plan.ejections {
            let told = reactor.open_inbox(ejections);
            attendant.spawn(ejections::drain(clusters.watched(), told));
        }
        let connection_ids = Rc::new(ConnectionIds::new(plan.index, plan.registry.workers()));
        let drain = Drain::new(plan.health_failed);
        let context = WorkerContext {
            reactor,
            clusters: &clusters,
            registry: &plan.registry,
            shard: &shard,
            worker_stats: &stats,
            access_logs: &access_logs,
            connection_ids: &connection_ids,
            drain: &drain,
            local_address: plan.local_address,
            random: &random,
        };
        let (handovers, peers) = plan.handovers.map(|part| (part.inbox, part.peers)).unzip();
        let mut addresses = Vec::new();
        let listen = |(index, one): (usize, WorkerListener)| {
            let listener = Listener::new(&one.config, &one.shared, &one.addresses, context);
            let peers = peers.clone();
            let reception = Reception::new(listener, index, one.shared, peers, reactor, &stats);
            addresses.push((Rc::clone(&reception), one.addresses));
            Listening {
                inbound: one.config.inbound,
                reception,
                acceptors: one
                    .sockets
                    .into_iter()
                    .map(|fd| Rc::new(reactor.acceptor(fd)))
                    .collect(),
                accept_loops: reactor.task_set(),
            }
        };
        let listening: Vec<_> = plan.listeners.into_iter().enumerate().map(listen).collect();
        Reception::introduce(&addresses);
        let connections = Rc::new(reactor.task_set());
        if let Some(handovers) = handovers {
            let receptions = listening.iter().map(|one| Rc::clone(&one.reception)).collect();
            let inbox = reactor.open_inbox(handovers);
            attendant.spawn(take_handovers(receptions, inbox, Rc::clone(&connections)));
        }
        let worker = Self {
            index: plan.index,
            listening,
            serving: false,
            connections,
            access_logs,
            attendant,
            drain,
            splices: plan.registry.scope(SPLICE_PREFIX).on(&shard),
            stats,
            reactor: reactor.clone(),
        };
        Ok((worker, reactor.open_inbox(plan.commands)))
    }

    async fn work(mut self, mut commands: Inbox<Command>) -> Result<(), String> {
        let mut deadline = None;
        loop {
            match self.next_event(&mut commands, deadline).await? {
                Event::Command(Command::Serve) => self.serve(),
                Event::Command(Command::Close(listeners)) => self.close(listeners).await,
                Event::Command(Command::Drain(grace)) => {
                    self.drain.begin();
                    self.close(Listeners::All).await;
                    // An idle connection has nothing else to be woken by.
                    self.connections.wake_all();
                    deadline = Some(self.reactor.now() + grace);
                }
                Event::Command(Command::Stop) | Event::Empty | Event::Deadline => break,
            }
        }
        self.end();
        Ok(())
    }

    /// Waits for a command and, while draining, for the last connection's end or the deadline.
    async fn next_event(
        &self,
        commands: &mut Inbox<Command>,
        deadline: Option<Instant>,
    ) -> Result<Event, String> {
        let mut command = pin!(commands.recv());
        let mut empty = pin!(self.connections.wait_empty());
        loop {
            let tick = self.reactor.now() + TICK;
            let wake_at = deadline.map_or(tick, |deadline| tick.min(deadline));
            let mut time = pin!(self.reactor.sleep_until(wake_at));
            let event = poll_fn(|context| {
                if let Poll::Ready(command) = command.as_mut().poll(context) {
                    return Poll::Ready(Some(command.map(Event::Command)));
                }
                if deadline.is_some() && empty.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Some(Ok(Event::Empty)));
                }
                time.as_mut().poll(context).map(|()| None)
            })
            .await;
            self.look_after()?;
            match event {
                Some(event) => {
                    return event.map_err(|error| format!("cannot wait for commands: {error}"));
                }
                None if deadline.is_some_and(|deadline| self.reactor.now() >= deadline) => {
                    return Ok(Event::Deadline);
                }
                None => {}
            }
        }
    }

    fn serve(&mut self) {
        for Listening { reception, acceptors, accept_loops, .. } in &self.listening {
            for (address, acceptor) in acceptors.iter().enumerate() {
                let (reception, acceptor) = (Rc::clone(reception), Rc::clone(acceptor));
                let connections = Rc::clone(&self.connections);
                accept_loops.spawn(async move {
                    reception.accept_loop(&acceptor, address, &connections).await;
                });
            }
        }
        self.serving = true;
    }

    /// Accepts what the kernel has queued, which closing would reset, and closes.
    async fn close(&mut self, listeners: Listeners) {
        let closes = |one: &mut Listening| one.inbound || listeners == Listeners::All;
        let closing: Vec<Listening> = self.listening.extract_if(.., closes).collect();
        for Listening { reception, acceptors, accept_loops, .. } in closing {
            accept_loops.abort_all();
            for acceptor in acceptors {
                // What the ring accepts until then is taken below; what comes after stays queued.
                acceptor.stop().await;
                reception.accept_queued(&acceptor, &self.connections);
            }
        }
    }

    /// Publishes the loop's numbers. An accept loop never ends by itself, so one that is missing
    /// has panicked: a worker that goes on without it would be a listener that nobody serves.
    fn look_after(&self) -> Result<(), String> {
        loop_stats::publish(&self.stats, &self.splices, &self.reactor.stats());
        if self.serving
            && self.listening.iter().any(|one| one.accept_loops.len() < one.acceptors.len())
        {
            return Err("an accept loop ended by a panic".to_owned());
        }
        Ok(())
    }

    fn end(self) {
        let cut = self.connections.len();
        if cut > 0 {
            tracing::info!(worker = self.index, connections = cut, "cut what had not ended");
        }
        self.connections.abort_all();
        // Connections that were cut have just written their lines.
        self.attendant.abort_all();
        self.access_logs.finish();
        loop_stats::publish(&self.stats, &self.splices, &self.reactor.stats());
    }
}
