//! What is wrong with a format string.

use std::fmt;

/// Whether Envoy refuses the format string too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatErrorKind {
    /// Envoy refuses it.
    Invalid,
    /// Envoy takes it; Nuncio cannot do it yet.
    NotSupportedYet,
}

/// Why a format string cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatError {
    /// Whether Envoy refuses it too.
    pub kind: FormatErrorKind,
    /// Where in the format string, in bytes from 0: at the `%` of the command.
    pub position: usize,
    /// What is wrong, in Envoy's words where it has some.
    pub message: String,
}

impl FormatError {
    pub(super) fn invalid(position: usize, message: impl Into<String>) -> Self {
        Self { kind: FormatErrorKind::Invalid, position, message: message.into() }
    }

    pub(super) fn not_yet(position: usize, message: impl Into<String>) -> Self {
        Self { kind: FormatErrorKind::NotSupportedYet, position, message: message.into() }
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at position {})", self.message, self.position)
    }
}

impl std::error::Error for FormatError {}
