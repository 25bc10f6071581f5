//! The options that every measuring command has, and the checks on them.

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::workload::Workload;

/// The work that a plain run does.
pub const DEFAULT_WORK: &str = "tcp64,tcp512";

/// How much to measure, and where on the machine.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Rounds per arm; arms are interleaved inside each round
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,

    /// Seconds measured per arm and round
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub seconds: u32,

    /// Seconds of load before the measured time starts
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=60))]
    pub warmup: u32,

    /// Core for the proxy
    #[arg(long, default_value_t = 0)]
    pub proxy_core: usize,

    /// Core for load generator and upstream
    #[arg(long, default_value_t = 1)]
    pub load_core: usize,

    /// Run everything under SCHED_RR, so that other work on the machine disturbs less (needs
    /// CAP_SYS_NICE; it starves that other work)
    #[arg(long)]
    pub realtime: bool,

    /// Keep the directory with the generated configurations and the proxies' logs
    #[arg(long)]
    pub keep: bool,
}

impl Options {
    /// One line that says on what and how it is measured; a figure without it cannot be repeated.
    #[must_use]
    pub fn describe(&self) -> String {
        let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpus
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("unknown processor", |(_, name)| name);
        let class = if self.realtime { "SCHED_RR" } else { "default scheduling" };
        format!(
            "Linux {kernel}, {model}; proxy on core {}, load on core {}, {class}; \
             {} rounds of {} s after {} s",
            self.proxy_core, self.load_core, self.rounds, self.seconds, self.warmup
        )
    }

    /// Pins this process to the load core, gives it the scheduling class asked for and all the
    /// descriptors it may have. Threads and processes started later inherit all three.
    ///
    /// # Errors
    /// When a core does not exist or may not be used, or real-time scheduling is refused.
    pub fn apply(&self) -> Result<()> {
        ensure!(
            self.proxy_core != self.load_core,
            "--proxy-core and --load-core are both {}: the proxy needs a core of its own",
            self.proxy_core
        );
        let allowed = rustix::thread::sched_getaffinity(None).context("read the allowed cores")?;
        for core in [self.proxy_core, self.load_core] {
            if core >= rustix::thread::CpuSet::MAX_CPU || !allowed.is_set(core) {
                bail!("core {core} is not in this process's affinity mask; choose another core");
            }
        }
        let mut mask = rustix::thread::CpuSet::new();
        mask.set(self.load_core);
        rustix::thread::sched_setaffinity(None, &mask).context("pin to the load core")?;
        if self.realtime {
            use_realtime_scheduling()?;
        }
        raise_descriptor_limit()
    }
}

/// Puts this process into SCHED_RR through `chrt`, which spares an unsafe system call.
fn use_realtime_scheduling() -> Result<()> {
    let pid = std::process::id().to_string();
    let status = std::process::Command::new("chrt")
        .args(["--rr", "--all-tasks", "--pid", "1", &pid])
        .status()
        .context("run chrt (Debian package util-linux)")?;
    ensure!(status.success(), "--realtime: chrt was refused; it needs root or CAP_SYS_NICE");
    Ok(())
}

/// Raises the soft descriptor limit to the hard one.
fn raise_descriptor_limit() -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .context("raise the soft limit of open files to the hard limit")
}

/// Splits `tcp64,bulk8` into workloads; for use as a clap value parser with `value_delimiter`.
///
/// # Errors
/// When a name is unknown; the message lists what there is.
pub fn parse_workload(text: &str) -> Result<Workload, String> {
    text.trim().parse()
}
