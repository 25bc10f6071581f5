//! What every part of a connection's life needs, in one place: each part keeps one reference to it
//! and not one to each.

use filter::NetworkFilters;
use reactor::Reactor;

use crate::connection_log::ConnectionLog;

/// What is lent to the last filter of a chain for one connection.
#[derive(Debug)]
pub(crate) struct ConnectionContext<'a> {
    pub(crate) reactor: &'a Reactor,
    /// The most bytes that may wait for the client.
    pub(crate) buffer_limit: u32,
    /// The filters before the last one.
    pub(crate) filters: &'a NetworkFilters,
    pub(crate) log: ConnectionLog<'a>,
}
