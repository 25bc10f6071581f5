//! The kernel's ring.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Instant;

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use super::{AnyPipe, Completion, Driver, DriverStats, Op, OpKey, SendMode, Wait};
use crate::buf::{BufferPool, FilledBuffer};
use crate::sys::enter::{self, RingName};
use crate::sys::mapping::Mapping;
use crate::sys::pipe::Pipe;
use crate::{Features, RingError};

/// Entries of the submission queue. A turn that queues more submits in the middle, counted.
const SQ_ENTRIES: u32 = 2048;
/// Entries of the completion queue: four per submission, because multishot operations complete
/// more than once.
const CQ_ENTRIES: u32 = 4 * SQ_ENTRIES;
/// The group that receives pick their buffers from; a ring has only this one.
const BUFFER_GROUP: u16 = 0;
/// `IOU_PBUF_RING_INC`.
const BUFFER_RING_INCREMENTAL: u16 = 2;
/// Offset of `optlen` in `struct io_uring_sqe`: the total limit of a multishot receive.
const SQE_RECV_LIMIT_OFFSET: usize = 44;

/// A ring with its provided buffer ring.
#[derive(Debug)]
pub(crate) struct Ring {
    // Declared before `buffers`: closing the ring ends the kernel's use of that memory.
    ring: IoUringDebug,
    name: RingName,
    buffers: BufferRing,
    features: Features,
    stats: DriverStats,
}

/// `IoUring` implements no `Debug`.
struct IoUringDebug(IoUring);

impl std::fmt::Debug for IoUringDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IoUring").field("fd", &self.0.as_raw_fd()).finish()
    }
}

impl Ring {
    /// A ring for the calling thread, which must be the only one to use it, with the buffers of
    /// `pool` provided to it.
    pub(crate) fn new(features: Features, pool: &BufferPool) -> Result<Self, RingError> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_cqsize(CQ_ENTRIES)
            .build(SQ_ENTRIES)
            .map_err(RingError::Setup)?;
        if !ring.params().is_feature_nodrop() || !ring.params().is_feature_ext_arg() {
            return Err(RingError::MissingFeature("IORING_FEAT_NODROP and IORING_FEAT_EXT_ARG"));
        }
        let fd = ring.as_raw_fd();
        let name = if features.registered_ring_fd {
            enter::register(fd).unwrap_or(RingName::Descriptor(fd))
        } else {
            RingName::Descriptor(fd)
        };
        let buffers = BufferRing::register(&ring, pool, features.incremental_buffers)?;
        let stats = DriverStats::default();
        Ok(Self { ring: IoUringDebug(ring), name, buffers, features, stats })
    }

    /// The ring's descriptor, for the probe.
    pub(super) fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.ring.0.as_raw_fd()
    }

    fn entry(&self, op: &Op) -> squeue::Entry {
        match *op {
            Op::AcceptMulti { fd } => opcode::AcceptMulti::new(types::Fd(fd))
                .flags(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)
                .build(),
            Op::Connect { fd, address } => {
                // SAFETY: the op's owner keeps the address alive until the completion.
                let address = unsafe { &*address.0 };
                opcode::Connect::new(types::Fd(fd), address.as_ptr().cast(), address.len()).build()
            }
            Op::Recv { fd, credit } if self.features.recv_limit => {
                // The kernel ends the receive with the completion that reaches the total limit, and
                // that one may overshoot it by a piece: piece + limit - 1 is the credit.
                let piece = credit.div_ceil(2);
                let entry = opcode::RecvMulti::new(types::Fd(fd), BUFFER_GROUP).len(piece).build();
                with_recv_limit(entry, credit - piece + 1)
            }
            Op::Recv { fd, credit } => {
                opcode::Recv::new(types::Fd(fd), std::ptr::null_mut(), credit)
                    .buf_group(BUFFER_GROUP)
                    .build()
                    .flags(squeue::Flags::BUFFER_SELECT)
            }
            Op::Send { fd, span, mode } => {
                let entry = opcode::Send::new(types::Fd(fd), span.start, span.len)
                    .flags(send_flags(mode))
                    .build();
                with_send_mode(entry, mode)
            }
            Op::SendVectored { fd, message, mode } => {
                let entry = opcode::SendMsg::new(types::Fd(fd), message.0)
                    .flags(send_flags(mode).cast_unsigned())
                    .build();
                with_send_mode(entry, mode)
            }
            Op::Shutdown { fd, how } => opcode::Shutdown::new(types::Fd(fd), how).build(),
            Op::Close { fd } => opcode::Close::new(types::Fd(fd)).build(),
            Op::PollReadable { fd } => {
                opcode::PollAdd::new(types::Fd(fd), libc::POLLIN.cast_unsigned().into()).build()
            }
            Op::PollWritable { fd } => {
                opcode::PollAdd::new(types::Fd(fd), libc::POLLOUT.cast_unsigned().into()).build()
            }
            Op::PollHangup { fd } => {
                opcode::PollAdd::new(types::Fd(fd), libc::POLLRDHUP.cast_unsigned().into()).build()
            }
            Op::Cancel { target } => opcode::AsyncCancel::new(target.to_word()).build(),
        }
    }

    fn take_completions(&mut self, completions: &mut Vec<Completion>, max: usize) {
        let room = max - completions.len();
        for entry in self.ring.0.completion().take(room) {
            let flags = entry.flags();
            let buffer = cqueue::buffer_select(flags)
                .map(|id| FilledBuffer { id, more: cqueue::buffer_more(flags) });
            completions.push(Completion {
                key: OpKey::from_word(entry.user_data()),
                result: entry.result(),
                buffer,
                more: cqueue::more(flags),
            });
        }
    }

    /// One call of `io_uring_enter`. Interruptions and a full completion queue are normal: the
    /// caller reaps and comes again.
    fn call_enter(&mut self, wait: Wait) {
        self.stats.enters += 1;
        let (to_submit, overflow) = {
            let queue = self.ring.0.submission();
            (queue.len(), queue.cq_overflow())
        };
        self.stats.cq_overflow += u64::from(overflow);
        let to_submit = u32::try_from(to_submit).unwrap_or(u32::MAX);
        let Err(error) = enter::enter(self.name, to_submit, wait) else {
            return;
        };
        match error.raw_os_error() {
            // EINTR: a signal. ETIME: the wait ended. EAGAIN: no memory for a request now.
            // EBUSY: completions wait to be reaped first.
            Some(libc::EINTR | libc::ETIME | libc::EAGAIN | libc::EBUSY) => {}
            // EBADR: the kernel dropped completions; operations would be lost for ever. Any other
            // error says that the ring itself is broken. Neither can be mended from here.
            _ => abort_with(&error),
        }
    }
}

/// A ring that lost its state cannot serve anybody: say so and end the process.
#[expect(clippy::print_stderr, reason = "the last words of a process that cannot go on")]
fn abort_with(error: &io::Error) -> ! {
    eprintln!("io_uring_enter failed and the ring cannot be trusted any more: {error}");
    std::process::abort();
}

impl Driver for Ring {
    fn submit(&mut self, key: OpKey, op: &Op) {
        let entry = self.entry(op).user_data(key.to_word());
        loop {
            // SAFETY: what the entry points to is kept by the op table until its completion.
            if unsafe { self.ring.0.submission().push(&entry) }.is_ok() {
                return;
            }
            self.stats.sq_full += 1;
            self.call_enter(Wait::No);
        }
    }

    fn enter(&mut self, wait: Wait, pool: &BufferPool) {
        if pool.has_returned() {
            self.buffers.give_back(pool);
        }
        self.call_enter(wait);
    }

    fn reap(&mut self, completions: &mut Vec<Completion>, max: usize) {
        self.take_completions(completions, max);
        // What the kernel holds back has to go before tasks submit more, or a busy worker would
        // fall behind for good, one queue's worth per turn.
        while completions.len() < max && self.ring.0.submission().cq_overflow() {
            let before = completions.len();
            self.call_enter(Wait::No);
            self.take_completions(completions, max);
            if completions.len() == before {
                return;
            }
        }
    }

    fn settled(&mut self) -> bool {
        if !self.ring.0.completion().is_empty() {
            return false;
        }
        let queue = self.ring.0.submission();
        queue.is_empty() && !queue.cq_overflow()
    }

    fn stats(&self) -> DriverStats {
        self.stats
    }

    /// The one place where a worker reads the clock.
    #[expect(clippy::disallowed_methods, reason = "the reactor is where time comes from")]
    fn clock(&self) -> Instant {
        Instant::now()
    }

    fn pipe(&mut self) -> io::Result<AnyPipe> {
        Pipe::new().map(AnyPipe::Kernel)
    }
}

fn send_flags(mode: SendMode) -> i32 {
    match mode {
        SendMode::Immediate => libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
        SendMode::Silent => libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_WAITALL,
        SendMode::Parked => libc::MSG_NOSIGNAL,
    }
}

fn with_send_mode(entry: squeue::Entry, mode: SendMode) -> squeue::Entry {
    match mode {
        SendMode::Silent => entry.flags(squeue::Flags::SKIP_SUCCESS),
        SendMode::Immediate | SendMode::Parked => entry,
    }
}

/// Sets the total limit of a multishot receive, which the io-uring crate has no field for.
fn with_recv_limit(mut entry: squeue::Entry, credit: u32) -> squeue::Entry {
    const { assert!(size_of::<squeue::Entry>() == 64, "an SQE without extension") };
    let bytes = (&raw mut entry).cast::<u8>();
    // SAFETY: an Entry is one 64-byte `struct io_uring_sqe` (repr(C), asserted above).
    let limit = unsafe { bytes.add(SQE_RECV_LIMIT_OFFSET) }.cast::<u32>();
    // SAFETY: `limit` points at the aligned u32 field `optlen` inside that entry.
    unsafe { limit.write(credit) };
    entry
}

/// The ring through which free buffers reach the kernel.
#[derive(Debug)]
struct BufferRing {
    entries: Mapping,
    mask: u16,
    tail: u16,
}

impl BufferRing {
    fn register(ring: &IoUring, pool: &BufferPool, incremental: bool) -> Result<Self, RingError> {
        let count = pool.count();
        assert!(count.is_power_of_two(), "the kernel wants a power of two of buffers");
        let bytes = usize::from(count) * size_of::<types::BufRingEntry>();
        let entries = Mapping::new(bytes.max(4096))
            .map_err(|source| RingError::BufferMemory { bytes, source })?;
        let flags = if incremental { BUFFER_RING_INCREMENTAL } else { 0 };
        let address = entries.start().addr() as u64;
        // SAFETY: the mapping is page-aligned, holds `count` zeroed entries, and is unmapped only
        // after the ring is closed (field order in `Ring`).
        unsafe {
            ring.submitter().register_buf_ring_with_flags(address, count, BUFFER_GROUP, flags)
        }
        .map_err(RingError::BufferRing)?;
        let mut buffers = Self { entries, mask: count - 1, tail: 0 };
        buffers.give_back(pool);
        Ok(buffers)
    }

    /// Puts every returned buffer of the pool into the ring and publishes them together.
    fn give_back(&mut self, pool: &BufferPool) {
        let ring = self.entries.start().cast::<types::BufRingEntry>();
        pool.take_returned(|id| {
            let index = usize::from(self.tail & self.mask);
            // SAFETY: index <= mask, so the entry lies inside the mapping.
            let entry = unsafe { ring.add(index) };
            // SAFETY: the kernel reads entries only up to the published tail, and at most `count`
            // buffers are in the ring, so nobody else touches this entry now.
            let entry = unsafe { &mut *entry };
            entry.set_addr(pool.buffer_start(id).addr() as u64);
            entry.set_len(pool.buffer_size());
            entry.set_bid(id);
            self.tail = self.tail.wrapping_add(1);
        });
        // SAFETY: the ring's base address is page-aligned, as this function asks.
        let tail = unsafe { types::BufRingEntry::tail(ring) };
        // SAFETY: the tail is an aligned u16 inside the mapping, shared with the kernel, which
        // only reads it.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}
