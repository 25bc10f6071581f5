//! How much one place in the code may say: a mistake that repeats must not fill a disk.
//!
//! Invariant: what was left out is told, once for each place and second.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Lines that one place in the code may log in one second.
pub(super) const SITE_LINES_PER_SECOND_MAX: u32 = 50;

const SECOND: Duration = Duration::from_secs(1);

/// What each place, `S`, has said in its current second. Places are few: the program has them.
#[derive(Debug)]
pub(super) struct Limiter<S>(HashMap<S, Window>);

#[derive(Debug)]
struct Window {
    start: Instant,
    lines: u32,
    suppressed: u64,
}

/// What to do with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Log it. First say that so many lines of its place were left out, unless none was.
    Log { suppressed_before: u64 },
    /// Leave it out.
    Suppress,
}

impl<S: Hash + Eq + Clone> Limiter<S> {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    /// Decides on one line from `site`.
    pub(super) fn admit(&mut self, site: S, now: Instant) -> Verdict {
        let new = Window { start: now, lines: 0, suppressed: 0 };
        let window = self.0.entry(site).or_insert(new);
        let mut suppressed_before = 0;
        if now.saturating_duration_since(window.start) >= SECOND {
            suppressed_before = window.suppressed;
            *window = Window { start: now, lines: 0, suppressed: 0 };
        }
        if window.lines >= SITE_LINES_PER_SECOND_MAX {
            window.suppressed += 1;
            return Verdict::Suppress;
        }
        window.lines += 1;
        Verdict::Log { suppressed_before }
    }

    /// The places whose second is over and that left lines out, with how many; told only once.
    pub(super) fn take_suppressed(&mut self, now: Instant) -> Vec<(S, u64)> {
        let over = |window: &Window| now.saturating_duration_since(window.start) >= SECOND;
        let silent = self.0.iter_mut().filter(|(_, window)| window.suppressed > 0 && over(window));
        silent
            .map(|(site, window)| (site.clone(), std::mem::take(&mut window.suppressed)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_place_that_says_too_much_is_cut_and_the_next_second_says_how_much() {
        let (mut limiter, start) = (Limiter::new(), start());
        for _ in 0..SITE_LINES_PER_SECOND_MAX {
            assert_eq!(limiter.admit('a', start), Verdict::Log { suppressed_before: 0 });
        }
        for _ in 0..7 {
            assert_eq!(limiter.admit('a', start + SECOND / 2), Verdict::Suppress);
        }
        // Another place has its own second.
        assert_eq!(limiter.admit('b', start), Verdict::Log { suppressed_before: 0 });
        assert_eq!(limiter.admit('a', start + SECOND), Verdict::Log { suppressed_before: 7 });
        assert_eq!(limiter.admit('a', start + SECOND), Verdict::Log { suppressed_before: 0 });
    }

    #[test]
    fn what_a_place_left_out_before_it_fell_silent_is_told_once() {
        let (mut limiter, start) = (Limiter::new(), start());
        for _ in 0..SITE_LINES_PER_SECOND_MAX + 2 {
            limiter.admit('a', start);
        }
        assert_eq!(limiter.take_suppressed(start + SECOND / 2), []);
        assert_eq!(limiter.take_suppressed(start + SECOND), [('a', 2)]);
        assert_eq!(limiter.take_suppressed(start + SECOND), []);
        assert_eq!(limiter.admit('a', start + SECOND), Verdict::Log { suppressed_before: 0 });
    }
}
