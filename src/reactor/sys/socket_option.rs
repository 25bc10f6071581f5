//! `setsockopt(2)` and `getsockopt(2)` for options that no library has a name for, and for filters.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// Sets an option to the bytes of `value`.
///
/// # Errors
/// What the kernel said.
pub(crate) fn set(socket: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(value.len())
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: the pointer and the length describe `value`, which the kernel only reads.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value.as_ptr().cast(), length) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lets a classic BPF program choose the socket of a `SO_REUSEPORT` group, by its place in the
/// order in which they began to listen.
///
/// # Errors
/// What the kernel said.
pub(crate) fn attach_reuseport_filter(
    socket: BorrowedFd<'_>,
    program: &mut [libc::sock_filter],
) -> io::Result<()> {
    let len =
        u16::try_from(program.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    let length = libc::socklen_t::try_from(size_of_val(&program))
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: the kernel reads a `sock_fprog`, whose pointer and count describe the slice that is
    // borrowed here, and keeps neither.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            length,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Bytes that fit into the send buffer of a socket now: `SO_MEMINFO`, an array of which later
/// kernels may tell more. An eighth is left for what the kernel keeps beside the bytes.
///
/// # Errors
/// What the kernel said.
pub(crate) fn send_room(socket: RawFd) -> io::Result<usize> {
    /// Places in the array (linux/sock_diag.h).
    const WMEM_ALLOC: usize = 2;
    const SNDBUF: usize = 3;
    const WMEM_QUEUED: usize = 5;
    let mut told = [0_u32; WMEM_QUEUED + 1];
    let mut length = libc::socklen_t::try_from(size_of_val(&told)).unwrap_or(0);
    // SAFETY: the pointer and the length describe `told`, which the kernel writes to, and `length`
    // outlives the call.
    let result = unsafe {
        libc::getsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            told.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // TCP goes by what is queued, Unix sockets by what is allocated.
    let used = told[WMEM_QUEUED].max(told[WMEM_ALLOC]);
    let room = usize::try_from(told[SNDBUF].saturating_sub(used)).unwrap_or(0);
    Ok(room / 8 * 7)
}
