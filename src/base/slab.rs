//! A slab whose keys carry a generation, so that a late key cannot find a new tenant.
//!
//! Kernel completions, wakers and timers all hold keys longer than the thing they name may live.
//! A key of a removed entry finds nothing; the slot it pointed to is used again under the next
//! generation, which wraps after 2^32 tenants of one slot.

/// Names one entry of a [`Slab`]: which slot, and which of the slot's tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Index of the slot.
    pub slot: u32,
    /// Which tenant of the slot.
    pub generation: u32,
}

impl Key {
    /// The key as one word, for a place that holds only that (an SQE's `user_data`).
    pub const fn to_word(self) -> u64 {
        (self.generation as u64) << 32 | self.slot as u64
    }

    /// The key that [`Key::to_word`] packed.
    #[expect(clippy::cast_possible_truncation, reason = "each half of the word is 32 bits")]
    pub const fn from_word(word: u64) -> Self {
        Self { slot: word as u32, generation: (word >> 32) as u32 }
    }
}

#[derive(Debug)]
enum Slot<T> {
    Vacant { next_vacant: Option<u32> },
    Taken(T),
}

/// Entries of one type under generational keys; insert, remove and lookup are O(1).
#[derive(Debug)]
pub struct Slab<T> {
    slots: Vec<(u32, Slot<T>)>,
    first_vacant: Option<u32>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), first_vacant: None, len: 0 }
    }
}

impl<T> Slab<T> {
    /// An empty slab with room for `capacity` entries before it grows.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { slots: Vec::with_capacity(capacity), first_vacant: None, len: 0 }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts `value` into a free slot and returns its key.
    ///
    /// # Panics
    /// At 2^32 entries.
    pub fn insert(&mut self, value: T) -> Key {
        self.len += 1;
        if let Some(slot) = self.first_vacant {
            let (generation, entry) = &mut self.slots[slot as usize];
            if let Slot::Vacant { next_vacant } = *entry {
                self.first_vacant = next_vacant;
            }
            *entry = Slot::Taken(value);
            return Key { slot, generation: *generation };
        }
        let slot = u32::try_from(self.slots.len()).expect("fewer than 2^32 entries");
        self.slots.push((0, Slot::Taken(value)));
        Key { slot, generation: 0 }
    }

    /// Takes the entry out, if `key` still names one.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let (generation, entry) = self.slots.get_mut(key.slot as usize)?;
        if *generation != key.generation || matches!(entry, Slot::Vacant { .. }) {
            return None;
        }
        let taken = std::mem::replace(entry, Slot::Vacant { next_vacant: self.first_vacant });
        *generation = generation.wrapping_add(1);
        self.first_vacant = Some(key.slot);
        self.len -= 1;
        match taken {
            Slot::Taken(value) => Some(value),
            Slot::Vacant { .. } => None,
        }
    }

    /// The entry, if `key` still names one.
    #[inline]
    pub fn get(&self, key: Key) -> Option<&T> {
        match self.slots.get(key.slot as usize) {
            Some((generation, Slot::Taken(value))) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The entry for changing, if `key` still names one.
    #[inline]
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slots.get_mut(key.slot as usize) {
            Some((generation, Slot::Taken(value))) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// Where the slot of `key` lies, whoever its tenant is: for fetching it into the cache.
    #[inline]
    pub fn slot_address(&self, key: Key) -> Option<*const u8> {
        self.slots.get(key.slot as usize).map(|slot| (&raw const *slot).cast())
    }

    /// Every entry with its key, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slots.iter().zip(0u32..).filter_map(|((generation, entry), slot)| match entry {
            Slot::Taken(value) => Some((Key { slot, generation: *generation }, value)),
            Slot::Vacant { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_removed_entry_never_finds_the_next_tenant() {
        let mut slab = Slab::default();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second");
        assert_eq!(second.slot, first.slot, "the slot is used again");
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn vacant_slots_are_used_before_the_slab_grows() {
        let mut slab = Slab::with_capacity(4);
        let keys: Vec<Key> = (0..4).map(|n| slab.insert(n)).collect();
        slab.remove(keys[1]);
        slab.remove(keys[2]);
        let mut reused = [slab.insert(10).slot, slab.insert(11).slot];
        reused.sort_unstable();
        assert_eq!(reused, [1, 2]);
        assert_eq!(slab.insert(12).slot, 4);
        assert_eq!(slab.iter().map(|(_, value)| *value).sum::<i32>(), 3 + 10 + 11 + 12);
    }

    #[test]
    fn a_key_survives_the_trip_through_one_word() {
        let key = Key { slot: 0xfffe_0001, generation: 0x8000_0003 };
        assert_eq!(Key::from_word(key.to_word()), key);
    }
}
