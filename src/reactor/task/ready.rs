//! Which tasks are ready: the local queue of a worker, and the way in from other threads.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use base::{Key, WorkerId};

use super::waker::{ROOT_SLOT, Target, WHOLE_TASK, short_generation};
use crate::RingError;
use crate::sys::eventfd::EventFd;

/// A bit for each branch of a task that was woken.
pub(super) type WokenBranches = u16;

/// Tasks of one worker that want to be polled, each at most once.
#[derive(Debug)]
pub(super) struct ReadyQueue {
    worker: WorkerId,
    queue: RefCell<VecDeque<Key>>,
    /// Per task slot: the tenant's generation, and which of its branches were woken since it was
    /// last taken from the queue; it is in the queue if there are any.
    slots: RefCell<Vec<(u32, WokenBranches)>>,
    root: Cell<bool>,
}

impl ReadyQueue {
    pub(super) fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Starts to accept wakes for a new task.
    pub(super) fn open(&self, key: Key) {
        let mut slots = self.slots.borrow_mut();
        let index = key.slot as usize;
        if slots.len() <= index {
            slots.resize(index + 1, (0, 0));
        }
        slots[index] = (key.generation, 0);
    }

    /// Queues a task if its slot still has this tenant and it is not queued yet. A waker knows only
    /// the low bits of the generation; what is queued is the tenant's whole key.
    pub(super) fn push(&self, key: Key, branch: u8) {
        if key.slot == ROOT_SLOT {
            self.root.set(true);
            return;
        }
        let mut slots = self.slots.borrow_mut();
        if let Some((generation, woken)) = slots.get_mut(key.slot as usize)
            && short_generation(*generation) == short_generation(key.generation)
        {
            if *woken == 0 {
                let generation = *generation;
                self.queue.borrow_mut().push_back(Key { generation, ..key });
            }
            *woken |= 1 << branch;
        }
    }

    /// Takes the next ready task, and which of its branches were woken.
    pub(super) fn pop(&self) -> Option<(Key, WokenBranches)> {
        let key = self.queue.borrow_mut().pop_front()?;
        // The entry of a task that ended in the queue says nothing about the slot's next tenant.
        if let Some((generation, woken)) = self.slots.borrow_mut().get_mut(key.slot as usize)
            && *generation == key.generation
        {
            return Some((key, std::mem::take(woken)));
        }
        Some((key, 0))
    }

    /// The task that is taken after `ahead` others.
    pub(super) fn peek(&self, ahead: usize) -> Option<Key> {
        self.queue.borrow().get(ahead).copied()
    }

    /// Whether a task or the root future is ready.
    pub(super) fn is_empty(&self) -> bool {
        !self.root.get() && self.queue.borrow().is_empty()
    }

    /// Number of ready tasks.
    pub(super) fn len(&self) -> usize {
        self.queue.borrow().len()
    }

    /// Whether the root future was woken since the last call.
    pub(super) fn take_root(&self) -> bool {
        self.root.replace(false)
    }
}

/// Wakes from other threads: a set of tasks, and the eventfd that the worker's ring polls.
#[derive(Debug)]
pub(crate) struct Remote {
    /// Bounded by the number of tasks, since each stands in it at most once.
    pending: Mutex<HashSet<u64>>,
    eventfd: EventFd,
}

impl Remote {
    /// The descriptor that becomes readable when a wake arrives.
    pub(crate) fn eventfd(&self) -> &EventFd {
        &self.eventfd
    }

    fn push(&self, key: Key) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let first = pending.is_empty();
        pending.insert(key.to_word());
        // One signal per batch: the worker empties the set only after it has read the eventfd.
        if first {
            self.eventfd.signal();
        }
    }

    /// Wakes, on the calling worker, every task that another thread woke.
    pub(crate) fn deliver(&self) {
        self.eventfd.drain();
        let pending =
            std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        LOCAL.with_borrow(|local| {
            if let Some(local) = local {
                for word in pending {
                    local.push(Key::from_word(word), WHOLE_TASK);
                }
            }
        });
    }
}

thread_local! {
    static LOCAL: RefCell<Option<Rc<ReadyQueue>>> = const { RefCell::new(None) };
}

/// Where wakes for each worker of the process go; read only by wakes from foreign threads.
static REMOTES: RwLock<Vec<Option<Arc<Remote>>>> = RwLock::new(Vec::new());

/// Makes the calling thread a worker: the next free worker number is its own until
/// [`leave_thread`].
///
/// # Panics
/// If the thread is a worker already: wakes could reach only one of its reactors.
pub(crate) fn enter_thread() -> Result<(WorkerId, Arc<Remote>), RingError> {
    LOCAL.with_borrow(|local| assert!(local.is_none(), "a thread has one reactor at a time"));
    let eventfd = EventFd::new().map_err(RingError::EventFd)?;
    let remote = Arc::new(Remote { pending: Mutex::default(), eventfd });
    let mut remotes = REMOTES.write().unwrap_or_else(PoisonError::into_inner);
    let index = remotes.iter().position(Option::is_none).unwrap_or(remotes.len());
    let number = u16::try_from(index).map_err(|_| RingError::TooManyReactors)?;
    let worker = WorkerId::new(number).ok_or(RingError::TooManyReactors)?;
    if index == remotes.len() {
        remotes.push(None);
    }
    remotes[index] = Some(Arc::clone(&remote));
    let queue = ReadyQueue {
        worker,
        queue: RefCell::default(),
        slots: RefCell::default(),
        root: Cell::new(false),
    };
    LOCAL.set(Some(Rc::new(queue)));
    Ok((worker, remote))
}

/// Gives the calling thread's worker number back.
pub(crate) fn leave_thread(worker: WorkerId) {
    LOCAL.set(None);
    let mut remotes = REMOTES.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(remote) = remotes.get_mut(worker.index()) {
        *remote = None;
    }
}

/// The calling thread's queue.
pub(super) fn local() -> Option<Rc<ReadyQueue>> {
    LOCAL.with_borrow(Clone::clone)
}

/// Wakes a task from whatever thread this is. A wake for a worker that has ended goes nowhere.
pub(super) fn wake(target: Target) {
    let local = LOCAL.try_with(|local| match &*local.borrow() {
        Some(local) if local.worker == target.worker => {
            local.push(target.key, target.branch);
            true
        }
        _ => false,
    });
    if matches!(local, Ok(true)) {
        return;
    }
    let remotes = REMOTES.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(Some(remote)) = remotes.get(target.worker.index()) {
        remote.push(target.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> ReadyQueue {
        ReadyQueue {
            worker: WorkerId::new(0).unwrap(),
            queue: RefCell::default(),
            slots: RefCell::default(),
            root: Cell::new(false),
        }
    }

    fn key(generation: u32) -> Key {
        Key { slot: 0, generation }
    }

    #[test]
    fn a_wake_finds_its_task_although_a_waker_keeps_only_part_of_the_generation() {
        let queue = queue();
        let task = key((1 << 26) + 5);
        queue.open(task);
        queue.push(key(5), WHOLE_TASK);
        assert_eq!(queue.pop(), Some((task, 1)), "the slot's 67 millionth tenant would never run");
        queue.push(key(4), WHOLE_TASK);
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn an_entry_of_an_ended_task_does_not_let_the_next_tenant_in_twice() {
        let queue = queue();
        queue.open(key(0));
        queue.push(key(0), WHOLE_TASK);
        queue.open(key(1));
        queue.push(key(1), WHOLE_TASK);
        assert_eq!(queue.pop(), Some((key(0), 0)));
        queue.push(key(1), WHOLE_TASK);
        assert_eq!((queue.pop(), queue.pop()), (Some((key(1), 1)), None));
    }

    #[test]
    fn branches_that_are_woken_gather_until_the_task_is_taken() {
        let queue = queue();
        queue.open(key(0));
        queue.push(key(0), 2);
        queue.push(key(0), 1);
        queue.push(key(0), 2);
        assert_eq!((queue.pop(), queue.pop()), (Some((key(0), 0b110)), None));
        queue.push(key(0), 3);
        assert_eq!(queue.pop(), Some((key(0), 0b1000)));
    }
}
