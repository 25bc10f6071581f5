//! The log of ejections (`cluster_manager.outlier_detection.event_log_path`): a file that a thread
//! of its own writes, so that control waits for no disk.
//!
//! **Invariant:** at most [`EVENTS_MAX`] events wait; those that come then are dropped and counted.

use std::io;
use std::thread;

use config::model::AccessLogSink;
use config::{Problem, ProblemKind};
use control::EventLog;
use crossbeam_channel::{Receiver, Sender, bounded, never, select};
use observe::names::{ACCESS_LOG_PREFIX, AccessLogStat};
use observe::{Registry, Shard};

use crate::access_log::{FINISH_WAIT_MAX, Target, now, problem_at};
use crate::bootstrap::Bootstrap;
use crate::reopener::Reopener;

/// How many events may wait for the disk.
const EVENTS_MAX: usize = 10_000;

/// Opens the log, if there is to be one.
///
/// # Errors
/// Why it cannot be opened.
pub(crate) fn open(bootstrap: &Bootstrap) -> Result<Option<Target>, Problem> {
    let Some(path) = &bootstrap.loaded.bootstrap.outlier_event_log else { return Ok(None) };
    let opened = Target::open(&AccessLogSink::File(path.clone()));
    opened.map(Some).map_err(|error| {
        let field = "cluster_manager.outlier_detection.event_log_path";
        let text = format!("unable to open file '{path}': {error}");
        problem_at(bootstrap, field, ProblemKind::Invalid, text)
    })
}

/// The thread that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    reopen: Sender<()>,
    /// Closed by the thread at its end.
    ended: Receiver<()>,
}

/// Starts the thread that writes to `target`. What it cannot take is counted on control's shard.
///
/// # Errors
/// The kernel gave no thread.
pub(crate) fn start(
    mut target: Target,
    registry: &Registry,
    control: &Shard,
) -> io::Result<(EventLog, Writer)> {
    let (events, waiting) = bounded::<String>(EVENTS_MAX);
    let (reopen, mut reopenings) = bounded(1);
    let (end, ended) = bounded(0);
    // Envoy's name for such a thread.
    thread::Builder::new().name("AccessLogFlush".to_owned()).spawn(move || {
        loop {
            select! {
                recv(waiting) -> event => {
                    let Ok(mut line) = event else { break };
                    line.push('\n');
                    if let Err(error) = target.write(line.as_bytes()) {
                        tracing::warn!(%error, "cannot write to the log of ejections");
                    }
                }
                recv(reopenings) -> asked => match asked {
                    Ok(()) => drop(target.reopen_or_keep()),
                    Err(_) => reopenings = never(),
                },
            }
        }
        drop::<Sender<()>>(end);
    })?;
    let stats = registry.scope::<AccessLogStat>(ACCESS_LOG_PREFIX).on(control);
    let log = EventLog::new(move |line| {
        if events.try_send(line).is_err() {
            stats.inc(AccessLogStat::LinesDropped);
        }
    });
    Ok((log, Writer { reopen, ended }))
}

impl Writer {
    /// Lets `reopener` ask for the file to be opened anew.
    pub(crate) fn add_to(&self, reopener: &mut Reopener) {
        reopener.add(self.reopen.clone());
    }

    /// Waits until what was told is written; to be called when nobody tells more.
    pub(crate) fn finish(self) {
        if self.ended.recv_deadline(now() + FINISH_WAIT_MAX).is_err_and(|error| error.is_timeout())
        {
            tracing::warn!("the log of ejections takes no lines and was left behind");
        }
    }
}
