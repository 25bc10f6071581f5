//! What an exchange knows of the connection it came by, whatever protocol that speaks.
//!
//! One of HTTP/1 carries one exchange at a time, so an exchange decides about its end; one of
//! HTTP/2 carries many, so none of them may.

use std::cell::RefCell;

use net::DeadlineTimer;
use observe::names::{Http1CodecStat, HttpStat};
use proto::Version;

use super::connection::HttpConnection;
use super::port::RequestStart;

/// A connection from a client, as one of its exchanges sees it.
pub(crate) trait Carrier {
    /// Whether other exchanges are on the connection at the same time. If so it goes on whatever
    /// becomes of one, and says by itself that it will end.
    const IS_SHARED: bool;

    /// What a request is taken to be in as long as its head has not come.
    const VERSION: Version;

    /// What counts the requests of this protocol.
    const REQUESTS: HttpStat;

    /// The connection itself.
    fn connection(&self) -> &HttpConnection;

    /// What the exchange's deadlines are kept with: nobody else's while it is under way.
    fn timer(&self) -> &RefCell<DeadlineTimer>;

    /// Told that the head of a request has come. Returns whether it is the last one that the
    /// connection carries, by configuration; a shared connection starts to drain instead.
    fn head_received(&self, start: &RequestStart) -> bool;

    /// Told that the head of a response is about to be sent. Returns whether the connection closes
    /// behind it because the process drains, or is to look unhealthy; a shared connection starts to
    /// drain instead.
    fn drains(&self) -> bool;

    /// Whether the head of a response is to say that the connection closes soon, if not at once.
    fn announces_close(&self) -> bool;

    /// No other request is to come by the connection. One that is not shared ends with the exchange
    /// anyway, where its request is not complete.
    fn refuse_more(&self);
}

impl Carrier for HttpConnection {
    const IS_SHARED: bool = false;
    const VERSION: Version = Version::Http11;
    const REQUESTS: HttpStat = HttpStat::DownstreamRqHttp1Total;

    fn connection(&self) -> &HttpConnection {
        self
    }

    fn timer(&self) -> &RefCell<DeadlineTimer> {
        &self.timer
    }

    fn head_received(&self, start: &RequestStart) -> bool {
        if start.dropped_underscores > 0 {
            let dropped = u64::from(start.dropped_underscores);
            let stat = Http1CodecStat::DroppedHeadersWithUnderscores;
            self.manager.codec_stats.add(stat, dropped);
        }
        self.is_last_request()
    }

    fn drains(&self) -> bool {
        let drains = self.manager.closes_with_response();
        if drains {
            self.manager.stats.inc(HttpStat::DownstreamCxDrainClose);
        }
        drains
    }

    fn announces_close(&self) -> bool {
        self.is_draining()
    }

    fn refuse_more(&self) {}
}
