//! The state of the server as the admin pages show it, and the handle by which `server` sets it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tokio::sync::Notify;

/// Envoy's `ServerInfo.State`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Takes traffic.
    Live,
    /// Shuts down: no new connections, the old ones finish.
    Draining,
    /// Before the clusters are ready.
    PreInitializing,
    /// Clusters are ready, listeners not yet.
    Initializing,
}

impl State {
    /// Envoy's spelling on `/ready` and `/server_info`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "LIVE",
            Self::Draining => "DRAINING",
            Self::PreInitializing => "PRE_INITIALIZING",
            Self::Initializing => "INITIALIZING",
        }
    }

    /// Envoy's number in the stat `server.state`.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Live => 0,
            Self::Draining => 1,
            Self::PreInitializing => 2,
            Self::Initializing => 3,
        }
    }

    fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Live,
            1 => Self::Draining,
            2 => Self::PreInitializing,
            _ => Self::Initializing,
        }
    }
}

/// What `server` holds of the control loop. Cheap to clone, works from every thread.
#[derive(Debug, Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: AtomicU8,
    health_failed: Arc<AtomicBool>,
    stop: Notify,
}

impl Handle {
    pub(crate) fn new() -> Self {
        let state = AtomicU8::new(State::Initializing.number());
        let shared = Shared { state, health_failed: Arc::default(), stop: Notify::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Sets what the admin pages show; [`State::Initializing`] until the first call.
    pub fn set_state(&self, state: State) {
        self.shared.state.store(state.number(), Ordering::Relaxed);
    }

    /// What the admin pages show now: a live process whose health was failed looks like one that
    /// drains.
    #[must_use]
    pub fn state(&self) -> State {
        match State::from_number(self.shared.state.load(Ordering::Relaxed)) {
            State::Live if self.health_failed() => State::Draining,
            state => state,
        }
    }

    /// Set by `/healthcheck/fail`, taken back by `/healthcheck/ok`.
    pub(crate) fn set_health_failed(&self, failed: bool) {
        self.shared.health_failed.store(failed, Ordering::Relaxed);
    }

    /// What [`health_failed`](Self::health_failed) says, for those who ask often: as long as it is
    /// set, connections that carry HTTP end with their next response, as in Envoy.
    #[must_use]
    pub fn health_failed_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.shared.health_failed)
    }

    /// Whether the operator wants this process to look unhealthy, so that traffic goes elsewhere.
    #[must_use]
    pub fn health_failed(&self) -> bool {
        self.shared.health_failed.load(Ordering::Relaxed)
    }

    /// Ends the control loop, now or as soon as it runs; `Control::run` returns once the admin
    /// answers under way are out or their time is over.
    pub fn stop(&self) {
        self.shared.stop.notify_one();
    }

    pub(crate) async fn stopped(&self) {
        self.shared.stop.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_survives_the_handle() {
        let handle = Handle::new();
        assert_eq!(handle.state(), State::Initializing);
        for state in [State::Live, State::Draining, State::PreInitializing, State::Initializing] {
            handle.set_state(state);
            assert_eq!(handle.clone().state(), state);
        }
    }

    #[test]
    fn failed_health_hides_that_the_process_is_live_and_nothing_else() {
        let handle = Handle::new();
        handle.set_health_failed(true);
        assert_eq!(handle.state(), State::Initializing);
        handle.set_state(State::Live);
        assert_eq!(handle.state(), State::Draining);
        handle.set_health_failed(false);
        assert_eq!(handle.state(), State::Live);
    }
}
