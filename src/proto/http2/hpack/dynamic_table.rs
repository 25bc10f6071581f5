//! The dynamic table, of a decoder or an encoder: RFC 7541 sections 2.3.2 and 4.
//!
//! Names and values lie one behind the other in one vector, oldest first. Entries leave at the
//! front and come in at the back; when the back is twice the size of the table away from the
//! front, what is left moves to the start. So each byte is moved once at most, and a text is
//! always in one piece.
//!
//! **Invariant:** `size` is the sum of the sizes of all entries, and never above `size_max`.

use std::collections::VecDeque;

use crate::http2::hpack::name::NameKind;

/// The table. Allocates nothing before its first entry.
#[derive(Debug)]
pub(crate) struct DynamicTable {
    bytes: Vec<u8>,
    /// From the oldest to the newest.
    entries: VecDeque<Entry>,
    /// Position, in the stream of all bytes that were ever inserted, of the first of `bytes`.
    origin: u64,
    size: usize,
    size_max: usize,
    /// How many entries were ever inserted; wraps.
    inserted: u32,
}

/// What is known of an entry besides its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    position: u64,
    name_len: u32,
    value_len: u32,
    pub(crate) kind: NameKind,
    /// Whether name and value are what a field may have.
    pub(crate) is_valid: bool,
}

impl Entry {
    const fn size(&self) -> usize {
        self.name_len as usize + self.value_len as usize + ENTRY_OVERHEAD
    }
}

impl DynamicTable {
    /// An empty table of at most this size.
    pub(crate) const fn new(size_max: usize) -> Self {
        Self {
            bytes: Vec::new(),
            entries: VecDeque::new(),
            origin: 0,
            size: 0,
            size_max,
            inserted: 0,
        }
    }

    /// How many entries there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many entries were ever inserted, and the number of the next one; wraps.
    #[inline]
    pub(crate) const fn inserted(&self) -> u32 {
        self.inserted
    }

    pub(crate) const fn size_max(&self) -> usize {
        self.size_max
    }

    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    /// The entry of `index`, which counts from 0 for the newest one, with its name and value.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<(&Entry, &[u8], &[u8])> {
        let place = self.entries.len().checked_sub(index + 1)?;
        let entry = &self.entries[place];
        let at = usize::try_from(entry.position - self.origin).ok()?;
        let (name, value) = self.bytes[at..].split_at(entry.name_len as usize);
        Some((entry, name, &value[..entry.value_len as usize]))
    }

    /// Changes the maximum size, and evicts what is above it: section 4.3.
    pub(crate) fn set_size_max(&mut self, size_max: usize) {
        self.size_max = size_max;
        self.evict_until(size_max);
    }

    /// Inserts an entry: section 4.4. One that is larger than the table empties it.
    ///
    /// # Panics
    ///
    /// At 4 GiB of name or value, which limits of a field forbid.
    pub(crate) fn insert(&mut self, kind: NameKind, is_valid: bool, name: &[u8], value: &[u8]) {
        let entry = Entry {
            position: self.origin + self.bytes.len() as u64,
            name_len: length(name),
            value_len: length(value),
            kind,
            is_valid,
        };
        let size = entry.size();
        let Some(room) = self.size_max.checked_sub(size) else {
            self.evict_until(0);
            return;
        };
        let room =
            if cfg!(planted = "http2_hpack_round_trip_evicts_late") { room + 1 } else { room };
        self.evict_until(room);
        if self.bytes.len() + name.len() + value.len() > 2 * self.size_max {
            self.compact();
        }
        let entry = Entry { position: self.origin + self.bytes.len() as u64, ..entry };
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.entries.push_back(entry);
        self.size += size;
        self.inserted = self.inserted.wrapping_add(1);
    }

    fn evict_until(&mut self, size: usize) {
        while self.size > size {
            let Some(entry) = self.entries.pop_front() else {
                break;
            };
            self.size -= entry.size();
        }
        if self.entries.is_empty() {
            self.origin += self.bytes.len() as u64;
            self.bytes.clear();
        }
    }

    /// Moves what is left to the start.
    fn compact(&mut self) {
        let first = self.entries.front().map_or(self.origin, |entry| entry.position);
        let dead = usize::try_from(first - self.origin).unwrap_or(self.bytes.len());
        self.bytes.copy_within(dead.., 0);
        self.bytes.truncate(self.bytes.len() - dead);
        self.origin = first;
    }
}

fn length(text: &[u8]) -> u32 {
    u32::try_from(text.len()).expect("the limit of a field is far less than 4 GiB")
}

/// What each entry counts besides its text: section 4.1.
pub(crate) const ENTRY_OVERHEAD: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(table: &mut DynamicTable, name: &str, value: &str) {
        table.insert(NameKind::Other, true, name.as_bytes(), value.as_bytes());
    }

    fn texts(table: &DynamicTable) -> Vec<String> {
        (0..table.len())
            .map(|index| {
                let (_, name, value) = table.get(index).expect("it is within the table");
                format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
            })
            .collect()
    }

    #[test]
    fn the_oldest_entries_leave_for_the_newest() {
        // Two entries of 35 fit, and nothing more.
        let mut table = DynamicTable::new(70);
        insert(&mut table, "a", "11");
        insert(&mut table, "b", "22");
        assert_eq!((texts(&table), table.size()), (vec!["b=22".into(), "a=11".into()], 70));
        insert(&mut table, "c", "");
        assert_eq!((texts(&table), table.size()), (vec!["c=".into(), "b=22".into()], 68));
        insert(&mut table, "d", "333");
        assert_eq!((texts(&table), table.size()), (vec!["d=333".into(), "c=".into()], 69));
        table.set_size_max(36);
        assert_eq!((texts(&table), table.size()), (vec!["d=333".into()], 36));
        table.set_size_max(35);
        assert_eq!((texts(&table), table.size()), (vec![], 0));
    }

    #[test]
    fn an_entry_larger_than_the_table_empties_it() {
        // Section 4.4: that is no error.
        let mut table = DynamicTable::new(40);
        insert(&mut table, "a", "1");
        insert(&mut table, "long", "12345");
        assert_eq!((texts(&table), table.size()), (vec![], 0));
        insert(&mut table, "long", "1234");
        assert_eq!(texts(&table), ["long=1234"]);
        let mut table = DynamicTable::new(0);
        insert(&mut table, "", "");
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn texts_stay_right_while_memory_is_used_again() {
        let mut table = DynamicTable::new(200);
        for round in 0..1000_usize {
            insert(&mut table, &"n".repeat(round % 40), &round.to_string());
            let newest = texts(&table).remove(0);
            assert_eq!(newest, format!("{}={round}", "n".repeat(round % 40)));
            for (index, text) in texts(&table).iter().enumerate() {
                assert!(text.ends_with(&format!("={}", round - index)), "{text}");
            }
            assert!(table.size() <= 200 && table.bytes.len() <= 400);
        }
        assert_eq!(table.inserted(), 1000);
    }
}
