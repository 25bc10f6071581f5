//! `tunneling_config` of `tcp_proxy`, and the headers that a configuration adds.

/// Envoy's `TcpProxy.TunnelingConfig`: connections go as one HTTP stream each to the upstream,
/// which is asked to connect them on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunneling {
    /// `hostname`: what is asked for, host and port. A format string.
    pub hostname: String,
    /// `use_post` and `post_path`.
    pub method: TunnelMethod,
    /// `headers_to_add`.
    pub headers: Vec<HeaderToAdd>,
    /// `propagate_response_headers`: whether access logs may show the response's head.
    pub propagate_response_headers: bool,
    /// `propagate_response_trailers`: the same of its trailers.
    pub propagate_response_trailers: bool,
    /// Where the message stands in the file: format strings are compiled later.
    pub field_path: String,
}

/// How a tunnel is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TunnelMethod {
    /// `CONNECT`.
    Connect,
    /// `POST` of this path.
    Post(String),
}

/// Envoy's `config.core.v3.HeaderValueOption`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderToAdd {
    /// `header.key`.
    pub name: String,
    /// `header.value`: a format string.
    pub value: String,
    /// `append_action`, or what `append` says in older files.
    pub action: HeaderAppendAction,
    /// `keep_empty_value`: whether it is added where its value turns out to be empty.
    pub keep_empty_value: bool,
}

/// What becomes of a header that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderAppendAction {
    /// `APPEND_IF_EXISTS_OR_ADD`: there are two then.
    AppendIfExistsOrAdd,
    /// `ADD_IF_ABSENT`: it stays.
    AddIfAbsent,
    /// `OVERWRITE_IF_EXISTS_OR_ADD`: it is replaced.
    OverwriteIfExistsOrAdd,
    /// `OVERWRITE_IF_EXISTS`: it is replaced; without one none is added.
    OverwriteIfExists,
}
