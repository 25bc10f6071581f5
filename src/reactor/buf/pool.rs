//! The provided buffers of one reactor: memory, and who holds which part of it.
//!
//! The kernel picks a buffer for each receive and fills it from the front. A buffer goes back to
//! the kernel once the kernel is done with it and no [`Lease`] is left on it.
//!
//! **Invariant:** a byte range is leased at most once between two returns of its buffer, and the
//! kernel writes only behind `filled`.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use super::lease::Lease;
use crate::sys::mapping::Mapping;

/// Which provided buffer was filled, as the kernel tells it: not yet checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FilledBuffer {
    pub(crate) id: u16,
    /// The kernel will put more into the same buffer (incremental buffers only).
    pub(crate) more: bool,
}

/// Where one buffer stands between two returns to the kernel.
#[derive(Debug, Default)]
struct BufferState {
    /// Bytes the kernel has put in so far.
    filled: Cell<u32>,
    /// Leases on parts of it.
    leases: Cell<u32>,
    place: Cell<Place>,
}

/// Who may write into a buffer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nobody: it waits to be handed to the kernel.
    #[default]
    Free,
    Kernel,
    /// Nobody: the kernel will put no more in, and leases are left on it.
    Retired,
}

/// Memory and books of the provided buffers.
#[derive(Debug)]
pub(crate) struct BufferPool {
    memory: Mapping,
    buffer_size: u32,
    buffers: Box<[BufferState]>,
    /// Free buffers that the driver has yet to hand to the kernel.
    returned: RefCell<Vec<u16>>,
    /// Buffers the kernel has not retired: in its ring, or on the way there.
    available: Cell<usize>,
    leases: Cell<usize>,
}

impl BufferPool {
    /// A pool of `count` buffers of `buffer_size` bytes, all free.
    ///
    /// # Errors
    /// What `mmap(2)` said.
    pub(crate) fn new(count: u16, buffer_size: u32) -> io::Result<Rc<Self>> {
        let memory = Mapping::new(usize::from(count) * buffer_size as usize)?;
        Ok(Rc::new(Self {
            memory,
            buffer_size,
            buffers: (0..count).map(|_| BufferState::default()).collect(),
            returned: RefCell::new((0..count).collect()),
            available: Cell::new(usize::from(count)),
            leases: Cell::new(0),
        }))
    }

    /// Bytes in one buffer.
    pub(crate) fn buffer_size(&self) -> u32 {
        self.buffer_size
    }

    /// Number of buffers.
    pub(crate) fn count(&self) -> u16 {
        u16::try_from(self.buffers.len()).unwrap_or(u16::MAX)
    }

    /// Buffers that a receive can still land in.
    pub(crate) fn available(&self) -> usize {
        self.available.get()
    }

    /// Leases held now.
    pub(crate) fn leases(&self) -> usize {
        self.leases.get()
    }

    /// First byte of a buffer, for handing it to the kernel.
    pub(crate) fn buffer_start(&self, id: u16) -> *mut u8 {
        self.memory.at(usize::from(id) * self.buffer_size as usize)
    }

    /// Takes the buffers that became free since the last call; the driver gives each back.
    pub(crate) fn take_returned(&self, mut give_back: impl FnMut(u16)) {
        for id in self.returned.borrow_mut().drain(..) {
            self.buffers[usize::from(id)].place.set(Place::Kernel);
            give_back(id);
        }
    }

    /// Whether a buffer waits to be given back.
    pub(crate) fn has_returned(&self) -> bool {
        !self.returned.borrow().is_empty()
    }

    /// Books `len` bytes that the kernel says it put into a buffer and leases them. `None` if the
    /// kernel names a buffer or a length that cannot be: nothing is booked then.
    pub(crate) fn lease(self: &Rc<Self>, filled: FilledBuffer, len: u32) -> Option<Lease> {
        let state = self.buffers.get(usize::from(filled.id))?;
        let offset = state.filled.get();
        if state.place.get() != Place::Kernel || len > self.buffer_size - offset {
            return None;
        }
        state.filled.set(offset + len);
        if !filled.more {
            state.place.set(Place::Retired);
            self.available.set(self.available.get() - 1);
        }
        state.leases.set(state.leases.get() + 1);
        self.leases.set(self.leases.get() + 1);
        let start = usize::from(filled.id) * self.buffer_size as usize + offset as usize;
        Some(Lease::new(Rc::clone(self), filled.id, start, len as usize))
    }

    /// Address of a leased byte.
    pub(super) fn at(&self, offset: usize) -> *const u8 {
        self.memory.at(offset)
    }

    /// One more lease on a buffer that is leased.
    pub(super) fn share(&self, id: u16) {
        let state = &self.buffers[usize::from(id)];
        state.leases.set(state.leases.get() + 1);
        self.leases.set(self.leases.get() + 1);
    }

    /// Ends one lease on a buffer; the last one on a retired buffer frees it.
    pub(super) fn release(&self, id: u16) {
        let state = &self.buffers[usize::from(id)];
        let leases = state.leases.get().checked_sub(1).expect("a lease is released once");
        state.leases.set(leases);
        self.leases.set(self.leases.get() - 1);
        if leases == 0 && state.place.get() == Place::Retired {
            state.place.set(Place::Free);
            state.filled.set(0);
            self.available.set(self.available.get() + 1);
            self.returned.borrow_mut().push(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Rc<BufferPool> {
        let pool = BufferPool::new(2, 4096).unwrap();
        pool.take_returned(|_| ());
        pool
    }

    fn returned(pool: &BufferPool) -> Vec<u16> {
        let mut ids = Vec::new();
        pool.take_returned(|id| ids.push(id));
        ids
    }

    #[test]
    fn a_new_pool_gives_every_buffer_to_the_kernel_once() {
        let pool = BufferPool::new(3, 4096).unwrap();
        assert_eq!(returned(&pool), [0, 1, 2]);
        assert_eq!(returned(&pool), []);
        assert_eq!(pool.available(), 3);
    }

    #[test]
    fn a_buffer_returns_only_when_retired_and_free_of_leases() {
        let pool = pool();
        let first = pool.lease(FilledBuffer { id: 1, more: true }, 100).unwrap();
        let second = pool.lease(FilledBuffer { id: 1, more: true }, 50).unwrap();
        drop(first);
        drop(second);
        assert_eq!(returned(&pool), [], "the kernel still fills it");
        let third = pool.lease(FilledBuffer { id: 1, more: false }, 10).unwrap();
        assert_eq!(pool.available(), 1);
        assert_eq!(returned(&pool), [], "a lease is left");
        drop(third);
        assert_eq!(returned(&pool), [1]);
        assert_eq!((pool.available(), pool.leases()), (2, 0));
    }

    #[test]
    fn spans_of_one_incremental_buffer_do_not_overlap() {
        let pool = pool();
        let first = pool.lease(FilledBuffer { id: 0, more: true }, 3).unwrap();
        let second = pool.lease(FilledBuffer { id: 0, more: true }, 4).unwrap();
        assert_eq!(second.as_ptr().addr(), first.as_ptr().addr() + 3);
        assert_eq!(&*second, &[0; 4]);
    }

    #[test]
    fn a_buffer_that_the_kernel_does_not_have_cannot_be_filled_by_it() {
        let pool = pool();
        let held = pool.lease(FilledBuffer { id: 1, more: false }, 100).unwrap();
        assert!(pool.lease(FilledBuffer { id: 1, more: false }, 0).is_none(), "retired");
        drop(held);
        assert!(pool.lease(FilledBuffer { id: 1, more: false }, 100).is_none(), "free");
        assert_eq!(returned(&pool), [1], "and it is given back once");
        assert_eq!((pool.available(), pool.leases()), (2, 0));
    }

    #[test]
    fn a_length_or_buffer_that_cannot_be_is_refused_without_a_trace() {
        let pool = pool();
        assert!(pool.lease(FilledBuffer { id: 2, more: false }, 1).is_none());
        assert!(pool.lease(FilledBuffer { id: 0, more: false }, 4097).is_none());
        let full = pool.lease(FilledBuffer { id: 0, more: true }, 4096).unwrap();
        assert!(pool.lease(FilledBuffer { id: 0, more: false }, 1).is_none());
        assert_eq!(pool.leases(), 1);
        drop(full);
    }
}
