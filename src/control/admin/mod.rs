//! The admin server: HTTP/1.1 over plain TCP, Envoy's pages with Envoy's bodies.
//!
//! Pages are pure functions from a [`View`] and a query to a [`page::Page`]; sockets and HTTP are
//! in [`server`] only. What Envoy has and we do not is answered as an unknown path, and a
//! parameter we do not know how to honour is refused, not ignored.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/operations/admin>

mod page;
mod prometheus;
mod routes;
mod server;
mod server_info;
mod stall;
mod stats;
mod view;

pub(crate) use server::Admin;
pub use server::Limits;
pub use view::ServerInfo;
pub(crate) use view::View;
