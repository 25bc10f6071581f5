//! Wakers without a reference count: one word that says which task of which worker.
//!
//! ```text
//!  63      52 51        26 25         0
//! +----------+------------+------------+
//! |  worker  | generation |    slot    |
//! +----------+------------+------------+
//! ```
//! The generation is cut to 26 bits. A waker kept while its slot had 2^26 other tenants would wake
//! the wrong task, which then finds nothing to do: a wake is never more than a hint.

use std::task::{RawWaker, RawWakerVTable, Waker};

use base::{Key, WorkerId};

use super::ready;

const SLOT_BITS: u32 = 26;
const GENERATION_BITS: u32 = 26;
const FIELD_MASK: u64 = (1 << SLOT_BITS) - 1;

/// The slot number that stands for the root future.
pub(super) const ROOT_SLOT: u32 = (1 << SLOT_BITS) - 1;
/// Most tasks of one reactor.
pub(super) const TASKS_MAX: usize = ROOT_SLOT as usize;

/// Which task of which worker a waker wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) worker: WorkerId,
    pub(super) key: Key,
}

/// The generation as far as a waker keeps it.
pub(super) fn short_generation(generation: u32) -> u32 {
    generation & ((1 << GENERATION_BITS) - 1)
}

impl Target {
    fn pack(self) -> u64 {
        u64::from(self.worker.number()) << (SLOT_BITS + GENERATION_BITS)
            | u64::from(short_generation(self.key.generation)) << SLOT_BITS
            | u64::from(self.key.slot)
    }

    fn unpack(word: u64) -> Option<Self> {
        let worker = u16::try_from(word >> (SLOT_BITS + GENERATION_BITS)).ok()?;
        let generation = u32::try_from((word >> SLOT_BITS) & FIELD_MASK).ok()?;
        let slot = u32::try_from(word & FIELD_MASK).ok()?;
        Some(Self { worker: WorkerId::new(worker)?, key: Key { slot, generation } })
    }

    /// A waker for this task.
    pub(super) fn waker(self) -> Waker {
        const { assert!(usize::BITS == 64, "a waker packs 64 bits into its data pointer") };
        #[expect(clippy::cast_possible_truncation, reason = "usize is 64 bits, asserted above")]
        let data = std::ptr::without_provenance(self.pack() as usize);
        // SAFETY: the vtable's functions treat the pointer as a number only, are thread-safe, and
        // own nothing, so clone and drop need no bookkeeping.
        unsafe { Waker::from_raw(RawWaker::new(data, &VTABLE)) }
    }
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, drop_nothing);

fn clone(data: *const ()) -> RawWaker {
    RawWaker::new(data, &VTABLE)
}

fn wake(data: *const ()) {
    if let Some(target) = Target::unpack(data.addr() as u64) {
        ready::wake(target);
    }
}

fn drop_nothing(_data: *const ()) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_survives_the_trip_through_one_word() {
        let worker = WorkerId::new(WorkerId::COUNT_MAX - 1).unwrap();
        let target = Target { worker, key: Key { slot: ROOT_SLOT - 1, generation: (1 << 26) - 1 } };
        assert_eq!(Target::unpack(target.pack()), Some(target));
    }

    #[test]
    fn wakers_of_one_task_are_equal_so_that_a_clone_can_be_spared() {
        let worker = WorkerId::new(7).unwrap();
        let of = |slot| Target { worker, key: Key { slot, generation: 1 } }.waker();
        assert!(of(3).will_wake(&of(3)));
        assert!(!of(3).will_wake(&of(4)));
    }
}
