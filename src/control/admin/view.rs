//! What the pages can see: the registry, the state, what the process was started with.

use std::fs;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use cluster::Shared;
use config::model::Node;
use observe::names::{
    ADMIN_HTTP_PREFIX, ADMIN_LISTENER_PREFIX, AdminHttpStat, AdminListenerDormantStat,
    AdminListenerStat, ListenerStat, SERVER_PREFIX, ServerDormantStat, ServerStat,
};
use observe::{Registry, Sample, Scope, Shard};
use tokio::sync::Notify;

use super::drain::Drain;
use super::listeners::ListenerInfo;
use crate::clock;
use crate::log::LogControl;
use crate::state::{Handle, State};

/// What `/server_info` shows besides state and uptime.
#[derive(Debug, Clone)]
pub struct ServerInfo {
    /// Version line of the program, also what `--version` prints.
    pub version: String,
    /// The options in effect, by Envoy's field names of `CommandLineOptions`.
    pub command_line_options: serde_json::Map<String, serde_json::Value>,
    /// Who this process says it is.
    pub node: Node,
    /// Worker threads.
    pub concurrency: u32,
}

/// What the process runs, as the pages show it.
#[derive(Debug)]
pub struct Configured {
    /// The listeners in the order of the configuration.
    pub listeners: Vec<ListenerInfo>,
    /// The clusters; the pages show them sorted by name.
    pub clusters: Vec<Arc<Shared>>,
    /// The configuration as it was written.
    pub dump: config::Dump,
    /// When it was read.
    pub loaded_at: SystemTime,
}

/// What the kernel says about the memory of the process; zero where it does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// What allocators got and touched.
    pub(crate) anonymous_bytes: u64,
    pub(crate) resident_bytes: u64,
}

/// Everything a page may read or ring.
#[derive(Debug)]
pub(crate) struct View {
    registry: Registry,
    handle: Handle,
    info: ServerInfo,
    configured: Configured,
    start: Instant,
    server: Scope<ServerStat>,
    pub(crate) listener: Scope<AdminListenerStat>,
    pub(crate) http: Scope<AdminHttpStat>,
    quit: Rc<Notify>,
    log: Arc<dyn LogControl>,
    drain: Rc<Drain>,
}

impl View {
    pub(crate) fn new(
        registry: Registry,
        shard: &Shard,
        info: ServerInfo,
        mut configured: Configured,
        handle: Handle,
        quit: Rc<Notify>,
        log: Arc<dyn LogControl>,
        drain: Rc<Drain>,
    ) -> Self {
        configured.clusters.sort_by(|a, b| a.config().name.cmp(&b.config().name));
        let server = registry.scope(SERVER_PREFIX).on(shard);
        set_constants(&server);
        registry.declare::<ServerDormantStat>(SERVER_PREFIX);
        registry.declare::<AdminListenerDormantStat>(ADMIN_LISTENER_PREFIX);
        Self {
            server,
            listener: registry.scope(ADMIN_LISTENER_PREFIX).on(shard),
            http: registry.scope(ADMIN_HTTP_PREFIX).on(shard),
            start: clock::now(),
            registry,
            handle,
            info,
            configured,
            quit,
            log,
            drain,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.handle.state()
    }

    pub(crate) fn info(&self) -> &ServerInfo {
        &self.info
    }

    /// Whole seconds since the process took over its signals.
    pub(crate) fn uptime_s(&self) -> u64 {
        clock::now().saturating_duration_since(self.start).as_secs()
    }

    /// All stats, those of the process brought up to date first. (Envoy does that every
    /// `stats_flush_interval`, so its figures are up to five seconds old.)
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let state = self.state();
        let server = &self.server;
        server.gauge_set(ServerStat::Uptime, self.uptime_s());
        server.gauge_set(ServerStat::Concurrency, u64::from(self.info.concurrency));
        server.gauge_set(ServerStat::Live, u64::from(state == State::Live));
        server.gauge_set(ServerStat::State, u64::from(state.number()));
        let losses = self.log.losses();
        server.publish(ServerStat::LogLinesSuppressed, losses.suppressed);
        server.publish(ServerStat::LogLinesDropped, losses.dropped);
        server.publish(ServerStat::LogWritesFailed, losses.failed_writes);
        let connections = self.registry.sum(ListenerStat::DownstreamCxActive);
        server.gauge_set(ServerStat::TotalConnections, connections);
        let memory = self.memory();
        server.gauge_set(ServerStat::MemoryAllocated, memory.anonymous_bytes);
        server.gauge_set(ServerStat::MemoryHeapSize, memory.anonymous_bytes);
        server.gauge_set(ServerStat::MemoryPhysicalSize, memory.resident_bytes);
        self.registry.snapshot()
    }

    /// How much memory the process has now.
    pub(crate) fn memory(&self) -> Memory {
        match fs::read_to_string("/proc/self/status") {
            Ok(status) => {
                let bytes = |field| kib_field(&status, field).map_or(0, |kib| kib * 1024);
                Memory { anonymous_bytes: bytes("RssAnon:"), resident_bytes: bytes("VmRSS:") }
            }
            // No /proc in this container: zero says "unknown".
            Err(error) => {
                tracing::debug!(%error, "cannot read /proc/self/status");
                Memory::default()
            }
        }
    }

    pub(crate) fn configured(&self) -> &Configured {
        &self.configured
    }

    /// Every cluster, sorted by name.
    pub(crate) fn clusters(&self) -> &[Arc<Shared>] {
        &self.configured.clusters
    }

    pub(crate) fn drain(&self) -> &Rc<Drain> {
        &self.drain
    }

    /// Lets the process look unhealthy to whoever asks, or healthy again.
    pub(crate) fn set_health_failed(&self, failed: bool) {
        self.handle.set_health_failed(failed);
    }

    /// Asks the control loop for a graceful shutdown.
    pub(crate) fn request_quit(&self) {
        self.quit.notify_one();
    }
}

/// What stays as it is while the process runs.
fn set_constants(server: &Scope<ServerStat>) {
    server.gauge_set(ServerStat::CompilationSettingsFipsMode, 0);
    server.gauge_set(ServerStat::DaysUntilFirstCertExpiring, u64::from(u32::MAX));
    server.gauge_set(ServerStat::HotRestartEpoch, 0);
    server.gauge_set(ServerStat::HotRestartGeneration, 1);
    server.gauge_set(ServerStat::ParentConnections, 0);
    server.gauge_set(ServerStat::Version, version_number());
}

/// `1.2.3` as 10203.
fn version_number() -> u64 {
    [
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
        env!("CARGO_PKG_VERSION_PATCH"),
    ]
    .iter()
    .fold(0, |number, part| number * 100 + part.parse::<u64>().unwrap_or(0))
}

/// A line such as `VmRSS:      1234 kB`.
fn kib_field(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_fields_are_read_from_proc_status() {
        let status = "Name:\tnuncio\nVmRSS:\t    5120 kB\nRssAnon:\t    1024 kB\n";
        assert_eq!(kib_field(status, "VmRSS:"), Some(5120));
        assert_eq!(kib_field(status, "RssAnon:"), Some(1024));
        assert_eq!(kib_field(status, "VmSwap:"), None);
        assert_eq!(kib_field("VmRSS:\n", "VmRSS:"), None);
    }
}
