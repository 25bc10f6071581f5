//! Where an exchange meets HTTP/1: a client's connection that it comes by, and a host's that it
//! goes over. Each carries one exchange at a time, so its end is the exchange's business.

use std::rc::Rc;

use cluster::{ClosedBy, Http1Stream};
use observe::names::ClusterStat;
use proto::http1::Expect;

use super::super::connection::HttpConnection;
use super::super::delayed_close::Closing;
use super::super::failure::Failure;
use super::super::http1::{Http1Upstream, Request, Response};
use super::super::manager::Target;
use super::super::port::{RequestSource, ResponseSink};
use super::tunnel::Tunnel;
use super::{Exchange, Outcome, Stop};

/// What an exchange begins with: a connection on which bytes of a request have come.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) connection: Rc<HttpConnection>,
}

/// What happens to the connection after an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another request may come.
    Request,
    /// It is closed.
    Close(Closing),
    /// The client has left.
    Gone,
}

/// Runs one exchange.
pub(crate) async fn run(start: Start) -> Next {
    let connection = &*start.connection;
    let manager = &*connection.manager;
    let mut decoder = manager.request_decoders.take();
    decoder.reset();
    let mut heads = manager.heads.take();
    heads.request.clear();
    let (prepared, stream) = (&manager.prepared, &connection.stream);
    let mut source = Request::new(stream, &mut decoder, &prepared.requests);
    let mut sink = Response::to_client(stream, prepared.config.http1.enable_trailers);
    let mut exchange = Exchange::new(connection, heads);
    let outcome = exchange.run(&mut source, &mut sink).await;
    exchange.next(outcome)
}

impl Exchange<'_, HttpConnection> {
    fn next(&self, outcome: Outcome) -> Next {
        match outcome {
            Outcome::Gone => Next::Gone,
            Outcome::Complete if !self.closes => Next::Request,
            Outcome::Complete | Outcome::Early | Outcome::Cut => Next::Close(self.closing()),
        }
    }

    /// How the connection is closed: without waiting for the client if that has sent its last
    /// request whole, or knows the response's end by the connection's; but, as Envoy does it, not
    /// when the reply came at once.
    fn closing(&self) -> Closing {
        let is_over = self.ends_with_connection || (self.is_last && self.request_complete);
        match is_over && self.has_waited {
            true => Closing::Flush,
            false => Closing::FlushAndWait,
        }
    }
}

impl<C: super::Carrier> Exchange<'_, C> {
    /// Runs the exchange over a connection to a host, and says what becomes of it.
    pub(super) async fn over_http1(
        &mut self,
        stream: Http1Stream,
        target: &Target,
        source: &mut impl RequestSource,
        sink: &mut impl ResponseSink,
    ) -> Result<(), Stop> {
        let mut decoder = self.manager.response_decoders.take();
        decoder.reset();
        let expect = match self.tunnel {
            Some(Tunnel::WebSocket | Tunnel::Other) => Expect::Upgrade,
            Some(Tunnel::Connect) | None => Expect::of(self.heads.request.method()),
        };
        let mut upstream = Http1Upstream::new(&stream, &mut decoder, &target.options, expect);
        let flowed = self.over(&mut upstream, target, source, sink).await;
        let (response, stats) = (upstream.response(), target.cluster.stats());
        if response.closes() {
            stats.inc(ClusterStat::UpstreamCxCloseNotify);
        }
        match &flowed {
            Ok(()) if self.request_complete => {
                if response.has_unasked_bytes() {
                    stats.inc(ClusterStat::UpstreamCxProtocolError);
                }
                let reusable = response.is_reusable();
                stream.give_back(reusable);
            }
            Err(Stop::Failed(Failure::UpstreamProtocol) | Stop::Cut(Failure::UpstreamProtocol)) => {
                stats.inc(ClusterStat::UpstreamCxProtocolError);
            }
            // As Envoy, which ends what was asked to be a tunnel when the host has ended its side.
            Ok(()) | Err(_) if self.tunnel == Some(Tunnel::Connect) && response.has_ended() => {
                stream.close_tunnel(ClosedBy::Local);
            }
            // The connection goes with the stream: nobody knows what is still on the way on it.
            Ok(()) | Err(_) => {}
        }
        flowed
    }
}
