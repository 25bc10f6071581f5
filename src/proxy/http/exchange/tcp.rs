//! Where an exchange meets TCP: a connection of its own to a host, which knows nothing of HTTP.

use std::cell::OnceCell;
use std::pin::pin;

use cluster::{ClosedBy, UpstreamConnection};
use config::model::ForwardAction;
use proto::Method;

use super::super::carrier::Carrier;
use super::super::failure::Failure;
use super::super::manager::Target;
use super::super::port::{RequestSource, ResponseSink, Upstream};
use super::super::tcp_upstream::TcpUpstream;
use super::tunnel::Tunnel;
use super::{Exchange, Stop};
use crate::connection_state::way;

impl<C: Carrier> Exchange<'_, C> {
    /// Whether the route ends HTTP here for such a request.
    pub(super) fn goes_over_tcp(&self, config: &ForwardAction) -> bool {
        let Some(connect) = &config.connect else { return false };
        let is_post = || connect.allow_post && self.heads.request.method() == Method::Post;
        self.tunnel == Some(Tunnel::Connect) || is_post()
    }

    /// Sends what the client sends to a host of the cluster, and what that sends to the client.
    pub(super) async fn through_tcp(
        &mut self,
        target: &Target,
        config: &ForwardAction,
        source: &mut impl RequestSource,
        sink: &mut impl ResponseSink,
    ) -> Result<(), Stop> {
        match self.connect_tcp(target, source).await {
            Ok(connection) => self.over_tcp(connection, target, config, source, sink).await,
            Err(stop) => Err(self.not_forwarded(stop, source).await),
        }
    }

    /// A connection to a host, unless the client leaves or the time is over first.
    async fn connect_tcp(
        &mut self,
        target: &Target,
        source: &impl RequestSource,
    ) -> Result<UpstreamConnection, Stop> {
        let picked = OnceCell::new();
        let way = way(self.connection.state(), &target.cluster, || self.connection.client());
        let connecting = target.cluster.connect(way, |address, host| {
            let _ = picked.set((address.clone(), host.stats().clone(), host.monitor().cloned()));
        });
        let connected = self.unless_over(pin!(connecting), target, source).await;
        if let Some((address, stats, monitor)) = picked.get() {
            self.journal.host_picked(address);
            // What was over before it began says nothing about the host.
            self.at_host.picked(stats, monitor.as_ref().filter(|_| connected.is_ok()));
        }
        let connection = connected?.map_err(|failure| self.not_connected(&failure))?;
        self.at_host.connected();
        Ok(connection)
    }

    /// Runs the exchange over a connection to a host, which ends with it.
    async fn over_tcp(
        &mut self,
        connection: UpstreamConnection,
        target: &Target,
        config: &ForwardAction,
        source: &mut impl RequestSource,
        sink: &mut impl ResponseSink,
    ) -> Result<(), Stop> {
        let client = || self.connection.client();
        if let Some(header) = target.cluster.proxy_header(client) {
            connection.stream().outbox().write(|out| out.extend_from_slice(&header));
        }
        let version = config.connect.as_ref().and_then(|connect| connect.proxy_protocol);
        let header = version.map(|version| client().proxy_header(version));
        let mut upstream = TcpUpstream::new(&connection, header);
        let flowed = self.over(&mut upstream, target, source, sink).await;
        upstream.count_received();
        match &flowed {
            Ok(()) if self.request_complete => connection.finish(),
            Err(Stop::Cut(Failure::UpstreamClosed)) => connection.set_closed_by(ClosedBy::Remote),
            Ok(()) | Err(_) => {}
        }
        flowed
    }
}
