//! Listener filters: what is found out about a connection before it gets its filter chain.

use std::time::Duration;

/// What all connections of a listener pass first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerFilters {
    /// `listener_filters` in file order, and behind them those that `use_original_dst` and
    /// `use_proxy_proto` stand for.
    pub filters: Vec<ListenerFilter>,
    /// `listener_filters_timeout`: how long a connection may take to pass them, 15 seconds unless
    /// set; `None` for any time (`0s`).
    pub timeout: Option<Duration>,
    /// `continue_on_listener_filters_timeout`: what was found out until then must do; otherwise the
    /// connection is closed.
    pub continue_on_timeout: bool,
    /// `use_original_dst`: a connection whose local address was restored goes to the listener that
    /// has this address, if there is one.
    pub hand_off: bool,
}

/// Envoy's default of `listener_filters_timeout`.
const TIMEOUT: Duration = Duration::from_secs(15);

impl Default for ListenerFilters {
    /// None.
    fn default() -> Self {
        Self {
            filters: Vec::new(),
            timeout: Some(TIMEOUT),
            continue_on_timeout: false,
            hand_off: false,
        }
    }
}

/// Envoy's `config.listener.v3.ListenerFilter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerFilter {
    /// `filter_disabled`: connections that pass by it.
    pub disabled: Option<ConnectionPredicate>,
    /// What it does.
    pub kind: ListenerFilterKind,
}

/// A listener filter that Nuncio has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerFilterKind {
    /// `envoy.filters.listener.original_dst`: the local address is what the client connected to
    /// before the kernel redirected it.
    OriginalDestination,
    /// `envoy.filters.listener.proxy_protocol`.
    ProxyProtocol(ProxyProtocol),
}

/// Envoy's `ListenerFilterChainMatchPredicate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionPredicate {
    /// `any_match`.
    Any,
    /// `and_match`.
    All(Vec<Self>),
    /// `or_match`.
    OneOf(Vec<Self>),
    /// `not_match`.
    Not(Box<Self>),
    /// `destination_port_range`, from the first to the one before the second; as Envoy takes it,
    /// empty and out of bounds too.
    DestinationPortRange(i32, i32),
}

/// Envoy's `extensions.filters.listener.proxy_protocol.v3.ProxyProtocol`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// `stat_prefix`.
    pub stat_prefix: String,
    /// Whether a header of version 1 is taken: not one of `disallowed_versions`.
    pub v1: bool,
    /// The same of version 2. At least one of them is taken.
    pub v2: bool,
    /// `allow_requests_without_proxy_protocol`.
    pub allow_absence: bool,
    /// `rules`, at most one for each type.
    pub rules: Vec<TlvRule>,
    /// `tlv_location`: where the rules put what they find.
    pub location: TlvLocation,
    /// `pass_through_tlvs`: what an upstream's own header may repeat.
    pub pass_through: PassThroughTlvs,
}

impl Default for ProxyProtocol {
    /// Either version, and never none.
    fn default() -> Self {
        Self {
            stat_prefix: String::new(),
            v1: true,
            v2: true,
            allow_absence: false,
            rules: Vec::new(),
            location: TlvLocation::DynamicMetadata,
            pass_through: PassThroughTlvs::default(),
        }
    }
}

/// Envoy's `ProxyProtocol.Rule`: what becomes of an extension (TLV) of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlvRule {
    /// `tlv_type`.
    pub kind: u8,
    /// `on_tlv_present.metadata_namespace`, the filter's own unless set.
    pub namespace: String,
    /// `on_tlv_present.key`; empty without `on_tlv_present`.
    pub key: String,
    /// `on_tlv_present.value_string_encoding` is `BASE64`: otherwise each byte that is not UTF-8
    /// becomes an exclamation mark.
    pub base64: bool,
}

/// Envoy's `ProxyProtocol.TlvLocation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlvLocation {
    /// In the connection's dynamic metadata.
    DynamicMetadata,
    /// In the connection's filter state, below `envoy.network.proxy_protocol.tlv`.
    FilterState,
}

/// Envoy's `config.core.v3.ProxyProtocolPassThroughTLVs`; without one there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassThroughTlvs {
    /// `INCLUDE_ALL`.
    All,
    /// `INCLUDE`: those of these types.
    Types(Vec<u8>),
}

impl Default for PassThroughTlvs {
    /// None.
    fn default() -> Self {
        Self::Types(Vec::new())
    }
}

impl PassThroughTlvs {
    /// Whether an extension of this type is passed on.
    #[must_use]
    pub fn includes(&self, kind: u8) -> bool {
        match self {
            Self::All => true,
            Self::Types(kinds) => kinds.contains(&kind),
        }
    }
}
