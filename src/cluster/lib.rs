//! Floor 3: hosts, balancing, breakers and connecting.
#![forbid(unsafe_code)]
