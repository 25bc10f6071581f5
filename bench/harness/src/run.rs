//! The rounds: for each workload, each round starts every arm once, in turn, and measures it.
//!
//! Every measurement starts a fresh proxy, checks that it relays correctly, warms it up under the
//! load itself and then takes the difference of all counters over the measured time.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::arm::{Arm, Launch, Site};
use crate::load::{
    BulkLoad, H2Load, IdleConnections, REQUEST, UploadLoad, WrkLoad, check, exchange_of,
};
use crate::options::Options;
use crate::proc::{self, CoreTicks, CpuTicks};
use crate::process::{Proxy, require_program};
use crate::upstream::{Upstream, small_body};
use crate::workload::{Figure, Kind, Workload};

/// How long a proxy may take from its start to its first correct answer.
const START_LIMIT: Duration = Duration::from_secs(20);
/// Pause between two tries to reach a proxy that is starting.
const START_POLL: Duration = Duration::from_millis(20);
/// Connections opened and closed before idle memory is counted, so that what a proxy allocates once
/// is not charged to the connections.
const IDLE_WARMUP: u32 = 64;
/// Ports are taken from here upwards, below the usual ephemeral range: a listening port from that
/// range could be taken by an outgoing connection between two arms.
const FIRST_PORT: u16 = 18_000;
/// Ports are not searched beyond this one.
const LAST_PORT: u16 = 31_999;

/// All that was measured for one workload.
#[derive(Debug)]
pub struct Outcome {
    /// The work.
    pub work: Workload,
    /// One entry per arm that takes part, in the given order.
    pub arms: Vec<ArmOutcome>,
}

/// All that was measured for one arm.
#[derive(Debug)]
pub struct ArmOutcome {
    /// [`Arm::name`].
    pub name: String,
    /// [`Arm::family`].
    pub family: String,
    /// One sample per round, until the arm failed.
    pub samples: Vec<Sample>,
    /// Why it failed, if it did; it is left out of the later rounds.
    pub failure: Option<String>,
}

/// One arm, one round.
#[derive(Clone, Copy, Debug)]
pub enum Sample {
    /// Work was done.
    Load(LoadSample),
    /// Connections were held.
    Idle(IdleSample),
}

/// Cost of work. "Unit" is a request or a GB (10^9 bytes).
#[derive(Clone, Copy, Debug)]
pub struct LoadSample {
    /// Seconds of proxy CPU per unit, user and system.
    pub cpu: f64,
    /// Seconds of it in user space; tick-sampled, advisory.
    pub user: f64,
    /// Seconds of the proxy core's busy time per unit, interrupts and other processes included.
    pub core: f64,
    /// Share (0 to 1) of the measured time in which the proxy core worked for somebody else, or the
    /// hypervisor took it away.
    pub foreign: f64,
    /// Units per second.
    pub rate: f64,
    /// Median latency in microseconds, where the load measures it.
    pub p50: Option<f64>,
    /// 99th percentile of latency in microseconds.
    pub p99: Option<f64>,
    /// Resident bytes of the proxy's processes under load.
    pub resident: u64,
    /// Bytes charged to its memory group under load, where there is one.
    pub charged: Option<u64>,
    /// Bytes of access log written per unit.
    pub logged: f64,
    /// Failed requests or lost connections.
    pub errors: u64,
}

/// Memory that one idle relayed connection costs, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct IdleSample {
    /// Growth of resident memory.
    pub resident: f64,
    /// Growth of the memory group, where there is one: with the kernel's part.
    pub charged: Option<f64>,
    /// The kernel's part of that growth.
    pub kernel: Option<f64>,
}

/// Measures `works` with `arms` and returns one outcome for each workload.
///
/// `progress` gets one line per measurement.
///
/// # Errors
/// When the machine cannot be set up (cores, ports, directories). A failing arm is no error here:
/// it is noted in its [`ArmOutcome`].
pub fn run(
    arms: &[Box<dyn Arm>],
    works: &[Workload],
    options: &Options,
    progress: impl Fn(&str),
) -> Result<Vec<Outcome>> {
    options.apply()?;
    let root = std::env::temp_dir().join(format!("nuncio-bench-{}", std::process::id()));
    fs::create_dir(&root).with_context(|| format!("create {}", root.display()))?;
    let result =
        works.iter().map(|work| measure_workload(arms, *work, options, &root, &progress)).collect();
    if options.keep {
        progress(&format!("configurations and logs are kept in {}", root.display()));
    } else {
        fs::remove_dir_all(&root).with_context(|| format!("remove {}", root.display()))?;
    }
    result
}

fn measure_workload(
    arms: &[Box<dyn Arm>],
    work: Workload,
    options: &Options,
    root: &Path,
    progress: &impl Fn(&str),
) -> Result<Outcome> {
    let upstream = match work.kind {
        Kind::Bulk => Upstream::bulk()?,
        Kind::HttpBulk => Upstream::http_bulk()?,
        Kind::HttpUpload => Upstream::http_upload()?,
        Kind::Tcp
        | Kind::New
        | Kind::Idle
        | Kind::Http
        | Kind::HttpNew
        | Kind::HttpIdle
        | Kind::Http2ToHttp1
        | Kind::Http2Direct
        | Kind::Http1ToHttp2 => Upstream::http()?,
    };
    let directory = root.join(work.to_string());
    fs::create_dir(&directory).with_context(|| format!("create {}", directory.display()))?;
    let listen = free_address(FIRST_PORT)?;
    let admin = free_address(listen.port() + 1)?;
    let http2 = match work.kind {
        Kind::Http1ToHttp2 => {
            let address = free_address(admin.port() + 1)?;
            Some((start_nghttpd(&directory, address, options.load_core)?, address))
        }
        _ => None,
    };
    let address = http2.as_ref().map_or(upstream.address(), |(_, address)| *address);
    let site = Site { directory, listen, admin, upstream: address, work };
    let bench = Bench { site: &site, upstream: &upstream, options };

    let takers: Vec<&dyn Arm> =
        arms.iter().map(|arm| &**arm).filter(|arm| arm.takes(work)).collect();
    let mut outcomes: Vec<ArmOutcome> = takers
        .iter()
        .map(|arm| ArmOutcome {
            name: arm.name().to_owned(),
            family: arm.family().to_owned(),
            samples: Vec::new(),
            failure: None,
        })
        .collect();
    for round in 0..options.rounds {
        // Each round starts with another arm, so that none has always the same neighbour before it.
        for turn in 0..takers.len() {
            let index = (turn + usize::try_from(round)?) % takers.len();
            let (arm, outcome) = (takers[index], &mut outcomes[index]);
            if outcome.failure.is_some() {
                continue;
            }
            let line = match bench.measure(arm) {
                Ok(sample) => {
                    outcome.samples.push(sample);
                    crate::report::describe(&sample)
                }
                Err(error) => {
                    let text = format!("{error:#}");
                    outcome.failure = Some(text.clone());
                    format!("FAILED: {text}")
                }
            };
            progress(&format!("{work} round {} {:<16} {line}", round + 1, arm.name()));
        }
    }
    Ok(Outcome { work, arms: outcomes })
}

/// What all measurements of one workload share.
struct Bench<'a> {
    site: &'a Site,
    upstream: &'a Upstream,
    options: &'a Options,
}

impl Bench<'_> {
    fn measure(&self, arm: &dyn Arm) -> Result<Sample> {
        let launch = arm.prepare(self.site)?;
        let log = self.site.directory.join(format!("{}.log", arm.name()));
        let proxy = Proxy::start(&launch, self.options.proxy_core, arm.name(), log)?;
        // The proxy has ended when this returns, whatever came of it; the next arm needs its port.
        let sample = self.measure_running(proxy);
        self.wait_until_port_is_free()?;
        let log = self.site.access_log();
        if log.exists() {
            // Some hundred bytes per request: it would fill the disk over the rounds.
            fs::remove_file(&log).with_context(|| format!("remove {}", log.display()))?;
        }
        sample
    }

    fn measure_running(&self, mut proxy: Proxy) -> Result<Sample> {
        self.wait_until_it_relays(&mut proxy)?;
        proxy.find_workers()?;
        let kind = self.site.work.kind;
        let sample = match kind.figure() {
            _ if matches!(kind, Kind::Http2Direct | Kind::Http1ToHttp2) => {
                self.measure_whole_load(&proxy)
            }
            Figure::Request if kind.has_http2_clients() => self.measure_http2(&proxy),
            Figure::Request => self.measure_requests(&proxy),
            Figure::Gigabyte if kind == Kind::HttpUpload => self.measure_upload(&proxy),
            Figure::Gigabyte => self.measure_bulk(&proxy),
            Figure::Connection => self.measure_idle(&proxy),
        };
        // A proxy that died says why better than the load that lost it.
        proxy.check_running()?;
        sample
    }

    /// Waits until the ended proxy's listener is gone. The kernel closes what an io_uring held some
    /// time after its process has ended; until then a next proxy cannot bind, or, with
    /// SO_REUSEPORT, would share its connections with a dead one.
    fn wait_until_port_is_free(&self) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while let Err(error) = TcpListener::bind(self.site.listen) {
            ensure!(Instant::now() < deadline, "{} stays in use: {error}", self.site.listen);
            thread::sleep(START_POLL);
        }
        Ok(())
    }

    fn wait_until_it_relays(&self, proxy: &mut Proxy) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            proxy.check_running()?;
            let load_core = self.options.load_core;
            let Err(error) = check(self.site.work.kind, self.site.listen, load_core) else {
                return Ok(());
            };
            if Instant::now() >= deadline {
                bail!("no correct answer: {error:#}; the proxy said:\n{}", proxy.last_words());
            }
            thread::sleep(START_POLL);
        }
    }

    fn measure_requests(&self, proxy: &Proxy) -> Result<Sample> {
        let Options { warmup, seconds, load_core, .. } = *self.options;
        // One second more than is measured, so that the load does not end inside the measured time.
        let load =
            WrkLoad::start(self.site.listen, self.site.work, load_core, warmup + seconds + 1)?;
        let window = self.window(proxy, || self.upstream.answers())?;
        let report = load.finish()?;
        window.into_sample(1.0, Some((report.p50, report.p99)), report.errors)
    }

    fn measure_http2(&self, proxy: &Proxy) -> Result<Sample> {
        let Options { warmup, seconds, load_core, .. } = *self.options;
        let (site, length) = (self.site, warmup + seconds + 1);
        let load = H2Load::start(site.listen, site.work, load_core, length)?;
        let window = self.window(proxy, || self.upstream.answers())?;
        let report = load.finish()?;
        window.into_sample(1.0, None, report.errors)
    }

    /// Work that nobody but the load generator can count: all of a load is measured, from before
    /// its start to behind its end.
    fn measure_whole_load(&self, proxy: &Proxy) -> Result<Sample> {
        let Options { warmup, seconds, .. } = *self.options;
        self.whole_load(warmup.max(1))?;
        let before = self.counters(proxy, 0)?;
        let load = self.whole_load(seconds)?;
        let window = self.since(proxy, &before, load.requests)?;
        window.into_sample(1.0, load.latency, load.errors)
    }

    fn whole_load(&self, seconds: u32) -> Result<WholeLoad> {
        let (listen, work, core) = (self.site.listen, self.site.work, self.options.load_core);
        if work.kind.has_http2_clients() {
            let report = H2Load::start(listen, work, core, seconds)?.finish()?;
            let (requests, errors) = (report.requests, report.errors);
            return Ok(WholeLoad { requests, errors, latency: None });
        }
        let report = WrkLoad::start(listen, work, core, seconds)?.finish()?;
        let latency = Some((report.p50, report.p99));
        Ok(WholeLoad { requests: report.requests, errors: report.errors, latency })
    }

    fn measure_bulk(&self, proxy: &Proxy) -> Result<Sample> {
        let request = if self.site.work.kind.is_http() { REQUEST } else { b"" };
        let load = BulkLoad::start(self.site.listen, self.site.work.connections, request)?;
        let window = self.window(proxy, || load.bytes())?;
        let lost = load.finish()?;
        window.into_sample(1e9, None, lost)
    }

    fn measure_upload(&self, proxy: &Proxy) -> Result<Sample> {
        let load = UploadLoad::start(self.site.listen, self.site.work.connections)?;
        let window = self.window(proxy, || self.upstream.taken())?;
        let lost = load.finish()?;
        window.into_sample(1e9, None, lost)
    }

    fn measure_idle(&self, proxy: &Proxy) -> Result<Sample> {
        let wait = Duration::from_secs(u64::from(self.options.warmup.max(1)));
        let exchange = exchange_of(self.site.work.kind);
        drop(IdleConnections::open(self.site.listen, IDLE_WARMUP, exchange)?);
        thread::sleep(wait);
        let before = Memory::of(proxy)?;
        let count = self.site.work.connections;
        let connections = IdleConnections::open(self.site.listen, count, exchange)?;
        thread::sleep(wait);
        let after = Memory::of(proxy)?;
        let each =
            |later: u64, earlier: u64| per_unit(later.saturating_sub(earlier), connections.count());
        let group = after.group.zip(before.group);
        Ok(Sample::Idle(IdleSample {
            resident: each(after.resident, before.resident),
            charged: group.map(|(later, earlier)| each(later.total, earlier.total)),
            kernel: group.map(|(later, earlier)| each(later.kernel, earlier.kernel)),
        }))
    }

    /// Bytes that the access log holds now; none where there is no such file.
    fn logged(&self) -> u64 {
        fs::metadata(self.site.access_log()).map_or(0, |file| file.len())
    }

    /// Waits for the warm-up, then takes the difference of everything over the measured time.
    fn window(&self, proxy: &Proxy, units: impl Fn() -> u64) -> Result<Window> {
        thread::sleep(Duration::from_secs(u64::from(self.options.warmup)));
        let before = self.counters(proxy, units())?;
        thread::sleep(Duration::from_secs(u64::from(self.options.seconds)));
        self.since(proxy, &before, units())
    }

    fn counters(&self, proxy: &Proxy, units: u64) -> Result<Counters> {
        Ok(Counters {
            at: Instant::now(),
            units,
            logged: self.logged(),
            cpu: proc::cpu_of(proxy.pids())?,
            core: proc::core(self.options.proxy_core)?,
        })
    }

    /// What has come to the counters of `before` by now, where so many units are done.
    fn since(&self, proxy: &Proxy, before: &Counters, units: u64) -> Result<Window> {
        let now = self.counters(proxy, units)?;
        Ok(Window {
            elapsed: now.at.duration_since(before.at),
            units: now.units - before.units,
            cpu: now.cpu.since(before.cpu),
            core: now.core.since(before.core),
            logged: now.logged - before.logged,
            memory: Memory::of(proxy)?,
        })
    }
}

/// An upstream that speaks HTTP/2 and answers every request with the small body.
fn start_nghttpd(directory: &Path, address: SocketAddr, core: usize) -> Result<Proxy> {
    require_program(Path::new("nghttpd"), "install the Debian package nghttp2-server")?;
    let root = directory.join("nghttpd");
    fs::create_dir(&root).with_context(|| format!("create {}", root.display()))?;
    let page = root.join("index.html");
    fs::write(&page, small_body()).with_context(|| format!("write {}", page.display()))?;
    let arguments = [
        "--no-tls".into(),
        format!("--address={}", address.ip()),
        format!("--htdocs={}", root.display()),
        address.port().to_string(),
    ];
    let launch = Launch::new("nghttpd", arguments);
    Proxy::start(&launch, core, "nghttpd", directory.join("nghttpd.log"))
}

/// What a load generator says about all of its load.
struct WholeLoad {
    requests: u64,
    errors: u64,
    /// Median and 99th percentile in microseconds.
    latency: Option<(f64, f64)>,
}

/// Everything that grows while work is done.
struct Counters {
    at: Instant,
    units: u64,
    logged: u64,
    cpu: CpuTicks,
    core: CoreTicks,
}

/// Differences over the measured time, and the memory at its end.
struct Window {
    elapsed: Duration,
    units: u64,
    cpu: CpuTicks,
    core: CoreTicks,
    logged: u64,
    memory: Memory,
}

impl Window {
    /// Divides by the work done; `scale` counted units are one reported unit.
    fn into_sample(self, scale: f64, latency: Option<(f64, f64)>, errors: u64) -> Result<Sample> {
        ensure!(self.units > 0, "no work was done in the measured time ({errors} errors)");
        let seconds = |ticks: u64| float(ticks) / proc::ticks_per_second();
        let units = float(self.units) / scale;
        let elapsed = self.elapsed.as_secs_f64();
        let busy = seconds(self.core.busy);
        let own = seconds(self.cpu.total());
        Ok(Sample::Load(LoadSample {
            cpu: own / units,
            user: seconds(self.cpu.user) / units,
            core: busy / units,
            foreign: ((busy - own).max(0.0) + seconds(self.core.steal)) / elapsed,
            rate: units / elapsed,
            p50: latency.map(|(p50, _)| p50),
            p99: latency.map(|(_, p99)| p99),
            resident: self.memory.resident,
            charged: self.memory.group.map(|usage| usage.total),
            logged: float(self.logged) / units,
            errors,
        }))
    }
}

struct Memory {
    resident: u64,
    group: Option<crate::cgroup::Usage>,
}

impl Memory {
    fn of(proxy: &Proxy) -> Result<Self> {
        Ok(Self {
            resident: proc::resident_of(proxy.pids())?,
            group: proxy.group().and_then(|group| group.usage().ok()),
        })
    }
}

fn per_unit(amount: u64, units: usize) -> f64 {
    float(amount) / float(units as u64)
}

#[expect(clippy::cast_precision_loss, reason = "counters of one run stay far below 2^52")]
fn float(number: u64) -> f64 {
    number as f64
}

/// A loopback address whose port nobody listens on now; the search starts at `first`.
fn free_address(first: u16) -> Result<SocketAddr> {
    (first..=LAST_PORT)
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .find(|address| TcpListener::bind(address).is_ok())
        .with_context(|| format!("no free port from {first} to {LAST_PORT} on 127.0.0.1"))
}
