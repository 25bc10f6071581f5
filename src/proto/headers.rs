//! The fields of a message, in order, in one recycled arena.
//!
//! The bytes of names and values lie in one vector, and a flat list says where. Names are
//! lower-cased when they are copied in and recognised once ([`KnownName`]), so the names that the
//! proxy itself asks for are found without a search. The original case is not kept.
//!
//! Values are bytes, not text: RFC 9110 section 5.5 allows octets above 0x7F. Nothing here checks
//! them; a decoder does before it appends, and whoever appends later has to.
//!
//! **Invariant:** `first[name]` is one more than the index of the first live field of that known
//! name, or 0. A removed field keeps its index and is skipped.

mod known;
mod letters;

use std::io::Write as _;
use std::ops::Range;

pub use known::{Joins, KnownName};

/// A list of fields. Recycled: [`clear`](Self::clear) keeps the memory.
#[derive(Debug, Clone)]
pub struct HeaderList {
    /// Names and values, in no promised order: a value that was replaced may lie at the end.
    bytes: Vec<u8>,
    fields: Vec<Field>,
    first: [u32; KnownName::COUNT],
    live: usize,
}

/// A name to ask for: known, or any other in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name<'a> {
    /// Found without a search.
    Known(KnownName),
    /// Found by comparing. It is not a known name.
    Other(&'a [u8]),
}

#[derive(Debug, Clone, Copy)]
struct Field {
    /// Of a known name the arena may hold another case, or nothing: [`HeaderList::name`] knows it.
    name_start: u32,
    name_len: u32,
    value_start: u32,
    value_len: u32,
    kind: Kind,
    /// Whether the value must not be put into a table of HPACK or QPACK, here or further on.
    is_never_indexed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Known(KnownName),
    Other,
    Removed,
}

impl HeaderList {
    /// An empty list, which has allocated nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), fields: Vec::new(), first: [0; KnownName::COUNT], live: 0 }
    }

    /// Forgets all fields and keeps the memory, up to a bound.
    #[inline]
    pub fn clear(&mut self) {
        for field in &self.fields {
            if let Kind::Known(name) = field.kind {
                self.first[name as usize] = 0;
            }
        }
        self.bytes.clear();
        self.fields.clear();
        self.live = 0;
        if self.bytes.capacity() > RETAINED_BYTES_MAX
            || self.fields.capacity() > RETAINED_FIELDS_MAX
        {
            self.bytes.shrink_to(RETAINED_BYTES_MAX);
            self.fields.shrink_to(RETAINED_FIELDS_MAX);
        }
    }

    /// How many fields (lines) there are.
    #[must_use]
    #[inline]
    pub const fn len(&self) -> usize {
        self.live
    }

    /// Whether there is no field.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The bytes of all names and values, as Envoy counts the size of a header map.
    #[must_use]
    pub fn byte_size(&self) -> usize {
        self.live_fields().map(|field| (field.name_len + field.value_len) as usize).sum()
    }

    /// The value of the first field of this name.
    #[must_use]
    #[inline]
    pub fn get<'n>(&self, name: impl Into<Name<'n>>) -> Option<&[u8]> {
        let index = self.position(name.into())?;
        Some(self.value(&self.fields[index]))
    }

    /// Whether there is a field of this name.
    #[must_use]
    #[inline]
    pub fn contains<'n>(&self, name: impl Into<Name<'n>>) -> bool {
        self.position(name.into()).is_some()
    }

    /// The values of all fields of this name, in order.
    #[inline]
    pub fn get_all<'a>(&'a self, name: impl Into<Name<'a>>) -> Values<'a> {
        let name = name.into();
        Values { list: self, name, next: self.position(name).unwrap_or(self.fields.len()) }
    }

    /// All fields as name (lower case) and value, in order.
    #[inline]
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter { list: self, fields: self.fields.iter() }
    }

    /// Adds a field at the end. The name is lower-cased.
    ///
    /// # Panics
    ///
    /// When the list holds 4 GiB, which the limits of every decoder forbid.
    #[inline]
    pub fn append(&mut self, name: &[u8], value: &[u8]) {
        if let Some(known) = KnownName::find_in_any_case(name) {
            return self.append_known(known, value);
        }
        let name_start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        letters::lower(name, &mut self.bytes[name_start..]);
        self.push(Kind::Other, name_start, name.len(), value);
    }

    /// Adds a field of a known name at the end.
    ///
    /// # Panics
    ///
    /// As [`append`](Self::append).
    pub fn append_known(&mut self, name: KnownName, value: &[u8]) {
        self.push(Kind::Known(name), self.bytes.len(), name.as_str().len(), value);
    }

    /// Copies a section of a message as it was received, at once: its `lines` become fields by
    /// [`append_received`](Self::append_received). Returns where the copy starts.
    #[inline]
    pub(crate) fn receive(&mut self, section: &[u8], lines: usize) -> usize {
        self.fields.reserve(lines);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(section);
        offset(self.bytes.len());
        start
    }

    /// Makes a field of two parts of what was [received](Self::receive), or joins its value with a
    /// comma to the first field of that name when `joins` says so for a known name. `name` is the
    /// name as it was sent, and `name_start` where its copy is.
    #[inline]
    pub(crate) fn append_received(
        &mut self,
        name: &[u8],
        name_start: usize,
        value: Range<usize>,
        joins: impl Fn(KnownName) -> bool,
    ) -> Received {
        let known = KnownName::find_in_any_case(name);
        if known.is_none() {
            // From where it was received, not from the copy: what was just written as one wide
            // store cannot be read back in other pieces without waiting for it.
            letters::lower(name, &mut self.bytes[name_start..][..name.len()]);
        }
        let field = Field {
            name_start: offset(name_start),
            name_len: offset(name.len()),
            value_start: offset(value.start),
            value_len: offset(value.len()),
            kind: known.map_or(Kind::Other, Kind::Known),
            is_never_indexed: false,
        };
        let Some(known) = known else {
            self.fields.push(field);
            self.live += 1;
            return Received::Other;
        };
        let is_first = self.first[known as usize] == 0;
        if is_first || !joins(known) {
            self.fields.push(field);
            self.live += 1;
            if is_first {
                self.first[known as usize] = offset(self.fields.len());
                return Received::First(known);
            }
        } else {
            self.join(known, value);
        }
        Received::Repeated(known)
    }

    /// Adds a field whose name was looked up already: `name` is that of `known`, or one in lower
    /// case that is not known. Where `joins` says so, its value is joined to the first field of
    /// that name instead, with a comma. `is_never_indexed` goes with the field for good.
    #[inline]
    pub(crate) fn append_decoded(
        &mut self,
        known: Option<KnownName>,
        name: &[u8],
        value: &[u8],
        is_never_indexed: bool,
        joins: impl Fn(KnownName) -> bool,
    ) {
        let name_start = self.bytes.len();
        let (kind, name_len) = if let Some(known) = known {
            let first = &mut self.first[known as usize];
            if *first == 0 {
                *first = offset(self.fields.len() + 1);
            } else if joins(known) {
                self.join_decoded(known, value, is_never_indexed);
                return;
            }
            (Kind::Known(known), known.as_str().len())
        } else {
            self.bytes.extend_from_slice(name);
            (Kind::Other, name.len())
        };
        let value_start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        // No position is above this one, so one check is enough.
        offset(self.bytes.len());
        #[expect(clippy::cast_possible_truncation, reason = "none is above the one just checked")]
        let field = Field {
            name_start: name_start as u32,
            name_len: name_len as u32,
            value_start: value_start as u32,
            value_len: value.len() as u32,
            kind,
            is_never_indexed,
        };
        self.fields.push(field);
        self.live += 1;
    }

    #[cold]
    fn join_decoded(&mut self, known: KnownName, value: &[u8], is_never_indexed: bool) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.join(known, start..start + value.len());
        let first = self.first[known as usize] as usize - 1;
        self.fields[first].is_never_indexed |= is_never_indexed;
    }

    /// All fields with what an encoder wants to know of them.
    #[inline]
    pub(crate) fn encoded(&self) -> impl Iterator<Item = Encoded<'_>> {
        self.live_fields().map(|field| Encoded {
            known: match field.kind {
                Kind::Known(known) => Some(known),
                _ => None,
            },
            name: self.name(field),
            value: self.value(field),
            is_never_indexed: field.is_never_indexed,
        })
    }

    /// Replaces the value of the first field of this name and removes the others, or adds the
    /// field at the end. (To move it to the end, [`remove`](Self::remove) it first.)
    ///
    /// # Panics
    ///
    /// As [`append`](Self::append).
    pub fn set<'n>(&mut self, name: impl Into<Name<'n>>, value: &[u8]) {
        let name = name.into();
        let Some(index) = self.position(name) else {
            match name {
                Name::Known(known) => self.append_known(known, value),
                Name::Other(other) => self.append(other, value),
            }
            return;
        };
        let old = self.fields[index];
        if value.len() <= old.value_len as usize {
            let start = old.value_start as usize;
            self.bytes[start..start + value.len()].copy_from_slice(value);
            self.fields[index].value_len = offset(value.len());
        } else {
            self.fields[index].value_start = offset(self.bytes.len());
            self.fields[index].value_len = offset(value.len());
            self.bytes.extend_from_slice(value);
            offset(self.bytes.len());
        }
        while let Some(next) = self.position_from(name, index + 1) {
            self.mark_removed(next);
        }
    }

    /// [`set`](Self::set) with a number in decimal.
    ///
    /// # Panics
    ///
    /// As [`append`](Self::append).
    pub fn set_number<'n>(&mut self, name: impl Into<Name<'n>>, number: u64) {
        let mut digits = [0; DIGITS_MAX];
        self.set(name, decimal(number, &mut digits));
    }

    /// [`append_known`](Self::append_known) with a number in decimal.
    ///
    /// # Panics
    ///
    /// As [`append`](Self::append).
    pub fn append_number(&mut self, name: KnownName, number: u64) {
        let mut digits = [0; DIGITS_MAX];
        self.append_known(name, decimal(number, &mut digits));
    }

    /// Puts `value` behind the value of the first field of this name and a separator, or adds the
    /// field at the end.
    ///
    /// # Panics
    ///
    /// As [`append`](Self::append).
    pub fn extend(&mut self, name: KnownName, separator: &[u8], value: &[u8]) {
        let Some(index) = self.position(name.into()) else {
            return self.append_known(name, value);
        };
        let old = self.fields[index];
        let (start, length) = (old.value_start as usize, old.value_len as usize);
        let joined = self.bytes.len();
        self.bytes.extend_from_within(start..start + length);
        if length > 0 {
            self.bytes.extend_from_slice(separator);
        }
        self.bytes.extend_from_slice(value);
        self.fields[index].value_start = offset(joined);
        self.fields[index].value_len = offset(self.bytes.len() - joined);
    }

    /// Removes all fields of this name. Returns whether there was one.
    pub fn remove<'n>(&mut self, name: impl Into<Name<'n>>) -> bool {
        let name = name.into();
        let Some(first) = self.position(name) else {
            return false;
        };
        self.mark_removed(first);
        let mut from = first + 1;
        while let Some(next) = self.position_from(name, from) {
            self.mark_removed(next);
            from = next + 1;
        }
        if let Name::Known(known) = name {
            self.first[known as usize] = 0;
        }
        true
    }

    fn push(&mut self, kind: Kind, name_start: usize, name_len: usize, value: &[u8]) {
        let value_start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        offset(self.bytes.len());
        self.fields.push(Field {
            name_start: offset(name_start),
            name_len: offset(name_len),
            value_start: offset(value_start),
            value_len: offset(value.len()),
            kind,
            is_never_indexed: false,
        });
        self.live += 1;
        if let Kind::Known(name) = kind {
            let first = &mut self.first[name as usize];
            if *first == 0 {
                *first = offset(self.fields.len());
            }
        }
    }

    /// Puts a part of what was received behind the value of the first field of `known`, after a
    /// comma.
    #[cold]
    fn join(&mut self, known: KnownName, value: Range<usize>) {
        let index = self.first[known as usize] as usize - 1;
        let field = self.fields[index];
        let start = field.value_start as usize;
        let joined = self.bytes.len();
        self.bytes.extend_from_within(start..start + field.value_len as usize);
        if field.value_len > 0 {
            self.bytes.push(b',');
        }
        self.bytes.extend_from_within(value);
        self.fields[index].value_start = offset(joined);
        self.fields[index].value_len = offset(self.bytes.len() - joined);
    }

    fn mark_removed(&mut self, index: usize) {
        self.fields[index].kind = Kind::Removed;
        self.live -= 1;
    }

    fn position(&self, name: Name<'_>) -> Option<usize> {
        match name {
            Name::Known(known) => (self.first[known as usize] as usize).checked_sub(1),
            Name::Other(_) => self.position_from(name, 0),
        }
    }

    fn position_from(&self, name: Name<'_>, from: usize) -> Option<usize> {
        let fields = self.fields.get(from..)?;
        let found = fields.iter().position(|field| match (field.kind, name) {
            (Kind::Known(kind), Name::Known(known)) => kind == known,
            (Kind::Other, Name::Other(other)) => self.name(field) == other,
            _ => false,
        })?;
        Some(from + found)
    }

    fn live_fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| field.kind != Kind::Removed)
    }

    #[inline]
    fn name(&self, field: &Field) -> &[u8] {
        match field.kind {
            Kind::Known(known) => known.as_str().as_bytes(),
            _ => &self.bytes[field.name_start as usize..][..field.name_len as usize],
        }
    }

    #[inline]
    fn value(&self, field: &Field) -> &[u8] {
        &self.bytes[field.value_start as usize..][..field.value_len as usize]
    }
}

impl Default for HeaderList {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> IntoIterator for &'a HeaderList {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl From<KnownName> for Name<'_> {
    #[inline]
    fn from(name: KnownName) -> Self {
        Self::Known(name)
    }
}

/// `name` must be in lower case, or nothing is found.
impl<'a> From<&'a [u8]> for Name<'a> {
    fn from(name: &'a [u8]) -> Self {
        KnownName::find(name).map_or(Self::Other(name), Self::Known)
    }
}

/// `name` must be in lower case, or nothing is found.
impl<'a> From<&'a str> for Name<'a> {
    fn from(name: &'a str) -> Self {
        Self::from(name.as_bytes())
    }
}

/// A field as an encoder sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoded<'a> {
    pub(crate) known: Option<KnownName>,
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) is_never_indexed: bool,
}

/// What [`HeaderList::append_received`] made of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// The first line of a known name.
    First(KnownName),
    /// A further line of a known name: joined, or apart.
    Repeated(KnownName),
    /// A name without a number.
    Other,
}

/// The values of one name: see [`HeaderList::get_all`].
#[derive(Debug, Clone)]
pub struct Values<'a> {
    list: &'a HeaderList,
    name: Name<'a>,
    next: usize,
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let index = self.list.position_from(self.name, self.next)?;
        self.next = index + 1;
        Some(self.list.value(&self.list.fields[index]))
    }
}

/// All fields: see [`HeaderList::iter`].
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    list: &'a HeaderList,
    fields: std::slice::Iter<'a, Field>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let field = self.fields.find(|field| field.kind != Kind::Removed)?;
        Some((self.list.name(field), self.list.value(field)))
    }
}

/// Positions are kept in 32 bits.
#[inline]
fn offset(position: usize) -> u32 {
    u32::try_from(position).expect("decoders limit a head to far less than 4 GiB")
}

/// Digits of the longest 64-bit number.
const DIGITS_MAX: usize = 20;

fn decimal(number: u64, digits: &mut [u8; DIGITS_MAX]) -> &[u8] {
    let mut left: &mut [u8] = digits;
    // A 64-bit number has at most 20 digits, so the write has room.
    let _ = write!(left, "{number}");
    let written = DIGITS_MAX - left.len();
    &digits[..written]
}

/// Memory that a cleared list keeps for the next message: more than a usual head needs, and little
/// enough that ten thousand idle connections, each of which once received a large head, stay cheap.
const RETAINED_BYTES_MAX: usize = 8 * 1024;

const RETAINED_FIELDS_MAX: usize = 128;

#[cfg(test)]
mod tests;
