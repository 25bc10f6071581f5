//! `tunneling_config` of `tcp_proxy`, and headers that are added.

use super::Lower;
use crate::model::{HeaderAppendAction, HeaderToAdd, TunnelMethod, Tunneling};
use crate::typed::envoy::config::core::v3 as core;
use crate::typed::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy as pb;
use core::header_value_option::HeaderAppendAction as PbAction;

impl Lower<'_> {
    pub(super) fn tunneling(&mut self, message: &pb::TunnelingConfig, path: &str) -> Tunneling {
        let field = format!("{path}.hostname");
        self.single_line(&message.hostname, &field);
        let field = format!("{path}.post_path");
        if !message.use_post && !message.post_path.is_empty() {
            self.invalid(&field, "Can't set a post path when POST method isn't used", None);
        }
        if message.post_path.contains(' ') {
            let hint = "Envoy writes it as it is";
            self.invalid(&field, "a path of a request cannot have a blank", Some(hint));
        }
        self.single_line(&message.post_path, &field);
        let method = match (message.use_post, message.post_path.as_str()) {
            (false, _) => TunnelMethod::Connect,
            (true, "") => TunnelMethod::Post("/".to_owned()),
            (true, path) => TunnelMethod::Post(path.to_owned()),
        };
        let field = format!("{path}.headers_to_add");
        Tunneling {
            hostname: message.hostname.clone(),
            method,
            headers: self.headers_to_add(&message.headers_to_add, &field),
            propagate_response_headers: message.propagate_response_headers,
            propagate_response_trailers: message.propagate_response_trailers,
            field_path: path.to_owned(),
        }
    }

    /// What would end a request's first line early.
    fn single_line(&mut self, text: &str, path: &str) {
        if text.bytes().any(|byte| byte < b' ' || byte == 0x7F) {
            let text = "control characters cannot be part of a request line";
            self.invalid(path, text, Some("Envoy writes them as they are"));
        }
    }

    fn headers_to_add(
        &mut self,
        messages: &[core::HeaderValueOption],
        path: &str,
    ) -> Vec<HeaderToAdd> {
        let mut headers = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            headers.extend(self.header_to_add(message, &format!("{path}[{index}]")));
        }
        headers
    }

    fn header_to_add(
        &mut self,
        message: &core::HeaderValueOption,
        path: &str,
    ) -> Option<HeaderToAdd> {
        // Without one the rules have reported it.
        let header = message.header.as_ref()?;
        let key = format!("{path}.header.key");
        if header.key.starts_with(':') || header.key.eq_ignore_ascii_case("host") {
            self.invalid(&key, ":-prefixed or host headers may not be modified", None);
        }
        if !header.key.bytes().all(is_token_byte) {
            let text = format!("'{}' cannot be the name of a header", header.key);
            self.invalid(&key, text, Some("Envoy writes it as it is"));
        }
        let action = message.append_action();
        let action = match message.append {
            Some(_) if action != PbAction::AppendIfExistsOrAdd => {
                let text = "Both append and append_action are set and it's not allowed";
                self.invalid(&format!("{path}.append"), text, None);
                HeaderAppendAction::AppendIfExistsOrAdd
            }
            Some(false) => HeaderAppendAction::OverwriteIfExistsOrAdd,
            Some(true) | None => match action {
                PbAction::AppendIfExistsOrAdd => HeaderAppendAction::AppendIfExistsOrAdd,
                PbAction::AddIfAbsent => HeaderAppendAction::AddIfAbsent,
                PbAction::OverwriteIfExistsOrAdd => HeaderAppendAction::OverwriteIfExistsOrAdd,
                PbAction::OverwriteIfExists => HeaderAppendAction::OverwriteIfExists,
            },
        };
        Some(HeaderToAdd {
            name: header.key.clone(),
            value: header.value.clone(),
            action,
            keep_empty_value: message.keep_empty_value,
        })
    }
}

/// RFC 9110 section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use crate::lower::lower_yaml;
    use crate::model::{HeaderAppendAction, TerminalFilter, TunnelMethod, Tunneling};

    fn lowered(tunneling: &str) -> (Option<Tunneling>, String) {
        let (bootstrap, report) = lower_yaml(&format!(
            "static_resources:\n  listeners:\n  - address: {{socket_address: {{address: 127.0.0.1, \
             port_value: 0}}}}\n    filter_chains:\n    - filters:\n      - name: tcp\n        \
             typed_config: {{\"@type\": \
             type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, \
             stat_prefix: a, cluster: c, tunneling_config: {{{tunneling}}}}}\n"
        ));
        let listener = bootstrap.listeners.first();
        let tunneling = listener.and_then(|listener| match &listener.filter_chains[0].terminal {
            TerminalFilter::TcpProxy(tcp_proxy) => tcp_proxy.tunneling.as_deref().cloned(),
            _ => None,
        });
        (tunneling, report.to_string())
    }

    #[test]
    fn tunnels_are_asked_for_as_the_file_says() {
        let (tunneling, report) = lowered(
            "hostname: 'a:1', propagate_response_trailers: true, headers_to_add: [\
             {header: {key: X-A, value: '1'}}, {header: {key: b}, append: false}, \
             {header: {key: c}, append_action: ADD_IF_ABSENT, keep_empty_value: true}]",
        );
        assert_eq!(report, "");
        let tunneling = tunneling.unwrap();
        assert_eq!((tunneling.hostname.as_str(), tunneling.method), ("a:1", TunnelMethod::Connect));
        assert!(tunneling.propagate_response_trailers && !tunneling.propagate_response_headers);
        let headers: Vec<_> = tunneling
            .headers
            .iter()
            .map(|header| (header.name.as_str(), header.action, header.keep_empty_value))
            .collect();
        assert_eq!(
            headers,
            [
                ("X-A", HeaderAppendAction::AppendIfExistsOrAdd, false),
                ("b", HeaderAppendAction::OverwriteIfExistsOrAdd, false),
                ("c", HeaderAppendAction::AddIfAbsent, true),
            ]
        );
        let method = |more: &str| lowered(&format!("hostname: a, {more}")).0.unwrap().method;
        assert_eq!(method("use_post: true"), TunnelMethod::Post("/".to_owned()));
        assert_eq!(method("use_post: true, post_path: /a"), TunnelMethod::Post("/a".to_owned()));
    }

    #[test]
    fn what_no_request_can_say_is_refused() {
        let header = |header: &str| format!("hostname: a, headers_to_add: [{header}]");
        for (tunneling, expected) in [
            ("hostname: \"a\\r\\nb\"".to_owned(), "hostname: control characters"),
            (
                "hostname: a, post_path: /".to_owned(),
                "post_path: Can't set a post path when POST method isn't used",
            ),
            ("hostname: a, use_post: true, post_path: /a b".to_owned(), "post_path: a path of a"),
            (header("{header: {key: ':path'}}"), "key: :-prefixed or host headers may not"),
            (header("{header: {key: hOst}}"), "key: :-prefixed or host headers may not"),
            (header("{header: {key: a b}}"), "key: 'a b' cannot be the name of a header"),
            (
                header("{header: {key: a}, append: true, append_action: ADD_IF_ABSENT}"),
                "append: Both append and append_action are set and it's not allowed",
            ),
        ] {
            let (_, report) = lowered(&tunneling);
            assert!(report.contains(expected), "{tunneling}: {report}");
        }
    }
}
