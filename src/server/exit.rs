//! The exit codes of the process.

/// It ended as it was asked to, or the configuration is valid.
pub(crate) const OK: u8 = 0;

/// It did not start, or could not go on: the configuration, an address in use, the kernel. Lines
/// on standard error say which, where, and what to do. Envoy's code for the same.
pub(crate) const FAILED: u8 = 1;

/// The command line was not understood.
pub(crate) const USAGE: u8 = 2;
