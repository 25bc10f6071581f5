//! A counted lease on received bytes where they landed.

use std::ops::Deref;
use std::rc::Rc;

use super::pool::BufferPool;

/// Received bytes in a provided buffer; dropping it lets the buffer go back to the kernel.
///
/// Leases are short: one that is not sent or consumed in the turn it was received in is copied
/// into memory of the connection (see [`crate::Span`]), so that a slow peer never holds ring
/// memory.
#[derive(Debug)]
pub struct Lease {
    pool: Rc<BufferPool>,
    buffer: u16,
    /// Offset of the first byte in the pool's memory.
    start: usize,
    len: usize,
}

impl Lease {
    pub(super) fn new(pool: Rc<BufferPool>, buffer: u16, start: usize, len: usize) -> Self {
        Self { pool, buffer, start, len }
    }

    /// Takes the first `count` bytes out, as a lease of their own.
    ///
    /// # Panics
    /// If there are fewer.
    pub(super) fn split_to(&mut self, count: usize) -> Self {
        self.pool.share(self.buffer);
        let (pool, buffer, start) = (Rc::clone(&self.pool), self.buffer, self.start);
        self.advance(count);
        Self { pool, buffer, start, len: count }
    }

    /// Gives up the first `count` bytes.
    ///
    /// # Panics
    /// If there are fewer.
    pub(super) fn advance(&mut self, count: usize) {
        assert!(count <= self.len, "advance by {count} of {} bytes", self.len);
        self.start += count;
        self.len -= count;
    }
}

impl Deref for Lease {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: [start, start + len) lies inside the pool's mapping, which the Rc keeps mapped;
        // the kernel wrote it before the completion that made this lease, and writes only behind
        // `filled` until the buffer is returned, which this lease prevents.
        unsafe { std::slice::from_raw_parts(self.pool.at(self.start), self.len) }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.release(self.buffer);
    }
}
