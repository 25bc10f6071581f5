//! Publishes what a reactor counts as `nuncio.worker.*`.

use observe::Scope;
use observe::names::{SpliceStat, WorkerStat as Stat};
use reactor::LoopStats;

/// Writes a snapshot of the loop's numbers into the worker's stats.
pub(crate) fn publish(stats: &Scope<Stat>, splices: &Scope<SpliceStat>, now: &LoopStats) {
    // Every field by name, so that a new one is not forgotten here.
    let LoopStats {
        turns,
        enters,
        gatherings,
        completions,
        late_completions,
        bad_completions,
        task_polls,
        budget_spent,
        task_panics,
        enobufs,
        sq_full,
        cq_overflow,
        copied_out_bytes,
        lost_bytes,
        splices_begun,
        splices_left,
        spliced_bytes,
        tasks,
        ops_in_flight,
        leases,
        timers,
        descriptors,
    } = *now;
    let counters = [
        (Stat::LoopTurns, turns),
        (Stat::RingEnters, enters),
        (Stat::Gatherings, gatherings),
        (Stat::Completions, completions),
        (Stat::LateCompletions, late_completions),
        (Stat::BadCompletions, bad_completions),
        (Stat::TasksPolled, task_polls),
        (Stat::TaskBudgetSpent, budget_spent),
        (Stat::TaskPanics, task_panics),
        (Stat::ReceiveNoBuffers, enobufs),
        (Stat::SubmissionQueueFull, sq_full),
        (Stat::CompletionQueueOverflow, cq_overflow),
        (Stat::LeaseCopiedOutBytes, copied_out_bytes),
        (Stat::LostBytes, lost_bytes),
    ];
    for (stat, total) in counters {
        stats.publish(stat, total);
    }
    splices.publish(SpliceStat::Engaged, splices_begun);
    splices.publish(SpliceStat::Left, splices_left);
    splices.publish(SpliceStat::Bytes, spliced_bytes);
    let gauges = [
        (Stat::TasksActive, tasks),
        (Stat::OpsActive, ops_in_flight),
        (Stat::LeasesActive, leases),
        (Stat::TimersActive, timers),
        (Stat::DescriptorsActive, descriptors),
    ];
    for (stat, level) in gauges {
        stats.gauge_set(stat, u64::try_from(level).unwrap_or(u64::MAX));
    }
}
