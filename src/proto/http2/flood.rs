//! Counts of frames in both directions, and the limits that make a peer a flood: CVE-2019-9511 to
//! CVE-2019-9518, CVE-2023-44487 and CVE-2025-8671.
//!
//! The rules and their numbers are those of Envoy's `ProtocolConstraints` and of nghttp2's limits.
//!
//! **Invariant:** a frame is outbound from the moment it is queued until its last byte has left.

use std::collections::VecDeque;
use std::time::Instant;

use crate::http2::error::ErrorKind;
use crate::http2::options::Options;

/// What the peer has sent, as far as it is limited.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    /// Streams that were opened, by either side.
    streams: u64,
    priority_frames: u64,
    window_updates: u64,
    /// DATA frames that we sent.
    data_frames_sent: u64,
    consecutive_empty: u32,
    goaways: u32,
}

impl Inbound {
    pub(crate) const fn stream_opened(&mut self) {
        self.streams += 1;
    }

    #[inline]
    pub(crate) const fn data_sent(&mut self) {
        self.data_frames_sent += 1;
    }

    /// HEADERS, CONTINUATION or DATA, without counting padding.
    ///
    /// # Errors
    ///
    /// More of them in a row than the limit are empty and end nothing.
    #[inline]
    pub(crate) const fn payload(
        &mut self,
        options: &Options,
        is_empty: bool,
        ends_stream: bool,
    ) -> Result<(), ErrorKind> {
        if !is_empty || ends_stream {
            self.consecutive_empty = 0;
            return Ok(());
        }
        self.consecutive_empty += 1;
        if self.consecutive_empty > options.consecutive_empty_frames_max {
            return Err(ErrorKind::InboundEmptyFramesFlood);
        }
        Ok(())
    }

    /// PRIORITY.
    ///
    /// # Errors
    ///
    /// More than the limit for each opened stream, and once more the limit.
    pub(crate) fn priority(&mut self, options: &Options) -> Result<(), ErrorKind> {
        self.priority_frames += 1;
        let limit = u64::from(options.priority_frames_per_stream_max);
        if self.priority_frames > limit.saturating_mul(1 + self.streams) {
            return Err(ErrorKind::InboundPriorityFramesFlood);
        }
        Ok(())
    }

    /// GOAWAY.
    ///
    /// # Errors
    ///
    /// More than anybody needs who announces, lowers and repeats an end.
    pub(crate) const fn goaway(&mut self) -> Result<(), ErrorKind> {
        self.goaways += 1;
        if self.goaways > GOAWAYS_MAX { Err(ErrorKind::TooManyGoAways) } else { Ok(()) }
    }

    /// WINDOW_UPDATE.
    ///
    /// # Errors
    ///
    /// More than five and twice what streams and sent DATA frames account for.
    pub(crate) fn window_update(&mut self, options: &Options) -> Result<(), ErrorKind> {
        self.window_updates += 1;
        let per_frame = u64::from(options.window_updates_per_data_frame_max);
        let accounted = self.streams + per_frame.saturating_mul(self.data_frames_sent);
        if self.window_updates > WINDOW_UPDATES_FREE + 2 * accounted {
            return Err(ErrorKind::InboundWindowUpdateFramesFlood);
        }
        Ok(())
    }
}

/// The frames that wait to be sent.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    /// Bytes left of each frame, and in the low bit whether it is a control frame.
    frames: VecDeque<u32>,
    control_frames: u32,
}

impl Outbound {
    /// Counts a frame of so many bytes, header included.
    ///
    /// # Errors
    ///
    /// More frames wait than the limits allow.
    #[inline]
    pub(crate) fn queue(
        &mut self,
        options: &Options,
        bytes: usize,
        is_control: bool,
    ) -> Result<(), ErrorKind> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX >> 1);
        self.frames.push_back(bytes << 1 | u32::from(is_control));
        self.control_frames += u32::from(is_control);
        if self.frames.len() > options.outbound_frames_max as usize {
            return Err(ErrorKind::OutboundFlood);
        }
        if self.control_frames > options.outbound_control_frames_max {
            return Err(ErrorKind::OutboundControlFlood);
        }
        Ok(())
    }

    /// So many bytes have left.
    pub(crate) fn sent(&mut self, bytes: usize) {
        let mut left = bytes;
        while let Some(first) = self.frames.front_mut() {
            let waiting = (*first >> 1) as usize;
            if waiting > left {
                let rest = u32::try_from(waiting - left).unwrap_or(u32::MAX >> 1);
                *first = rest << 1 | (*first & 1);
                return;
            }
            left -= waiting;
            self.control_frames -= *first & 1;
            self.frames.pop_front();
        }
        debug_assert_eq!(left, 0, "more was sent than was queued");
    }

    pub(crate) fn frames(&self) -> usize {
        self.frames.len()
    }

    pub(crate) const fn control_frames(&self) -> u32 {
        self.control_frames
    }
}

/// Resets that a peer causes: a bucket of `stream_reset_burst` tokens, into which
/// `stream_reset_rate` tokens fall each second.
#[derive(Debug)]
pub(crate) struct ResetLimit {
    tokens: u64,
    filled_at: Instant,
}

impl ResetLimit {
    pub(crate) const fn new(options: &Options, now: Instant) -> Self {
        Self { tokens: options.stream_reset_burst, filled_at: now }
    }

    /// Takes a token for a stream that the peer has reset, or made us reset.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(crate) fn reset(&mut self, options: &Options, now: Instant) -> Result<(), ErrorKind> {
        let seconds = now.saturating_duration_since(self.filled_at).as_secs();
        if seconds > 0 {
            let fresh = seconds.saturating_mul(options.stream_reset_rate);
            self.tokens = self.tokens.saturating_add(fresh).min(options.stream_reset_burst);
            self.filled_at = now;
        }
        self.tokens = self.tokens.checked_sub(1).ok_or(ErrorKind::TooManyResets)?;
        Ok(())
    }
}

/// WINDOW_UPDATE frames that nothing has to account for.
const WINDOW_UPDATES_FREE: u64 = 5;

/// GOAWAY frames of a connection. Envoy has no such limit, but ignores all input behind the first
/// one when no stream is left.
const GOAWAYS_MAX: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[expect(clippy::disallowed_methods, reason = "an instant to count from; no test looks at it")]
    fn an_instant() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_frame_waits_until_its_last_byte_has_left() {
        let options = Options {
            outbound_frames_max: 3,
            outbound_control_frames_max: 1,
            ..Options::default()
        };
        let mut outbound = Outbound::default();
        outbound.queue(&options, 9, false).expect("one of three");
        outbound.queue(&options, 17, true).expect("one of one");
        outbound.sent(25);
        assert_eq!((outbound.frames(), outbound.control_frames()), (1, 1));
        assert_eq!(outbound.queue(&options, 17, true), Err(ErrorKind::OutboundControlFlood));
        outbound.sent(1);
        assert_eq!((outbound.frames(), outbound.control_frames()), (1, 1));
        outbound.queue(&options, 9, false).expect("two of three");
        outbound.queue(&options, 9, false).expect("three of three");
        assert_eq!(outbound.queue(&options, 9, false), Err(ErrorKind::OutboundFlood));
        outbound.sent(17 + 27);
        assert_eq!((outbound.frames(), outbound.control_frames()), (0, 0));
    }

    #[test]
    fn resets_have_a_burst_and_a_rate() {
        let options = Options { stream_reset_burst: 3, stream_reset_rate: 2, ..Options::default() };
        let start = an_instant();
        let mut limit = ResetLimit::new(&options, start);
        let mut resets = |after_ms, count: usize| {
            let now = start + Duration::from_millis(after_ms);
            (0..count).map(|_| limit.reset(&options, now).is_ok()).collect::<Vec<_>>()
        };
        assert_eq!(resets(0, 4), [true, true, true, false]);
        assert_eq!(resets(999, 1), [false]);
        assert_eq!(resets(1000, 3), [true, true, false]);
        assert_eq!(resets(60_000, 4), [true, true, true, false]);
    }
}
