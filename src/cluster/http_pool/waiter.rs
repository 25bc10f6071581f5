//! One who waits for a connection, and the queue of them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::connection::HttpConnection;
use crate::connect::ConnectFailure;

type Outcome = Result<Rc<HttpConnection>, ConnectFailure>;

/// Those who wait for a connection of one host, the longest first.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    queue: RefCell<VecDeque<Rc<Waiter>>>,
}

/// One who waits.
#[derive(Debug, Default)]
struct Waiter {
    outcome: RefCell<Option<Outcome>>,
    waker: RefCell<Option<Waker>>,
}

impl Waiter {
    fn tell(&self, outcome: Outcome) {
        self.outcome.replace(Some(outcome));
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

impl Waiters {
    pub(super) fn len(&self) -> usize {
        self.queue.borrow().len()
    }

    /// Gives a connection to whoever has waited longest; it comes back if nobody waits.
    pub(super) fn serve(&self, connection: Rc<HttpConnection>) -> Option<Rc<HttpConnection>> {
        let Some(waiter) = self.queue.borrow_mut().pop_front() else { return Some(connection) };
        waiter.tell(Ok(connection));
        None
    }

    /// Turns away everybody who waits now.
    pub(super) fn fail_all(&self, failure: impl Fn() -> ConnectFailure) {
        // Who is told may ask again at once, and is not to be told twice.
        for waiter in self.queue.take() {
            waiter.tell(Err(failure()));
        }
    }

    /// Waits for a connection or for a failure. If the wait is given up, a connection that has
    /// been given in the meantime goes to `give_back`.
    pub(super) async fn wait(&self, give_back: impl Fn(Rc<HttpConnection>)) -> Outcome {
        let waiter = Rc::new(Waiter::default());
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
struct Place<'a, F: Fn(Rc<HttpConnection>)> {
    waiters: &'a Waiters,
    waiter: &'a Rc<Waiter>,
    give_back: F,
}

impl<F: Fn(Rc<HttpConnection>)> Drop for Place<'_, F> {
    fn drop(&mut self) {
        match self.waiter.outcome.take() {
            Some(Ok(connection)) => (self.give_back)(connection),
            Some(Err(_)) => {}
            None => self.waiters.queue.borrow_mut().retain(|other| !Rc::ptr_eq(other, self.waiter)),
        }
    }
}
