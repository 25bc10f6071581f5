//! Floor 1: counters, gauges and histograms, one shard per worker.
//!
//! A *scope* is a prefix (`cluster.backend`) and a fixed set of stats ([`stats!`]) below it. Every
//! worker counts into its own block of a scope; [`Registry::snapshot`] adds the blocks up when
//! somebody scrapes. What a stat is called and when it moves is said in [`names`].
//!
//! **Invariant:** a block has one writer. [`Registry::shard`] hands each shard out once, a
//! [`Shard`] and the [`Scope`]s made from it cannot leave their thread, so a relaxed load and a
//! relaxed store are enough to count: no lock, no lookup, no read-modify-write instruction.
//!
//! **Invariant:** a reader never makes a writer wait, and may see a stat a moment late.
//!
//! This floor writes no page and reads no clock: `control` renders the samples.
#![forbid(unsafe_code)]

pub mod access_log;
mod bins;
mod block;
mod distribution;
mod entry;
mod group;
pub mod names;
mod registry;
mod response_flags;
mod scope;
mod stat;

pub use distribution::{Bucket, Distribution, QUANTILES};
pub use group::{Group, HistogramSample, Sample};
pub use registry::{Registry, ScopeId, Shard, ShardIndex};
pub use response_flags::{ResponseFlag, ResponseFlags};
pub use scope::{GaugeGuard, Scope};
pub use stat::{Kind, Stat, StatSpec, Unit, placed};
