//! Bytes that wait between a connection and the owner of one of its streams.

use std::collections::VecDeque;

use reactor::{Outbox, Span};

/// A queue of bytes. Those that stay longer than a turn are [settled](Pending::settle): copied out
/// of ring memory, behind those that were copied before.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// The oldest bytes, from `taken` on.
    copied: Vec<u8>,
    taken: usize,
    spans: VecDeque<Span>,
    bytes: usize,
}

impl Pending {
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub(super) fn push(&mut self, span: Span) {
        self.bytes += span.len();
        self.spans.push_back(span);
    }

    pub(super) fn push_copy(&mut self, bytes: &[u8]) {
        self.settle();
        self.bytes += bytes.len();
        self.copied.extend_from_slice(bytes);
    }

    /// The next piece, of at most so many bytes.
    pub(super) fn pop(&mut self, bytes_max: usize) -> Option<Span> {
        let left = self.copied.len() - self.taken;
        let piece = if left == 0 {
            let first = self.spans.front_mut()?;
            if first.len() <= bytes_max {
                self.spans.pop_front()?
            } else {
                first.split_to(bytes_max)
            }
        } else if self.taken == 0 && left <= bytes_max {
            std::mem::take(&mut self.copied).into()
        } else {
            let end = self.taken + left.min(bytes_max);
            let piece = self.copied[self.taken..end].to_vec();
            self.taken = end;
            self.compact();
            piece.into()
        };
        self.bytes -= piece.len();
        Some(piece)
    }

    /// Sends the next piece, of at most so many bytes. Returns how many they were: 0 if there are
    /// none.
    pub(super) fn send(&mut self, bytes_max: usize, outbox: &Outbox) -> usize {
        let copied = (self.copied.len() - self.taken).min(bytes_max);
        if copied == 0 {
            let Some(piece) = self.pop(bytes_max) else { return 0 };
            let bytes = piece.len();
            outbox.push(piece);
            return bytes;
        }
        // Copied once more, and the memory stays for what comes next.
        let end = self.taken + copied;
        outbox.write(|out| out.extend_from_slice(&self.copied[self.taken..end]));
        self.taken = end;
        self.bytes -= copied;
        self.compact();
        copied
    }

    /// Copies what lies in ring memory.
    pub(super) fn settle(&mut self) {
        for span in self.spans.drain(..) {
            self.copied.extend_from_slice(&span);
        }
    }

    /// Throws everything away. Returns how many bytes that were.
    pub(super) fn clear(&mut self) -> usize {
        self.copied.clear();
        self.taken = 0;
        self.spans.clear();
        std::mem::take(&mut self.bytes)
    }

    /// Gives up what was taken, once that is most of it: each byte is moved at most once.
    fn compact(&mut self) {
        if 2 * self.taken >= self.copied.len() {
            self.copied.drain(..self.taken);
            self.taken = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(pending: &mut Pending, bytes_max: usize) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| pending.pop(bytes_max)).map(|span| span.to_vec()).collect()
    }

    #[test]
    fn bytes_come_out_in_order_whether_copied_or_not() {
        let mut pending = Pending::default();
        pending.push(b"abcde".to_vec().into());
        pending.settle();
        pending.push_copy(b"fg");
        pending.push(b"hijk".to_vec().into());
        assert_eq!(pending.len(), 11);
        let pieces = take_all(&mut pending, 3);
        assert_eq!(pieces, [&b"abc"[..], b"def", b"g", b"hij", b"k"]);
        assert!(pending.is_empty());
    }

    #[test]
    fn what_fits_whole_is_moved() {
        let mut pending = Pending::default();
        pending.push_copy(b"abc");
        pending.push(b"de".to_vec().into());
        assert_eq!(take_all(&mut pending, 3), [&b"abc"[..], b"de"]);
        pending.push_copy(b"xyz");
        assert_eq!(pending.clear(), 3);
        assert_eq!((pending.len(), pending.pop(9).is_none()), (0, true));
    }
}
