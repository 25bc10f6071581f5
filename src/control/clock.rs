//! The one place where control reads the clock.

use std::time::{Instant, SystemTime};

#[expect(clippy::disallowed_methods, reason = "uptime is a fact that control shows")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The time of day, in whole milliseconds.
#[expect(clippy::disallowed_methods, reason = "the time of an event is a fact that control tells")]
pub(crate) fn wall_now() -> prost_types::Timestamp {
    let mut now = prost_types::Timestamp::from(SystemTime::now());
    now.nanos -= now.nanos % 1_000_000;
    now
}
