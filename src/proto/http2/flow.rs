//! Windows: RFC 9113 section 5.2 and 6.9.
//!
//! What we receive is given back to the peer only when somebody has taken it, and then by halves
//! of the window at once, as nghttp2 does: a WINDOW_UPDATE for each frame would cost more than it
//! gains.

/// What the peer may still send, on a stream or on the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReceiveWindow {
    /// The size of the window: at most 2^31-1.
    size: u32,
    /// Received, and not given back by a WINDOW_UPDATE: `outstanding <= size`.
    outstanding: u32,
    /// Of these, taken by the consumer: `consumed <= outstanding`.
    consumed: u32,
}

impl ReceiveWindow {
    pub(crate) const fn new(size: u32) -> Self {
        Self { size, outstanding: 0, consumed: 0 }
    }

    /// Notes a received frame. `false` when the peer must not have sent so much.
    #[inline]
    pub(crate) const fn receive(&mut self, bytes: u32) -> bool {
        if bytes > self.size - self.outstanding {
            return false;
        }
        self.outstanding += bytes;
        true
    }

    /// Notes bytes that were taken, no more than are [`unconsumed`](Self::unconsumed). Returns the
    /// increment of a WINDOW_UPDATE that is worth sending now.
    #[inline]
    pub(crate) fn consume(&mut self, bytes: u32) -> Option<u32> {
        debug_assert!(bytes <= self.unconsumed(), "{bytes} of {self:?}");
        self.consumed += bytes.min(self.unconsumed());
        if self.consumed == 0 || self.consumed < self.size / 2 {
            return None;
        }
        let increment = self.consumed;
        self.outstanding -= increment;
        self.consumed = 0;
        Some(increment)
    }

    /// Bytes that were received and that nobody has taken.
    #[inline]
    pub(crate) const fn unconsumed(&self) -> u32 {
        self.outstanding - self.consumed
    }
}

/// What we may still send. Negative after a SETTINGS that made it smaller: section 6.9.2.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SendWindow {
    available: i64,
}

impl SendWindow {
    pub(crate) const fn new(size: u32) -> Self {
        Self { available: size as i64 }
    }

    /// Bytes that may be sent now.
    #[inline]
    pub(crate) fn available(self) -> usize {
        usize::try_from(self.available).unwrap_or(0)
    }

    /// Notes bytes that are sent: no more than are available.
    #[inline]
    pub(crate) fn take(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.available(), "{bytes} of {self:?}");
        self.available -= i64::try_from(bytes).unwrap_or(i64::MAX);
    }

    /// Adds an increment, or a change of the initial size. `false` when that makes it larger than
    /// 2^31-1.
    pub(crate) fn change(&mut self, by: i64) -> bool {
        self.available += by;
        self.available <= WINDOW_MAX
    }
}

/// The largest window: section 6.9.1.
pub(crate) const WINDOW_MAX: i64 = (1 << 31) - 1;

/// The window of each stream and of the connection before any SETTINGS: section 6.9.2.
pub(crate) const INITIAL_WINDOW: u32 = 65_535;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_full_at_its_size_and_given_back_by_halves() {
        let mut window = ReceiveWindow::new(100);
        assert!(window.receive(99) && window.receive(1) && !window.receive(1));
        assert_eq!((window.consume(49), window.unconsumed()), (None, 51));
        assert_eq!((window.consume(1), window.unconsumed()), (Some(50), 50));
        assert!(!window.receive(51) && window.receive(50));
        assert_eq!(window.consume(0), None);
    }

    #[test]
    fn a_window_to_send_in_may_become_negative_and_not_too_large() {
        let mut window = SendWindow::new(INITIAL_WINDOW);
        window.take(65_535);
        assert!(window.change(-100));
        assert_eq!(window.available(), 0);
        assert!(window.change(101));
        assert_eq!(window.available(), 1);
        assert!(window.change(WINDOW_MAX - 1) && !window.change(1));
    }
}
