//! The one place where control reads the clock.

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "uptime is a fact that control shows")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
