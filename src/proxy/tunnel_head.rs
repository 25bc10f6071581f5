//! The head of a request that asks for a tunnel: `tunneling_config` of `tcp_proxy`, compiled once
//! and filled in for each connection.
//!
//! **Invariant:** what is filled in never ends a line early: control characters are left out.

use config::model::{HeaderAppendAction, HeaderToAdd, TunnelMethod, Tunneling};
use observe::access_log::{Format, FormatError, Record, Surroundings};
use proto::{RequestHead, Scheme};

/// How to ask for a tunnel.
#[derive(Debug)]
pub(crate) struct TunnelHead {
    hostname: Format,
    method: TunnelMethod,
    headers: Vec<Header>,
}

#[derive(Debug)]
struct Header {
    name: Vec<u8>,
    value: Format,
    action: HeaderAppendAction,
    keep_empty_value: bool,
}

impl TunnelHead {
    /// Compiles the formats of `config`.
    ///
    /// # Errors
    /// The first one that is wrong, and the field of `config` it stands in.
    pub(crate) fn new(
        config: &Tunneling,
        surroundings: Surroundings<'_>,
    ) -> Result<Self, (String, FormatError)> {
        let hostname = Format::text(&config.hostname, false, surroundings);
        let hostname = hostname.map_err(|error| ("hostname".to_owned(), error))?;
        let header = |(index, header): (usize, &HeaderToAdd)| {
            // A value that is missing is empty here, not `-`.
            let value = Format::text(&header.value, true, surroundings)
                .map_err(|error| (format!("headers_to_add[{index}].header.value"), error))?;
            Ok(Header {
                name: header.name.to_ascii_lowercase().into_bytes(),
                value,
                action: header.action,
                keep_empty_value: header.keep_empty_value,
            })
        };
        let headers = config.headers.iter().enumerate().map(header).collect::<Result<_, _>>()?;
        Ok(Self { hostname, method: config.method.clone(), headers })
    }

    /// Writes the request for the connection that `record` tells of.
    pub(crate) fn fill(&self, record: &Record<'_>, head: &mut RequestHead) {
        head.clear();
        let mut text = Vec::new();
        self.hostname.write_line(record, &mut text);
        text.retain(|byte| *byte > b' ' && *byte != 0x7F);
        head.set_authority(&text);
        match &self.method {
            TunnelMethod::Connect => head.set_method(b"CONNECT"),
            TunnelMethod::Post(path) => {
                head.set_method(b"POST");
                head.set_path(path.as_bytes());
                head.scheme = Some(Scheme::Http);
            }
        }
        // As Envoy does it: first what replaces, then what is added.
        let mut added = Vec::new();
        for header in &self.headers {
            let mut value = Vec::new();
            header.value.write_line(record, &mut value);
            value.retain(|byte| !matches!(byte, b'\0' | b'\r' | b'\n'));
            if value.is_empty() && !header.keep_empty_value {
                continue;
            }
            match header.action {
                HeaderAppendAction::OverwriteIfExistsOrAdd => {
                    head.headers.set(&header.name[..], &value);
                }
                HeaderAppendAction::AppendIfExistsOrAdd | HeaderAppendAction::AddIfAbsent => {
                    added.push((&header.name, value));
                }
                // What counts is what was there before all of them: a tunnel's request has none.
                HeaderAppendAction::OverwriteIfExists => {}
            }
        }
        for (name, value) in added {
            head.headers.append(name, &value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tunneling(hostname: &str, headers: &[(&str, &str, HeaderAppendAction)]) -> Tunneling {
        let header = |(name, value, action): &(&str, &str, HeaderAppendAction)| HeaderToAdd {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            action: *action,
            keep_empty_value: false,
        };
        Tunneling {
            hostname: hostname.to_owned(),
            method: TunnelMethod::Connect,
            headers: headers.iter().map(header).collect(),
            propagate_response_headers: false,
            propagate_response_trailers: false,
            field_path: String::new(),
        }
    }

    const SURROUNDINGS: Surroundings<'static> =
        Surroundings { hostname: None, environment: &|_| Some("a\r\nb: c".to_owned()) };

    #[test]
    fn what_replaces_comes_first_and_what_is_missing_is_left_out() {
        use HeaderAppendAction::{
            AddIfAbsent, AppendIfExistsOrAdd, OverwriteIfExists, OverwriteIfExistsOrAdd,
        };
        let config = tunneling(
            "%REQUESTED_SERVER_NAME%:%CONNECTION_ID%",
            &[
                ("X-A", "1", AppendIfExistsOrAdd),
                ("x-a", "2", AppendIfExistsOrAdd),
                ("x-b", "3", AddIfAbsent),
                ("x-c", "4", OverwriteIfExists),
                ("x-d", "[%UPSTREAM_HOST%]", OverwriteIfExistsOrAdd),
                ("x-d", "5", OverwriteIfExists),
                ("x-e", "%UPSTREAM_HOST%", AppendIfExistsOrAdd),
            ],
        );
        let head = TunnelHead::new(&config, SURROUNDINGS).unwrap();
        let mut request = RequestHead::new();
        head.fill(&Record { connection_id: 7, ..Record::default() }, &mut request);
        assert_eq!(request.authority(), Some(&b"-:7"[..]));
        assert_eq!(request.method_text(), b"CONNECT");
        let fields: Vec<_> = request.headers.iter().collect();
        let expected: [(&[u8], &[u8]); 4] =
            [(b"x-d", b"[]"), (b"x-a", b"1"), (b"x-a", b"2"), (b"x-b", b"3")];
        assert_eq!(fields, expected);
    }

    #[test]
    fn no_value_ends_a_line() {
        let append = HeaderAppendAction::AppendIfExistsOrAdd;
        let config = tunneling("%ENVIRONMENT(X)%", &[("x", "%ENVIRONMENT(X)%", append)]);
        let head = TunnelHead::new(&config, SURROUNDINGS).unwrap();
        let mut request = RequestHead::new();
        head.fill(&Record::default(), &mut request);
        assert_eq!(request.authority(), Some(&b"ab:c"[..]));
        assert_eq!(request.headers.get(&b"x"[..]), Some(&b"ab: c"[..]));
    }

    #[test]
    fn the_place_of_a_wrong_format_is_told() {
        let append = HeaderAppendAction::AppendIfExistsOrAdd;
        let wrong = |config| TunnelHead::new(&config, SURROUNDINGS).unwrap_err().0;
        assert_eq!(wrong(tunneling("%NOPE%", &[])), "hostname");
        assert_eq!(
            wrong(tunneling("a", &[("x", "", append), ("x", "%NOPE%", append)])),
            "headers_to_add[1].header.value"
        );
    }
}
