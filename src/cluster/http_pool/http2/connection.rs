//! One connection of a pool: what its task and the exchanges that share it know of it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use net::http2::{CodecMeter, Endpoint};

/// Requests that a connection carries at most unless the configuration says fewer: half of the
/// identifiers that a client has, as Envoy has it.
pub(super) const REQUESTS_MAX: u32 = 1 << 29;

/// A connected connection.
#[derive(Debug)]
pub(super) struct Http2Connection {
    endpoint: Rc<Endpoint>,
    meter: CodecMeter,
    /// Streams that it carries at once.
    limit: Cell<u32>,
    /// Requests that it may still carry (row D11).
    requests_left: Cell<u32>,
    /// Streams that exchanges have, or are about to get.
    streams: Cell<u32>,
    /// It takes no more streams.
    is_draining: Cell<bool>,
    /// It stands among those with room.
    pub(super) is_listed: Cell<bool>,
    /// Of the pool, when it was made.
    age: u64,
    requests: Cell<u64>,
    /// Bytes received that have been counted.
    counted: Cell<u64>,
    idle_since: Cell<Instant>,
}

impl Http2Connection {
    pub(super) fn new(
        endpoint: Rc<Endpoint>,
        meter: CodecMeter,
        requests_max: Option<u32>,
        now: Instant,
        age: u64,
    ) -> Self {
        Self {
            limit: Cell::new(endpoint.with_codec(|codec| codec.streams_max())),
            endpoint,
            meter,
            requests_left: Cell::new(requests_max.unwrap_or(REQUESTS_MAX)),
            streams: Cell::new(0),
            is_draining: Cell::new(false),
            is_listed: Cell::new(false),
            age,
            requests: Cell::new(0),
            counted: Cell::new(0),
            idle_since: Cell::new(now),
        }
    }

    pub(super) fn endpoint(&self) -> &Rc<Endpoint> {
        &self.endpoint
    }

    /// Of the pool, when it was made.
    pub(super) fn age(&self) -> u64 {
        self.age
    }

    /// How many more streams it takes now.
    pub(super) fn room(&self) -> u32 {
        if self.is_draining.get() || self.endpoint.end().is_some() {
            return 0;
        }
        let at_once = self.limit.get().saturating_sub(self.streams.get());
        at_once.min(self.requests_left.get())
    }

    /// Whether nothing is left for it to do: no stream is there, and none may come.
    pub(super) fn is_drained(&self) -> bool {
        let ends = self.is_draining.get() || self.requests_left.get() == 0;
        ends && self.streams.get() == 0 && self.endpoint.end().is_none()
    }

    pub(super) fn drain(&self) {
        self.is_draining.set(true);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.get()
    }

    pub(super) fn has_streams(&self) -> bool {
        self.streams.get() > 0
    }

    /// Since when it has had no stream, if it has none.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (!self.has_streams()).then(|| self.idle_since.get())
    }

    /// How many requests it has carried.
    pub(super) fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// The host's settings have changed.
    pub(super) fn settings_changed(&self) {
        self.limit.set(self.endpoint.with_codec(|codec| codec.streams_max()));
    }

    /// Bytes received since the last call.
    pub(super) fn take_received(&self) -> u64 {
        let received = self.endpoint.stream().receiver().bytes_received();
        received - self.counted.replace(received)
    }

    /// Counts what its codec has met since the last call.
    pub(super) fn count_codec(&self) {
        self.meter.update(&self.endpoint);
    }

    /// Somebody is to get a stream, and a request of those that are left.
    pub(super) fn reserve(&self) {
        self.streams.set(self.streams.get() + 1);
        self.requests_left.set(self.requests_left.get().saturating_sub(1));
    }

    /// What was reserved is used. Returns whether it is the last request.
    pub(super) fn use_reserved(&self) -> bool {
        self.requests.set(self.requests.get() + 1);
        self.requests_left.get() == 0
    }

    /// What was reserved is given back, used or not.
    pub(super) fn give_back(&self, was_used: bool, now: Instant) {
        self.streams.set(self.streams.get() - 1);
        if !was_used {
            self.requests_left.set(self.requests_left.get() + 1);
        }
        if !self.has_streams() {
            self.idle_since.set(now);
            // Its task keeps the idle timeout.
            self.endpoint.wake();
        }
    }
}
