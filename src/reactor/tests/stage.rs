//! A reactor on a scripted kernel, and what its tests share.
//!
//! **Invariant:** a stage that ends checks that nothing is left: leases, buffers, operations,
//! tasks, timers, descriptors.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::driver::OpKey;
use crate::driver::SendMode;
use crate::driver::scripted::{Script, Scripted, Seen, Started};
use crate::simulation::check_end;
use crate::{
    Features, Outbox, OutboxMeter, Reactor, Received, Receiver, Settings, Socket, Span, TaskSet,
};

/// Buffers of a stage.
pub(super) const BUFFERS: u16 = 4;
/// Bytes in each.
pub(super) const BUFFER_SIZE: u32 = 64;

pub(super) struct Stage {
    pub(super) tasks: TaskSet,
    pub(super) reactor: Reactor,
    pub(super) script: Script,
}

/// Both halves of a socket of a stage.
pub(super) struct Line {
    pub(super) receiver: Receiver,
    pub(super) outbox: Outbox,
    pub(super) socket: Socket,
    pub(super) fd: RawFd,
}

/// A meter that nobody reads.
pub(super) struct NoMeter;

impl OutboxMeter for NoMeter {
    fn queued(&self, _bytes: usize) {}
    fn sent(&self, _bytes: usize) {}
    fn dropped(&self, _bytes: usize) {}
}

/// Every feature on.
pub(super) const NEW: Features = Features {
    incremental_buffers: true,
    recv_limit: true,
    registered_ring_fd: true,
    silent_send: true,
    minimum_wait: true,
};
/// As [`NEW`], but every send completes.
pub(super) const LOUD: Features = Features { silent_send: false, ..NEW };

impl Stage {
    pub(super) fn new(features: Features) -> Self {
        Self::with_buffers(features, BUFFERS, BUFFER_SIZE)
    }

    pub(super) fn with_buffers(features: Features, buffer_count: u16, buffer_size: u32) -> Self {
        let (driver, script) = Scripted::new(features.incremental_buffers, features.recv_limit);
        let settings = Settings { features, buffer_count, buffer_size };
        let reactor = Reactor::scripted(driver, settings).unwrap();
        Self { tasks: reactor.task_set(), reactor, script }
    }

    pub(super) fn line(&self, limit: usize) -> Line {
        let fd = descriptor();
        let raw = fd.as_raw_fd();
        let socket = self.reactor.socket(fd);
        let (receiver, outbox) = self.reactor.split(&socket, limit, Rc::new(NoMeter));
        Line { receiver, outbox, socket, fd: raw }
    }

    pub(super) fn step(&self) {
        self.reactor.step();
    }

    /// One step, and what was started in it.
    pub(super) fn turn(&self) -> Vec<Started> {
        self.step();
        self.script.seen()
    }

    pub(super) fn leases(&self) -> usize {
        self.reactor.stats().leases
    }

    /// Receives bytes in one piece; the span is leased from the ring until the next step.
    pub(super) fn receive(&self, line: &Line, bytes: &[u8]) -> Span {
        let probe = Probe::default();
        assert!(line.receiver.poll_recv(&probe.context(), bytes.len()).is_pending());
        let key = only_key(&self.turn());
        assert_eq!(self.script.deliver(key, bytes), (bytes.len(), false));
        self.step();
        assert_eq!(probe.wakes(), 1);
        match line.receiver.poll_recv(&probe.context(), 1) {
            Poll::Ready(Ok(Received::Data(span))) => {
                assert_eq!(&*span, bytes);
                assert!(span.is_leased());
                span
            }
            other => panic!("{other:?}"),
        }
    }

    /// Lets the kernel answer everything, and checks that nothing is left.
    pub(super) fn end(self) {
        self.tasks.abort_all();
        check_end(&self.reactor, &self.script);
    }
}

impl Drop for Stage {
    /// The reactor cancels what is left when it is dropped; the kernel has to answer then.
    fn drop(&mut self) {
        self.script.obey();
    }
}

/// A descriptor that does nothing.
pub(super) fn descriptor() -> OwnedFd {
    File::open("/dev/null").unwrap().into()
}

/// The key of the only operation among those started.
pub(super) fn only_key(started: &[Started]) -> OpKey {
    match started {
        [only] => only.key,
        other => panic!("{other:?}"),
    }
}

/// The only send among those started.
pub(super) fn only_send(started: &[Started]) -> (OpKey, Vec<u8>, usize, SendMode) {
    match started {
        [Started { key, op: Seen::Send { bytes, spans, mode }, .. }] => {
            (*key, bytes.clone(), *spans, *mode)
        }
        other => panic!("{other:?}"),
    }
}

/// What was started, without keys.
pub(super) fn names(started: &[Started]) -> Vec<&'static str> {
    let name = |started: &Started| match started.op {
        Seen::Accept => "accept",
        Seen::Connect(_) => "connect",
        Seen::Recv { .. } => "recv",
        Seen::Send { .. } => "send",
        Seen::Shutdown => "shutdown",
        Seen::Close => "close",
        Seen::Poll { .. } => "poll",
        Seen::PollHangup => "poll hangup",
        Seen::Cancel(_) => "cancel",
    };
    started.iter().map(name).collect()
}

/// A waker that counts.
#[derive(Default)]
pub(super) struct Probe {
    count: Arc<Count>,
    waker: std::cell::OnceCell<Waker>,
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Probe {
    pub(super) fn context(&self) -> Context<'_> {
        let waker = self.waker.get_or_init(|| Waker::from(Arc::clone(&self.count)));
        Context::from_waker(waker)
    }

    pub(super) fn wakes(&self) -> usize {
        self.count.0.load(Ordering::Relaxed)
    }
}

/// Bytes that tell their place.
pub(super) fn pattern(start: usize, len: usize) -> Vec<u8> {
    (start..start + len).map(|n| u8::try_from(n % 251).unwrap()).collect()
}
