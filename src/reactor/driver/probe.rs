//! Finds out what the kernel's io_uring can do, by trying it on a scratch ring.
#![forbid(unsafe_code)]

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::ring::Ring;
use super::{Completion, Driver, Op, OpKey, SendMode, SendSpan, Wait};
use crate::buf::BufferPool;
use crate::sys::enter::{self, RingName};
use crate::{Features, RingError};

/// Probes the running kernel. Takes a few milliseconds and leaves nothing behind.
///
/// # Errors
/// [`RingError`] if io_uring is missing, forbidden, or older than Linux 6.1.
pub fn probe() -> Result<Features, RingError> {
    // The required minimum first: its error is the one to show.
    let mut features = Features::minimal();
    drop(Scratch::new(features)?);
    let with = |change: fn(&mut Features)| {
        let mut trial = Features::minimal();
        change(&mut trial);
        Scratch::new(trial)
    };
    features.incremental_buffers =
        with(|f| f.incremental_buffers = true).is_ok_and(|mut s| s.fills_incrementally());
    features.recv_limit =
        with(|f| f.recv_limit = true).is_ok_and(|mut s| s.ends_within_its_credit());
    features.registered_ring_fd = with(|_| ()).is_ok_and(|s| s.registers_its_descriptor());
    features.silent_send = with(|_| ()).is_ok_and(|mut s| s.sends_silently());
    features.minimum_wait = with(|_| ()).is_ok_and(|s| s.lets_completions_gather());
    Ok(features)
}

/// A small ring with two connected sockets.
struct Scratch {
    ring: Ring,
    pool: std::rc::Rc<BufferPool>,
    near: UnixStream,
    far: UnixStream,
}

const BUFFER_SIZE: u32 = 4096;
const CREDIT: u32 = 10;

fn key(slot: u32) -> OpKey {
    OpKey { slot, generation: 0 }
}

impl Scratch {
    fn new(features: Features) -> Result<Self, RingError> {
        let pool = BufferPool::new(4, BUFFER_SIZE)
            .map_err(|source| RingError::BufferMemory { bytes: 4 * 4096, source })?;
        let ring = Ring::new(features, &pool)?;
        let (near, far) = UnixStream::pair().map_err(RingError::Setup)?;
        near.set_nonblocking(true).map_err(RingError::Setup)?;
        far.set_nonblocking(true).map_err(RingError::Setup)?;
        Ok(Self { ring, pool, near, far })
    }

    /// Runs one turn and returns what completed within a tenth of a second.
    fn turn(&mut self) -> Vec<Completion> {
        let mut completions = Vec::new();
        self.ring.enter(Wait::AtMost(Duration::from_millis(100)), &self.pool);
        self.ring.reap(&mut completions, 16);
        completions
    }

    /// `inc`: two receives land in one buffer, and the kernel says that more may follow.
    fn fills_incrementally(&mut self) -> bool {
        let op = Op::Recv { fd: self.far.as_raw_fd(), credit: BUFFER_SIZE };
        let mut buffers = Vec::new();
        for slot in 0..2 {
            self.ring.submit(key(slot), &op);
            if (&self.near).write_all(b"probe").is_err() {
                return false;
            }
            buffers.extend(self.turn().iter().filter_map(|completion| completion.buffer));
        }
        matches!(buffers.as_slice(), [a, b] if a.more && b.more && a.id == b.id)
    }

    /// `recv_limit`: a multishot receive ends by itself within its credit, in pieces of half of it.
    fn ends_within_its_credit(&mut self) -> bool {
        let op = Op::Recv { fd: self.far.as_raw_fd(), credit: CREDIT };
        self.ring.submit(key(0), &op);
        let mut ends = Vec::new();
        for part in [&b"1234"[..], &[0; 500][..]] {
            if (&self.near).write_all(part).is_err() {
                return false;
            }
            ends.extend(self.turn().iter().map(|completion| (completion.result, completion.more)));
        }
        ends == [(4, true), (5, false)]
    }

    /// `ring_fd`: the ring's descriptor can be registered.
    fn registers_its_descriptor(&self) -> bool {
        matches!(enter::register(self.ring.as_raw_fd()), Ok(RingName::Registered(_)))
    }

    /// `min_wait`: a wait that nothing ends is over with its time; older kernels refuse it.
    fn lets_completions_gather(&self) -> bool {
        let name = RingName::Descriptor(self.ring.as_raw_fd());
        let wait = Wait::Gathering { count: 2, at_most: Duration::from_millis(1) };
        let waited = enter::enter(name, 0, wait);
        waited.is_err_and(|error| error.raw_os_error() == Some(libc::ETIME))
    }

    /// `silent_send`: a complete send is silent, a short one and a full socket are not.
    fn sends_silently(&mut self) -> bool {
        let bytes = vec![0_u8; 1 << 20];
        let send = |len: u32| Op::Send {
            fd: self.near.as_raw_fd(),
            span: SendSpan { start: bytes.as_ptr(), len },
            mode: SendMode::Silent,
        };
        let ops = [send(5), send(1 << 20), send(1 << 20)];
        let mut results = Vec::new();
        for (op, slot) in ops.iter().zip(0..) {
            self.ring.submit(key(slot), op);
            results.push(self.turn().first().map(|completion| completion.result));
        }
        let full = -libc::EAGAIN;
        matches!(results.as_slice(), [None, Some(1..0x10_0000), Some(third)] if *third == full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_finds_what_this_kernel_documents() {
        let features = probe().unwrap();
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = release.split(['.', '-']).map_while(|n| n.parse::<u32>().ok());
        let version = (numbers.next().unwrap(), numbers.next().unwrap());
        assert_eq!(features.incremental_buffers, version >= (6, 12), "{release}");
        assert_eq!(features.recv_limit, version >= (6, 17), "{release}");
        assert!(features.registered_ring_fd, "{release}");
        assert!(features.silent_send, "{release}");
        assert_eq!(features.minimum_wait, version >= (6, 12), "{release}");
    }
}
