//! What `set_filter_state` leaves on a connection, as a listener filter and as a network filter.

use super::Lower;
use crate::document::clipped;
use crate::model::{self, ObjectFactory};
use crate::typed::envoy::extensions::filters::common::set_filter_state::v3 as pb;
use crate::typed::envoy::extensions::filters::network::set_filter_state::v3 as network;
use pb::filter_state_value::{Key, SharedWithUpstream, Value};

/// Every factory of Envoy 1.40 whose objects are known here.
const FACTORIES: [(&str, ObjectFactory); 20] = [
    ("envoy.ai.model.request", ObjectFactory::NonEmptyText),
    ("envoy.bool", ObjectFactory::Bool),
    ("envoy.filters.listener.original_dst.local_ip", ObjectFactory::Address),
    ("envoy.filters.listener.original_dst.remote_ip", ObjectFactory::Address),
    ("envoy.hashable_string", ObjectFactory::HashableText),
    ("envoy.network.application_protocols", ObjectFactory::ApplicationProtocols),
    ("envoy.network.ip", ObjectFactory::Ip),
    ("envoy.network.network_namespace", ObjectFactory::NetworkNamespace),
    ("envoy.network.transport_socket.http_11_proxy.info", ObjectFactory::HttpProxy),
    ("envoy.network.transport_socket.original_dst_address", ObjectFactory::Address),
    ("envoy.network.upstream_server_name", ObjectFactory::ServerName),
    ("envoy.network.upstream_subject_alt_names", ObjectFactory::SubjectAltNames),
    ("envoy.ratelimit.hits_addend", ObjectFactory::Uint32),
    ("envoy.router.debug_config", ObjectFactory::DebugConfig),
    ("envoy.string", ObjectFactory::Text),
    ("envoy.tcp_proxy.cluster", ObjectFactory::Cluster),
    ("envoy.tcp_proxy.disable_tunneling", ObjectFactory::IsTrue),
    ("envoy.tcp_proxy.per_connection_idle_timeout_ms", ObjectFactory::Uint64),
    ("envoy.upstream.dynamic_host", ObjectFactory::Text),
    ("envoy.upstream.dynamic_port", ObjectFactory::Uint32),
];

/// And one whose texts nobody here has to read.
const UNKNOWN_FACTORY: &str = "envoy.ai.llm_protocol.request";

/// Objects that HTTP would have to act upon.
const NOT_FOR_HTTP: [&str; 2] =
    ["envoy.network.transport_socket.http_11_proxy.info", "envoy.router.debug_config"];

impl Lower<'_> {
    pub(super) fn set_filter_state(
        &mut self,
        message: &network::Config,
        path: &str,
    ) -> Option<model::SetFilterState> {
        let on = |field: &str| format!("{path}.{field}");
        let new = self.filter_state_values(&message.on_new_connection, &on("on_new_connection"));
        let handshake = self.filter_state_values(
            &message.on_downstream_tls_handshake,
            &on("on_downstream_tls_handshake"),
        );
        let data = self.filter_state_values(&message.on_downstream_data, &on("on_downstream_data"));
        let mut on_new_connection = new?;
        on_new_connection.extend(handshake?);
        Some(model::SetFilterState { on_new_connection, on_downstream_data: data? })
    }

    /// The values of the list at `path`; None when something was reported.
    pub(super) fn filter_state_values(
        &mut self,
        messages: &[pb::FilterStateValue],
        path: &str,
    ) -> Option<Vec<model::FilterStateValue>> {
        let indexed = messages.iter().enumerate();
        let values: Vec<_> = indexed
            .map(|(index, message)| self.filter_state_value(message, &format!("{path}[{index}]")))
            .collect();
        values.into_iter().collect()
    }

    fn filter_state_value(
        &mut self,
        message: &pb::FilterStateValue,
        path: &str,
    ) -> Option<model::FilterStateValue> {
        // Without a key or a value the rules have reported it.
        let Some(Key::ObjectKey(key)) = &message.key else { return None };
        let Some(Value::FormatString(format)) = &message.value else { return None };
        let (name, field) = match message.factory_key.as_str() {
            "" => (key.as_str(), "object_key"),
            name => (name, "factory_key"),
        };
        let field = format!("{path}.{field}");
        let found = FACTORIES.iter().find(|(known, _)| *known == name);
        let Some((_, factory)) = found else {
            let shown = clipped(name);
            if name == UNKNOWN_FACTORY {
                self.not_yet(&field, format!("objects of '{shown}'"), None);
            } else {
                let text = format!("'{shown}' does not have an object factory");
                let hint = "'factory_key: envoy.string' makes a text of any key";
                self.invalid(&field, text, Some(hint));
            }
            return None;
        };
        let format = self.access_log_format(format, &format!("{path}.format_string"))?;
        Some(model::FilterStateValue {
            key: key.clone(),
            factory: *factory,
            format,
            shared_with_upstream: message.shared_with_upstream() != SharedWithUpstream::None,
            skip_if_empty: message.skip_if_empty,
            field_path: path.to_owned(),
        })
    }

    /// Objects that only `tcp_proxy` passes on cannot go to HTTP, nor through a tunnel.
    pub(super) fn state_suits(&mut self, chain: &model::FilterChain) {
        match &chain.terminal {
            model::TerminalFilter::Http(_) => {}
            model::TerminalFilter::TcpProxy(tcp_proxy) if tcp_proxy.tunneling.is_some() => {}
            _ => return,
        }
        for value in chain.filters.iter().flat_map(model::NetworkFilter::filter_state) {
            let field = if value.shared_with_upstream {
                "shared_with_upstream"
            } else if NOT_FOR_HTTP.contains(&value.key.as_str()) {
                "object_key"
            } else {
                continue;
            };
            let text = format!("'{}' for the upstreams of HTTP", value.key);
            self.not_yet(&format!("{}.{field}", value.field_path), text, None);
        }
    }
}
