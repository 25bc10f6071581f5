//! An upstream connection that outlives its downstream, to send what waits for it (row C22).
//!
//! ```text
//! downstream gone --nothing waits--> closed
//!      \--bytes wait--> flushing --sent, failed, idle, upstream speaks--> closed
//! ```
//! The downstream connection is over by then: counted, logged and closed.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use cluster::{ClosedBy, UpstreamConnection};
use net::{Flushed, flush};
use observe::names::TcpProxyStat;
use observe::{GaugeGuard, Scope};
use reactor::{RECV_CREDIT_MAX, Reactor, Received};

/// What is left of a relayed connection, to be awaited. Dropping it closes the upstream connection.
/// Boxed, so that a connection keeps no room for it.
pub(crate) type UpstreamFlush = Pin<Box<dyn Future<Output = ()>>>;

/// Takes over a connection whose downstream is gone; closes it if nothing waits. What waits is sent
/// for as long as the upstream takes some of it within the idle timeout.
pub(crate) fn begin(
    reactor: &Reactor,
    connection: UpstreamConnection,
    stats: &Scope<TcpProxyStat>,
    idle_timeout: Option<Duration>,
) -> Option<UpstreamFlush> {
    if connection.stream().outbox().bytes_buffered() == 0 {
        return None;
    }
    stats.inc(TcpProxyStat::UpstreamFlushTotal);
    let active = stats.guard(TcpProxyStat::UpstreamFlushActive);
    Some(Box::pin(run(reactor.clone(), connection, active, idle_timeout)))
}

async fn run(
    reactor: Reactor,
    connection: UpstreamConnection,
    active: GaugeGuard<TcpProxyStat>,
    idle_timeout: Option<Duration>,
) {
    let stream = connection.stream();
    let mut flush = pin!(flush(&reactor, stream, idle_timeout));
    let ended = poll_fn(|context| {
        if let Poll::Ready(flushed) = flush.as_mut().poll(context) {
            return Poll::Ready(Some(flushed));
        }
        if stream.receiver().is_ended() {
            return Poll::Pending;
        }
        match stream.receiver().poll_recv(context, RECV_CREDIT_MAX as usize) {
            Poll::Pending | Poll::Ready(Ok(Received::End)) => Poll::Pending,
            Poll::Ready(Err(_)) => Poll::Ready(Some(Flushed::Failed)),
            // Nobody is there to have it: as a kernel whose socket nobody reads any more.
            Poll::Ready(Ok(Received::Data(_))) => Poll::Ready(None),
        }
    })
    .await;
    match ended {
        Some(Flushed::Failed) => connection.set_closed_by(ClosedBy::Remote),
        Some(Flushed::Idle) => active.scope().inc(TcpProxyStat::IdleTimeout),
        Some(Flushed::Sent) | None => {}
    }
}
