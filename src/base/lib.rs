//! Floor 0: the words every floor shares.
#![forbid(unsafe_code)]
