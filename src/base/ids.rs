//! Newtype ids, so that two numbers of different meaning cannot be swapped.

use std::cell::Cell;
use std::fmt;

/// Number of a worker, counted from 0 in the order they were started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(u16);

impl WorkerId {
    /// Most workers one process may have; wakers pack the id into 10 bits.
    pub const COUNT_MAX: u16 = 1 << 10;

    /// The worker with this number, or `None` at or above [`WorkerId::COUNT_MAX`].
    pub const fn new(number: u16) -> Option<Self> {
        if number < Self::COUNT_MAX { Some(Self(number)) } else { None }
    }

    /// The worker's number.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The worker's number as an index into per-worker tables.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker_{}", self.0)
    }
}

/// Where one worker takes the ids of its connections from, downstream and upstream alike. No two
/// workers of a process give out the same one, and none needs to ask another.
#[derive(Debug)]
pub struct ConnectionIds {
    next: Cell<u64>,
    step: u64,
}

impl ConnectionIds {
    /// The ids of worker number `worker` of `workers`. The first worker's first id is 1: 0 stands
    /// for no connection.
    #[must_use]
    pub fn new(worker: usize, workers: usize) -> Self {
        let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Self { next: Cell::new(wide(worker).saturating_add(1)), step: wide(workers.max(1)) }
    }

    /// An id that no other connection has.
    pub fn next(&self) -> u64 {
        let id = self.next.get();
        self.next.set(id.wrapping_add(self.step));
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_never_give_out_the_same_connection_id() {
        let ids = |worker| {
            let ids = ConnectionIds::new(worker, 3);
            (0..4).map(move |_| ids.next())
        };
        let mut all: Vec<u64> = (0..3).flat_map(ids).collect();
        all.sort_unstable();
        assert_eq!(all, (1..=12).collect::<Vec<u64>>());
    }

    #[test]
    fn a_worker_id_never_leaves_the_bits_a_waker_has_for_it() {
        assert!(WorkerId::new(WorkerId::COUNT_MAX).is_none());
        let last = WorkerId::new(WorkerId::COUNT_MAX - 1).unwrap();
        assert_eq!(last.to_string(), "worker_1023");
    }
}
