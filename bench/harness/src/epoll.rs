//! The few lines of epoll(7) that the load side shares.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// Most events taken from the kernel at once.
const BATCH: usize = 256;
/// How long a wait lasts at most, so that a loop sees that it should stop.
const TICK: Duration = Duration::from_millis(50);

/// An epoll instance and the room for its events.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

/// One thing that became ready.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    /// What [`Poller::add`] was given.
    pub(crate) token: u64,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(BATCH) })
    }

    /// Watches `source`, level-triggered. Closing the descriptor ends the watch.
    pub(crate) fn add(&self, source: impl AsFd, token: u64, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(token), flags)?)
    }

    /// Changes what `source` is watched for.
    pub(crate) fn modify(
        &self,
        source: impl AsFd,
        token: u64,
        flags: EventFlags,
    ) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, source, EventData::new_u64(token), flags)?)
    }

    /// Waits for at most one tick and returns what is ready, perhaps nothing.
    pub(crate) fn wait(&mut self) -> io::Result<impl Iterator<Item = Ready> + use<'_>> {
        self.events.clear();
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(TICK.subsec_nanos()) };
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut self.events),
            Some(&timeout),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.events.iter().map(|event| Ready { token: event.data.u64() }))
    }
}
