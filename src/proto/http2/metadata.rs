//! Envoy's METADATA frames: maps of names and values beside a message.
//!
//! A map is a header block in frames of type 0x4d, the last with END_METADATA. Frames of other
//! streams may come in between, so each stream collects its own. Blocks use no dynamic table of
//! the connection; a decoder of the stream reads them.

use crate::headers::HeaderList;
use crate::http2::error::ErrorKind;
use crate::http2::frame::{MAX_FRAME_SIZE, flag};
use crate::http2::hpack::{Decoder, NameKind, encode_plain};

/// What a stream has received of a map.
#[derive(Debug)]
pub(crate) struct Metadata {
    block: Vec<u8>,
    decoder: Decoder,
}

impl Metadata {
    pub(crate) fn new() -> Box<Self> {
        Box::new(Self { block: Vec::new(), decoder: Decoder::new() })
    }

    /// Adds the payload of a frame; with the last one, fills `map`. Returns whether it is complete.
    ///
    /// # Errors
    ///
    /// More than `bytes_max` without an end, or no header block.
    pub(crate) fn receive(
        &mut self,
        payload: &[u8],
        is_last: bool,
        bytes_max: usize,
        map: &mut HeaderList,
    ) -> Result<bool, ErrorKind> {
        if payload.len() > bytes_max - self.block.len() {
            return Err(ErrorKind::InvalidMetadata);
        }
        self.block.extend_from_slice(payload);
        if !is_last {
            return Ok(false);
        }
        map.clear();
        let mut bytes = 0;
        self.decoder
            .decode(&self.block, bytes_max, |field| {
                // Names are whatever the sender calls them.
                bytes += field.name.len() + field.value.len();
                if bytes <= bytes_max {
                    let known = match field.kind {
                        NameKind::Known(known) => Some(known),
                        _ => None,
                    };
                    map.append_decoded(known, field.name, field.value, false, |_| false);
                }
            })
            .map_err(|_| ErrorKind::InvalidMetadata)?;
        self.block = Vec::new();
        if bytes > bytes_max { Err(ErrorKind::InvalidMetadata) } else { Ok(true) }
    }
}

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
