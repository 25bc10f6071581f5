//! Requests whose connection, or stream, is to become something else than HTTP: CONNECT, and
//! upgrades such as to WebSocket.
//!
//! Whether it may is what the route says, or else the connection manager. What the client sends
//! behind its head waits until the host has agreed; from then on the exchange moves bytes both
//! ways as it moves bodies, and the idle timeout is what bounds it.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/http/upgrades>

use std::time::Duration;

use config::model::Upgrade;
use observe::names::HttpStat;
use proto::{KnownName, Method, RequestHead, Version};

use super::super::carrier::Carrier;
use super::super::failure::Failure;
use super::super::port::{RequestStart, SourceError, Upstream};
use super::super::route::{Action, Route};
use super::{Exchange, Stop};

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tunnel {
    /// CONNECT.
    Connect,
    /// An upgrade to WebSocket: a handshake, which has its own rules.
    WebSocket,
    /// Another upgrade.
    Other,
}

/// What came before a client's reset is to leave in this time: whoever resets wants an end, but
/// another proxy may say so what was a FIN to it.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);

/// What stands in `upgrade_type` for CONNECT.
const CONNECT: &[u8] = b"CONNECT";

impl Tunnel {
    pub(super) fn of(start: &RequestStart, request: &RequestHead) -> Option<Self> {
        if !start.is_tunnel {
            return None;
        }
        Some(match request.method() {
            Method::Connect => Self::Connect,
            _ if upgrade(request).eq_ignore_ascii_case(b"websocket") => Self::WebSocket,
            _ => Self::Other,
        })
    }

    /// Whether this answer agrees.
    pub(super) fn is_agreed_by(self, status: u16) -> bool {
        match self {
            Self::Connect => (200..300).contains(&status),
            Self::WebSocket | Self::Other => status == 101,
        }
    }
}

/// What the request wants to switch to.
fn upgrade(request: &RequestHead) -> &[u8] {
    request.headers.get(KnownName::Upgrade).unwrap_or(b"")
}

/// What a list of upgrades says about this kind.
fn enabled(upgrades: &[Upgrade], kind: &[u8]) -> Option<bool> {
    let mut upgrades = upgrades.iter();
    let found = upgrades.find(|upgrade| upgrade.kind.as_bytes().eq_ignore_ascii_case(kind));
    found.map(|upgrade| upgrade.enabled)
}

impl<C: Carrier> Exchange<'_, C> {
    /// Refuses what is asked for where a route leads to, and nobody allows it. Without a route that
    /// is what the client is told.
    pub(super) fn admit_tunnel(
        &mut self,
        tunnel: Tunnel,
        route: Option<&Route>,
    ) -> Result<(), Stop> {
        let stats = &self.manager.stats;
        let request = &self.heads.request;
        let kind = if tunnel == Tunnel::Connect { CONNECT } else { upgrade(request) };
        let forward = match route.map(Route::action) {
            Some(Action::Forward { cluster, config }) => Some((*cluster, config)),
            _ => None,
        };
        let by_route = forward.and_then(|(_, config)| enabled(&config.upgrades, kind));
        let by_manager = || enabled(&self.manager.prepared.config.upgrades, kind);
        if by_route.or_else(by_manager).unwrap_or(false) {
            stats.inc(HttpStat::DownstreamCxUpgradesTotal);
            self.upgraded = Some(stats.guard(HttpStat::DownstreamCxUpgradesActive));
            return Ok(());
        }
        if route.is_none() {
            return Ok(());
        }
        stats.inc(HttpStat::DownstreamRqWsOnNonWsRoute);
        if let Some(target) =
            forward.and_then(|(cluster, _)| self.manager.targets[cluster].as_ref())
        {
            self.journal.routed(&target.cluster);
        }
        // What follows may be meant for another protocol.
        self.carrier.refuse_more();
        Err(Stop::Failed(Failure::Upgrade))
    }

    /// Whether the request's body is to wait for the answer.
    pub(super) fn awaits_agreement(&self) -> bool {
        self.tunnel.is_some() && !self.is_tunnelling
    }

    /// Whether the answer that is about to be sent makes a tunnel of the client's side.
    pub(super) fn switches_protocol(&self) -> bool {
        self.tunnel.is_some_and(|tunnel| tunnel.is_agreed_by(self.heads.response.status))
    }

    /// The handshake of a WebSocket is its head: a client that asked for one has no use for another
    /// success, or for its body. Over HTTP/2 each host answers as it does to CONNECT.
    pub(super) fn is_handshake_lost<U: Upstream>(&self) -> bool {
        self.tunnel == Some(Tunnel::WebSocket)
            && U::VERSION == Some(Version::Http11)
            && self.heads.response.status != 101
            && self.heads.response.status < 400
    }

    /// The host has agreed: from here on nothing but the end of either side, or silence, ends it.
    pub(super) fn begin_tunnelling(&mut self) {
        self.is_tunnelling = true;
        self.deadlines.response = None;
    }

    /// Sends what waits for the host, though the exchange is over, unless the host has ended it.
    pub(super) async fn flush_tunnel(&self, upstream: &impl Upstream, flowed: &Result<(), Stop>) {
        let timeout = match flowed {
            Ok(()) | Err(Stop::Gone(SourceError::Ended)) => self.deadlines.idle_timeout,
            Err(Stop::Gone(_)) => Some(LAST_WORDS_TIMEOUT),
            Err(Stop::Cut(_) | Stop::Failed(_)) => return,
        };
        if let Some(stream) = upstream.stream() {
            // Boxed, so that other exchanges keep no room for it.
            Box::pin(net::flush(&self.manager.reactor, stream, timeout)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_compared_without_case() {
        let upgrade = |kind: &str, enabled| Upgrade { kind: kind.to_owned(), enabled };
        let upgrades = [upgrade("WebSocket", true), upgrade("connect", false)];
        assert_eq!(enabled(&upgrades, b"websocket"), Some(true));
        assert_eq!(enabled(&upgrades, CONNECT), Some(false));
        assert_eq!(enabled(&upgrades, b"web"), None);
    }

    #[test]
    fn a_tunnel_is_agreed_by_the_status_of_its_kind() {
        for (status, connect, upgrade) in
            [(101, false, true), (200, true, false), (299, true, false), (300, false, false)]
        {
            assert_eq!(Tunnel::Connect.is_agreed_by(status), connect, "{status}");
            assert_eq!(Tunnel::WebSocket.is_agreed_by(status), upgrade, "{status}");
            assert_eq!(Tunnel::Other.is_agreed_by(status), upgrade, "{status}");
        }
    }
}
