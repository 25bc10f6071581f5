//! `typed_extension_protocol_options` of a cluster, and the older fields that say the same of HTTP.

use std::time::Duration;

use prost::Message as _;

use super::Lower;
use super::http::http1_options;
use crate::document::clipped;
use crate::model;
use crate::problem::ProblemKind;
use crate::typed::envoy::config::cluster::v3 as cluster;
use crate::typed::envoy::extensions::upstreams::http::v3 as http;
use crate::typed::envoy::extensions::upstreams::tcp::v3 as tcp;
use cluster::cluster::ClusterProtocolSelection;
use http::http_protocol_options::UpstreamProtocolOptions;
use http::http_protocol_options::explicit_http_config::ProtocolConfig;

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
        let mut options = ProtocolOptions::default();
        options.tcp.idle_timeout = Some(TCP_IDLE_TIMEOUT);
        if message.typed_extension_protocol_options.contains_key(HTTP) {
            self.report_older_http(message, path);
        } else {
            options.http = self.older_upstream_http(message, path);
        }
        let path = format!("{path}.typed_extension_protocol_options");
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
        // Envoy deprecates the cluster's own field, but reads it where the newer one is absent.
        let requests_max = &mut options.http.common.max_requests_per_connection;
        let older = message.max_requests_per_connection.filter(|count| *count != 0);
        *requests_max = requests_max.or(older);
        options
    }

    fn upstream_http(
        &mut self,
        options: &http::HttpProtocolOptions,
        path: &str,
    ) -> model::UpstreamHttp {
        let common = options.common_http_protocol_options.as_ref();
        let common = self.http_options(common, &format!("{path}.common_http_protocol_options"));
        let (protocol, http1, http2, path) = match &options.upstream_protocol_options {
            // Absence was reported before, by the rules.
            None => return model::UpstreamHttp::default(),
            Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)) => {
                let path = format!("{path}.explicit_http_config");
                match &explicit.protocol_config {
                    None => return model::UpstreamHttp::default(),
                    Some(ProtocolConfig::HttpProtocolOptions(http1)) => {
                        (model::UpstreamProtocol::Http1, Some(http1), None, path)
                    }
                    Some(ProtocolConfig::Http2ProtocolOptions(http2)) => {
                        (model::UpstreamProtocol::Http2, None, Some(http2), path)
                    }
                }
            }
            Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(both)) => {
                let (http1, http2) = (&both.http_protocol_options, &both.http2_protocol_options);
                let names_http2 = http2.is_some();
                let path = format!("{path}.use_downstream_protocol_config");
                let protocol = model::UpstreamProtocol::Downstream { names_http2 };
                (protocol, http1.as_ref(), http2.as_ref(), path)
            }
        };
        let path = format!("{path}.http2_protocol_options");
        let http2 = self.http2_options(http2, None, &path);
        model::UpstreamHttp { protocol, http1: http1_options(http1), http2, common }
    }

    /// The fields of the cluster itself that say what `HttpProtocolOptions` does.
    fn older_upstream_http(
        &mut self,
        message: &cluster::Cluster,
        path: &str,
    ) -> model::UpstreamHttp {
        let common = message.common_http_protocol_options.as_ref();
        let common = self.http_options(common, &format!("{path}.common_http_protocol_options"));
        let (http1, http2) = (&message.http_protocol_options, &message.http2_protocol_options);
        let names_http2 = http2.is_some();
        let protocol = match message.protocol_selection() {
            ClusterProtocolSelection::UseDownstreamProtocol => {
                model::UpstreamProtocol::Downstream { names_http2 }
            }
            ClusterProtocolSelection::UseConfiguredProtocol if names_http2 => {
                if http1.is_some() {
                    let text = "cluster: Both HTTP1 and HTTP2 options may only be configured with \
                                non-default 'protocol_selection' values";
                    self.invalid(&format!("{path}.http_protocol_options"), text, None);
                }
                model::UpstreamProtocol::Http2
            }
            ClusterProtocolSelection::UseConfiguredProtocol => model::UpstreamProtocol::Http1,
        };
        let options_path = format!("{path}.http2_protocol_options");
        let http2 = self.http2_options(http2.as_ref(), None, &options_path);
        model::UpstreamHttp { protocol, http1: http1_options(http1.as_ref()), http2, common }
    }

    /// Envoy leaves the older fields out, without a word, where there are newer ones.
    fn report_older_http(&mut self, message: &cluster::Cluster, path: &str) {
        let selects = message.protocol_selection != 0;
        for (field, is_set) in [
            ("common_http_protocol_options", message.common_http_protocol_options.is_some()),
            ("http_protocol_options", message.http_protocol_options.is_some()),
            ("http2_protocol_options", message.http2_protocol_options.is_some()),
            ("protocol_selection", selects),
        ] {
            if is_set {
                let text = format!("typed_extension_protocol_options has {HTTP}, as in Envoy");
                self.report(ProblemKind::Ignored, &format!("{path}.{field}"), text, None);
            }
        }
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
    fn a_cluster_says_which_version_its_hosts_are_spoken_to_in() {
        use model::UpstreamProtocol::{Downstream, Http1, Http2};

        let http = |fields: &str| {
            let (bootstrap, report) = options(HTTP, HTTP, fields);
            assert!(report.is_empty(), "{report}");
            bootstrap.clusters[0].http.clone()
        };
        let of = |fields: &str| http(fields).protocol;
        assert_eq!(of("explicit_http_config: {http_protocol_options: {}}"), Http1);
        assert_eq!(of("explicit_http_config: {http2_protocol_options: {}}"), Http2);
        let downstream = Downstream { names_http2: false };
        assert_eq!(of("use_downstream_protocol_config: {}"), downstream);
        let both = http(
            "use_downstream_protocol_config: {http_protocol_options: {enable_trailers: true}, \
             http2_protocol_options: {max_concurrent_streams: 3}}",
        );
        assert_eq!(both.protocol, Downstream { names_http2: true });
        assert_eq!((both.http1.enable_trailers, both.http2.max_concurrent_streams), (true, 3));
    }

    #[test]
    fn the_older_fields_count_where_the_newer_ones_are_absent() {
        use model::UpstreamProtocol::{Downstream, Http1, Http2};

        let of = |fields: &str| {
            let yaml = format!("static_resources: {{clusters: [{{name: c, {fields}}}]}}");
            let (bootstrap, report) = lower_yaml(&yaml);
            (bootstrap.clusters[0].http.clone(), report.to_string())
        };
        let protocol = |fields: &str| {
            let (http, report) = of(fields);
            assert_eq!(report, "");
            http.protocol
        };
        assert_eq!(protocol("alt_stat_name: d"), Http1);
        assert_eq!(protocol("http_protocol_options: {}"), Http1);
        assert_eq!(protocol("http2_protocol_options: {}"), Http2);
        let downstream = "protocol_selection: USE_DOWNSTREAM_PROTOCOL";
        assert_eq!(protocol(downstream), Downstream { names_http2: false });
        let both = "http_protocol_options: {}, http2_protocol_options: {}";
        assert_eq!(protocol(&format!("{both}, {downstream}")), Downstream { names_http2: true });
        let report = of(both).1;
        assert!(report.contains("cluster: Both HTTP1 and HTTP2 options may only"), "{report}");

        let requests = |fields: &str| of(fields).0.common.max_requests_per_connection;
        assert_eq!(requests("max_requests_per_connection: 3"), Some(3));
        let common = "common_http_protocol_options: {max_requests_per_connection: 4}";
        assert_eq!(requests(&format!("max_requests_per_connection: 3, {common}")), Some(4));

        let newer = format!(
            "typed_extension_protocol_options: {{{HTTP}: {{'@type': x/{HTTP}, \
             explicit_http_config: {{http_protocol_options: {{}}}}}}}}"
        );
        let (http, report) = of(&format!("http2_protocol_options: {{}}, {newer}"));
        assert_eq!(http.protocol, Http1);
        assert!(report.contains("http2_protocol_options: ignored"), "{report}");
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
