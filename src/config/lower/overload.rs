//! Limits of connections: the overload manager's, and what the runtime says of limits.

use prost::Message as _;

use super::Lower;
use crate::model::{Bootstrap, HttpRuntimeKeys, Listener, OutlierDetection, Panic};
use crate::typed::envoy::config::overload::v3 as pb;
use crate::typed::envoy::extensions::resource_monitors::downstream_connections::v3 as connections;
use pb::resource_monitor::ConfigType;

/// What Envoy calls the only resource that is watched here.
const CONNECTIONS: &str = "envoy.resource_monitors.global_downstream_max_connections";

/// Whether Nuncio acts upon the runtime's value of this name.
pub(super) fn is_read(name: &str) -> bool {
    let of_listener = || {
        name.strip_prefix(Listener::CONNECTIONS_KEY_PREFIX)?
            .strip_suffix(Listener::CONNECTIONS_KEY_SUFFIX)
    };
    let of_breaker = || {
        let (_, limit) = name.strip_prefix(BREAKERS_PREFIX)?.rsplit_once('.')?;
        BREAKERS_LIMITS.contains(&limit).then_some(())
    };
    let of_outlier_detection = || {
        let key = name.strip_prefix(OutlierDetection::RUNTIME_PREFIX)?;
        OutlierDetection::RUNTIME_KEYS.contains(&key).then_some(())
    };
    [Bootstrap::CONNECTIONS_KEY, Panic::RUNTIME_KEY].contains(&name)
        || HttpRuntimeKeys::ALL.contains(&name)
        || of_listener().is_some()
        || of_breaker().is_some()
        || of_outlier_detection().is_some()
}

const BREAKERS_PREFIX: &str = "circuit_breakers.";
const BREAKERS_LIMITS: [&str; 5] = [
    "max_connection_pools",
    "max_connections",
    "max_pending_requests",
    "max_requests",
    "max_retries",
];

impl Lower<'_> {
    /// How many connections all listeners together may have, by the overload manager.
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
        limit
    }
}
