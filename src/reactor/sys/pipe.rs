//! A pipe between two sockets: bytes move through it inside the kernel, by `splice(2)`.
//!
//! Both ends are non-blocking, and so must the sockets be: `SPLICE_F_NONBLOCK` alone lets the call
//! wait for a blocking socket.

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A pipe of the kernel's default size.
#[derive(Debug)]
pub(crate) struct Pipe {
    reader: PipeReader,
    writer: OwnedFd,
}

impl Pipe {
    /// Opens a pipe.
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE` when no descriptor is left.
    pub(crate) fn new() -> io::Result<Self> {
        let mut ends: [RawFd; 2] = [-1; 2];
        // SAFETY: pipe2(2) writes two descriptors to the array.
        let result = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call above has just opened the descriptor and nobody else knows it.
        let reader = unsafe { PipeReader::from_raw_fd(ends[0]) };
        // SAFETY: as above.
        let writer = unsafe { OwnedFd::from_raw_fd(ends[1]) };
        Ok(Self { reader, writer })
    }

    /// Moves up to `len` bytes from a socket into the pipe. 0 is the end of the stream.
    ///
    /// # Errors
    /// `EAGAIN` if there is nothing to read, or what ended the connection.
    pub(crate) fn fill(&self, from: RawFd, len: usize) -> io::Result<usize> {
        splice(from, self.writer.as_raw_fd(), len)
    }

    /// Moves up to `len` bytes from the pipe to a socket.
    ///
    /// # Errors
    /// `EAGAIN` if the socket is full, or what ended the connection.
    pub(crate) fn drain(&self, to: RawFd, len: usize) -> io::Result<usize> {
        splice(self.reader.as_raw_fd(), to, len)
    }

    /// Brings up to `len` bytes out of the pipe, at least 1.
    ///
    /// # Errors
    /// `EAGAIN` if the pipe is empty.
    pub(crate) fn read(&self, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let read = (&self.reader).read(&mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

fn splice(from: RawFd, to: RawFd, len: usize) -> io::Result<usize> {
    loop {
        // SAFETY: splice(2) takes two descriptors and touches no memory of this process; without
        // offsets it uses the descriptors' own.
        let moved = unsafe {
            libc::splice(
                from,
                std::ptr::null_mut(),
                to,
                std::ptr::null_mut(),
                len,
                libc::SPLICE_F_NONBLOCK | libc::SPLICE_F_MOVE,
            )
        };
        if let Ok(moved) = usize::try_from(moved) {
            return Ok(moved);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
