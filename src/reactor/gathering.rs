//! When completions are let gather before a worker is woken.
//!
//! What a turn costs is shared by what it brings, so a busy worker had better be woken for several
//! completions at once. But whoever was answered last may have nothing to say before the answer
//! has arrived: where few peers are active, waiting for more of them only delays those that came.
//! So a worker gathers where many times more peers are active than the last turn heard of, and
//! waits for no more of them than came in that turn.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Receives of a turn from which on the worker is busy.
const BUSY_RECEIVES: u32 = 4;
/// Of the active peers at most one in so many was heard of in the last turn.
const ACTIVE_PER_RECEIVE: u32 = 4;
/// Completions that are worth a turn, however many the last one brought.
const COUNT_MAX: u32 = 64;
/// Peers are active that have sent something within so long.
const EPOCH: Duration = Duration::from_millis(1);

/// What a worker knows of its peers' activity.
#[derive(Debug)]
pub(crate) struct Gathering {
    epoch_began: Cell<Instant>,
    /// Peers that have sent something in this epoch.
    active: Cell<u32>,
    /// The same of the epoch before.
    active_before: Cell<u32>,
    /// Receives of the last turn.
    receives: Cell<u32>,
}

impl Gathering {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            epoch_began: Cell::new(now),
            active: Cell::new(0),
            active_before: Cell::new(0),
            receives: Cell::new(0),
        }
    }

    /// A turn's completions come next.
    pub(crate) fn begin_turn(&self) {
        self.receives.set(0);
    }

    /// Bytes were received from a peer that had last sent some at `last`.
    pub(crate) fn received(&self, last: Instant) {
        self.receives.set(self.receives.get() + 1);
        if last < self.epoch_began.get() {
            self.active.set(self.active.get() + 1);
        }
    }

    /// The time of the turn.
    pub(crate) fn advance(&self, now: Instant) {
        let passed = now.saturating_duration_since(self.epoch_began.get());
        if passed >= EPOCH {
            let active = self.active.take();
            // Of a worker that has rested nothing is known.
            self.active_before.set(if passed < EPOCH * 2 { active } else { 0 });
            self.epoch_began.set(now);
        }
    }

    /// How many completions are to gather, if any are.
    pub(crate) fn count(&self) -> Option<u32> {
        let receives = self.receives.get();
        let others = self.active_before.get() / ACTIVE_PER_RECEIVE;
        (BUSY_RECEIVES..=others).contains(&receives).then_some(receives.min(COUNT_MAX))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any moment will do")]
mod tests {
    use super::*;

    /// Turns of `receives` each, a tenth of a millisecond apart, from `peers` in rotation.
    fn after(peers: usize, receives: usize, turns: u32) -> (Gathering, Instant) {
        let began = Instant::now();
        let gathering = Gathering::new(began);
        let mut now = began;
        let mut last = vec![began.checked_sub(EPOCH).unwrap(); peers];
        for turn in 0..turns as usize {
            gathering.begin_turn();
            for number in 0..receives {
                let peer = (turn * receives + number) % peers;
                gathering.received(last[peer]);
                last[peer] = now;
            }
            now += EPOCH / 10;
            gathering.advance(now);
        }
        (gathering, now)
    }

    #[test]
    fn completions_gather_where_many_more_peers_are_active_than_a_turn_hears_of() {
        for (peers, receives, count) in [
            (64, 5, Some(5)),
            (32, 8, Some(8)),
            (31, 8, None),
            (8, 4, None),
            // Nothing to share the cost of a turn.
            (64, 3, None),
            // Few of many peers are active.
            (1000, 1, None),
            (1000, 90, Some(64)),
        ] {
            let (gathering, _) = after(peers, receives, 40);
            assert_eq!(gathering.count(), count, "{receives} of {peers}");
        }
    }

    #[test]
    fn nothing_is_known_at_first_and_after_a_rest() {
        let (gathering, _) = after(64, 5, 5);
        assert_eq!(gathering.count(), None);
        let (gathering, now) = after(64, 5, 40);
        gathering.advance(now + EPOCH * 3);
        assert_eq!(gathering.count(), None);
        gathering.begin_turn();
        assert_eq!(gathering.count(), None);
    }
}
