//! When a direction moves bulk, and moving that inside the kernel.
//!
//! It knows no protocol: who calls says how many bytes may pass without being looked at.

use reactor::{Outbox, Receiver, Splice, SpliceError};

/// A direction is bulk once so many bytes have come in pieces of this size on average: a short one
/// now and then, when the outbox had little room, does not change what it is.
const BULK_BYTES: u32 = 512 * 1024;
const BULK_PIECE: u32 = 16 * 1024;
/// Splicing is left after so many steps in a row that brought less than this in one call.
const THIN_STEPS_MAX: u32 = 4;
const THIN_PIECE: u64 = 8 * 1024;

/// Whether a direction moves bulk.
#[derive(Debug, Default)]
pub struct BulkWatch {
    bytes: u32,
    pieces: u32,
}

impl BulkWatch {
    /// Notes a piece that `receiver` has brought. Says yes once, and begins anew.
    pub fn is_bulk(&mut self, piece: usize, receiver: &Receiver) -> bool {
        self.bytes = self.bytes.saturating_add(u32::try_from(piece).unwrap_or(u32::MAX));
        self.pieces += 1;
        if self.bytes < BULK_BYTES {
            return false;
        }
        let Self { bytes, pieces } = std::mem::take(self);
        // Where no piece can be that long, most of them are to be as long as they can be.
        bytes / pieces >= BULK_PIECE.min(receiver.piece_max() / 4 * 3)
    }
}

/// Moves up to `limit` bytes inside the kernel for as long as they come in bulk, and tells `passed`
/// about them as they were passed on. Returns whether the stream has ended; if it has not,
/// `receiver` and `outbox` go on where it stopped. Dropping the future may lose bytes: both
/// connections are over.
///
/// # Errors
/// [`SpliceError`] says which side failed.
pub async fn splice(
    receiver: &Receiver,
    outbox: &Outbox,
    limit: u64,
    passed: impl Fn(u64),
) -> Result<bool, SpliceError> {
    let mut left = limit;
    receiver.rest().await;
    // What came in on the way to rest goes first.
    while left > 0
        && let Some(mut received) = receiver.take_received()
    {
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        if most < received.len() {
            let piece = received.split_to(most);
            receiver.unread(std::mem::replace(&mut received, piece));
        }
        left -= received.len() as u64;
        passed(received.len() as u64);
        outbox.push(received);
    }
    let Some(mut splice) = Splice::begin(receiver, outbox).await else { return Ok(false) };
    let mut thin_steps = 0;
    while left > 0 && thin_steps < THIN_STEPS_MAX {
        let step = splice.step(left, &passed).await?;
        left -= step.bytes;
        if step.ended {
            return Ok(true);
        }
        if step.stalled {
            break;
        }
        let is_thin = step.bytes < u64::from(step.fills) * THIN_PIECE;
        thin_steps = if is_thin { thin_steps + 1 } else { 0 };
    }
    Ok(false)
}
