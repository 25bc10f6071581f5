//! The HTTP/2 connections to one host: each shared by many exchanges.
//!
//! Every connection is a task of the pool, from its connect to its close, which drives it. An
//! exchange gets a stream of it as an [`Http2Stream`]. As Envoy does it: a request takes the
//! connection that has had room for the shortest time; if none has room it waits, and a connect is
//! started if more wait than those connecting will carry.
//!
//! ```text
//! connecting --connected--> room --as many streams as allowed--> full --one ends--> room
//!      \                      \--GOAWAY, last request, too old--> draining --no stream--> closed
//!       \--refused, late--> gone   \--host closed, broken rule, idle_timeout--> closed
//! ```
//! How many streams a connection carries at once is the smaller of the cluster's
//! `max_concurrent_streams` and what the host's SETTINGS say; until those have come it is the
//! former (row D12).
//!
//! **Invariant:** a connection stands among those with room if and only if it takes a stream now.

mod connection;
mod host;
mod lent;
mod times;

pub(super) use host::Http2Pool;
pub use lent::Http2Stream;
