//! Limits of connections: the overload manager's, and the runtime's older ways to say them.

use prost::Message as _;

use super::{Lower, http2};
use crate::typed::envoy::config::overload::v3 as pb;
use crate::typed::envoy::extensions::resource_monitors::downstream_connections::v3 as connections;
use pb::resource_monitor::ConfigType;

/// What Envoy calls the only resource that is watched here.
const CONNECTIONS: &str = "envoy.resource_monitors.global_downstream_max_connections";

/// The runtime's value for the same, which the overload manager overrules.
pub(super) const CONNECTIONS_KEY: &str = "overload.global_downstream_max_connections";

/// Whether Nuncio acts upon the runtime's value of this name.
pub(super) fn is_read(name: &str) -> bool {
    let of_listener = || name.strip_prefix(LISTENER_PREFIX)?.strip_suffix(LISTENER_SUFFIX);
    let keys = [
        CONNECTIONS_KEY,
        http2::PREMATURE_RESET_COUNT_KEY,
        http2::PREMATURE_RESET_LIFETIME_KEY,
        http2::REQUESTS_PER_CYCLE_KEY,
    ];
    keys.contains(&name) || of_listener().is_some()
}

const LISTENER_PREFIX: &str = "envoy.resource_limits.listener.";
const LISTENER_SUFFIX: &str = ".connection_limit";

impl Lower<'_> {
    /// How many connections all listeners together may have.
    pub(super) fn connection_limit(
        &mut self,
        message: Option<&pb::OverloadManager>,
    ) -> Option<u64> {
        let mut limit = None;
        for (index, monitor) in message.iter().flat_map(|it| &it.resource_monitors).enumerate() {
            let path = format!("overload_manager.resource_monitors[{index}]");
            if monitor.name != CONNECTIONS {
                let text = format!("a resource monitor called '{}'", monitor.name);
                let hint = format!("the monitor of connections goes by the name {CONNECTIONS}");
                self.not_yet(&format!("{path}.name"), text, Some(&hint));
                continue;
            }
            // Absent ones were reported before, by the support table.
            let Some(ConfigType::TypedConfig(any)) = &monitor.config_type else { continue };
            let config = connections::DownstreamConnectionsConfig::decode(any.value.as_slice());
            limit =
                config.ok().and_then(|it| u64::try_from(it.max_active_downstream_connections).ok());
        }
        limit.or_else(|| self.runtime.whole_number(CONNECTIONS_KEY))
    }

    /// How many connections the listener called `name` may have.
    pub(super) fn listener_connection_limit(&self, name: &str) -> Option<u64> {
        self.runtime.whole_number(&format!("{LISTENER_PREFIX}{name}{LISTENER_SUFFIX}"))
    }
}
