//! Floor 6: admin and signals, outside the data path.
//!
//! One thread, one tokio current-thread loop. It shows what the workers counted, it hears what
//! the operator wants, and it tells `server` through one callback. It never touches a connection
//! of the data path, and nothing on the data path waits for it.
//!
//! **Invariant:** control decides nothing about a shutdown. It says that one was asked for;
//! `server` does it, sets the [`State`] that the pages show, and ends the loop with
//! [`Handle::stop`].
//!
//! **Invariant:** whatever an admin client does, the cost is bounded by [`Limits`].
#![forbid(unsafe_code)]

mod admin;
mod clock;
mod event_loop;
mod log;
mod order;
mod outliers;
mod runtime;
mod signals;
mod state;

pub use admin::{Configured, Limits, ListenerInfo, ServerInfo, StatsFlush, StatsOptions};
pub use event_loop::{Control, Options};
pub use log::{LogControl, LogLevel, LogLosses};
pub use order::{Listeners, Order, Shutdown};
pub use outliers::EventLog;
pub use state::{Handle, State};
