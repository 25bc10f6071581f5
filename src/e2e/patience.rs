//! Waiting for an event with a deadline; the only place of these tests that reads the clock.
//!
//! A deadline only bounds a failing run. It is generous, because a passing run never reaches it.

use std::time::{Duration, Instant};

/// How long a test waits for what must happen: far above any delay of a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Pause between two looks at something that cannot be waited for, such as an admin page.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A moment after which waiting is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// `PATIENCE` from now.
    pub(crate) fn patient() -> Self {
        Self::after(PATIENCE)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place of these tests with a clock")]
    pub(crate) fn after(duration: Duration) -> Self {
        Self(Instant::now() + duration)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place of these tests with a clock")]
    pub(crate) fn has_passed(self) -> bool {
        Instant::now() >= self.0
    }
}

/// Looks until `look` finds something; after the deadline panics with `what` it last saw.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Deadline::patient();
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if deadline.has_passed() => {
                panic!("waited {} s for {what}: {seen}", PATIENCE.as_secs())
            }
            Err(_) => pause(LOOK_AGAIN),
        }
    }
}

/// Lets time pass: between two looks, or because elapsed time is what a scenario is about.
#[expect(clippy::disallowed_methods, reason = "the one place of these tests that sleeps")]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
