//! The log of the process: what the code tells `tracing` becomes lines in Envoy's format.
//!
//! ```text
//! event -> component's level -> limit of its place -> line -> queue -> writer thread -> file
//! ```
//!
//! Problems of the configuration and of the start are not log lines: they are printed as they are,
//! whatever the level. Nothing is logged per connection or request above `debug`.
//!
//! **Invariant:** a thread that logs never waits for a file; what cannot be kept is counted
//! ([`control::LogLosses`]) and said later.

mod component;
mod event;
mod limiter;
mod pattern;
mod writer;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use config::model::LogFormat;
use control::{LogControl, LogLevel, LogLosses};
use jiff::Zoned;
use tracing_core::callsite::{self, Identifier};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Dispatch, Event, LevelFilter, Metadata, Subscriber, dispatcher};

use crate::reopener::Reopener;
use component::{Component, Levels, level_of};
use event::{Line, Message};
use limiter::{Limiter, Verdict};
use pattern::{Moment, Pattern};
use writer::{Queue, Sink};

pub(crate) use pattern::DEFAULT as DEFAULT_FORMAT;

/// What the command line says about the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) level: LogLevel,
    /// Levels of single components, in the order given; the names were checked.
    pub(crate) component_levels: Vec<(String, LogLevel)>,
    pub(crate) format: LogFormat,
    /// Each line as one line, whatever it says.
    pub(crate) escaped: bool,
    /// `None`: standard error.
    pub(crate) path: Option<PathBuf>,
}

/// Whether Envoy has a component of this name.
pub(crate) fn is_component(name: &str) -> bool {
    Component::named(name).is_some()
}

/// The running log.
#[derive(Debug)]
pub(crate) struct Log {
    levels: Levels,
    lines: Arc<Lines>,
    queue: Queue,
    /// The access logs, which are reopened with this one.
    access_logs: OnceLock<Reopener>,
}

/// What makes lines from events.
#[derive(Debug)]
struct Lines {
    look: Mutex<Look>,
    limiter: Mutex<Limiter<Site>>,
    /// Off during the start, which says what it has to say once, however much that is.
    is_limited: AtomicBool,
    suppressed: AtomicU64,
}

/// How lines look, and when the last one was made.
#[derive(Debug)]
struct Look {
    pattern: Pattern,
    escaped: bool,
    last: Option<Instant>,
}

/// A place in the code that logs; the metadata live as long as the program.
#[derive(Debug, Clone)]
struct Site(&'static Metadata<'static>);

impl PartialEq for Site {
    fn eq(&self, other: &Self) -> bool {
        self.0.callsite() == other.0.callsite()
    }
}

impl Eq for Site {}

impl std::hash::Hash for Site {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let identifier: Identifier = self.0.callsite();
        identifier.hash(state);
    }
}

/// Starts the log and makes it the one of the process.
///
/// # Errors
/// When the file cannot be opened or the writer cannot be started, in words.
pub(crate) fn start(settings: &Settings) -> Result<Arc<Log>, String> {
    let sink = match &settings.path {
        None => Sink::Stderr,
        Some(path) => Sink::file(path).map_err(|error| {
            format!("--log-path: cannot open '{}': {error}; check the path", path.display())
        })?,
    };
    let log = Log::new(settings, sink)?;
    // It fails only if a log is installed already, as by another test of this process.
    drop(dispatcher::set_global_default(Dispatch::new(Installed(Arc::clone(&log)))));
    Ok(log)
}

/// How long the end of the process waits for its last lines to be written.
const FLUSH_WAIT_MAX: Duration = Duration::from_secs(1);

impl Log {
    fn new(settings: &Settings, sink: Sink) -> Result<Arc<Self>, String> {
        let levels = Levels::new(settings.level);
        for (name, level) in &settings.component_levels {
            if let Some(component) = Component::named(name) {
                levels.set(component, *level);
            }
        }
        let pattern = pattern_of(&settings.format);
        let lines = Arc::new(Lines {
            look: Mutex::new(Look { pattern, escaped: settings.escaped, last: None }),
            limiter: Mutex::new(Limiter::new()),
            is_limited: AtomicBool::new(false),
            suppressed: AtomicU64::new(0),
        });
        let (ticking, mut dropped_told) = (Arc::clone(&lines), 0);
        let queue = Queue::start(sink, move |counts| {
            let dropped = counts.dropped();
            let news = dropped - dropped_told;
            dropped_told = dropped;
            ticking.overdue(now(), news)
        })
        .map_err(|error| format!("cannot start the log's thread: {error}; see 'ulimit -u'"))?;
        Ok(Arc::new(Self { levels, lines, queue, access_logs: OnceLock::new() }))
    }

    /// Reopens the access logs too, whenever this log is reopened. To be called once.
    pub(crate) fn set_access_logs(&self, access_logs: Reopener) {
        // A second set would be of the same process, and there is one.
        drop(self.access_logs.set(access_logs));
    }

    /// How lines look from now on.
    pub(crate) fn set_format(&self, format: &LogFormat) {
        locked(&self.lines.look).pattern = pattern_of(format);
    }

    /// From here on a place in the code that says too much is cut.
    pub(crate) fn limit(&self) {
        self.lines.is_limited.store(true, Ordering::Relaxed);
    }

    /// Waits until what was logged is written, for a moment at most.
    pub(crate) fn flush(&self) {
        self.queue.flush(FLUSH_WAIT_MAX);
    }

    fn event(&self, event: &Event<'_>) {
        let now = now();
        let site = Site(event.metadata());
        // Who asks for every step gets every step, as far as the queue takes it.
        let is_detail = level_of(event.metadata().level()) <= LogLevel::Debug;
        let suppressed_before = if is_detail || !self.lines.is_limited.load(Ordering::Relaxed) {
            0
        } else {
            match locked(&self.lines.limiter).admit(site.clone(), now) {
                Verdict::Log { suppressed_before } => suppressed_before,
                Verdict::Suppress => {
                    self.lines.suppressed.fetch_add(1, Ordering::Relaxed);
                    return;
                }
            }
        };
        if suppressed_before > 0 {
            self.queue.line(self.lines.line(&site, &suppression(suppressed_before), now));
        }
        let mut message = Message::default();
        event.record(&mut message);
        self.queue.line(self.lines.line(&site, &message, now));
    }
}

fn pattern_of(format: &LogFormat) -> Pattern {
    match format {
        LogFormat::Text(text) => Pattern::read(text),
        LogFormat::Json(object) => Pattern::read_json(object),
    }
}

impl Lines {
    fn line(&self, Site(metadata): &Site, message: &Message, now: Instant) -> String {
        let line = Line {
            level: level_of(metadata.level()),
            component: Component::of(metadata.target()).name(),
            file: metadata.file().unwrap_or_default(),
            line: metadata.line().unwrap_or_default(),
            module: metadata.module_path().unwrap_or_default(),
            message,
        };
        let mut look = locked(&self.look);
        let since_last =
            look.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        look.last = Some(now);
        let moment = Moment { time: Zoned::now(), since_last, thread: thread_id() };
        let text = look.pattern.line(&line, &moment);
        if look.escaped { pattern::escaped(&text) } else { text }
    }

    /// Lines that say what was left out, of places that are silent by now and of the queue.
    fn overdue(&self, now: Instant, dropped: u64) -> Vec<String> {
        let silent = locked(&self.limiter).take_suppressed(now);
        let mut lines: Vec<String> =
            silent.iter().map(|(site, count)| self.line(site, &suppression(*count), now)).collect();
        if dropped > 0 {
            let text = format!("{dropped} lines of the log were dropped: nobody took them");
            lines.push(text);
        }
        lines
    }
}

fn suppression(count: u64) -> Message {
    Message::of(format!("suppressed {count} more lines from here within a second"))
}

impl LogControl for Log {
    fn levels(&self) -> Vec<(&'static str, LogLevel)> {
        self.levels.all()
    }

    fn set_level(&self, component: &str, level: LogLevel) -> bool {
        let Some(component) = Component::named(component) else { return false };
        self.levels.set(component, level);
        callsite::rebuild_interest_cache();
        true
    }

    fn set_all_levels(&self, level: LogLevel) {
        self.levels.set_all(level);
        callsite::rebuild_interest_cache();
    }

    fn reopen(&self) {
        self.queue.reopen();
        if let Some(access_logs) = self.access_logs.get() {
            access_logs.reopen();
        }
    }

    fn losses(&self) -> LogLosses {
        LogLosses {
            suppressed: self.lines.suppressed.load(Ordering::Relaxed),
            dropped: self.queue.counts.dropped(),
            failed_writes: self.queue.counts.failed(),
        }
    }
}

/// The log as `tracing` knows it. Spans are not used here: what an event is about is a field.
#[derive(Debug)]
struct Installed(Arc<Log>);

impl Subscriber for Installed {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let wanted = metadata.is_event() && self.0.levels.enabled(metadata);
        if wanted { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && self.0.levels.enabled(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.levels.most())
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.0.event(event);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// A panic while a lock was held leaves nothing half-done that would matter to a log.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "when a line is logged is a fact to be logged")]
fn now() -> Instant {
    Instant::now()
}

/// The kernel's number of this thread, as `top -H` shows it; 0 without /proc.
fn thread_id() -> u64 {
    fn read() -> Option<u64> {
        let link = std::fs::read_link("/proc/thread-self").ok()?;
        link.file_name()?.to_str()?.parse().ok()
    }
    thread_local!(static ID: u64 = read().unwrap_or(0));
    ID.with(|id| *id)
}

#[cfg(test)]
mod tests;
