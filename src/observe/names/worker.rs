//! `nuncio.worker.*`: how the workers and their rings do. Envoy has no such stats.
//!
//! The reactor keeps plain numbers; a worker publishes them here from time to time with
//! [`Scope::publish`](crate::Scope::publish) and [`Scope::gauge_set`](crate::Scope::gauge_set),
//! so they may be a moment late.

crate::stats! {
    /// Stats of the workers, each with every worker's own share beside the sum.
    pub enum WorkerStat {
        /// Turns of the event loop.
        LoopTurns => counter "loop_turns" per_worker,
        /// Calls of `io_uring_enter(2)`.
        RingEnters => counter "ring_enters" per_worker,
        /// Waits of a busy worker that let completions gather for some microseconds.
        Gatherings => counter "gatherings" per_worker,
        /// Completions taken from the ring.
        Completions => counter "completions" per_worker,
        /// Completions whose operation was gone: it had been dropped or cancelled.
        LateCompletions => counter "late_completions" per_worker,
        /// Completions that made no sense; their connections were closed.
        BadCompletions => counter "bad_completions" per_worker,
        /// Times a task was run.
        TasksPolled => counter "tasks_polled" per_worker,
        /// Turns that left ready tasks for the next one, because the turn's budget was spent.
        TaskBudgetSpent => counter "task_budget_spent" per_worker,
        /// Tasks that panicked; each closed its own connection and nothing else.
        TaskPanics => counter "task_panics" per_worker,
        /// Receives that found the buffer ring empty and had to queue (ENOBUFS).
        ReceiveNoBuffers => counter "receive_no_buffers" per_worker,
        /// Times the submission queue was full in mid-turn and had to be handed over early.
        SubmissionQueueFull => counter "submission_queue_full" per_worker,
        /// Turns that found completions held back because the completion queue was full.
        CompletionQueueOverflow => counter "completion_queue_overflow" per_worker,
        /// Bytes copied out of leased ring memory because they could not leave in their turn.
        LeaseCopiedOutBytes => counter "lease_copied_out_bytes" per_worker,
        /// Bytes that arrived for a reader that was gone.
        LostBytes => counter "lost_bytes" per_worker,
        /// Tasks alive now.
        TasksActive => gauge "tasks_active" per_worker,
        /// Operations in flight now.
        OpsActive => gauge "ops_active" per_worker,
        /// Leases on ring memory held now.
        LeasesActive => gauge "leases_active" per_worker,
        /// Timers set now.
        TimersActive => gauge "timers_active" per_worker,
        /// Descriptors owned now.
        DescriptorsActive => gauge "descriptors_active" per_worker,
        /// Connections accepted, on all listeners.
        Accepted => counter "accepted" per_worker,
        /// Accepts that failed. After most of these (EMFILE, say) accepting pauses for a while.
        AcceptErrors => counter "accept_errors" per_worker,
    }
}

/// The prefix of [`WorkerStat`].
pub const WORKER_PREFIX: &str = "nuncio.worker";

crate::stats! {
    /// Directions of relays that move inside the kernel, by `splice(2)`.
    pub enum SpliceStat {
        /// Directions that went over to splicing.
        Engaged => counter "engaged" per_worker,
        /// Bytes that were spliced.
        Bytes => counter "bytes" per_worker,
        /// Directions that left splicing: at their end, or because bulk gave way to small pieces.
        Left => counter "left" per_worker,
    }
}

/// The prefix of [`SpliceStat`].
pub const SPLICE_PREFIX: &str = "nuncio.splice";
