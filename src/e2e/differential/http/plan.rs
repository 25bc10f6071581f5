//! The configuration of an HTTP scenario: one connection manager, its routes, and one cluster.

use std::fmt::Write as _;

use crate::differential::plan::{Endpoint, Plan, Texts};

/// What a scenario's configuration has beyond the usual.
///
/// `/probe` is answered by the proxy, `/missing` goes to a cluster that does not exist, and all
/// else to the cluster `$NAME`. Marks are those of `Template`.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::differential) struct Http {
    /// Fields of the listener.
    pub(in crate::differential) listener: &'static [&'static str],
    /// Fields of the connection manager.
    pub(in crate::differential) manager: &'static [&'static str],
    /// Items of `virtual_hosts`, before the one for all domains.
    pub(in crate::differential) hosts: &'static [&'static str],
    /// Items of `routes`, before the usual ones.
    pub(in crate::differential) routes: &'static [&'static str],
    /// Fields of the cluster.
    pub(in crate::differential) cluster: &'static [&'static str],
    /// Fields of the cluster's `HttpProtocolOptions`.
    pub(in crate::differential) protocol: &'static [&'static str],
    /// The filter of the access log, as a field of it.
    pub(in crate::differential) log_filter: &'static [&'static str],
    /// Fields of the router.
    pub(in crate::differential) router: &'static [&'static str],
    /// Fields of the bootstrap; the scenario has processes of its own then.
    pub(in crate::differential) bootstrap: &'static [&'static str],
    /// The format of the access log; the scenarios' own unless it is set.
    pub(in crate::differential) log_format: Option<&'static str>,
}

impl Http {
    /// With one endpoint that the script plays.
    pub(in crate::differential) fn plan(self) -> Plan {
        self.plan_to(vec![Endpoint::serving()])
    }

    pub(in crate::differential) fn plan_to(self, endpoints: Vec<Endpoint>) -> Plan {
        Plan::template(self.texts(endpoints.len(), self.cluster), endpoints)
    }

    /// With these fields of the cluster.
    pub(in crate::differential) fn plan_with(
        self,
        cluster: &[&str],
        endpoints: Vec<Endpoint>,
    ) -> Plan {
        Plan::template(self.texts(endpoints.len(), cluster), endpoints)
    }

    fn texts(&self, endpoints: usize, cluster: &[&str]) -> Texts {
        let items = |indent: usize, all: &[&str]| {
            all.iter().fold(String::new(), |mut text, item| {
                writeln!(text, "{:indent$}{item}", "").unwrap();
                text
            })
        };
        let mut listeners = LISTENER.replace("$LOG_FORMAT", self.log_format.unwrap_or(LOG_FORMAT));
        for (mark, text) in [
            ("  $FIELDS\n", items(2, self.listener)),
            ("        $MANAGER\n", items(8, self.manager)),
            ("          $HOSTS\n", items(10, self.hosts)),
            ("            $ROUTES\n", items(12, self.routes)),
            ("          $LOG_FILTER\n", items(10, self.log_filter)),
            ("            $ROUTER\n", items(12, self.router)),
        ] {
            listeners = listeners.replace(mark, &text);
        }
        let mut clusters = format!("- name: $NAME\n  type: STATIC\n{}", items(2, cluster));
        if !self.protocol.is_empty() {
            clusters.push_str(PROTOCOL.trim_start_matches('\n'));
            clusters.push_str(&items(6, self.protocol));
        }
        clusters.push_str("  load_assignment:\n    cluster_name: $NAME\n    endpoints:\n");
        clusters.push_str("    - lb_endpoints:\n");
        for index in 0..endpoints {
            let number = if index == 0 { String::new() } else { index.to_string() };
            writeln!(clusters, "      - endpoint: {{address: $UPSTREAM{number}}}").unwrap();
        }
        if endpoints == 0 {
            clusters.truncate(clusters.len() - "\n".len());
            clusters.push_str(" []\n");
        }
        Texts { listeners, clusters, bootstrap: items(0, self.bootstrap) }
    }
}

const LISTENER: &str = r#"
- name: $NAME
  address: $LISTENER
  $FIELDS
  filter_chains:
  - filters:
    - name: envoy.filters.network.http_connection_manager
      typed_config:
        "@type": "type.googleapis.com/envoy.extensions.filters.network.\
          http_connection_manager.v3.HttpConnectionManager"
        stat_prefix: $NAME
        $MANAGER
        access_log:
        - name: file
          $LOG_FILTER
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
            path: $FOLDER/$NAME.log
            $LOG_FORMAT
        route_config:
          name: routes
          validate_clusters: false
          virtual_hosts:
          $HOSTS
          - name: all
            domains: ["*"]
            routes:
            $ROUTES
            - {match: {path: /probe}, direct_response: {status: 200, body: {inline_string: here}}}
            - {match: {path: /missing}, route: {cluster: $NAME-missing}}
            - {name: everything, match: {prefix: /}, route: {cluster: $NAME}}
        http_filters:
        - name: envoy.filters.http.router
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
            $ROUTER
"#;

/// What a line says that does not depend on how fast the machine is.
const LOG_FORMAT: &str = "log_format: {text_format_source: {inline_string: \"\
    %REQ(:METHOD)% %REQ(:PATH)% was %REQ(X-ENVOY-ORIGINAL-PATH)% %PROTOCOL% \
    of %REQ(:AUTHORITY)% code %RESPONSE_CODE% details %RESPONSE_CODE_DETAILS% \
    flags %RESPONSE_FLAGS% bytes %BYTES_RECEIVED% %BYTES_SENT% \
    host %UPSTREAM_HOST% cluster %UPSTREAM_CLUSTER% route %ROUTE_NAME% \
    failure %UPSTREAM_TRANSPORT_FAILURE_REASON% ended %CONNECTION_TERMINATION_DETAILS% \
    xff %REQ(X-FORWARDED-FOR)% from %DOWNSTREAM_REMOTE_ADDRESS% type %RESP(CONTENT-TYPE)%\\n\"}}";

const PROTOCOL: &str = r#"
  typed_extension_protocol_options:
    envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
      "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
"#;
