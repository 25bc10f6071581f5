//! Futures that are used again: the memory of one exchange serves the next.
//!
//! A connection without a request holds no exchange, and a request allocates none.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Idle cells kept for reuse.
const KEPT_MAX: usize = 1024;

/// A future's memory, empty or in use.
trait Cell<A, T> {
    fn start(&mut self, argument: A);
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<T>;
    fn clear(&mut self);
}

struct FutureCell<A, F> {
    make: fn(A) -> F,
    future: Pin<Box<Option<F>>>,
}

impl<A, F: Future> Cell<A, F::Output> for FutureCell<A, F> {
    fn start(&mut self, argument: A) {
        self.future.as_mut().set(Some((self.make)(argument)));
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<F::Output> {
        match self.future.as_mut().as_pin_mut() {
            Some(future) => future.poll(context),
            None => Poll::Pending,
        }
    }

    fn clear(&mut self) {
        self.future.as_mut().set(None);
    }
}

type BoxedCell<A, T> = Box<dyn Cell<A, T>>;

/// Makes futures from an argument, in memory that comes back when they are dropped.
pub(crate) struct Recycler<A, T> {
    make: Box<dyn Fn() -> BoxedCell<A, T>>,
    kept: Rc<RefCell<Vec<BoxedCell<A, T>>>>,
}

impl<A: 'static, T: 'static> Recycler<A, T> {
    /// Futures of one kind.
    pub(crate) fn new<F: Future<Output = T> + 'static>(make: fn(A) -> F) -> Self {
        let cell =
            move || -> BoxedCell<A, T> { Box::new(FutureCell { make, future: Box::pin(None) }) };
        Self { make: Box::new(cell), kept: Rc::default() }
    }

    /// A future made from `argument`.
    pub(crate) fn start(&self, argument: A) -> Recycled<A, T> {
        let mut cell = self.kept.borrow_mut().pop().unwrap_or_else(|| (self.make)());
        cell.start(argument);
        Recycled { cell: Some(cell), kept: Rc::clone(&self.kept) }
    }
}

impl<A, T> fmt::Debug for Recycler<A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recycler").field("kept", &self.kept.borrow().len()).finish()
    }
}

/// A future in recycled memory.
pub(crate) struct Recycled<A, T> {
    cell: Option<BoxedCell<A, T>>,
    kept: Rc<RefCell<Vec<BoxedCell<A, T>>>>,
}

impl<A, T> Future for Recycled<A, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match &mut self.cell {
            Some(cell) => cell.poll(context),
            None => Poll::Pending,
        }
    }
}

impl<A, T> Drop for Recycled<A, T> {
    fn drop(&mut self) {
        let Some(mut cell) = self.cell.take() else { return };
        // What the future held goes now. A panic in it leaves the cell behind.
        cell.clear();
        let mut kept = self.kept.borrow_mut();
        if kept.len() < KEPT_MAX {
            kept.push(cell);
        }
    }
}

/// Values that are used again, with the memory they have grown.
#[derive(Debug)]
pub(crate) struct Shelf<T> {
    kept: Rc<RefCell<Vec<Box<T>>>>,
}

impl<T: Default> Shelf<T> {
    pub(crate) fn new() -> Self {
        Self { kept: Rc::default() }
    }

    /// A value as its last user left it, or a new one.
    pub(crate) fn take(&self) -> Borrowed<T> {
        let value = self.kept.borrow_mut().pop().unwrap_or_default();
        Borrowed { value: Some(value), kept: Rc::clone(&self.kept) }
    }
}

/// A value of a [`Shelf`], which gets it back.
#[derive(Debug)]
pub(crate) struct Borrowed<T> {
    value: Option<Box<T>>,
    kept: Rc<RefCell<Vec<Box<T>>>>,
}

impl<T> Deref for Borrowed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("taken in drop only")
    }
}

impl<T> DerefMut for Borrowed<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("taken in drop only")
    }
}

impl<T> Drop for Borrowed<T> {
    fn drop(&mut self) {
        let mut kept = self.kept.borrow_mut();
        if let Some(value) = self.value.take()
            && kept.len() < KEPT_MAX
            && !std::thread::panicking()
        {
            kept.push(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::task::Waker;

    use super::*;

    #[test]
    fn a_future_runs_in_the_memory_of_the_one_before() {
        let recycler = Recycler::new(|value: u32| ready(value + 1));
        let context = &mut Context::from_waker(Waker::noop());
        for value in 0..3 {
            let mut future = recycler.start(value);
            assert_eq!(Pin::new(&mut future).poll(context), Poll::Ready(value + 1));
        }
        assert_eq!(recycler.kept.borrow().len(), 1);
    }

    #[test]
    fn what_an_unfinished_future_holds_goes_with_it() {
        let held = Rc::new(());
        let recycler = Recycler::new(|held: Rc<()>| async move {
            pending::<()>().await;
            drop(held);
        });
        let mut future = recycler.start(Rc::clone(&held));
        let context = &mut Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut future).poll(context).is_pending());
        drop(future);
        assert_eq!((Rc::strong_count(&held), recycler.kept.borrow().len()), (1, 1));
    }

    #[test]
    fn a_value_keeps_its_memory() {
        let shelf = Shelf::<Vec<u8>>::new();
        let mut value = shelf.take();
        value.reserve(1000);
        drop(value);
        assert!(shelf.take().capacity() >= 1000);
    }
}
