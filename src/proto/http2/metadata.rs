//! Envoy's METADATA frames: maps of names and values beside a message.
//!
//! A map is a header block in frames of type 0x4d, the last with END_METADATA. Frames of other
//! streams may come in between, so each stream collects its own. Blocks use no dynamic table but
//! their own, which begins empty.
//!
//! **Invariant:** what is collected is bounded, for a stream and for all of a connection.

use crate::headers::HeaderList;
use crate::http2::error::ErrorKind;
use crate::http2::frame::{MAX_FRAME_SIZE, flag};
use crate::http2::hpack::{Decoder, NameKind, encode_plain};

/// What a stream has received of a map, and of all maps before.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    block: Vec<u8>,
    /// Bytes of all of them.
    received: usize,
}

impl Metadata {
    /// Adds the payload of a frame; with the last one, fills `map`. Returns whether it is complete.
    ///
    /// # Errors
    ///
    /// More than `bytes_max` of all maps together, as Envoy counts them, or no header block.
    pub(crate) fn receive(
        &mut self,
        payload: &[u8],
        is_last: bool,
        bytes_max: usize,
        map: &mut HeaderList,
    ) -> Result<bool, ErrorKind> {
        self.received = self.received.saturating_add(payload.len());
        if self.received > bytes_max {
            return Err(ErrorKind::InvalidMetadata);
        }
        self.block.extend_from_slice(payload);
        if !is_last {
            return Ok(false);
        }
        map.clear();
        let block = std::mem::take(&mut self.block);
        let mut bytes = 0;
        let decoded_max = bytes_max.saturating_mul(DECODED_FACTOR_MAX);
        Decoder::new()
            .decode(&block, bytes_max, |field| {
                // Names are whatever the sender calls them.
                bytes += field.name.len() + field.value.len();
                if bytes <= decoded_max {
                    let known = match field.kind {
                        NameKind::Known(known) => Some(known),
                        _ => None,
                    };
                    map.append_decoded(known, field.name, field.value, false, |_| false);
                }
            })
            .map_err(|_| ErrorKind::InvalidMetadata)?;
        if bytes > decoded_max { Err(ErrorKind::InvalidMetadata) } else { Ok(true) }
    }

    /// Bytes of a map that is not complete.
    pub(crate) fn held(&self) -> usize {
        self.block.len()
    }
}

/// A map may become so many times as long as its limit when it is decoded: the Huffman code makes
/// five octets of eight at best, and what is shorter than that refers to the tables.
const DECODED_FACTOR_MAX: usize = 2;

/// Encodes a map and hands out its frames, as flags and payload.
pub(crate) fn frames(map: &HeaderList, block: &mut Vec<u8>, mut each: impl FnMut(u8, &[u8])) {
    block.clear();
    for (name, value) in map {
        encode_plain(name, value, block);
    }
    let mut rest = &block[..];
    loop {
        let (payload, behind) = rest.split_at(rest.len().min(MAX_FRAME_SIZE as usize));
        rest = behind;
        let is_last = rest.is_empty();
        each(if is_last { flag::END_METADATA } else { 0 }, payload);
        if is_last {
            return;
        }
    }
}
