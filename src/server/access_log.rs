//! The files of the access logs: opened at start, written on a thread each, opened anew on demand.
//!
//! A thread of its own per destination may wait for a disk, a terminal or a pipe for as long as
//! that takes; the workers' buffers fill meanwhile, and then their lines are dropped and counted.
//! Measured: a batch of 64 KiB costs 36 us of CPU this way and 31 us as an append through the ring,
//! which hands it to a thread of the kernel's as well. Per line that is a tie (some 0.02 us), and
//! this way a stuck file system holds no operation of a worker.
//!
//! **Invariant:** a write holds whole lines, unless one line alone is longer than a write may be.
//! **Invariant:** every batch goes back to its worker, written or not.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use config::model::AccessLogSink;
use config::{Problem, ProblemKind};
use crossbeam_channel::{Receiver, Sender, bounded, never, select};
use observe::access_log::{FormatErrorKind, Surroundings};
use proxy::access_log::{Batch, Buffer, LogSettings, Outlets, Plan, Written};
use reactor::InboxParts;

use crate::bootstrap::Bootstrap;
use crate::reopener::Reopener;

/// Bytes of one write to a regular file, unless a line is longer.
const FILE_WRITE_BYTES_MAX: usize = 64 * 1024;

/// Bytes of one write to a pipe, a socket or a terminal: Linux' `PIPE_BUF`. Longer writes may be
/// torn apart by those of another process.
const PIPE_WRITE_BYTES_MAX: usize = 4096;

/// How long the end of the process waits for all destinations to take the last lines.
pub(crate) const FINISH_WAIT_MAX: Duration = Duration::from_secs(2);

/// Compiles the access logs of a configuration.
///
/// # Errors
/// One problem for each format that is wrong.
pub(crate) fn plan(bootstrap: &Bootstrap) -> Result<Plan, Vec<Problem>> {
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let surroundings = Surroundings {
        hostname: hostname.as_deref().map(str::trim_end),
        environment: &environment,
    };
    Plan::new(&bootstrap.loaded.bootstrap, surroundings).map_err(|problems| {
        let problem = |problem: &proxy::access_log::Problem| {
            let kind = match problem.error.kind {
                FormatErrorKind::Invalid => ProblemKind::Invalid,
                FormatErrorKind::NotSupportedYet => ProblemKind::NotSupportedYet,
            };
            problem_at(bootstrap, &problem.field_path, kind, problem.error.to_string())
        };
        problems.iter().map(problem).collect()
    })
}

#[expect(clippy::disallowed_methods, reason = "the server reads the environment for the formats")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

pub(crate) fn problem_at(
    bootstrap: &Bootstrap,
    path: &str,
    kind: ProblemKind,
    message: String,
) -> Problem {
    let position = bootstrap.loaded.places.find(path).value;
    Problem {
        file: Arc::from(bootstrap.file.as_str()),
        line: position.line,
        column: position.column,
        field_path: path.to_owned(),
        kind,
        message,
        hint: None,
    }
}

/// A worker's part of the access logs.
#[derive(Debug)]
pub(crate) struct AccessLogPart {
    pub(crate) plan: Arc<Plan>,
    pub(crate) outlets: Outlets,
    pub(crate) settings: LogSettings,
    /// Where buffers come back.
    pub(crate) returns: InboxParts<Written>,
}

/// Starts the writers, and makes each worker's part.
///
/// # Errors
/// The kernel gave no thread or no mailbox.
pub(crate) fn parts(
    plan: Plan,
    targets: Targets,
    settings: LogSettings,
    workers: usize,
) -> io::Result<(Vec<AccessLogPart>, Writers)> {
    let plan = Arc::new(plan);
    // One batch of each sink is away at a time, and a second one when the worker ends.
    let mailbox = || reactor::channel(2 * targets.0.len().max(1));
    let mailboxes = (0..workers).map(|_| mailbox()).collect::<io::Result<Vec<_>>>()?;
    let (senders, inboxes): (Vec<_>, Vec<_>) = mailboxes.into_iter().unzip();
    let writers = Writers::start(targets, &senders)?;
    let part = |returns| AccessLogPart {
        plan: Arc::clone(&plan),
        outlets: writers.outlets(),
        settings,
        returns,
    };
    let parts = inboxes.into_iter().map(part).collect();
    Ok((parts, writers))
}

/// The open destinations, not written to yet.
#[derive(Debug)]
pub(crate) struct Targets(Vec<Target>);

/// Opens every destination of the plan.
///
/// # Errors
/// One problem for each that cannot be opened.
pub(crate) fn open_all(plan: &Plan, bootstrap: &Bootstrap) -> Result<Targets, Vec<Problem>> {
    let mut targets = Vec::new();
    let mut problems = Vec::new();
    for (sink, field_path) in plan.sinks() {
        match Target::open(sink) {
            Ok(target) => targets.push(target),
            Err(error) => {
                let text = match sink {
                    AccessLogSink::File(path) => format!("unable to open file '{path}': {error}"),
                    AccessLogSink::Stdout => format!("unable to use standard output: {error}"),
                    AccessLogSink::Stderr => format!("unable to use standard error: {error}"),
                };
                problems.push(problem_at(bootstrap, field_path, ProblemKind::Invalid, text));
            }
        }
    }
    if problems.is_empty() { Ok(Targets(targets)) } else { Err(problems) }
}

/// The threads that write.
#[derive(Debug)]
pub(crate) struct Writers {
    outlets: Outlets,
    reopener: Reopener,
    /// Closed by a thread that has ended.
    ended: Vec<Receiver<()>>,
}

impl Writers {
    /// Starts a thread for each target. `returns` leads back to each worker.
    ///
    /// # Errors
    /// The kernel gave no thread.
    pub(crate) fn start(
        targets: Targets,
        returns: &[reactor::Sender<Written>],
    ) -> io::Result<Self> {
        let mut writers =
            Self { outlets: Vec::new(), reopener: Reopener::default(), ended: Vec::new() };
        for (sink, target) in targets.0.into_iter().enumerate() {
            // A worker has one batch here, and a second one when it ends.
            let (outlet, batches) = bounded(2 * returns.len());
            let (reopener, reopenings) = bounded(1);
            let (end, ended) = bounded(0);
            let returns = returns.to_vec();
            let writer = Writer { sink, target, returns, reopens_failed: 0 };
            // Envoy's name for such a thread.
            thread::Builder::new().name("AccessLogFlush".to_owned()).spawn(move || {
                writer.run(&batches, reopenings);
                drop::<Sender<()>>(end);
            })?;
            writers.outlets.push(outlet);
            writers.reopener.add(reopener);
            writers.ended.push(ended);
        }
        Ok(writers)
    }

    /// The ways to the writers.
    pub(crate) fn outlets(&self) -> Outlets {
        self.outlets.clone()
    }

    /// For whoever hears that the logs were rotated.
    pub(crate) fn reopener(&self) -> Reopener {
        self.reopener.clone()
    }

    /// Waits until what the workers handed over is written. To be called when they have ended. A
    /// destination that takes nothing is left behind with its lines.
    pub(crate) fn finish(self) {
        drop(self.outlets);
        let deadline = now() + FINISH_WAIT_MAX;
        let left_behind = self
            .ended
            .iter()
            .filter(|ended| ended.recv_deadline(deadline).is_err_and(|error| error.is_timeout()));
        let left_behind = left_behind.count();
        if left_behind > 0 {
            tracing::warn!(left_behind, "access logs that take no lines were left behind");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread outside the data path waits to a deadline")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A destination.
#[derive(Debug)]
pub(crate) struct Target {
    /// `None` for what cannot be opened anew.
    path: Option<PathBuf>,
    file: File,
    write_bytes_max: usize,
}

impl Target {
    pub(crate) fn open(sink: &AccessLogSink) -> io::Result<Self> {
        let (path, file) = match sink {
            AccessLogSink::Stdout => (None, duplicate(&io::stdout())?),
            AccessLogSink::Stderr => (None, duplicate(&io::stderr())?),
            // Opening these fails if they are sockets, as under systemd.
            AccessLogSink::File(path) if path == "/dev/stdout" => (None, duplicate(&io::stdout())?),
            AccessLogSink::File(path) if path == "/dev/stderr" => (None, duplicate(&io::stderr())?),
            AccessLogSink::File(path) => (Some(PathBuf::from(path)), open(Path::new(path))?),
        };
        let kind = file.metadata()?.file_type();
        let may_be_torn = kind.is_fifo() || kind.is_socket() || file.is_terminal();
        let write_bytes_max = if may_be_torn { PIPE_WRITE_BYTES_MAX } else { FILE_WRITE_BYTES_MAX };
        Ok(Self { path, file, write_bytes_max })
    }

    /// Writes a whole line.
    pub(crate) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all(line)
    }

    /// Opens the file anew. One that cannot be opened is written on as it is.
    pub(crate) fn reopen_or_keep(&mut self) -> bool {
        let reopened = self.reopen();
        if let Err(error) = &reopened {
            let path = self.path.as_deref().unwrap_or(Path::new("")).display();
            tracing::warn!(%path, %error, "cannot reopen a log file; the old file is kept");
        }
        reopened.is_ok()
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Some(path) = self.path.take() {
            let opened = Self::open(&AccessLogSink::File(path.to_string_lossy().into_owned()));
            self.path = Some(path);
            *self = opened?;
        }
        Ok(())
    }
}

fn duplicate(standard: &impl AsFd) -> io::Result<File> {
    Ok(File::from(standard.as_fd().try_clone_to_owned()?))
}

/// Opens a file to append to, making it if it is not there. A pipe is opened for reading too:
/// otherwise the open would wait for a reader, and a reader that leaves would lose lines.
fn open(path: &Path) -> io::Result<File> {
    let is_fifo = fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo());
    let mut options = OpenOptions::new();
    if is_fifo {
        options.read(true).write(true)
    } else {
        options.append(true).create(true)
    };
    options.open(path)
}

/// One writer's thread.
#[derive(Debug)]
struct Writer {
    /// Index of the sink in the plan.
    sink: usize,
    target: Target,
    returns: Vec<reactor::Sender<Written>>,
    /// Not told to a worker yet.
    reopens_failed: u64,
}

impl Writer {
    /// Writes until every outlet is gone.
    fn run(mut self, batches: &Receiver<Batch>, mut reopenings: Receiver<()>) {
        loop {
            select! {
                recv(batches) -> batch => match batch {
                    Ok(batch) => self.write(batch),
                    Err(_) => return,
                },
                recv(reopenings) -> asked => match asked {
                    Ok(()) => self.reopen(),
                    Err(_) => reopenings = never(),
                },
            }
        }
    }

    fn reopen(&mut self) {
        self.reopens_failed += u64::from(!self.target.reopen_or_keep());
    }

    fn write(&mut self, Batch { worker, mut buffer }: Batch) {
        let written = write_lines(&mut self.target.file, &mut buffer, self.target.write_bytes_max);
        let reopens_failed = std::mem::take(&mut self.reopens_failed);
        let Some(returns) = self.returns.get(worker) else { return };
        let back = Written {
            sink: self.sink,
            buffer,
            writes_completed: written.completed,
            writes_failed: written.failed,
            lines_cut: written.lines_cut,
            reopens_failed,
        };
        // A worker that has ended needs its buffer no more.
        drop(returns.send(back));
    }
}

/// What became of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    completed: u64,
    failed: u64,
    lines_cut: u64,
}

/// Writes whole lines, as many as fit `bytes_max` at a time. To what may tear a write apart, a
/// longer line is cut; a file takes it in one piece. After a failure the rest is given up: the
/// next write would fail the same way, and slowly.
fn write_lines(file: &mut impl Write, buffer: &mut Buffer, bytes_max: usize) -> Outcome {
    let mut outcome = Outcome::default();
    let Buffer { bytes, line_ends } = buffer;
    let cuts = bytes_max == PIPE_WRITE_BYTES_MAX;
    let mut start = 0;
    let mut ends = line_ends.iter().copied().peekable();
    while let Some(first_end) = ends.next() {
        let mut end = first_end;
        while let Some(next) = ends.next_if(|next| next - start <= bytes_max) {
            end = next;
        }
        let is_cut = cuts && end - start > bytes_max;
        let written = if is_cut {
            outcome.lines_cut += 1;
            let cut = &mut bytes[start..start + bytes_max];
            // The line still ends where lines end.
            if let Some(last) = cut.last_mut() {
                *last = b'\n';
            }
            file.write_all(cut)
        } else {
            file.write_all(&bytes[start..end])
        };
        start = end;
        if written.is_err() {
            outcome.failed += 1;
            return outcome;
        }
        outcome.completed += 1;
    }
    outcome
}

#[cfg(test)]
mod tests;
