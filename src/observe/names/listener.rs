//! `listener.<address or stat_prefix>.*`
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/stats>

use base::Address;

crate::stats! {
    /// Stats of one listener. Written by the worker that accepted the connection.
    pub enum ListenerStat {
        /// Connections handed to the filter chain.
        DownstreamCxTotal => counter "downstream_cx_total" per_worker,
        /// Connections open now, each worker's share beside it.
        DownstreamCxActive => gauge "downstream_cx_active" per_worker,
        /// Connections closed, by whichever side.
        DownstreamCxDestroy => counter "downstream_cx_destroy",
        /// From accepting to closing.
        DownstreamCxLengthMs => histogram "downstream_cx_length_ms" ms,
        /// Connections taken in one go, before what they bring is looked at.
        ConnectionsAcceptedPerSocketEvent => histogram "connections_accepted_per_socket_event",
        /// Connections rejected because the listener's own connection limit was reached.
        DownstreamCxOverflow => counter "downstream_cx_overflow",
        /// Connections rejected by the global connection limit.
        DownstreamGlobalCxOverflow => counter "downstream_global_cx_overflow",
        /// Connections rejected by an overload action; zero as long as there is none.
        DownstreamCxOverloadReject => counter "downstream_cx_overload_reject",
        /// Connections cut because the transport socket (TLS) did not finish in time.
        DownstreamCxTransportSocketConnectTimeout
            => counter "downstream_cx_transport_socket_connect_timeout",
        /// Accepted sockets that are still in the listener filters.
        DownstreamPreCxActive => gauge "downstream_pre_cx_active",
        /// Sockets closed because the listener filters took too long.
        DownstreamPreCxTimeout => counter "downstream_pre_cx_timeout",
        /// Connections closed because a listener filter failed.
        DownstreamListenerFilterError => counter "downstream_listener_filter_error",
        /// Connections closed by the peer while in the listener filters.
        DownstreamListenerFilterRemoteClose => counter "downstream_listener_filter_remote_close",
        /// Connections closed because no filter chain matched.
        NoFilterChainMatch => counter "no_filter_chain_match",
    }
}

crate::stats! {
    /// Stats below `listener.<address or stat_prefix>.http.<stat_prefix>`: answers of one HTTP
    /// connection manager as the listener's own.
    pub enum ListenerHttpStat {
        /// Answers with a 1xx status.
        DownstreamRq1xx => counter "downstream_rq_1xx",
        /// Answers with a 2xx status.
        DownstreamRq2xx => counter "downstream_rq_2xx",
        /// Answers with a 3xx status.
        DownstreamRq3xx => counter "downstream_rq_3xx",
        /// Answers with a 4xx status.
        DownstreamRq4xx => counter "downstream_rq_4xx",
        /// Answers with a 5xx status.
        DownstreamRq5xx => counter "downstream_rq_5xx",
        /// Answers.
        DownstreamRqCompleted => counter "downstream_rq_completed",
    }
}

/// The prefix of [`ListenerHttpStat`]: `listener` is the listener's own prefix, `stat_prefix` the
/// connection manager's.
#[must_use]
pub fn listener_http_prefix(listener: &str, stat_prefix: &str) -> String {
    format!("{listener}.http.{stat_prefix}")
}

/// The prefix of a listener: its `stat_prefix` where it has one, otherwise its address.
/// `[::1]:80` becomes `listener.[__1]_80`, as in Envoy.
#[must_use]
pub fn listener_prefix(stat_prefix: Option<&str>, address: &Address) -> String {
    match stat_prefix {
        Some(stat_prefix) if !stat_prefix.is_empty() => format!("listener.{stat_prefix}"),
        _ => format!("listener.{address}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Registry;

    fn full_prefix(stat_prefix: Option<&str>, address: &str) -> String {
        let prefix = listener_prefix(stat_prefix, &Address::Ip(address.parse().unwrap()));
        Registry::new(1).scope::<ListenerStat>(&prefix).prefix().to_owned()
    }

    #[test]
    fn prefixes_are_spelled_as_by_envoy() {
        assert_eq!(full_prefix(None, "127.0.0.1:19100"), "listener.127.0.0.1_19100");
        assert_eq!(full_prefix(None, "[::1]:19103"), "listener.[__1]_19103");
        assert_eq!(full_prefix(Some("edge"), "[::1]:19103"), "listener.edge");
        assert_eq!(full_prefix(Some(""), "127.0.0.1:1"), "listener.127.0.0.1_1");
    }
}
