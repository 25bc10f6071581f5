//! A kernel played by a test: operations go into a log, completions come when the test says so.
//!
//! The script and the driver share one state, so that the test can look at what was submitted and
//! complete it in any order, as short, late or absurd as it likes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::{Completion, Driver, DriverStats, FilledBuffer, Op, OpKey, SendMode, SendSpan, Wait};
use crate::buf::BufferPool;

/// An operation as the kernel would have seen it when it was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Accept,
    Connect(std::net::SocketAddr),
    Recv { credit: u32 },
    Send { bytes: Vec<u8>, spans: usize, mode: SendMode },
    Shutdown,
    Close,
    Poll,
    Cancel(OpKey),
}

/// The driver half.
#[derive(Debug)]
pub(crate) struct Scripted {
    state: Rc<RefCell<State>>,
}

/// The test's half.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    state: Rc<RefCell<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Queued since the last enter.
    queued: Vec<(OpKey, Op)>,
    /// Started and not yet looked at.
    seen: VecDeque<(OpKey, Seen)>,
    completions: VecDeque<Completion>,
    /// Completions the kernel holds back because the queue is full.
    overflowed: VecDeque<Completion>,
    free_buffers: VecDeque<u16>,
    /// Bytes already put into the buffer at the front, which is filled incrementally.
    filled: u32,
    stats: DriverStats,
}

/// Entries of the scripted submission queue.
pub(crate) const SCRIPTED_SQ_ENTRIES: usize = 8;

impl Scripted {
    pub(crate) fn new() -> (Self, Script) {
        let state = Rc::new(RefCell::new(State::default()));
        (Self { state: Rc::clone(&state) }, Script { state })
    }
}

impl Script {
    /// The operations started since the last call, without the reactor's own polls.
    pub(crate) fn seen(&self) -> Vec<(OpKey, Seen)> {
        let seen = std::mem::take(&mut self.state.borrow_mut().seen);
        seen.into_iter().filter(|(_, op)| *op != Seen::Poll).collect()
    }

    /// Completes an operation.
    pub(crate) fn complete(&self, key: OpKey, result: i32) {
        self.completion(Completion { key, result, buffer: None, more: false });
    }

    /// Completes one shot of an operation.
    pub(crate) fn completion(&self, completion: Completion) {
        self.state.borrow_mut().completions.push_back(completion);
    }

    /// Completes operations in a queue that is too full to show them before the next enter.
    pub(crate) fn overflow(&self, key: OpKey, result: i32) {
        let completion = Completion { key, result, buffer: None, more: false };
        self.state.borrow_mut().overflowed.push_back(completion);
    }

    /// Delivers bytes to a receive from the next free buffer, or `ENOBUFS` if there is none.
    pub(crate) fn receive(&self, pool: &BufferPool, key: OpKey, bytes: &[u8], more: bool) {
        let mut state = self.state.borrow_mut();
        let len = u32::try_from(bytes.len()).unwrap();
        let Some(id) = state.free_buffers.front().copied() else {
            let result = -libc::ENOBUFS;
            state.completions.push_back(Completion { key, result, buffer: None, more: false });
            return;
        };
        assert!(state.filled + len <= pool.buffer_size(), "the test overfills a buffer");
        // SAFETY: the buffer is the script's until it is retired, and the range is inside it.
        let target = unsafe { pool.buffer_start(id).add(state.filled as usize) };
        // SAFETY: source and target do not overlap, and both are `bytes.len()` long.
        unsafe { target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        state.filled += len;
        let stays = state.filled < pool.buffer_size();
        if !stays {
            state.free_buffers.pop_front();
            state.filled = 0;
        }
        let buffer = Some(FilledBuffer { id, more: stays });
        state.completions.push_back(Completion { key, result: len.cast_signed(), buffer, more });
    }

    /// Buffers the kernel has.
    pub(crate) fn free_buffers(&self) -> usize {
        self.state.borrow().free_buffers.len()
    }
}

impl State {
    /// Starts what is queued: reads what the kernel would read now.
    fn start(&mut self) {
        for (key, op) in std::mem::take(&mut self.queued) {
            let seen = match op {
                Op::AcceptMulti { .. } => Seen::Accept,
                Op::Connect { address, .. } => {
                    // SAFETY: the op table keeps the address's owner until the completion.
                    let address = unsafe { &*address.0 };
                    Seen::Connect(address.as_socket().unwrap())
                }
                Op::Recv { credit, .. } => Seen::Recv { credit },
                Op::Send { span, mode, .. } => {
                    Seen::Send { bytes: read_span(span), spans: 1, mode }
                }
                Op::SendVectored { message, mode, .. } => {
                    // SAFETY: the op table keeps the header's owner until the completion.
                    let header = unsafe { &*message.0 };
                    let spans = header.msg_iovlen;
                    // SAFETY: the header points to that many iovecs of the same owner.
                    let iovecs = unsafe { std::slice::from_raw_parts(header.msg_iov, spans) };
                    let read = |iovec: &libc::iovec| {
                        let len = u32::try_from(iovec.iov_len).unwrap();
                        read_span(SendSpan { start: iovec.iov_base.cast(), len })
                    };
                    Seen::Send { bytes: iovecs.iter().flat_map(read).collect(), spans, mode }
                }
                Op::Shutdown { .. } => Seen::Shutdown,
                Op::Close { .. } => Seen::Close,
                Op::PollReadable { .. } => Seen::Poll,
                Op::Cancel { target } => Seen::Cancel(target),
            };
            self.seen.push_back((key, seen));
        }
    }
}

fn read_span(span: SendSpan) -> Vec<u8> {
    // SAFETY: the op table keeps the memory's owner until the completion.
    unsafe { std::slice::from_raw_parts(span.start, span.len as usize) }.to_vec()
}

impl Driver for Scripted {
    fn submit(&mut self, key: OpKey, op: &Op) {
        let mut state = self.state.borrow_mut();
        if state.queued.len() == SCRIPTED_SQ_ENTRIES {
            state.stats.sq_full += 1;
            state.start();
        }
        state.queued.push((key, *op));
    }

    fn enter(&mut self, _wait: Wait, pool: &BufferPool) {
        let mut state = self.state.borrow_mut();
        state.stats.enters += 1;
        state.stats.cq_overflow += u64::from(!state.overflowed.is_empty());
        pool.take_returned(|id| state.free_buffers.push_back(id));
        state.start();
    }

    fn reap(&mut self, completions: &mut Vec<Completion>, max: usize) {
        let mut state = self.state.borrow_mut();
        let count = state.completions.len().min(max);
        completions.extend(state.completions.drain(..count));
        // What was held back shows once there is room, in the next turn.
        if count == 0 {
            let mut held = std::mem::take(&mut state.overflowed);
            state.completions.append(&mut held);
        }
    }

    fn settled(&mut self) -> bool {
        let state = self.state.borrow();
        state.queued.is_empty() && state.completions.is_empty() && state.overflowed.is_empty()
    }

    fn stats(&self) -> DriverStats {
        self.state.borrow().stats
    }
}
