//! Maps of METADATA that have come on a stream and wait for its owner, each at its place among the
//! bytes of the body.

use std::cell::RefCell;
use std::collections::VecDeque;

use proto::HeaderList;

/// Maps that may wait on all streams of a connection together, beside the limit of their bytes.
pub(super) const MAPS_MAX: usize = 4096;

/// How much waits, in maps and in bytes of their names and values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) maps: usize,
    pub(super) bytes: usize,
}

impl Load {
    /// One map.
    pub(super) fn of(map: &HeaderList) -> Self {
        Self { maps: 1, bytes: map.byte_size() }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { maps: self.maps + other.maps, bytes: self.bytes + other.bytes }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self { maps: self.maps - other.maps, bytes: self.bytes - other.bytes }
    }
}

/// What waits on one stream.
#[derive(Debug, Default)]
pub(super) struct Maps {
    waiting: RefCell<VecDeque<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    map: Box<HeaderList>,
    /// It came before the head of the message, which is a response.
    is_early: bool,
    /// Bytes of the body between it and the map before it, or what is left to be taken of them.
    ahead: usize,
}

impl Maps {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.borrow().is_empty()
    }

    /// One has come, behind so many bytes of the body that wait.
    pub(super) fn push(&self, map: Box<HeaderList>, is_early: bool, bytes_waiting: usize) {
        let mut waiting = self.waiting.borrow_mut();
        let before: usize = waiting.iter().map(|waiting| waiting.ahead).sum();
        waiting.push_back(Waiting { map, is_early, ahead: bytes_waiting - before });
    }

    /// The next one that came before the head.
    pub(super) fn pop_early(&self) -> Option<Box<HeaderList>> {
        let mut waiting = self.waiting.borrow_mut();
        waiting.pop_front_if(|next| next.is_early).map(|next| next.map)
    }

    /// The next one, if no bytes of the body come before it.
    pub(super) fn pop(&self) -> Option<Box<HeaderList>> {
        let mut waiting = self.waiting.borrow_mut();
        waiting.pop_front_if(|next| next.ahead == 0).map(|next| next.map)
    }

    /// How many bytes of the body come before the next one.
    pub(super) fn bytes_ahead(&self) -> usize {
        self.waiting.borrow().front().map_or(usize::MAX, |next| next.ahead)
    }

    /// So many bytes of the body were taken, and no more than are ahead.
    pub(super) fn taken(&self, bytes: usize) {
        if let Some(next) = self.waiting.borrow_mut().front_mut() {
            next.ahead -= bytes;
        }
    }

    /// Throws all away. Returns how much that was.
    pub(super) fn clear(&self) -> Load {
        let waiting = self.waiting.take();
        waiting.iter().map(|waiting| Load::of(&waiting.map)).fold(Load::default(), Load::plus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: &str) -> Box<HeaderList> {
        let mut map = Box::<HeaderList>::default();
        map.append(b"n", value.as_bytes());
        map
    }

    #[test]
    fn each_map_comes_at_its_place_in_the_body() {
        let maps = Maps::default();
        maps.push(map("early"), true, 0);
        maps.push(map("0"), false, 0);
        maps.push(map("5"), false, 5);
        maps.push(map("also 5"), false, 5);
        maps.push(map("7"), false, 7);
        let text = |map: Option<Box<HeaderList>>| {
            map.map(|map| String::from_utf8_lossy(map.iter().next().unwrap().1).into_owned())
        };
        assert_eq!(text(maps.pop_early()).as_deref(), Some("early"));
        assert!(maps.pop_early().is_none());
        assert_eq!(text(maps.pop()).as_deref(), Some("0"));
        assert_eq!((text(maps.pop()), maps.bytes_ahead()), (None, 5));
        maps.taken(3);
        assert_eq!((text(maps.pop()), maps.bytes_ahead()), (None, 2));
        maps.taken(2);
        assert_eq!(text(maps.pop()).as_deref(), Some("5"));
        assert_eq!(text(maps.pop()).as_deref(), Some("also 5"));
        assert_eq!((text(maps.pop()), maps.bytes_ahead()), (None, 2));
        assert_eq!(maps.clear(), Load { maps: 1, bytes: 2 });
        assert!(maps.is_empty());
    }
}
