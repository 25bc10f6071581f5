//! Moving bulk from one socket to another without bringing it into this process.
//!
//! A [`Splice`] takes over a direction whose receiver is at rest and whose outbox is empty, and
//! leaves it with an empty pipe: bytes in it are bytes on their way, counted as buffered. What a
//! peer does not take in time goes from the pipe to the outbox, so that a peer that stalls holds no
//! pipe, and is seen to stall by whoever watches the outbox.
//!
//! ```text
//! socket --splice(2)--> pipe --splice(2)--> socket
//!    \--empty: poll--/   |   \--full: poll--/
//!                        +--full for long--> outbox
//! ```
#![forbid(unsafe_code)]

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use crate::core::{Core, count};
use crate::driver::AnyPipe;
use crate::outbox::Outbox;
use crate::receiver::Receiver;
use crate::single;
use crate::sleep::{Sleep, yield_now};

/// Most bytes a pipe is filled with beyond what the other socket says that it has room for: what a
/// receiver that makes no progress may take in.
const UNCERTAIN_BYTES_MAX: usize = 128 * 1024;
/// What one step moves before other tasks have their turn.
const STEP_BYTES_MAX: u64 = 1024 * 1024;
/// A peer that takes nothing for so long has stalled. One that is slower than its sender makes room
/// thousands of times a second.
const STALL: Duration = Duration::from_millis(100);

/// What one step of a splice moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spliced {
    /// Bytes that left this host's receive queue and went to the other socket.
    pub bytes: u64,
    /// Calls that brought some of them in: many bytes in one call is what makes it worthwhile.
    pub fills: u32,
    /// The peer has ended its stream, and every byte before was passed on.
    pub ended: bool,
    /// The other socket takes no more; what was on the way to it lies in its outbox now.
    pub stalled: bool,
}

/// Which side of a splice failed, and how.
#[derive(Debug)]
pub enum SpliceError {
    /// The socket that is read from.
    Reading(io::Error),
    /// The socket that is written to.
    Writing(io::Error),
}

/// A direction that moves inside the kernel.
#[derive(Debug)]
pub struct Splice<'a> {
    receiver: &'a Receiver,
    outbox: &'a Outbox,
    core: Rc<Core>,
    pipe: Option<AnyPipe>,
    in_pipe: usize,
    /// Whether what is in the pipe counts as waiting to be sent: once the other socket was full.
    waits: bool,
    /// What the other socket says of its room has proven true so far.
    room_is_true: bool,
    /// The last fill found nothing.
    dry: bool,
    ended: bool,
}

impl<'a> Splice<'a> {
    /// Takes a direction over that was brought to [rest](Receiver::rest), once what is queued was
    /// sent. `None` if that takes long, if no pipe is to be had, or if bytes wait to be taken from
    /// the receiver, or its end or a failure was seen.
    ///
    /// The receiver must not be polled while the splice exists. Both sockets must belong to the
    /// reactor of this thread.
    pub async fn begin(receiver: &'a Receiver, outbox: &'a Outbox) -> Option<Self> {
        let core = receiver.core();
        unless_stalled(&core, outbox.drained()).await?.ok()?;
        if !receiver.is_quiet() {
            return None;
        }
        let pipe = core.take_pipe()?;
        count(&core.counters.splices_begun, 1);
        Some(Self {
            receiver,
            outbox,
            core,
            pipe: Some(pipe),
            in_pipe: 0,
            waits: false,
            room_is_true: true,
            dry: false,
            ended: false,
        })
    }

    /// Moves up to `limit` bytes once other tasks had their turn and there may be some, and tells
    /// `passed` of each part as it was passed on. The pipe is empty when it returns; after a step
    /// that has stalled, drop the splice. Dropping the future loses nothing; dropping the splice
    /// loses what is in the pipe.
    ///
    /// # Errors
    /// What ended one of the connections.
    pub async fn step(
        &mut self,
        limit: u64,
        passed: &impl Fn(u64),
    ) -> Result<Spliced, SpliceError> {
        let limit = limit.min(STEP_BYTES_MAX);
        if std::mem::take(&mut self.dry) {
            let readable = single::fd_readable(&self.core, self.receiver.fd());
            readable.await.map_err(SpliceError::Reading)?;
        } else {
            yield_now().await;
        }
        let (mut bytes, mut fills) = (0, 0);
        loop {
            if self.in_pipe > 0 && !self.pass_on(passed).await? {
                return Ok(Spliced { bytes, fills, ended: false, stalled: true });
            }
            if self.ended || self.dry || bytes >= limit {
                let ended = self.ended;
                return Ok(Spliced { bytes, fills, ended, stalled: false });
            }
            let most = usize::try_from(limit - bytes).unwrap_or(usize::MAX).min(self.fill_max());
            let from = self.receiver.raw_fd();
            match self.pipe().fill(from, most) {
                Ok(0) => self.ended = true,
                Ok(moved) => {
                    self.in_pipe = moved;
                    self.receiver.took_elsewhere(moved);
                    bytes += moved as u64;
                    fills += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.dry = true,
                Err(error) => return Err(SpliceError::Reading(error)),
            }
        }
    }

    /// Empties the pipe into the other socket. Returns whether that was possible: what a peer that
    /// has stalled did not take lies in the outbox then.
    async fn pass_on(&mut self, passed: &impl Fn(u64)) -> Result<bool, SpliceError> {
        while self.in_pipe > 0 {
            let (to, len) = (self.outbox.raw_fd(), self.in_pipe);
            match self.pipe().drain(to, len) {
                Ok(moved) => {
                    self.left_pipe(moved);
                    passed(moved as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.begin_waiting();
                    let writable = single::fd_writable(&self.core, self.outbox.fd());
                    match unless_stalled(&self.core, writable).await {
                        Some(writable) => writable.map_err(SpliceError::Writing)?,
                        None => {
                            passed(self.in_pipe as u64);
                            self.empty_into_outbox().map_err(SpliceError::Writing)?;
                            return Ok(false);
                        }
                    }
                }
                Err(error) => return Err(SpliceError::Writing(error)),
            }
        }
        self.waits = false;
        Ok(true)
    }

    fn pipe(&mut self) -> &mut AnyPipe {
        self.pipe.as_mut().expect("given back in drop only")
    }

    /// How much the other socket may be sent at once. More than it has room for would wait in the
    /// pipe, for a peer that may have stalled.
    fn fill_max(&mut self) -> usize {
        let to = self.outbox.raw_fd();
        let room = if self.room_is_true { self.pipe().room_of(to) } else { 0 };
        room + UNCERTAIN_BYTES_MAX
    }

    /// The other socket is full.
    fn begin_waiting(&mut self) {
        if !std::mem::replace(&mut self.waits, true) {
            self.outbox.queued_elsewhere(self.in_pipe);
        }
        // A kernel short of memory, or told to keep little (TCP_NOTSENT_LOWAT), takes less.
        self.room_is_true &= self.in_pipe <= UNCERTAIN_BYTES_MAX;
    }

    /// The other socket took bytes out of the pipe.
    fn left_pipe(&mut self, moved: usize) {
        self.in_pipe -= moved;
        count(&self.core.counters.spliced_bytes, moved as u64);
        self.outbox.sent_elsewhere(moved, self.waits);
    }

    /// Empties the pipe into the outbox.
    fn empty_into_outbox(&mut self) -> io::Result<()> {
        while self.in_pipe > 0 {
            let len = self.in_pipe;
            let bytes = self.pipe().read(len)?;
            self.in_pipe -= bytes.len();
            self.outbox.dropped_elsewhere(bytes.len());
            self.outbox.push(bytes.into());
        }
        Ok(())
    }
}

/// What `future` brings, or `None` if it takes longer than [`STALL`].
async fn unless_stalled<T>(core: &Rc<Core>, future: impl Future<Output = T>) -> Option<T> {
    let mut stall = Sleep::new(Rc::clone(core), core.now() + STALL);
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Pin::new(&mut stall).poll(context).map(|()| None),
    })
    .await
}

impl Drop for Splice<'_> {
    fn drop(&mut self) {
        count(&self.core.counters.splices_left, 1);
        if self.waits {
            self.outbox.dropped_elsewhere(self.in_pipe);
        }
        if let Some(pipe) = self.pipe.take() {
            self.core.give_pipe_back(pipe, self.in_pipe == 0);
        }
    }
}
