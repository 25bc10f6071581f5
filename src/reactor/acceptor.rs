//! Accepting connections: one multishot accept per listening socket.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::core::{Core, Source};
use crate::driver::{Completion, Op, OpKey};
use crate::fd::{Fd, Socket, accept_queued, adopt};

/// A listening socket of a reactor. Dropping it cancels the accept and closes the descriptor;
/// connections that were accepted but not taken are closed.
#[derive(Debug)]
pub struct Acceptor {
    inner: Rc<Inner>,
}

#[derive(Debug)]
struct Inner {
    core: Rc<Core>,
    fd: Rc<Fd>,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    armed: Option<OpKey>,
    /// Accepted and not yet taken. The descriptor limit bounds it.
    accepted: VecDeque<OwnedFd>,
    /// Why the accept ended, to be told once.
    failure: Option<i32>,
    waker: Option<Waker>,
    abandoned: bool,
}

impl Acceptor {
    /// Accepts from `listener`, which is bound, listening and non-blocking.
    pub(crate) fn new(core: Rc<Core>, listener: OwnedFd) -> Self {
        let fd = Fd::new(Rc::clone(&core), listener);
        Self { inner: Rc::new(Inner { core, fd, state: RefCell::default() }) }
    }

    /// As [`Acceptor::accept_fd`], with a socket of this reactor.
    ///
    /// # Errors
    /// As there.
    pub async fn accept(&self) -> io::Result<Socket> {
        let fd = self.accept_fd().await?;
        Ok(Socket::new(Rc::clone(&self.inner.core), fd))
    }

    /// Waits for a connection, whose descriptor is non-blocking and close-on-exec.
    ///
    /// # Errors
    /// What the kernel said, once; the next call starts to accept again. `EMFILE`, `ENFILE`,
    /// `ENOBUFS` and `ENOMEM` pass when resources come back: wait before the next call, for the
    /// connection that could not be accepted stays queued and the error would repeat at once.
    pub async fn accept_fd(&self) -> io::Result<OwnedFd> {
        poll_fn(|context| self.poll_accept(context)).await
    }

    /// What [`Acceptor::accept_fd`] would give at once, if there is something.
    pub fn take(&self) -> Option<io::Result<OwnedFd>> {
        self.inner.state.borrow_mut().take()
    }

    fn poll_accept(&self, context: &Context<'_>) -> Poll<io::Result<OwnedFd>> {
        self.inner.core.await_point();
        let mut state = self.inner.state.borrow_mut();
        if let Some(accepted) = state.take() {
            return Poll::Ready(accepted);
        }
        if state.armed.is_none() {
            let source = Rc::clone(&self.inner) as Rc<dyn Source>;
            let op = Op::AcceptMulti { fd: self.inner.fd.raw() };
            state.armed = Some(self.inner.core.submit(source, &op));
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Ends the accept in flight and waits until it has: from then on connections stay in the
    /// kernel's queue until [`Acceptor::accept`] or [`Acceptor::accept_queued_fd`] takes them.
    pub async fn stop(&self) {
        let armed = self.inner.state.borrow().armed;
        let Some(key) = armed else { return };
        self.inner.core.cancel(key);
        poll_fn(|context| {
            self.inner.core.await_point();
            let mut state = self.inner.state.borrow_mut();
            if state.armed.is_none() {
                return Poll::Ready(());
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Takes a connection that is queued already, without waiting: for emptying the queue before
    /// the listener is closed, after [`Acceptor::stop`].
    ///
    /// # Errors
    /// What `accept(2)` said.
    pub fn accept_queued_fd(&self) -> io::Result<Option<OwnedFd>> {
        let accepted = self.inner.state.borrow_mut().accepted.pop_front();
        match accepted {
            Some(fd) => Ok(Some(fd)),
            None => accept_queued(&self.inner.fd),
        }
    }
}

impl State {
    fn take(&mut self) -> Option<io::Result<OwnedFd>> {
        if let Some(fd) = self.accepted.pop_front() {
            return Some(Ok(fd));
        }
        let errno = self.failure.take()?;
        Some(Err(io::Error::from_raw_os_error(errno)))
    }
}

impl Source for Inner {
    fn complete(self: Rc<Self>, completion: Completion) {
        let mut state = self.state.borrow_mut();
        if !completion.more {
            state.armed = None;
        }
        if completion.result >= 0 {
            let fd = adopt(completion.result);
            if state.abandoned {
                return;
            }
            state.accepted.push_back(fd);
        } else {
            match -completion.result {
                // The connection died in the queue, or nothing happened: just go on.
                libc::ECONNABORTED | libc::EPROTO | libc::EINTR | libc::EAGAIN => {}
                libc::ECANCELED => {}
                errno => state.failure = Some(errno),
            }
        }
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        let mut state = self.inner.state.borrow_mut();
        state.abandoned = true;
        state.accepted.clear();
        if let Some(key) = state.armed {
            self.inner.core.cancel(key);
        }
    }
}
