//! What the runtime limits on connections of clients: numbers that control keeps, and that workers
//! read where they need them.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/runtime>

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use config::RuntimeSnapshot;
use config::model::HttpRuntimeKeys as Keys;

/// Those of all connections of one manager; each has Envoy's default until it is told otherwise.
#[derive(Debug)]
pub(crate) struct RuntimeLimits {
    premature_reset_streams: AtomicU64,
    premature_reset_lifetime_s: AtomicU64,
    requests_per_cycle: AtomicU32,
}

const PREMATURE_RESET_STREAMS: u64 = 500;
const PREMATURE_RESET_LIFETIME_S: u64 = 1;

impl Default for RuntimeLimits {
    fn default() -> Self {
        Self {
            premature_reset_streams: AtomicU64::new(PREMATURE_RESET_STREAMS),
            premature_reset_lifetime_s: AtomicU64::new(PREMATURE_RESET_LIFETIME_S),
            requests_per_cycle: AtomicU32::new(u32::MAX),
        }
    }
}

impl RuntimeLimits {
    /// Takes over what `runtime` says.
    pub(crate) fn follow_runtime(&self, runtime: &RuntimeSnapshot) {
        let streams = runtime.integer(Keys::PREMATURE_RESET_STREAMS, PREMATURE_RESET_STREAMS);
        self.premature_reset_streams.store(streams, Ordering::Relaxed);
        let lifetime =
            runtime.integer(Keys::PREMATURE_RESET_LIFETIME_S, PREMATURE_RESET_LIFETIME_S);
        self.premature_reset_lifetime_s.store(lifetime, Ordering::Relaxed);
        let requests = runtime.integer(Keys::REQUESTS_PER_CYCLE, u64::from(u32::MAX));
        let requests = u32::try_from(requests).unwrap_or(u32::MAX);
        self.requests_per_cycle.store(requests.max(1), Ordering::Relaxed);
    }

    /// Half of so many streams may not have been reset prematurely.
    pub(super) fn premature_reset_streams(&self) -> u64 {
        self.premature_reset_streams.load(Ordering::Relaxed)
    }

    /// In whole seconds: a stream that was reset by then was reset prematurely.
    pub(super) fn premature_reset_lifetime_s(&self) -> u64 {
        self.premature_reset_lifetime_s.load(Ordering::Relaxed)
    }

    /// So many requests of one connection begin in one turn, at least one.
    pub(super) fn requests_per_cycle(&self) -> u32 {
        self.requests_per_cycle.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use config::{RuntimeEntry, RuntimeValues};

    use super::*;

    /// What is read once the runtime says this.
    fn told(limits: &RuntimeLimits, values: &[(&str, &str)]) -> (u64, u64, u32) {
        let parsed = values.iter().map(|&(key, text)| (key.to_owned(), RuntimeEntry::parse(text)));
        let values = RuntimeValues { name: String::new(), values: parsed.collect() };
        limits.follow_runtime(&RuntimeSnapshot::new(vec![values]));
        let lifetime = limits.premature_reset_lifetime_s();
        (limits.premature_reset_streams(), lifetime, limits.requests_per_cycle())
    }

    #[test]
    fn each_follows_the_runtime_and_has_its_default_without_a_value() {
        let limits = RuntimeLimits::default();
        let values = [
            ("overload.premature_reset_total_stream_count", "4"),
            ("overload.premature_reset_min_stream_lifetime_seconds", "0"),
            ("http.max_requests_per_io_cycle", "3"),
        ];
        assert_eq!(told(&limits, &values), (4, 0, 3));
        assert_eq!(told(&limits, &[("http.max_requests_per_io_cycle", "0")]), (500, 1, 1));
        assert_eq!(told(&limits, &[("http.max_requests_per_io_cycle", "1e11")]).2, u32::MAX);
        assert_eq!(told(&limits, &[("http.max_requests_per_io_cycle", "no")]), (500, 1, u32::MAX));
    }
}
