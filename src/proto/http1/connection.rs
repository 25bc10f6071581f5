//! The `connection` field: who closes, who upgrades, and which fields end here (RFC 9110 section
//! 7.6.1). The limits are those of Envoy 1.40.

use crate::head::Version;
use crate::headers::{HeaderList, KnownName, Name};
use crate::http1::error::{Error, ErrorKind};

/// Whether the head lets the connection live on after this message: RFC 9112 section 9.3, and for
/// HTTP/1.1 `proxy-connection: close`, which old clients send and Envoy honours.
pub(crate) fn keeps_alive(version: Version, headers: &HeaderList) -> bool {
    let says = |name, word: &[u8]| {
        headers.get(name).is_some_and(|value| tokens(value).any(|it| it.eq_ignore_ascii_case(word)))
    };
    match version {
        Version::Http11 | Version::Http2 => {
            !says(KnownName::Connection, b"close") && !says(KnownName::ProxyConnection, b"close")
        }
        Version::Http10 => {
            says(KnownName::Connection, b"keep-alive") && !says(KnownName::Connection, b"close")
        }
    }
}

/// Whether `connection` says `upgrade` and there is an `upgrade` field.
pub(crate) fn asks_for_upgrade(headers: &HeaderList) -> bool {
    headers.contains(KnownName::Upgrade)
        && headers
            .get(KnownName::Connection)
            .is_some_and(|value| tokens(value).any(|it| it.eq_ignore_ascii_case(b"upgrade")))
}

/// Removes the fields that `connection` names from a request, and reduces `te` to `trailers`.
///
/// # Errors
///
/// A name that must not be removed, or too many names.
#[inline]
pub(crate) fn remove_nominated(
    headers: &mut HeaderList,
    scratch: &mut Vec<u8>,
) -> Result<(), Error> {
    let te_bytes = reduce_te(headers);
    match headers.get(KnownName::Connection) {
        None | Some(b"close" | b"keep-alive" | b"Keep-Alive") => Ok(()),
        Some(value) => {
            scratch.clear();
            scratch.extend_from_slice(value);
            scratch.make_ascii_lowercase();
            remove_names(headers, scratch, te_bytes)
        }
    }
}

/// Removes the fields of a list of names in lower case.
fn remove_names(headers: &mut HeaderList, names: &[u8], te_bytes: usize) -> Result<(), Error> {
    if names.split(|&byte| byte == b',').count() >= NOMINATED_MAX {
        return Err(ErrorKind::ConnectionHeaderRejected.into());
    }
    for token in tokens(names) {
        let name = Name::from(token);
        match name {
            Name::Known(
                KnownName::Host
                | KnownName::XForwardedFor
                | KnownName::XForwardedHost
                | KnownName::XForwardedProto,
            ) => return Err(ErrorKind::ConnectionHeaderRejected.into()),
            Name::Known(KnownName::Te) if te_bytes <= TE_BYTES_MAX => {}
            Name::Known(KnownName::Te) => return Err(ErrorKind::ConnectionHeaderRejected.into()),
            _ if token.starts_with(b":") => {
                return Err(ErrorKind::ConnectionHeaderRejected.into());
            }
            _ => {
                headers.remove(name);
            }
        }
    }
    Ok(())
}

/// Leaves `te: trailers` where the client said so among others, and no other `te`: this proxy
/// decodes codings itself. Returns how long the value was.
fn reduce_te(headers: &mut HeaderList) -> usize {
    let Some(value) = headers.get(KnownName::Te) else {
        return 0;
    };
    let bytes = value.len();
    if tokens(value).any(|it| it.eq_ignore_ascii_case(b"trailers")) {
        headers.set(KnownName::Te, b"trailers");
    } else {
        headers.remove(KnownName::Te);
    }
    bytes
}

/// Removes the fields that are about this connection alone. An upgrade keeps the two that ask for
/// it.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderList, is_upgrade: bool) {
    if !is_upgrade {
        headers.remove(KnownName::Connection);
        headers.remove(KnownName::Upgrade);
    }
    headers.remove(KnownName::KeepAlive);
    headers.remove(KnownName::ProxyConnection);
    headers.remove(KnownName::TransferEncoding);
}

/// The elements of a comma-separated list, without white space; empty ones are left out.
pub(crate) fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// Names in `connection` from which on a request is refused. Envoy: ten.
const NOMINATED_MAX: usize = 10;

/// Bytes of `te` above which a request that nominates it is refused. Envoy: 256.
const TE_BYTES_MAX: usize = 256;
