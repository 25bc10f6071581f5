//! The static table: RFC 7541 appendix A.

use crate::headers::KnownName;
use crate::http2::hpack::name::{NameKind, Pseudo};

/// One entry of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StaticEntry {
    pub(crate) name: &'static str,
    pub(crate) value: &'static str,
    pub(crate) kind: NameKind,
}

/// How many entries there are: the index of the last one.
pub(crate) const STATIC_LEN: usize = 61;

/// The entry of `index`, which counts from 1.
#[inline]
pub(crate) fn entry(index: usize) -> Option<&'static StaticEntry> {
    TABLE.get(index.checked_sub(1)?)
}

/// The first entry that has this name, or 0.
#[inline]
pub(crate) fn name_index(kind: NameKind, name: &[u8]) -> usize {
    match kind {
        NameKind::Known(known) => usize::from(INDEX_OF_KNOWN[known as usize]),
        NameKind::Pseudo(pseudo) => match pseudo {
            Pseudo::Authority => 1,
            Pseudo::Method => 2,
            Pseudo::Path => 4,
            Pseudo::Scheme => 6,
            Pseudo::Status => 8,
            Pseudo::Protocol => 0,
        },
        NameKind::Other => other_name_index(name),
    }
}

/// The entry that has this name and value, or 0.
#[inline]
pub(crate) fn full_index(kind: NameKind, value: &[u8]) -> usize {
    match kind {
        NameKind::Pseudo(pseudo) => full_pseudo_index(pseudo, value),
        NameKind::Known(KnownName::AcceptEncoding) if value == b"gzip, deflate" => 16,
        _ => 0,
    }
}

fn full_pseudo_index(pseudo: Pseudo, value: &[u8]) -> usize {
    match (pseudo, value) {
        (Pseudo::Method, b"GET") => 2,
        (Pseudo::Method, b"POST") => 3,
        (Pseudo::Path, b"/") => 4,
        (Pseudo::Path, b"/index.html") => 5,
        (Pseudo::Scheme, b"http") => 6,
        (Pseudo::Scheme, b"https") => 7,
        (Pseudo::Status, b"200") => 8,
        (Pseudo::Status, b"204") => 9,
        (Pseudo::Status, b"206") => 10,
        (Pseudo::Status, b"304") => 11,
        (Pseudo::Status, b"400") => 12,
        (Pseudo::Status, b"404") => 13,
        (Pseudo::Status, b"500") => 14,
        _ => 0,
    }
}

/// A name of the table that has no number of ours.
fn other_name_index(name: &[u8]) -> usize {
    match name {
        b"accept-charset" => 15,
        b"accept-ranges" => 18,
        b"allow" => 22,
        b"content-disposition" => 25,
        b"content-language" => 27,
        b"content-location" => 29,
        b"from" => 37,
        b"link" => 45,
        b"max-forwards" => 47,
        b"proxy-authenticate" => 48,
        b"proxy-authorization" => 49,
        b"refresh" => 52,
        b"retry-after" => 53,
        b"strict-transport-security" => 56,
        b"www-authenticate" => 61,
        _ => 0,
    }
}

macro_rules! table {
    ($($name:literal = $value:literal, $kind:ident $(($which:ident))?;)*) => {
        static TABLE: [StaticEntry; STATIC_LEN] = [$(StaticEntry {
            name: $name,
            value: $value,
            kind: table!(@kind $kind $($which)?),
        },)*];
    };
    (@kind Pseudo $which:ident) => { NameKind::Pseudo(Pseudo::$which) };
    (@kind Known $which:ident) => { NameKind::Known(KnownName::$which) };
    (@kind Other) => { NameKind::Other };
}

table! {
    ":authority" = "", Pseudo(Authority);
    ":method" = "GET", Pseudo(Method);
    ":method" = "POST", Pseudo(Method);
    ":path" = "/", Pseudo(Path);
    ":path" = "/index.html", Pseudo(Path);
    ":scheme" = "http", Pseudo(Scheme);
    ":scheme" = "https", Pseudo(Scheme);
    ":status" = "200", Pseudo(Status);
    ":status" = "204", Pseudo(Status);
    ":status" = "206", Pseudo(Status);
    ":status" = "304", Pseudo(Status);
    ":status" = "400", Pseudo(Status);
    ":status" = "404", Pseudo(Status);
    ":status" = "500", Pseudo(Status);
    "accept-charset" = "", Other;
    "accept-encoding" = "gzip, deflate", Known(AcceptEncoding);
    "accept-language" = "", Known(AcceptLanguage);
    "accept-ranges" = "", Other;
    "accept" = "", Known(Accept);
    "access-control-allow-origin" = "", Known(AccessControlAllowOrigin);
    "age" = "", Known(Age);
    "allow" = "", Other;
    "authorization" = "", Known(Authorization);
    "cache-control" = "", Known(CacheControl);
    "content-disposition" = "", Other;
    "content-encoding" = "", Known(ContentEncoding);
    "content-language" = "", Other;
    "content-length" = "", Known(ContentLength);
    "content-location" = "", Other;
    "content-range" = "", Known(ContentRange);
    "content-type" = "", Known(ContentType);
    "cookie" = "", Known(Cookie);
    "date" = "", Known(Date);
    "etag" = "", Known(Etag);
    "expect" = "", Known(Expect);
    "expires" = "", Known(Expires);
    "from" = "", Other;
    "host" = "", Known(Host);
    "if-match" = "", Known(IfMatch);
    "if-modified-since" = "", Known(IfModifiedSince);
    "if-none-match" = "", Known(IfNoneMatch);
    "if-range" = "", Known(IfRange);
    "if-unmodified-since" = "", Known(IfUnmodifiedSince);
    "last-modified" = "", Known(LastModified);
    "link" = "", Other;
    "location" = "", Known(Location);
    "max-forwards" = "", Other;
    "proxy-authenticate" = "", Other;
    "proxy-authorization" = "", Other;
    "range" = "", Known(Range);
    "referer" = "", Known(Referer);
    "refresh" = "", Other;
    "retry-after" = "", Other;
    "server" = "", Known(Server);
    "set-cookie" = "", Known(SetCookie);
    "strict-transport-security" = "", Other;
    "transfer-encoding" = "", Known(TransferEncoding);
    "user-agent" = "", Known(UserAgent);
    "vary" = "", Known(Vary);
    "via" = "", Known(Via);
    "www-authenticate" = "", Other;
}

/// From the number of a known name to its first entry, or 0.
#[expect(clippy::cast_possible_truncation, reason = "indices are at most 61")]
static INDEX_OF_KNOWN: [u8; KnownName::COUNT] = {
    let mut indices = [0; KnownName::COUNT];
    let mut index = STATIC_LEN;
    while index > 0 {
        if let NameKind::Known(known) = TABLE[index - 1].kind {
            indices[known as usize] = index as u8;
        }
        index -= 1;
    }
    indices
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_what_its_name_is_and_is_found_again() {
        for index in 1..=STATIC_LEN {
            let entry = entry(index).expect("it is within the table");
            assert_eq!(entry.kind, NameKind::of(entry.name.as_bytes()), "{}", entry.name);
            let first = name_index(entry.kind, entry.name.as_bytes());
            assert_eq!(super::entry(first).map(|it| it.name), Some(entry.name));
            assert!(first <= index);
            let full = full_index(entry.kind, entry.value.as_bytes());
            assert_eq!(full, if entry.value.is_empty() { 0 } else { index }, "{}", entry.name);
        }
        assert!(entry(0).is_none() && entry(STATIC_LEN + 1).is_none());
        assert_eq!(name_index(NameKind::Other, b"x-none"), 0);
    }
}
