//! A number that is one higher for as long as a value lives.

use std::cell::Cell;
use std::rc::Rc;

/// How many [`Tallied`] of it there are.
#[derive(Debug, Default)]
pub(crate) struct Tally(Rc<Cell<usize>>);

/// One more, until it is dropped.
#[derive(Debug)]
pub(crate) struct Tallied(Rc<Cell<usize>>);

impl Tally {
    pub(crate) fn get(&self) -> usize {
        self.0.get()
    }

    pub(crate) fn one(&self) -> Tallied {
        self.0.set(self.0.get() + 1);
        Tallied(Rc::clone(&self.0))
    }
}

impl Drop for Tallied {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
