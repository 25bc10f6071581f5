//! Newtype ids, so that two numbers of different meaning cannot be swapped.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_id_never_leaves_the_bits_a_waker_has_for_it() {
        assert!(WorkerId::new(WorkerId::COUNT_MAX).is_none());
        let last = WorkerId::new(WorkerId::COUNT_MAX - 1).unwrap();
        assert_eq!(last.to_string(), "worker_1023");
    }
}
