//! A limit that all workers share, exact.
//!
//! Envoy looks, decides and adds in three steps, so that several workers may pass a limit together.
//! Here the look and the addition are one compare-and-swap: the limit holds at every moment.
//!
//! Who takes one gives it back, by a value of its own whose `Drop` does so.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many of something there are, against the most there may be. Neither counts beyond
/// [`Limit::HIGHEST`].
// Relaxed throughout: the count guards no other memory, and each of its changes is atomic.
#[derive(Debug)]
pub struct Limit {
    /// The most in the upper half, and how many there are in the lower: each change sees both. At
    /// most as many as may be, and one more for each [`Limit::take`].
    both: AtomicU64,
}

/// A limit at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// How many there are.
    pub used: u64,
    /// The most there may be.
    pub max: u64,
}

impl Level {
    /// Whether there may be no more.
    #[must_use]
    pub fn is_reached(self) -> bool {
        self.used >= self.max
    }

    /// How many more there may be.
    #[must_use]
    pub fn remaining(self) -> u64 {
        self.max.saturating_sub(self.used)
    }

    /// With one more.
    #[must_use]
    pub fn with_one_more(self) -> Self {
        Self { used: self.used + 1, ..self }
    }

    /// With one less.
    #[must_use]
    pub fn with_one_less(self) -> Self {
        Self { used: self.used.saturating_sub(1), ..self }
    }

    fn of(both: u64) -> Self {
        Self { used: both & Limit::HIGHEST, max: both >> HALF }
    }
}

const HALF: u32 = 32;

impl Limit {
    /// The highest limit: one above it is as good as none.
    pub const HIGHEST: u64 = (1 << HALF) - 1;

    /// At most `max` at a time.
    #[must_use]
    pub const fn new(max: u64) -> Self {
        Self { both: AtomicU64::new(upper_half(max)) }
    }

    /// The limit as it is now.
    #[must_use]
    pub fn level(&self) -> Level {
        Level::of(self.both.load(Ordering::Relaxed))
    }

    /// The most there may be.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.level().max
    }

    /// How many there are.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.level().used
    }

    /// At most `max` from now on: those above it stay. Returns how it was before.
    pub fn set_max(&self, max: u64) -> Level {
        let changed = |both: u64| Some(upper_half(max) | (both & Self::HIGHEST));
        let before = self.both.fetch_update(Ordering::Relaxed, Ordering::Relaxed, changed);
        Level::of(before.unwrap_or_else(|both| both))
    }

    /// One more, unless the limit is reached. Returns how it was before.
    #[must_use]
    pub fn try_take(&self) -> Option<Level> {
        let more = |both: u64| (!Level::of(both).is_reached()).then(|| both + 1);
        self.both.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(Level::of)
    }

    /// One more, even where the limit is reached. Returns how it was before.
    pub fn take(&self) -> Level {
        Level::of(self.both.fetch_add(1, Ordering::Relaxed))
    }

    /// One less, for one that was taken. Returns how it was before.
    pub fn give_back(&self) -> Level {
        Level::of(self.both.fetch_sub(1, Ordering::Relaxed))
    }
}

const fn upper_half(max: u64) -> u64 {
    (if max < Limit::HIGHEST { max } else { Limit::HIGHEST }) << HALF
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn a_limit_is_reached_and_passed_only_by_who_does_not_ask() {
        let limit = Limit::new(2);
        let at = |used| Level { used, max: 2 };
        assert_eq!(
            (limit.try_take(), limit.try_take(), limit.try_take()),
            (Some(at(0)), Some(at(1)), None)
        );
        assert_eq!((limit.take(), limit.used(), limit.max()), (at(2), 3, 2));
        assert_eq!((limit.give_back(), limit.try_take()), (at(3), None));
        assert_eq!((limit.give_back(), limit.try_take()), (at(2), Some(at(1))));
        assert_eq!(Limit::new(0).try_take(), None);
    }

    #[test]
    fn a_limit_may_change_while_it_is_in_use() {
        let limit = Limit::new(u64::MAX);
        limit.take();
        limit.take();
        assert_eq!(limit.set_max(1), Level { used: 2, max: Limit::HIGHEST });
        assert_eq!((limit.level().is_reached(), limit.level().remaining()), (true, 0));
        limit.give_back();
        assert_eq!(limit.try_take(), None);
        limit.give_back();
        assert_eq!(limit.try_take(), Some(Level { used: 0, max: 1 }));
        assert_eq!(limit.set_max(5), Level { used: 1, max: 1 });
        assert_eq!(limit.level().remaining(), 4);
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
