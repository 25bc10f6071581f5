//! One worker's buffers, one for each destination, and when they are handed over.

use std::cell::RefCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use config::model;
use crossbeam_channel::Sender;
use observe::access_log::Format;
use observe::names::{ACCESS_LOG_PREFIX, AccessLogStat, FILESYSTEM_PREFIX, FilesystemStat};
use observe::{Registry, Scope, Shard};
use reactor::{Inbox, Reactor};

use super::plan::Plan;
use super::{AccessLog, AccessLogs};
use crate::random::Random;
use crate::tunnel_head::TunnelHead;

/// Lines that one worker holds back for one destination while the writer is busy. Beyond that
/// lines are dropped and counted. A second of 5,000 requests at 200 bytes each.
pub const BUFFER_BYTES_MAX: usize = 1 << 20;

/// Whole lines.
#[derive(Debug, Default)]
pub struct Buffer {
    /// The lines, one after the other.
    pub bytes: Vec<u8>,
    /// Where each line ends in `bytes`.
    pub line_ends: Vec<usize>,
}

/// Lines on their way to the writer.
#[derive(Debug)]
pub struct Batch {
    /// The worker that is to have the buffer back.
    pub worker: usize,
    /// The lines.
    pub buffer: Buffer,
}

/// A buffer on its way back, and what became of its lines.
#[derive(Debug)]
pub struct Written {
    /// Index of the sink in the [`Plan`].
    pub sink: usize,
    /// The buffer, to be used again.
    pub buffer: Buffer,
    /// Writes that succeeded.
    pub writes_completed: u64,
    /// Writes that failed.
    pub writes_failed: u64,
    /// Lines that were cut.
    pub lines_cut: u64,
    /// Times the file could not be opened anew.
    pub reopens_failed: u64,
}

/// When buffers are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// A buffer with as many bytes is handed over at once: `--file-flush-min-size-kb`.
    pub flush_min_bytes: usize,
    /// What is buffered is handed over as often: `--file-flush-interval-msec`.
    pub flush_interval: Duration,
}

/// The way to the writer of each sink, in the order of [`Plan::sinks`].
pub type Outlets = Vec<Sender<Batch>>;

/// Everything of one worker that has to do with access logs.
#[derive(Debug)]
pub struct WorkerLogs {
    plan: Arc<Plan>,
    sinks: Vec<Rc<Sink>>,
    settings: LogSettings,
    worker: usize,
    stats: Option<Scope<FilesystemStat>>,
    /// Where sampling gets its numbers from.
    random: Rc<Random>,
}

impl WorkerLogs {
    /// The buffers of worker `worker`. `outlets` are in the order of the plan's sinks.
    #[must_use]
    pub fn new(
        plan: Arc<Plan>,
        outlets: Outlets,
        settings: LogSettings,
        worker: usize,
        (registry, shard): (&Registry, &Shard),
        random: &Rc<Random>,
    ) -> Self {
        let stats = || registry.scope::<FilesystemStat>(FILESYSTEM_PREFIX).on(shard);
        let own = || registry.scope::<AccessLogStat>(ACCESS_LOG_PREFIX).on(shard);
        let sink = |outlet| {
            Rc::new(Sink {
                outlet,
                worker,
                flush_min_bytes: settings.flush_min_bytes,
                state: RefCell::default(),
                stats: stats(),
                own: own(),
            })
        };
        let stats = (!outlets.is_empty()).then(stats);
        let sinks = outlets.into_iter().map(sink).collect();
        Self { plan, sinks, settings, worker, stats, random: Rc::clone(random) }
    }

    /// The logs that `configs` ask for.
    #[must_use]
    pub fn logs(&self, configs: &[model::AccessLog]) -> AccessLogs {
        let log = |config| {
            let compiled = Arc::clone(self.plan.find(config)?);
            let sink = Rc::clone(self.sinks.get(compiled.sink)?);
            Some(AccessLog { compiled, sink, random: Rc::clone(&self.random) })
        };
        AccessLogs::new(configs.iter().filter_map(log).collect())
    }

    /// How a filter asks for tunnels. `None` only for a configuration that the plan was not made
    /// of.
    pub(crate) fn tunnel(&self, config: &model::Tunneling) -> Option<Arc<TunnelHead>> {
        self.plan.tunnel(config).cloned()
    }

    /// The text that a filter makes an object of. `None` as for tunnels.
    pub(crate) fn state(&self, config: &model::FilterStateValue) -> Option<Arc<Format>> {
        self.plan.state(config).cloned()
    }

    /// Whether there is anything to attend to.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sinks.is_empty()
    }

    /// Takes buffers back and hands over what has waited for the flush interval, until the future
    /// is dropped. If the mailbox fails, buffers are still handed over by [`WorkerLogs::finish`].
    pub async fn attend(self: Rc<Self>, reactor: Reactor, mut returns: Inbox<Written>) {
        let mut flush_at = reactor.now() + self.settings.flush_interval;
        loop {
            let event = {
                let mut returned = pin!(returns.recv());
                let mut time = pin!(reactor.sleep_until(flush_at));
                poll_fn(|context| {
                    if let Poll::Ready(written) = returned.as_mut().poll(context) {
                        return Poll::Ready(Some(written));
                    }
                    time.as_mut().poll(context).map(|()| None)
                })
                .await
            };
            match event {
                Some(Ok(written)) => self.take_back(written),
                Some(Err(_)) => return,
                None => {
                    self.flush_by_timer();
                    flush_at = reactor.now() + self.settings.flush_interval;
                }
            }
        }
    }

    fn take_back(&self, written: Written) {
        if let Some(sink) = self.sinks.get(written.sink) {
            sink.take_back(written);
        }
    }

    fn flush_by_timer(&self) {
        for sink in &self.sinks {
            // Envoy has one timer for a file, whatever the number of workers.
            if self.worker == 0
                && let Some(stats) = &self.stats
            {
                stats.inc(FilesystemStat::FlushedByTimer);
            }
            sink.flush();
        }
    }

    /// Hands everything over, whatever is with the writer: the worker ends.
    pub fn finish(&self) {
        self.sinks.iter().for_each(|sink| sink.hand_over());
    }
}

/// One destination as one worker sees it.
pub(crate) struct Sink {
    outlet: Sender<Batch>,
    worker: usize,
    flush_min_bytes: usize,
    state: RefCell<State>,
    stats: Scope<FilesystemStat>,
    own: Scope<AccessLogStat>,
}

#[derive(Debug, Default)]
struct State {
    filling: Buffer,
    /// Empty, with room: the buffer to fill next.
    spare: Buffer,
    is_with_writer: bool,
}

impl Sink {
    /// Appends the line that `line` writes.
    pub(crate) fn write(&self, line: impl FnOnce(&mut Vec<u8>)) {
        let is_full = {
            let Buffer { bytes, line_ends } = &mut self.state.borrow_mut().filling;
            let start = bytes.len();
            line(bytes);
            if bytes.len() > BUFFER_BYTES_MAX {
                bytes.truncate(start);
                // One very long line must not be kept as room for ever.
                if bytes.capacity() > 2 * BUFFER_BYTES_MAX {
                    bytes.shrink_to(BUFFER_BYTES_MAX);
                }
                return self.own.inc(AccessLogStat::LinesDropped);
            }
            line_ends.push(bytes.len());
            self.stats.inc(FilesystemStat::WriteBuffered);
            let added = (bytes.len() - start) as u64;
            self.stats.gauge_add(FilesystemStat::WriteTotalBuffered, added);
            bytes.len() >= self.flush_min_bytes
        };
        if is_full {
            self.flush();
        }
    }

    /// Hands over what is buffered, unless the writer still has the last batch.
    fn flush(&self) {
        if !self.state.borrow().is_with_writer {
            self.hand_over();
        }
    }

    fn hand_over(&self) {
        let mut state = self.state.borrow_mut();
        if state.filling.line_ends.is_empty() {
            return;
        }
        let next = std::mem::take(&mut state.spare);
        let buffer = std::mem::replace(&mut state.filling, next);
        match self.outlet.try_send(Batch { worker: self.worker, buffer }) {
            Ok(()) => state.is_with_writer = true,
            // The writer has ended; the process is about to.
            Err(refused) => {
                let lines = refused.into_inner().buffer;
                self.own.add(AccessLogStat::LinesDropped, lines.line_ends.len() as u64);
                let bytes = lines.bytes.len() as u64;
                self.stats.gauge_sub(FilesystemStat::WriteTotalBuffered, bytes);
            }
        }
    }

    fn take_back(&self, written: Written) {
        let Written { mut buffer, .. } = written;
        let bytes = buffer.bytes.len() as u64;
        self.stats.gauge_sub(FilesystemStat::WriteTotalBuffered, bytes);
        self.stats.add(FilesystemStat::WriteCompleted, written.writes_completed);
        self.stats.add(FilesystemStat::WriteFailed, written.writes_failed);
        self.stats.add(FilesystemStat::ReopenFailed, written.reopens_failed);
        self.own.add(AccessLogStat::LinesCut, written.lines_cut);
        buffer.bytes.clear();
        buffer.line_ends.clear();
        let is_full = {
            let mut state = self.state.borrow_mut();
            state.spare = buffer;
            state.is_with_writer = false;
            state.filling.bytes.len() >= self.flush_min_bytes
        };
        if is_full {
            self.flush();
        }
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("worker", &self.worker).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::{Receiver, bounded};
    use observe::ShardIndex;

    use super::*;

    fn sink(flush_min_bytes: usize) -> (Sink, Receiver<Batch>, Registry) {
        let registry = Registry::new(1);
        let shard = registry.shard(ShardIndex::Worker(0)).unwrap();
        let (outlet, batches) = bounded(2);
        let sink = Sink {
            outlet,
            worker: 0,
            flush_min_bytes,
            state: RefCell::default(),
            stats: registry.scope(FILESYSTEM_PREFIX).on(&shard),
            own: registry.scope(ACCESS_LOG_PREFIX).on(&shard),
        };
        (sink, batches, registry)
    }

    fn line(sink: &Sink, text: &str) {
        sink.write(|buffer| buffer.extend_from_slice(text.as_bytes()));
    }

    fn give_back(sink: &Sink, batch: Batch) {
        sink.take_back(Written {
            sink: 0,
            buffer: batch.buffer,
            writes_completed: 1,
            writes_failed: 0,
            lines_cut: 0,
            reopens_failed: 0,
        });
    }

    #[test]
    fn a_full_buffer_is_handed_over_and_the_next_waits_for_its_return() {
        let (sink, batches, _registry) = sink(4);
        line(&sink, "a\n");
        assert!(batches.is_empty());
        line(&sink, "b\n");
        let first = batches.try_recv().unwrap();
        assert_eq!(first.buffer.bytes, b"a\nb\n");
        assert_eq!(first.buffer.line_ends, [2, 4]);
        line(&sink, "c\n");
        line(&sink, "d\n");
        assert!(batches.is_empty(), "one batch at a time");
        assert_eq!(sink.stats.value(FilesystemStat::WriteTotalBuffered), 8);
        give_back(&sink, first);
        assert_eq!(batches.try_recv().unwrap().buffer.bytes, b"c\nd\n");
        assert_eq!(sink.stats.value(FilesystemStat::WriteTotalBuffered), 4);
        assert_eq!(sink.stats.value(FilesystemStat::WriteBuffered), 4);
        assert_eq!(sink.stats.value(FilesystemStat::WriteCompleted), 1);
    }

    #[test]
    fn without_room_whole_lines_are_dropped_and_counted() {
        let (sink, batches, _registry) = sink(1);
        line(&sink, "x");
        let with_writer = batches.try_recv().unwrap();
        let long = "y".repeat(BUFFER_BYTES_MAX / 2);
        line(&sink, &long);
        line(&sink, &long);
        line(&sink, "z");
        assert_eq!(sink.own.value(AccessLogStat::LinesDropped), 1);
        give_back(&sink, with_writer);
        let kept = batches.try_recv().unwrap().buffer;
        assert_eq!((kept.bytes.len(), kept.line_ends.len()), (BUFFER_BYTES_MAX, 2));
        line(&sink, &"y".repeat(BUFFER_BYTES_MAX + 1));
        assert_eq!(sink.own.value(AccessLogStat::LinesDropped), 2);
    }

    #[test]
    fn buffers_go_round_without_an_allocation() {
        let (sink, batches, _registry) = sink(2);
        let mut seen = std::collections::HashSet::new();
        for _ in 0..10 {
            line(&sink, "a\n");
            let batch = batches.try_recv().unwrap();
            seen.insert(batch.buffer.bytes.as_ptr());
            give_back(&sink, batch);
        }
        assert_eq!(seen.len(), 2);
    }

    #[test]
    fn the_end_hands_over_even_while_a_batch_is_away() {
        let (sink, batches, _registry) = sink(2);
        line(&sink, "a\n");
        line(&sink, "b\n");
        sink.hand_over();
        let texts: Vec<_> = batches.try_iter().map(|batch| batch.buffer.bytes).collect();
        assert_eq!(texts, [b"a\n", b"b\n"]);
        drop(batches);
        line(&sink, "c\n");
        sink.hand_over();
        assert_eq!(sink.own.value(AccessLogStat::LinesDropped), 1);
    }
}
