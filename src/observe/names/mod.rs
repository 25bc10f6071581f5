//! The stats of the data path and of the process: which there are, and when each one moves.
//!
//! Names, kinds and meaning are Envoy 1.40's, checked against its `/stats`; a stat of ours that
//! Envoy has no word for is below `nuncio.`. A stat stands here only if something moves it or if
//! its value is a truth today.

mod access_log;
mod breaker;
mod cluster;
mod dormant;
mod host;
mod http;
mod listener;
mod listener_filter;
mod network_filter;
mod outlier_detection;
mod process;
mod response_code;
mod runtime;
mod tcp_proxy;
mod worker;

pub use access_log::{ACCESS_LOG_PREFIX, AccessLogStat, FILESYSTEM_PREFIX, FilesystemStat};
pub use breaker::{BreakerStat, RemainingStat, breaker_prefix};
pub use cluster::{ClusterStat, cluster_prefix};
pub use dormant::{
    AdminHttpDormantStat, AdminListenerDormantStat, ClusterDormantStat, ClusterManagerDormantStat,
    Http2CodecDormantStat, HttpDormantStat, ListenerDormantStat, ListenerManagerDormantStat,
    ServerDormantStat, TcpProxyDormantStat, TcpTunnelDormantStat,
};
pub use host::HostStat;
pub use http::{HTTP1_PREFIX, HTTP2_PREFIX, Http1CodecStat, Http2CodecStat, HttpStat, http_prefix};
pub use listener::{ListenerHttpStat, ListenerStat, listener_http_prefix, listener_prefix};
pub use listener_filter::{
    ProxyProtocolErrorStat, ProxyProtocolStat, ProxyProtocolVersionStat, UpstreamProxyProtocolStat,
    proxy_protocol_prefix, proxy_protocol_version_prefix,
};
pub use network_filter::{
    ConnectionLimitStat, LocalRateLimitStat, RbacShadowStat, RbacStat, connection_limit_prefix,
    local_rate_limit_prefix, rbac_prefix, rbac_shadow_prefix,
};
pub use outlier_detection::{OutlierDetectionStat, OutlierHostStat, outlier_detection_prefix};
pub use process::{
    ADMIN_HTTP_PREFIX, ADMIN_LISTENER_HTTP_PREFIX, ADMIN_LISTENER_PREFIX, AdminHttpStat,
    AdminListenerStat, CLUSTER_MANAGER_PREFIX, ClusterManagerStat, LISTENER_MANAGER_PREFIX,
    ListenerManagerStat, MAIN_CLUSTER_MANAGER_PREFIX, SERVER_PREFIX, ServerStat,
    ThreadClusterManagerStat, worker_cluster_manager_prefix,
};
pub use response_code::{
    Code1xx, Code2xx, Code3xx, Code4xx, Code5xx, ResponseClassStat, ResponseOriginStat,
};
pub use runtime::{RUNTIME_PREFIX, RuntimeStat};
pub use tcp_proxy::{TcpProxyStat, tcp_proxy_prefix};
pub use worker::{SPLICE_PREFIX, SpliceStat, WORKER_PREFIX, WorkerStat};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{Stat, StatSpec};

    /// A name used twice below one prefix would show two lines for one stat.
    fn assert_names_unique(sets: &[&[StatSpec]]) {
        let mut names = BTreeSet::new();
        for spec in sets.iter().copied().flatten() {
            assert!(names.insert(spec.name), "{} is there twice", spec.name);
        }
    }

    #[test]
    fn names_are_unique_below_each_prefix() {
        for sets in [
            &[AccessLogStat::SPECS] as &[_],
            &[AdminHttpStat::SPECS, AdminHttpDormantStat::SPECS],
            &[ListenerHttpStat::SPECS],
            &[FilesystemStat::SPECS],
            &[AdminListenerStat::SPECS, AdminListenerDormantStat::SPECS],
            &[ClusterManagerStat::SPECS, ClusterManagerDormantStat::SPECS],
            &[ClusterStat::SPECS, ClusterDormantStat::SPECS, ResponseClassStat::SPECS],
            &[HostStat::SPECS],
            &[HttpStat::SPECS, HttpDormantStat::SPECS],
            &[Http1CodecStat::SPECS],
            &[Http2CodecStat::SPECS, Http2CodecDormantStat::SPECS],
            &[ListenerManagerStat::SPECS, ListenerManagerDormantStat::SPECS],
            &[ListenerStat::SPECS, ListenerDormantStat::SPECS],
            &[ConnectionLimitStat::SPECS],
            &[LocalRateLimitStat::SPECS],
            &[RbacStat::SPECS, RbacShadowStat::SPECS],
            &[ProxyProtocolStat::SPECS],
            &[ProxyProtocolVersionStat::SPECS],
            &[RuntimeStat::SPECS],
            &[ServerStat::SPECS, ServerDormantStat::SPECS],
            &[TcpProxyStat::SPECS, TcpProxyDormantStat::SPECS],
            &[TcpTunnelDormantStat::SPECS],
            &[ThreadClusterManagerStat::SPECS],
            &[WorkerStat::SPECS],
        ] {
            assert_names_unique(sets);
        }
    }
}
