//! A running proxy: started from a configuration, asked through its admin page, looked at through
//! `/proc`, ended by its handle.
//!
//! **Invariant:** a started process never outlives its `Proxy`; its standard error is shown when
//! the test that owns it fails.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use socket2::Socket;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

use crate::environment::{Kind, Program};
use crate::patience::{PATIENCE, wait_for};
use crate::sockets_of;
use crate::stats::Stats;

/// A folder of its own for one process, removed with it.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("e2e-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file and answers where.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed stays in Cargo's own temporary folder; no test depends on it.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A process that ends with its handle, and shows its standard error when the test fails.
#[derive(Debug)]
pub(crate) struct Running {
    /// Behind a lock, so that many scenarios may look at one process.
    child: Mutex<Child>,
    /// The number of the process.
    id: u32,
    scratch: Scratch,
}

impl Running {
    /// Starts `program`; its output and the file with its admin address go to `scratch`. Many run
    /// beside each other: without hot restart none holds a base id, and Envoy makes no shared
    /// memory, which a killed one would leave behind.
    pub(crate) fn spawn(program: &Program, scratch: Scratch, arguments: &[&str]) -> Self {
        let usual: &[&str] = match program.kind {
            // At its default level it lists all its extensions.
            Kind::Envoy => &["--disable-hot-restart", "--log-level", "warn"],
            Kind::Nuncio => &["--disable-hot-restart"],
        };
        Self::spawn_with(program, scratch, &[usual, arguments].concat())
    }

    /// The same with these arguments and no others.
    pub(crate) fn spawn_with(program: &Program, scratch: Scratch, arguments: &[&str]) -> Self {
        let mut command = match program.descriptors_max {
            None => Command::new(&program.path),
            Some(count) => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(format!("ulimit -n {count} && exec \"$0\" \"$@\""));
                shell.arg(&program.path);
                shell
            }
        };
        command.arg("--admin-address-path").arg(scratch.path(ADMIN_ADDRESS)).args(arguments);
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(scratch.path(STDOUT)).unwrap())
            .stderr(File::create(scratch.path(STDERR)).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("starting {}: {error}", program.path.display()));
        Self { id: child.id(), child: Mutex::new(child), scratch }
    }

    /// Waits until the process ends by itself.
    pub(crate) fn wait_for_exit(&self) -> ExitStatus {
        wait_for("the process to end", || {
            self.exit_status().ok_or_else(|| "it still runs".to_owned())
        })
    }

    /// How it ended, if it has.
    fn exit_status(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap().try_wait().unwrap()
    }

    /// What it wrote to its standard output so far.
    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(self.scratch.path(STDOUT)).unwrap()
    }

    /// What it wrote to its standard error so far.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.scratch.path(STDERR)).unwrap()
    }

    /// The address of its admin server, once it wrote that down.
    pub(crate) fn admin_address(&self) -> Result<SocketAddr, String> {
        let text = fs::read_to_string(self.scratch.path(ADMIN_ADDRESS));
        let text = text.map_err(|error| format!("no admin address: {error}"))?;
        text.trim().parse().map_err(|_| format!("admin address '{text}'"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended already, which is what they are for.
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(child.kill());
        drop(child.wait());
        if thread::panicking() {
            // Not more: what made the test fail must not drown in it.
            let stderr = self.stderr();
            let lines: Vec<&str> = stderr.lines().collect();
            let last = &lines[lines.len().saturating_sub(STDERR_LINES_SHOWN)..];
            eprintln!("standard error of process {}, its end:\n{}", self.id, last.join("\n"));
        }
    }
}

const ADMIN_ADDRESS: &str = "admin-address";
const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";
/// Lines of its standard error that a process shows when its test fails.
const STDERR_LINES_SHOWN: usize = 40;

/// A proxy that is ready.
#[derive(Debug)]
pub(crate) struct Proxy {
    running: Running,
    admin: SocketAddr,
}

impl Proxy {
    /// Starts `program` and waits until its admin page says that it is ready.
    pub(crate) fn start(program: &Program, configuration: &str, arguments: &[&str]) -> Self {
        Self::start_in(Scratch::new(), program, configuration, arguments)
    }

    /// The same with a folder that the configuration names.
    pub(crate) fn start_in(
        scratch: Scratch,
        program: &Program,
        configuration: &str,
        arguments: &[&str],
    ) -> Self {
        raise_descriptor_limit();
        let file = scratch.write("proxy.yaml", configuration);
        let arguments = [&["-c", file.to_str().unwrap()], arguments].concat();
        let running = Running::spawn(program, scratch, &arguments);
        let admin = wait_for("the proxy to be ready", || {
            if let Some(status) = running.exit_status() {
                panic!("{} ended at start with {status}", program.path.display());
            }
            let admin = running.admin_address()?;
            match ask(admin, "GET /ready") {
                Ok(Answer { status: 200, .. }) => Ok(admin),
                other => Err(format!("/ready at {admin}: {other:?}")),
            }
        });
        Self { running, admin }
    }

    /// Asks the admin server: `GET /ready`, say.
    pub(crate) fn ask(&self, request: &str) -> Answer {
        ask(self.admin, request).unwrap_or_else(|error| panic!("admin, {request}: {error}"))
    }

    pub(crate) fn stats(&self) -> Stats {
        self.stats_matching("")
    }

    /// The stats whose names match a regular expression.
    pub(crate) fn stats_matching(&self, filter: &str) -> Stats {
        let answer = self.ask(&format!("GET /stats?filter={filter}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        Stats::parse(&answer.body)
    }

    /// Waits until the stat `name` is `value`.
    pub(crate) fn wait_for_stat(&self, name: &str, value: u64) {
        wait_for(&format!("{name} to be {value}"), || match self.stats().value(name) {
            Some(found) if found == value => Ok(()),
            Some(found) => Err(format!("it is {found}")),
            None => Err("there is no such stat".to_owned()),
        });
    }

    /// Sends a signal to this process only.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Its TCP sockets that are bound to `address`, to be asked what they are set to.
    pub(crate) fn sockets_at(&self, address: SocketAddr) -> Vec<Socket> {
        sockets_of::bound_to(self.pid(), address)
    }

    fn pid(&self) -> Pid {
        i32::try_from(self.running.id).ok().and_then(Pid::from_raw).unwrap()
    }

    /// Waits until the process ends by itself.
    pub(crate) fn wait_for_exit(&self) -> ExitStatus {
        self.running.wait_for_exit()
    }

    /// What it wrote to its standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.running.stderr()
    }

    /// The folder that is removed with it, for files that its configuration names.
    pub(crate) fn folder(&self) -> &Scratch {
        &self.running.scratch
    }

    /// Open descriptors of the process, pipes apart: a worker keeps a few for the next splice.
    pub(crate) fn descriptors(&self) -> usize {
        let open = fs::read_dir(format!("/proc/{}/fd", self.running.id)).unwrap();
        let is_pipe = |link: &Path| link.to_string_lossy().starts_with("pipe:");
        // One that is gone before it is looked at is none.
        open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .filter(|link| !is_pipe(link))
            .count()
    }

    /// Resident memory now, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most resident memory it ever had, in bytes.
    pub(crate) fn resident_bytes_peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.running.id)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kilobytes * 1024
    }
}

/// What the admin server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and headers as they came.
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header, if it is there.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Sends an admin server one request, method and path, and reads the answer.
fn ask(admin: SocketAddr, request: &str) -> Result<Answer, String> {
    let exchange = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&admin, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "{request} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange().map_err(|error| error.to_string())?;
    let answer = String::from_utf8(answer).map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer has no end of head")?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| format!("no status in '{head}'"))?;
    let mut answer = Answer { status, head: head.to_owned(), body: body.to_owned() };
    let chunked = answer.header("transfer-encoding").is_some_and(|coding| coding == "chunked");
    if chunked {
        answer.body = unchunk(body)?;
    }
    Ok(answer)
}

/// Joins the chunks of a body (RFC 9112 section 7.1); admin pages have no trailers.
fn unchunk(mut rest: &str) -> Result<String, String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").ok_or("a chunk without size")?;
        let size = usize::from_str_radix(size, 16).map_err(|error| error.to_string())?;
        if size == 0 {
            return Ok(body);
        }
        body.push_str(after.get(..size).ok_or("a chunk cut short")?);
        rest = after.get(size + 2..).ok_or("a chunk without end")?;
    }
}

/// Lets this process, and the proxies it starts, open as many descriptors as the host allows.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

/// Descriptors that this process may have open.
pub(crate) fn descriptor_limit() -> u64 {
    raise_descriptor_limit();
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
