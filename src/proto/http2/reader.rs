//! From bytes to frames: where in the stream of bytes a connection is.
//!
//! Payloads other than that of DATA are handed on whole. Where one lies in the input in one piece,
//! which is nearly always, it is not copied.

use base::Key;

use crate::http2::error::ErrorKind;
use crate::http2::frame::{FRAME_HEADER_BYTES, FrameHeader, PREFACE};

/// What of the current frame was read.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) phase: Phase,
    /// The start of a header or payload that the input cut.
    partial: Vec<u8>,
    /// The header block that CONTINUATION frames go on with.
    pub(crate) block: Option<Block>,
    block_bytes: Vec<u8>,
}

/// What is awaited.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Phase {
    /// The rest of the preface behind so many octets.
    Preface(usize),
    Header,
    /// The payload of this frame.
    Payload(FrameHeader),
    /// The first octet of this DATA frame, which is the length of its padding.
    PadLength(Data),
    /// The rest of this DATA frame.
    Data(Data),
    /// So many octets that mean nothing.
    Skip(u32),
}

/// A DATA frame, as far as it was not read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Data {
    pub(crate) stream: Key,
    pub(crate) left: u32,
    pub(crate) padding: u32,
    pub(crate) ends_stream: bool,
}

/// A header block in more than one frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    pub(crate) stream_id: u32,
    pub(crate) ends_stream: bool,
    /// CONTINUATION frames so far.
    frames: u32,
    /// Bytes on the wire so far, frame headers included.
    pub(crate) wire_bytes: u64,
}

impl Reader {
    pub(crate) const fn new(phase: Phase) -> Self {
        Self { phase, partial: Vec::new(), block: None, block_bytes: Vec::new() }
    }

    /// Compares the next part of the preface; returns how many bytes that took.
    pub(crate) fn preface(&mut self, matched: usize, input: &[u8]) -> Result<usize, ErrorKind> {
        let expected = &PREFACE[matched..];
        let length = expected.len().min(input.len());
        if input[..length] != expected[..length] {
            return Err(ErrorKind::InvalidPreface);
        }
        let matched = matched + length;
        self.phase = if matched == PREFACE.len() { Phase::Header } else { Phase::Preface(matched) };
        Ok(length)
    }

    /// Reads a frame's header, if the input has the rest of it. Returns how many bytes that took.
    #[inline]
    pub(crate) fn header(&mut self, input: &[u8]) -> (usize, Option<FrameHeader>) {
        if self.partial.is_empty()
            && let Some(octets) = input.first_chunk()
        {
            return (FRAME_HEADER_BYTES, Some(FrameHeader::parse(octets)));
        }
        let length = (FRAME_HEADER_BYTES - self.partial.len()).min(input.len());
        self.partial.extend_from_slice(&input[..length]);
        let header = self.partial.first_chunk().map(FrameHeader::parse);
        if header.is_some() && !cfg!(planted = "http2_server_keeps_cut_header") {
            self.partial.clear();
        }
        (length, header)
    }

    /// Reads a payload. Returns how many bytes of the input that took, and whether it is complete:
    /// then it is those bytes, or, if they were cut, [`take_partial`](Self::take_partial).
    #[inline]
    pub(crate) fn payload(&mut self, length: usize, input: &[u8]) -> (usize, Complete) {
        if self.partial.is_empty() && input.len() >= length {
            return (length, Complete::InInput);
        }
        let taken = (length - self.partial.len()).min(input.len());
        self.partial.extend_from_slice(&input[..taken]);
        let is_complete = self.partial.len() == length;
        (taken, if is_complete { Complete::Collected } else { Complete::No })
    }

    /// The collected payload; to be given back by [`keep`](Self::keep).
    pub(crate) fn take_partial(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.partial)
    }

    /// Keeps memory for the next payload that is cut, up to a bound.
    pub(crate) fn keep(&mut self, mut memory: Vec<u8>) {
        memory.clear();
        memory.shrink_to(RETAINED_BYTES_MAX);
        self.partial = memory;
    }

    /// Begins a header block that has no END_HEADERS.
    pub(crate) fn begin_block(&mut self, header: FrameHeader, ends_stream: bool, fragment: &[u8]) {
        self.block_bytes.clear();
        self.block_bytes.extend_from_slice(fragment);
        self.block = Some(Block {
            stream_id: header.stream_id,
            ends_stream,
            frames: 0,
            wire_bytes: wire_bytes(header),
        });
    }

    /// Goes on with it. `bytes_max` is what a block may have altogether.
    pub(crate) fn continue_block(
        &mut self,
        header: FrameHeader,
        fragment: &[u8],
        bytes_max: usize,
    ) -> Result<(), ErrorKind> {
        let block = self.block.as_mut().ok_or(ErrorKind::UnexpectedContinuation)?;
        block.frames += 1;
        block.wire_bytes += wire_bytes(header);
        if block.frames > CONTINUATIONS_MAX || self.block_bytes.len() + fragment.len() > bytes_max {
            return Err(ErrorKind::HeaderBlockTooLarge);
        }
        self.block_bytes.extend_from_slice(fragment);
        Ok(())
    }

    /// Ends it, and hands its bytes out; to be given back by [`keep_block`](Self::keep_block).
    pub(crate) fn end_block(&mut self) -> Option<(Block, Vec<u8>)> {
        Some((self.block.take()?, std::mem::take(&mut self.block_bytes)))
    }

    /// Keeps memory for the next block in more than one frame, up to a bound.
    pub(crate) fn keep_block(&mut self, mut memory: Vec<u8>) {
        memory.clear();
        memory.shrink_to(RETAINED_BYTES_MAX);
        self.block_bytes = memory;
    }
}

/// Whether a payload is complete, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Complete {
    No,
    InInput,
    Collected,
}

/// Bytes of a whole frame.
pub(crate) fn wire_bytes(header: FrameHeader) -> u64 {
    u64::from(header.length) + FRAME_HEADER_BYTES as u64
}

/// CONTINUATION frames of one header block: Envoy's limit, which leaves room for heads of 8 MiB.
const CONTINUATIONS_MAX: u32 = 512;

/// Memory that is kept for the next frame that is cut, so that idle connections stay small.
const RETAINED_BYTES_MAX: usize = 2 * 1024;
