//! Circuit breakers: each one count for the whole process, exact.
//!
//! Envoy's breaker reads, decides and adds in three steps, so several workers can pass it together.
//! Here the check and the addition are one compare-and-swap: the limit holds at every moment.
//! These counts are the only thing that workers share and change.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/circuit_breaking>

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use observe::Scope;
use observe::names::ClusterStat;

/// What is in use of something against the most there may be.
#[derive(Debug)]
pub(crate) struct Breaker {
    /// At most `limit`, and one more for each [`Breaker::acquire_anyway`].
    count: AtomicU32,
    limit: u32,
    /// The gauge that is 1 while the limit is reached.
    open: ClusterStat,
}

impl Breaker {
    pub(crate) fn new(limit: u32, open: ClusterStat) -> Arc<Self> {
        Arc::new(Self { count: AtomicU32::new(0), limit, open })
    }

    /// Takes one out of the limit, unless it is reached. The token gives it back, and keeps the
    /// breaker's gauge in `stats` at 1 while the limit is reached.
    pub(crate) fn try_acquire(self: &Arc<Self>, stats: &Scope<ClusterStat>) -> Option<Token> {
        // Relaxed: the count guards no other memory, and each of its changes is atomic.
        let taken = self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
            (count < self.limit).then(|| count + 1)
        });
        let before = taken.ok()?;
        if before + 1 == self.limit {
            stats.gauge_inc(self.open);
        }
        Some(Token { breaker: Arc::clone(self), stats: stats.clone() })
    }

    /// Takes one out of the limit even where it is reached: for the only connection that a worker
    /// has to a host (row D6).
    pub(crate) fn acquire_anyway(self: &Arc<Self>, stats: &Scope<ClusterStat>) -> Token {
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        if before + 1 == self.limit {
            stats.gauge_inc(self.open);
        }
        Token { breaker: Arc::clone(self), stats: stats.clone() }
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }
}

/// One share of the limit, given back on drop.
///
/// Of all workers exactly one sees each step onto the limit and each step off it, so the shards of
/// the gauge add up to 0 or 1.
#[derive(Debug)]
pub(crate) struct Token {
    breaker: Arc<Breaker>,
    stats: Scope<ClusterStat>,
}

impl Drop for Token {
    fn drop(&mut self) {
        let before = self.breaker.count.fetch_sub(1, Ordering::Relaxed);
        if before == self.breaker.limit {
            self.stats.gauge_dec(self.breaker.open);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use observe::{Registry, ShardIndex};

    use super::*;

    #[test]
    fn the_limit_is_reached_and_not_passed_and_the_gauge_says_so() {
        let registry = Registry::new(1);
        let scope = registry.scope::<ClusterStat>("cluster.c");
        let shard = registry.shard(ShardIndex::Worker(0)).unwrap();
        let stats = scope.on(&shard);
        let open = || scope.total(ClusterStat::CircuitBreakersDefaultCxOpen);
        let breaker = Breaker::new(2, ClusterStat::CircuitBreakersDefaultCxOpen);
        let first = breaker.try_acquire(&stats).unwrap();
        assert_eq!(open(), 0);
        let second = breaker.try_acquire(&stats).unwrap();
        assert_eq!(open(), 1);
        assert!(breaker.try_acquire(&stats).is_none());
        drop(first);
        assert_eq!((open(), breaker.count()), (0, 1));
        let third = breaker.try_acquire(&stats).unwrap();
        assert_eq!(open(), 1);
        drop((second, third));
        assert_eq!((open(), breaker.count()), (0, 0));
    }

    #[test]
    fn a_limit_of_zero_lets_nothing_pass() {
        let registry = Registry::new(1);
        let scope = registry.scope::<ClusterStat>("cluster.c");
        let stats = scope.on(&registry.shard(ShardIndex::Worker(0)).unwrap());
        assert!(
            Breaker::new(0, ClusterStat::CircuitBreakersDefaultCxOpen)
                .try_acquire(&stats)
                .is_none()
        );
        assert_eq!(scope.total(ClusterStat::CircuitBreakersDefaultCxOpen), 0);
    }

    #[test]
    fn many_workers_together_never_pass_the_limit() {
        const WORKERS: usize = 4;
        const LIMIT: u32 = 3;
        const ROUNDS: usize = 20_000;
        let registry = Registry::new(WORKERS);
        let scope = registry.scope::<ClusterStat>("cluster.c");
        let breaker = Breaker::new(LIMIT, ClusterStat::CircuitBreakersDefaultCxOpen);
        let start = Barrier::new(WORKERS);
        thread::scope(|threads| {
            for worker in 0..WORKERS {
                let (registry, scope, breaker, start) = (&registry, &scope, &breaker, &start);
                threads.spawn(move || {
                    let shard = registry.shard(ShardIndex::Worker(worker)).unwrap();
                    let stats = scope.on(&shard);
                    start.wait();
                    for _ in 0..ROUNDS {
                        let one = breaker.try_acquire(&stats);
                        let two = breaker.try_acquire(&stats);
                        assert!(breaker.count() <= LIMIT);
                        drop((one, two));
                    }
                });
            }
        });
        assert_eq!(breaker.count(), 0);
        assert_eq!(scope.total(ClusterStat::CircuitBreakersDefaultCxOpen), 0);
    }
}
