//! `envoy.filters.network.echo`: every byte goes back where it came from.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/network_filters/echo_filter>

use std::rc::Rc;

use net::{Stream, pump};
use reactor::{Reactor, Socket};

use crate::meter::Uncounted;

/// Serves one connection until the peer ends its stream and has everything back.
pub(crate) async fn serve(reactor: &Reactor, socket: Socket, buffer_limit: u32) {
    let stream = Stream::new(reactor, socket, buffer_limit, Rc::new(Uncounted));
    // A peer that fails has nobody left to be told.
    let _ended = pump(stream.receiver(), stream.outbox(), &Uncounted, || false).await;
}
