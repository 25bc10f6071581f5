//! Which cluster a connection of `tcp_proxy` goes to, and how long it waits before it tries again.

use std::rc::Rc;
use std::time::Duration;

use cluster::{Cluster, Clusters};
use config::model::{Backoff, TcpRoute};

use crate::random::Random;

/// A `tcp_proxy`'s clusters on one worker. One that is `None` does not exist (row C6).
#[derive(Debug)]
pub(crate) enum Route {
    One(Option<Rc<Cluster>>),
    /// The sum of all weights, and each cluster with its weight, in the order of the file.
    Weighted {
        total: u64,
        clusters: Vec<(u64, Option<Rc<Cluster>>)>,
    },
}

impl Route {
    pub(crate) fn new(config: &TcpRoute, clusters: &Clusters) -> Self {
        match config {
            TcpRoute::Cluster(name) => Self::One(clusters.get(name)),
            TcpRoute::Weighted(weighted) => {
                let cluster = |weighted: &config::model::ClusterWeight| {
                    (u64::from(weighted.weight), clusters.get(&weighted.name))
                };
                Self::Weighted {
                    total: weighted.iter().map(|weighted| u64::from(weighted.weight)).sum(),
                    clusters: weighted.iter().map(cluster).collect(),
                }
            }
        }
    }

    /// The cluster for one attempt; drawn, if there are several (row C4).
    pub(crate) fn pick(&self, random: &Random) -> Option<&Rc<Cluster>> {
        match self {
            Self::One(cluster) => cluster.as_ref(),
            Self::Weighted { total: 0, .. } => None,
            Self::Weighted { total, clusters } => {
                let mut place = random.below(*total);
                for (weight, cluster) in clusters {
                    if place < *weight {
                        return cluster.as_ref();
                    }
                    place -= weight;
                }
                None
            }
        }
    }
}

/// The waits of one connection.
#[derive(Debug)]
pub(crate) struct Waits {
    config: Backoff,
    /// The longest that the next one may be.
    next: Duration,
}

impl Waits {
    pub(crate) fn new(config: Backoff) -> Self {
        Self { config, next: config.base_interval }
    }

    pub(crate) fn next(&mut self, random: &Random) -> Duration {
        let longest = self.next;
        self.next = self.next.saturating_mul(2).min(self.config.max_interval);
        random_below(longest, random)
    }
}

/// A whole number of milliseconds below `limit`; zero if there is none.
pub(crate) fn random_below(limit: Duration, random: &Random) -> Duration {
    let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random.below(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_random_and_the_longest_doubles_up_to_the_limit() {
        let random = Random::new(1);
        let milliseconds = Duration::from_millis;
        let config = Backoff { base_interval: milliseconds(100), max_interval: milliseconds(500) };
        let mut longest = [Duration::ZERO; 5];
        for _ in 0..1000 {
            let mut waits = Waits::new(config);
            for longest in &mut longest {
                *longest = waits.next(&random).max(*longest);
            }
        }
        for (seen, limit) in longest.into_iter().zip([100, 200, 400, 500, 500]) {
            let limit = milliseconds(limit);
            assert!(seen < limit && seen > limit * 9 / 10, "{seen:?} of {limit:?}");
        }
    }

    #[test]
    fn nothing_is_below_nothing() {
        let random = Random::new(1);
        assert_eq!(random_below(Duration::ZERO, &random), Duration::ZERO);
        assert_eq!(random_below(Duration::from_millis(1), &random), Duration::ZERO);
        assert_eq!(random_below(Duration::from_micros(1), &random), Duration::ZERO);
    }
}
