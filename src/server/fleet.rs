//! All workers of the process: started together, told together, ended together.
//!
//! Invariant: a worker that fails never leaves the others serving half of the process: its end is
//! reported at once, and whoever owns the fleet ends it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use crate::worker::{self, Command, Plan};

/// The running workers.
#[derive(Debug)]
pub(crate) struct Fleet {
    members: Vec<Member>,
    reports: Receiver<Report>,
    failures: Vec<Failure>,
}

/// Called, on the worker's thread, when there is no more reason to wait for the fleet: the last
/// worker has ended, or one has failed.
pub(crate) type OnEnd = Arc<dyn Fn() + Send + Sync>;

/// Why a worker could not start or go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    worker: usize,
    reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker_{}: {}", self.worker, self.reason)
    }
}

#[derive(Debug)]
struct Member {
    commands: reactor::Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Report {
    worker: usize,
    news: News,
}

#[derive(Debug)]
enum News {
    Ready,
    Ended(Result<(), String>),
}

/// Commands a mailbox holds. A worker is sent at most one of each kind, and two that close
/// listeners.
pub(crate) const COMMANDS_MAX: usize = 5;

/// How long workers that were told to stop may take. They wait for nobody, so one that takes
/// longer is stuck, and the process ends without it.
const STOP_WAIT_MAX: Duration = Duration::from_secs(5);

impl Fleet {
    /// Starts a thread for each plan and waits until all workers are ready; none accepts yet.
    /// Plans come in the order of their workers' numbers, from 0.
    ///
    /// # Errors
    /// What kept workers from starting. All of them have ended then.
    pub(crate) fn start(
        plans: Vec<(Plan, reactor::Sender<Command>)>,
        on_end: &OnEnd,
    ) -> Result<Self, Vec<Failure>> {
        let (report, reports) = crossbeam_channel::unbounded();
        let alive = Arc::new(AtomicUsize::new(plans.len()));
        let mut fleet = Self { members: Vec::new(), reports, failures: Vec::new() };
        for (plan, commands) in plans {
            let worker = plan.index;
            let (report, alive, on_end) = (report.clone(), Arc::clone(&alive), Arc::clone(on_end));
            // Envoy's name for its threads; Linux shows 15 bytes of it.
            let thread = thread::Builder::new()
                .name(format!("wrk:worker_{worker}"))
                .spawn(move || run_worker(plan, &report, &alive, &on_end));
            match thread {
                Ok(thread) => fleet.members.push(Member { commands, thread: Some(thread) }),
                Err(error) => {
                    let reason = format!("cannot start a thread: {error}; see 'ulimit -u'");
                    fleet.failures.push(Failure { worker, reason });
                    break;
                }
            }
        }
        drop(report);
        fleet.await_ready();
        if fleet.failures.is_empty() { Ok(fleet) } else { Err(fleet.finish()) }
    }

    /// Each worker says once that it is ready or that it has ended.
    fn await_ready(&mut self) {
        for _ in 0..self.members.len() {
            match self.reports.recv() {
                Ok(Report { news: News::Ready, .. }) => {}
                Ok(report) => self.note(report),
                Err(_) => return,
            }
        }
    }

    /// Sends a command to every worker that still runs.
    pub(crate) fn command(&self, command: Command) {
        for (worker, member) in self.members.iter().enumerate() {
            match member.commands.send(command) {
                // A worker that has ended has done all it could be told to.
                Ok(()) | Err(reactor::SendError::Closed(_)) => {}
                Err(reactor::SendError::Full(command)) => {
                    tracing::error!(worker, ?command, "a worker takes no commands any more");
                }
            }
        }
    }

    /// Ends the workers that still run and waits for them. Returns the failures of all.
    pub(crate) fn finish(mut self) -> Vec<Failure> {
        self.command(Command::Stop);
        while self.members.iter().any(|member| member.thread.is_some()) {
            match self.reports.recv_timeout(STOP_WAIT_MAX) {
                Ok(report) => self.note(report),
                Err(_) => {
                    self.note_stuck();
                    break;
                }
            }
        }
        self.failures
    }

    fn note(&mut self, Report { worker, news }: Report) {
        let News::Ended(result) = news else { return };
        if let Err(reason) = result {
            self.failures.push(Failure { worker, reason });
        }
        // The report is the last thing its thread does but to end, so this takes no time; and a
        // panic was caught and reported before.
        if let Some(thread) = self.members.get_mut(worker).and_then(|member| member.thread.take()) {
            drop(thread.join());
        }
    }

    fn note_stuck(&mut self) {
        let stuck = self.members.iter().enumerate().filter(|(_, member)| member.thread.is_some());
        self.failures.extend(stuck.map(|(worker, _)| Failure {
            worker,
            reason: format!("did not stop within {STOP_WAIT_MAX:?} and is left behind"),
        }));
    }
}

/// The whole life of a worker's thread.
fn run_worker(plan: Plan, report: &Sender<Report>, alive: &AtomicUsize, on_end: &OnEnd) {
    let worker = plan.index;
    // The fleet may have given up waiting; then nobody is left to be told.
    let tell = |news| drop(report.send(Report { worker, news }));
    // AssertUnwindSafe: everything the worker had is dropped by the unwinding.
    let ran = catch_unwind(AssertUnwindSafe(|| worker::run(plan, || tell(News::Ready))));
    let result = ran.unwrap_or_else(|_| Err("ended by a panic; its message is above".to_owned()));
    let failed = result.is_err();
    tell(News::Ended(result));
    if alive.fetch_sub(1, Ordering::AcqRel) == 1 || failed {
        on_end();
    }
}

#[cfg(test)]
mod tests;
