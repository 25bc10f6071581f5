//! The stats of what the process runs as a whole.

use std::time::Duration;

use control::Listeners;
use observe::names::{
    CLUSTER_MANAGER_PREFIX, ClusterManagerDormantStat, ClusterManagerStat, LISTENER_MANAGER_PREFIX,
    ListenerManagerDormantStat, ListenerManagerStat, SERVER_PREFIX, ServerStat,
};
use observe::{Registry, Scope, Shard};

use crate::affinity;
use crate::listen::Bound;

/// `listener_manager.*`, `cluster_manager.*` and the time of the start, written on control's shard.
#[derive(Debug)]
pub(crate) struct Managers {
    server: Scope<ServerStat>,
    listeners: Scope<ListenerManagerStat>,
    clusters: Scope<ClusterManagerStat>,
    /// Listeners that are open: those for inbound traffic, and the others.
    open_inbound: u64,
    open_others: u64,
}

impl Managers {
    pub(crate) fn new(registry: &Registry, control: &Shard, bound: &Bound) -> Self {
        let count = |inbound| {
            let listeners = bound.listeners.iter().filter(|(one, _)| one.inbound == inbound);
            u64::try_from(listeners.count()).unwrap_or(u64::MAX)
        };
        registry.declare::<ListenerManagerDormantStat>(LISTENER_MANAGER_PREFIX);
        registry.declare::<ClusterManagerDormantStat>(CLUSTER_MANAGER_PREFIX);
        Self {
            open_inbound: count(true),
            open_others: count(false),
            server: registry.scope(SERVER_PREFIX).on(control),
            listeners: registry.scope(LISTENER_MANAGER_PREFIX).on(control),
            clusters: registry.scope(CLUSTER_MANAGER_PREFIX).on(control),
        }
    }

    pub(crate) fn set_up(&self, listeners: usize, clusters: usize, workers: usize) {
        let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        self.listeners.add(ListenerManagerStat::ListenerAdded, wide(listeners));
        let on_workers = wide(listeners).saturating_mul(wide(workers));
        self.listeners.add(ListenerManagerStat::ListenerCreateSuccess, on_workers);
        self.listeners.gauge_set(ListenerManagerStat::TotalListenersActive, wide(listeners));
        let pinned = affinity::cores(workers).map_or(0, |cores| cores.len().min(workers));
        self.listeners.gauge_set(ListenerManagerStat::WorkersPinned, wide(pinned));
        self.listeners.gauge_set(ListenerManagerStat::TotalListenersWarming, 0);
        self.clusters.gauge_set(ClusterManagerStat::WarmingClusters, 0);
        self.clusters.add(ClusterManagerStat::ClusterAdded, wide(clusters));
        self.clusters.gauge_set(ClusterManagerStat::ActiveClusters, wide(clusters));
    }

    pub(crate) fn workers_started(&self, after: Duration) {
        self.server.record_duration(ServerStat::InitializationTimeMs, after);
        self.listeners.gauge_set(ListenerManagerStat::WorkersStarted, 1);
    }

    /// As in Envoy, a listener that was closed on an admin page stays an active one.
    pub(crate) fn closed(&mut self, listeners: Listeners) -> u64 {
        let mut closed = std::mem::take(&mut self.open_inbound);
        if listeners == Listeners::All {
            closed += std::mem::take(&mut self.open_others);
        }
        self.listeners.add(ListenerManagerStat::ListenerStopped, closed);
        closed
    }

    pub(crate) fn draining(&mut self) {
        let closed = self.closed(Listeners::All);
        self.listeners.gauge_set(ListenerManagerStat::TotalListenersActive, 0);
        self.listeners.gauge_set(ListenerManagerStat::TotalListenersDraining, closed);
    }
}
