//! Bulk data that both ends can check: a seeded stream of bytes, and its SHA-256.
//!
//! The sender hashes what it hands to the kernel and the receiver what it got out, so a byte
//! lost, doubled, changed or moved between connections shows as different digests.

use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;

use sha2::{Digest, Sha256};

/// What one end of a transfer saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transfer {
    bytes: u64,
    sha256: String,
}

impl fmt::Display for Transfer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes, SHA-256 {}", self.bytes, self.sha256)
    }
}

/// Bytes for a person to read: as they are if they are few, else their number and digest.
pub(crate) fn summary(bytes: &[u8]) -> String {
    const SHOWN_MAX: usize = 200;
    if bytes.len() <= SHOWN_MAX {
        return bytes.escape_ascii().to_string();
    }
    let mut hash = Sha256::new();
    hash.update(bytes);
    let bytes = u64::try_from(bytes.len()).unwrap();
    Transfer { bytes, sha256: hex(hash) }.to_string()
}

/// Pieces in which data is produced and read.
const BLOCK_BYTES: usize = 64 * 1024;

/// Sends `bytes` of the stream that `seed` starts; the connection stays open for sending.
pub(crate) fn send(stream: &TcpStream, seed: u64, bytes: u64) -> Transfer {
    try_send(stream, seed, bytes).unwrap_or_else(|error| panic!("sending {bytes} bytes: {error}"))
}

/// As [`send`], to a peer that may leave.
pub(crate) fn try_send(mut stream: &TcpStream, seed: u64, bytes: u64) -> std::io::Result<Transfer> {
    let mut source = Source::new(seed);
    let mut block = vec![0; BLOCK_BYTES];
    let mut hash = Sha256::new();
    let mut left = bytes;
    while left > 0 {
        source.fill(&mut block);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK_BYTES);
        stream.write_all(&block[..count])?;
        hash.update(&block[..count]);
        left -= u64::try_from(count).unwrap();
    }
    Ok(Transfer { bytes, sha256: hex(hash) })
}

/// Receives exactly `bytes`; what follows them stays unread.
pub(crate) fn receive(mut stream: &TcpStream, bytes: u64) -> Transfer {
    let mut block = vec![0; BLOCK_BYTES];
    let mut hash = Sha256::new();
    let mut left = bytes;
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK_BYTES);
        let count = stream
            .read(&mut block[..wanted])
            .unwrap_or_else(|error| panic!("receiving with {left} of {bytes} bytes left: {error}"));
        assert!(count > 0, "the end came with {left} of {bytes} bytes left");
        hash.update(&block[..count]);
        left -= u64::try_from(count).unwrap();
    }
    Transfer { bytes, sha256: hex(hash) }
}

/// One block of the stream that `seed` starts.
pub(crate) fn block(seed: u64) -> Vec<u8> {
    let mut block = vec![0; BLOCK_BYTES];
    Source::new(seed).fill(&mut block);
    block
}

/// The SHA-256 of `bytes`, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(Sha256::new_with_prefix(bytes))
}

/// The stream that a seed starts, to be taken in pieces of any length.
#[derive(Debug)]
pub(crate) struct Text {
    source: Source,
    block: Vec<u8>,
    /// How much of the block was taken.
    taken: usize,
}

impl Text {
    pub(crate) fn new(seed: u64) -> Self {
        Self { source: Source::new(seed), block: vec![0; BLOCK_BYTES], taken: BLOCK_BYTES }
    }

    /// What comes next: at least one byte, at most `most`.
    pub(crate) fn next(&mut self, most: usize) -> &[u8] {
        if self.taken == BLOCK_BYTES {
            self.source.fill(&mut self.block);
            self.taken = 0;
        }
        let end = self.taken.saturating_add(most).min(BLOCK_BYTES);
        &self.block[self.taken..end]
    }

    /// Takes `count` bytes of what [`Text::next`] showed.
    pub(crate) fn skip(&mut self, count: usize) {
        self.taken += count;
    }
}

/// Marsaglia's xorshift64: as fast as memory, and no two places of a stream look alike.
#[derive(Debug)]
struct Source(u64);

impl Source {
    fn new(seed: u64) -> Self {
        // Zero is the one state that xorshift never leaves.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn fill(&mut self, block: &mut [u8]) {
        for word in block.chunks_exact_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            word.copy_from_slice(&self.0.to_le_bytes());
        }
    }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
