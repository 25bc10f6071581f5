//! What every part of a connection's life needs, in one place: each part keeps one reference to it
//! and not one to each.

use std::rc::Rc;

use filter::{NetworkFilters, Origin};
use net::Stream;
use reactor::{OutboxMeter, Reactor, Socket};

use crate::beginning::Beginning;
use crate::connection_log::{ConnectionLog, ConnectionLogging};

/// What all connections of a filter chain have in common.
#[derive(Debug)]
pub(crate) struct ChainContext {
    pub(crate) reactor: Reactor,
    /// The most bytes that may wait for the client.
    pub(crate) buffer_limit: u32,
    /// The filters before the last one.
    pub(crate) filters: NetworkFilters,
    pub(crate) logging: ConnectionLogging,
}

/// What is lent to the last filter of a chain for one connection.
#[derive(Debug)]
pub(crate) struct ConnectionContext<'a> {
    chain: &'a ChainContext,
    beginning: Option<&'a Beginning>,
    pub(crate) log: ConnectionLog<'a>,
}

impl<'a> ConnectionContext<'a> {
    /// Of the connection on `socket`; `beginning` is there if it passed listener filters.
    pub(crate) fn new(
        chain: &'a ChainContext,
        socket: &Socket,
        beginning: Option<&'a Beginning>,
    ) -> Self {
        let log = ConnectionLog::begin(&chain.logging, socket, beginning);
        Self { chain, beginning, log }
    }

    pub(crate) fn reactor(&self) -> &'a Reactor {
        &self.chain.reactor
    }

    /// The most bytes that may wait for the client.
    pub(crate) fn buffer_limit(&self) -> u32 {
        self.chain.buffer_limit
    }

    /// The filters before the last one.
    pub(crate) fn filters(&self) -> &'a NetworkFilters {
        &self.chain.filters
    }

    /// What listener filters found out, if there are any.
    pub(crate) fn origin(&self) -> Option<&'a Rc<Origin>> {
        self.beginning.map(|beginning| &beginning.origin)
    }

    /// The connection's stream, to be made once. `meter` is told what waits for the client.
    pub(crate) fn stream(&self, socket: Socket, meter: Rc<dyn OutboxMeter>) -> Stream {
        let ChainContext { reactor, buffer_limit, .. } = self.chain;
        match self.beginning.and_then(Beginning::take_receiver) {
            None => Stream::new(reactor, socket, *buffer_limit, meter),
            Some(receiver) => Stream::resume(reactor, socket, receiver, *buffer_limit, meter),
        }
    }
}
