//! The configuration of a cluster that tests begin with.

use std::net::SocketAddr;
use std::time::Duration;

use config::model;

/// A cluster of these hosts, with Envoy's defaults except for a short `connect_timeout`.
pub(crate) fn cluster(hosts: &[SocketAddr]) -> model::Cluster {
    let endpoints =
        hosts.iter().map(|&address| model::Endpoint { address: address.into(), weight: 1 });
    model::Cluster {
        name: "backend".to_owned(),
        stat_name: "back:end".to_owned(),
        connect_timeout: Duration::from_millis(100),
        per_connection_buffer_limit_bytes: 1024 * 1024,
        thresholds: model::Thresholds::default(),
        high_thresholds: model::Thresholds::default(),
        host_connections_max: None,
        preconnect_per_mille: 1000,
        http: model::UpstreamHttp::default(),
        tcp: model::UpstreamTcp::default(),
        sockets: model::UpstreamSockets::default(),
        proxy_protocol: None,
        outlier_detection: None,
        panic: model::Panic::default(),
        endpoints: endpoints.collect(),
    }
}
