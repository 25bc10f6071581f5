//! `io_uring_enter(2)` and the registered ring descriptor.
//!
//! The io-uring crate keeps a registered descriptor only in a `Submitter` that borrows the ring;
//! the ring here lives next to the code that enters it, so the call is made directly.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

const ENTER_GETEVENTS: u32 = 1 << 0;
const ENTER_EXT_ARG: u32 = 1 << 3;
const ENTER_REGISTERED_RING: u32 = 1 << 4;
const REGISTER_RING_FDS: u32 = 20;

/// How to name the ring to the kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RingName {
    Descriptor(RawFd),
    /// Index from [`register`]; spares the descriptor lookup of each call.
    Registered(u32),
}

/// How long `enter` may wait for a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Not at all: take what is there.
    No,
    /// Until a completion is there.
    Forever,
    /// Until a completion is there or the time has passed.
    AtMost(Duration),
    /// As `AtMost`, but completions gather first: until there are `count` of them, or for
    /// [`GATHERING_US`]. Linux 6.12.
    Gathering { count: u32, at_most: Duration },
}

/// Microseconds that completions gather.
const GATHERING_US: u32 = 30;

#[repr(C)]
struct KernelTimespec {
    seconds: i64,
    nanoseconds: i64,
}

/// The kernel's `struct io_uring_getevents_arg`.
#[repr(C)]
struct GetEventsArgument {
    signal_mask: u64,
    signal_mask_len: u32,
    minimum_wait_us: u32,
    timespec: u64,
}

/// Submits `to_submit` entries of the submission queue, runs deferred task work, and waits.
///
/// # Errors
/// What the kernel said; `EINTR`, `ETIME`, `EAGAIN` and `EBUSY` are normal weather for the caller.
pub(crate) fn enter(name: RingName, to_submit: u32, wait: Wait) -> io::Result<()> {
    let mut flags = ENTER_GETEVENTS;
    let fd = match name {
        RingName::Descriptor(fd) => libc::c_long::from(fd),
        RingName::Registered(index) => {
            flags |= ENTER_REGISTERED_RING;
            libc::c_long::from(index)
        }
    };
    let timespec;
    let argument;
    let (minimum, minimum_wait_us) = match wait {
        Wait::No => (0, 0),
        Wait::Forever | Wait::AtMost(_) => (1, 0),
        Wait::Gathering { count, .. } => (count, GATHERING_US),
    };
    let (pointer, size) = match wait {
        Wait::AtMost(duration) | Wait::Gathering { at_most: duration, .. } => {
            flags |= ENTER_EXT_ARG;
            timespec = KernelTimespec {
                seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
                nanoseconds: i64::from(duration.subsec_nanos()),
            };
            argument = GetEventsArgument {
                signal_mask: 0,
                signal_mask_len: 0,
                minimum_wait_us,
                timespec: (&raw const timespec).addr() as u64,
            };
            (&raw const argument, size_of::<GetEventsArgument>())
        }
        Wait::No | Wait::Forever => (std::ptr::null(), 0),
    };
    // SAFETY: the argument block and the timespec it points to outlive the call; the entries being
    // submitted were made by `driver::ring`, which keeps what they point to until they complete.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_enter,
            fd,
            libc::c_long::from(to_submit),
            libc::c_long::from(minimum),
            libc::c_long::from(flags),
            pointer,
            size,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Has the calling thread's short waits end on time: by default the kernel may let them last 50
/// microseconds longer.
pub(crate) fn wait_exactly() {
    // SAFETY: it sets a number of the thread and takes no pointer. A kernel that refuses loses
    // nothing but the exactness.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
}

/// Registers the ring's own descriptor for the calling thread.
///
/// # Errors
/// `EINVAL` before Linux 5.18.
pub(crate) fn register(fd: RawFd) -> io::Result<RingName> {
    /// The kernel's `struct io_uring_rsrc_update`.
    #[repr(C)]
    struct Update {
        offset: u32,
        reserved: u32,
        data: u64,
    }
    let descriptor = u64::try_from(fd).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    let mut update = Update { offset: u32::MAX, reserved: 0, data: descriptor };
    // SAFETY: the kernel reads and writes one `Update`, which outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            libc::c_long::from(fd),
            libc::c_long::from(REGISTER_RING_FDS),
            &raw mut update,
            1 as libc::c_long,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(RingName::Registered(update.offset))
    }
}
