//! `envoy.filters.network.echo`: every byte goes back where it came from.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/network_filters/echo_filter>

use std::io;
use std::rc::Rc;

use net::{PumpFailure, PumpObserver, Stream, pump};
use reactor::Socket;

use crate::connection_context::ConnectionContext;
use crate::connection_log::ConnectionLog;
use crate::gate::{self, Held, Passage};
use crate::meter::Uncounted;

/// Serves one connection until the peer ends its stream and has everything back.
pub(crate) async fn serve(socket: Socket, context: &ConnectionContext<'_>) {
    let log = &context.log;
    let stream = context.stream(socket, Rc::new(Uncounted));
    let mut held = Held::default();
    if !context.filters().is_empty() {
        let passage;
        (passage, held) = Box::pin(pass(&stream, context)).await;
        if passage != Passage::Open {
            return;
        }
    }
    let ended = pump(&stream, &stream, &Echoed(log), || false).await;
    // A peer that fails has nobody left to be told.
    if let Err(PumpFailure::Reading(error) | PumpFailure::Writing(error)) = ended
        && error.kind() == io::ErrorKind::ConnectionReset
    {
        log.downstream_reset();
    }
    drop(held);
}

/// Leads a connection past the filters before this one.
async fn pass(stream: &Stream, context: &ConnectionContext<'_>) -> (Passage, Held) {
    let (reactor, filters, log) = (context.reactor(), context.filters(), &context.log);
    let received = |bytes: usize| log.received(bytes);
    let receiver = stream.receiver();
    let (passage, held) = gate::enter_reading(filters, reactor, receiver, log, received).await;
    if passage != Passage::Open || !filters.awaits_data() {
        return (passage, held);
    }
    let from = (stream.socket(), receiver, context.origin().map(Rc::as_ref));
    (gate::first_data(filters, reactor, from, log, received, false).await, held)
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
