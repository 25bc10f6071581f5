//! Floor 7: the process.
//!
//! [`run`] reads options, environment and configuration, binds every listener, starts the workers,
//! hands the main thread to the control loop, and ends when every worker has.
//!
//! ```text
//! options -> log -> configuration -> base id, ring -> bind all -> start all workers -> LIVE
//!    LIVE --SIGTERM, SIGINT, /quitquitquit--> DRAINING --empty or grace over--> exit 0
//!                                                \--second signal--> exit 0 at once
//! ```
//!
//! **Invariant:** nothing is half-started: whatever fails before `LIVE` is told on standard error,
//! all that can be known at once, and ends the process before a connection is accepted.
//! **Invariant:** configuration reaches a worker only as an immutable snapshot; workers share
//! nothing that changes except the process-wide limits and the health of hosts
//! ([`cluster::Shared`]).
//! **Invariant:** the environment is read here and nowhere else.
#![forbid(unsafe_code)]

mod access_log;
mod affinity;
mod base_id;
mod bootstrap;
mod demo;
mod ejections;
mod exit;
mod fleet;
mod global_connections;
mod handovers;
mod listen;
mod local_address;
mod logging;
mod loop_stats;
mod managers;
mod names;
mod options;
mod outlier_log;
mod process;
mod reopener;
mod worker;

pub use process::run;
