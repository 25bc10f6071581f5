//! Whole-process tests: the real `nuncio` binary on loopback, beside the real Envoy.
//!
//! `differential` runs each scenario against Envoy and against Nuncio and compares what both ends
//! and the admin page saw. The other test modules hold Nuncio to what it promises about itself:
//! memory, descriptors, bad input, shutdown.
//!
//! What a run needs comes from a few environment variables, all read in `environment`.
//!
//! **Invariant:** nothing here waits a fixed time in the hope that something has happened by then;
//! a wait is for an event, with a deadline (`patience`). No port is fixed: upstreams bind port 0,
//! listeners get a port that the test itself holds (`address`).
#![forbid(unsafe_code)]

// The attribute tells clippy that all of this is test code; the crate is never built otherwise.
#[cfg(test)]
mod access_log;
#[cfg(test)]
mod address;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod balance;
#[cfg(test)]
mod bootstraps;
#[cfg(test)]
mod bulk;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod configs;
#[cfg(test)]
mod configuration;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod descriptors;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod environment;
#[cfg(test)]
mod http;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod http_bulk;
#[cfg(test)]
mod idle;
#[cfg(test)]
mod patience;
#[cfg(test)]
mod payload;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod process_log;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod redirected;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod sockets_of;
#[cfg(test)]
mod stalled;
#[cfg(test)]
mod stat_names;
#[cfg(test)]
mod stats;
#[cfg(test)]
mod tunnel_chain;
#[cfg(test)]
mod upstream;
#[cfg(test)]
mod validation;
#[cfg(test)]
mod weather;
#[cfg(test)]
mod workers;
