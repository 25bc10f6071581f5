//! Floor 6: admin and signals, outside the data path.
#![forbid(unsafe_code)]
