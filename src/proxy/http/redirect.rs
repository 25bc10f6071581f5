//! The location of a redirect, made of the request and of what the route replaces in it.

use config::model::{RedirectAction, RedirectPath, RedirectScheme};

/// The location of the request itself.
pub(crate) const UNCHANGED: RedirectAction = RedirectAction {
    scheme: RedirectScheme::Keep,
    host: None,
    port: None,
    path: RedirectPath::Keep,
    status: 301,
    strip_query: false,
};

/// What of a request goes into a location.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Original<'a> {
    /// `http` or `https`.
    pub(crate) scheme: &'a str,
    /// `x-forwarded-proto`.
    pub(crate) forwarded_proto: &'a [u8],
    pub(crate) authority: &'a [u8],
    /// With its query.
    pub(crate) path: &'a [u8],
    /// How much of the path the route's match asked for.
    pub(crate) matched: usize,
}

/// Writes the location of a redirect to the end of `location`.
pub(crate) fn write_location(
    action: &RedirectAction,
    original: Original<'_>,
    location: &mut Vec<u8>,
) {
    let scheme = match &action.scheme {
        RedirectScheme::Keep => original.scheme,
        RedirectScheme::Https => "https",
        RedirectScheme::Set(scheme) => scheme,
    };
    location.extend_from_slice(scheme.as_bytes());
    location.extend_from_slice(b"://");
    match &action.host {
        Some(host) => location.extend_from_slice(host.as_bytes()),
        None => location.extend_from_slice(host_of(action, original, scheme)),
    }
    if let Some(port) = action.port {
        location.extend_from_slice(format!(":{port}").as_bytes());
    }
    write_path(action, original, location);
}

/// The request's authority, without a port that is replaced or that was the old scheme's default.
fn host_of<'a>(action: &RedirectAction, original: Original<'a>, scheme: &str) -> &'a [u8] {
    let authority = original.authority;
    let colon = if authority.first() == Some(&b'[') {
        authority.windows(2).rposition(|pair| pair == b"]:").map(|bracket| bracket + 1)
    } else {
        authority.iter().rposition(|byte| *byte == b':')
    };
    let Some(colon) = colon else { return authority };
    let old = original.forwarded_proto;
    let default_port: &[u8] = match old {
        b"https" => b":443",
        b"http" => b":80",
        _ => b"",
    };
    let was_default = scheme.as_bytes() != old && authority[colon..] == *default_port;
    if action.port.is_some() || was_default { &authority[..colon] } else { authority }
}

fn write_path(action: &RedirectAction, original: Original<'_>, location: &mut Vec<u8>) {
    let query_start = original.path.iter().position(|byte| *byte == b'?');
    let (path, query) = original.path.split_at(query_start.unwrap_or(original.path.len()));
    match &action.path {
        RedirectPath::Keep => location.extend_from_slice(path),
        RedirectPath::Set(new) => {
            location.extend_from_slice(new.as_bytes());
            // A query of its own goes before the request's, and stays.
            if new.contains('?') {
                return;
            }
        }
        RedirectPath::Prefix(new) => {
            location.extend_from_slice(new.as_bytes());
            location.extend_from_slice(path.get(original.matched..).unwrap_or_default());
        }
    }
    if !action.strip_query {
        location.extend_from_slice(query);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(action: &RedirectAction, authority: &str, path: &str) -> String {
        let original = Original {
            scheme: "http",
            forwarded_proto: b"http",
            authority: authority.as_bytes(),
            path: path.as_bytes(),
            matched: 2,
        };
        let mut written = Vec::new();
        write_location(action, original, &mut written);
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn what_is_not_replaced_stays() {
        assert_eq!(location(&UNCHANGED, "a:81", "/x?y=1"), "http://a:81/x?y=1");
        let host = RedirectAction { host: Some("b".to_owned()), ..UNCHANGED };
        assert_eq!(location(&host, "a:81", "/x?y=1"), "http://b/x?y=1");
    }

    #[test]
    fn a_port_goes_if_it_is_replaced_or_was_the_default_of_the_scheme_that_goes() {
        let https = RedirectAction { scheme: RedirectScheme::Https, ..UNCHANGED };
        assert_eq!(location(&https, "a:80", "/"), "https://a/");
        assert_eq!(location(&https, "a:8080", "/"), "https://a:8080/");
        assert_eq!(location(&https, "[::1]:80", "/"), "https://[::1]/");
        assert_eq!(location(&https, "[::1]", "/"), "https://[::1]/");
        assert_eq!(location(&UNCHANGED, "a:80", "/"), "http://a:80/");
        let port = RedirectAction { port: Some(8443), ..https };
        assert_eq!(location(&port, "a:8080", "/"), "https://a:8443/");
    }

    #[test]
    fn a_new_path_takes_the_query_along_unless_it_has_its_own_or_it_is_stripped() {
        let set =
            |path: &str| RedirectAction { path: RedirectPath::Set(path.to_owned()), ..UNCHANGED };
        assert_eq!(location(&set("/n"), "a", "/x?y"), "http://a/n?y");
        assert_eq!(location(&set("/n?z"), "a", "/x?y"), "http://a/n?z");
        let stripped = RedirectAction { strip_query: true, ..set("/n") };
        assert_eq!(location(&stripped, "a", "/x?y"), "http://a/n");
        let own = RedirectAction { strip_query: true, ..set("/n?z") };
        assert_eq!(location(&own, "a", "/x?y"), "http://a/n?z");
    }

    #[test]
    fn a_prefix_is_replaced_where_the_match_ended() {
        let prefix = RedirectAction { path: RedirectPath::Prefix("/new".to_owned()), ..UNCHANGED };
        assert_eq!(location(&prefix, "a", "/xyz/1?q"), "http://a/newyz/1?q");
    }
}
