//! Floor 1: counters and gauges, one shard per worker.
#![forbid(unsafe_code)]
