//! Stats of one host of a cluster. They are on the admin page `/clusters` only, not in `/stats`.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/operations/admin#get--clusters>

crate::stats! {
    /// Stats of one host, in the order of their names.
    pub enum HostStat {
        /// Connections that are connecting or connected now.
        CxActive => gauge "cx_active",
        /// Connects that failed.
        CxConnectFail => counter "cx_connect_fail",
        /// Connects started.
        CxTotal => counter "cx_total",
        /// Connected connections in use now; for HTTP, requests under way.
        RqActive => gauge "rq_active",
        /// Requests that were answered with 5xx; HTTP only.
        RqError => counter "rq_error",
        /// Users waiting for a connect now.
        RqPendingActive => gauge "rq_pending_active",
        /// Requests that were answered with another status; HTTP only.
        RqSuccess => counter "rq_success",
        /// Requests without an answer in time; HTTP only.
        RqTimeout => counter "rq_timeout",
        /// Connected connections handed to a user; for HTTP, requests.
        RqTotal => counter "rq_total",
    }
}
