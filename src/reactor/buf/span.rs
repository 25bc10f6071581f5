//! Bytes on their way through a worker: where they landed, or in memory of their connection.
#![forbid(unsafe_code)]

use std::ops::Deref;

use super::lease::Lease;

/// A run of bytes, either still leased from the ring or owned.
#[derive(Debug)]
pub struct Span {
    place: Place,
}

#[derive(Debug)]
enum Place {
    Leased(Lease),
    Owned { bytes: Vec<u8>, start: usize },
}

impl Span {
    /// Whether the bytes lie in ring memory.
    pub fn is_leased(&self) -> bool {
        matches!(self.place, Place::Leased(_))
    }

    /// Moves the bytes out of ring memory, if they are there. Returns how many were copied.
    pub(crate) fn copy_out(&mut self) -> usize {
        if let Place::Leased(lease) = &self.place {
            let bytes = lease.to_vec();
            let copied = bytes.len();
            self.place = Place::Owned { bytes, start: 0 };
            return copied;
        }
        0
    }

    /// Appends a copy of `more` if the span is owned and stays within `len_max` bytes of memory,
    /// those already given up included: they are still there. Returns whether it did.
    pub(crate) fn extend_owned(&mut self, more: &[u8], len_max: usize) -> bool {
        match &mut self.place {
            Place::Owned { bytes, .. } if bytes.len() + more.len() <= len_max => {
                let needed = bytes.len() + more.len();
                if needed > bytes.capacity() {
                    let capacity = (2 * bytes.len()).clamp(needed, len_max);
                    bytes.reserve_exact(capacity - bytes.len());
                }
                bytes.extend_from_slice(more);
                true
            }
            _ => false,
        }
    }

    /// Bytes of heap memory behind the span.
    #[cfg(test)]
    pub(crate) fn memory_held(&self) -> usize {
        match &self.place {
            Place::Leased(_) => 0,
            Place::Owned { bytes, .. } => bytes.capacity(),
        }
    }

    /// Takes the first `count` bytes out. Bytes in ring memory are leased twice, those of the
    /// connection's own memory are copied.
    ///
    /// # Panics
    /// If there are fewer.
    #[must_use = "the bytes are gone from the span"]
    pub fn split_to(&mut self, count: usize) -> Self {
        match &mut self.place {
            Place::Leased(lease) => Self { place: Place::Leased(lease.split_to(count)) },
            Place::Owned { bytes, start } => {
                let split = bytes[*start..*start + count].to_vec();
                *start += count;
                Self { place: Place::Owned { bytes: split, start: 0 } }
            }
        }
    }

    /// The memory behind the span, to append to, if it is of the connection's own.
    pub(crate) fn memory_mut(&mut self) -> Option<&mut Vec<u8>> {
        match &mut self.place {
            Place::Leased(_) => None,
            Place::Owned { bytes, .. } => Some(bytes),
        }
    }

    /// The memory behind the span, if it is of the connection's own.
    pub(crate) fn into_memory(self) -> Option<Vec<u8>> {
        match self.place {
            Place::Leased(_) => None,
            Place::Owned { bytes, .. } => Some(bytes),
        }
    }

    /// Gives up the first `count` bytes.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn advance(&mut self, count: usize) {
        match &mut self.place {
            Place::Leased(lease) => lease.advance(count),
            Place::Owned { bytes, start } => {
                assert!(count <= bytes.len() - *start, "advance by {count} past the end");
                *start += count;
            }
        }
    }
}

impl Deref for Span {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.place {
            Place::Leased(lease) => lease,
            Place::Owned { bytes, start } => &bytes[*start..],
        }
    }
}

impl From<Lease> for Span {
    fn from(lease: Lease) -> Self {
        Self { place: Place::Leased(lease) }
    }
}

impl From<Vec<u8>> for Span {
    fn from(bytes: Vec<u8>) -> Self {
        Self { place: Place::Owned { bytes, start: 0 } }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::buf::{BufferPool, FilledBuffer};

    #[test]
    fn copying_out_keeps_the_bytes_that_are_left_and_ends_the_lease() {
        let pool = BufferPool::new(1, 4096).unwrap();
        pool.take_returned(|_| ());
        let lease = pool.lease(FilledBuffer { id: 0, more: false }, 8).unwrap();
        let mut span = Span::from(lease);
        span.advance(5);
        assert_eq!((span.copy_out(), pool.leases(), span.is_leased()), (3, 0, false));
        assert_eq!(&*span, &[0; 3]);
        assert_eq!(span.copy_out(), 0);
        drop(Rc::clone(&pool));
    }

    #[test]
    fn both_parts_of_a_split_span_keep_its_memory() {
        let pool = BufferPool::new(1, 4096).unwrap();
        pool.take_returned(|_| ());
        let lease = pool.lease(FilledBuffer { id: 0, more: false }, 8).unwrap();
        let mut span = Span::from(lease);
        let first = span.split_to(3);
        assert_eq!((first.len(), span.len(), pool.leases()), (3, 5, 2));
        assert_eq!(span.as_ptr().addr(), first.as_ptr().addr() + 3);
        drop(span);
        assert!(!pool.has_returned(), "the first part is still leased");
        drop(first);
        assert!(pool.has_returned());

        let mut owned = Span::from(b"abcde".to_vec());
        owned.advance(1);
        assert_eq!((&*owned.split_to(2), &*owned), (&b"bc"[..], &b"de"[..]));
    }

    #[test]
    fn only_an_owned_span_grows_and_only_to_its_bound() {
        let mut span = Span::from(b"abc".to_vec());
        span.advance(2);
        assert!(span.extend_owned(b"de", 5));
        assert!(!span.extend_owned(b"f", 5), "what was given up still takes memory");
        assert_eq!(&*span, b"cde");
    }
}
