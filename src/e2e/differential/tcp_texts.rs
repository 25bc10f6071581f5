//! Configurations of a logged `tcp_proxy`, put together from the fields that a scenario is about.

use std::fmt::Write as _;

use super::plan::Texts;
use crate::configuration::indented;

/// Everything about a connection that does not depend on how fast the machine is.
pub(super) const LINE: &str = "%ACCESS_LOG_TYPE% flags %RESPONSE_FLAGS% bytes %BYTES_RECEIVED% \
     %BYTES_SENT% wire %DOWNSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_WIRE_BYTES_SENT% \
     %UPSTREAM_WIRE_BYTES_RECEIVED% %UPSTREAM_WIRE_BYTES_SENT% \
     details %CONNECTION_TERMINATION_DETAILS% failure %UPSTREAM_TRANSPORT_FAILURE_REASON% \
     host %UPSTREAM_HOST% of %UPSTREAM_HOSTS_ATTEMPTED% cluster %UPSTREAM_CLUSTER% \
     attempts %UPSTREAM_REQUEST_ATTEMPT_COUNT% \
     close %DOWNSTREAM_DETECTED_CLOSE_TYPE% %UPSTREAM_DETECTED_CLOSE_TYPE% \
     because %DOWNSTREAM_LOCAL_CLOSE_REASON% %UPSTREAM_LOCAL_CLOSE_REASON%";

/// The same without counts of bytes: for scenarios in which the kernel decides about them.
pub(super) const LINE_WITHOUT_BYTES: &str = "%ACCESS_LOG_TYPE% flags %RESPONSE_FLAGS% \
     details %CONNECTION_TERMINATION_DETAILS% failure %UPSTREAM_TRANSPORT_FAILURE_REASON% \
     host %UPSTREAM_HOST% attempts %UPSTREAM_REQUEST_ATTEMPT_COUNT% \
     close %DOWNSTREAM_DETECTED_CLOSE_TYPE% %UPSTREAM_DETECTED_CLOSE_TYPE% \
     because %DOWNSTREAM_LOCAL_CLOSE_REASON% %UPSTREAM_LOCAL_CLOSE_REASON%";

/// One listener with a `tcp_proxy` that logs.
#[derive(Debug, Clone, Copy)]
pub(super) struct TcpProxy {
    /// Further fields of the listener.
    pub(super) listener: &'static str,
    /// Fields of the filter, at least where it sends connections.
    pub(super) filter: &'static str,
    /// What it logs of each connection.
    pub(super) line: &'static str,
}

impl TcpProxy {
    /// To the cluster `$NAME`, with further fields.
    pub(super) const PLAIN: Self = Self { listener: "", filter: "cluster: $NAME", line: LINE };

    /// Beside these clusters.
    pub(super) fn with(self, clusters: &[String]) -> Texts {
        let mut listeners = String::from("- name: $NAME\n  address: $LISTENER\n");
        listeners.push_str(&indented(2, self.listener));
        listeners
            .push_str("  filter_chains:\n  - filters:\n    - name: tcp\n      typed_config:\n");
        let extensions = "type.googleapis.com/envoy.extensions";
        write!(
            listeners,
            "        \"@type\": {extensions}.filters.network.tcp_proxy.v3.TcpProxy\n        \
             stat_prefix: $NAME\n        access_log:\n        - name: file\n          \
             typed_config:\n            \
             \"@type\": {extensions}.access_loggers.file.v3.FileAccessLog\n            \
             path: $FOLDER/$NAME.log\n            \
             log_format: {{text_format_source: {{inline_string: \"{}\\n\"}}}}\n",
            self.line
        )
        .unwrap();
        listeners.push_str(&indented(8, self.filter));
        Texts { listeners, clusters: clusters.concat(), bootstrap: String::new() }
    }
}

/// The cluster `$NAME` and `suffix`, of the endpoints with these numbers.
pub(super) fn cluster(suffix: &str, fields: &str, endpoints: &[usize]) -> String {
    let endpoint = |index: &usize| match index {
        0 => "{endpoint: {address: $UPSTREAM}}".to_owned(),
        _ => format!("{{endpoint: {{address: $UPSTREAM{index}}}}}"),
    };
    let endpoints: Vec<String> = endpoints.iter().map(endpoint).collect();
    let mut text = format!("- name: $NAME{suffix}\n  type: STATIC\n");
    text.push_str(&indented(2, fields));
    write!(
        text,
        "  load_assignment:\n    cluster_name: $NAME{suffix}\n    endpoints: [{{lb_endpoints: \
         [{}]}}]\n",
        endpoints.join(", ")
    )
    .unwrap();
    text
}

/// A listener at `address` that sends HTTP requests to the cluster `$NAME`, beside these clusters.
pub(super) fn http_listener(address: &str, clusters: &[String]) -> Texts {
    let extensions = "type.googleapis.com/envoy.extensions.filters";
    let listeners = format!(
        "- name: $NAME-http
  address: {address}
  filter_chains:
  - filters:
    - name: http
      typed_config:
        \"@type\": {extensions}.network.http_connection_manager.v3.HttpConnectionManager
        stat_prefix: $NAME
        route_config:
          virtual_hosts:
          - name: all
            domains: ['*']
            routes: [{{match: {{prefix: /}}, route: {{cluster: $NAME}}}}]
        http_filters:
        - name: envoy.filters.http.router
          typed_config: {{\"@type\": {extensions}.http.router.v3.Router}}
"
    );
    Texts { listeners, clusters: clusters.concat(), bootstrap: String::new() }
}
