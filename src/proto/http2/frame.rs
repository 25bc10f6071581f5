//! The frames of RFC 9113 section 4 and 6: their headers, and what their payloads say.
//!
//! Nothing here knows of streams or connections. A payload is given whole, except that of DATA,
//! which is never collected.

use crate::http2::error::ErrorKind;

/// The nine octets in front of each payload: section 4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// Octets of the payload: at most 2^24-1.
    pub(crate) length: u32,
    pub(crate) kind: FrameKind,
    pub(crate) flags: u8,
    /// Without the reserved bit.
    pub(crate) stream_id: u32,
}

impl FrameHeader {
    #[inline]
    pub(crate) fn parse(octets: &[u8; FRAME_HEADER_BYTES]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *octets;
        Self {
            length: u32::from_be_bytes([0, l0, l1, l2]),
            kind: FrameKind(kind),
            flags,
            stream_id: u32::from_be_bytes([s0, s1, s2, s3]) & STREAM_ID_MAX,
        }
    }

    #[inline]
    pub(crate) const fn encode(self) -> [u8; FRAME_HEADER_BYTES] {
        let [_, l0, l1, l2] = self.length.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream_id.to_be_bytes();
        [l0, l1, l2, self.kind.0, self.flags, s0, s1, s2, s3]
    }

    #[inline]
    pub(crate) const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The type of a frame. Any octet is one; those without a name are extensions (section 5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameKind(pub(crate) u8);

impl FrameKind {
    pub(crate) const DATA: Self = Self(0x0);
    pub(crate) const HEADERS: Self = Self(0x1);
    pub(crate) const PRIORITY: Self = Self(0x2);
    pub(crate) const RST_STREAM: Self = Self(0x3);
    pub(crate) const SETTINGS: Self = Self(0x4);
    pub(crate) const PUSH_PROMISE: Self = Self(0x5);
    pub(crate) const PING: Self = Self(0x6);
    pub(crate) const GOAWAY: Self = Self(0x7);
    pub(crate) const WINDOW_UPDATE: Self = Self(0x8);
    pub(crate) const CONTINUATION: Self = Self(0x9);
    /// Envoy's maps of names and values beside a message.
    pub(crate) const METADATA: Self = Self(0x4d);
}

/// Flags: section 6.
pub(crate) mod flag {
    /// DATA, HEADERS.
    pub(crate) const END_STREAM: u8 = 0x1;
    /// SETTINGS, PING.
    pub(crate) const ACK: u8 = 0x1;
    /// HEADERS, CONTINUATION.
    pub(crate) const END_HEADERS: u8 = 0x4;
    /// METADATA.
    pub(crate) const END_METADATA: u8 = 0x4;
    /// DATA, HEADERS.
    pub(crate) const PADDED: u8 = 0x8;
    /// HEADERS.
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// What of a HEADERS payload is the header block: without padding and priority (section 6.2).
///
/// # Errors
///
/// Padding that is longer than what it pads, or a payload too short for its flags.
pub(crate) fn header_fragment(header: FrameHeader, payload: &[u8]) -> Result<&[u8], ErrorKind> {
    let mut rest = payload;
    let mut padding = 0;
    if header.has(flag::PADDED) {
        let (&length, behind) = rest.split_first().ok_or(ErrorKind::InvalidFrameSize)?;
        (padding, rest) = (usize::from(length), behind);
    }
    if header.has(flag::PRIORITY) {
        rest = rest.get(PRIORITY_BYTES..).ok_or(ErrorKind::InvalidFrameSize)?;
    }
    let length = rest.len().checked_sub(padding).ok_or(ErrorKind::InvalidPadding)?;
    Ok(&rest[..length])
}

/// The settings of a SETTINGS payload, in order: section 6.5.1.
pub(crate) fn settings(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> {
    payload.as_chunks::<SETTING_BYTES>().0.iter().map(|&[i0, i1, v0, v1, v2, v3]| {
        (u16::from_be_bytes([i0, i1]), u32::from_be_bytes([v0, v1, v2, v3]))
    })
}

/// The first four octets as a number.
#[inline]
pub(crate) fn word(payload: &[u8]) -> Option<u32> {
    payload.first_chunk().map(|octets| u32::from_be_bytes(*octets))
}

/// Appends a frame whose payload is there.
pub(crate) fn encode(
    kind: FrameKind,
    flags: u8,
    stream_id: u32,
    payload: &[u8],
    out: &mut Vec<u8>,
) {
    #[expect(clippy::cast_possible_truncation, reason = "at most SETTINGS_MAX_FRAME_SIZE")]
    let length = payload.len() as u32;
    out.extend_from_slice(&FrameHeader { length, kind, flags, stream_id }.encode());
    out.extend_from_slice(payload);
}

/// Octets of a frame's header.
pub(crate) const FRAME_HEADER_BYTES: usize = 9;

/// What a client sends before its first frame: section 3.4.
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// `SETTINGS_MAX_FRAME_SIZE` before any SETTINGS, the smallest allowed value, and what this codec
/// keeps to in both directions: section 4.2.
pub(crate) const MAX_FRAME_SIZE: u32 = 16 * 1024;

/// The largest value of `SETTINGS_MAX_FRAME_SIZE`: section 6.5.2.
pub(crate) const MAX_FRAME_SIZE_LIMIT: u32 = (1 << 24) - 1;

/// The largest stream identifier: section 5.1.1.
pub(crate) const STREAM_ID_MAX: u32 = (1 << 31) - 1;

/// Octets of a priority: RFC 9113 section 6.3.
pub(crate) const PRIORITY_BYTES: usize = 5;

/// Octets of one setting: section 6.5.1.
pub(crate) const SETTING_BYTES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_what_was_encoded_without_the_reserved_bit() {
        let header = FrameHeader {
            length: 0x01_02_03,
            kind: FrameKind::METADATA,
            flags: 0xa5,
            stream_id: 0x7fff_fffe,
        };
        let octets = header.encode();
        assert_eq!(octets, [1, 2, 3, 0x4d, 0xa5, 0x7f, 0xff, 0xff, 0xfe]);
        assert_eq!(FrameHeader::parse(&octets), header);
        let mut reserved = octets;
        reserved[5] |= 0x80;
        assert_eq!(FrameHeader::parse(&reserved), header);
    }

    #[test]
    fn padding_and_priority_are_not_of_the_block() {
        let fragment = |flags, payload| {
            let header = FrameHeader { length: 0, kind: FrameKind::HEADERS, flags, stream_id: 1 };
            header_fragment(header, payload)
        };
        assert_eq!(fragment(0, b"abc"), Ok(&b"abc"[..]));
        assert_eq!(fragment(flag::PADDED, b"\x02abc"), Ok(&b"a"[..]));
        assert_eq!(fragment(flag::PADDED, b"\x03abc"), Ok(&b""[..]));
        assert_eq!(fragment(flag::PADDED, b"\x04abc"), Err(ErrorKind::InvalidPadding));
        assert_eq!(fragment(flag::PADDED, b""), Err(ErrorKind::InvalidFrameSize));
        assert_eq!(fragment(flag::PRIORITY, b"12345abc"), Ok(&b"abc"[..]));
        assert_eq!(fragment(flag::PRIORITY, b"1234"), Err(ErrorKind::InvalidFrameSize));
        let both = flag::PADDED | flag::PRIORITY;
        assert_eq!(fragment(both, b"\x0112345ab"), Ok(&b"a"[..]));
        assert_eq!(fragment(both, b"\x0312345ab"), Err(ErrorKind::InvalidPadding));
    }
}
