//! Stats of the process as a whole: `server.*`, `listener_manager.*`, `cluster_manager.*` and the
//! admin listener. All are written on control's shard.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/statistics>

crate::stats! {
    /// Stats below `server`. Control brings them up to date before it answers `/stats`.
    pub enum ServerStat {
        /// 1 if the cryptography is a FIPS build; it is not.
        CompilationSettingsFipsMode => gauge "compilation_settings.fips_mode",
        /// Days until the first certificate in use expires; the largest number of 32 bits if
        /// there is none.
        DaysUntilFirstCertExpiring => gauge "days_until_first_cert_expiring",
        /// From the start of the process until the workers ran.
        InitializationTimeMs => histogram "initialization_time_ms" ms,
        /// Seconds since start.
        Uptime => gauge "uptime",
        /// Worker threads.
        Concurrency => gauge "concurrency",
        /// 1 while the server takes traffic, 0 while it starts or drains.
        Live => gauge "live",
        /// 0 live, 1 draining, 2 pre-initializing, 3 initializing.
        State => gauge "state",
        /// Anonymous memory in use, in bytes: what allocators got from the kernel and touched.
        /// Envoy asks its own allocator instead.
        MemoryAllocated => gauge "memory_allocated",
        /// The same: nothing is known of what allocators keep back.
        MemoryHeapSize => gauge "memory_heap_size",
        /// Resident memory in bytes.
        MemoryPhysicalSize => gauge "memory_physical_size",
        /// Downstream connections open on all listeners now.
        TotalConnections => gauge "total_connections",
        /// Connections left in a parent process; zero without hot restart.
        ParentConnections => gauge "parent_connections",
        /// Hot restarts since the first start; zero without hot restart.
        HotRestartEpoch => gauge "hot_restart_epoch",
        /// Log lines left out because their place in the code said too much in one second; ours.
        LogLinesSuppressed => counter "log_lines_suppressed",
        /// Log lines left out because nobody took the earlier ones; ours.
        LogLinesDropped => counter "log_lines_dropped",
        /// Writes of the log that failed; ours.
        LogWritesFailed => counter "log_writes_failed",
        /// As above, counted from 1; absent with `--disable-hot-restart`.
        HotRestartGeneration => gauge "hot_restart_generation" when_used,
        /// The version of the program: `1.2.3` is 10203. (Envoy shows a part of its commit hash.)
        Version => gauge "version",
    }
}

crate::stats! {
    /// Stats below `listener_manager`.
    pub enum ListenerManagerStat {
        /// Listeners added by configuration.
        ListenerAdded => counter "listener_added",
        /// Listeners changed by configuration; zero with static configuration.
        ListenerModified => counter "listener_modified",
        /// Listeners removed by configuration; zero with static configuration.
        ListenerRemoved => counter "listener_removed",
        /// Listeners stopped.
        ListenerStopped => counter "listener_stopped",
        /// Listeners put into service, counted once for each worker.
        ListenerCreateSuccess => counter "listener_create_success",
        /// Listeners that a worker could not put into service.
        ListenerCreateFailure => counter "listener_create_failure",
        /// Listeners in service.
        TotalListenersActive => gauge "total_listeners_active",
        /// Listeners being drained.
        TotalListenersDraining => gauge "total_listeners_draining",
        /// Listeners waiting for their configuration; zero with static configuration.
        TotalListenersWarming => gauge "total_listeners_warming",
        /// Filter chains being drained.
        TotalFilterChainsDraining => gauge "total_filter_chains_draining",
        /// Workers that have a core to themselves.
        WorkersPinned => gauge "workers_pinned",
        /// 1 once the workers run.
        WorkersStarted => gauge "workers_started",
    }
}

crate::stats! {
    /// Stats below `cluster_manager`.
    pub enum ClusterManagerStat {
        /// Clusters added by configuration.
        ClusterAdded => counter "cluster_added",
        /// Clusters changed by configuration; zero with static configuration.
        ClusterModified => counter "cluster_modified",
        /// Clusters removed by configuration; zero with static configuration.
        ClusterRemoved => counter "cluster_removed",
        /// Clusters in service.
        ActiveClusters => gauge "active_clusters",
        /// Clusters waiting for their first hosts.
        WarmingClusters => gauge "warming_clusters",
    }
}

crate::stats! {
    /// Stats of one thread, below `thread_local_cluster_manager.<thread>`.
    pub enum ThreadClusterManagerStat {
        /// Clusters that the thread has made its view of: all of them, at start.
        ClustersInflated => gauge "clusters_inflated",
    }
}

crate::stats! {
    /// Stats below `listener.admin`.
    pub enum AdminListenerStat {
        /// Connections accepted on the admin address.
        DownstreamCxTotal => counter "downstream_cx_total" main_thread,
        /// Admin connections open now.
        DownstreamCxActive => gauge "downstream_cx_active" main_thread,
        /// Admin connections closed.
        DownstreamCxDestroy => counter "downstream_cx_destroy",
        /// From accepting to closing.
        DownstreamCxLengthMs => histogram "downstream_cx_length_ms" ms,
        /// Admin connections rejected because too many were open.
        DownstreamCxOverflow => counter "downstream_cx_overflow",
    }
}

crate::stats! {
    /// Stats below `http.admin`.
    pub enum AdminHttpStat {
        /// Connections accepted and not turned away.
        DownstreamCxTotal => counter "downstream_cx_total",
        /// Connections open now.
        DownstreamCxActive => gauge "downstream_cx_active",
        /// Connections closed.
        DownstreamCxDestroy => counter "downstream_cx_destroy",
        /// The same as `downstream_cx_total`: HTTP/1.1 is all there is.
        DownstreamCxHttp1Total => counter "downstream_cx_http1_total",
        /// The same as `downstream_cx_active`.
        DownstreamCxHttp1Active => gauge "downstream_cx_http1_active",
        /// From accepting to closing.
        DownstreamCxLengthMs => histogram "downstream_cx_length_ms" ms,
        /// Requests received.
        DownstreamRqTotal => counter "downstream_rq_total",
        /// Requests being answered now; the scrape that reads it is one.
        DownstreamRqActive => gauge "downstream_rq_active",
        /// Requests answered.
        DownstreamRqCompleted => counter "downstream_rq_completed",
        /// The same as `downstream_rq_total`: HTTP/1.1 is all there is.
        DownstreamRqHttp1Total => counter "downstream_rq_http1_total",
        /// From a request's head until the last of its answer was handed over.
        DownstreamRqTime => histogram "downstream_rq_time" ms,
        /// Requests answered with a 2xx status.
        DownstreamRq2xx => counter "downstream_rq_2xx",
        /// Requests answered with a 4xx status.
        DownstreamRq4xx => counter "downstream_rq_4xx",
        /// Requests answered with a 5xx status.
        DownstreamRq5xx => counter "downstream_rq_5xx",
    }
}

/// The prefix of [`super::ListenerHttpStat`] of the admin server.
pub const ADMIN_LISTENER_HTTP_PREFIX: &str = "listener.admin.http.admin";
/// The prefix of [`ServerStat`].
pub const SERVER_PREFIX: &str = "server";
/// The prefix of [`ListenerManagerStat`].
pub const LISTENER_MANAGER_PREFIX: &str = "listener_manager";
/// The prefix of [`ClusterManagerStat`].
pub const CLUSTER_MANAGER_PREFIX: &str = "cluster_manager";
/// The prefix of [`ThreadClusterManagerStat`] on a worker.
#[must_use]
pub fn worker_cluster_manager_prefix(worker: usize) -> String {
    format!("thread_local_cluster_manager.worker_{worker}")
}
/// The prefix of [`ThreadClusterManagerStat`] on control.
pub const MAIN_CLUSTER_MANAGER_PREFIX: &str = "thread_local_cluster_manager.main_thread";
/// The prefix of [`AdminListenerStat`].
pub const ADMIN_LISTENER_PREFIX: &str = "listener.admin";
/// The prefix of [`AdminHttpStat`].
pub const ADMIN_HTTP_PREFIX: &str = "http.admin";
