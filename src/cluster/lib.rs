//! Floor 3: hosts, balancing, breakers and connecting.
//!
//! A cluster is seen twice. [`Shared`] is what the whole process has of it: the configuration, the
//! circuit breakers and the names of its stats. [`Cluster`] is one worker's view: its own place
//! in the rotation of hosts, its own shard of the stats. [`Cluster::connect`] gives one connection
//! to one host, or says why there is none; who asks decides about another attempt.
//!
//! **Invariant:** every change a connection makes to a gauge or to a breaker is held by a value
//! whose `Drop` undoes it, so a future dropped at any await point leaves each as it was.
//! **Invariant:** breakers are exact: all workers together never hold more connections than
//! `max_connections`, nor wait for more than `max_pending_requests`.
//! **Invariant:** cluster reads no clock but its reactor's and draws no randomness: a seed is an
//! argument.
//!
//! It does not relay bytes, retry, or know who the downstream is.
#![forbid(unsafe_code)]

mod balancer;
mod breaker;
mod connect;
mod connection;
mod connector;
mod context;
mod existence;
mod http_pool;
mod introduction;
mod outlier;
mod preconnect;
mod round_robin;
mod shared;
mod tally;
mod tcp_pool;
#[cfg(test)]
mod test_config;
mod waiters;
mod worker_view;

pub use connect::ConnectFailure;
pub use connection::UpstreamConnection;
pub use existence::ClosedBy;
pub use http_pool::{Http1Stream, Http2Stream, HttpHost, HttpStream};
pub use introduction::Client;
pub use outlier::{
    Cause, Comparison, Detector, Event, EventKind, Monitor, Origin, Outcome, Situation,
};
pub use shared::Shared;
pub use worker_view::{Cluster, Clusters, MetHost, Way};
