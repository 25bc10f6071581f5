//! The thread that writes the log, so that no worker ever waits for a disk or a pipe.
//!
//! Lines wait in a bounded queue. When nobody takes them (a terminal that was stopped, a full
//! disk, a pipe without reader), further lines are dropped and counted, and the process goes on.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};

/// Lines that may wait to be written; one more is dropped and counted.
pub(super) const LINES_QUEUED_MAX: usize = 1024;

/// Bytes of one line; what is longer is cut. Times [`LINES_QUEUED_MAX`] this bounds the memory.
pub(super) const LINE_BYTES_MAX: usize = 16 * 1024;

/// How long the writer waits for a line before it looks after what was left out.
const TICK: Duration = Duration::from_secs(1);

/// Where lines go.
#[derive(Debug)]
pub(super) enum Sink {
    Stderr,
    File { path: PathBuf, file: File },
}

impl Sink {
    /// A file to append to, made if there is none.
    pub(super) fn file(path: &Path) -> io::Result<Self> {
        Ok(Self::File { path: path.to_owned(), file: open(path)? })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stderr => io::stderr().write_all(bytes),
            Self::File { file, .. } => file.write_all(bytes),
        }
    }

    /// Opens the file anew; the old one stays in use if that fails.
    fn reopen(&mut self) -> io::Result<()> {
        if let Self::File { path, file } = self {
            *file = open(path)?;
        }
        Ok(())
    }
}

/// With `O_APPEND`, so that nothing is overwritten when somebody else truncates or writes.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// The way to the writer.
#[derive(Debug)]
pub(super) struct Queue {
    sender: Sender<Order>,
    pub(super) counts: Arc<Counts>,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    dropped: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    /// Lines that found the queue full.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Writes and openings that failed.
    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
enum Order {
    Line(String),
    Reopen,
    /// Answer when everything before is written.
    Flush(Sender<()>),
}

impl Queue {
    /// Starts the writer. `on_tick` is called on its thread about every second, for lines that
    /// are due by then.
    ///
    /// # Errors
    /// When there can be no further thread.
    pub(super) fn start(
        sink: Sink,
        on_tick: impl FnMut(&Counts) -> Vec<String> + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, orders) = crossbeam_channel::bounded(LINES_QUEUED_MAX);
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        // It ends with the process: a sender lives in the log, which is never taken down.
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(sink, &orders, &shared, on_tick))?;
        Ok(Self { sender, counts })
    }

    pub(super) fn line(&self, line: String) {
        self.send(Order::Line(line));
    }

    pub(super) fn reopen(&self) {
        self.send(Order::Reopen);
    }

    fn send(&self, order: Order) {
        match self.sender.try_send(order) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Waits until everything logged so far is written, but no longer than this.
    pub(super) fn flush(&self, patience: Duration) {
        let (done, is_done) = crossbeam_channel::bounded(1);
        if self.sender.send_timeout(Order::Flush(done), patience).is_ok() {
            let _ = is_done.recv_timeout(patience);
        }
    }
}

fn write_all(
    mut sink: Sink,
    orders: &Receiver<Order>,
    counts: &Counts,
    mut on_tick: impl FnMut(&Counts) -> Vec<String>,
) {
    let ticks = crossbeam_channel::tick(TICK);
    let write = |sink: &mut Sink, mut line: String| {
        if line.len() > LINE_BYTES_MAX {
            line.truncate(line.floor_char_boundary(LINE_BYTES_MAX));
        }
        line.push('\n');
        if sink.write(line.as_bytes()).is_err() {
            counts.failed.fetch_add(1, Ordering::Relaxed);
        }
    };
    loop {
        match orders.recv_timeout(TICK) {
            Ok(Order::Line(line)) => write(&mut sink, line),
            Ok(Order::Reopen) => {
                if let Err(error) = sink.reopen() {
                    counts.failed.fetch_add(1, Ordering::Relaxed);
                    write(&mut sink, format!("cannot reopen the log file: {error}"));
                }
            }
            Ok(Order::Flush(done)) => drop(done.send(())),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if ticks.try_recv().is_ok() {
            for line in on_tick(counts) {
                write(&mut sink, line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("nuncio-log-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn queue(sink: Sink) -> Queue {
        Queue::start(sink, |_| Vec::new()).unwrap()
    }

    #[test]
    fn lines_are_appended_in_order_and_a_flush_waits_for_them() {
        let folder = scratch("append");
        let path = folder.join("log");
        fs::write(&path, "before\n").unwrap();
        let queue = queue(Sink::file(&path).unwrap());
        queue.line("one".to_owned());
        queue.line("two".to_owned());
        queue.flush(PATIENCE);
        assert_eq!(fs::read_to_string(&path).unwrap(), "before\none\ntwo\n");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew_when_asked_for() {
        let folder = scratch("reopen");
        let (path, moved) = (folder.join("log"), folder.join("log.1"));
        let queue = queue(Sink::file(&path).unwrap());
        queue.line("old".to_owned());
        queue.flush(PATIENCE);
        fs::rename(&path, &moved).unwrap();
        queue.line("still old".to_owned());
        queue.reopen();
        queue.line("new".to_owned());
        queue.flush(PATIENCE);
        assert_eq!(fs::read_to_string(&moved).unwrap(), "old\nstill old\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_opened_anew_stays_in_use() {
        let folder = scratch("keep");
        let (inner, moved) = (folder.join("inner"), folder.join("moved"));
        fs::create_dir(&inner).unwrap();
        let queue = queue(Sink::file(&inner.join("log")).unwrap());
        fs::rename(&inner, &moved).unwrap();
        queue.reopen();
        queue.line("more".to_owned());
        queue.flush(PATIENCE);
        let text = fs::read_to_string(moved.join("log")).unwrap();
        assert!(text.starts_with("cannot reopen the log file: No such file"), "{text}");
        assert!(text.ends_with("\nmore\n"), "{text}");
        assert_eq!(queue.counts.failed(), 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_full_disk_costs_lines_and_nothing_else() {
        let queue = queue(Sink::file(Path::new("/dev/full")).unwrap());
        queue.line("lost".to_owned());
        queue.line("lost too".to_owned());
        queue.flush(PATIENCE);
        assert_eq!(queue.counts.failed(), 2);
    }

    #[test]
    fn lines_that_nobody_takes_are_dropped_and_counted_and_nobody_waits() {
        // A queue whose writer does not run.
        let (sender, orders) = crossbeam_channel::bounded(LINES_QUEUED_MAX);
        let queue = Queue { sender, counts: Arc::new(Counts::default()) };
        for _ in 0..LINES_QUEUED_MAX + 3 {
            queue.line("more".to_owned());
        }
        assert_eq!(queue.counts.dropped(), 3);
        queue.flush(Duration::from_millis(1));
        drop(orders);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let folder = scratch("cut");
        let path = folder.join("log");
        let queue = queue(Sink::file(&path).unwrap());
        queue.line("\u{e9}".repeat(LINE_BYTES_MAX));
        queue.flush(PATIENCE);
        assert_eq!(fs::metadata(&path).unwrap().len(), 1 + u64::try_from(LINE_BYTES_MAX).unwrap());
        fs::remove_dir_all(folder).unwrap();
    }
}
