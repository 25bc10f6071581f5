//! Plain numbers of a reactor, for the floors above to publish.
#![forbid(unsafe_code)]

use crate::core::Core;

/// A snapshot of what a reactor's loop has done and holds. Counters only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoopStats {
    /// Turns of the loop.
    pub turns: u64,
    /// Calls of `io_uring_enter(2)`.
    pub enters: u64,
    /// Waits in which completions were to gather.
    pub gatherings: u64,
    /// Completions reaped.
    pub completions: u64,
    /// Completions whose operation was gone.
    pub late_completions: u64,
    /// Completions that made no sense; their connection was closed.
    pub bad_completions: u64,
    /// Polls of tasks.
    pub task_polls: u64,
    /// Turns that left ready tasks for the next one.
    pub budget_spent: u64,
    /// Panics caught at a task's edge.
    pub task_panics: u64,
    /// Receives that found no buffer and queued for one.
    pub enobufs: u64,
    /// The submission queue was full in mid-turn.
    pub sq_full: u64,
    /// Enters that found completions held back because the completion queue was full.
    pub cq_overflow: u64,
    /// Bytes copied out of ring memory because they could not leave in their turn.
    pub copied_out_bytes: u64,
    /// Bytes that arrived for a reader that was gone.
    pub lost_bytes: u64,
    /// Directions that went over to splicing.
    pub splices_begun: u64,
    /// Directions that left splicing, at their end or because bulk gave way to small pieces.
    pub splices_left: u64,
    /// Bytes that were spliced.
    pub spliced_bytes: u64,
    /// Tasks alive.
    pub tasks: usize,
    /// Operations in flight.
    pub ops_in_flight: usize,
    /// Leases on ring memory.
    pub leases: usize,
    /// Timers set.
    pub timers: usize,
    /// Descriptors owned.
    pub descriptors: usize,
}

impl LoopStats {
    pub(crate) fn of(core: &Core) -> Self {
        let counters = &core.counters;
        let driver = core.driver_stats();
        Self {
            turns: counters.turns.get(),
            enters: driver.enters,
            gatherings: counters.gatherings.get(),
            completions: counters.completions.get(),
            late_completions: counters.late_completions.get(),
            bad_completions: counters.bad_completions.get(),
            task_polls: core.executor().polls(),
            budget_spent: counters.budget_spent.get(),
            task_panics: core.executor().panics(),
            enobufs: counters.enobufs.get(),
            sq_full: driver.sq_full,
            cq_overflow: driver.cq_overflow,
            copied_out_bytes: counters.copied_out_bytes.get(),
            lost_bytes: counters.lost_bytes.get(),
            splices_begun: counters.splices_begun.get(),
            splices_left: counters.splices_left.get(),
            spliced_bytes: counters.spliced_bytes.get(),
            tasks: core.executor().len(),
            ops_in_flight: core.ops_in_flight(),
            leases: core.pool().leases(),
            timers: core.timers_set(),
            descriptors: counters.open_descriptors.get(),
        }
    }
}
