//! A connection of `tcp_proxy` whose upstream is a tunnel.
//!
//! ```text
//! accepted --no tunnel--> closed
//!    \--> relaying --both ended--> what waits for the tunnel is sent --> closed
//!            \--reset, idle, the tunnel's connection lost--> closed
//! ```

use std::future::poll_fn;
use std::pin::pin;

use cluster::{ClosedBy, Cluster};
use net::{PumpSink, RelayEnd, RelayRules, Side};
use reactor::Socket;

use super::{TcpProxy, is_reset, relay_after_first_data, reset};
use crate::connection_context::ConnectionContext;
use crate::meter::{FromDownstream, FromTunnel, FromUpstream};
use crate::tcp_tunnel::{TcpTunnel, Tunnel};

impl TcpProxy {
    /// Serves one connection through a tunnel.
    pub(super) async fn serve_through(
        &self,
        tunnel: &TcpTunnel,
        socket: Socket,
        context: &ConnectionContext<'_>,
    ) {
        let opened = {
            let ask = async |cluster| tunnel.open(cluster, &socket, context).await;
            let opening = pin!(self.attempts(context, ask));
            self.unless_idle(context, opening).await
        };
        let Some((cluster, tunnel)) = opened else { return };
        let writes_line = self.config.access_log_options.flush_on_connected;
        context.log.tunnel_opened(tunnel.carrier(), writes_line);
        self.relay_tunnel(socket, cluster, tunnel, context).await;
    }

    /// As [`TcpProxy::relay`], through a tunnel.
    async fn relay_tunnel(
        &self,
        socket: Socket,
        cluster: &Cluster,
        tunnel: Tunnel<'_>,
        context: &ConnectionContext<'_>,
    ) {
        let log = &context.log;
        let downstream = self.downstream(socket, context);
        let (filter, cluster) = (&self.stats, cluster.stats());
        let from_downstream = FromDownstream { filter, cluster, log };
        let from_upstream = FromTunnel { tunnel: &tunnel, upstream: FromUpstream { cluster, log } };
        let rules = RelayRules { half_close: tunnel.half_close(), ..*self.rules(context) };
        let observers = (&from_downstream, &from_upstream);
        let streams = (&downstream, &tunnel);
        let end = relay_after_first_data(streams, observers, &rules, context).await;
        let mut closed_by = ClosedBy::Local;
        match end {
            RelayEnd::Refused => {}
            RelayEnd::Finished { last } => {
                if last == Side::Downstream {
                    // What has come for the client is its to have.
                    self.flush(&downstream, context).await;
                    tunnel.end_request();
                }
                self.finish(&tunnel, context).await;
            }
            RelayEnd::Failed { side: Side::Downstream, error } => {
                if is_reset(&error) {
                    log.downstream_reset();
                }
            }
            RelayEnd::Failed { side: Side::Upstream, .. } if tunnel.is_reset() => {
                log.upstream_reset();
                reset(&downstream);
            }
            RelayEnd::Failed { side: Side::Upstream, .. } => {
                closed_by = ClosedBy::Remote;
                self.flush(&downstream, context).await;
            }
            RelayEnd::Idle => self.idle(log),
        }
        tunnel.close(closed_by);
    }

    /// Sends what waits for the tunnel when its client has ended.
    async fn finish(&self, tunnel: &Tunnel<'_>, context: &ConnectionContext<'_>) {
        let finished = pin!(async {
            // What cannot be sent any more need not be waited for, either.
            poll_fn(|context| tunnel.poll_drained(context)).await.ok();
            Some(())
        });
        self.unless_idle(context, finished).await;
    }
}
