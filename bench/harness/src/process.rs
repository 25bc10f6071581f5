//! A proxy or a load generator as a child process: pinned, in a memory group, ended by its own pid.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::arm::Launch;
use crate::cgroup::MemoryGroup;
use crate::proc;

/// How long a proxy may take to end after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(3);
/// Pause between two looks at a process that is ending.
const POLL: Duration = Duration::from_millis(10);

/// A running proxy. Dropping it ends it and the processes it started.
#[derive(Debug)]
pub(crate) struct Proxy {
    child: Child,
    log: PathBuf,
    family: Vec<u32>,
    group: Option<MemoryGroup>,
}

impl Proxy {
    /// Starts `launch` on `core`; what it prints goes to `log`, but for
    /// [`Launch::output`].
    pub(crate) fn start(launch: &Launch, core: usize, name: &str, log: PathBuf) -> Result<Self> {
        let group = MemoryGroup::create(&format!("bench-{}-{name}", std::process::id())).ok();
        let mut command = pinned(core, launch, group.as_ref());
        let errors = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let output = match &launch.output {
            Some(path) => {
                File::create(path).with_context(|| format!("create {}", path.display()))?
            }
            None => errors.try_clone().with_context(|| format!("open {}", log.display()))?,
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .context("start setpriv and taskset (Debian package util-linux)")?;
        let family = vec![child.id()];
        Ok(Self { child, log, family, group })
    }

    /// Fails with the end of the log when the process is no longer there.
    pub(crate) fn check_running(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait().context("wait for the proxy")? {
            bail!("it ended by itself ({status}); its last words:\n{}", self.last_words());
        }
        Ok(())
    }

    /// Looks again which processes belong to it; call it once the proxy answers.
    pub(crate) fn find_workers(&mut self) -> Result<()> {
        self.family = proc::family_of(self.child.id())?;
        Ok(())
    }

    /// The proxy's process and those it started.
    pub(crate) fn pids(&self) -> &[u32] {
        &self.family
    }

    /// Its memory group, where one could be made.
    pub(crate) fn group(&self) -> Option<&MemoryGroup> {
        self.group.as_ref()
    }

    /// The end of what it printed.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// SIGTERM, a bounded wait, then SIGKILL for whoever is left.
    fn end(&mut self) {
        signal(self.child.id(), Signal::TERM);
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(POLL),
                Ok(Some(_)) | Err(_) => break,
            }
        }
        if let Ok(None) = self.child.try_wait() {
            // A killed master cannot end its workers. They are looked up while it still lives, so
            // that no pid is signalled that has meanwhile gone to somebody else.
            let family = proc::family_of(self.child.id()).unwrap_or_default();
            for pid in family {
                signal(pid, Signal::KILL);
            }
            let _ = self.child.wait();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs a load generator on `core` to its end and returns what it printed to standard output.
pub(crate) fn run_to_end(launch: &Launch, core: usize, limit: Duration) -> Result<String> {
    let mut child = pinned(core, launch, None)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("start setpriv and taskset (Debian package util-linux)")?;
    let deadline = Instant::now() + limit;
    // Its whole report fits into the pipe, so that it can end before anybody reads.
    while child.try_wait().context("wait for the load generator")?.is_none() {
        if Instant::now() >= deadline {
            signal(child.id(), Signal::KILL);
            let _ = child.wait();
            bail!("{} did not end within {limit:?}", launch.program.display());
        }
        thread::sleep(POLL);
    }
    let output = child.wait_with_output().context("read the load generator's report")?;
    ensure!(
        output.status.success(),
        "{} failed ({}): {}",
        launch.program.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A chain of programs that each do one thing and then become the next, so that the pid stays:
/// `sh` joins the memory group, `setpriv` ties the life to ours, `taskset` pins.
fn pinned(core: usize, launch: &Launch, group: Option<&MemoryGroup>) -> Command {
    let mut words: Vec<OsString> = Vec::new();
    if let Some(group) = group {
        words.extend(["sh", "-c", "echo $$ > \"$0\" && exec \"$@\""].map(OsString::from));
        words.push(group.join_file().into());
    }
    words.extend(["setpriv", "--pdeathsig", "TERM", "taskset", "--cpu-list"].map(OsString::from));
    words.push(core.to_string().into());
    words.push(launch.program.clone().into());
    words.extend(launch.arguments.iter().cloned());
    let mut words = words.into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // Gone already is what was wanted.
        let _ = kill_process(pid, signal);
    }
}

/// Checks that a program can be found.
///
/// # Errors
/// When it is neither a file nor on the search path; the message ends with `cure`, which says what
/// to install or to pass.
pub fn require_program(program: &Path, cure: &str) -> Result<()> {
    let found = if program.components().count() > 1 {
        program.is_file()
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
    };
    ensure!(found, "{} is not there: {cure}", program.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some core that this process may use.
    fn a_core() -> usize {
        let allowed = rustix::thread::sched_getaffinity(None).unwrap();
        (0..rustix::thread::CpuSet::MAX_CPU).find(|core| allowed.is_set(*core)).unwrap()
    }

    fn log(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("bench-test-{}-{name}.log", std::process::id()))
    }

    fn is_running(pid: u32) -> bool {
        Path::new(&format!("/proc/{pid}")).exists()
    }

    /// Breaks if a proxy that ignores SIGTERM, or its workers, outlive the measurement.
    #[test]
    fn a_stubborn_master_is_ended_with_its_worker() {
        let launch = Launch::new("sh", ["-c", "trap '' TERM; sleep 600 & wait; wait"]);
        let path = log("stubborn");
        let mut proxy = Proxy::start(&launch, a_core(), "stubborn", path.clone()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while proxy.pids().len() < 2 {
            assert!(Instant::now() < deadline, "the worker never came");
            proxy.find_workers().unwrap();
        }
        let pids = proxy.pids().to_vec();
        drop(proxy);
        fs::remove_file(path).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while pids.iter().any(|pid| is_running(*pid)) {
            assert!(Instant::now() < deadline, "left over: {pids:?}");
            thread::sleep(POLL);
        }
    }

    /// Breaks if a proxy that could not start is waited for in silence.
    #[test]
    fn last_words_are_told() {
        let launch = Launch::new("sh", ["-c", "echo no such option >&2; exit 3"]);
        let path = log("last-words");
        let mut proxy = Proxy::start(&launch, a_core(), "last-words", path.clone()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let error = loop {
            assert!(Instant::now() < deadline, "its end was not seen");
            match proxy.check_running() {
                Ok(()) => thread::sleep(POLL),
                Err(error) => break error.to_string(),
            }
        };
        fs::remove_file(path).unwrap();
        assert!(error.contains("exit status: 3") && error.contains("no such option"), "{error}");
    }

    /// Breaks if a load generator that hangs hangs the whole run.
    #[test]
    fn a_load_that_does_not_end_is_ended() {
        let launch = Launch::new("sleep", ["600"]);
        let error = run_to_end(&launch, a_core(), Duration::from_millis(200)).unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
    }

    /// Breaks if a missing program is reported as anything else than missing, or without a cure.
    #[test]
    fn a_missing_program_is_named_with_its_cure() {
        require_program(Path::new("sh"), "").unwrap();
        for path in ["no-such-program", "/no/such/program"] {
            let error = require_program(Path::new(path), "install it").unwrap_err().to_string();
            assert!(error.contains(path) && error.contains("install it"), "{error}");
        }
    }
}
