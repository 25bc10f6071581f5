//! What every part of a reactor shares: the driver, the op table, the pool, the clock, the tasks.
//!
//! Sources (a socket's receiver and outbox, an acceptor, a single operation) hold the core and
//! submit through it; the core knows them only as [`Source`]. The loop that drives it all is in
//! [`crate::Reactor`].
//!
//! ```text
//! operation:  submitted --completion with more--> submitted
//!                 |    --last completion--------> gone (its source is let go)
//!                 +----handle dropped-----------> orphaned: the source stays in the table until
//!                 the last completion, which it disposes of by kind
//! ```
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant, SystemTime};

use base::Slab;

use crate::Features;
use crate::buf::BufferPool;
use crate::driver::{
    AnyDriver, AnyPipe, Completion, Driver, DriverStats, Op, OpKey, SendMode, Wait,
};
use crate::gathering::Gathering;
use crate::sys::prefetch::prefetch;
use crate::task::Executor;
use crate::timer_wheel::{TICK, TimerKey, TimerWheel, deadline_tick, now_tick};

/// Who an operation belongs to. The op table holds the source until the last completion, so what
/// the operation points to must live in it.
pub(crate) trait Source: fmt::Debug {
    /// One of the source's operations, or one shot of it, completed. Marks tasks ready at most;
    /// never runs them.
    fn complete(self: Rc<Self>, completion: Completion);

    /// A silent send of the source moved every byte.
    fn complete_silently(self: Rc<Self>) {}

    /// The source asked for this with [`Core::flush_later`]: everything a turn has queued may be
    /// submitted now.
    fn flush(self: Rc<Self>) {}

    /// The source asked for this with [`Core::copy_out_later`]: ring memory it still holds must be
    /// copied out. Returns the bytes copied.
    fn copy_out(&self) -> usize {
        0
    }

    /// The source asked for this with [`Core::wait_for_buffer`]: a buffer came free.
    fn buffer_available(self: Rc<Self>) {}
}

/// Spare memory is kept for this many sends of a turn, in pieces of at most this many bytes: heads
/// are shorter, and what is longer costs more to fill than to allocate.
const SPARE_MAX: usize = 256;
const SPARE_BYTES_MAX: usize = 16 * 1024;

/// Pipes that one worker has at a time; a direction that finds none goes on copying.
pub const PIPES_MAX: usize = 256;
/// Pipes kept open for the next splice.
const SPARE_PIPES_MAX: usize = 16;

/// A place in the queue for buffers; earlier ones are served first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u64);

impl Place {
    fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Plain numbers of the loop; the floors above publish them.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) turns: Cell<u64>,
    pub(crate) gatherings: Cell<u64>,
    pub(crate) completions: Cell<u64>,
    pub(crate) late_completions: Cell<u64>,
    pub(crate) bad_completions: Cell<u64>,
    pub(crate) enobufs: Cell<u64>,
    pub(crate) copied_out_bytes: Cell<u64>,
    pub(crate) lost_bytes: Cell<u64>,
    pub(crate) budget_spent: Cell<u64>,
    pub(crate) splices_begun: Cell<u64>,
    pub(crate) splices_left: Cell<u64>,
    pub(crate) spliced_bytes: Cell<u64>,
    pub(crate) open_descriptors: Cell<usize>,
}

/// Adds to a plain number.
pub(crate) fn count(cell: &Cell<u64>, by: u64) {
    cell.set(cell.get().wrapping_add(by));
}

/// The shared part of a reactor.
#[derive(Debug)]
pub(crate) struct Core {
    driver: RefCell<AnyDriver>,
    ops: RefCell<Slab<Rc<dyn Source>>>,
    pool: Rc<BufferPool>,
    features: Features,
    executor: Rc<Executor>,
    timers: RefCell<TimerWheel<Waker>>,
    origin: Instant,
    now: Cell<Instant>,
    /// The wall clock of this turn, once somebody has asked.
    wall_now: Cell<Option<SystemTime>>,
    /// Memory for bytes to send, empty and ready to be filled again.
    spare_memory: RefCell<Vec<Vec<u8>>>,
    /// Pipes to splice through: those nobody uses, and how many there are in all.
    spare_pipes: RefCell<Vec<AnyPipe>>,
    pipes_open: Cell<usize>,
    to_flush: RefCell<Vec<Rc<dyn Source>>>,
    to_copy_out: RefCell<Vec<Rc<dyn Source>>>,
    /// This turn waits for nothing.
    is_hurried: Cell<bool>,
    /// Who wants to be woken when this turn is over.
    next_turn: RefCell<Vec<Waker>>,
    /// Who waits for a buffer, by place in the queue.
    starved: RefCell<BTreeMap<Place, Rc<dyn Source>>>,
    last_place: Cell<Place>,
    silent: RefCell<Vec<OpKey>>,
    /// Silent sends of an earlier turn may still fail.
    unsettled: Cell<bool>,
    reaped: RefCell<Vec<Completion>>,
    pub(crate) gathering: Gathering,
    ending: Cell<bool>,
    closed: Cell<bool>,
    forgotten: Rc<dyn Source>,
    pub(crate) counters: Counters,
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) faults: crate::fault::Faults,
}

impl Core {
    pub(crate) fn new(
        driver: AnyDriver,
        pool: Rc<BufferPool>,
        features: Features,
        executor: Executor,
    ) -> Rc<Self> {
        let now = driver.clock();
        Rc::new(Self {
            driver: RefCell::new(driver),
            ops: RefCell::default(),
            pool,
            features,
            executor: Rc::new(executor),
            timers: RefCell::new(TimerWheel::new()),
            origin: now,
            now: Cell::new(now),
            wall_now: Cell::new(None),
            spare_memory: RefCell::default(),
            spare_pipes: RefCell::default(),
            pipes_open: Cell::new(0),
            to_flush: RefCell::default(),
            to_copy_out: RefCell::default(),
            is_hurried: Cell::new(false),
            next_turn: RefCell::default(),
            starved: RefCell::default(),
            last_place: Cell::default(),
            silent: RefCell::default(),
            unsettled: Cell::new(false),
            reaped: RefCell::default(),
            gathering: Gathering::new(now),
            ending: Cell::new(false),
            closed: Cell::new(false),
            forgotten: Rc::new(Forgotten),
            counters: Counters::default(),
            #[cfg(any(test, feature = "simulation"))]
            faults: crate::fault::Faults::default(),
        })
    }

    pub(crate) fn executor(&self) -> &Rc<Executor> {
        &self.executor
    }

    pub(crate) fn pool(&self) -> &Rc<BufferPool> {
        &self.pool
    }

    /// The time of this turn.
    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    /// The time at this moment; see [`Core::now`] for that of the turn.
    pub(crate) fn clock(&self) -> Instant {
        self.driver.borrow().clock()
    }

    /// The wall clock, read at most once in a turn.
    pub(crate) fn wall_now(&self) -> SystemTime {
        match self.wall_now.get() {
            Some(now) => now,
            None => {
                let now = wall_clock();
                self.wall_now.set(Some(now));
                now
            }
        }
    }

    /// Empty memory for bytes to send; it comes back through [`Core::recycle`].
    pub(crate) fn spare_memory(&self) -> Vec<u8> {
        self.spare_memory.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes memory back whose bytes were sent.
    pub(crate) fn recycle(&self, mut memory: Vec<u8>) {
        let mut spare = self.spare_memory.borrow_mut();
        if spare.len() < SPARE_MAX && (1..=SPARE_BYTES_MAX).contains(&memory.capacity()) {
            memory.clear();
            spare.push(memory);
        }
    }

    /// A pipe to splice through, unless there are as many as there may be.
    pub(crate) fn take_pipe(&self) -> Option<AnyPipe> {
        if let Some(pipe) = self.spare_pipes.borrow_mut().pop() {
            return Some(pipe);
        }
        if self.pipes_open.get() >= PIPES_MAX {
            return None;
        }
        let pipe = self.driver.borrow_mut().pipe().ok()?;
        self.pipes_open.set(self.pipes_open.get() + 1);
        Some(pipe)
    }

    /// Takes a pipe back. One with bytes in it is closed.
    pub(crate) fn give_pipe_back(&self, pipe: AnyPipe, is_empty: bool) {
        let mut spare = self.spare_pipes.borrow_mut();
        if is_empty && spare.len() < SPARE_PIPES_MAX {
            spare.push(pipe);
        } else {
            self.pipes_open.set(self.pipes_open.get() - 1);
        }
    }

    /// Every leaf future passes here when polled; a simulation may let it panic, in a task.
    #[inline]
    pub(crate) fn await_point(&self) {
        #[cfg(any(test, feature = "simulation"))]
        if self.executor.is_polling() {
            self.faults.await_point();
        }
    }

    // Operations.

    /// Submits an operation of `source`, which the table holds until the last completion.
    pub(crate) fn submit(&self, source: Rc<dyn Source>, op: &Op) -> OpKey {
        let key = self.ops.borrow_mut().insert(source);
        self.driver.borrow_mut().submit(key, op);
        if let Op::Send { mode: SendMode::Silent, .. }
        | Op::SendVectored { mode: SendMode::Silent, .. } = op
        {
            self.silent.borrow_mut().push(key);
        }
        key
    }

    /// Asks for an operation to end early. Its own completion tells which came first.
    pub(crate) fn cancel(&self, target: OpKey) {
        self.submit(Rc::clone(&self.forgotten), &Op::Cancel { target });
    }

    /// How a send that nobody waits for is to be submitted.
    pub(crate) fn unwatched_send(&self) -> SendMode {
        if self.features.silent_send { SendMode::Silent } else { SendMode::Immediate }
    }

    /// Closes a descriptor with which no operation is in flight.
    pub(crate) fn close(&self, fd: std::os::fd::RawFd) {
        self.submit(Rc::clone(&self.forgotten), &Op::Close { fd });
    }

    /// Operations in flight.
    pub(crate) fn ops_in_flight(&self) -> usize {
        self.ops.borrow().len()
    }

    /// The sources of the operations in flight, for a report of what is stuck.
    pub(crate) fn op_sources(&self) -> String {
        format!("{:?}", self.ops.borrow())
    }

    // Work that waits for a point of the turn.

    /// Calls the source's `flush` at the end of this turn.
    pub(crate) fn flush_later(&self, source: Rc<dyn Source>) {
        self.to_flush.borrow_mut().push(source);
    }

    /// Calls the source's `copy_out` before the next reap.
    pub(crate) fn copy_out_later(&self, source: Rc<dyn Source>) {
        self.to_copy_out.borrow_mut().push(source);
    }

    /// Calls the source's `buffer_available` once a buffer is free and all earlier waiters had
    /// theirs. A source that found the buffer gone again keeps the place it had, so that receives
    /// armed before there was a shortage cannot starve it.
    pub(crate) fn wait_for_buffer(&self, source: Rc<dyn Source>, place: Option<Place>) -> Place {
        count(&self.counters.enobufs, 1);
        let place = place.unwrap_or_else(|| {
            let next = self.last_place.get().next();
            self.last_place.set(next);
            next
        });
        self.starved.borrow_mut().insert(place, source);
        place
    }

    /// Gives a place in the queue for buffers up.
    pub(crate) fn leave_buffer_queue(&self, place: Place) {
        let left = self.starved.borrow_mut().remove(&place);
        drop(left);
    }

    /// Whether a receive would have to queue for a buffer.
    pub(crate) fn is_starving(&self) -> bool {
        !self.starved.borrow().is_empty()
    }

    // Timers.

    /// Wakes `waker` at `deadline`, or within a millisecond after it.
    pub(crate) fn set_timer(&self, deadline: Instant, waker: Waker) -> TimerKey {
        let tick = deadline_tick(deadline.saturating_duration_since(self.origin));
        self.timers.borrow_mut().insert(tick, waker)
    }

    /// Takes a timer back. One that has fired is gone already.
    pub(crate) fn cancel_timer(&self, key: TimerKey) {
        self.timers.borrow_mut().cancel(key);
    }

    /// Timers set.
    pub(crate) fn timers_set(&self) -> usize {
        self.timers.borrow().len()
    }

    // The parts of a turn, in order.

    /// Submits what the turn queued.
    pub(crate) fn flush(&self) {
        loop {
            let Some(source) = self.to_flush.borrow_mut().pop() else {
                return;
            };
            source.flush();
        }
    }

    /// Lets as many starved receives go on as buffers are free, first come first served.
    pub(crate) fn feed_starved(&self) {
        let mut budget = self.pool.available();
        while budget > 0 {
            let Some((_, source)) = self.starved.borrow_mut().pop_first() else {
                return;
            };
            source.buffer_available();
            budget -= 1;
        }
    }

    /// Starts everything, and waits if nothing is ready.
    pub(crate) fn enter(&self, may_wait: bool) {
        // A silent send that succeeds ends no wait, so nobody may wait for what it holds: the
        // buffers that starved receives need, or its own outcome. Nor for what was received and
        // not taken, which gives its buffers back only after this.
        let holds_buffers =
            || !self.silent.borrow().is_empty() || !self.to_copy_out.borrow().is_empty();
        let frees_some = self.unsettled.get() || (self.is_starving() && holds_buffers());
        let is_awaited = self.executor.has_ready() || !self.next_turn.borrow().is_empty();
        let is_awaited = is_awaited || self.is_hurried.take();
        let wait = if !may_wait || frees_some || is_awaited { Wait::No } else { self.wait() };
        self.driver.borrow_mut().enter(wait, &self.pool);
    }

    /// How long to wait when nothing is ready.
    fn wait(&self) -> Wait {
        let left = self.timers.borrow().next_expiry().map(|tick| {
            let due = self.origin.checked_add(TICK * u32::try_from(tick).unwrap_or(u32::MAX));
            due.map_or(WAIT_MAX, |due| due.saturating_duration_since(self.now.get()))
        });
        let gathered = self.gathering.count().filter(|_| self.features.minimum_wait);
        match (left, gathered) {
            (Some(Duration::ZERO), _) => Wait::No,
            (_, Some(completions)) => {
                count(&self.counters.gatherings, 1);
                let at_most = left.unwrap_or(WAIT_MAX).min(WAIT_MAX);
                Wait::Gathering { count: completions, at_most }
            }
            (Some(left), None) => Wait::AtMost(left.min(WAIT_MAX)),
            (None, None) => Wait::Forever,
        }
    }

    /// The rest of this turn must not wait for something to happen: what is listed for copying out
    /// would keep its descriptor open meanwhile.
    pub(crate) fn hurry(&self) {
        self.is_hurried.set(true);
    }

    /// Wakes `waker` when this turn is over, for which it does not wait.
    pub(crate) fn wake_next_turn(&self, waker: &Waker) {
        self.next_turn.borrow_mut().push(waker.clone());
    }

    pub(crate) fn begin_next_turn(&self) {
        count(&self.counters.turns, 1);
        let mut woken = self.next_turn.borrow_mut();
        for waker in woken.drain(..) {
            waker.wake();
        }
    }

    /// Copies out of ring memory what its holders neither sent nor consumed in their turn.
    pub(crate) fn copy_out(&self) {
        loop {
            let Some(source) = self.to_copy_out.borrow_mut().pop() else {
                return;
            };
            let copied = source.copy_out();
            count(&self.counters.copied_out_bytes, copied as u64);
        }
    }

    /// Hands every completion that is there to its source.
    pub(crate) fn reap(&self) {
        let mut reaped = self.reaped.take();
        self.gathering.begin_turn();
        loop {
            self.driver.borrow_mut().reap(&mut reaped, REAP_MAX);
            let full = reaped.len() == REAP_MAX;
            count(&self.counters.completions, reaped.len() as u64);
            for (index, completion) in reaped.iter().enumerate() {
                self.prefetch_ahead(&reaped[index + 1..]);
                self.dispatch(*completion);
            }
            reaped.clear();
            if !full {
                break;
            }
        }
        self.reaped.replace(reaped);
        self.settle_silent();
    }

    /// Fetches the source of a completion that is about to be handed out, and before it the slot
    /// of the op table that leads there.
    #[inline]
    fn prefetch_ahead(&self, coming: &[Completion]) {
        let ops = self.ops.borrow();
        if let Some(completion) = coming.get(2 * PREFETCH_DISTANCE - 1)
            && let Some(slot) = ops.slot_address(completion.key)
        {
            prefetch(slot, 1);
        }
        if let Some(completion) = coming.get(PREFETCH_DISTANCE - 1)
            && let Some(source) = ops.get(completion.key)
        {
            // From the reference counts, which stand before the value.
            let start = Rc::as_ptr(source).cast::<u8>().wrapping_sub(2 * size_of::<usize>());
            prefetch(start, 2 * size_of::<usize>() + size_of_val(&**source));
        }
    }

    fn dispatch(&self, completion: Completion) {
        let source = {
            let mut ops = self.ops.borrow_mut();
            if completion.more {
                ops.get(completion.key).map(Rc::clone)
            } else {
                ops.remove(completion.key)
            }
        };
        match source {
            Some(source) => source.complete(completion),
            None => {
                count(&self.counters.late_completions, 1);
                if let Some(buffer) = completion.buffer {
                    // The buffer has to come back even if nobody wants the bytes.
                    let len = u32::try_from(completion.result).unwrap_or(0);
                    count(&self.counters.lost_bytes, u64::from(len));
                    drop(self.pool.lease(buffer, len));
                }
            }
        }
    }

    /// A silent send that has posted nothing by now moved every byte.
    fn settle_silent(&self) {
        if self.silent.borrow().is_empty() {
            return;
        }
        self.unsettled.set(!self.driver.borrow_mut().settled());
        if self.unsettled.get() {
            return;
        }
        let mut silent = self.silent.take();
        for key in silent.drain(..) {
            let source = self.ops.borrow_mut().remove(key);
            if let Some(source) = source {
                source.complete_silently();
            }
        }
        self.silent.replace(silent);
    }

    /// Reads the time of the turn and fires the timers that are due.
    pub(crate) fn advance_clock(&self) {
        let now = self.driver.borrow().clock();
        self.now.set(now);
        self.wall_now.set(None);
        self.gathering.advance(now);
        let tick = now_tick(now.saturating_duration_since(self.origin));
        // What the wheel leaves for later is due at once: the next turn does not wait.
        let _advanced = self.timers.borrow_mut().advance(tick, &mut |waker: Waker| waker.wake());
    }

    /// Begins the end: cancels everything in flight. What would go on by itself must not from now.
    pub(crate) fn begin_end(&self) {
        self.ending.set(true);
        let keys: Vec<OpKey> = self.ops.borrow().iter().map(|(key, _)| key).collect();
        for key in keys {
            self.cancel(key);
        }
    }

    /// Whether the reactor is about to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.get()
    }

    /// Whether the reactor has ended: nothing submitted now would ever be started.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Ends the reactor: lets every source go. If the kernel has not ended an operation even now,
    /// what it may still touch is left to it for ever: lost memory is better than overwritten
    /// memory.
    pub(crate) fn close_down(&self) {
        self.closed.set(true);
        self.to_flush.take();
        self.to_copy_out.take();
        self.next_turn.take();
        self.starved.take();
        let ops = self.ops.take();
        if ops.is_empty() {
            return;
        }
        #[expect(clippy::mem_forget, reason = "the kernel may still touch what the sources own")]
        std::mem::forget((ops, Rc::clone(&self.pool)));
    }

    pub(crate) fn driver_stats(&self) -> DriverStats {
        self.driver.borrow().stats()
    }
}

/// The source of operations whose outcome changes nothing: cancels and closes.
#[derive(Debug)]
struct Forgotten;

impl Source for Forgotten {
    fn complete(self: Rc<Self>, _completion: Completion) {}
}

/// How many completions ahead sources are fetched: far enough that one is there when its turn
/// comes, near enough that it is still there.
const PREFETCH_DISTANCE: usize = 3;
/// Longest wait in the kernel; far timers are looked at again then.
const WAIT_MAX: Duration = Duration::from_secs(60 * 60);
/// Completions handed over before the next batch is taken: one queue's worth.
const REAP_MAX: usize = 8192;

/// The one place where a worker reads the wall clock.
#[expect(clippy::disallowed_methods, reason = "the reactor is where time comes from")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}
