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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::thread;

    use config::model::OutlierDetection;
    use config::{RuntimeEntry, RuntimeValues};
    use observe::Registry;

    use super::*;
    use crate::test_config;

    /// A cluster whose hosts may be left out, with a balancer for each of two workers.
    struct Stage {
        config: Cluster,
        panic: PanicThreshold,
        watched: Arc<Watched>,
        balancers: [Balancer; 2],
    }

    impl Stage {
        fn new(weights: &[u32], rules: Panic) -> Self {
            let addresses: Vec<SocketAddr> =
                weights.iter().map(|_| ([127, 0, 0, 1], 1).into()).collect();
            let mut config = Cluster { panic: rules, ..test_config::cluster(&addresses) };
            for (endpoint, weight) in config.endpoints.iter_mut().zip(weights) {
                endpoint.weight = *weight;
            }
            let settings = OutlierDetection::default();
            let watched = Watched::new(&settings, weights.len(), &Registry::new(1));
            let (watched, panic) = (Arc::new(watched), PanicThreshold::new(rules));
            let balancer = |_| Balancer::new(&config, &panic, Some(Arc::clone(&watched)), 0);
            Self { balancers: [0, 1].map(balancer), config, panic, watched }
        }

        /// Who is picked on the first worker; a pick in panic is negative, no host is 99.
        fn picks(&mut self, count: usize) -> Vec<i32> {
            let Self { config, panic, balancers: [balancer, _], .. } = self;
            let pick = |_| {
                let Pick { host, is_panic } = balancer.pick(config, panic);
                let host = host.map_or(99, |host| i32::try_from(host).unwrap());
                if is_panic { -host } else { host }
            };
            (0..count).map(pick).collect()
        }
    }

    #[test]
    fn an_ejected_host_is_left_out_until_it_is_back() {
        let mut stage = Stage::new(&[1; 4], Panic::default());
        assert_eq!(stage.picks(5), [0, 1, 2, 3, 0]);
        stage.watched.set_ejected(1, true);
        // The turn goes on: five were picked, and three are left.
        assert_eq!(stage.picks(4), [3, 0, 2, 3]);
        stage.watched.set_ejected(1, false);
        assert_eq!(stage.picks(4), [1, 2, 3, 0]);
    }

    #[test]
    fn every_worker_sees_an_ejection() {
        let Stage { config, panic, watched, balancers } = Stage::new(&[1; 3], Panic::default());
        watched.set_ejected(0, true);
        thread::scope(|threads| {
            for mut balancer in balancers {
                let (config, panic) = (&config, &panic);
                threads.spawn(move || {
                    let picks = (0..4).map(|_| balancer.pick(config, panic).host.unwrap());
                    assert_eq!(picks.collect::<Vec<_>>(), [1, 2, 1, 2]);
                });
            }
        });
    }

    #[test]
    fn fewer_healthy_hosts_than_the_threshold_are_as_good_as_none() {
        let mut stage = Stage::new(&[1; 4], Panic::default());
        stage.watched.set_ejected(1, true);
        stage.watched.set_ejected(2, true);
        assert_eq!(stage.picks(3), [0, 3, 0], "half of them are not fewer than half");
        stage.watched.set_ejected(3, true);
        assert_eq!(stage.picks(4), [0, -1, -2, -3]);
        let never = Panic { threshold: 0, ..Panic::default() };
        let mut stage = Stage::new(&[1; 2], never);
        stage.watched.set_ejected(0, true);
        stage.watched.set_ejected(1, true);
        assert_eq!(stage.picks(2), [99, 99]);
        let mut stage = Stage::new(&[], Panic::default());
        assert_eq!(stage.picks(1), [-99]);
        let mut stage = Stage::new(&[], never);
        assert_eq!(stage.picks(1), [99]);
    }

    #[test]
    fn there_is_no_panic_while_the_healthy_hosts_can_bear_all_traffic() {
        let high = Panic { threshold: 90, ..Panic::default() };
        let panics = |weights: &[u32], rules, ejected: usize| {
            let mut stage = Stage::new(weights, rules);
            stage.watched.set_ejected(ejected, true);
            stage.picks(2)[1] < 0
        };
        // 3 of 4, times 1.4, are more than all.
        assert!(!panics(&[1; 4], high, 0));
        assert!(panics(&[1; 3], high, 0));
        assert!(panics(&[1; 4], Panic { overprovisioning_factor: 133, ..high }, 0));
        // What is left bears 5 of 8, or of 6; in hosts it is 3 of 4.
        let weighted = Panic { weighted_health: true, ..high };
        assert!(panics(&[3, 3, 1, 1], weighted, 0));
        assert!(!panics(&[1, 3, 1, 1], weighted, 0));
    }

    #[test]
    fn the_runtime_sets_the_threshold_for_what_comes() {
        let mut stage = Stage::new(&[1; 3], Panic::default());
        stage.watched.set_ejected(0, true);
        assert!(stage.picks(2)[1] > 0);
        let entry = (Panic::RUNTIME_KEY.to_owned(), RuntimeEntry::parse("90"));
        let values = RuntimeValues { name: "l".to_owned(), values: [entry].into() };
        stage.panic.follow_runtime(&RuntimeSnapshot::new(vec![values]));
        assert!(stage.picks(2)[1] > 0, "nothing has changed since");
        stage.watched.set_ejected(0, true);
        assert!(stage.picks(2)[1] < 0);
    }
}
