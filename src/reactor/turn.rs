//! The loop of a worker.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use base::{Address, WorkerId};

use crate::acceptor::Acceptor;
use crate::buf::BufferPool;
use crate::core::{Core, Source, count};
use crate::driver::ring::Ring;
use crate::driver::{AnyDriver, Completion, Op};
use crate::fd::Socket;
use crate::inbox::{Inbox, InboxParts};
use crate::outbox::{Outbox, OutboxMeter};
use crate::receiver::Receiver;
use crate::single;
use crate::sleep::Sleep;
use crate::stats::LoopStats;
use crate::sys::enter;
use crate::task::{Branches, Executor, Remote, TaskSet, enter_thread, leave_thread};
use crate::{Features, RingError};

/// What a reactor is made with.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Which optional ring features to use; from [`crate::probe`].
    pub features: Features,
    /// Number of provided buffers, a power of two up to 32,768.
    pub buffer_count: u16,
    /// Bytes in each provided buffer.
    pub buffer_size: u32,
}

impl Settings {
    /// The receive memory a worker has by default: 2 MiB. Leases last one turn, so it bounds what
    /// a turn can take in, not what connections can hold; and it stays inside a core's second-level
    /// cache. Incremental buffers are as large as a receive's credit, so that bulk arrives in few
    /// pieces; without them a buffer is spent by each receive however short, so there are more and
    /// smaller ones.
    pub const fn new(features: Features) -> Self {
        if features.incremental_buffers {
            Self { features, buffer_count: 32, buffer_size: 64 * 1024 }
        } else {
            Self { features, buffer_count: 256, buffer_size: 8 * 1024 }
        }
    }
}

/// The engine of one worker thread: ring, timers, tasks and buffers. Clones share it.
#[derive(Debug, Clone)]
pub struct Reactor {
    inner: Rc<Inner>,
}

#[derive(Debug)]
struct Inner {
    core: Rc<Core>,
    worker: WorkerId,
    remote: Arc<Remote>,
}

/// Polls of tasks in one turn, after which the ring is looked at again.
const TASK_BUDGET: usize = 1024;
/// How long a dropped reactor waits for the kernel to end what is in flight.
const SHUTDOWN_WAIT_MAX: Duration = Duration::from_secs(1);

impl Reactor {
    /// A reactor for the calling thread, which must not have another one.
    ///
    /// # Errors
    /// [`RingError`] says what the kernel refused and what to do about it.
    pub fn new(settings: Settings) -> Result<Self, RingError> {
        let (worker, remote) = enter_thread()?;
        let bytes = usize::from(settings.buffer_count) * settings.buffer_size as usize;
        let built = BufferPool::new(settings.buffer_count, settings.buffer_size)
            .map_err(|source| RingError::BufferMemory { bytes, source })
            .and_then(|pool| {
                let ring = Ring::new(settings.features, &pool)?;
                Ok((AnyDriver::Ring(ring), pool))
            });
        let (driver, pool) = built.inspect_err(|_| leave_thread(worker))?;
        if settings.features.minimum_wait {
            enter::wait_exactly();
        }
        Ok(Self::assemble(driver, pool, settings.features, worker, remote))
    }

    /// A reactor whose kernel is played by a script.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn scripted(
        script: crate::driver::scripted::Scripted,
        settings: Settings,
    ) -> Result<Self, RingError> {
        let (worker, remote) = enter_thread()?;
        let pool = BufferPool::new(settings.buffer_count, settings.buffer_size)
            .map_err(|source| RingError::BufferMemory { bytes: 0, source })?;
        let driver = AnyDriver::Scripted(script);
        Ok(Self::assemble(driver, pool, settings.features, worker, remote))
    }

    fn assemble(
        driver: AnyDriver,
        pool: Rc<BufferPool>,
        features: Features,
        worker: WorkerId,
        remote: Arc<Remote>,
    ) -> Self {
        let executor = Executor::new().expect("enter_thread made this thread a worker");
        let core = Core::new(driver, pool, features, executor);
        let inner = Rc::new(Inner { core, worker, remote });
        inner.watch_remote_wakes();
        Self { inner }
    }

    /// Runs until `future` is ready. Tasks that are left then stay where they are.
    ///
    /// A panic in `future` passes through; a panic in a task ends that task only.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        let core = &self.inner.core;
        let mut future = pin!(future);
        let waker = core.executor().root_waker();
        let mut context = Context::from_waker(&waker);
        waker.wake_by_ref();
        loop {
            if core.executor().take_root()
                && let Poll::Ready(output) = future.as_mut().poll(&mut context)
            {
                return output;
            }
            self.inner.run_tasks();
            self.inner.turn(true);
        }
    }

    /// The time at which this turn began. Timers and deadlines are measured against it; it is read
    /// from the clock once per turn.
    pub fn now(&self) -> Instant {
        self.inner.core.now()
    }

    /// How many turns the loop has made.
    pub fn turns(&self) -> u64 {
        self.inner.core.counters.turns.get()
    }

    /// Wakes `waker` in the next turn, which comes at once: by then the kernel was asked again,
    /// and everything it had to say has been handed out.
    pub fn wake_next_turn(&self, waker: &Waker) {
        self.inner.core.wake_next_turn(waker);
    }

    /// The worker number of this reactor.
    pub fn worker(&self) -> WorkerId {
        self.inner.worker
    }

    /// An empty set of tasks.
    pub fn task_set(&self) -> TaskSet {
        TaskSet::new(Rc::clone(self.inner.core.executor()))
    }

    /// A way to poll the parts of a future apart.
    pub fn branches(&self) -> Branches {
        Branches::new(Rc::clone(self.inner.core.executor()))
    }

    /// A future that is ready at `deadline`.
    pub fn sleep_until(&self, deadline: Instant) -> Sleep {
        Sleep::new(Rc::clone(&self.inner.core), deadline)
    }

    /// A future that is ready after `duration`.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        // A deadline that the clock cannot express is never reached: a century will do for it.
        let far = Duration::from_secs(100 * 365 * 24 * 60 * 60);
        self.sleep_until(self.now() + duration.min(far))
    }

    /// Accepts from a socket that is bound, listening and non-blocking.
    pub fn acceptor(&self, listener: OwnedFd) -> Acceptor {
        Acceptor::new(Rc::clone(&self.inner.core), listener)
    }

    /// Takes over a connected stream socket, which must be non-blocking.
    pub fn socket(&self, fd: OwnedFd) -> Socket {
        Socket::new(Rc::clone(&self.inner.core), fd)
    }

    /// Opens a connection. Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// What the kernel said, such as `ECONNREFUSED`. There is no timeout here beyond the kernel's.
    pub async fn connect(&self, address: &Address) -> io::Result<Socket> {
        let socket = self.open_socket(address)?;
        self.connect_socket(&socket, address).await?;
        Ok(socket)
    }

    /// A stream socket for connecting to an address of this kind, to be set up before
    /// [`Reactor::connect_socket`].
    ///
    /// # Errors
    /// What the kernel said, such as `EMFILE`.
    pub fn open_socket(&self, address: &Address) -> io::Result<Socket> {
        Socket::for_connecting(Rc::clone(&self.inner.core), address)
    }

    /// Connects a socket that is not connected. Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// As [`Reactor::connect`].
    pub async fn connect_socket(&self, socket: &Socket, address: &Address) -> io::Result<()> {
        single::connect(&self.inner.core, socket, address).await
    }

    /// The wall-clock time of this turn, for what people read: logs and `date` headers. It may
    /// jump; waiting and measuring go by [`Reactor::now`].
    pub fn wall_now(&self) -> SystemTime {
        self.inner.core.wall_now()
    }

    /// Splits a connected socket into its halves. At most `limit` bytes (and
    /// [`crate::CONGESTED_BYTES_MAX`]) wait in the outbox, whose bytes are counted by `meter`.
    pub fn split(
        &self,
        socket: &Socket,
        limit: usize,
        meter: Rc<dyn OutboxMeter>,
    ) -> (Receiver, Outbox) {
        (self.receiver(socket), self.outbox(socket, limit, meter))
    }

    /// The reading half of a connected socket, for who looks at its beginning before anything is
    /// sent. There is to be one for a socket at a time.
    pub fn receiver(&self, socket: &Socket) -> Receiver {
        Receiver::new(Rc::clone(&self.inner.core), socket)
    }

    /// The writing half, as of [`Reactor::split`].
    pub fn outbox(&self, socket: &Socket, limit: usize, meter: Rc<dyn OutboxMeter>) -> Outbox {
        Outbox::new(Rc::clone(&self.inner.core), socket, limit, meter)
    }

    /// Waits until a socket is readable, without receiving.
    ///
    /// # Errors
    /// What the kernel said.
    pub async fn readable(&self, socket: &Socket) -> io::Result<()> {
        single::fd_readable(&self.inner.core, socket.fd()).await
    }

    /// Waits until the peer of a stream socket has ended its side, or the stream has failed, while
    /// nobody reads what it has sent.
    ///
    /// # Errors
    /// What the kernel said.
    pub async fn hung_up(&self, socket: &Socket) -> io::Result<()> {
        single::fd_hung_up(&self.inner.core, socket.fd()).await
    }

    /// Turns the receiving half of a mailbox into an inbox of this worker.
    pub fn open_inbox<T>(&self, parts: InboxParts<T>) -> Inbox<T> {
        Inbox::new(Rc::clone(&self.inner.core), parts)
    }

    /// What the loop has done so far and holds now.
    pub fn stats(&self) -> LoopStats {
        LoopStats::of(&self.inner.core)
    }

    /// Lets the n-th await point from now panic, or none; returns the points passed since the last
    /// call. For tests that prove that every guard undoes its change.
    #[cfg(any(test, feature = "simulation"))]
    pub fn inject_panic(&self, at: Option<u64>) -> u64 {
        let passed = self.inner.core.faults.passed();
        self.inner.core.faults.panic_at(at);
        passed
    }

    /// Runs what is ready, within the budget, then one turn; a scripted kernel never waits.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn step(&self) {
        self.inner.run_tasks();
        self.inner.turn(true);
    }

    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn core(&self) -> &Rc<Core> {
        &self.inner.core
    }
}

impl Inner {
    fn run_tasks(&self) {
        if self.core.executor().run(TASK_BUDGET) == TASK_BUDGET {
            count(&self.core.counters.budget_spent, 1);
        }
    }

    /// Everything of a turn but the tasks: flush, feed, enter, copy out, reap, fire.
    fn turn(&self, may_wait: bool) {
        let abort = AbortOnPanic;
        let core = &self.core;
        core.flush();
        core.feed_starved();
        core.enter(may_wait);
        core.copy_out();
        core.reap();
        core.advance_clock();
        core.begin_next_turn();
        abort.disarm();
    }

    /// A turn at the end of the reactor: nothing new is begun, what is in flight ends.
    fn last_turn(&self) {
        let abort = AbortOnPanic;
        self.core.enter(false);
        self.core.copy_out();
        self.core.reap();
        abort.disarm();
    }

    /// Polls the eventfd through which other threads wake tasks of this worker.
    fn watch_remote_wakes(&self) {
        let watch =
            Rc::new(RemoteWatch { core: Rc::clone(&self.core), remote: Arc::clone(&self.remote) });
        watch.arm();
    }
}

impl Drop for Inner {
    /// Ends in order: tasks, then what they left in flight, then the ring.
    fn drop(&mut self) {
        let core = &self.core;
        core.executor().abort_all();
        core.flush();
        core.begin_end();
        let give_up = core.clock() + SHUTDOWN_WAIT_MAX;
        while core.ops_in_flight() > 0 && core.clock() < give_up {
            self.last_turn();
        }
        debug_assert!(core.ops_in_flight() == 0, "stuck at shutdown: {:?}", core.op_sources());
        core.close_down();
        leave_thread(self.worker);
    }
}

/// The source of the poll on the remote-wake eventfd; it arms itself again.
#[derive(Debug)]
struct RemoteWatch {
    core: Rc<Core>,
    remote: Arc<Remote>,
}

impl RemoteWatch {
    fn arm(self: &Rc<Self>) {
        let op = Op::PollReadable { fd: self.remote.eventfd().as_raw_fd() };
        self.core.submit(Rc::clone(self) as Rc<dyn Source>, &op);
    }
}

impl Source for RemoteWatch {
    fn complete(self: Rc<Self>, completion: Completion) {
        if completion.result >= 0 {
            self.remote.deliver();
            if !self.core.is_ending() {
                self.arm();
            }
        }
    }
}

/// A panic in the reactor itself leaves the op table in an unknown state: the process ends.
struct AbortOnPanic;

impl AbortOnPanic {
    #[expect(clippy::mem_forget, reason = "the guard owns nothing; forgetting it disarms it")]
    fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        std::process::abort();
    }
}
