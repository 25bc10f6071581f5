//! `nuncio.worker.*`: how the workers and their rings do. Envoy has no such stats.
//!
//! The reactor keeps plain numbers; a worker publishes them here from time to time with
//! [`Scope::publish`](crate::Scope::publish), so they may be a moment late.

crate::stats! {
    /// Stats of the workers, each with every worker's own share beside the sum.
    pub enum WorkerStat {
        /// Turns of the event loop.
        LoopTurns => counter "loop_turns" per_worker,
        /// Times a task was run.
        TasksPolled => counter "tasks_polled" per_worker,
        /// Tasks alive now.
        TasksActive => gauge "tasks_active" per_worker,
        /// Turns that ended with tasks left over, because the turn's budget was spent.
        TaskBudgetExhausted => counter "task_budget_exhausted" per_worker,
        /// Tasks that panicked; each closed its own connection and nothing else.
        TaskPanics => counter "task_panics" per_worker,
        /// Operations handed to the ring.
        OpsSubmitted => counter "ops_submitted" per_worker,
        /// Completions taken from the ring.
        Completions => counter "completions" per_worker,
        /// Operations whose owner is gone and whose last completion is not in yet.
        OpsOrphaned => gauge "ops_orphaned" per_worker,
        /// Operations in flight now.
        OpsActive => gauge "ops_active" per_worker,
        /// Times the submission queue was full and had to be handed over early.
        SubmissionQueueFull => counter "submission_queue_full" per_worker,
        /// Times the kernel reported more completions than the completion queue holds.
        CompletionQueueOverflow => counter "completion_queue_overflow" per_worker,
        /// Receives that found the buffer ring empty and were parked (ENOBUFS).
        ReceiveNoBuffers => counter "receive_no_buffers" per_worker,
        /// Receives parked now, waiting for a buffer.
        ReceivesParked => gauge "receives_parked" per_worker,
        /// Leases on ring memory held now.
        LeasesActive => gauge "leases_active" per_worker,
        /// Leases whose bytes were copied out because they were not sent within their turn.
        LeasesCopiedOut => counter "leases_copied_out" per_worker,
        /// Bytes copied out of leases.
        LeaseBytesCopiedOut => counter "lease_bytes_copied_out" per_worker,
        /// Connections accepted.
        Accepted => counter "accepted" per_worker,
        /// Accepts that failed, by any cause.
        AcceptErrors => counter "accept_errors" per_worker,
        /// Times accepting was suspended because descriptors ran out (EMFILE, ENFILE).
        AcceptDescriptorsExhausted => counter "accept_descriptors_exhausted" per_worker,
        /// Messages taken from the mailbox.
        MailboxMessages => counter "mailbox_messages" per_worker,
    }
}

/// The prefix of [`WorkerStat`].
pub const WORKER_PREFIX: &str = "nuncio.worker";
