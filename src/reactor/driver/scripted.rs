//! A kernel played by a test: operations go into a log, completions come when the test says so.
//!
//! The script and the driver share one state, so that the test can look at what was submitted and
//! complete it in any order, as short, late or absurd as it likes. What the kernel would find
//! broken (a close under an operation in flight, memory that changes under a send, two receives of
//! one descriptor) the script finds broken too, and says so at the next [`Script::seen`].

#![expect(clippy::unwrap_used, reason = "built for tests only, of this floor and those above")]
#![cfg_attr(not(test), expect(dead_code, reason = "the tests of this floor use more than others"))]

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{AnyPipe, Completion, Driver, DriverStats, Op, OpKey, SendMode, SendSpan, Wait};
use crate::buf::{BufferPool, FilledBuffer};

/// An operation as the kernel would have seen it when it was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Accept,
    Connect(std::net::SocketAddr),
    Recv { credit: u32 },
    Send { bytes: Vec<u8>, spans: usize, mode: SendMode },
    Shutdown,
    Close,
    Poll { write: bool },
    PollHangup,
    Cancel(OpKey),
}

impl Seen {
    fn is_poll(&self) -> bool {
        matches!(self, Self::Poll { .. })
    }
}

/// An operation that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Started {
    pub(crate) key: OpKey,
    /// The descriptor it works on; a cancel has none.
    pub(crate) fd: Option<RawFd>,
    pub(crate) op: Seen,
}

/// How a send that does not wait is answered, in the enter that starts it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// The socket takes up to this many bytes; if that is all, a silent send posts nothing.
    Takes(usize),
    /// A negative result with this errno.
    Fails(i32),
    /// As the result says, but the completion queue is full: it shows only later.
    Overflows(i32),
    /// The test completes it by hand. Not for a silent send.
    ByHand,
}

type AnswerRule = Box<dyn FnMut(RawFd, &[u8]) -> Answer>;
type SpliceRule = Box<dyn FnMut(RawFd, usize) -> io::Result<Vec<u8>>>;
type RoomRule = Box<dyn Fn(RawFd) -> usize>;

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

struct State {
    /// Queued since the last enter.
    queued: VecDeque<(OpKey, Op)>,
    /// Started and not yet completed for good, by key as a word.
    in_flight: BTreeMap<u64, Running>,
    /// Started and not yet looked at.
    seen: VecDeque<Started>,
    completions: VecDeque<Completion>,
    completions_max: usize,
    /// Completions the kernel holds back because the queue is full.
    overflowed: VecDeque<Completion>,
    /// Whether what is held back stays so at the next enter.
    hold_overflow: bool,
    /// Most operations the next enter starts.
    start_max: usize,
    free_buffers: VecDeque<(u16, *mut u8)>,
    buffer_size: u32,
    /// Whether one buffer is filled by several receives, and one receive fills several buffers.
    incremental: bool,
    multishot: bool,
    /// Bytes already put into the buffer at the front, which is filled incrementally.
    filled: u32,
    next_answers: VecDeque<Answer>,
    answer_rule: Option<AnswerRule>,
    splice_rule: Option<SpliceRule>,
    room_rule: Option<RoomRule>,
    /// The time, if it is not the real one.
    clock: Option<Instant>,
    obedient: bool,
    broken: Vec<String>,
    last_wait: Wait,
    /// The last enter waits, and nothing has completed by its end.
    asleep: bool,
    stats: DriverStats,
}

struct Running {
    started: Started,
    op: Op,
    credit_left: u32,
}

impl Running {
    fn is_receive_of(&self, fd: RawFd) -> bool {
        self.started.fd == Some(fd) && matches!(self.started.op, Seen::Recv { .. })
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("seen", &self.seen).finish_non_exhaustive()
    }
}

/// Entries of the scripted submission queue.
pub(crate) const SCRIPTED_SQ_ENTRIES: usize = 8;

impl Scripted {
    /// A kernel with or without incremental buffers, and with or without receives that end at
    /// their credit.
    pub(crate) fn new(incremental: bool, multishot: bool) -> (Self, Script) {
        let state = Rc::new(RefCell::new(State {
            queued: VecDeque::new(),
            in_flight: BTreeMap::new(),
            seen: VecDeque::new(),
            completions: VecDeque::new(),
            completions_max: usize::MAX,
            overflowed: VecDeque::new(),
            hold_overflow: false,
            start_max: usize::MAX,
            free_buffers: VecDeque::new(),
            buffer_size: 0,
            incremental,
            multishot,
            filled: 0,
            next_answers: VecDeque::new(),
            answer_rule: None,
            splice_rule: None,
            room_rule: None,
            clock: None,
            obedient: false,
            broken: Vec::new(),
            last_wait: Wait::No,
            asleep: false,
            stats: DriverStats::default(),
        }));
        (Self { state: Rc::clone(&state) }, Script { state })
    }
}

impl Script {
    /// The operations started since the last call, without the reactor's own polls.
    pub(crate) fn seen(&self) -> Vec<Started> {
        self.check();
        let seen = std::mem::take(&mut self.state.borrow_mut().seen);
        seen.into_iter().filter(|started| !started.op.is_poll()).collect()
    }

    /// Fails if the reactor did what the kernel would not forgive.
    pub(crate) fn check(&self) {
        let broken = &self.state.borrow().broken;
        assert!(broken.is_empty(), "{broken:?}");
    }

    /// How the next send that does not wait is answered; by default it takes everything.
    pub(crate) fn answer_next(&self, answer: Answer) {
        self.state.borrow_mut().next_answers.push_back(answer);
    }

    /// How sends that do not wait are answered from now on.
    pub(crate) fn answer_with(&self, rule: impl FnMut(RawFd, &[u8]) -> Answer + 'static) {
        self.state.borrow_mut().answer_rule = Some(Box::new(rule));
    }

    /// What a splice of up to so many bytes out of a socket brings.
    pub(crate) fn splice_with(
        &self,
        rule: impl FnMut(RawFd, usize) -> io::Result<Vec<u8>> + 'static,
    ) {
        self.state.borrow_mut().splice_rule = Some(Box::new(rule));
    }

    /// What a socket says that it has room for.
    pub(crate) fn room_with(&self, rule: impl Fn(RawFd) -> usize + 'static) {
        self.state.borrow_mut().room_rule = Some(Box::new(rule));
    }

    /// Time stands still from now on but for [`Script::pass_time`].
    pub(crate) fn stop_clock(&self) {
        let now = self.state.borrow().now();
        self.state.borrow_mut().clock = Some(now);
    }

    /// Moves the stopped clock on.
    pub(crate) fn pass_time(&self, passed: Duration) {
        if let Some(clock) = &mut self.state.borrow_mut().clock {
            *clock += passed;
        }
    }

    /// Completes an operation for good.
    pub(crate) fn complete(&self, key: OpKey, result: i32) {
        self.completion(Completion { key, result, buffer: None, more: false });
    }

    /// Completes one shot of an operation, or one that never was.
    pub(crate) fn completion(&self, completion: Completion) {
        self.state.borrow_mut().post(completion);
    }

    /// A waiting send moves up to `count` bytes, which are read now, as the kernel would.
    pub(crate) fn take(&self, key: OpKey, count: usize) -> Vec<u8> {
        let mut state = self.state.borrow_mut();
        let running = state.in_flight.get(&key.to_word()).unwrap();
        let mut bytes = sent_bytes(&running.op);
        if let Seen::Send { bytes: at_start, .. } = &running.started.op
            && bytes != *at_start
        {
            state.broken.push(format!("the memory of send {key:?} changed under it"));
        }
        bytes.truncate(count);
        let result = i32::try_from(bytes.len()).unwrap();
        state.post(Completion { key, result, buffer: None, more: false });
        bytes
    }

    /// Delivers bytes to a receive as the kernel would: one completion of as much as its credit
    /// and one buffer take, or `ENOBUFS`. Returns how many were taken, and whether more may come.
    pub(crate) fn deliver(&self, key: OpKey, bytes: &[u8]) -> (usize, bool) {
        let mut state = self.state.borrow_mut();
        let credit = state.in_flight[&key.to_word()].credit_left;
        if state.free_buffers.is_empty() {
            let result = -libc::ENOBUFS;
            state.post(Completion { key, result, buffer: None, more: false });
            return (0, false);
        }
        let room = (state.buffer_size - state.filled) as usize;
        let take = bytes.len().min(room).min(credit as usize);
        let left = credit - u32::try_from(take).unwrap();
        let more = state.multishot && left > 0;
        state.fill(key, &bytes[..take], more);
        (take, more)
    }

    /// Delivers bytes from the next free buffer, whatever the credit is.
    pub(crate) fn receive(&self, key: OpKey, bytes: &[u8], more: bool) {
        self.state.borrow_mut().fill(key, bytes, more);
    }

    /// Whether completions that are held back stay so.
    pub(crate) fn hold_overflow(&self, hold: bool) {
        self.state.borrow_mut().hold_overflow = hold;
    }

    /// Completions the queue can show at a time.
    pub(crate) fn limit_completions(&self, max: usize) {
        self.state.borrow_mut().completions_max = max;
    }

    /// The next enter starts only so many operations, as if the kernel were out of memory.
    pub(crate) fn start_at_most(&self, max: usize) {
        self.state.borrow_mut().start_max = max;
    }

    /// From now on every cancel ends its target, and everything else that ends by itself does.
    pub(crate) fn obey(&self) {
        let mut state = self.state.borrow_mut();
        state.obedient = true;
        state.hold_overflow = false;
        let keys: Vec<OpKey> = state.in_flight.values().map(|op| op.started.key).collect();
        for key in keys {
            state.obey(key);
        }
    }

    /// Operations started and not completed, without the reactor's own polls.
    pub(crate) fn in_flight(&self) -> Vec<Started> {
        let state = self.state.borrow();
        let running = state.in_flight.values().map(|running| &running.started);
        running.filter(|started| !started.op.is_poll()).cloned().collect()
    }

    /// An operation, if it was started and has not completed.
    pub(crate) fn running(&self, key: OpKey) -> Option<Started> {
        let state = self.state.borrow();
        state.in_flight.get(&key.to_word()).map(|running| running.started.clone())
    }

    /// Polls started and not completed, the reactor's own first.
    pub(crate) fn polls(&self) -> Vec<OpKey> {
        let state = self.state.borrow();
        let polls = state.in_flight.values().filter(|running| running.started.op.is_poll());
        polls.map(|running| running.started.key).collect()
    }

    /// Polls of a descriptor, started and not completed, and whether they wait to write.
    pub(crate) fn polls_of(&self, fd: RawFd) -> Vec<(OpKey, bool)> {
        let state = self.state.borrow();
        let of_fd = state.in_flight.values().filter(|running| running.started.fd == Some(fd));
        of_fd
            .filter_map(|running| match running.started.op {
                Seen::Poll { write } => Some((running.started.key, write)),
                _ => None,
            })
            .collect()
    }

    /// Buffers the kernel has.
    pub(crate) fn free_buffers(&self) -> usize {
        self.state.borrow().free_buffers.len()
    }

    /// How long the last enter would have waited for a completion.
    pub(crate) fn last_wait(&self) -> Wait {
        self.state.borrow().last_wait
    }

    /// Whether the last enter would sleep until the test completes something.
    pub(crate) fn asleep(&self) -> bool {
        let state = self.state.borrow();
        state.asleep && state.completions.is_empty() && state.overflowed.is_empty()
    }

    /// Turns so far.
    pub(crate) fn enters(&self) -> u64 {
        self.state.borrow().stats.enters
    }
}

impl State {
    #[expect(clippy::disallowed_methods, reason = "a script has the real time unless it says so")]
    fn now(&self) -> Instant {
        self.clock.unwrap_or_else(Instant::now)
    }

    /// Starts what is queued: reads what the kernel would read now.
    fn start(&mut self, max: usize) {
        for _ in 0..max {
            let Some((key, op)) = self.queued.pop_front() else { return };
            let (fd, seen) = look_at(&op);
            let credit_left = if let Op::Recv { credit, .. } = op { credit } else { 0 };
            let started = Started { key, fd, op: seen };
            self.check_start(&started);
            self.seen.push_back(started.clone());
            let running = Running { started, op, credit_left };
            if self.in_flight.insert(key.to_word(), running).is_some() {
                self.broken.push(format!("{key:?} was submitted twice"));
            }
            self.answer_at_once(key, &op);
            if self.obedient {
                self.obey(key);
            }
        }
    }

    fn check_start(&mut self, started: &Started) {
        let mut same_fd = self.in_flight.values().filter(|op| op.started.fd == started.fd);
        let clashes = |op: &&Running| match &started.op {
            Seen::Close => true,
            Seen::Recv { .. } => matches!(op.started.op, Seen::Recv { .. }),
            Seen::Send { .. } | Seen::Shutdown => {
                matches!(op.started.op, Seen::Send { .. } | Seen::Shutdown)
            }
            _ => false,
        };
        if started.fd.is_some()
            && let Some(other) = same_fd.find(|op| clashes(op))
        {
            let other = &other.started;
            self.broken.push(format!("{started:?} while {other:?} is in flight"));
        }
    }

    fn answer_at_once(&mut self, key: OpKey, op: &Op) {
        match *op {
            Op::Send { fd, mode, .. } | Op::SendVectored { fd, mode, .. }
                if mode != SendMode::Parked =>
            {
                let bytes = sent_bytes(op);
                let answer = self.next_answers.pop_front().unwrap_or_else(|| {
                    self.answer_rule
                        .as_mut()
                        .map_or(Answer::Takes(usize::MAX), |rule| rule(fd, &bytes))
                });
                let result = match answer {
                    Answer::Takes(count) if count >= bytes.len() && mode == SendMode::Silent => {
                        self.in_flight.remove(&key.to_word());
                        return;
                    }
                    Answer::Takes(count) => i32::try_from(count.min(bytes.len())).unwrap(),
                    Answer::Fails(errno) => -errno,
                    Answer::Overflows(result) => {
                        self.in_flight.remove(&key.to_word());
                        let held = Completion { key, result, buffer: None, more: false };
                        self.overflowed.push_back(held);
                        return;
                    }
                    Answer::ByHand => return,
                };
                self.post(Completion { key, result, buffer: None, more: false });
            }
            Op::Close { fd } => {
                // SAFETY: the reactor owned the descriptor and gives it up with this operation.
                drop(unsafe { OwnedFd::from_raw_fd(fd) });
                self.post(Completion { key, result: 0, buffer: None, more: false });
            }
            _ => {}
        }
    }

    fn post(&mut self, completion: Completion) {
        if !completion.more {
            self.in_flight.remove(&completion.key.to_word());
        }
        if self.completions.len() < self.completions_max && self.overflowed.is_empty() {
            self.completions.push_back(completion);
        } else {
            self.overflowed.push_back(completion);
        }
    }

    fn fill(&mut self, key: OpKey, bytes: &[u8], more: bool) {
        let len = u32::try_from(bytes.len()).unwrap();
        let (id, start) = *self.free_buffers.front().unwrap();
        assert!(self.filled + len <= self.buffer_size, "the test overfills a buffer");
        // SAFETY: the buffer is the script's until it is retired, and the range is inside it.
        let target = unsafe { start.add(self.filled as usize) };
        // SAFETY: source and target do not overlap, and both are `bytes.len()` long.
        unsafe { target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        self.filled += len;
        let stays = self.incremental && self.filled < self.buffer_size;
        if !stays {
            self.free_buffers.pop_front();
            self.filled = 0;
        }
        if let Some(running) = self.in_flight.get_mut(&key.to_word()) {
            running.credit_left = running.credit_left.saturating_sub(len);
        }
        let buffer = Some(FilledBuffer { id, more: stays });
        self.post(Completion { key, result: len.cast_signed(), buffer, more });
    }

    /// Ends an operation the way an idle kernel would.
    fn obey(&mut self, key: OpKey) {
        let Some(running) = self.in_flight.get(&key.to_word()) else { return };
        let result = match running.started.op {
            Seen::Cancel(target) => {
                let found = self.in_flight.contains_key(&target.to_word());
                if found {
                    let result = -libc::ECANCELED;
                    self.post(Completion { key: target, result, buffer: None, more: false });
                }
                if found { 0 } else { -libc::ENOENT }
            }
            Seen::Shutdown => 0,
            _ => return,
        };
        self.post(Completion { key, result, buffer: None, more: false });
    }
}

fn look_at(op: &Op) -> (Option<RawFd>, Seen) {
    match *op {
        Op::AcceptMulti { fd } => (Some(fd), Seen::Accept),
        Op::Connect { fd, address } => {
            // SAFETY: the op table keeps the address's owner until the completion.
            let address = unsafe { &*address.0 };
            (Some(fd), Seen::Connect(address.as_socket().unwrap()))
        }
        Op::Recv { fd, credit } => (Some(fd), Seen::Recv { credit }),
        Op::Send { fd, mode, .. } => {
            (Some(fd), Seen::Send { bytes: sent_bytes(op), spans: 1, mode })
        }
        Op::SendVectored { fd, message, mode } => {
            // SAFETY: the op table keeps the header's owner until the completion.
            let spans = unsafe { &*message.0 }.msg_iovlen;
            (Some(fd), Seen::Send { bytes: sent_bytes(op), spans, mode })
        }
        Op::Shutdown { fd, .. } => (Some(fd), Seen::Shutdown),
        Op::Close { fd } => (Some(fd), Seen::Close),
        Op::PollReadable { fd } => (Some(fd), Seen::Poll { write: false }),
        Op::PollWritable { fd } => (Some(fd), Seen::Poll { write: true }),
        Op::PollHangup { fd } => (Some(fd), Seen::PollHangup),
        Op::Cancel { target } => (None, Seen::Cancel(target)),
    }
}

/// What a send would send now.
fn sent_bytes(op: &Op) -> Vec<u8> {
    match *op {
        Op::Send { span, .. } => read_span(span),
        Op::SendVectored { message, .. } => {
            // SAFETY: the op table keeps the header's owner until the completion.
            let header = unsafe { &*message.0 };
            // SAFETY: the header points to that many iovecs of the same owner.
            let iovecs = unsafe { std::slice::from_raw_parts(header.msg_iov, header.msg_iovlen) };
            let read = |iovec: &libc::iovec| {
                let len = u32::try_from(iovec.iov_len).unwrap();
                read_span(SendSpan { start: iovec.iov_base.cast(), len })
            };
            iovecs.iter().map(read).collect::<Vec<_>>().concat()
        }
        _ => Vec::new(),
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
            state.start(usize::MAX);
        }
        state.queued.push_back((key, *op));
    }

    fn enter(&mut self, wait: Wait, pool: &BufferPool) {
        let mut state = self.state.borrow_mut();
        state.last_wait = wait;
        state.stats.enters += 1;
        state.stats.cq_overflow += u64::from(!state.overflowed.is_empty());
        state.buffer_size = pool.buffer_size();
        pool.take_returned(|id| {
            if state.free_buffers.iter().any(|(free, _)| *free == id) {
                state.broken.push(format!("buffer {id} was given back twice"));
            }
            state.free_buffers.push_back((id, pool.buffer_start(id)));
        });
        if !state.hold_overflow {
            let room = state.completions_max - state.completions.len();
            let shown = room.min(state.overflowed.len());
            let mut flushed: VecDeque<Completion> = state.overflowed.drain(..shown).collect();
            state.completions.append(&mut flushed);
        }
        let start_max = std::mem::replace(&mut state.start_max, usize::MAX);
        // The kernel does not wait if it could not start everything.
        let starts_all = start_max >= state.queued.len();
        state.start(start_max);
        state.asleep = wait == Wait::Forever && starts_all && state.completions.is_empty();
    }

    fn reap(&mut self, completions: &mut Vec<Completion>, max: usize) {
        let mut state = self.state.borrow_mut();
        let count = state.completions.len().min(max);
        completions.extend(state.completions.drain(..count));
    }

    fn settled(&mut self) -> bool {
        let state = self.state.borrow();
        state.queued.is_empty() && state.completions.is_empty() && state.overflowed.is_empty()
    }

    fn stats(&self) -> DriverStats {
        self.state.borrow().stats
    }

    fn clock(&self) -> Instant {
        self.state.borrow().now()
    }

    fn pipe(&mut self) -> io::Result<AnyPipe> {
        let pipe = ScriptedPipe { state: Rc::clone(&self.state), bytes: VecDeque::new() };
        Ok(AnyPipe::Scripted(pipe))
    }
}

/// A pipe between sockets of a script.
#[derive(Debug)]
pub(crate) struct ScriptedPipe {
    state: Rc<RefCell<State>>,
    bytes: VecDeque<u8>,
}

impl ScriptedPipe {
    pub(crate) fn fill(&mut self, from: RawFd, len: usize) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        if state.in_flight.values().any(|op| op.is_receive_of(from)) {
            state.broken.push(format!("a splice from {from} while a receive is in flight"));
        }
        let rule = state.splice_rule.as_mut().ok_or(io::ErrorKind::Unsupported)?;
        let bytes = rule(from, len)?;
        self.bytes.extend(&bytes);
        Ok(bytes.len())
    }

    pub(crate) fn drain(&mut self, to: RawFd, len: usize) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        let bytes = self.bytes.make_contiguous();
        let bytes = &bytes[..len.min(bytes.len())];
        let rule = state.answer_rule.as_mut().ok_or(io::ErrorKind::Unsupported)?;
        loop {
            let taken = match rule(to, bytes) {
                Answer::Takes(count) => count.min(bytes.len()),
                Answer::Overflows(result) => usize::try_from(result).unwrap_or(0),
                Answer::Fails(libc::EINTR) => continue,
                Answer::Fails(errno) => return Err(io::Error::from_raw_os_error(errno)),
                Answer::ByHand => return Err(io::ErrorKind::Unsupported.into()),
            };
            self.bytes.drain(..taken);
            return Ok(taken);
        }
    }

    pub(crate) fn room_of(&mut self, to: RawFd) -> usize {
        self.state.borrow().room_rule.as_ref().map_or(0, |rule| rule(to))
    }

    pub(crate) fn read(&mut self, len: usize) -> io::Result<Vec<u8>> {
        let len = len.min(self.bytes.len());
        if len == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(self.bytes.drain(..len).collect())
    }
}
