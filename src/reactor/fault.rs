//! Faults injected by tests: a panic at the n-th await point that a reactor's futures pass.
#![forbid(unsafe_code)]

use std::cell::Cell;

/// Counts await points and panics at a chosen one.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    passed: Cell<u64>,
    panic_at: Cell<Option<u64>>,
}

impl Faults {
    /// A leaf future is being polled.
    ///
    /// # Panics
    /// At the point chosen by [`Faults::panic_at`], once.
    pub(crate) fn await_point(&self) {
        let number = self.passed.get();
        self.passed.set(number + 1);
        if self.panic_at.get() == Some(number) {
            self.panic_at.set(None);
            #[expect(clippy::panic, reason = "the injected fault")]
            {
                panic!("injected at await point {number}");
            }
        }
    }

    /// Points passed since the last [`Faults::panic_at`].
    pub(crate) fn passed(&self) -> u64 {
        self.passed.get()
    }

    /// Counts from 0 again and panics at point `number`, or nowhere.
    pub(crate) fn panic_at(&self, number: Option<u64>) {
        self.passed.set(0);
        self.panic_at.set(number);
    }
}
