//! A limit that all workers share, exact.
//!
//! Envoy looks, decides and adds in three steps, so that several workers may pass a limit together.
//! Here the look and the addition are one compare-and-swap: the limit holds at every moment.
//!
//! Who takes one gives it back, by a value of its own whose `Drop` does so.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many of something there are, against the most there may be.
// Relaxed throughout: the count guards no other memory, and each of its changes is atomic.
#[derive(Debug)]
pub struct Limit {
    /// At most `max`, and one more for each [`Limit::take`].
    used: AtomicU64,
    max: u64,
}

impl Limit {
    /// At most `max` at a time.
    #[must_use]
    pub const fn new(max: u64) -> Self {
        Self { used: AtomicU64::new(0), max }
    }

    /// The most there may be.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// How many there are.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// One more, unless the limit is reached. Returns how many there were before.
    #[must_use]
    pub fn try_take(&self) -> Option<u64> {
        let more = |used: u64| (used < self.max).then(|| used + 1);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()
    }

    /// One more, even where the limit is reached. Returns how many there were before.
    pub fn take(&self) -> u64 {
        self.used.fetch_add(1, Ordering::Relaxed)
    }

    /// One less, for one that was taken. Returns how many there were before.
    pub fn give_back(&self) -> u64 {
        self.used.fetch_sub(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn a_limit_is_reached_and_passed_only_by_who_does_not_ask() {
        let limit = Limit::new(2);
        assert_eq!(
            (limit.try_take(), limit.try_take(), limit.try_take()),
            (Some(0), Some(1), None)
        );
        assert_eq!((limit.take(), limit.used(), limit.max()), (2, 3, 2));
        assert_eq!((limit.give_back(), limit.try_take()), (3, None));
        assert_eq!((limit.give_back(), limit.try_take()), (2, Some(1)));
        assert_eq!(Limit::new(0).try_take(), None);
    }

    #[test]
    fn workers_that_come_together_never_pass_a_limit() {
        const WORKERS: u64 = 4;
        const ROUNDS: u64 = 20_000;
        let (limit, start) = (Limit::new(3), Barrier::new(4));
        thread::scope(|threads| {
            for _ in 0..WORKERS {
                threads.spawn(|| {
                    start.wait();
                    for _ in 0..ROUNDS {
                        let taken = [limit.try_take(), limit.try_take()];
                        assert!(limit.used() <= 3);
                        taken.into_iter().flatten().for_each(|_| _ = limit.give_back());
                    }
                });
            }
        });
        assert_eq!(limit.used(), 0);
    }

    /// If this fails, of workers that come at one time more, or fewer, are let in than may.
    #[test]
    fn of_those_that_come_at_one_time_as_many_are_let_in_as_may() {
        const WORKERS: u64 = 4;
        const ROUNDS: u64 = 500;
        let (limit, barrier, let_in) = (Limit::new(2), Barrier::new(4), Limit::new(u64::MAX));
        thread::scope(|threads| {
            for _ in 0..WORKERS {
                threads.spawn(|| {
                    for _ in 0..ROUNDS {
                        barrier.wait();
                        let taken = limit.try_take();
                        barrier.wait();
                        if taken.is_some() {
                            let_in.take();
                            limit.give_back();
                        }
                    }
                });
            }
        });
        assert_eq!((let_in.used(), limit.used()), (2 * ROUNDS, 0));
    }
}
