//! `envoy.filters.network.echo`: every byte goes back where it came from.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/network_filters/echo_filter>

use std::io;
use std::rc::Rc;

use net::{PumpFailure, PumpObserver, Stream, pump};
use reactor::{Reactor, Socket};

use crate::connection_log::ConnectionLog;
use crate::meter::Uncounted;

/// Serves one connection until the peer ends its stream and has everything back.
pub(crate) async fn serve(
    reactor: &Reactor,
    socket: Socket,
    buffer_limit: u32,
    log: &ConnectionLog<'_>,
) {
    let stream = Stream::new(reactor, socket, buffer_limit, Rc::new(Uncounted));
    let ended = pump(stream.receiver(), stream.outbox(), &Echoed(log), || false).await;
    // A peer that fails has nobody left to be told.
    if let Err(PumpFailure::Reading(error) | PumpFailure::Writing(error)) = ended
        && error.kind() == io::ErrorKind::ConnectionReset
    {
        log.downstream_reset();
    }
}

/// Notes what comes in, all of which goes out again.
struct Echoed<'a>(&'a ConnectionLog<'a>);

impl PumpObserver for Echoed<'_> {
    fn received(&self, bytes: usize) {
        self.0.received(bytes);
        self.0.sent(bytes);
    }

    fn paused(&self) {}

    fn resumed(&self) {}
}
