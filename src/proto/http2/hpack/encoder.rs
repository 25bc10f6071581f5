//! Encoding header blocks: RFC 7541 sections 3 and 6.
//!
//! A field that is in a table becomes its index. Others are literals: added to the table unless
//! their value is seldom the same twice, and kept out of every table, the peers' included, where
//! they are secrets that could be guessed by their size (section 7.1.3) or where the peer that
//! sent them asked for it.
//!
//! Entries are found by small tables of numbers: the last entry of each known name, and by what
//! name, or name and value, hash to. A number whose entry has left, or whose place another text
//! took, is a miss: that costs compression, never correctness, and looking up is a comparison.

use crate::headers::KnownName;
use crate::http2::hpack::decoder::INITIAL_TABLE_SIZE;
use crate::http2::hpack::dynamic_table::{DynamicTable, ENTRY_OVERHEAD};
use crate::http2::hpack::name::{NameKind, Pseudo};
use crate::http2::hpack::static_table::{self, STATIC_LEN};
use crate::http2::hpack::{huffman, integer};

/// Encodes the blocks of one direction of a connection.
#[derive(Debug)]
pub struct Encoder {
    table: DynamicTable,
    /// What the table may take at most, whatever the peer allows.
    size_cap: usize,
    /// The smallest size since the last block, and the one to announce: section 4.2.
    pending_sizes: Option<PendingSizes>,
    uses_huffman: bool,
    places: Option<Box<Places>>,
}

#[derive(Debug, Clone, Copy)]
struct PendingSizes {
    smallest: usize,
    last: usize,
}

/// Numbers of entries, plus one; they wrap, since what is found is compared.
#[derive(Debug)]
struct Places {
    /// The last entry of each known name, which nearly always has the same value again.
    by_known: [u32; KnownName::COUNT],
    by_name: [u32; PLACES],
    by_field: [u32; PLACES],
}

/// How a literal is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Indexing {
    Incremental,
    Without,
    Never,
}

impl Encoder {
    /// An encoder with the table size that both ends start with, and that never takes more than
    /// `size_cap`.
    #[must_use]
    pub fn new(size_cap: usize, uses_huffman: bool) -> Self {
        let mut encoder = Self {
            table: DynamicTable::new(INITIAL_TABLE_SIZE),
            size_cap,
            pending_sizes: None,
            uses_huffman,
            places: None,
        };
        encoder.set_peer_limit(INITIAL_TABLE_SIZE);
        encoder
    }

    /// The peer's `SETTINGS_HEADER_TABLE_SIZE`. The next block announces what comes of it.
    pub fn set_peer_limit(&mut self, size: usize) {
        let size = size.min(self.size_cap);
        let smallest = self.pending_sizes.map_or(size, |pending| pending.smallest.min(size));
        if size != self.table.size_max() || self.pending_sizes.is_some() {
            self.pending_sizes = Some(PendingSizes { smallest, last: size });
        }
    }

    /// The size of the table, as RFC 7541 section 4.1 counts it.
    #[must_use]
    pub const fn table_size(&self) -> usize {
        self.table.size()
    }

    /// How many entries the table has.
    #[must_use]
    pub fn table_len(&self) -> usize {
        self.table.len()
    }

    /// Starts a block.
    #[inline]
    pub fn start_block(&mut self, out: &mut Vec<u8>) {
        if let Some(pending) = self.pending_sizes.take() {
            self.announce(pending, out);
        }
    }

    #[cold]
    fn announce(&mut self, pending: PendingSizes, out: &mut Vec<u8>) {
        if pending.smallest < pending.last {
            integer::encode(pending.smallest, 5, 0x20, out);
            self.table.set_size_max(pending.smallest);
        }
        integer::encode(pending.last, 5, 0x20, out);
        self.table.set_size_max(pending.last);
    }

    /// Appends a pseudo-header field.
    #[inline]
    pub fn encode_pseudo(&mut self, pseudo: Pseudo, value: &[u8], out: &mut Vec<u8>) {
        let kind = NameKind::Pseudo(pseudo);
        let index = static_table::full_index(kind, value);
        if index > 0 {
            integer::encode(index, 7, 0x80, out);
        } else {
            self.encode_unseen(kind, pseudo.as_str().as_bytes(), value, false, out);
        }
    }

    /// Appends a field. `name` is in lower case and is what `kind` says.
    #[inline]
    pub fn encode(
        &mut self,
        kind: NameKind,
        name: &[u8],
        value: &[u8],
        is_never_indexed: bool,
        out: &mut Vec<u8>,
    ) {
        // What was put into the table was meant to be found there again.
        if let NameKind::Known(known) = kind
            && !is_never_indexed
            && let Some(index) = self.last_of_known(known, value)
        {
            integer::encode(index, 7, 0x80, out);
            return;
        }
        self.encode_unseen(kind, name, value, is_never_indexed, out);
    }

    /// A field that is not the last of its known name again.
    #[inline(never)]
    fn encode_unseen(
        &mut self,
        kind: NameKind,
        name: &[u8],
        value: &[u8],
        is_never_indexed: bool,
        out: &mut Vec<u8>,
    ) {
        let indexing = if is_never_indexed { Indexing::Never } else { indexing(kind, value) };
        if indexing != Indexing::Never {
            let index = static_table::full_index(kind, value);
            if index > 0 {
                integer::encode(index, 7, 0x80, out);
                return;
            }
        }
        if indexing == Indexing::Incremental {
            self.encode_incremental(kind, name, value, out);
            return;
        }
        let keeps_mark = !cfg!(planted = "http2_hpack_round_trip_loses_mark");
        let pattern = if indexing == Indexing::Never && keeps_mark { 0x10 } else { 0 };
        let mut index = static_table::name_index(kind, name);
        if index == 0 {
            index = self.dynamic_name_index(kind, name, hash(name));
        }
        integer::encode(index, 4, pattern, out);
        if index == 0 {
            self.text(name, out);
        }
        self.text(value, out);
    }

    fn encode_incremental(&mut self, kind: NameKind, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let name_hash = match kind {
            NameKind::Known(_) => 0,
            _ => hash(name),
        };
        // Names are told apart by their comparison, so that a known one need not be hashed.
        let field_hash = name_hash.wrapping_mul(MIX) ^ hash(value);
        if let Some(index) = self.dynamic_field_index(name, value, name_hash, field_hash) {
            integer::encode(index, 7, 0x80, out);
            return;
        }
        let mut index = static_table::name_index(kind, name);
        if index == 0 {
            index = self.dynamic_name_index(kind, name, name_hash);
        }
        let size = name.len() + value.len() + ENTRY_OVERHEAD;
        // One that takes most of the table would push out what is worth more.
        let is_worth = size <= self.table.size_max() / 4 * 3;
        integer::encode(index, if is_worth { 6 } else { 4 }, if is_worth { 0x40 } else { 0 }, out);
        if index == 0 {
            self.text(name, out);
        }
        self.text(value, out);
        if is_worth {
            let places = self.places.get_or_insert_with(Places::new);
            let number = self.table.inserted().wrapping_add(1);
            places.by_field[place(field_hash)] = number;
            match kind {
                NameKind::Known(known) => places.by_known[known as usize] = number,
                _ => places.by_name[place(name_hash)] = number,
            }
            self.table.insert(kind, true, name, value);
        }
    }

    /// The index of the last entry of a known name, if it has this value.
    #[inline]
    fn last_of_known(&self, known: KnownName, value: &[u8]) -> Option<usize> {
        let index = self.index_of(self.places.as_ref()?.by_known[known as usize])?;
        let (entry, _, found) = self.table.get(index)?;
        (entry.kind == NameKind::Known(known) && found == value).then_some(index + STATIC_LEN + 1)
    }

    /// The index of an entry with this name and value.
    fn dynamic_field_index(
        &self,
        name: &[u8],
        value: &[u8],
        name_hash: u64,
        field_hash: u64,
    ) -> Option<usize> {
        let places = self.places.as_ref()?;
        let is_it = |number: u32| {
            let index = self.index_of(number)?;
            let (_, found_name, found_value) = self.table.get(index)?;
            (found_value == value && found_name == name).then_some(index + STATIC_LEN + 1)
        };
        is_it(places.by_name[place(name_hash)])
            .or_else(|| is_it(places.by_field[place(field_hash)]))
    }

    /// The index of an entry with this name, or 0. (Known names that are not in the static table
    /// are found by their last entry.)
    fn dynamic_name_index(&self, kind: NameKind, name: &[u8], hash: u64) -> usize {
        let found = || {
            let places = self.places.as_ref()?;
            let number = match kind {
                NameKind::Known(known) => places.by_known[known as usize],
                _ => places.by_name[place(hash)],
            };
            let index = self.index_of(number)?;
            let (_, found, _) = self.table.get(index)?;
            (found == name).then_some(index + STATIC_LEN + 1)
        };
        found().unwrap_or(0)
    }

    /// How far from the newest the entry with this number (plus one) is, if it is still there. No
    /// number is as far as nothing that is there.
    #[inline]
    fn index_of(&self, number: u32) -> Option<usize> {
        let age = self.table.inserted().wrapping_sub(number) as usize;
        (age < self.table.len()).then_some(age)
    }

    /// A string literal, in the shorter of its two forms: section 5.2.
    fn text(&self, text: &[u8], out: &mut Vec<u8>) {
        if self.uses_huffman {
            let length = huffman::encoded_len(text);
            if length < text.len() {
                integer::encode(length, 7, 0x80, out);
                huffman::encode(text, out);
                return;
            }
        }
        integer::encode(text.len(), 7, 0, out);
        out.extend_from_slice(text);
    }
}

impl Places {
    fn new() -> Box<Self> {
        Box::new(Self {
            by_known: [0; KnownName::COUNT],
            by_name: [0; PLACES],
            by_field: [0; PLACES],
        })
    }
}

/// How a field is kept if it is in no table. As nghttp2: values that are seldom the same twice are
/// not worth an entry, and credentials are not kept at all; of cookies, only long ones, which
/// cannot be guessed.
const fn indexing(kind: NameKind, value: &[u8]) -> Indexing {
    match kind {
        NameKind::Pseudo(Pseudo::Path) => Indexing::Without,
        NameKind::Known(known) => match known {
            KnownName::Authorization => Indexing::Never,
            KnownName::Cookie if value.len() < GUESSABLE_COOKIE_BYTES => Indexing::Never,
            KnownName::Age
            | KnownName::ContentLength
            | KnownName::ContentRange
            | KnownName::Etag
            | KnownName::IfModifiedSince
            | KnownName::IfNoneMatch
            | KnownName::Location
            | KnownName::SetCookie
            | KnownName::XEnvoyUpstreamServiceTime
            | KnownName::XRequestId => Indexing::Without,
            _ => Indexing::Incremental,
        },
        _ => Indexing::Incremental,
    }
}

/// A hash of a text: its length, and its first, middle and last bytes. Texts that differ elsewhere
/// share a place, which costs compression only.
#[inline]
fn hash(text: &[u8]) -> u64 {
    let word = |at: usize| {
        text.get(at..)
            .and_then(<[u8]>::first_chunk)
            .map_or(0, |word: &[u8; 8]| u64::from_le_bytes(*word))
    };
    let length = text.len();
    let mut hash = length as u64;
    if length < 8 {
        for &byte in text {
            hash = hash << 8 ^ u64::from(byte);
        }
        return hash.wrapping_mul(MIX);
    }
    for at in [0, length / 2 - 4, length - 8] {
        hash = (hash ^ word(at)).wrapping_mul(MIX);
        hash ^= hash >> 29;
    }
    hash
}

/// The place of a hash: its high bits, which depend on all others.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "its high bits are fewer than PLACES has")]
const fn place(hash: u64) -> usize {
    (hash.wrapping_mul(MIX) >> (64 - PLACES.trailing_zeros())) as usize
}

/// An odd number without a pattern: 2^64 over the golden ratio.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// Twice as many as entries fit into a table of the usual size.
const PLACES: usize = 128;

/// Bytes below which the value of a cookie could be found by trying.
const GUESSABLE_COOKIE_BYTES: usize = 20;

/// Appends a field that stays out of every table, without a table of one's own.
pub(crate) fn encode_plain(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.push(0);
    for text in [name, value] {
        integer::encode(text.len(), 7, 0, out);
        out.extend_from_slice(text);
    }
}
