//! The exit codes of the process, Envoy's.

/// It ended as it was asked to, or the configuration is valid.
pub(crate) const OK: u8 = 0;

/// Anything else: the command line was not understood, the configuration cannot run, an address or
/// the base id is in use, the kernel lacks something, a worker failed. Lines on standard error say
/// which, where, and what to do.
pub(crate) const FAILED: u8 = 1;
