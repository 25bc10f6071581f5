//! What the pages can see: the registry, the state, what the process was started with.

use std::fs;
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use cluster::Shared;
use config::Resource;
use config::model::Node;
use observe::names::{
    ADMIN_HTTP_PREFIX, ADMIN_LISTENER_HTTP_PREFIX, ADMIN_LISTENER_PREFIX, AdminHttpDormantStat,
    AdminHttpStat, AdminListenerDormantStat, AdminListenerStat, ListenerHttpStat, ListenerStat,
    SERVER_PREFIX, ServerDormantStat, ServerStat,
};
use observe::{Registry, Scope, Shard};
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::drain::Drain;
use super::listeners::ListenerInfo;
use super::stats::{StatsOptions, StatsPages};
use crate::clock;
use crate::log::LogControl;
use crate::outliers::Outliers;
use crate::runtime::Runtime;
use crate::state::{Handle, State};

/// What `/server_info` shows besides state and uptime.
#[derive(Debug, Clone)]
pub struct ServerInfo {
    /// Version line of the program, also what `--version` prints.
    pub version: String,
    /// The options in effect, by Envoy's field names of `CommandLineOptions`.
    pub command_line_options: Map<String, Value>,
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
    /// How stats are shown.
    pub stats: StatsOptions,
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

/// What a page may change.
#[derive(Debug)]
pub(crate) struct Levers {
    pub(crate) handle: Handle,
    /// Asks for a graceful shutdown.
    pub(crate) quit: Rc<Notify>,
    pub(crate) log: Arc<dyn LogControl>,
    pub(crate) drain: Rc<Drain>,
    pub(crate) runtime: Rc<Runtime>,
    pub(crate) outliers: Rc<Outliers>,
}

/// Everything a page may read or ring.
#[derive(Debug)]
pub(crate) struct View {
    registry: Registry,
    handle: Handle,
    info: ServerInfo,
    configured: Configured,
    /// The places of the clusters in the file, sorted by name.
    cluster_places: Vec<usize>,
    stats: StatsPages,
    start: Instant,
    server: Scope<ServerStat>,
    pub(crate) listener: Scope<AdminListenerStat>,
    pub(crate) http: Scope<AdminHttpStat>,
    pub(crate) listener_http: Scope<ListenerHttpStat>,
    quit: Rc<Notify>,
    log: Arc<dyn LogControl>,
    drain: Rc<Drain>,
    runtime: Rc<Runtime>,
    outliers: Rc<Outliers>,
}

impl View {
    pub(crate) fn new(
        registry: Registry,
        shard: &Shard,
        info: ServerInfo,
        mut configured: Configured,
        levers: Levers,
    ) -> Self {
        let Levers { handle, quit, log, drain, runtime, outliers } = levers;
        configured.clusters.sort_by(|a, b| a.config().name.cmp(&b.config().name));
        let server = registry.scope(SERVER_PREFIX).on(shard);
        set_constants(&server, &info);
        registry.declare::<ServerDormantStat>(SERVER_PREFIX);
        registry.declare::<AdminListenerDormantStat>(ADMIN_LISTENER_PREFIX);
        let written = configured.dump.clusters();
        let mut cluster_places: Vec<usize> = (0..written.len()).collect();
        cluster_places.sort_by_key(|place| written.get(*place).map(Resource::name));
        registry.declare::<AdminHttpDormantStat>(ADMIN_HTTP_PREFIX);
        Self {
            server,
            listener: registry.scope(ADMIN_LISTENER_PREFIX).on(shard),
            http: registry.scope(ADMIN_HTTP_PREFIX).on(shard),
            listener_http: registry.scope(ADMIN_LISTENER_HTTP_PREFIX).on(shard),
            start: clock::now(),
            registry,
            handle,
            info,
            stats: StatsPages::new(&configured.stats),
            configured,
            cluster_places,
            quit,
            log,
            drain,
            runtime,
            outliers,
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

    /// Brings the stats of the process up to date. (Envoy does that every `stats_flush_interval`,
    /// so its figures are up to five seconds old.)
    pub(crate) fn refresh(&self) {
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
    }

    /// Where every stat is found.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What the pages of stats keep.
    pub(crate) fn stats(&self) -> &StatsPages {
        &self.stats
    }

    /// Ends the intervals of the histograms, again and again; never returns.
    pub(crate) async fn flush_stats(&self) {
        let Some(interval) = self.stats.flush_interval() else { return pending().await };
        loop {
            sleep(interval).await;
            self.registry.flush();
        }
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

    /// The detectors of outliers.
    pub(crate) fn outliers(&self) -> &Outliers {
        &self.outliers
    }

    /// What the file says of the cluster at this place of the list sorted by name.
    pub(crate) fn cluster_resource(&self, index: usize) -> Option<&Resource> {
        self.configured.dump.clusters().get(*self.cluster_places.get(index)?)
    }

    /// When the configuration was read, as protobuf writes a time in JSON.
    pub(crate) fn loaded_at(&self) -> String {
        let mut time = prost_types::Timestamp::from(self.configured.loaded_at);
        // Envoy keeps milliseconds.
        time.nanos -= time.nanos % 1_000_000;
        time.to_string()
    }

    /// The bootstrap as it runs, without listeners and clusters: with the node that the command
    /// line may have named and with what the program says about itself.
    pub(crate) fn bootstrap_json(&self) -> Value {
        let mut written = match self.configured.dump.bootstrap() {
            Ok(Value::Object(written)) => written,
            Ok(other) => return other,
            // What was read once decodes again.
            Err(error) => return Value::String(error.to_string()),
        };
        let mut node = Map::new();
        let Node { id, cluster, .. } = &self.info.node;
        let named = [("id", id), ("cluster", cluster)];
        let named = named.into_iter().filter(|(_, value)| !value.is_empty());
        node.extend(named.map(|(name, value)| (name.to_owned(), json!(value))));
        if let Some(Value::Object(others)) = written.remove("node") {
            let others = others.into_iter().filter(|(name, _)| name != "id" && name != "cluster");
            node.extend(others);
        }
        node.insert("user_agent_name".to_owned(), json!(USER_AGENT));
        node.insert("user_agent_build_version".to_owned(), build_version(Defaults::LeftOut));
        let mut bootstrap = Map::from_iter([("node".to_owned(), Value::Object(node))]);
        bootstrap.extend(written);
        Value::Object(bootstrap)
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub(crate) fn log(&self) -> &dyn LogControl {
        &*self.log
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
fn set_constants(server: &Scope<ServerStat>, info: &ServerInfo) {
    server.gauge_set(ServerStat::CompilationSettingsFipsMode, 0);
    server.gauge_set(ServerStat::DaysUntilFirstCertExpiring, u64::from(u32::MAX));
    server.gauge_set(ServerStat::HotRestartEpoch, 0);
    if info.command_line_options.get("disable_hot_restart") != Some(&Value::Bool(true)) {
        server.gauge_set(ServerStat::HotRestartGeneration, 1);
    }
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

/// What the program calls itself to others.
pub(crate) const USER_AGENT: &str = "nuncio";

/// Whether fields that are zero are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defaults {
    Written,
    LeftOut,
}

/// Envoy's `config.core.v3.BuildVersion`.
pub(crate) fn build_version(defaults: Defaults) -> Value {
    let parts = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version: Map<String, Value> = ["major_number", "minor_number", "patch"]
        .into_iter()
        .zip(parts)
        .filter(|(_, number)| *number > 0 || defaults == Defaults::Written)
        .map(|(name, number)| (name.to_owned(), json!(number)))
        .collect();
    json!({ "version": version })
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
