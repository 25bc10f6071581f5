//! What the HTTP/2 targets share: cutting input, frames as they are on the wire, and a slow reading
//! of header blocks to compare with.
//!
//! The slow reading is written for the eye, from RFC 7541: tables are lists, and Huffman strings
//! are read bit by bit.

#![allow(dead_code, reason = "each target uses a part")]

use std::sync::OnceLock;
use std::time::Instant;

/// Splits off the first byte, which says at how many places the rest is cut, and where.
pub fn cuts(bytes: &[u8]) -> (&[u8], Vec<usize>) {
    let Some((&count, rest)) = bytes.split_first() else {
        return (bytes, Vec::new());
    };
    let (places, rest) = rest.split_at(usize::from(count % 8).min(rest.len()));
    let mut cuts: Vec<usize> =
        places.iter().map(|&place| (usize::from(place) * (rest.len() + 1)) / 256).collect();
    cuts.sort_unstable();
    (rest, cuts)
}

/// The pieces between cuts.
pub fn pieces<'a>(stream: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for &cut in cuts.iter().chain([&stream.len()]) {
        pieces.push(&stream[start..cut]);
        start = cut;
    }
    pieces
}

#[expect(clippy::disallowed_methods, reason = "an instant to count from")]
pub fn an_instant() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame as it is on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    pub kind: u8,
    pub flags: u8,
    pub id: u32,
    pub payload: &'a [u8],
}

/// The complete frames of a stream of bytes.
pub fn frames(mut bytes: &[u8]) -> Vec<Frame<'_>> {
    let mut frames = Vec::new();
    while let [l0, l1, l2, kind, flags, s0, s1, s2, s3, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *l0, *l1, *l2]) as usize;
        let Some(payload) = rest.get(..length) else {
            break;
        };
        let id = u32::from_be_bytes([*s0, *s1, *s2, *s3]) & 0x7fff_ffff;
        frames.push(Frame { kind: *kind, flags: *flags, id, payload });
        bytes = &rest[length..];
    }
    frames
}

/// What of a DATA payload is data. `None` when the padding is too long.
pub fn data(frame: Frame<'_>) -> Option<&[u8]> {
    if frame.flags & 8 == 0 {
        return Some(frame.payload);
    }
    let (&padding, rest) = frame.payload.split_first()?;
    rest.get(..rest.len().checked_sub(usize::from(padding))?)
}

/// A frame to be sent.
pub fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A field, and whether it must not be indexed.
pub type Field = (Vec<u8>, Vec<u8>, bool);

/// A decoder of RFC 7541 that is slow and plain.
pub struct SlowDecoder {
    /// Newest first.
    pub table: Vec<(Vec<u8>, Vec<u8>)>,
    pub size_max: usize,
    pub limit: usize,
}

impl Default for SlowDecoder {
    fn default() -> Self {
        Self { table: Vec::new(), size_max: 4096, limit: 4096 }
    }
}

impl SlowDecoder {
    pub fn size(&self) -> usize {
        self.table.iter().map(|(name, value)| name.len() + value.len() + 32).sum()
    }

    /// The fields of a block, or `None` when it is none.
    pub fn decode(&mut self, block: &[u8], text_max: usize) -> Option<Vec<Field>> {
        let mut rest = block;
        let mut fields = Vec::new();
        while let Some(&first) = rest.first() {
            if first & 0x80 != 0 {
                let index = integer(&mut rest, 7)?;
                let (name, value) = self.entry(index)?;
                fields.push((name, value, false));
            } else if first & 0xe0 == 0x20 {
                if !fields.is_empty() {
                    return None;
                }
                let size = integer(&mut rest, 5)?;
                if size > self.limit {
                    return None;
                }
                self.size_max = size;
                self.evict(0);
            } else {
                let is_incremental = first & 0xc0 == 0x40;
                let index = integer(&mut rest, if is_incremental { 6 } else { 4 })?;
                let name =
                    if index == 0 { text(&mut rest, text_max)? } else { self.entry(index)?.0 };
                let value = text(&mut rest, text_max)?;
                if is_incremental {
                    let size = name.len() + value.len() + 32;
                    self.evict(size);
                    if size <= self.size_max {
                        self.table.insert(0, (name.clone(), value.clone()));
                    }
                }
                fields.push((name, value, first & 0xf0 == 0x10));
            }
        }
        Some(fields)
    }

    fn evict(&mut self, room: usize) {
        while self.size() + room > self.size_max && self.table.pop().is_some() {}
    }

    fn entry(&self, index: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        match STATIC.get(index.checked_sub(1)?) {
            Some((name, value)) => Some((name.as_bytes().to_vec(), value.as_bytes().to_vec())),
            None => self.table.get(index - 1 - STATIC.len()).cloned(),
        }
    }
}

fn integer(rest: &mut &[u8], prefix: u32) -> Option<usize> {
    let (&first, mut behind) = rest.split_first()?;
    let mask = (1_u64 << prefix) - 1;
    let mut value = u64::from(first) & mask;
    if value == mask {
        for shift in [0, 7, 14, 21, 28] {
            let (&octet, more) = behind.split_first()?;
            behind = more;
            value += u64::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                *rest = behind;
                return (value <= u64::from(u32::MAX)).then_some(value as usize);
            }
        }
        return None;
    }
    *rest = behind;
    Some(value as usize)
}

fn text(rest: &mut &[u8], text_max: usize) -> Option<Vec<u8>> {
    let is_huffman = rest.first()? & 0x80 != 0;
    let length = integer(rest, 7)?;
    if length > text_max {
        return None;
    }
    let (bytes, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    if is_huffman { huffman(bytes) } else { Some(bytes.to_vec()) }
}

/// RFC 7541 section 5.2, bit by bit.
fn huffman(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut code, mut length) = (Vec::new(), 0_u32, 0_u8);
    for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)) {
        code = code << 1 | u32::from(bit);
        length += 1;
        if let Some(symbol) = codes().iter().position(|&it| it == (code, length)) {
            out.push(u8::try_from(symbol).ok()?);
            (code, length) = (0, 0);
        }
    }
    (length < 8 && code == (1 << length) - 1).then_some(out)
}

/// Codes and lengths of the symbols. The code is canonical: see RFC 7541 appendix B.
fn codes() -> &'static [(u32, u8)] {
    static CODES: OnceLock<Vec<(u32, u8)>> = OnceLock::new();
    CODES.get_or_init(|| {
        let mut order: Vec<usize> = (0..LENGTHS.len()).collect();
        order.sort_by_key(|&symbol| (LENGTHS[symbol], symbol));
        let mut codes = vec![(0, 0); LENGTHS.len()];
        let (mut code, mut last) = (0_u32, LENGTHS[order[0]]);
        for symbol in order {
            code <<= LENGTHS[symbol] - last;
            last = LENGTHS[symbol];
            codes[symbol] = (code, last);
            code += 1;
        }
        codes
    })
}

#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

#[rustfmt::skip]
const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"),
    (":path", "/index.html"), (":scheme", "http"), (":scheme", "https"), (":status", "200"),
    (":status", "204"), (":status", "206"), (":status", "304"), (":status", "400"),
    (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""),
    ("accept", ""), ("access-control-allow-origin", ""), ("age", ""), ("allow", ""),
    ("authorization", ""), ("cache-control", ""), ("content-disposition", ""),
    ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""),
    ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""),
    ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""),
    ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""),
    ("vary", ""), ("via", ""), ("www-authenticate", ""),
];
