//! The bytes of every bulk load: which byte stands where, and the way to send them without end.

use std::os::fd::AsFd;

use rustix::net::{SendFlags, send};

/// Bulk bytes repeat with this period; the byte at position `p` is [`bulk_byte`]`(p)`.
pub(crate) const BULK_PERIOD: usize = 256 * 1024;
/// How many bytes at the start of a bulk load are compared one by one.
pub(crate) const BULK_CHECK: usize = 4 << 20;
/// Sends on one connection before the next one has its turn.
const SENDS_PER_TURN: usize = 4;

/// The bulk byte at a position: 251 is prime, so that no power-of-two shift of the stream looks
/// right.
pub(crate) fn bulk_byte(position: usize) -> u8 {
    u8::try_from((position % BULK_PERIOD) % 251).unwrap_or_default()
}

/// Index of the first of `bytes` that is not the bulk byte of its place, where the first one stands
/// at `position`.
pub(crate) fn first_wrong(bytes: &[u8], position: usize) -> Option<usize> {
    bytes.iter().enumerate().find(|(at, byte)| **byte != bulk_byte(position + at)).map(|(at, _)| at)
}

/// Bulk bytes to send from any position of the period.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// Twice the period, so that any position has a whole period of bytes behind it.
    bytes: Vec<u8>,
}

impl Pattern {
    pub(crate) fn new() -> Self {
        Self { bytes: (0..2 * BULK_PERIOD).map(bulk_byte).collect() }
    }

    /// Sends until the socket is full or the turn is over, and moves `position` (kept modulo the
    /// period) on. Returns whether the connection still stands.
    pub(crate) fn pour(&self, socket: impl AsFd, position: &mut usize) -> bool {
        for _ in 0..SENDS_PER_TURN {
            let chunk = &self.bytes[*position..*position + BULK_PERIOD];
            match send(&socket, chunk, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(count) => *position = (*position + count) % BULK_PERIOD,
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return true,
                Err(_) => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Breaks if a byte that was lost or moved is not noticed.
    #[test]
    fn a_shifted_stream_is_wrong() {
        let bytes: Vec<u8> = (100..900).map(bulk_byte).collect();
        assert_eq!(first_wrong(&bytes, 100), None);
        assert_eq!(first_wrong(&bytes, 100 + BULK_PERIOD), None);
        assert_eq!(first_wrong(&bytes, 101), Some(0));
        let mut changed = bytes;
        changed[7] ^= 1;
        assert_eq!(first_wrong(&changed, 100), Some(7));
    }
}
