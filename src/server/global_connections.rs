//! How many connections may come in through all listeners together.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/operations/overload_manager/overload_manager#limiting-active-connections>

use std::sync::Arc;

use base::Limit;
use config::RuntimeSnapshot;
use config::model::Bootstrap;

/// The limit of connections of all listeners together.
#[derive(Debug)]
pub(crate) struct GlobalConnections {
    /// If there is one, or the runtime may set one.
    pub(crate) limit: Option<Arc<Limit>>,
    is_fixed: bool,
}

impl GlobalConnections {
    pub(crate) fn new(config: &Bootstrap) -> Self {
        let fixed = config.connection_limit;
        let may_come = || config.runtime.may_have(Bootstrap::CONNECTIONS_KEY);
        let max = fixed.or_else(|| may_come().then_some(Limit::HIGHEST));
        Self { limit: max.map(|max| Arc::new(Limit::new(max))), is_fixed: fixed.is_some() }
    }

    /// The overload manager overrules the runtime.
    pub(crate) fn follow_runtime(&self, runtime: &RuntimeSnapshot) {
        if let Some(limit) = self.limit.as_ref().filter(|_| !self.is_fixed) {
            limit.set_max(runtime.integer(Bootstrap::CONNECTIONS_KEY, Limit::HIGHEST));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use config::model::{Runtime, RuntimeLayer, RuntimeSource};
    use config::{RuntimeEntry, RuntimeValues};

    use super::*;

    fn limit_of(
        fixed: Option<u64>,
        layers: Vec<RuntimeSource>,
        value: Option<&str>,
    ) -> Option<u64> {
        let layer = |source| RuntimeLayer { name: String::new(), source };
        let config = Bootstrap {
            connection_limit: fixed,
            runtime: Runtime { layers: layers.into_iter().map(layer).collect() },
            ..Bootstrap::default()
        };
        let connections = GlobalConnections::new(&config);
        let key = Bootstrap::CONNECTIONS_KEY.to_owned();
        let values: BTreeMap<_, _> =
            value.map(|value| (key, RuntimeEntry::parse(value))).into_iter().collect();
        let values = RuntimeValues { name: String::new(), values };
        connections.follow_runtime(&RuntimeSnapshot::new(vec![values]));
        connections.limit.map(|limit| limit.max())
    }

    #[test]
    fn the_overload_manager_goes_before_the_runtime_and_without_both_nothing_is_counted() {
        let admin = || vec![RuntimeSource::Admin];
        assert_eq!(limit_of(None, Vec::new(), None), None);
        assert_eq!(limit_of(None, admin(), None), Some(Limit::HIGHEST));
        assert_eq!(limit_of(None, admin(), Some("5")), Some(5));
        assert_eq!(limit_of(Some(7), admin(), Some("5")), Some(7));
    }
}
