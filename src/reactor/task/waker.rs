//! Wakers without a reference count: one word that says which task of which worker.
//!
//! ```text
//!  63      54 53        28 27         4 3       0
//! +----------+------------+------------+--------+
//! |  worker  | generation |    slot    | branch |
//! +----------+------------+------------+--------+
//! ```
//! The branch says which part of the task was waited in (see [`super::Branches`]); 0 is all of it.
//! The generation is cut to 26 bits. A waker kept while its slot had 2^26 other tenants would wake
//! the wrong task, which then finds nothing to do: a wake is never more than a hint.

use std::task::{RawWaker, RawWakerVTable, Waker};

use base::{Key, WorkerId};

use super::ready;

const BRANCH_BITS: u32 = 4;
const SLOT_BITS: u32 = 24;
const GENERATION_BITS: u32 = 26;
const WORKER_BITS: u32 = 10;
const SLOT_SHIFT: u32 = BRANCH_BITS;
const GENERATION_SHIFT: u32 = SLOT_SHIFT + SLOT_BITS;
const WORKER_SHIFT: u32 = GENERATION_SHIFT + GENERATION_BITS;
const _: () = assert!(WORKER_SHIFT + WORKER_BITS == u64::BITS, "the fields fill a word");
const _: () = assert!(1 << WORKER_BITS == WorkerId::COUNT_MAX, "every worker has a number");

/// The slot number that stands for the root future.
pub(super) const ROOT_SLOT: u32 = (1 << SLOT_BITS) - 1;
/// Most tasks of one reactor.
pub(super) const TASKS_MAX: usize = ROOT_SLOT as usize;

/// The branch number that stands for the whole task.
pub(super) const WHOLE_TASK: u8 = 0;
/// Most branches a task may be split into.
pub(super) const BRANCHES_MAX: u8 = (1 << BRANCH_BITS) - 1;

/// Which task of which worker a waker wakes, and which branch of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) worker: WorkerId,
    pub(super) key: Key,
    pub(super) branch: u8,
}

/// The generation as far as a waker keeps it.
pub(super) fn short_generation(generation: u32) -> u32 {
    generation & ((1 << GENERATION_BITS) - 1)
}

impl Target {
    fn pack(self) -> u64 {
        u64::from(self.worker.number()) << WORKER_SHIFT
            | u64::from(short_generation(self.key.generation)) << GENERATION_SHIFT
            | u64::from(self.key.slot) << SLOT_SHIFT
            | u64::from(self.branch)
    }

    fn unpack(word: u64) -> Option<Self> {
        let field = |shift: u32, bits: u32| (word >> shift) & ((1 << bits) - 1);
        let worker = u16::try_from(field(WORKER_SHIFT, WORKER_BITS)).ok()?;
        let generation = u32::try_from(field(GENERATION_SHIFT, GENERATION_BITS)).ok()?;
        let slot = u32::try_from(field(SLOT_SHIFT, SLOT_BITS)).ok()?;
        let branch = u8::try_from(field(0, BRANCH_BITS)).ok()?;
        Some(Self { worker: WorkerId::new(worker)?, key: Key { slot, generation }, branch })
    }

    /// The target of a waker, if it is one of a task of a reactor.
    pub(super) fn of(waker: &Waker) -> Option<Self> {
        let ours = std::ptr::eq(waker.vtable(), &raw const VTABLE);
        if ours { Self::unpack(waker.data().addr() as u64) } else { None }
    }

    /// A waker for this target.
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
        let target = Target {
            worker,
            key: Key { slot: ROOT_SLOT - 1, generation: (1 << 26) - 1 },
            branch: BRANCHES_MAX,
        };
        assert_eq!(Target::unpack(target.pack()), Some(target));
        assert_eq!(Target::of(&target.waker()), Some(target));
        assert_eq!(Target::of(Waker::noop()), None);
    }

    #[test]
    fn wakers_of_one_task_are_equal_so_that_a_clone_can_be_spared() {
        let worker = WorkerId::new(7).unwrap();
        let of = |slot| Target { worker, key: Key { slot, generation: 1 }, branch: 0 }.waker();
        assert!(of(3).will_wake(&of(3)));
        assert!(!of(3).will_wake(&of(4)));
    }
}
