//! The life of the process, from its arguments to its exit code.

use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::net::{IpAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use cluster::Shared;
use config::Position;
use control::{
    Configured, Control, Handle, Limits, ListenerInfo, Order, ServerInfo, Shutdown, State,
};
use control::{StatsFlush, StatsOptions};
use observe::names::{MAIN_CLUSTER_MANAGER_PREFIX, ThreadClusterManagerStat};
use observe::{Registry, Shard, ShardIndex};
use proxy::access_log::LogSettings;
use reactor::Features;

use crate::access_log::{self, AccessLogPart};
use crate::base_id::BaseId;
use crate::bootstrap::{self, Bootstrap, Origin};
use crate::ejections;
use crate::fleet::{COMMANDS_MAX, Fleet, OnEnd};
use crate::global_connections::GlobalConnections;
use crate::listen::{self, Bound, WorkerListener};
use crate::logging::{self, Log};
use crate::managers::Managers;
use crate::options::{Mode, Options, ReportFormat, StatsTag};
use crate::outlier_log;
use crate::worker::{Command, Plan};
use crate::{affinity, demo, exit, handovers, local_address, names};

/// Runs the process with these arguments, the first of which is the program's name.
///
/// 0: it ended as asked, or the configuration is valid. 1: the command line was not understood, or
/// it could not start or go on; standard error says why.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let origin = if arguments.len() > 1 { Origin::Options } else { Origin::Demo };
    let options = match parse(&arguments, &origin) {
        Ok(options) => options,
        Err(error) => {
            // The help and the version come this way too. Nobody reading is no reason to fail.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { exit::FAILED } else { exit::OK });
        }
    };
    ExitCode::from(match execute(&options, &origin) {
        Ok(()) => exit::OK,
        Err(lines) => {
            // Nobody reading is no reason to fail in another way.
            let mut stderr = io::stderr();
            for line in lines {
                drop(writeln!(stderr, "{line}"));
            }
            exit::FAILED
        }
    })
}

fn parse(arguments: &[OsString], origin: &Origin) -> Result<Options, clap::Error> {
    let options = Options::try_parse_from(arguments)?;
    let refuse = |text| Options::command().error(ErrorKind::ArgumentConflict, text);
    options.check().map_err(refuse)?;
    let configured = options.config_path.is_some() || options.config_yaml.is_some();
    if *origin == Origin::Options && !configured && options.needs_configuration() {
        let text = "no configuration: give one with -c; without any argument a demo runs";
        return Err(Options::command().error(ErrorKind::MissingRequiredArgument, text));
    }
    Ok(options)
}

/// Lines for standard error, one for each thing that went wrong.
type Failures = Vec<String>;

fn one(line: impl ToString) -> Failures {
    vec![line.to_string()]
}

fn lines(problems: &[config::Problem]) -> Failures {
    problems.iter().map(ToString::to_string).collect()
}

fn execute(options: &Options, origin: &Origin) -> Result<(), Failures> {
    if options.print_default_config {
        return print(demo::YAML);
    }
    if options.hot_restart_version {
        // Envoy's words for a process that does no hot restart, where Envoy writes them.
        drop(writeln!(io::stderr(), "disabled"));
        return Ok(());
    }
    let log = logging::start(&options.log_settings()).map_err(one)?;
    let ended = configure_and_run(options, origin, &log);
    log.flush();
    ended
}

fn configure_and_run(options: &Options, origin: &Origin, log: &Arc<Log>) -> Result<(), Failures> {
    let bootstrap = bootstrap::load(options, origin).map_err(|report| {
        one(match options.config_report {
            ReportFormat::Text => report.to_string(),
            ReportFormat::Json => report.to_json().to_string(),
        })
    })?;
    set_log_format(options, &bootstrap, log)?;
    for warning in bootstrap.loaded.warnings.problems() {
        tracing::warn!("{warning}");
    }
    if bootstrap.loaded.warnings.omitted() > 0 {
        tracing::warn!("and {} more warnings", bootstrap.loaded.warnings.omitted());
    }
    for (option, reason) in options.without_effect() {
        tracing::warn!("{option} has no effect: {reason}");
    }
    let access_logs = access_log::plan(&bootstrap).map_err(|problems| lines(&problems))?;
    match options.mode {
        Mode::Validate => match options.config_report {
            ReportFormat::Text => print(&format!("configuration '{}' OK\n", bootstrap.file)),
            ReportFormat::Json => print(&format!("{}\n", bootstrap.loaded.warnings.to_json())),
        },
        Mode::Serve | Mode::InitOnly => serve(options, origin, bootstrap, access_logs, log),
    }
}

/// The configuration may say how the log looks from now on, but not against the command line.
fn set_log_format(options: &Options, bootstrap: &Bootstrap, log: &Log) -> Result<(), Failures> {
    let Some(format) = &bootstrap.loaded.bootstrap.log_format else { return Ok(()) };
    if options.log_format.is_some() {
        let path = "application_log_config.log_format";
        let Position { line, column } = bootstrap.loaded.places.find(path).key;
        return Err(one(format!(
            "{}:{line}:{column}: {path}: Only one of ApplicationLogConfig.log_format or CLI option \
             --log-format can be specified; leave one of them out",
            bootstrap.file
        )));
    }
    log.set_format(format);
    Ok(())
}

fn print(text: &str) -> Result<(), Failures> {
    let mut stdout = io::stdout();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| one(format!("cannot write to standard output: {error}")))
}

fn serve(
    options: &Options,
    origin: &Origin,
    bootstrap: Bootstrap,
    access_logs: proxy::access_log::Plan,
    log: &Arc<Log>,
) -> Result<(), Failures> {
    let started = now();
    let random = RandomState::new();
    let base_id = BaseId::take(options, random.hash_one("base id")).map_err(one)?;
    let features = ring_features().map_err(one)?;
    raise_descriptor_limit();
    if options.enable_core_dump {
        raise_core_limit();
    }
    let workers = worker_count(options.concurrency);
    let cpus = affinity::cpus(workers);
    let bound = listen::bind_all(&bootstrap, workers, cpus.as_deref())
        .map_err(|problems| lines(&problems))?;
    let targets =
        access_log::open_all(&access_logs, &bootstrap).map_err(|problems| lines(&problems))?;
    let outlier_log = outlier_log::open(&bootstrap).map_err(|problem| lines(&[problem]))?;
    let admin_address = admin_address(bound.admin.as_ref())?;
    log_start(features, workers, &bound, admin_address.as_deref());
    if let Some(base_id) = base_id.as_ref().filter(|_| options.use_dynamic_base_id) {
        tracing::info!(base_id = base_id.id(), "chose a base id");
    }

    let registry = Registry::new(workers);
    let shard = registry.shard(ShardIndex::Control).expect("the registry is new");
    let clusters = clusters(&bootstrap, &registry, &shard);
    let mut managers = Managers::new(&registry, &shard, &bound);
    managers.set_up(bound.listeners.len(), clusters.len(), workers);
    inflate_clusters(&registry, &shard, clusters.len());

    let no_thread =
        |error| one(format!("cannot start the log of ejections: {error}; see 'ulimit -u'"));
    let outlier_log = outlier_log.map(|target| outlier_log::start(target, &registry, &shard));
    let (outlier_log, outlier_writer) = outlier_log.transpose().map_err(no_thread)?.unzip();
    let concurrency = u32::try_from(workers).unwrap_or(u32::MAX);
    let control = Control::new(control::Options {
        admin: bound.admin,
        limits: Limits::default(),
        registry: registry.clone(),
        shard,
        info: ServerInfo {
            version: concat!("nuncio ", env!("CARGO_PKG_VERSION")).to_owned(),
            command_line_options: options.to_server_info(concurrency),
            node: bootstrap.loaded.bootstrap.node.clone(),
            concurrency,
        },
        log: Arc::<Log>::clone(log),
        configured: configured(options, &bootstrap, &bound.listeners, &clusters),
        runtime: bootstrap.loaded.bootstrap.runtime.clone(),
        outlier_log,
        drain_time: Duration::from_secs(u64::from(options.drain_time_s)),
    })
    .map_err(|error| {
        one(format!("cannot start the control loop: {error}; see 'ulimit -n' and 'ulimit -u'"))
    })?;
    let handle = control.handle();

    let settings = LogSettings {
        flush_min_bytes: usize::try_from(options.file_flush_min_size_kb)
            .unwrap_or(usize::MAX)
            .saturating_mul(1024),
        flush_interval: Duration::from_millis(u64::from(options.file_flush_interval_msec)),
    };
    let (access_logs, log_writers) = access_log::parts(access_logs, targets, settings, workers)
        .map_err(|error| {
            one(format!("cannot start the access logs: {error}; see 'ulimit -n' and 'ulimit -u'"))
        })?;
    let log_plan = access_logs.first().map(|part| Arc::clone(&part.plan));
    let mut reopener = log_writers.reopener();
    outlier_writer.iter().for_each(|writer| writer.add_to(&mut reopener));
    log.set_access_logs(reopener);
    let local_address = local_address::find(options.local_address_ip_version);
    let config = &bootstrap.loaded.bootstrap;
    let connections = GlobalConnections::new(config);
    let hands = Bound::deal(bound.listeners, &config.runtime, connections.limit.as_ref(), workers);
    control.follow_runtime({
        let listeners: Vec<_> =
            hands.first().into_iter().flatten().map(|one| Arc::clone(&one.shared)).collect();
        let (clusters, log_plan) = (clusters.clone(), log_plan);
        move |runtime, shard| {
            connections.follow_runtime(runtime);
            listeners.iter().for_each(|listener| listener.follow_runtime(runtime));
            clusters.iter().for_each(|cluster| cluster.follow_runtime(runtime, shard));
            log_plan.iter().for_each(|plan| plan.follow_runtime(runtime));
        }
    });
    let (herald, ejections) = ejections::parts(&clusters, workers).map_err(no_mailbox)?;
    let mut plans = plans(
        features,
        hands,
        &clusters,
        &registry,
        (&random, local_address),
        access_logs,
        &handle,
    )?;
    for ((plan, _), ejections) in plans.iter_mut().zip(ejections) {
        plan.ejections = ejections;
    }
    let on_end: OnEnd = Arc::new({
        let handle = handle.clone();
        move || handle.stop()
    });
    let fleet = Fleet::start(plans, &on_end).map_err(describe)?;
    if let (Some(path), Some(address)) = (&options.admin_address_path, &admin_address)
        && let Err(line) = write_admin_address(path, address)
    {
        return Err(one(line).into_iter().chain(describe(fleet.finish())).collect());
    }
    if options.mode == Mode::InitOnly {
        let failures = fleet.finish();
        return if failures.is_empty() { Ok(()) } else { Err(describe(failures)) };
    }
    log.limit();
    fleet.command(Command::Serve);
    managers.workers_started(now().saturating_duration_since(started));
    handle.set_state(State::Live);
    tracing::info!("live");
    if *origin == Origin::Demo {
        demo::announce();
    }

    let grace = Duration::from_secs(u64::from(options.shutdown_grace_s));
    control.run(|order| match order {
        Order::Close(listeners) => {
            managers.closed(listeners);
            fleet.command(Command::Close(listeners));
        }
        Order::DrainEjected => herald.tell(),
        Order::Shutdown(Shutdown::Graceful) => {
            tracing::info!(grace_s = grace.as_secs(), "draining");
            handle.set_state(State::Draining);
            managers.draining();
            fleet.command(Command::Drain(grace));
        }
        Order::Shutdown(Shutdown::Now) => handle.stop(),
    });
    let failures = fleet.finish();
    log_writers.finish();
    if let Some(writer) = outlier_writer {
        writer.finish();
    }
    tracing::info!("exiting");
    drop(base_id);
    if failures.is_empty() { Ok(()) } else { Err(describe(failures)) }
}

/// What the kernel offers, without what `NUNCIO_RING_FEATURES` switches off.
fn ring_features() -> Result<Features, reactor::RingError> {
    #[expect(clippy::disallowed_methods, reason = "server is where the environment is read")]
    let list = std::env::var("NUNCIO_RING_FEATURES");
    let list = match list {
        Ok(list) => list,
        Err(std::env::VarError::NotPresent) => String::new(),
        // Refused with the text as far as it can be shown.
        Err(std::env::VarError::NotUnicode(list)) => list.to_string_lossy().into_owned(),
    };
    reactor::probe()?.without(&list)
}

/// Lets the process open as many descriptors as its hard limit allows: every relayed connection
/// needs two.
fn raise_descriptor_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "descriptor limit"),
        Err(error) => tracing::warn!(%error, "cannot raise the descriptor limit; see 'ulimit -n'"),
    }
}

/// A crash may leave a core file of any size, as far as the hard limit goes.
fn raise_core_limit() {
    let raised = rlimit::getrlimit(rlimit::Resource::CORE)
        .and_then(|(_, hard)| rlimit::setrlimit(rlimit::Resource::CORE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "cannot raise the limit of core files; see 'ulimit -c'");
    }
}

/// As Envoy, 0 asks for one worker.
fn worker_count(concurrency: Option<u32>) -> usize {
    match concurrency {
        Some(count) => usize::try_from(count.max(1)).unwrap_or(usize::MAX),
        None => thread::available_parallelism().map_or(1, usize::from),
    }
}

fn admin_address(admin: Option<&TcpListener>) -> Result<Option<String>, Failures> {
    match admin.map(TcpListener::local_addr).transpose() {
        Ok(address) => Ok(address.map(|address| address.to_string())),
        Err(error) => Err(one(format!("cannot read the admin address: {error}"))),
    }
}

fn write_admin_address(path: &Path, address: &str) -> Result<(), String> {
    std::fs::write(path, address).map_err(|error| {
        let path = path.display();
        format!("--admin-address-path: cannot write {path}: {error}; check the path")
    })
}

fn log_start(features: Features, workers: usize, bound: &Bound, admin: Option<&str>) {
    let pinned = affinity::cores(workers).is_some();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), workers, pinned, %features, "starting");
    tracing::info!(listeners = bound.listeners.len(), "all addresses are bound");
    for (config, listener) in &bound.listeners {
        // A line each would be many; /listeners shows them too.
        for bound in &listener.addresses {
            tracing::debug!(listener = config.name, address = %bound.address, "listening");
        }
    }
    match admin {
        Some(address) => tracing::info!(address, "admin listening"),
        None => tracing::info!("no admin listener is configured"),
    }
}

/// The process-wide part of each cluster, with its membership published.
fn clusters(bootstrap: &Bootstrap, registry: &Registry, control: &Shard) -> Vec<Arc<Shared>> {
    let configs = bootstrap.loaded.bootstrap.clusters.iter();
    configs
        .map(|config| {
            let shared = Shared::new(Arc::clone(config), registry);
            shared.publish(control);
            shared
        })
        .collect()
}

fn stats_options(bootstrap: &config::model::Bootstrap, tags: &[StatsTag]) -> StatsOptions {
    let defaults = StatsOptions::default();
    StatsOptions {
        config: bootstrap.stats.clone(),
        fixed_tags: tags.iter().map(|tag| (tag.name.clone(), tag.value.clone())).collect(),
        flush: match bootstrap.stats_flush_interval {
            _ if bootstrap.stats_flush_on_admin => StatsFlush::OnAdmin,
            Some(interval) => StatsFlush::Every(interval),
            None => defaults.flush,
        },
    }
}

/// What the admin pages show of the configuration.
fn configured(
    options: &Options,
    bootstrap: &Bootstrap,
    listeners: &[(Arc<config::model::Listener>, net::listener::BoundListener)],
    clusters: &[Arc<Shared>],
) -> Configured {
    let dump = &bootstrap.loaded.dump;
    // Of listeners with the same name only the first one runs.
    let mut written = dump.listeners().iter().enumerate();
    let mut info = |(config, bound): &(Arc<config::model::Listener>, _)| {
        let bound: &net::listener::BoundListener = bound;
        let place = written.find(|(_, resource)| resource.name() == config.name);
        ListenerInfo {
            name: names::of_listener(config),
            addresses: bound.addresses.iter().map(|one| one.address.clone()).collect(),
            index: place.map_or(usize::MAX, |(index, _)| index),
        }
    };
    #[expect(clippy::disallowed_methods, reason = "when the configuration was read is shown")]
    let loaded_at = SystemTime::now();
    Configured {
        listeners: listeners.iter().map(&mut info).collect(),
        clusters: clusters.to_vec(),
        stats: stats_options(&bootstrap.loaded.bootstrap, &options.stats_tag),
        dump: dump.clone(),
        loaded_at,
    }
}

fn plans(
    features: Features,
    hands: Vec<Vec<WorkerListener>>,
    clusters: &[Arc<Shared>],
    registry: &Registry,
    (random, local_address): (&RandomState, IpAddr),
    access_logs: Vec<AccessLogPart>,
    handle: &Handle,
) -> Result<Vec<(Plan, reactor::Sender<Command>)>, Failures> {
    let workers = access_logs.len();
    let cores = affinity::cores(workers);
    let handovers = handovers::parts(&hands).map_err(no_mailbox)?;
    let plan = |(index, ((listeners, access_logs), handovers))| {
        let (sender, commands) = reactor::channel(COMMANDS_MAX)?;
        let core = cores.as_ref().and_then(|cores| cores.get(index).copied());
        let plan = Plan {
            index,
            core,
            features,
            listeners,
            clusters: clusters.to_vec(),
            registry: registry.clone(),
            local_address,
            random: random.clone(),
            access_logs,
            health_failed: handle.health_failed_flag(),
            handovers,
            ejections: None,
            commands,
        };
        Ok((plan, sender))
    };
    let plans: io::Result<Vec<_>> =
        hands.into_iter().zip(access_logs).zip(handovers).enumerate().map(plan).collect();
    plans.map_err(no_mailbox)
}

fn no_mailbox(error: io::Error) -> Failures {
    one(format!("cannot make a mailbox: {error}; see 'ulimit -n'"))
}

fn describe(failures: Vec<crate::fleet::Failure>) -> Failures {
    failures.iter().map(|failure| format!("nuncio: {failure}")).collect()
}

#[expect(clippy::disallowed_methods, reason = "how long the start took is known here only")]
fn now() -> Instant {
    Instant::now()
}

/// Control sees every cluster from the start, as a worker does.
fn inflate_clusters(registry: &Registry, control: &Shard, clusters: usize) {
    let stats = registry.scope(MAIN_CLUSTER_MANAGER_PREFIX).on(control);
    let clusters = u64::try_from(clusters).unwrap_or(u64::MAX);
    stats.gauge_set(ThreadClusterManagerStat::ClustersInflated, clusters);
}
