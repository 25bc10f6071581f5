//! Polls ready tasks; contains their panics.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use base::{Key, Slab, WorkerId};

use super::ready::{self, ReadyQueue, WokenBranches};
use super::set::Membership;
use super::waker::{ROOT_SLOT, TASKS_MAX, Target, WHOLE_TASK, short_generation};
use crate::sys::prefetch::prefetch;

type BoxedFuture = Pin<Box<dyn Future<Output = ()>>>;

/// How many tasks ahead futures are fetched into the cache.
const PREFETCH_DISTANCE: usize = 2;
/// Most bytes of a future that are fetched ahead; a longer one is mostly not touched in one poll.
const PREFETCH_BYTES_MAX: usize = 1536;

/// A task between spawn and end.
struct Task {
    /// Out of its slot only while it is being polled.
    future: Option<BoxedFuture>,
    membership: Rc<Membership>,
}

/// All tasks of one reactor.
pub(crate) struct Executor {
    ready: Rc<ReadyQueue>,
    tasks: RefCell<Slab<Task>>,
    /// The task polled last, if one was yet, and which branches of it were woken.
    polled: Cell<Option<Key>>,
    woken: Cell<WokenBranches>,
    polls: Cell<u64>,
    panics: Cell<u64>,
    /// A task is being polled: faults are injected there, not in the root future.
    #[cfg(any(test, feature = "simulation"))]
    polling: Cell<bool>,
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor")
            .field("tasks", &self.tasks.borrow().len())
            .field("ready", &self.ready.len())
            .finish_non_exhaustive()
    }
}

impl Executor {
    /// The executor of the calling thread, which [`super::enter_thread`] made a worker.
    pub(crate) fn new() -> Option<Self> {
        let ready = ready::local()?;
        Some(Self {
            ready,
            tasks: RefCell::default(),
            polled: Cell::new(None),
            woken: Cell::new(0),
            polls: Cell::new(0),
            panics: Cell::new(0),
            #[cfg(any(test, feature = "simulation"))]
            polling: Cell::new(false),
        })
    }

    /// The worker this executor runs on.
    pub(crate) fn worker(&self) -> WorkerId {
        self.ready.worker()
    }

    /// Number of tasks alive.
    pub(crate) fn len(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// Polls of tasks so far.
    pub(crate) fn polls(&self) -> u64 {
        self.polls.get()
    }

    /// Panics caught at a task's edge so far.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.get()
    }

    /// Whether a task is being polled.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn is_polling(&self) -> bool {
        self.polling.get()
    }

    /// Whether something wants to be polled.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The waker of the root future.
    pub(crate) fn root_waker(&self) -> Waker {
        let key = Key { slot: ROOT_SLOT, generation: 0 };
        Target { worker: self.worker(), key, branch: WHOLE_TASK }.waker()
    }

    /// Whether this is the task being polled.
    pub(super) fn is_polled(&self, worker: WorkerId, key: Key) -> bool {
        let Some(polled) = self.polled.get() else { return false };
        let generation = short_generation(polled.generation);
        worker == self.worker() && key == Key { generation, ..polled }
    }

    /// Which branches of the task being polled were woken.
    pub(super) fn woken(&self) -> WokenBranches {
        self.woken.get()
    }

    /// Whether the root future was woken since the last call.
    pub(crate) fn take_root(&self) -> bool {
        self.ready.take_root()
    }

    /// Adds a task, ready to be polled for the first time.
    pub(super) fn spawn(&self, future: BoxedFuture, membership: Rc<Membership>) -> Key {
        let mut tasks = self.tasks.borrow_mut();
        assert!(tasks.len() < TASKS_MAX, "more than {TASKS_MAX} tasks");
        let key = tasks.insert(Task { future: Some(future), membership });
        self.ready.open(key);
        self.ready.push(key, WHOLE_TASK);
        key
    }

    /// Has a task polled, whatever it waits for.
    pub(super) fn wake(&self, key: Key) {
        if self.tasks.borrow().get(key).is_some() {
            self.ready.push(key, WHOLE_TASK);
        }
    }

    /// Ends a task wherever it waits; its future is dropped at once, or, if it is the one being
    /// polled, when that poll returns.
    pub(super) fn abort(&self, key: Key) {
        let task = self.tasks.borrow_mut().remove(key);
        if let Some(task) = task {
            self.end(task, key);
        }
    }

    /// Polls up to `budget` ready tasks. Returns how many it polled.
    pub(crate) fn run(&self, budget: usize) -> usize {
        let mut polled = 0;
        while polled < budget {
            let Some((key, woken)) = self.ready.pop() else { break };
            self.prefetch_ahead();
            self.polled.set(Some(key));
            self.woken.set(woken);
            if self.poll(key) {
                polled += 1;
            }
        }
        polled
    }

    /// Fetches the future of a task that is about to be polled.
    #[inline]
    fn prefetch_ahead(&self) {
        let tasks = self.tasks.borrow();
        if let Some(key) = self.ready.peek(PREFETCH_DISTANCE - 1)
            && let Some(Task { future: Some(future), .. }) = tasks.get(key)
        {
            let future = &**future;
            prefetch((&raw const *future).cast(), size_of_val(future).min(PREFETCH_BYTES_MAX));
        }
    }

    fn poll(&self, key: Key) -> bool {
        let future = self.tasks.borrow_mut().get_mut(key).and_then(|task| task.future.take());
        let Some(mut future) = future else {
            return false;
        };
        self.polls.set(self.polls.get() + 1);
        let waker = Target { worker: self.worker(), key, branch: WHOLE_TASK }.waker();
        let mut context = Context::from_waker(&waker);
        // AssertUnwindSafe: a panicked future is dropped, never polled again, and what it shares
        // with others is held by guards whose Drop undoes it.
        #[cfg(any(test, feature = "simulation"))]
        self.polling.set(true);
        let outcome = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)));
        #[cfg(any(test, feature = "simulation"))]
        self.polling.set(false);
        if let Ok(Poll::Pending) = outcome {
            let mut tasks = self.tasks.borrow_mut();
            if let Some(task) = tasks.get_mut(key) {
                task.future = Some(future);
                return true;
            }
            // Aborted during its own poll.
            drop(tasks);
            self.drop_contained(future);
            return true;
        }
        if outcome.is_err() {
            self.panics.set(self.panics.get() + 1);
        }
        self.drop_contained(future);
        let task = self.tasks.borrow_mut().remove(key);
        if let Some(task) = task {
            self.end(task, key);
        }
        true
    }

    fn end(&self, mut task: Task, key: Key) {
        if let Some(future) = task.future.take() {
            self.drop_contained(future);
        }
        task.membership.leave(key);
    }

    /// A destructor that panics must not take the worker with it either.
    fn drop_contained(&self, future: BoxedFuture) {
        if catch_unwind(AssertUnwindSafe(|| drop(future))).is_err() {
            self.panics.set(self.panics.get() + 1);
        }
    }

    /// Ends every task.
    pub(crate) fn abort_all(&self) {
        loop {
            let keys: Vec<Key> = self.tasks.borrow().iter().map(|(key, _)| key).collect();
            if keys.is_empty() {
                return;
            }
            for key in keys {
                self.abort(key);
            }
        }
    }
}
