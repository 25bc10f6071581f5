//! Floor 1: Envoy v3 configuration in, checked model out.
#![forbid(unsafe_code)]

pub mod model;
