//! Measuring code shared by `compare` and `substrates`: start one proxy after the other, put the
//! same load on each, and report what a request or a gigabyte costs.
//!
//! It knows nothing about a particular proxy: an [`arm::Arm`] writes its own configuration and
//! names its own command. It does not judge either; [`report`] prints figures, ratios and the
//! targets that the caller hands in.
//!
//! Invariant: every process started here is ended by its own pid, on every path out, and every load
//! ends by time or by count.

#![forbid(unsafe_code)]

pub mod arm;
mod cgroup;
mod epoll;
mod load;
pub mod options;
mod pattern;
mod proc;
pub mod process;
pub mod report;
pub mod run;
mod upstream;
pub mod workload;

pub use upstream::BODY;
