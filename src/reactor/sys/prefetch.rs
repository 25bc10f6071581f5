//! Asking the cache for memory that will be needed in a moment.
//!
//! With hundreds of connections every wake finds its connection's memory cold: the kernel's part
//! of four sockets has been through the cache since. What a turn will touch is known ahead, so it
//! is fetched ahead, and the waits overlap (measured at 512 connections: see `Core::reap`).

/// Bytes fetched together.
const CACHE_LINE: usize = 64;

/// Begins to fetch `bytes` bytes from `start`. Only a hint: any address is allowed.
#[inline]
pub(crate) fn prefetch(start: *const u8, bytes: usize) {
    for offset in (0..bytes).step_by(CACHE_LINE) {
        prefetch_line(start.wrapping_add(offset));
    }
}

/// Where a value lies in memory, or nowhere, kept for fetching it later. The value may be gone by
/// then.
#[derive(Debug)]
pub(crate) struct MemoryHint<T>(*const T);

impl<T> Clone for MemoryHint<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for MemoryHint<T> {}

impl<T> Default for MemoryHint<T> {
    fn default() -> Self {
        Self(std::ptr::null())
    }
}

impl<T> MemoryHint<T> {
    /// The place of `value`.
    pub(crate) fn of(value: &T) -> Self {
        Self(value)
    }

    /// Begins to fetch it.
    #[inline]
    pub(crate) fn prefetch(self) {
        if !self.0.is_null() {
            prefetch(self.0.cast(), size_of::<T>());
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn prefetch_line(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing that the program can see and never faults; SSE is part of
    // every x86_64.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn prefetch_line(_address: *const u8) {}
