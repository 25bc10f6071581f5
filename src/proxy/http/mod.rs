//! `envoy.filters.network.http_connection_manager`: HTTP exchanges between a connection and the
//! hosts of clusters.
//!
//! ```text
//! connection -> exchange -> route -> host (cluster) -> exchange <-> both connections
//! ```
//! The exchange is written once; a codec's connections are its ports ([`port`]).

mod addresses;
#[cfg(test)]
mod bulk_tests;
mod carrier;
mod client;
mod connection;
mod date;
mod deadlines;
mod delayed_close;
mod exchange;
mod failure;
mod grpc;
mod headers;
mod http1;
mod http2;
mod lifetime;
mod log;
mod manager;
mod port;
mod pump;
mod recycle;
mod redirect;
mod referer;
mod response_stats;
mod route;
mod tcp_upstream;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tunnel_tests;

pub(crate) use http1::poll_part;
pub(crate) use manager::{HttpManager, Names, Prepared, response_options};
pub(crate) use port::{BodyPart, SourceError};
