//! Objects that filters leave on a connection for others.

use super::AccessLogFormat;

/// Envoy's `extensions.filters.network.set_filter_state.v3.Config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetFilterState {
    /// `on_new_connection`, and behind them `on_downstream_tls_handshake`: without TLS their time
    /// is the same.
    pub on_new_connection: Vec<FilterStateValue>,
    /// `on_downstream_data`: once the first bytes or the client's end have come.
    pub on_downstream_data: Vec<FilterStateValue>,
}

/// Envoy's `extensions.filters.common.set_filter_state.v3.FilterStateValue`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterStateValue {
    /// `object_key`, never empty.
    pub key: String,
    /// `factory_key`, or what `object_key` names.
    pub factory: ObjectFactory,
    /// `format_string`: the text that the object is made of. Its operators have not been parsed.
    pub format: AccessLogFormat,
    /// `shared_with_upstream` is not `NONE`.
    pub shared_with_upstream: bool,
    /// `skip_if_empty`: an empty text makes no object.
    pub skip_if_empty: bool,
    /// Where it stands in the configuration, for what is found wrong with it later.
    pub field_path: String,
}

/// What makes an object of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectFactory {
    /// `envoy.string` and `envoy.upstream.dynamic_host`: any text.
    Text,
    /// `envoy.ai.model.request`: any text but an empty one.
    NonEmptyText,
    /// `envoy.hashable_string`.
    HashableText,
    /// `envoy.tcp_proxy.cluster`.
    Cluster,
    /// `envoy.network.upstream_server_name`.
    ServerName,
    /// `envoy.network.upstream_subject_alt_names`.
    SubjectAltNames,
    /// `envoy.network.application_protocols`.
    ApplicationProtocols,
    /// `envoy.network.network_namespace`.
    NetworkNamespace,
    /// `envoy.network.transport_socket.http_11_proxy.info`: `target:port,address:port`.
    HttpProxy,
    /// `envoy.router.debug_config`.
    DebugConfig,
    /// `envoy.bool`: `true`, `yes`, `t`, `y`, `1` and their opposites.
    Bool,
    /// `envoy.tcp_proxy.disable_tunneling`: `true`, or anything else for `false`.
    IsTrue,
    /// `envoy.upstream.dynamic_port` and `envoy.ratelimit.hits_addend`.
    Uint32,
    /// `envoy.tcp_proxy.per_connection_idle_timeout_ms`.
    Uint64,
    /// `envoy.network.transport_socket.original_dst_address` and its like: an IP address and port.
    Address,
    /// `envoy.network.ip`.
    Ip,
}
