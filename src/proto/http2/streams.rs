//! All streams of a connection: by key for their owners, by identifier for frames.
//!
//! **Invariant:** `active` is sorted, and holds exactly the streams that are not closed.

use std::collections::VecDeque;

use base::{Key, Slab};

use crate::http2::stream::Stream;

/// The streams, and which of those that are gone the peer must know to be gone.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    slab: Slab<Stream>,
    /// Identifiers ascend as streams are opened, so a new one goes to the end.
    active: VecDeque<(u32, Key)>,
    closed: RecentlyClosed,
}

impl Streams {
    /// Streams that are not closed.
    #[inline]
    pub(crate) fn active_len(&self) -> usize {
        self.active.len()
    }

    /// Closed streams that their owners have not released.
    pub(crate) fn closed_len(&self) -> usize {
        self.slab.len() - self.active.len()
    }

    /// Adds a stream whose identifier is above all others.
    pub(crate) fn open(&mut self, stream: Stream) -> Key {
        let id = stream.id;
        debug_assert!(self.active.back().is_none_or(|&(last, _)| last < id));
        let key = self.slab.insert(stream);
        self.active.push_back((id, key));
        key
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&Stream> {
        self.slab.get(key)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Stream> {
        self.slab.get_mut(key)
    }

    /// The stream that is not closed and has this identifier.
    #[inline]
    pub(crate) fn find(&self, id: u32) -> Option<Key> {
        // Usually the newest one.
        match self.active.back() {
            Some(&(last, key)) if last == id => return Some(key),
            Some(&(last, _)) if last > id => {}
            _ => return None,
        }
        let place = self.active.binary_search_by_key(&id, |&(id, _)| id).ok()?;
        Some(self.active[place].1)
    }

    /// Marks a stream as closed, for this reason. `None` when it was closed before.
    pub(crate) fn close(&mut self, key: Key, how: Closed) -> Option<&mut Stream> {
        let stream = self.slab.get_mut(key).filter(|stream| !stream.is_closed)?;
        stream.is_closed = true;
        if let Ok(place) = self.active.binary_search_by_key(&stream.id, |&(id, _)| id) {
            self.active.remove(place);
        }
        self.closed.push(stream.id, stream.id, how);
        Some(stream)
    }

    /// Forgets a closed stream.
    pub(crate) fn release(&mut self, key: Key) -> Option<Stream> {
        debug_assert!(self.slab.get(key).is_none_or(|stream| stream.is_closed));
        self.slab.remove(key)
    }

    /// Notes identifiers that were passed over, and one that was never opened.
    pub(crate) fn note_closed(&mut self, first: u32, last: u32, how: Closed) {
        self.closed.push(first, last, how);
    }

    /// How a stream that is not active was closed, if that is still known.
    pub(crate) fn how_closed(&self, id: u32) -> Option<Closed> {
        self.closed.find(id)
    }

    /// The active stream with the largest identifier, if that is above `id`.
    pub(crate) fn last_above(&self, id: u32) -> Option<Key> {
        self.active.back().filter(|&&(last, _)| last > id).map(|&(_, key)| key)
    }

    /// Every active stream, in order.
    pub(crate) fn for_each_active(&mut self, mut visit: impl FnMut(Key, &mut Stream)) {
        for &(_, key) in &self.active {
            if let Some(stream) = self.slab.get_mut(key) {
                visit(key, stream);
            }
        }
    }
}

/// Why a stream is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Closed {
    /// Both sides have sent END_STREAM.
    #[default]
    Ended,
    /// The peer has reset it: it must not send more.
    ByPeer,
    /// We have reset or refused it: the peer may not know yet.
    ByUs,
    /// Its identifier was passed over: section 5.1.1.
    Skipped,
}

/// The last few closed streams. About older ones nothing is known, and a frame on them is ignored:
/// a peer that is late is not to be told from one that is wrong.
#[derive(Debug, Default)]
struct RecentlyClosed {
    ranges: [ClosedRange; REMEMBERED],
    next: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct ClosedRange {
    first: u32,
    last: u32,
    how: Closed,
}

impl RecentlyClosed {
    fn push(&mut self, first: u32, last: u32, how: Closed) {
        self.ranges[self.next] = ClosedRange { first, last, how };
        self.next = (self.next + 1) % REMEMBERED;
    }

    fn find(&self, id: u32) -> Option<Closed> {
        let found = self.ranges.iter().find(|range| (range.first..=range.last).contains(&id))?;
        Some(found.how)
    }
}

/// How many closed streams are remembered.
const REMEMBERED: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http2::flow::{INITIAL_WINDOW, SendWindow};
    use crate::http2::stream::Half;

    fn stream(id: u32) -> Stream {
        Stream::new(id, Half::Body, INITIAL_WINDOW, SendWindow::new(INITIAL_WINDOW))
    }

    #[test]
    fn streams_are_found_until_they_are_closed_and_kept_until_they_are_released() {
        let mut streams = Streams::default();
        let keys: Vec<Key> = (0..20).map(|at| streams.open(stream(at * 2 + 1))).collect();
        assert_eq!((streams.find(7), streams.find(39)), (Some(keys[3]), Some(keys[19])));
        assert_eq!((streams.find(2), streams.find(41)), (None, None));
        assert!(streams.close(keys[3], Closed::ByUs).is_some());
        assert!(streams.close(keys[3], Closed::Ended).is_none(), "once only");
        assert_eq!((streams.find(7), streams.how_closed(7)), (None, Some(Closed::ByUs)));
        assert_eq!((streams.active_len(), streams.closed_len()), (19, 1));
        assert_eq!(streams.release(keys[3]).map(|stream| stream.id), Some(7));
        assert!(streams.get(keys[3]).is_none());
        assert_eq!(streams.last_above(37), Some(keys[19]));
        assert_eq!(streams.last_above(39), None);
        for at in 0..REMEMBERED {
            streams.close(keys[at + 4 - usize::from(at + 4 > 19) * 20], Closed::Ended);
        }
        assert_eq!(streams.how_closed(7), None, "it was long ago");
    }
}
