//! The HTTP/1 connections to one host: lent to one exchange at a time.
//!
//! Every connection is a task of the pool, from its connect to its close; while it is idle that
//! task watches it. An exchange borrows it as an [`Http1Stream`]. As Envoy does it: a request takes
//! the idle connection that was used last; if there is none it waits, a connect is started if
//! there are more waiting than connecting, and whichever connection is ready first serves whoever
//! has waited longest.
//!
//! ```text
//! connecting --connected--> idle <--given back-- lent --broken, last request--> closed
//!      \--refused, late--> gone     \--host closed, idle_timeout, unasked bytes--> closed
//! ```
//! **Invariant:** a connection is lent to one exchange at most, and only the task that has it
//! reads from it.

mod connection;
mod host;
mod lent;

pub(super) use host::Http1Pool;
pub use lent::Http1Stream;
