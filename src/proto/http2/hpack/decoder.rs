//! Decoding header blocks: RFC 7541 sections 3 and 6.
//!
//! A whole block is decoded at once; who collects it from its frames bounds it. The work is linear
//! in the block: an index costs a look into a table, and nothing is copied for a field but what a
//! literal says itself.
//!
//! **Invariant:** after a block that was decoded without an error the table is what the peer's
//! encoder thinks it is, whatever the caller did with the fields.

use std::ops::Range;

use crate::http2::hpack::dynamic_table::DynamicTable;
use crate::http2::hpack::name::NameKind;
use crate::http2::hpack::static_table::{self, STATIC_LEN};
use crate::http2::hpack::{huffman, integer, validity};

/// One field of a block.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// As it was sent: capital letters are a fault.
    pub name: &'a [u8],
    /// As it was sent, white space included.
    pub value: &'a [u8],
    /// What the name is.
    pub kind: NameKind,
    /// Whether name and value are what RFC 9113 section 8.2.1 allows.
    pub is_valid: bool,
    /// Whether the peer forbids to put it into a table: RFC 7541 section 6.2.3.
    pub is_never_indexed: bool,
}

/// Decodes the blocks of one direction of a connection.
#[derive(Debug)]
pub struct Decoder {
    table: DynamicTable,
    /// What our SETTINGS allow, as soon as the peer has acknowledged them.
    size_limit: usize,
    /// The size that the next block must announce first: RFC 7541 section 4.2.
    is_update_due: bool,
    scratch: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder with the table size that both ends start with.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            table: DynamicTable::new(INITIAL_TABLE_SIZE),
            size_limit: INITIAL_TABLE_SIZE,
            is_update_due: false,
            scratch: Vec::new(),
        }
    }

    /// The peer has acknowledged our `SETTINGS_HEADER_TABLE_SIZE`. Where it made the limit smaller
    /// than the table is, the next block has to say so.
    pub fn set_size_limit(&mut self, size: usize) {
        self.size_limit = size;
        self.is_update_due |= self.table.size_max() > size;
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

    /// Decodes a block and hands its fields to `sink`, in order. A name or value of more than
    /// `text_bytes_max` on the wire is an error.
    ///
    /// # Errors
    ///
    /// What is no block. The decoder must not be used after that: RFC 9113 section 4.3 ends the
    /// connection.
    pub fn decode(
        &mut self,
        block: &[u8],
        text_bytes_max: usize,
        mut sink: impl FnMut(&Field<'_>),
    ) -> Result<(), HpackError> {
        let mut at = self.size_updates(block)?;
        while let Some(&octet) = block.get(at) {
            let Representation { prefix, form } = Representation::of(octet);
            let (index, behind) = integer::decode(block, at, prefix)?;
            at = behind;
            let index = index as usize;
            match form {
                Form::Indexed => self.indexed(index, &mut sink)?,
                Form::SizeUpdate => return Err(HpackError::LateSizeUpdate),
                form => at = self.literal(block, at, index, form, text_bytes_max, &mut sink)?,
            }
        }
        Ok(())
    }

    /// The updates at the start of a block: RFC 7541 section 4.2. Returns where the fields start.
    fn size_updates(&mut self, block: &[u8]) -> Result<usize, HpackError> {
        let mut at = 0;
        while let Some(&octet) = block.get(at)
            && Representation::of(octet).form == Form::SizeUpdate
        {
            let (size, behind) = integer::decode(block, at, SIZE_UPDATE_PREFIX)?;
            let size = size as usize;
            if size > self.size_limit && !cfg!(planted = "http2_hpack_decode_unlimited_table") {
                return Err(HpackError::SizeUpdateTooLarge);
            }
            self.table.set_size_max(size);
            self.is_update_due = false;
            at = behind;
        }
        if self.is_update_due { Err(HpackError::MissingSizeUpdate) } else { Ok(at) }
    }

    #[inline]
    fn indexed(&self, index: usize, sink: &mut impl FnMut(&Field<'_>)) -> Result<(), HpackError> {
        if let Some(entry) = static_table::entry(index) {
            sink(&Field {
                name: entry.name.as_bytes(),
                value: entry.value.as_bytes(),
                kind: entry.kind,
                is_valid: true,
                is_never_indexed: false,
            });
            return Ok(());
        }
        let dynamic = index.checked_sub(STATIC_LEN + 1).ok_or(HpackError::InvalidIndex)?;
        let (entry, name, value) = self.table.get(dynamic).ok_or(HpackError::InvalidIndex)?;
        sink(&Field {
            name,
            value,
            kind: entry.kind,
            is_valid: entry.is_valid,
            is_never_indexed: false,
        });
        Ok(())
    }

    /// A literal field, whose name is that of `index` or follows: RFC 7541 section 6.2.
    fn literal(
        &mut self,
        block: &[u8],
        at: usize,
        index: usize,
        form: Form,
        text_bytes_max: usize,
        sink: &mut impl FnMut(&Field<'_>),
    ) -> Result<usize, HpackError> {
        self.scratch.clear();
        let mut at = at;
        let static_entry = static_table::entry(index);
        let name_text = match static_entry {
            Some(_) => Text::Decoded(0..0),
            None if index == 0 => {
                let (text, behind) = Text::read(block, at, text_bytes_max, &mut self.scratch)?;
                at = behind;
                text
            }
            None => {
                // A copy: the entry may leave the table for the very field it names (section 4.4).
                let dynamic = index.checked_sub(STATIC_LEN + 1).ok_or(HpackError::InvalidIndex)?;
                let (_, name, _) = self.table.get(dynamic).ok_or(HpackError::InvalidIndex)?;
                self.scratch.extend_from_slice(name);
                Text::Decoded(0..name.len())
            }
        };
        let (value_text, at) = Text::read(block, at, text_bytes_max, &mut self.scratch)?;
        let value = value_text.bytes(block, &self.scratch);
        let (name, kind, is_valid_name) = if let Some(entry) = static_entry {
            (entry.name.as_bytes(), entry.kind, true)
        } else {
            let name = name_text.bytes(block, &self.scratch);
            (name, NameKind::of(name), validity::is_name(name))
        };
        let is_valid = is_valid_name && validity::is_value(value);
        let is_never_indexed = form == Form::NeverIndexed;
        sink(&Field { name, value, kind, is_valid, is_never_indexed });
        if form == Form::Incremental {
            self.table.insert(kind, is_valid, name, value);
        }
        Ok(at)
    }
}

/// A string literal: RFC 7541 section 5.2.
enum Text {
    /// It lies in the block as it is.
    Plain(Range<usize>),
    /// It was decoded to the scratch memory.
    Decoded(Range<usize>),
}

impl Text {
    #[inline]
    fn read(
        block: &[u8],
        at: usize,
        bytes_max: usize,
        scratch: &mut Vec<u8>,
    ) -> Result<(Self, usize), HpackError> {
        let is_huffman = block.get(at).is_some_and(|octet| octet & HUFFMAN != 0);
        let (length, start) = integer::decode(block, at, TEXT_PREFIX)?;
        let length = length as usize;
        if length > bytes_max {
            return Err(HpackError::TextTooLong);
        }
        let end = start + length;
        let bytes = block.get(start..end).ok_or(HpackError::Truncated)?;
        if !is_huffman {
            return Ok((Self::Plain(start..end), end));
        }
        let from = scratch.len();
        huffman::decode(bytes, scratch).map_err(|_| HpackError::InvalidHuffman)?;
        Ok((Self::Decoded(from..scratch.len()), end))
    }

    fn bytes<'a>(&self, block: &'a [u8], scratch: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Plain(range) => &block[range.clone()],
            Self::Decoded(range) => &scratch[range.clone()],
        }
    }
}

/// The five forms of RFC 7541 section 6, and how many bits of the first octet are an integer.
struct Representation {
    prefix: u32,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Indexed,
    Incremental,
    SizeUpdate,
    NeverIndexed,
    WithoutIndexing,
}

impl Representation {
    #[inline]
    const fn of(octet: u8) -> Self {
        match octet {
            0x80.. => Self { prefix: 7, form: Form::Indexed },
            0x40.. => Self { prefix: 6, form: Form::Incremental },
            0x20.. => Self { prefix: SIZE_UPDATE_PREFIX, form: Form::SizeUpdate },
            0x10.. => Self { prefix: 4, form: Form::NeverIndexed },
            _ => Self { prefix: 4, form: Form::WithoutIndexing },
        }
    }
}

/// Why a block is none. All of them end the connection with `COMPRESSION_ERROR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HpackError {
    /// An integer that does not end or is above 32 bits: section 5.1.
    InvalidInteger,
    /// An index of 0, or behind the end of the tables: section 2.3.3.
    InvalidIndex,
    /// A string that is no Huffman code: section 5.2.
    InvalidHuffman,
    /// The block ends within a string.
    Truncated,
    /// A name or value above the limit.
    TextTooLong,
    /// A size update behind a field: section 4.2.
    LateSizeUpdate,
    /// A size update above what our SETTINGS allow: section 6.3.
    SizeUpdateTooLarge,
    /// Our SETTINGS made the table smaller, and the block does not say so: section 4.2.
    MissingSizeUpdate,
}

impl From<integer::InvalidInteger> for HpackError {
    fn from(_: integer::InvalidInteger) -> Self {
        Self::InvalidInteger
    }
}

/// `SETTINGS_HEADER_TABLE_SIZE` before any SETTINGS: RFC 9113 section 6.5.2.
pub(crate) const INITIAL_TABLE_SIZE: usize = 4096;

const SIZE_UPDATE_PREFIX: u32 = 5;
const TEXT_PREFIX: u32 = 7;
/// The bit of a string that says it is encoded.
const HUFFMAN: u8 = 0x80;

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
