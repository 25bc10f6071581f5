//! Floor 5: the life of a connection, from accept to close.
//!
//! A [`Reception`] accepts on one worker, and its [`Listener`] gives each connection a task, which
//! runs the listener's terminal network filter to its end.
//!
//! **Invariant:** a connection owns its streams, guards and timers; whatever ends its task, every
//! gauge it raised falls again.
//! **Invariant:** proxy opens no socket and reads no configuration file: it is given acceptors,
//! clusters and a checked model.
#![forbid(unsafe_code)]

pub mod access_log;
mod admission;
mod balance;
mod beginning;
mod connection_context;
mod connection_log;
mod connection_state;
mod direct_response;
mod drain;
mod early_data;
mod echo;
mod gate;
mod handover;
mod http;
mod listener;
mod listener_stage;
mod meter;
mod random;
mod reception;
mod tcp_proxy;
mod tcp_route;
mod tcp_tunnel;
#[cfg(test)]
mod tests;
mod tunnel_head;
mod upstream_flush;
mod worker_context;

pub use admission::ListenerShared;
pub use drain::Drain;
pub use handover::{HANDOVERS_MAX, Handover, Peers};
pub use listener::Listener;
pub use random::Random;
pub use reception::{Reception, take_handovers};
pub use worker_context::WorkerContext;
