//! What the name of a field is, found once, when the name is read.

use crate::headers::KnownName;

/// What a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A pseudo-header field: RFC 9113 section 8.3.
    Pseudo(Pseudo),
    /// A name with a number.
    Known(KnownName),
    /// Any other, and what begins with a colon and has no meaning.
    Other,
}

/// The pseudo-header fields of RFC 9113 section 8.3 and RFC 8441 section 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Pseudo {
    /// `:authority`
    Authority,
    /// `:method`
    Method,
    /// `:path`
    Path,
    /// `:protocol`
    Protocol,
    /// `:scheme`
    Scheme,
    /// `:status`
    Status,
}

impl Pseudo {
    /// The name as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authority => ":authority",
            Self::Method => ":method",
            Self::Path => ":path",
            Self::Protocol => ":protocol",
            Self::Scheme => ":scheme",
            Self::Status => ":status",
        }
    }
}

impl NameKind {
    /// What `name` is.
    #[inline]
    pub fn of(name: &[u8]) -> Self {
        if name.first() == Some(&b':') {
            return Self::of_pseudo(name);
        }
        KnownName::find(name).map_or(Self::Other, Self::Known)
    }

    fn of_pseudo(name: &[u8]) -> Self {
        match name {
            b":authority" => Self::Pseudo(Pseudo::Authority),
            b":method" => Self::Pseudo(Pseudo::Method),
            b":path" => Self::Pseudo(Pseudo::Path),
            b":protocol" => Self::Pseudo(Pseudo::Protocol),
            b":scheme" => Self::Pseudo(Pseudo::Scheme),
            b":status" => Self::Pseudo(Pseudo::Status),
            _ => Self::Other,
        }
    }
}
