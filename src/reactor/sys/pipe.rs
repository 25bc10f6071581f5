//! A pipe between two sockets: bytes move through it inside the kernel, by `splice(2)`.
//!
//! Both ends are non-blocking, and so must the sockets be: `SPLICE_F_NONBLOCK` alone lets the call
//! wait for a blocking socket.

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::socket_option;

/// How large a pipe is made, if the kernel allows it: `/proc/sys/fs/pipe-max-size`, and for users
/// without privileges `pipe-user-pages-soft`. Its pages may hold as little as one packet each, so
/// the default of 64 KiB costs twice the CPU per byte (0.42 against 0.23 CPU-s/GB).
const PIPE_SIZE: libc::c_int = 1024 * 1024;
/// Below the default size, which users who have many pipes get, splicing is not worth the calls.
const PIPE_SIZE_MIN: libc::c_int = 64 * 1024;

/// A pipe.
#[derive(Debug)]
pub(crate) struct Pipe {
    reader: PipeReader,
    writer: OwnedFd,
}

impl Pipe {
    /// Opens a pipe, as large as is allowed.
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE` when no descriptor is left, `EPERM` when the user has so many pipes
    /// that the kernel gives out only tiny ones.
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
        let pipe = Self { reader, writer };
        pipe.grow()?;
        Ok(pipe)
    }

    /// Makes the pipe as large as is allowed.
    fn grow(&self) -> io::Result<()> {
        let mut size = PIPE_SIZE;
        while size >= PIPE_SIZE_MIN {
            // SAFETY: F_SETPIPE_SZ takes a number and touches no memory of this process.
            let set = unsafe { libc::fcntl(self.writer.as_raw_fd(), libc::F_SETPIPE_SZ, size) };
            if set >= 0 {
                return Ok(());
            }
            size /= 2;
        }
        Err(io::Error::last_os_error())
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

    /// How many bytes a socket takes now without waiting, as far as the kernel tells.
    pub(crate) fn room_of(&self, to: RawFd) -> usize {
        socket_option::send_room(to).unwrap_or(0)
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
