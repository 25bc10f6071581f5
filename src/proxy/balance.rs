//! `exact_balance`: each connection goes to the worker that has the fewest of its address.
//!
//! Envoy holds a lock while it looks at the counts. Here the worker that was found is given the
//! connection by a compare-and-swap of its count: if another worker chose it meanwhile, the counts
//! are looked at again.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/listeners/listeners>

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many connections of one address each worker has.
#[derive(Debug)]
pub(crate) struct Balance {
    counts: Box<[AtomicUsize]>,
}

impl Balance {
    pub(crate) fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self { counts: (0..workers).map(|_| AtomicUsize::new(0)).collect() })
    }

    /// Counts one more connection for the worker that has the fewest, the first one of several.
    pub(crate) fn seat(self: &Arc<Self>) -> Option<Seat> {
        loop {
            let load =
                |(worker, count): (usize, &AtomicUsize)| (count.load(Ordering::Relaxed), worker);
            let (count, worker) = self.counts.iter().enumerate().map(load).min()?;
            let cell = self.counts.get(worker)?;
            // Relaxed: the counts guard no other memory.
            let swapped =
                cell.compare_exchange(count, count + 1, Ordering::Relaxed, Ordering::Relaxed);
            if swapped.is_ok() {
                return Some(Seat { balance: Arc::clone(self), worker });
            }
        }
    }

    /// Counts one more connection for `worker`.
    pub(crate) fn seat_at(self: &Arc<Self>, worker: usize) -> Option<Seat> {
        self.counts.get(worker)?.fetch_add(1, Ordering::Relaxed);
        Some(Seat { balance: Arc::clone(self), worker })
    }
}

/// One connection in the count of its worker, taken out on drop.
#[derive(Debug)]
pub(crate) struct Seat {
    balance: Arc<Balance>,
    worker: usize,
}

impl Seat {
    /// Whose connection it is.
    pub(crate) fn worker(&self) -> usize {
        self.worker
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(count) = self.balance.counts.get(self.worker) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn counts(balance: &Balance) -> Vec<usize> {
        balance.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    #[test]
    fn the_worker_with_the_fewest_is_next_and_of_several_the_first() {
        let balance = Balance::new(3);
        let mut seats: Vec<_> = (0..7).map(|_| balance.seat().unwrap()).collect();
        assert_eq!(seats.iter().map(|seat| seat.worker).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2, 0]);
        drop(seats.remove(1));
        assert_eq!(balance.seat().map(|seat| seat.worker), Some(1));
        assert_eq!(counts(&balance), [3, 1, 2]);
        drop(seats);
        assert_eq!(counts(&balance), [0, 0, 0]);
    }

    #[test]
    fn however_many_choose_at_a_time_the_counts_differ_by_one_at_most() {
        const EACH: usize = 5_000;
        let balance = Balance::new(3);
        let seats: Vec<Vec<Seat>> = thread::scope(|threads| {
            let choose = || (0..EACH).map(|_| balance.seat().unwrap()).collect();
            let threads: Vec<_> = (0..4).map(|_| threads.spawn(choose)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let counts = counts(&balance);
        assert_eq!(counts.iter().sum::<usize>(), 4 * EACH);
        assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
        drop(seats);
    }
}
