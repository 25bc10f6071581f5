//! Those who wait for something of a pool, and the queue of them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Those who wait for a `T`, the longest first.
#[derive(Debug)]
pub(crate) struct Waiters<T> {
    queue: RefCell<VecDeque<Rc<Waiter<T>>>>,
}

/// One who waits.
#[derive(Debug)]
struct Waiter<T> {
    outcome: RefCell<Option<T>>,
    waker: RefCell<Option<Waker>>,
}

impl<T> Waiter<T> {
    fn tell(&self, outcome: T) {
        self.outcome.replace(Some(outcome));
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

impl<T> Default for Waiters<T> {
    fn default() -> Self {
        Self { queue: RefCell::default() }
    }
}

impl<T> Waiters<T> {
    pub(crate) fn len(&self) -> usize {
        self.queue.borrow().len()
    }

    /// Gives something to whoever has waited longest; it comes back if nobody waits.
    pub(crate) fn serve(&self, outcome: T) -> Option<T> {
        let Some(waiter) = self.queue.borrow_mut().pop_front() else { return Some(outcome) };
        waiter.tell(outcome);
        None
    }

    /// Tells the same to everybody who waits now.
    pub(crate) fn tell_all(&self, outcome: impl Fn() -> T) {
        // Who is told may ask again at once, and is not to be told twice.
        for waiter in self.queue.take() {
            waiter.tell(outcome());
        }
    }

    /// Waits to be told. If the wait is given up, what has been told in the meantime goes to
    /// `give_back`.
    pub(crate) async fn wait(&self, give_back: impl Fn(T)) -> T {
        let waiter = Rc::new(Waiter { outcome: RefCell::new(None), waker: RefCell::new(None) });
        self.queue.borrow_mut().push_back(Rc::clone(&waiter));
        let place = Place { waiters: self, waiter: &waiter, give_back };
        poll_fn(|context| match place.waiter.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                *place.waiter.waker.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

/// A place in the queue, left when it is dropped.
struct Place<'a, T, F: Fn(T)> {
    waiters: &'a Waiters<T>,
    waiter: &'a Rc<Waiter<T>>,
    give_back: F,
}

impl<T, F: Fn(T)> Drop for Place<'_, T, F> {
    fn drop(&mut self) {
        match self.waiter.outcome.take() {
            Some(outcome) => (self.give_back)(outcome),
            None => self.waiters.queue.borrow_mut().retain(|other| !Rc::ptr_eq(other, self.waiter)),
        }
    }
}
