//! A client that opens streams and resets them makes work for others and none for itself: one that
//! does so with half of its streams is cut off.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/runtime>

use std::cell::Cell;
use std::time::Duration;

use super::runtime_limits::RuntimeLimits;

/// How the requests of a connection ended.
#[derive(Debug, Default)]
pub(super) struct PrematureResets {
    requests: Cell<u64>,
    premature: Cell<u64>,
}

impl PrematureResets {
    /// A request is over. `reset_after` says after how long its client has reset it, if it did so
    /// before a response began. Returns whether there were too many of those.
    pub(super) fn note(&self, limits: &RuntimeLimits, reset_after: Option<Duration>) -> bool {
        self.requests.set(self.requests.get() + 1);
        // As Envoy, which compares whole seconds.
        let shortest = limits.premature_reset_lifetime_s();
        if reset_after.is_some_and(|lifetime| lifetime.as_secs() <= shortest) {
            self.premature.set(self.premature.get() + 1);
        }
        // Before so many requests have come, as many bad ones as would be too many among them.
        let requests = self.requests.get().max(limits.premature_reset_streams());
        self.premature.get() * 2 >= requests
    }
}

#[cfg(test)]
mod tests {
    use config::model::HttpRuntimeKeys;
    use config::{RuntimeEntry, RuntimeSnapshot, RuntimeValues};

    use super::*;

    /// Ten streams, a second.
    fn limits() -> RuntimeLimits {
        let key = HttpRuntimeKeys::PREMATURE_RESET_STREAMS.to_owned();
        let values = [(key, RuntimeEntry::parse("10"))].into();
        let limits = RuntimeLimits::default();
        let layer = RuntimeValues { name: String::new(), values };
        limits.follow_runtime(&RuntimeSnapshot::new(vec![layer]));
        limits
    }

    #[test]
    fn half_of_the_streams_is_too_many() {
        let (resets, limits) = (PrematureResets::default(), limits());
        let soon = Some(Duration::from_millis(1999));
        for _ in 0..4 {
            assert!(!resets.note(&limits, soon));
        }
        assert!(!resets.note(&limits, None));
        assert!(!resets.note(&limits, Some(Duration::from_secs(2))), "it lived long enough");
        assert!(resets.note(&limits, soon), "five of ten, whatever comes");
    }

    #[test]
    fn less_than_half_may_go_on_for_ever() {
        let (resets, limits) = (PrematureResets::default(), limits());
        for number in 0..1000 {
            let reset = (number % 5 >= 3).then_some(Duration::ZERO);
            assert!(!resets.note(&limits, reset), "{number}");
        }
    }
}
