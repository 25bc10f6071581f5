//! Operations that complete once and have one waiter: connect, and waiting for readability.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use base::Address;

use crate::address;
use crate::core::{Core, Source};
use crate::driver::{AddressPointer, Completion, Op, OpKey};
use crate::fd::{Fd, Socket};

/// One operation, from submission to its only completion. `K` is what the kernel needs kept.
#[derive(Debug)]
struct Single<K> {
    kept: K,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    result: Option<i32>,
    waker: Option<Waker>,
}

impl<K: std::fmt::Debug> Source for Single<K> {
    fn complete(self: Rc<Self>, completion: Completion) {
        let mut state = self.state.borrow_mut();
        state.result = Some(completion.result);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

/// A future over a [`Single`]; dropping it before the end cancels the operation.
#[derive(Debug)]
struct Pending<K> {
    core: Rc<Core>,
    key: OpKey,
    single: Rc<Single<K>>,
}

impl<K: std::fmt::Debug + 'static> Pending<K> {
    fn submit(core: &Rc<Core>, kept: K, op: impl FnOnce(&K) -> Op) -> Self {
        let single = Rc::new(Single { kept, state: RefCell::default() });
        let op = op(&single.kept);
        let key = core.submit(Rc::clone(&single) as Rc<dyn Source>, &op);
        Self { core: Rc::clone(core), key, single }
    }
}

impl<K> Future for Pending<K> {
    type Output = io::Result<i32>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.core.await_point();
        let mut state = self.single.state.borrow_mut();
        match state.result {
            Some(result) if result >= 0 => Poll::Ready(Ok(result)),
            Some(error) => Poll::Ready(Err(io::Error::from_raw_os_error(-error))),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<K> Drop for Pending<K> {
    fn drop(&mut self) {
        let mut state = self.single.state.borrow_mut();
        state.waker = None;
        if state.result.is_none() {
            self.core.cancel(self.key);
        }
    }
}

/// Connects a socket to `address`.
pub(crate) async fn connect(core: &Rc<Core>, socket: &Socket, address: &Address) -> io::Result<()> {
    let kept = (Rc::clone(socket.fd()), Box::new(address::to_kernel(address)?));
    Pending::submit(core, kept, |(fd, address)| Op::Connect {
        fd: fd.raw(),
        address: AddressPointer(&raw const **address),
    })
    .await
    .map(drop)
}

/// Waits until a descriptor, kept open by `owner`, is readable.
pub(crate) async fn readable<O>(core: &Rc<Core>, fd: RawFd, owner: O) -> io::Result<()>
where
    O: std::fmt::Debug + 'static,
{
    Pending::submit(core, owner, |_| Op::PollReadable { fd }).await.map(drop)
}

/// Waits until a descriptor of the reactor is writable.
pub(crate) async fn fd_writable(core: &Rc<Core>, fd: &Rc<Fd>) -> io::Result<()> {
    let raw = fd.raw();
    Pending::submit(core, Rc::clone(fd), |_| Op::PollWritable { fd: raw }).await.map(drop)
}

/// Waits until the peer of a stream has ended its side, or the stream has failed.
pub(crate) async fn fd_hung_up(core: &Rc<Core>, fd: &Rc<Fd>) -> io::Result<()> {
    let raw = fd.raw();
    Pending::submit(core, Rc::clone(fd), |_| Op::PollHangup { fd: raw }).await.map(drop)
}

/// As [`readable`], for a descriptor of the reactor.
pub(crate) async fn fd_readable(core: &Rc<Core>, fd: &Rc<Fd>) -> io::Result<()> {
    readable(core, fd.raw(), Rc::clone(fd)).await
}
