//! Which host is next, on one worker: one of the healthy ones, or of all if too few are healthy.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/panic_threshold>

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use config::RuntimeSnapshot;
use config::model::{Cluster, Endpoint, Panic};

use crate::outlier::Watched;
use crate::round_robin::RoundRobin;

/// When too few hosts are healthy, for the whole process.
#[derive(Debug)]
pub(crate) struct PanicThreshold {
    rules: Panic,
    /// In percent.
    threshold: AtomicU64,
}

impl PanicThreshold {
    pub(crate) fn new(rules: Panic) -> Self {
        Self { threshold: AtomicU64::new(rules.threshold.into()), rules }
    }

    /// Takes over what the runtime says; as in Envoy it counts from the next change of a host's
    /// health on.
    pub(crate) fn follow_runtime(&self, runtime: &RuntimeSnapshot) {
        let threshold = runtime.integer(Panic::RUNTIME_KEY, self.rules.threshold.into());
        // Relaxed: it guards no other memory.
        self.threshold.store(threshold.min(100), Ordering::Relaxed);
    }

    /// Whether all `hosts` are to be used, of which the ones at these places are healthy.
    fn is_panic(&self, hosts: &[Endpoint], healthy: &[usize]) -> bool {
        let threshold = self.threshold.load(Ordering::Relaxed);
        let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let weight = |host: &Endpoint| match self.rules.weighted_health {
            true => u64::from(host.weight),
            false => 1,
        };
        let total: u64 = hosts.iter().map(weight).sum();
        let able: u64 = healthy.iter().filter_map(|&index| hosts.get(index)).map(weight).sum();
        let factor = u64::from(self.rules.overprovisioning_factor);
        let can_bear_all = able.saturating_mul(factor).checked_div(total).is_some_and(|n| n >= 100);
        // Without a host there is nothing that is healthy.
        let fewer = 100 * wide(healthy.len()) < threshold.saturating_mul(wide(hosts.len().max(1)));
        !can_bear_all && fewer
    }
}

/// The balancer of one worker.
#[derive(Debug)]
pub(crate) struct Balancer {
    all: RoundRobin,
    healthy: RoundRobin,
    /// The places of the healthy hosts in the configuration; empty if nobody watches them.
    healthy_hosts: Vec<usize>,
    is_panic: bool,
    /// What `healthy_hosts` is as new as.
    changes: u64,
    watched: Option<Arc<Watched>>,
}

/// Who was picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pick {
    /// The host's place in the configuration, if there is one.
    pub(crate) host: Option<usize>,
    /// Healthy or not: too few are.
    pub(crate) is_panic: bool,
}

impl Balancer {
    /// The balancer of the cluster `config`; `seed` chooses where its rotations begin.
    pub(crate) fn new(
        config: &Cluster,
        panic: &PanicThreshold,
        watched: Option<Arc<Watched>>,
        seed: u64,
    ) -> Self {
        let weights = || config.endpoints.iter().map(|endpoint| endpoint.weight);
        let mut new = Self {
            all: RoundRobin::new(weights(), seed),
            healthy: RoundRobin::new([], seed),
            healthy_hosts: Vec::new(),
            is_panic: false,
            changes: 0,
            watched,
        };
        new.restart(config, panic);
        new
    }

    /// The next host in turn.
    pub(crate) fn pick(&mut self, config: &Cluster, panic: &PanicThreshold) -> Pick {
        let Some(watched) = &self.watched else {
            return Pick { host: self.all.pick(), is_panic: self.is_panic };
        };
        if watched.changes() != self.changes {
            self.restart(config, panic);
        }
        let host = match self.is_panic {
            true => self.all.pick(),
            false => self.healthy.pick().and_then(|at| self.healthy_hosts.get(at).copied()),
        };
        Pick { host, is_panic: self.is_panic }
    }

    /// Looks at the health of all hosts.
    fn restart(&mut self, config: &Cluster, panic: &PanicThreshold) {
        let hosts = &config.endpoints;
        let Some(watched) = &self.watched else {
            // Nobody says otherwise, so every host is healthy.
            self.is_panic = hosts.is_empty() && panic.is_panic(hosts, &[]);
            return;
        };
        self.changes = watched.changes();
        self.healthy_hosts.clear();
        self.healthy_hosts.extend((0..hosts.len()).filter(|&host| !watched.is_ejected(host)));
        self.is_panic = panic.is_panic(hosts, &self.healthy_hosts);
        let weight = |&host: &usize| Some(hosts.get(host)?.weight);
        self.healthy.restart(self.healthy_hosts.iter().filter_map(weight));
        self.all.restart(hosts.iter().map(|host| host.weight));
    }
}
