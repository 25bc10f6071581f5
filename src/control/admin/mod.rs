//! The admin server: HTTP/1.1 over plain TCP, Envoy's pages with Envoy's bodies.
//!
//! Pages are pure functions from a [`View`] and a query to a [`page::Page`]; sockets and HTTP are
//! in [`server`] only. What Envoy has and we do not is answered as by an Envoy that was built
//! without it.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/operations/admin>

mod body;
mod clusters;
mod config_dump;
mod drain;
mod filter;
mod json;
mod json_tree;
mod listeners;
mod logging;
mod page;
mod profilers;
mod routes;
mod runtime;
mod server;
mod server_info;
mod stall;
mod stats;
mod view;

pub(crate) use drain::Drain;
pub use listeners::ListenerInfo;
pub(crate) use server::Admin;
pub use server::Limits;
pub use stats::{StatsFlush, StatsOptions};
pub use view::{Configured, ServerInfo};
pub(crate) use view::{Levers, View};
