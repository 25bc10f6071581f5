//! Floor 7: the process.
#![forbid(unsafe_code)]
