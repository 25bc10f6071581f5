//! Connections and streams of HTTP/2: a connection that carries many exchanges at once, and its
//! streams as ports of an exchange.

mod connection;
mod downstream;
mod premature;
mod runners;
#[cfg(test)]
mod tests;
mod upstream;
#[cfg(test)]
mod upstream_tests;

pub(crate) use connection::{Http2Connection, Over, serve};
pub(crate) use downstream::{Request, Response};
pub(crate) use runners::Runners;
pub(crate) use upstream::Http2Upstream;
