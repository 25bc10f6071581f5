//! Floor 2: listeners, streams and the pump between them.
#![forbid(unsafe_code)]
