//! The stats of the data path and of the process: which there are, and when each one moves.
//!
//! Names, kinds and meaning are Envoy 1.40's, checked against its `/stats`; a stat of ours that
//! Envoy has no word for is below `nuncio.`. A stat stands here only if something moves it or if
//! its value is a truth today.

mod cluster;
mod host;
mod listener;
mod process;
mod tcp_proxy;
mod worker;

pub use cluster::{ClusterStat, cluster_prefix};
pub use host::HostStat;
pub use listener::{ListenerStat, listener_prefix};
pub use process::{
    ADMIN_HTTP_PREFIX, ADMIN_LISTENER_PREFIX, AdminHttpStat, AdminListenerStat,
    CLUSTER_MANAGER_PREFIX, ClusterManagerStat, LISTENER_MANAGER_PREFIX, ListenerManagerStat,
    SERVER_PREFIX, ServerStat,
};
pub use tcp_proxy::{TcpProxyStat, tcp_proxy_prefix};
pub use worker::{WORKER_PREFIX, WorkerStat};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Stat;

    /// A name used twice in one set would show two lines for one stat.
    fn assert_names_unique<S: Stat>() {
        let names: BTreeSet<&str> = S::SPECS.iter().map(|spec| spec.name).collect();
        assert_eq!(names.len(), S::SPECS.len());
    }

    #[test]
    fn names_are_unique_within_each_set() {
        assert_names_unique::<AdminHttpStat>();
        assert_names_unique::<AdminListenerStat>();
        assert_names_unique::<ClusterManagerStat>();
        assert_names_unique::<ClusterStat>();
        assert_names_unique::<HostStat>();
        assert_names_unique::<ListenerManagerStat>();
        assert_names_unique::<ListenerStat>();
        assert_names_unique::<ServerStat>();
        assert_names_unique::<TcpProxyStat>();
        assert_names_unique::<WorkerStat>();
    }
}
