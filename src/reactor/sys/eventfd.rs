//! An eventfd: how another thread wakes a worker that sleeps in its ring.
//!
//! It is non-blocking, so that neither a signal nor a drain ever waits. A ring waits for it with a
//! (multishot) poll, after which [`EventFd::drain`] makes it unreadable again.
//!
//! **Invariant:** the descriptor is an open eventfd from `new` until it is dropped.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// A counter in the kernel that is readable while it is not zero.
#[derive(Debug)]
pub(crate) struct EventFd {
    /// As a file, for it lets `read(2)` and `write(2)` be called without unsafe code.
    file: File,
}

impl EventFd {
    /// Opens an eventfd with the flags `EFD_NONBLOCK | EFD_CLOEXEC` and the count zero.
    ///
    /// # Errors
    ///
    /// `EMFILE` or `ENFILE` when no descriptor is left, `ENOMEM` without kernel memory.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: eventfd(2) takes two integers and touches no memory of this process.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call above has just opened `fd` and nobody else knows it.
        let owned = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { file: File::from(owned) })
    }

    /// Makes it readable. From any thread; it never blocks.
    ///
    /// # Panics
    ///
    /// If the kernel refuses to write to an eventfd, which only a sandbox could make it do: the
    /// wake-up would be lost and the worker would sleep for good.
    pub(crate) fn signal(&self) {
        loop {
            match (&self.file).write(&1_u64.to_ne_bytes()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The counter is full: it is readable, which is all that a signal is for.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                written => {
                    assert!(written.is_ok(), "write to an eventfd: {written:?}");
                    return;
                }
            }
        }
    }

    /// Makes it unreadable until the next signal; says whether there had been one since the last.
    ///
    /// # Panics
    ///
    /// If the kernel refuses to read an eventfd, as for [`EventFd::signal`].
    pub(crate) fn drain(&self) -> bool {
        let mut count = [0; size_of::<u64>()];
        loop {
            match (&self.file).read(&mut count) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                read => {
                    assert!(read.is_ok(), "read from an eventfd: {read:?}");
                    return true;
                }
            }
        }
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

#[cfg(test)]
impl EventFd {
    /// Whether it is readable, or becomes readable within `timeout_ms`, without draining it.
    pub(crate) fn poll_for_test(&self, timeout_ms: i32) -> bool {
        let mut poll = libc::pollfd { fd: self.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: `poll` is one valid pollfd for the whole call, and the count passed is one.
        let ready = unsafe { libc::poll(&raw mut poll, 1, timeout_ms) };
        assert!(ready >= 0, "{}", io::Error::last_os_error());
        ready == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_signals_are_one_readiness_and_one_drain() {
        let event = EventFd::new().unwrap();
        assert!(!event.poll_for_test(0));
        assert!(!event.drain());
        for _ in 0..3 {
            event.signal();
        }
        assert!(event.poll_for_test(0));
        assert!(event.drain());
        assert!(!event.poll_for_test(0));
        assert!(!event.drain());
    }

    #[test]
    fn a_full_counter_neither_blocks_nor_loses_the_readiness() {
        let event = EventFd::new().unwrap();
        // The highest count there is; one more would overflow.
        (&event.file).write_all(&(u64::MAX - 1).to_ne_bytes()).unwrap();
        event.signal();
        assert!(event.drain());
        assert!(!event.drain());
    }

    #[test]
    fn a_signal_of_another_thread_arrives() {
        let event = EventFd::new().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| event.signal());
            assert!(event.poll_for_test(10_000));
        });
    }
}
