//! Whether a `referer` may be passed on: RFC 9110 section 10.1.3 forbids fragment and userinfo.
//!
//! What is neither an absolute URL with a host nor a relative reference is left out as well, as in
//! Envoy; so is `about:blank`.

/// Whether `value` is a referer.
pub(super) fn is_valid(value: &[u8]) -> bool {
    match absolute(value) {
        Some(rest) => is_host_and_path(rest),
        None => is_relative(value),
    }
}

/// What stands behind `scheme://`.
fn absolute(value: &[u8]) -> Option<&[u8]> {
    let colon = value.iter().position(|byte| *byte == b':')?;
    let (scheme, rest) = value.split_at(colon);
    let is_scheme_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let is_scheme =
        scheme.first().is_some_and(u8::is_ascii_alphabetic) && scheme.iter().all(is_scheme_byte);
    rest.strip_prefix(b"://").filter(|_| is_scheme)
}

fn is_host_and_path(rest: &[u8]) -> bool {
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let (authority, path) = rest.split_at(end.unwrap_or(rest.len()));
    is_authority(authority) && path.iter().all(|byte| *byte > b' ' && !matches!(byte, b'#' | 0x7f))
}

/// A host, and a port if one is given; no userinfo.
fn is_authority(authority: &[u8]) -> bool {
    let is_ip_literal = authority.first() == Some(&b'[');
    let colon = if is_ip_literal {
        let Some(bracket) = authority.iter().position(|byte| *byte == b']') else { return false };
        (bracket + 1 < authority.len()).then_some(bracket + 1)
    } else {
        authority.iter().position(|byte| *byte == b':')
    };
    let (host, port) = authority.split_at(colon.unwrap_or(authority.len()));
    let is_host_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._[]:%".contains(byte);
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => {
            let digits = std::str::from_utf8(digits).unwrap_or_default();
            digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok()
        }
        _ => false,
    };
    !host.is_empty() && host.iter().all(is_host_byte) && is_port
}

/// The characters of a path and query; the first segment has no colon (RFC 3986 section 4.2).
fn is_relative(value: &[u8]) -> bool {
    let slash = value.iter().position(|byte| *byte == b'/').unwrap_or(value.len());
    let is_byte =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(byte);
    !value[..slash].contains(&b':') && value.iter().all(is_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_without_fragment_and_userinfo_are_valid_and_so_are_relative_references() {
        for valid in [
            "http://b.test:8080",
            "https://b.test?x",
            "HTTP://B.test/%20",
            "android-app://com.test/",
            "http://[::1]:80/",
            "/a:b",
            "a/b:c?d",
            "//b.test/x",
            "",
        ] {
            assert!(is_valid(valid.as_bytes()), "{valid}");
        }
        for invalid in [
            "https://b.test/x?y#z",
            "http://u:p@b.test/",
            "http://",
            "http://:80/",
            "http://b.test:99999/",
            "http://b.test:x/",
            "http://[::1/",
            "http://b c/",
            "http://b.test/ x",
            "about:blank",
            "a:b",
            "/x#y",
            "1http://b",
        ] {
            assert!(!is_valid(invalid.as_bytes()), "{invalid}");
        }
    }
}
