//! `typed_extension_protocol_options` of a cluster.

use std::time::Duration;

use prost::Message as _;

use super::Lower;
use crate::document::clipped;
use crate::model;
use crate::typed::envoy::config::cluster::v3 as cluster;
use crate::typed::envoy::extensions::upstreams::http::v3 as http;
use crate::typed::envoy::extensions::upstreams::tcp::v3 as tcp;

/// The key of HTTP's options, which is also the name of their message.
pub(super) const HTTP: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// The same of TCP's.
const TCP: &str = "envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions";

/// Envoy's default of `TcpProtocolOptions.idle_timeout`.
const TCP_IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// What a cluster's options say, by protocol.
#[derive(Debug, Default)]
pub(super) struct ProtocolOptions {
    pub(super) http: model::UpstreamHttp,
    pub(super) tcp: model::UpstreamTcp,
}

impl Lower<'_> {
    /// The options of the cluster at `path`.
    pub(super) fn protocol_options(
        &mut self,
        message: &cluster::Cluster,
        path: &str,
    ) -> ProtocolOptions {
        let path = format!("{path}.typed_extension_protocol_options");
        let idle_timeout = Some(TCP_IDLE_TIMEOUT);
        let mut options =
            ProtocolOptions { tcp: model::UpstreamTcp { idle_timeout }, ..Default::default() };
        for (key, any) in &message.typed_extension_protocol_options {
            let path = format!("{path}[\"{key}\"]");
            if key != HTTP && key != TCP {
                // Envoy knows more keys, of filters that are not supported; what such a filter's
                // options are was reported before.
                let text = format!(
                    "Didn't find a registered network or http filter or protocol options \
                     implementation for name: '{}'",
                    clipped(key)
                );
                self.invalid(&path, text, Some(&format!("write {HTTP} or {TCP}")));
                continue;
            }
            if any.type_url.rsplit_once('/').is_none_or(|(_, name)| name != key) {
                let text = format!("Unable to unpack as {key}: {}", clipped(&any.type_url));
                self.invalid(&path, text, None);
                continue;
            }
            // Both are messages of our own making, so that decoding cannot fail.
            if key == HTTP {
                if let Ok(message) = http::HttpProtocolOptions::decode(any.value.as_slice()) {
                    options.http = self.upstream_http(&message, &path);
                }
            } else if let Ok(message) = tcp::TcpProtocolOptions::decode(any.value.as_slice())
                && let Some(timeout) = &message.idle_timeout
            {
                let timeout = self.milliseconds(timeout, &format!("{path}.idle_timeout"));
                options.tcp.idle_timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
            }
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::lower_yaml;

    fn options(key: &str, message: &str, fields: &str) -> (model::Bootstrap, String) {
        let (bootstrap, report) = lower_yaml(&format!(
            "static_resources: {{clusters: [{{name: c, typed_extension_protocol_options: \
             {{{key}: {{'@type': x/{message}, {fields}}}}}}}]}}"
        ));
        (bootstrap, report.to_string())
    }

    #[test]
    fn options_stand_under_the_name_of_their_message() {
        let fields = "common_http_protocol_options: {max_requests_per_connection: 3}, \
                      explicit_http_config: {http_protocol_options: {enable_trailers: true}}";
        let (bootstrap, report) = options(HTTP, HTTP, fields);
        assert!(report.is_empty(), "{report}");
        let http = &bootstrap.clusters[0].http;
        assert_eq!(http.common.max_requests_per_connection, Some(3));
        assert!(http.http1.enable_trailers);
        let (_, report) = options("other", HTTP, fields);
        assert!(report.contains("Didn't find a registered network or http filter"), "{report}");
        let (_, report) = options(TCP, HTTP, fields);
        assert!(report.contains("Unable to unpack as envoy.extensions.upstreams.tcp"), "{report}");
    }

    #[test]
    fn an_unused_tcp_connection_is_kept_for_ten_minutes_or_as_the_file_says() {
        let timeout = |fields: &str| {
            let (bootstrap, report) = options(TCP, TCP, fields);
            assert!(report.is_empty(), "{report}");
            bootstrap.clusters[0].tcp.idle_timeout
        };
        assert_eq!(timeout(""), Some(Duration::from_secs(600)));
        assert_eq!(timeout("idle_timeout: 3s"), Some(Duration::from_secs(3)));
        assert_eq!(timeout("idle_timeout: 0s"), None);
    }
}
