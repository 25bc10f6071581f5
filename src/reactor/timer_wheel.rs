//! The timer wheel of a worker: which deadlines have passed, in constant time per timer.
//!
//! It is a hierarchical wheel of [`LEVELS`] levels with 64 slots each. A timer sits on the level of
//! the highest base-64 digit in which its deadline differs from the wheel's own time, in the slot
//! of that digit. So all timers of a level are due before those of the level above, the first
//! occupied slot is found by counting zero bits, and a timer moves down at most once per level.
//!
//! It does not read a clock: `now` is an argument, in ticks since the start of the reactor. It runs
//! no user code while it is borrowed apart from the `fire` callback of [`TimerWheel::advance`],
//! which cannot reach the wheel. It does not limit how many timers there are: every timer belongs
//! to a connection or a task, and those are limited.
//!
//! **Invariant:** no timer fires before its deadline tick, and `next_expiry` never names a tick
//! later than the earliest deadline.
//!
//! **Invariant:** on each level above the lowest, the slot of the wheel's own time is empty unless
//! `cascading` names that level: then the slot is being emptied, before anything else happens.
#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

/// How long one tick is. Deadlines are rounded up to a tick, the present is rounded down.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// How many timers one [`TimerWheel::advance`] fires or moves to a lower level at most.
///
/// A fired timer costs a task wake-up, some tens of nanoseconds, so that 100,000 timers with one
/// deadline hold up a turn of the reactor by well under a millisecond at a time.
pub(crate) const STEPS_PER_ADVANCE_MAX: usize = 4_096;

/// The tick at which a deadline may fire: the first tick that is not before it.
///
/// `since_start` is the deadline as time since the start of the reactor. A deadline of more than
/// 500 million years is the last tick there is.
#[must_use]
pub(crate) fn deadline_tick(since_start: Duration) -> u64 {
    u64::try_from(since_start.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX)
}

/// The tick that has been reached when `since_start` has passed since the start of the reactor.
#[must_use]
pub(crate) fn now_tick(since_start: Duration) -> u64 {
    u64::try_from(since_start.as_nanos() / TICK.as_nanos()).unwrap_or(u64::MAX)
}

/// Names one timer of one wheel until that timer has fired or was cancelled; stale afterwards.
///
/// The generation makes a stale key harmless: the entry it names may have a new tenant by then. (A
/// key that is kept while its entry is reused 4 billion times would be mistaken.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TimerKey {
    index: u32,
    generation: u32,
}

/// What an [`TimerWheel::advance`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) struct Advanced {
    /// How many timers fired.
    pub fired: usize,
    /// The budget was spent first: call again in the next turn, without sleeping in between.
    pub more_due: bool,
}

/// Timers with a payload each, in use a [`std::task::Waker`].
pub(crate) struct TimerWheel<T> {
    /// The tick up to which everything has fired, or is firing: a deadline before it is overdue.
    elapsed: u64,
    /// The level whose slot of `elapsed` is being moved down; its timers may be due before all
    /// that are already on lower levels. Zero: none.
    cascading: usize,
    levels: [Level; LEVELS],
    entries: Vec<Entry<T>>,
    /// First vacant entry, linked by `next`, or [`NIL`].
    vacant: u32,
    len: usize,
}

/// 64 lists of timers and which of them are not empty.
#[derive(Debug, Clone, Copy)]
struct Level {
    /// Bit `n` is set if and only if `slots[n]` is not empty.
    occupied: u64,
    slots: [List; SLOTS],
}

/// A doubly linked list through [`Entry::previous`] and [`Entry::next`].
#[derive(Debug, Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

#[derive(Debug)]
struct Entry<T> {
    /// Absent while the entry is vacant.
    payload: Option<T>,
    /// The tick at which it fires; never before the wheel's time at its insertion.
    deadline: u64,
    generation: u32,
    previous: u32,
    next: u32,
    /// Which list it is in.
    level: u8,
    slot: u8,
}

impl<T> TimerWheel<T> {
    /// An empty wheel at tick 0. It allocates with its first timers and keeps what it has.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self {
            elapsed: 0,
            cascading: 0,
            levels: [Level { occupied: 0, slots: [List::EMPTY; SLOTS] }; LEVELS],
            entries: Vec::new(),
            vacant: NIL,
            len: 0,
        }
    }

    /// How many timers are waiting.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a timer that fires in the first [`TimerWheel::advance`] to `deadline` or later.
    ///
    /// A deadline that has passed fires in the next one, after those that are due already.
    ///
    /// # Panics
    ///
    /// With 2^32 - 1 timers waiting: the memory of a machine ends far below that.
    pub(crate) fn insert(&mut self, deadline: u64, payload: T) -> TimerKey {
        let index = self.occupy(deadline.max(self.elapsed), payload);
        self.link(index);
        self.len += 1;
        TimerKey { index, generation: self.entries[index as usize].generation }
    }

    /// Takes a timer out and gives its payload back; `None` if it has fired or was cancelled.
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<T> {
        self.find(key)?;
        self.unlink(key.index);
        self.vacate(key.index)
    }

    /// The tick up to which the reactor may sleep; `None` without timers.
    ///
    /// It is the earliest deadline or a lower bound of it. A bound costs one wake-up in which
    /// timers move down; a timer causes at most one such wake-up per level (four within a day), and
    /// the answer is exact for deadlines in the current block of 64 ticks.
    #[must_use]
    pub(crate) fn next_expiry(&self) -> Option<u64> {
        if self.cascading > 0 {
            return Some(self.elapsed);
        }
        self.first_occupied().map(|position| self.start_of(position))
    }

    /// Moves the wheel's time to `now` and fires what is due, in the order of the deadlines.
    ///
    /// At most [`STEPS_PER_ADVANCE_MAX`] timers are fired or moved; then the rest stays due, and
    /// the wheel's time stands still until a later call has fired it. A `now` before that of an
    /// earlier call counts as that earlier one.
    pub(crate) fn advance(&mut self, now: u64, fire: &mut impl FnMut(T)) -> Advanced {
        self.advance_within(now, STEPS_PER_ADVANCE_MAX, fire)
    }

    fn advance_within(
        &mut self,
        now: u64,
        mut steps_left: usize,
        fire: &mut impl FnMut(T),
    ) -> Advanced {
        let now = now.max(self.elapsed);
        let mut fired = 0;
        loop {
            self.cascade(&mut steps_left);
            let due = self.next_expiry().filter(|&tick| tick <= now);
            let Some(tick) = due else {
                // No slot starts in `elapsed..=now`, so `now` shares with `elapsed` every digit
                // above the one that placed a timer, and each timer keeps its place.
                self.elapsed = now;
                return Advanced { fired, more_due: false };
            };
            if steps_left == 0 {
                return Advanced { fired, more_due: true };
            }
            self.elapsed = tick;
            let Some((level, slot)) = self.first_occupied() else {
                continue;
            };
            if level > 0 {
                self.cascading = level;
                continue;
            }
            while let Some(index) = self.levels[0].slots[slot].first() {
                if steps_left == 0 {
                    return Advanced { fired, more_due: true };
                }
                steps_left -= 1;
                self.unlink(index);
                if let Some(payload) = self.vacate(index) {
                    fired += 1;
                    fire(payload);
                }
            }
        }
    }

    /// Moves the timers of the slot that is being emptied, if any, to the levels below.
    fn cascade(&mut self, steps_left: &mut usize) {
        if self.cascading == 0 {
            return;
        }
        let slot = digit(self.elapsed, self.cascading);
        while let Some(index) = self.levels[self.cascading].slots[slot].first() {
            if *steps_left == 0 {
                return;
            }
            *steps_left -= 1;
            self.unlink(index);
            self.link(index);
        }
        self.cascading = 0;
    }

    /// The first slot in time that holds a timer. A lower level is always earlier.
    fn first_occupied(&self) -> Option<(usize, usize)> {
        self.levels
            .iter()
            .enumerate()
            .find(|(_, level)| level.occupied != 0)
            .map(|(index, level)| (index, level.occupied.trailing_zeros() as usize))
    }

    /// The first tick of a slot, given that it lies in the future of `elapsed` or contains it.
    fn start_of(&self, (level, slot): (usize, usize)) -> u64 {
        let shift = DIGIT_BITS * level;
        ((self.elapsed >> shift) & !DIGIT_MASK | slot as u64) << shift
    }

    /// Appends an entry to the list its deadline belongs to.
    fn link(&mut self, index: u32) {
        let deadline = self.entries[index as usize].deadline;
        let level = level_of(self.elapsed, deadline);
        let slot = digit(deadline, level);
        let list = &mut self.levels[level].slots[slot];
        let last = list.last;
        list.last = index;
        if last == NIL {
            list.first = index;
            self.levels[level].occupied |= 1 << slot;
        } else {
            self.entries[last as usize].next = index;
        }
        let entry = &mut self.entries[index as usize];
        entry.previous = last;
        entry.next = NIL;
        (entry.level, entry.slot) = (small(level), small(slot));
    }

    /// Takes an entry out of the list it is in.
    fn unlink(&mut self, index: u32) {
        let entry = &self.entries[index as usize];
        let (previous, next) = (entry.previous, entry.next);
        let (level, slot) = (usize::from(entry.level), usize::from(entry.slot));
        let list = &mut self.levels[level].slots[slot];
        if previous == NIL {
            list.first = next;
        } else {
            self.entries[previous as usize].next = next;
        }
        if next == NIL {
            list.last = previous;
        } else {
            self.entries[next as usize].previous = previous;
        }
        if list.first == NIL {
            self.levels[level].occupied &= !(1 << slot);
        }
    }

    /// Fills a vacant entry or a new one. It is in no list yet.
    fn occupy(&mut self, deadline: u64, payload: T) -> u32 {
        let index = self.vacant;
        if let Some(entry) = self.entries.get_mut(index as usize) {
            self.vacant = entry.next;
            entry.payload = Some(payload);
            entry.deadline = deadline;
            return index;
        }
        let index = u32::try_from(self.entries.len()).unwrap_or(NIL);
        assert!(index != NIL, "a timer wheel holds at most 2^32 - 1 timers");
        self.entries.push(Entry {
            payload: Some(payload),
            deadline,
            generation: 0,
            previous: NIL,
            next: NIL,
            level: 0,
            slot: 0,
        });
        index
    }

    /// Empties an entry that is in no list any more, and makes every key to it stale.
    fn vacate(&mut self, index: u32) -> Option<T> {
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.next = self.vacant;
        self.vacant = index;
        self.len -= 1;
        entry.payload.take()
    }

    fn find(&mut self, key: TimerKey) -> Option<&mut Entry<T>> {
        self.entries
            .get_mut(key.index as usize)
            .filter(|entry| entry.generation == key.generation && entry.payload.is_some())
    }
}

impl<T> Default for TimerWheel<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for TimerWheel<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TimerWheel")
            .field("elapsed", &self.elapsed)
            .field("len", &self.len)
            .field("next_expiry", &self.next_expiry())
            .finish_non_exhaustive()
    }
}

impl List {
    const EMPTY: Self = Self { first: NIL, last: NIL };

    fn first(self) -> Option<u32> {
        (self.first != NIL).then_some(self.first)
    }
}

/// The level of a timer: the highest digit in which its deadline differs from the wheel's time.
fn level_of(elapsed: u64, deadline: u64) -> usize {
    (elapsed ^ deadline).checked_ilog2().unwrap_or(0) as usize / DIGIT_BITS
}

/// A base-64 digit of a tick.
fn digit(tick: u64, level: usize) -> usize {
    usize::try_from(tick >> (DIGIT_BITS * level) & DIGIT_MASK).unwrap_or(0)
}

/// A level or slot number, which is below 64, in the width it is stored in.
fn small(number: usize) -> u8 {
    debug_assert!(number < SLOTS);
    u8::try_from(number).unwrap_or(0)
}

/// Bits of a digit: a level has 64 slots because their occupancy fits one machine word.
const DIGIT_BITS: usize = 6;
const DIGIT_MASK: u64 = 63;
const SLOTS: usize = 1 << DIGIT_BITS;
/// Eleven digits hold every `u64`, so there is no deadline to cut off; a level costs 520 bytes.
const LEVELS: usize = 11;
/// No entry.
const NIL: u32 = u32::MAX;

#[cfg(test)]
mod tests;
