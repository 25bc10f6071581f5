//! `envoy.filters.network.tcp_proxy`: one upstream connection for each downstream connection.
//!
//! ```text
//! accepted --no such cluster-----------------------> closed (downstream_cx_no_route)
//!    |  \----breaker open, no host, attempts spent-> closed
//!    +--> connected --> relaying --both ended, reset, idle--> closed
//! ```
//! Nothing is read from downstream before upstream is connected (row C1): early bytes wait in the
//! kernel.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/network_filters/tcp_proxy_filter>

use std::io;
use std::rc::Rc;
use std::time::Duration;

use cluster::{ClosedBy, Cluster, UpstreamConnection};
use config::model;
use net::{Flushed, RelayEnd, SendMeter, Side, Stream, flush, relay};
use observe::Scope;
use observe::names::{ClusterStat, TcpProxyStat};
use reactor::{Reactor, Socket};

use crate::connection_log::ConnectionLog;
use crate::meter::{self, FromDownstream, FromUpstream};

/// A `tcp_proxy` filter on one worker.
#[derive(Debug)]
pub(crate) struct TcpProxy {
    config: model::TcpProxy,
    /// `None` if the configuration names a cluster that does not exist (row C6).
    cluster: Option<Rc<Cluster>>,
    stats: Scope<TcpProxyStat>,
    to_downstream: Rc<SendMeter<TcpProxyStat>>,
}

impl TcpProxy {
    pub(crate) fn new(
        config: model::TcpProxy,
        cluster: Option<Rc<Cluster>>,
        stats: Scope<TcpProxyStat>,
    ) -> Self {
        let to_downstream = meter::to_downstream(&stats);
        Self { config, cluster, stats, to_downstream }
    }

    /// Serves one connection to its end. `buffer_limit` bounds what waits for downstream.
    pub(crate) async fn serve(
        &self,
        reactor: &Reactor,
        socket: Socket,
        buffer_limit: u32,
        log: &ConnectionLog<'_>,
    ) {
        self.stats.inc(TcpProxyStat::DownstreamCxTotal);
        log.routed(self.cluster.as_ref());
        let Some(cluster) = &self.cluster else {
            self.stats.inc(TcpProxyStat::DownstreamCxNoRoute);
            return log.no_cluster();
        };
        let Some(upstream) = self.connect(cluster, log).await else { return };
        log.connected(&upstream, self.config.access_log_options.flush_on_connected);
        self.relay(reactor, socket, buffer_limit, cluster, &upstream, log).await;
    }

    /// How often a connection that lasts writes a line.
    pub(crate) fn log_interval(&self) -> Option<Duration> {
        self.config.access_log_options.flush_interval
    }

    /// Tries up to `max_connect_attempts` hosts.
    async fn connect(
        &self,
        cluster: &Cluster,
        log: &ConnectionLog<'_>,
    ) -> Option<UpstreamConnection> {
        for _ in 0..self.config.max_connect_attempts {
            log.connecting();
            match cluster.connect().await {
                Ok(upstream) => return Some(upstream),
                Err(failure) => {
                    log.connect_failed(&failure);
                    if !failure.may_retry() {
                        return None;
                    }
                }
            }
        }
        cluster.stats().inc(ClusterStat::UpstreamCxConnectAttemptsExceeded);
        log.attempts_exceeded();
        None
    }

    async fn relay(
        &self,
        reactor: &Reactor,
        socket: Socket,
        buffer_limit: u32,
        cluster: &Cluster,
        connection: &UpstreamConnection,
        log: &ConnectionLog<'_>,
    ) {
        let downstream = Stream::new(reactor, socket, buffer_limit, self.to_downstream.clone());
        let upstream = Stream::new(
            reactor,
            connection.socket().clone(),
            cluster.config().per_connection_buffer_limit_bytes,
            cluster.send_meter(),
        );
        let from_downstream = FromDownstream { filter: &self.stats, cluster: cluster.stats(), log };
        let from_upstream = FromUpstream { cluster: cluster.stats(), log };
        let end = relay(
            reactor,
            &downstream,
            &upstream,
            &from_downstream,
            &from_upstream,
            self.config.idle_timeout,
        )
        .await;
        match end {
            RelayEnd::Finished { last: Side::Upstream } => {
                connection.set_closed_by(ClosedBy::Remote);
            }
            RelayEnd::Finished { last: Side::Downstream } => {}
            RelayEnd::Failed { side: Side::Downstream, error } => {
                // What waits for upstream is dropped, as in Envoy (row C22).
                if is_reset(&error) {
                    log.downstream_reset();
                    reset(&upstream);
                }
            }
            RelayEnd::Failed { side: Side::Upstream, error } => {
                connection.set_closed_by(ClosedBy::Remote);
                match flush(reactor, &downstream, self.config.idle_timeout).await {
                    Flushed::Sent if is_reset(&error) => {
                        log.upstream_reset();
                        reset(&downstream);
                    }
                    Flushed::Sent | Flushed::Failed => {}
                    Flushed::Idle => self.idle(log),
                }
            }
            RelayEnd::Idle => self.idle(log),
        }
    }

    fn idle(&self, log: &ConnectionLog<'_>) {
        self.stats.inc(TcpProxyStat::IdleTimeout);
        log.idle();
    }
}

fn is_reset(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionReset
}

/// Passes a reset on to the other side.
fn reset(other: &Stream) {
    // A peer that is gone already needs no reset.
    let _ = other.socket().reset_on_close();
}
