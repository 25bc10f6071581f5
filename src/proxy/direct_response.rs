//! `envoy.filters.network.direct_response`: every client gets the same bytes.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/network_filters/direct_response_filter>

use std::rc::Rc;

use net::flush;
use reactor::Socket;

use crate::connection_context::ConnectionContext;
use crate::gate::{self, Passage};
use crate::meter::Uncounted;

/// Sends `response` and closes once it has been sent, whatever the client says.
pub(crate) async fn serve(response: &[u8], socket: Socket, context: &ConnectionContext<'_>) {
    let (reactor, filters, log) = (context.reactor(), context.filters(), &context.log);
    let stream = context.stream(socket, Rc::new(Uncounted));
    let received = |bytes: usize| log.received(bytes);
    let receiver = stream.receiver();
    let (passage, _held) = gate::enter_reading(filters, reactor, receiver, log, received).await;
    if passage != Passage::Open {
        return;
    }
    log.direct_response(response.len());
    stream.outbox().push(response.to_vec().into());
    stream.outbox().finish();
    flush(reactor, &stream, None).await;
}
